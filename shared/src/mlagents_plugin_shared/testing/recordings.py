"""Recordings of a demonstrator in the toy tasks, as Unity's recorder writes them."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from mlagents.trainers.demo_loader import write_demo
from mlagents_envs.base_env import ActionTuple
from mlagents_envs.communicator_objects.agent_info_action_pair_pb2 import AgentInfoActionPairProto
from mlagents_envs.communicator_objects.brain_parameters_pb2 import BrainParametersProto
from mlagents_envs.communicator_objects.demonstration_meta_pb2 import DemonstrationMetaProto

from mlagents_plugin_shared.testing.toy_environment import BEHAVIOR, ToyEnv


def record(
    env: ToyEnv, choose: Callable[[np.ndarray], Sequence[int] | ActionTuple], path: Path, *, decisions: int
) -> str:
    """Plays a task of one agent and writes the `.demo` file that Unity's recorder would.

    Args:
        env: the task.
        choose: the demonstrator's action by the observation of the first sensor: one number a discrete branch, or an
            action tuple of one row.
        path: the file.
        decisions: after how many the recording ends.

    Returns:
        The path, as settings take it.
    """
    name = next(iter(env.behavior_specs))
    pairs = []
    action = ActionTuple()
    episode = 0
    env.reset()
    for _ in range(decisions):
        steps, ends = env.get_steps(name)
        for i in range(len(ends)):
            end = _pair([o[i] for o in ends.obs], ends.reward[i], episode, action)  # it repeats the last actions
            end.agent_info.done, end.agent_info.max_step_reached = True, ends.interrupted[i]
            pairs.append(end)
            episode += 1
        chosen = choose(steps.obs[0][0])
        action = chosen if isinstance(chosen, ActionTuple) else ActionTuple(discrete=np.array([chosen], np.int32))
        mask = [bool(forbidden) for branch in steps.action_mask or () for forbidden in branch[0]]
        pairs.append(_pair([o[0] for o in steps.obs], steps.reward[0], episode, action, mask))
        env.set_actions(name, action)
        env.step()
    write_demo(str(path), DemonstrationMetaProto(api_version=1, number_steps=len(pairs)), _brain(env), pairs)
    return str(path)


def _brain(env: ToyEnv) -> BrainParametersProto:
    brain = BrainParametersProto(brain_name=BEHAVIOR)
    brain.action_spec.num_continuous_actions = env.action_spec.continuous_size
    brain.action_spec.num_discrete_actions = env.action_spec.discrete_size
    brain.action_spec.discrete_branch_sizes.extend(env.action_spec.discrete_branches)
    return brain


def _pair(
    observations: Sequence[np.ndarray], reward: float, episode: int, action: ActionTuple, mask: Sequence[bool] = ()
) -> AgentInfoActionPairProto:
    """What was seen and done."""
    pair = AgentInfoActionPairProto()
    pair.agent_info.reward, pair.agent_info.id = reward, episode
    pair.agent_info.action_mask.extend(mask)
    for observation in observations:
        pair.agent_info.observations.add(shape=observation.shape).float_data.data.extend(observation.ravel().tolist())
    if action.continuous is not None:
        pair.action_info.continuous_actions.extend(action.continuous.ravel().tolist())
    if action.discrete is not None:
        pair.action_info.discrete_actions.extend(map(int, action.discrete.ravel()))
    return pair
