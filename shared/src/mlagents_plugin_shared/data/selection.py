"""The columns of a sampled batch, read from the ring when somebody asks for them."""

import enum
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
from mlagents.trainers.buffer import BufferKey, ObservationKeyPrefix
from mlagents.trainers.trajectory import ObsUtil

from mlagents_plugin_shared.data.ring import TransitionRing
from mlagents_plugin_shared.data.trajectories import NEXT_ACTIONS


class ReplayKey(enum.Enum):
    """Keys of sampled batches that AgentBuffer does not have."""

    NEXT_ACTION_MASK = "next_action_mask"
    """[B, sum of branches] the actions allowed in the next observation, 1 = allowed."""
    WINDOW = "window"
    """[B, n] rows of the transitions of an n-step window, for `gather`; beyond the horizon the last one."""
    HORIZON = "horizon"
    """[B] number of transitions in the window, 1 to n."""
    SERIAL = "serial"
    """[B] serial numbers of the transitions, of sequences their first after burn-in; `ReplayBuffer.serial` less these
    is their age."""
    WEIGHT = "weight"
    """[B] importance weights of the transitions that were drawn, up to 1; from a prioritised replay only."""
    ERROR = "error"
    """[B] TD errors, or of sequences their priorities, which an optimizer adds to a batch that has weights."""
    DEMONSTRATION = "demonstration"
    """[B] 1 where the transition is a demonstrator's, 0 where it is the agent's own."""


class Selection:
    """Loads the columns of chosen transitions.

    Args:
        ring: where the transitions are.
        rows: [B] rows of the transitions.
        last: [B] rows of the transitions after which the next observation is read: `rows` for one step, the
            ends of the windows for several.
    """

    def __init__(self, ring: TransitionRing, rows: np.ndarray, last: np.ndarray) -> None:
        self._ring = ring
        self._rows = rows
        self._last = last
        self._next = ring.following[last]
        self._state = ring.state

    def __call__(self, key: Any) -> np.ndarray:
        """The column `key`.

        Raises:
            RuntimeError: transitions were added or dropped since the rows were chosen.
        """
        if self._ring.state != self._state:
            raise RuntimeError(f"{key} was not read before the buffer changed; read it before the next add")
        if key in self._ring.columns:
            return self._ring.columns[key].take(self._rows, axis=0)
        if isinstance(key, tuple):
            return self._observation(*key)
        return self._derived(key)

    @cached_property
    def _ends(self) -> np.ndarray:
        """Where no transition follows, and the next observation lies aside."""
        return np.flatnonzero(self._next >= self._ring.capacity)

    def _observation(self, prefix: ObservationKeyPrefix, sensor: int) -> np.ndarray:
        store = self._ring.observations[sensor]
        if prefix is ObservationKeyPrefix.OBSERVATION:
            return store.take(self._rows)
        return store.take(self._next, self._ends)

    def _derived(self, key: Any) -> np.ndarray:
        if key is BufferKey.MASKS:
            return np.ones(len(self._rows), dtype=np.float32)
        if key is BufferKey.DONE:
            return self._ring.terminal[self._last]
        if key is ReplayKey.SERIAL:
            return self._ring.serials(self._rows)
        if key is ReplayKey.NEXT_ACTION_MASK:
            return self._next_column(BufferKey.ACTION_MASK, at_end=1)
        return self._next_column(NEXT_ACTIONS[key], at_end=0)

    def _next_column(self, key: BufferKey, at_end: int) -> np.ndarray:
        """A column at the next observations, and a constant where no step follows."""
        column = self._ring.columns[key].take(self._next, axis=0, mode="clip")
        column[self._ends] = at_end
        return column


def selection_keys(ring: TransitionRing) -> Iterator[Any]:
    """The keys that a `Selection` of this ring can load; none before the first transition."""
    if not ring.columns:
        return
    for sensor in range(len(ring.observations)):
        yield ObsUtil.get_name_at(sensor)
        yield ObsUtil.get_name_at_next(sensor)
    yield BufferKey.MASKS
    yield BufferKey.DONE
    yield ReplayKey.SERIAL
    yield from ring.columns
    yield from (key for key, action in NEXT_ACTIONS.items() if action in ring.columns)
    if BufferKey.ACTION_MASK in ring.columns:
        yield ReplayKey.NEXT_ACTION_MASK
