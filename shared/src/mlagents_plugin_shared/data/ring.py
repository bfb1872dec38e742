"""Preallocated arrays that hold the newest transitions and store each observation once."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from mlagents.trainers.buffer import AgentBufferKey, BufferKey
from mlagents.trainers.trajectory import ObsUtil
from mlagents_envs.logging_util import get_logger

from mlagents_plugin_shared.data.memory import check_fits, format_bytes
from mlagents_plugin_shared.data.observation_store import ObservationStore, stored_dtype
from mlagents_plugin_shared.data.trajectories import (
    NEXT_ACTIONS,
    RowShapes,
    Segment,
    describe,
    key_name,
    row_shapes,
)

logger = get_logger(__name__)

DERIVED_COLUMNS = frozenset({BufferKey.MASKS, BufferKey.DONE, *NEXT_ACTIONS})
"""Columns that the ring derives: masks are all ones, `done` is a flag of the row, next actions are the actions of the
following row."""

STORED_DTYPES = {
    BufferKey.ACTION_MASK: np.uint8,
    BufferKey.DISCRETE_ACTION: np.int32,
    BufferKey.PREV_ACTION: np.int32,
}
"""Types of the columns that are no float32."""

# `following`, `joined`, `terminal` and `sampleable`.
_LINK_BYTES = 4 + 4 + 1 + 1

Rows = np.ndarray | slice
"""Some of the rows: as indices, or as a slice, which is faster."""


class TransitionRing:
    """The newest `capacity` transitions, linked to the observations that followed them.

    A transition's row is its serial number modulo `capacity`; adding overwrites the oldest rows. Nothing else
    depends on the order of rows: `following` says where the observation after each transition lies, so
    segments of many agents can be interleaved and a segment can be continued later. The arrays are made by
    `allocate`, when it is known what will be stored.

    Attributes:
        observations: one store a sensor.
        columns: [capacity, ...] arrays of everything else that is stored.
        following: [capacity] index of the observation after the transition: the row of the next transition,
            or `capacity` + slot where the segment ended there.
        joined: [capacity] for the first transition of a linked segment, the row of the one before; to be trusted only
            where `following` leads back.
        terminal: [capacity] whether the episode terminated with the transition.
        sampleable: [capacity + 1] whether the row holds a transition whose next action mask is known. The
            last entry stands for all slots and is False.
        num_sampleable: how many rows are.
        size: transitions that are held, sampleable or not.
        serial: transitions ever added; the serial number of the next one.
        unfinished: agent id -> serial number of the last transition of a segment that may be continued.
        masks_matter: whether a transition needs the next action mask: it does where there are discrete actions.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.observations: list[ObservationStore] = []
        self.columns: dict[AgentBufferKey, np.ndarray] = {}
        self._make_links(0)
        self.num_sampleable = 0
        self.size = 0
        self.serial = 0
        self.unfinished: dict[str, int] = {}
        self.masks_matter = False
        self._layout: Any = None
        self._free_slots: list[int] = []
        self._num_slots = 0

    def _make_links(self, capacity: int) -> None:
        self.following = np.zeros(capacity, dtype=np.int32)
        self.joined = np.zeros(capacity, dtype=np.int32)
        self.terminal = np.zeros(capacity, dtype=bool)
        self.sampleable = np.zeros(capacity + 1, dtype=bool)

    @property
    def oldest(self) -> int:
        """Serial number of the oldest transition that is held."""
        return self.serial - self.size

    @property
    def state(self) -> tuple[int, int]:
        """Differs after every addition and removal."""
        return self.serial, self.size

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        links = (self.following, self.joined, self.terminal, self.sampleable)
        arrays = sum(array.nbytes for array in (*links, *self.columns.values()))
        return arrays + sum(store.nbytes for store in self.observations)

    def rows(self, serials: np.ndarray) -> np.ndarray:
        """Rows of transitions by serial number."""
        return serials % self.capacity

    def consecutive(self, serial: int, count: int) -> Rows:
        """Rows of `count` transitions from a serial number on."""
        row = serial % self.capacity
        if row + count <= self.capacity:
            return slice(row, row + count)
        return self.rows(np.arange(serial, serial + count))

    def serials(self, rows: np.ndarray) -> np.ndarray:
        """Serial numbers of the transitions in rows that are held."""
        return self.oldest + (rows - self.oldest) % self.capacity

    def live_rows(self) -> np.ndarray:
        """[size] rows of all transitions, oldest first."""
        return self.rows(np.arange(self.oldest, self.serial))

    def spans(self, serial: int, length: int) -> Iterator[tuple[slice, slice]]:
        """The rows of consecutive transitions as one or two slices, each with its slice of the values."""
        done = 0
        while done < length:
            row = (serial + done) % self.capacity
            count = min(length - done, self.capacity - row)
            yield slice(row, row + count), slice(done, done + count)
            done += count

    def row_arrays(self) -> dict[str, np.ndarray]:
        """All arrays of [capacity, ...] rows by name, but `following` and `joined`, which `links` gives."""
        arrays = {key_name(ObsUtil.get_name_at(i)): store.ring for i, store in enumerate(self.observations)}
        arrays.update((key_name(key), column) for key, column in self.columns.items())
        return {**arrays, "terminal": self.terminal, "sampleable": self.sampleable[:-1]}

    def links(self) -> tuple[np.ndarray, np.ndarray]:
        """`following` of all transitions, oldest first, independent of where they lie.

        Returns:
            [size] positions in that order, or size + i for the i-th end of a segment; and the slots of these
            ends.
        """
        following = self.following[self.live_rows()].astype(np.int64)
        ends = following >= self.capacity
        slots = following[ends] - self.capacity
        positions = (following - self.oldest) % self.capacity
        positions[ends] = self.size + np.arange(len(slots))
        return positions, slots

    def restore_links(self, positions: np.ndarray, ends: list[np.ndarray]) -> None:
        """Sets `following` of all transitions from what `links` gave, with the observations at the ends."""
        at_end = positions >= self.size
        following = self.rows(positions + self.oldest)
        following[at_end] = self.capacity + positions[at_end] - self.size
        rows = self.live_rows()
        self.following[rows] = following
        self.joined[following[~at_end]] = rows[~at_end]
        self.num_sampleable = int(np.count_nonzero(self.sampleable))
        self._num_slots = int(np.count_nonzero(at_end))
        for store, observations in zip(self.observations, ends, strict=bool(ends)):
            for slot, observation in enumerate(observations):
                store.set_aside(slot, observation)

    def extra_state(self) -> dict[str, float]:
        """Numbers to save beside the rows; a ring that is sampled uniformly has none."""
        return {}

    def restore_extra_state(self, state: dict[str, float]) -> None:
        """Takes what `extra_state` gave, after all rows were restored; empty if another kind of ring was saved."""

    def reserve(self, segment: Segment) -> None:
        """Makes the arrays for segments like this one.

        Raises:
            ValueError: they are there already, and are of other columns or shapes.
            BufferMemoryError: full, they would not fit into the free memory.
        """
        if segment.layout == self._layout:
            return
        found = row_shapes(segment, without=DERIVED_COLUMNS)
        if self.serial == 0 and found != self.schema():  # nothing is lost
            self.allocate(found)
        if found != self.schema():
            raise ValueError(f"the buffer holds {describe(self.schema())}, the segment has {describe(found)}")
        self._layout = segment.layout

    def append(self, segment: Segment) -> None:
        """Adds the transitions of a segment, the newest `capacity` of them if there are more.

        Raises:
            ValueError: observations or columns differ from those of the first segment.
        """
        self.reserve(segment)
        stores = zip(self.observations, segment.observations, strict=True)
        encoded = [store.encode(observations) for store, observations in stores]
        length = min(len(segment), self.capacity)
        self.evict(self.size + length - self.capacity)
        self._link(segment, encoded)
        self._write(segment, encoded, length)
        self._mark(segment, encoded, length)
        self.size += length
        self.serial += length

    def evict(self, count: int) -> None:
        """Drops the `count` oldest transitions; none if it is not positive."""
        if count <= 0:
            return
        rows = self.consecutive(self.oldest, count)
        following = self.following[rows]
        ends = following[following >= self.capacity]
        self._free_slots += (ends - self.capacity).tolist()
        self.set_sampleable(rows, False)
        self.size -= count
        # Agents are entered in the order of their serial numbers, so the outdated ones come first.
        while self.unfinished and next(iter(self.unfinished.values())) < self.oldest:
            del self.unfinished[next(iter(self.unfinished))]

    def schema(self) -> RowShapes:
        """The shape of one row of each stored column; observations are counted by sensor."""
        shapes: RowShapes = {ObsUtil.get_name_at(i): store.ring.shape[1:] for i, store in enumerate(self.observations)}
        shapes.update((key, column.shape[1:]) for key, column in self.columns.items())
        return shapes

    def set_sampleable(self, rows: Rows, value: bool) -> None:
        """Marks transitions as sampleable or not; `num_sampleable` follows."""
        flags = self.sampleable[rows]
        self.num_sampleable += value * len(flags) - int(np.count_nonzero(flags))
        self.sampleable[rows] = value

    def preceding(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """[B] rows of the transitions before those in `rows`, and whether there is one; without, `rows` themselves."""
        before = self.rows(rows - 1)
        before = np.where(self.following[before] == rows, before, self.joined[rows])
        held = (before - self.oldest) % self.capacity < self.size
        linked = held & (self.following[before] == rows)
        return np.where(linked, before, rows), linked

    def bytes_per_transition(self, schema: RowShapes) -> int:
        """Bytes of one row, of everything that is stored for it."""
        observations = {ObsUtil.get_name_at(i) for i in range(len(schema))}
        sizes = (
            (stored_dtype(shape) if key in observations else _column_dtype(key)).itemsize * math.prod(shape)
            for key, shape in schema.items()
        )
        return sum(sizes) + _LINK_BYTES

    def allocate(self, schema: RowShapes) -> None:
        """Makes the arrays; memory is taken by the operating system as they are filled.

        Raises:
            BufferMemoryError: full, they would not fit into the free memory.
        """
        size = self.bytes_per_transition(schema)
        check_fits(self.capacity, size)
        logger.info(
            f"Replay of up to {self.capacity:,} transitions: {format_bytes(self.capacity * size)} when it is full, "
            f"{size:,} bytes a transition."
        )
        self._make_links(self.capacity)
        self.observations, self.columns = [], {}
        columns = dict(schema)
        while (sensor := ObsUtil.get_name_at(len(self.observations))) in columns:
            self.observations.append(ObservationStore(self.capacity, columns.pop(sensor)))
        for key, shape in columns.items():
            self.columns[key] = np.zeros((self.capacity, *shape), _column_dtype(key))
        self.masks_matter = math.prod(schema.get(BufferKey.DISCRETE_ACTION, (0,))) > 0

    def _link(self, segment: Segment, encoded: list[np.ndarray]) -> None:
        """Links the agent's former transition to the segment's first, if that is where the former one ended.

        The agent's id alone is no proof: an environment that was reset begins a new episode under the same
        id.
        """
        former = self.unfinished.pop(segment.agent_id, None)
        if former is None:
            return
        row = former % self.capacity
        slot = self.following[row] - self.capacity
        pairs = zip(self.observations, encoded, strict=True)
        if all((store.aside[slot] == observation[0]).all() for store, observation in pairs):
            first = self.serial % self.capacity
            self.following[row], self.joined[first] = first, row
            self._free_slots.append(int(slot))
            self.set_sampleable(slice(row, row + 1), True)

    def _write(self, segment: Segment, encoded: list[np.ndarray], length: int) -> None:
        """Copies the newest `length` transitions into their rows."""
        skipped = len(segment) - length
        for rows, part in self.spans(self.serial, length):
            values = slice(part.start + skipped, part.stop + skipped)
            for store, observation in zip(self.observations, encoded, strict=True):
                store.ring[rows] = observation[values]
            for key, column in self.columns.items():
                column[rows] = segment.columns[key][values]

    def _mark(self, segment: Segment, encoded: list[np.ndarray], length: int) -> None:
        """Sets where each new transition leads, whether it is terminal and whether it can be sampled."""
        last = self.serial + length - 1
        new, all_but_last = self.consecutive(self.serial, length), self.consecutive(self.serial, length - 1)
        slot = self._free_slots.pop() if self._free_slots else self._new_slot()
        for store, observation in zip(self.observations, encoded, strict=True):
            store.set_aside(slot, observation[-1])
        self.following[new] = self.rows(np.arange(self.serial + 1, last + 2))
        self.following[last % self.capacity] = self.capacity + slot
        self.terminal[new] = False
        self.terminal[last % self.capacity] = segment.terminated
        ended = segment.terminated or segment.interrupted
        self.set_sampleable(new if ended or not self.masks_matter else all_but_last, True)
        if not ended:
            self.unfinished[segment.agent_id] = last

    def _new_slot(self) -> int:
        self._num_slots += 1
        return self._num_slots - 1


def _column_dtype(key: AgentBufferKey) -> np.dtype:
    return np.dtype(STORED_DTYPES.get(key, np.float32))
