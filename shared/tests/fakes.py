"""Trajectories and segments as ML-Agents would make them, filled with random or telling numbers."""

import io
from collections.abc import Sequence

import numpy as np
from mlagents.trainers.buffer import BufferKey
from mlagents.trainers.torch_entities.action_log_probs import LogProbsTuple
from mlagents.trainers.trajectory import AgentExperience, ObsUtil, Trajectory
from mlagents_envs.base_env import ActionSpec, ActionTuple

from mlagents_plugin_shared.data import ReplayBuffer, ReplayKey
from mlagents_plugin_shared.data.trajectories import Segment

DISCRETE = ActionSpec(0, (3, 2))
CONTINUOUS = ActionSpec(2, ())
HYBRID = ActionSpec(2, (3, 2))


def trajectory(
    action_spec: ActionSpec,
    length: int = 5,
    *,
    shapes: Sequence[tuple[int, ...]] = ((4,),),
    agent_id: str = "agent_0-1",
    done: bool = False,
    interrupted: bool = False,
    memory: int = 0,
    masked: bool = True,
    log_probs: bool = True,
    seed: int = 0,
) -> Trajectory:
    """A random trajectory; `done` belongs to its last step, `memory` is the size of the recurrent state.

    Observations of three dimensions are pictures of 8 bits, as ML-Agents decodes them.
    """
    rng = np.random.default_rng(seed)
    observations = [[_observation(rng, shape) for shape in shapes] for _ in range(length + 1)]
    steps = [
        AgentExperience(
            obs=observations[t],
            reward=np.float32(rng.normal()),
            done=done and t == length - 1,
            action=_action(rng, action_spec),
            action_probs=_log_probs(rng, action_spec) if log_probs else LogProbsTuple.empty_log_probs(),
            action_mask=_forbidden(rng, action_spec) if masked and action_spec.discrete_size else None,
            prev_action=rng.integers(0, 2, action_spec.discrete_size, dtype=np.int32),
            interrupted=interrupted and t == length - 1,
            memory=rng.random(memory, dtype=np.float32) if memory else None,
            group_status=[],
            group_reward=float(rng.normal()),
        )
        for t in range(length)
    ]
    return Trajectory(steps, observations[length], [], agent_id, "Behavior?team=0")


def _observation(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    if len(shape) == 3:
        return rng.integers(256, size=shape).astype(np.float32) / 255
    return rng.random(shape, dtype=np.float32)


def _action(rng: np.random.Generator, spec: ActionSpec) -> ActionTuple:
    discrete = np.array([rng.integers(size) for size in spec.discrete_branches], dtype=np.int32)
    return ActionTuple(rng.normal(size=spec.continuous_size).astype(np.float32), discrete)


def _log_probs(rng: np.random.Generator, spec: ActionSpec) -> LogProbsTuple:
    continuous = rng.normal(size=spec.continuous_size).astype(np.float32)
    return LogProbsTuple(continuous, rng.normal(size=spec.discrete_size).astype(np.float32))


def _forbidden(rng: np.random.Generator, spec: ActionSpec) -> list[np.ndarray]:
    """As in an experience: True means forbidden; the first action of each branch is always allowed."""
    masks = [rng.random(size) < 0.5 for size in spec.discrete_branches]
    for mask in masks:
        mask[0] = False
    return masks


def counting_segment(
    start: int,
    length: int,
    *,
    agent_id: str = "a",
    terminated: bool = False,
    interrupted: bool = False,
    continuous: bool = False,
    width: int = 1,
) -> Segment:
    """Steps that tell where they come from: observation, reward and memory of step t are all start + t.

    There is one branch of 4 actions, and bit i of start + t says whether action i is allowed.
    """
    count = np.arange(start, start + length + 1)
    columns = {
        BufferKey.ENVIRONMENT_REWARDS: count[:-1].astype(np.float32),
        BufferKey.MEMORY: count[:-1, None].astype(np.float32),
    }
    if continuous:
        columns[BufferKey.CONTINUOUS_ACTION] = count[:-1, None].astype(np.float32)
    else:
        columns[BufferKey.DISCRETE_ACTION] = count[:-1, None].astype(np.int32) % 4
        columns[BufferKey.ACTION_MASK] = mask_of(count[:-1])
    observation = np.repeat(count[:, None], width, axis=1).astype(np.float32)
    return Segment(agent_id, [observation], columns, terminated, interrupted)


def mask_of(count: np.ndarray) -> np.ndarray:
    """[T, 4] the action mask of `counting_segment` at each count."""
    return (np.asarray(count, dtype=np.int64)[:, None] >> np.arange(4) & 1).astype(np.uint8)


def filled(*segments: Segment, capacity: int = 100, seed: int = 0) -> ReplayBuffer:
    """A replay buffer that holds these segments."""
    buffer = ReplayBuffer(capacity, seed=seed)
    for segment in segments:
        buffer.add(segment)
    return buffer


def windows(buffer: ReplayBuffer, n: int, draws: int = 400) -> dict:
    """What was sampled, by observation: horizon, next observation, next mask, done, rewards of the window."""
    batch = buffer.sample_n_step(draws, n)
    rewards = buffer.gather(batch[ReplayKey.WINDOW])[BufferKey.ENVIRONMENT_REWARDS].reshape(draws, n)
    return {
        int(batch[ObsUtil.get_name_at(0)][i, 0]): (
            int(batch[ReplayKey.HORIZON][i]),
            int(batch[ObsUtil.get_name_at_next(0)][i, 0]),
            batch[ReplayKey.NEXT_ACTION_MASK][i].tolist(),
            bool(batch[BufferKey.DONE][i]),
            rewards[i, : batch[ReplayKey.HORIZON][i]].tolist(),
        )
        for i in range(draws)
    }


def mask(count: int) -> list:
    """The mask of a `counting_segment` where it counts `count`."""
    return mask_of(np.array([count]))[0].tolist()


def saved(buffer: ReplayBuffer) -> io.BytesIO:
    """The file of a buffer, from its beginning."""
    file = io.BytesIO()
    buffer.save_to_file(file)
    file.seek(0)
    return file
