"""Consecutive steps of an agent: from ML-Agents' `Trajectory`, a list of tuples, to the arrays that buffers take in."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from mlagents.trainers.buffer import AgentBuffer, AgentBufferKey, BufferKey
from mlagents.trainers.torch_entities.action_log_probs import LogProbsTuple
from mlagents.trainers.trajectory import AgentExperience, ObsUtil, Trajectory
from mlagents_envs.base_env import ActionSpec, ActionTuple, BehaviorSpec

from mlagents_plugin_shared.data.batch import Batch

RowShapes = dict[AgentBufferKey, tuple[int, ...]]
"""The shape of one row under each key."""

NEXT_ACTIONS: dict[AgentBufferKey, AgentBufferKey] = {
    BufferKey.NEXT_CONT_ACTION: BufferKey.CONTINUOUS_ACTION,
    BufferKey.NEXT_DISC_ACTION: BufferKey.DISCRETE_ACTION,
}
"""AgentBuffer's name for the action taken in the next observation, and where that action is found."""


@dataclass(frozen=True)
class Segment:
    """Consecutive steps of one agent as arrays; what ML-Agents calls a `Trajectory`.

    A segment ends because the episode ended (`terminated` or `interrupted`), or because `time_horizon` was
    reached: then both flags are false, and the agent's next segment starts at the last observation of this one.

    Attributes:
        agent_id: the agent, unique over all workers.
        observations: one array a sensor, each [T + 1, ...]; the last row is the observation after the
            segment.
        columns: everything else, [T, ...] under AgentBuffer's own keys. The next actions are not among them:
            `batch` derives them.
        terminated: the episode ended in a terminal state.
        interrupted: the episode ended because max step was reached; the last observation has a value.

    Raises:
        ValueError: there are no steps, or columns and observations differ in length.
    """

    agent_id: str
    observations: list[np.ndarray]
    columns: dict[AgentBufferKey, np.ndarray]
    terminated: bool
    interrupted: bool

    def __post_init__(self) -> None:
        steps = len(self)
        lengths = {key_name(key): len(column) for key, column in self.columns.items() if len(column) != steps}
        if steps < 1 or lengths or any(len(rows) != steps + 1 for rows in self.observations):
            found = [rows.shape for rows in self.observations]
            raise ValueError(f"a segment of {steps} steps: observations {found}, columns of other lengths {lengths}")

    def __len__(self) -> int:
        return len(self.observations[0]) - 1

    @property
    def layout(self) -> Any:
        """Keys and shapes of one row: equal for segments of one behaviour, and fast to compare."""
        shapes = [rows.shape[1:] for rows in (*self.observations, *self.columns.values())]
        return list(self.columns), shapes

    def batch(self) -> Batch:
        """The segment in time order under AgentBuffer's keys; observations are views, nothing is copied."""
        batch = Batch(self.columns, NEXT_ACTIONS, self._next_action, len(self))
        for i, observation in enumerate(self.observations):
            batch[ObsUtil.get_name_at(i)] = observation[:-1]
            batch[ObsUtil.get_name_at_next(i)] = observation[1:]
        return batch

    def _next_action(self, key: AgentBufferKey) -> np.ndarray:
        return next_action(self.columns[NEXT_ACTIONS[key]], [-1])


class SegmentSteps(Sequence[AgentExperience]):
    """The steps of a segment as ML-Agents' tuples, each made when it is asked for; without data of group mates.

    Args:
        segment: T steps.
        action_spec: the behaviour's actions.
        group_is_done: whether no group mate goes on after the last step.
    """

    def __init__(self, segment: Segment, action_spec: ActionSpec, *, group_is_done: bool = True) -> None:
        self.segment = segment
        self.group_is_done = group_is_done
        self._branch_ends = np.cumsum(action_spec.discrete_branches)[:-1].astype(int)
        self._is_discrete = action_spec.discrete_size > 0

    def __len__(self) -> int:
        return len(self.segment)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"step {index} of {len(self)}")
        step = index % len(self)
        columns = {key: column[step] for key, column in self.segment.columns.items()}
        forbidden = np.split(np.logical_not(columns[BufferKey.ACTION_MASK]), self._branch_ends)
        return AgentExperience(
            obs=[rows[step] for rows in self.segment.observations],
            reward=columns[BufferKey.ENVIRONMENT_REWARDS],
            done=bool(columns[BufferKey.DONE]),
            action=ActionTuple(columns[BufferKey.CONTINUOUS_ACTION], columns[BufferKey.DISCRETE_ACTION]),
            action_probs=LogProbsTuple(columns[BufferKey.CONTINUOUS_LOG_PROBS], columns[BufferKey.DISCRETE_LOG_PROBS]),
            action_mask=forbidden if self._is_discrete else None,
            prev_action=columns[BufferKey.PREV_ACTION],
            interrupted=self.segment.interrupted and step == len(self) - 1,
            memory=columns.get(BufferKey.MEMORY),
            group_status=[],
            group_reward=columns[BufferKey.GROUP_REWARD],
        )


class SegmentTrajectory(Trajectory):
    """ML-Agents' `Trajectory` of `SegmentSteps`, which tells without data of group mates whether all of them are done.

    In self-play a game is over when they are.
    """

    @property
    def all_group_dones_reached(self) -> bool:
        """Whether no group mate goes on; for steps that an author has made of these, as ML-Agents has it."""
        if isinstance(self.steps, SegmentSteps):
            return self.steps.group_is_done
        return super().all_group_dones_reached


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
    if isinstance(trajectory.steps, SegmentSteps):
        return trajectory.steps.segment
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


def next_action(action: np.ndarray, ends: Any) -> np.ndarray:
    """The action of the following step; zeros at `ends`, the last step of each segment, as in AgentBuffer."""
    following = np.zeros_like(action)
    following[:-1] = action[1:]
    following[ends] = 0
    return following


def row_shapes(segment: Segment, without: Collection[AgentBufferKey]) -> RowShapes:
    """The shape of one row of each observation and of each column but the keys in `without`."""
    shapes: RowShapes = {ObsUtil.get_name_at(i): rows.shape[1:] for i, rows in enumerate(segment.observations)}
    shapes.update((key, column.shape[1:]) for key, column in segment.columns.items() if key not in without)
    return shapes


def describe(shapes: RowShapes) -> str:
    """Shapes for an error message."""
    return "{" + ", ".join(f"{key_name(key)}: {list(shape)}" for key, shape in shapes.items()) + "}"


def key_name(key: AgentBufferKey) -> str:
    """A key as ML-Agents writes it in its own buffer files: `action_mask`, `obs:0`."""
    return AgentBuffer._encode_key(key)


def describe_not_finite(behavior: str, agent: object, named: Mapping[str, np.ndarray]) -> str | None:
    """What is wrong with the first number that is NaN or infinite, in one line.

    Args:
        behavior: name of the behaviour.
        agent: whose numbers these are.
        named: arrays of any shape, by what they are.

    Returns:
        The line, None where all numbers are finite.
    """
    for name, numbers in named.items():
        bad = numbers[~np.isfinite(numbers)]
        if bad.size:
            return (
                f"{behavior}: {name} of agent {agent} is {bad[0]}. "
                "Look for a division by zero or an unset value in the environment."
            )
    return None


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
