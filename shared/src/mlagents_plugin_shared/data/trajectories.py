"""One pass from ML-Agents' `Trajectory`, a list of tuples, to arrays."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from mlagents.trainers.buffer import AgentBufferKey, BufferKey
from mlagents.trainers.torch_entities.action_log_probs import LogProbsTuple
from mlagents.trainers.trajectory import AgentExperience, Trajectory
from mlagents_envs.base_env import ActionSpec, ActionTuple, BehaviorSpec

from mlagents_plugin_shared.data.segment import Segment

__all__ = ["Segment", "blank_segment", "trajectory_to_segment"]


def trajectory_to_segment(trajectory: Trajectory, action_spec: ActionSpec) -> Segment:
    """The arrays of a trajectory, with the values that `Trajectory.to_agentbuffer` would give.

    Differences: the action mask is as wide as all branches together even where the experiences carry none,
    numbers are float32, int32 (actions) or bool and uint8 (flags and masks) instead of whatever NumPy makes
    of a list, and the data of group mates is left out.

    Args:
        trajectory: at least one step.
        action_spec: the behaviour's actions; it gives the width of the action mask.

    Returns:
        A segment of T = len(trajectory.steps) steps.

    Raises:
        ValueError: the trajectory has no steps, or one that has other shapes than the first.
    """
    if not trajectory.steps:
        raise ValueError(f"the trajectory of agent {trajectory.agent_id} has no steps")
    steps = AgentExperience(*zip(*trajectory.steps, strict=True))
    interrupted = bool(steps.interrupted[-1])
    return Segment(
        agent_id=trajectory.agent_id,
        observations=[_stack(rows) for rows in zip(*steps.obs, trajectory.next_obs, strict=True)],
        columns=_columns(steps, action_spec),
        terminated=bool(steps.done[-1]) and not interrupted,
        interrupted=interrupted,
    )


def blank_segment(behavior_spec: BehaviorSpec, memory_size: int) -> Segment:
    """One step of zeros, with the columns and shapes of the segments that will come.

    A buffer can reserve its memory for it before there is any data.

    Args:
        behavior_spec: observations and actions of the behaviour.
        memory_size: size of the recurrent state, 0 without memory.
    """
    action_spec = behavior_spec.action_spec
    observations = [np.zeros(spec.shape, np.float32) for spec in behavior_spec.observation_specs]
    step = AgentExperience(
        obs=observations,
        reward=0.0,
        done=True,
        action=ActionTuple(
            np.zeros(action_spec.continuous_size, np.float32), np.zeros(action_spec.discrete_size, np.int32)
        ),
        action_probs=LogProbsTuple.empty_log_probs(),
        action_mask=None,
        prev_action=np.zeros(action_spec.discrete_size, np.int32),
        interrupted=False,
        memory=np.zeros(memory_size, np.float32) if memory_size else None,
        group_status=[],
        group_reward=0.0,
    )
    return trajectory_to_segment(Trajectory([step], observations, [], "", ""), action_spec)


def _columns(steps: AgentExperience, action_spec: ActionSpec) -> dict[AgentBufferKey, np.ndarray]:
    """`steps` holds a tuple of length T in each field."""
    columns: dict[AgentBufferKey, np.ndarray] = {
        BufferKey.MASKS: np.ones(len(steps.reward), dtype=np.float32),
        BufferKey.DONE: np.array(steps.done, dtype=bool),
        BufferKey.CONTINUOUS_ACTION: _continuous(steps.action),
        BufferKey.DISCRETE_ACTION: _discrete(steps.action, np.int32),
        BufferKey.CONTINUOUS_LOG_PROBS: _continuous(steps.action_probs),
        BufferKey.DISCRETE_LOG_PROBS: _discrete(steps.action_probs, np.float32),
        BufferKey.ACTION_MASK: _action_mask(steps.action_mask, sum(action_spec.discrete_branches)),
        BufferKey.PREV_ACTION: _stack(steps.prev_action, np.int32),
        BufferKey.ENVIRONMENT_REWARDS: np.array(steps.reward, dtype=np.float32),
        BufferKey.GROUP_REWARD: np.array(steps.group_reward, dtype=np.float32),
    }
    if steps.memory[0] is not None:
        columns[BufferKey.MEMORY] = _stack(steps.memory)
    return columns


def _stack(rows: Sequence[np.ndarray], dtype: Any = np.float32) -> np.ndarray:
    """[T, ...] from T arrays; concatenate is several times faster than np.stack on short rows."""
    shape = (len(rows), *rows[0].shape)
    if rows[0].size == 0:
        return np.zeros(shape, dtype)
    return np.concatenate(rows).reshape(shape).astype(dtype, copy=False)


def _continuous(tuples: Sequence[Any]) -> np.ndarray:
    return _part(tuples, lambda entry: entry.continuous, np.float32)


def _discrete(tuples: Sequence[Any], dtype: Any) -> np.ndarray:
    return _part(tuples, lambda entry: entry.discrete, dtype)


def _part(tuples: Sequence[Any], part: Callable[[Any], np.ndarray | None], dtype: Any) -> np.ndarray:
    """One half of each action or log-probability tuple; the empty ones of ML-Agents hold None."""
    first = part(tuples[0])
    if first is None or first.size == 0:
        return np.zeros((len(tuples), 0), dtype)
    return _stack(list(map(part, tuples)), dtype)  # type: ignore[arg-type]


def _action_mask(masks: Sequence[list[np.ndarray] | None], width: int) -> np.ndarray:
    """[T, sum of branches], 1 = allowed. In an experience True means forbidden and None allows everything."""
    if width == 0 or all(mask is None for mask in masks):
        return np.ones((len(masks), width), dtype=np.uint8)
    everything = [np.zeros(width, dtype=bool)]
    branches = [branch for mask in masks for branch in (everything if mask is None else mask)]
    return np.logical_not(np.concatenate(branches)).astype(np.uint8).reshape(len(masks), width)
