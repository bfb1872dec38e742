"""Segments that still grow, of many agents: what arrives at a time is written at once, a row of each agent."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mlagents.trainers.buffer import AgentBufferKey, BufferKey
from mlagents_envs.base_env import BehaviorSpec

from mlagents_plugin_shared.data.trajectories import Segment, blank_segment

_MADE_AT_THE_END = (BufferKey.MASKS, BufferKey.DONE, BufferKey.PREV_ACTION)
"""Columns that follow from the others."""

_LOG_PROBS = (BufferKey.CONTINUOUS_LOG_PROBS, BufferKey.DISCRETE_LOG_PROBS)
"""Columns that not every policy fills: NaN where it is not known how likely an action was."""

_LARGE = 1024
"""Numbers in an observation from which on a step keeps a reference to it, so that it is copied once and not twice."""


class OpenSegments:
    """Steps of agents whose segments have not ended, each agent in a slot of its own.

    A step comes in three parts: `observe` what the agent sees, `act` what it does then, and `reward` what that brought.
    Each takes the rows of several agents. The next `observe` is the next step, and `close` makes a `Segment`.

    Attributes:
        lengths: [slots] whole steps of each slot's segment.
        ages: [slots] whole steps since the slot was taken.
        has_acted: [slots] whether a step is begun, and has brought nothing yet.

    Args:
        behavior_spec: observations and actions.
        memory_size: size of the recurrent state, 0 without memory.
    """

    def __init__(self, behavior_spec: BehaviorSpec, memory_size: int) -> None:
        blank = blank_segment(behavior_spec, memory_size)
        self._observations = [_rows_of(rows.shape[1:]) for rows in blank.observations]
        self._columns = {
            key: _Rows(column.shape[1:], column.dtype)
            for key, column in blank.columns.items()
            if key not in _MADE_AT_THE_END
        }
        self._order = list(blank.columns)
        self._last_action: dict[int, np.ndarray] = {}
        self._no_action = np.zeros(behavior_spec.action_spec.discrete_size, np.int32)
        self._free: list[int] = []
        self._steps = 0
        self.lengths = np.zeros(0, np.intp)
        self.ages = np.zeros(0, np.intp)
        self.has_acted = np.zeros(0, bool)

    def take_slot(self) -> int:
        """A slot that nobody has, with a segment of no steps."""
        if not self._free:
            held, slots = len(self.lengths), max(2 * len(self.lengths), 8)
            for counts in (self.lengths, self.ages, self.has_acted):
                counts.resize(slots, refcheck=False)
            self._free = list(range(slots - 1, held - 1, -1))
            self._grow()
        return self._free.pop()

    def free_slot(self, slot: int) -> None:
        """Gives a slot back, with whatever is in it.

        Args:
            slot: as `take_slot` gave it.
        """
        self.lengths[slot] = self.ages[slot] = self.has_acted[slot] = 0
        self._last_action.pop(slot, None)
        for rows in self._observations:
            rows.drop(slot)
        self._free.append(slot)

    def observe(self, slots: np.ndarray, observations: Sequence[np.ndarray], allowed: np.ndarray | None) -> None:
        """Writes what agents see before their next step; where that has not begun, over what they saw.

        Args:
            slots: [B], each once.
            observations: one array a sensor, each [B, ...].
            allowed: [B, sum of branches], 1 = allowed; None where no action is chosen any more.
        """
        at = self.lengths[slots]
        needed = int(at.max(initial=0)) + 1
        if needed > self._steps:
            self._steps = max(needed, 2 * self._steps, 16)
            self._grow()
        for store, rows in zip(self._observations, observations, strict=True):
            store.write(slots, at, rows)
        if allowed is not None:
            self._columns[BufferKey.ACTION_MASK].write(slots, at, allowed)
        self.has_acted[slots] = False

    def act(self, slots: np.ndarray, taken: dict[AgentBufferKey, np.ndarray]) -> None:
        """Writes what agents do after what they saw.

        Args:
            slots: [B], each once.
            taken: [B, ...] actions and log-probabilities, by key.
        """
        at = self.lengths[slots]
        for key in _LOG_PROBS:
            if key in taken:
                self._make_room(key, taken[key].shape[1:])
            else:
                self._columns[key].blank(slots, at)
        for key, rows in taken.items():
            self._columns[key].write(slots, at, rows)
        self.has_acted[slots] = True

    def reward(self, slots: np.ndarray, brought: dict[AgentBufferKey, np.ndarray]) -> None:
        """Writes what the steps brought, which makes them whole.

        Args:
            slots: [B], each once.
            brought: [B, ...] rewards, and what else is known now only, by key.
        """
        at = self.lengths[slots]
        for key, rows in brought.items():
            self._columns[key].write(slots, at, rows)
        self.lengths[slots] += 1
        self.ages[slots] += 1

    def close(self, slot: int, agent_id: str, *, terminated: bool = False, interrupted: bool = False) -> Segment:
        """Ends the segment of a slot; the slot's next one begins with what the agent saw last.

        Args:
            slot: of at least one whole step, and with what the agent saw after it.
            agent_id: the agent.
            terminated: its episode ended in a terminal state.
            interrupted: its episode ended because max step was reached.
        """
        steps = int(self.lengths[slot])
        done = np.zeros(steps, bool)
        done[-1] = terminated or interrupted
        columns = {key: rows.take(slot, steps) for key, rows in self._columns.items()}
        actions = columns[BufferKey.DISCRETE_ACTION]
        before = self._last_action.get(slot, self._no_action)
        self._last_action[slot] = actions[-1].copy()  # whoever gets the segment may write into it
        columns[BufferKey.MASKS] = np.ones(steps, np.float32)
        columns[BufferKey.DONE] = done
        columns[BufferKey.PREV_ACTION] = np.concatenate([before[None], actions[:-1]])
        observations = [rows.take(slot, steps + 1) for rows in self._observations]
        segment = Segment(agent_id, observations, {key: columns[key] for key in self._order}, terminated, interrupted)
        for rows in (*self._observations, self._columns[BufferKey.ACTION_MASK]):
            rows.carry(slot, steps)
        self.lengths[slot] = 0
        return segment

    def _make_room(self, key: AgentBufferKey, shape: tuple[int, ...]) -> None:
        """Makes a column for rows of another shape; what open segments had in it is not known any more."""
        if self._columns[key].shape != shape:
            self._columns[key] = _Rows(shape, np.float32)
            self._columns[key].grow(len(self.lengths), self._steps)
            self._columns[key].blank(slice(None), slice(None))

    def _grow(self) -> None:
        for rows in (*self._observations, *self._columns.values()):
            rows.grow(len(self.lengths), self._steps)


class _Rows:
    """[slots, T, ...] numbers."""

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self.shape = shape
        self._rows = np.zeros((0, 0, *shape), dtype)

    def grow(self, slots: int, steps: int) -> None:
        held = self._rows
        self._rows = np.zeros((slots, steps, *held.shape[2:]), held.dtype)
        self._rows[: len(held), : held.shape[1]] = held

    def write(self, slots: np.ndarray, at: np.ndarray, rows: np.ndarray) -> None:
        if rows.size:
            self._rows[slots, at] = rows

    def blank(self, slots: Any, at: Any) -> None:
        self._rows[slots, at] = np.nan

    def take(self, slot: int, steps: int) -> np.ndarray:
        return self._rows[slot, :steps].copy()

    def carry(self, slot: int, step: int) -> None:
        """The row of a step becomes the first one."""
        self._rows[slot, 0] = self._rows[slot, step]

    def drop(self, slot: int) -> None:
        """Lets go of what nobody will read any more: nothing here, since the next who has the slot writes first."""


class _References(_Rows):
    """[slots, T] references to large rows, which are put together where a segment ends."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__((), object)
        self.shape = shape

    def write(self, slots: np.ndarray, at: np.ndarray, rows: np.ndarray) -> None:
        for slot, step, row in zip(slots.tolist(), at.tolist(), rows, strict=True):
            self._rows[slot, step] = row

    def take(self, slot: int, steps: int) -> np.ndarray:
        return np.stack(list(self._rows[slot, :steps])).astype(np.float32, copy=False)

    def carry(self, slot: int, step: int) -> None:
        last = self._rows[slot, step]
        self.drop(slot)
        self._rows[slot, 0] = last

    def drop(self, slot: int) -> None:
        self._rows[slot] = None


def _rows_of(shape: tuple[int, ...]) -> _Rows:
    return _References(shape) if np.prod(shape) > _LARGE else _Rows(shape, np.float32)
