"""Preallocated arrays that hold the newest transitions and store each observation once."""

import math
from collections.abc import Iterator

import numpy as np
from mlagents.trainers.buffer import AgentBufferKey, BufferKey
from mlagents.trainers.trajectory import ObsUtil
from mlagents_envs.logging_util import get_logger

from mlagents_plugin_shared.buffers.memory import check_fits, format_bytes
from mlagents_plugin_shared.buffers.observations import ObservationStore, stored_dtype
from mlagents_plugin_shared.buffers.segment import (
    NEXT_ACTIONS,
    RowShapes,
    Segment,
    describe,
    key_name,
    row_shapes,
)

logger = get_logger(__name__)

# Columns that the ring derives: masks are all ones, `done` is a flag of the row, next actions are the actions
# of the following row.
DERIVED_COLUMNS = frozenset({BufferKey.MASKS, BufferKey.DONE, *NEXT_ACTIONS})

STORED_DTYPES = {
    BufferKey.ACTION_MASK: np.uint8,
    BufferKey.DISCRETE_ACTION: np.int32,
    BufferKey.PREV_ACTION: np.int32,
}

# `following`, `preceding`, `terminal` and `sampleable`.
_LINK_BYTES = 4 + 4 + 1 + 1


class TransitionRing:
    """The newest `capacity` transitions, linked to the observations that followed them.

    A transition's row is its serial number modulo `capacity`; adding overwrites the oldest rows. Nothing else
    depends on the order of rows: `following` says where the observation after each transition lies, so
    segments of many agents can be interleaved and a segment can be continued later.

    Attributes:
        observations: one store a sensor.
        columns: [capacity, ...] arrays of everything else that is stored.
        following: [capacity] index of the observation after the transition: the row of the next transition,
            or `capacity` + slot where the segment ended there.
        preceding: [capacity] row of the transition before, to be trusted only where `following` leads back.
        terminal: [capacity] whether the episode terminated with the transition.
        sampleable: [capacity + 1] whether the row holds a transition whose next action mask is known. The
            last entry stands for all slots and is False.
        num_sampleable: how many rows are.
        size: transitions that are held, sampleable or not.
        serial: transitions ever added; the serial number of the next one.
        unfinished: agent id -> serial number of the last transition of a segment that may be continued.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.observations: list[ObservationStore] = []
        self.columns: dict[AgentBufferKey, np.ndarray] = {}
        self.following = np.zeros(capacity, dtype=np.int32)
        self.preceding = np.zeros(capacity, dtype=np.int32)
        self.terminal = np.zeros(capacity, dtype=bool)
        self.sampleable = np.zeros(capacity + 1, dtype=bool)
        self.num_sampleable = 0
        self.size = 0
        self.serial = 0
        self.unfinished: dict[str, int] = {}
        self._free_slots: list[int] = []
        self._num_slots = 0

    @property
    def oldest(self) -> int:
        """Serial number of the oldest transition that is held."""
        return self.serial - self.size

    @property
    def state(self) -> tuple[int, int]:
        """Differs after every addition and removal."""
        return self.serial, self.size

    @property
    def masks_matter(self) -> bool:
        """Whether a transition needs the next action mask: it does where there are discrete actions."""
        return BufferKey.DISCRETE_ACTION in self.columns and self.columns[BufferKey.DISCRETE_ACTION].size > 0

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        links = (self.following, self.preceding, self.terminal, self.sampleable)
        arrays = sum(array.nbytes for array in (*links, *self.columns.values()))
        return arrays + sum(store.nbytes for store in self.observations)

    def rows(self, serials: np.ndarray) -> np.ndarray:
        """Rows of transitions by serial number."""
        return serials % self.capacity

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
        """All arrays of [capacity, ...] rows by name, but `following` and `preceding`, which `links` gives."""
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
        self.preceding[following[~at_end]] = rows[~at_end]
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
        found = row_shapes(segment, without=DERIVED_COLUMNS)
        if self.serial == 0 and found != self.schema():  # nothing is lost
            self.allocate(found)
        if found != self.schema():
            raise ValueError(f"the buffer holds {describe(self.schema())}, the segment has {describe(found)}")

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
        rows = self.rows(np.arange(self.oldest, self.oldest + count))
        following = self.following[rows]
        self._free_slots += (following[following >= self.capacity] - self.capacity).tolist()
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

    def set_sampleable(self, rows: np.ndarray, value: bool) -> None:
        """Marks transitions as sampleable or not; `num_sampleable` follows."""
        before = int(np.count_nonzero(self.sampleable[rows]))
        self.sampleable[rows] = value
        self.num_sampleable += value * len(rows) - before

    def leads_to(self, before: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """[B] whether each of the rows `before` holds the transition that came before that of `rows`."""
        held = (before - self.oldest) % self.capacity < self.size
        return held & (self.following[before] == rows)

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
        self.observations, self.columns = [], {}
        columns = dict(schema)
        while (sensor := ObsUtil.get_name_at(len(self.observations))) in columns:
            self.observations.append(ObservationStore(self.capacity, columns.pop(sensor)))
        for key, shape in columns.items():
            self.columns[key] = np.zeros((self.capacity, *shape), _column_dtype(key))

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
        if all(np.array_equal(store.aside[slot], observation[0]) for store, observation in pairs):
            first = self.serial % self.capacity
            self.following[row], self.preceding[first] = first, row
            self._free_slots.append(int(slot))
            self.set_sampleable(np.array([row]), True)

    def _write(self, segment: Segment, encoded: list[np.ndarray], length: int) -> None:
        """Copies the newest `length` transitions into their rows."""
        for rows, values in self.spans(self.serial, length):
            for store, observation in zip(self.observations, encoded, strict=True):
                store.ring[rows] = observation[-length - 1 : -1][values]
            for key, column in self.columns.items():
                column[rows] = segment.columns[key][-length:][values]

    def _mark(self, segment: Segment, encoded: list[np.ndarray], length: int) -> None:
        """Sets where each new transition leads, whether it is terminal and whether it can be sampled."""
        last = self.serial + length - 1
        rows = self.rows(np.arange(self.serial, last + 2))
        slot = self._free_slots.pop() if self._free_slots else self._new_slot()
        for store, observation in zip(self.observations, encoded, strict=True):
            store.set_aside(slot, observation[-1])
        new = rows[:-1]
        self.following[new] = rows[1:]
        self.preceding[new[1:]] = new[:-1]
        self.following[new[-1]] = self.capacity + slot
        self.terminal[new] = False
        self.terminal[new[-1]] = segment.terminated
        ended = segment.terminated or segment.interrupted
        self.set_sampleable(new if ended or not self.masks_matter else new[:-1], True)
        if not ended:
            self.unfinished[segment.agent_id] = last

    def _new_slot(self) -> int:
        self._num_slots += 1
        return self._num_slots - 1


def _column_dtype(key: AgentBufferKey) -> np.dtype:
    return np.dtype(STORED_DTYPES.get(key, np.float32))
