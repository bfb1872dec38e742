"""ML-Agents' buffer and ours, filled alike: what the comparisons of the drop-in tests start from."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from mlagents.trainers.buffer import AgentBuffer, AgentBufferField, BufferKey
from mlagents.trainers.demo_loader import write_demo
from mlagents.trainers.trajectory import ObsUtil, Trajectory
from mlagents_envs.base_env import ActionSpec, BehaviorSpec, DimensionProperty, ObservationSpec, ObservationType
from mlagents_envs.communicator_objects.agent_info_action_pair_pb2 import AgentInfoActionPairProto
from mlagents_envs.communicator_objects.brain_parameters_pb2 import BrainParametersProto
from mlagents_envs.communicator_objects.demonstration_meta_pb2 import DemonstrationMetaProto

from fakes import CONTINUOUS, DISCRETE, HYBRID, trajectory
from mlagents_plugin_shared.data import ReplayBuffer

STEPS = 8


class Case(NamedTuple):
    """A kind of behaviour: actions and sensors."""

    action_spec: ActionSpec
    shapes: tuple[tuple[int, ...], ...] = ((4,),)

    def behavior_spec(self) -> BehaviorSpec:
        sensors = [
            ObservationSpec(shape, _dimension_properties(shape), ObservationType.DEFAULT, f"sensor_{i}")
            for i, shape in enumerate(self.shapes)
        ]
        return BehaviorSpec(sensors, self.action_spec)

    def trajectories(self, count: int = 5, memory: int = 0) -> list[Trajectory]:
        """Terminated, interrupted and cut ones in turn, each of `STEPS` steps."""
        return [
            trajectory(
                self.action_spec,
                STEPS,
                shapes=self.shapes,
                agent_id=f"agent_{seed}",
                done=seed % 3 < 2,
                interrupted=seed % 3 == 1,
                memory=memory,
                seed=seed,
            )
            for seed in range(count)
        ]


CASES = {
    "continuous": Case(CONTINUOUS),
    "discrete": Case(DISCRETE),
    "hybrid": Case(HYBRID),
    "pictures": Case(HYBRID, ((4,), (1, 20, 20))),
}


def _dimension_properties(shape: tuple[int, ...]) -> tuple[DimensionProperty, ...]:
    if len(shape) == 3:
        return (DimensionProperty.NONE, *[DimensionProperty.TRANSLATIONAL_EQUIVARIANCE] * 2)
    return (DimensionProperty.NONE,)


class Twins:
    """The same trajectories in an AgentBuffer and in a ReplayBuffer; equal rows hold equal transitions.

    They are appended as ML-Agents' SAC appends them: an interrupted episode is not done, and its last observation
    stands for the one that followed.

    Args:
        trajectories: no longer than the buffer's capacity, 1,000 steps, together.
        sequence_length: for recurrent networks; the lengths of the trajectories are multiples of it, so that
            nothing is padded.
        critic_memory: width of the critic's recurrent state, which is random.
    """

    def __init__(
        self, trajectories: Iterable[Trajectory], *, sequence_length: int = 1, critic_memory: int = 0, seed: int = 0
    ) -> None:
        rng = np.random.default_rng(0)
        self.theirs = AgentBuffer()
        self.ours = ReplayBuffer(1000, seed=seed)
        for each in trajectories:
            columns = as_sac_stores(each)
            if critic_memory:
                rows = rng.random((len(each.steps), critic_memory), dtype=np.float32)
                columns[BufferKey.CRITIC_MEMORY].set(list(rows))
            for buffer in (self.theirs, self.ours):
                columns.resequence_and_append(buffer, training_length=sequence_length)

    def batches(self, rows: Iterable[int]) -> tuple:
        """The same transitions out of each: ML-Agents' and ours."""
        return rows_of(self.theirs, rows), self.ours.gather(np.array(rows))


def as_sac_stores(each: Trajectory) -> AgentBuffer:
    """What ML-Agents' SAC trainer makes of a trajectory."""
    columns = each.to_agentbuffer()
    if each.steps[-1].interrupted:
        for i, observation in enumerate(each.steps[-1].obs):
            columns[ObsUtil.get_name_at_next(i)][-1] = observation
        columns[BufferKey.DONE][-1] = False
    return columns


def rows_of(buffer: AgentBuffer, rows: Iterable[int]) -> AgentBuffer:
    """ML-Agents' buffer with the given rows of another, as Python lists."""
    chosen = AgentBuffer()
    for key, field in buffer.items():
        chosen[key] = AgentBufferField([field[row] for row in rows])
    return chosen


def assert_same_numbers(first: dict, second: dict) -> None:
    """Both hold the same statistics or parameters, to the tolerance of float32."""
    assert first.keys() == second.keys()
    for name, value in first.items():
        np.testing.assert_allclose(second[name], value, rtol=1e-5, atol=1e-7, err_msg=name)


def parameters(modules: dict) -> dict[str, torch.Tensor]:
    """All parameters and buffers of networks by name; optimizers are left out."""
    networks = {name: module for name, module in modules.items() if isinstance(module, torch.nn.Module)}
    return {f"{name}.{key}": value for name, module in networks.items() for key, value in module.state_dict().items()}


def write_demonstration(path: Path, trajectories: Iterable[Trajectory], spec: BehaviorSpec) -> str:
    """A .demo file as Unity's recorder would write it: one episode a trajectory.

    Returns:
        The path, as settings take it.
    """
    brain = BrainParametersProto(brain_name="Toy")
    brain.action_spec.num_continuous_actions = spec.action_spec.continuous_size
    brain.action_spec.num_discrete_actions = spec.action_spec.discrete_size
    brain.action_spec.discrete_branch_sizes.extend(spec.action_spec.discrete_branches)
    pairs = [pair for each in trajectories for pair in _pairs(each, spec)]
    write_demo(str(path), DemonstrationMetaProto(api_version=1, number_steps=len(pairs)), brain, pairs)
    return str(path)


def _pairs(each: Trajectory, spec: BehaviorSpec) -> Iterable[AgentInfoActionPairProto]:
    for step in each.steps:
        yield _pair(step.obs, step.reward, False, step.action, spec)
    yield _pair(each.next_obs, each.steps[-1].reward, True, each.steps[-1].action, spec)


def _pair(observations, reward, done, action, spec: BehaviorSpec) -> AgentInfoActionPairProto:
    pair = AgentInfoActionPairProto()
    pair.agent_info.reward = reward
    pair.agent_info.done = done
    for observation, sensor in zip(observations, spec.observation_specs, strict=True):
        message = pair.agent_info.observations.add(name=sensor.name, shape=sensor.shape)
        message.dimension_properties.extend(int(part.value) for part in sensor.dimension_property)
        message.float_data.data.extend(observation.ravel().tolist())
    pair.action_info.continuous_actions.extend(action.continuous.ravel().tolist())
    pair.action_info.discrete_actions.extend(action.discrete.ravel().tolist())
    return pair
