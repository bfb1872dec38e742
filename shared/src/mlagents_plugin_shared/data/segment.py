"""Consecutive steps of one agent as arrays: what the buffers take in."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from mlagents.trainers.buffer import AgentBuffer, AgentBufferKey, BufferKey
from mlagents.trainers.trajectory import ObsUtil

from mlagents_plugin_shared.data.batch import Batch

# The shape of one row under each key.
RowShapes = dict[AgentBufferKey, tuple[int, ...]]

# AgentBuffer's name for "the action taken in the next observation", and where that action is found.
NEXT_ACTIONS: dict[AgentBufferKey, AgentBufferKey] = {
    BufferKey.NEXT_CONT_ACTION: BufferKey.CONTINUOUS_ACTION,
    BufferKey.NEXT_DISC_ACTION: BufferKey.DISCRETE_ACTION,
}


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
