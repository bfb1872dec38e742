"""Replay of transitions for off-policy algorithms."""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, BinaryIO

import numpy as np
from mlagents.trainers.buffer import BufferKey, ObservationKeyPrefix
from mlagents.trainers.trajectory import ObsUtil

from mlagents_plugin_shared.data import replay_file
from mlagents_plugin_shared.data.agent_buffer import AppendedColumns, ReplayField
from mlagents_plugin_shared.data.batch import Batch, ReplayKey
from mlagents_plugin_shared.data.ring import TransitionRing
from mlagents_plugin_shared.data.trajectories import NEXT_ACTIONS, RowShapes, Segment


class ReplayBuffer(Mapping):
    """The newest transitions of many agents, sampled uniformly; a drop-in for ML-Agents' AgentBuffer.

    One transition is an observation, the action taken there, its reward and the observation that followed.

    * **Capacity** counts transitions. Adding beyond it overwrites the oldest, one by one: no segment has to
      leave as a whole. At most `capacity` transitions are held; `num_experiences` may be lower (see below).
    * **Memory**: one row a transition, each observation stored once, because the next observation is the row
      of the following transition. Observations after the end of a segment lie aside, one for each end that is
      still referred to. Pictures, [C, H, W], take one byte a value where they came from 8 bits and are given back
      as float32 in [0, 1]; actions are int32, masks uint8, all else float32; 10 bytes link the transition. The
      arrays are allocated at the first `add`, if they would fit into the free memory when they are full.
    * **Cost**: `add` copies each column of a segment once, in at most two pieces. Sampling draws rows and
      follows links, n - 1 times for n steps; each column that is read costs one gather. No loop over steps or
      batch.
    * **Sampling** is uniform over all transitions that can be sampled, with replacement, from the buffer's
      own `numpy.random.Generator`, which `save_to_file` saves too.
    * **Joints**: where a segment was cut at `time_horizon`, its last transition is linked to the first of the
      agent's next segment, if that starts with the very observation at which the former ended.
    * **Next action masks** come from the next row. Behaviours with discrete actions need them, so until the
      next segment arrives the last transition of a cut segment is not sampled, and windows end before it.
      After a terminal state, and after an interruption (max step), where the mask is never known, all actions
      count as allowed.

    Batches read their columns from the ring at first use, so read a batch before the next `add`; a later read
    raises RuntimeError. Not for use from several threads at once (with `threaded: true` ML-Agents still calls
    each trainer, and so its buffer, from one thread).

    As an AgentBuffer, `buffer[key]` gives a column of all transitions, oldest first, and
    `AgentBuffer.resequence_and_append` fills the buffer. DONE means terminal: it is False where an episode
    was interrupted, as in the batches of ML-Agents' SAC.

    Args:
        capacity: the most transitions that are held.
        seed: of the generator.

    Attributes:
        generator: what batches are drawn with.

    Raises:
        ValueError: capacity < 1.
    """

    def __init__(self, capacity: int, *, seed: int = 0) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, not {capacity}")
        self._filled = self._make_ring(capacity)
        self.generator = np.random.default_rng(seed)
        self._appended = AppendedColumns()
        self._order: tuple[tuple[int, int], np.ndarray] | None = None
        # Kept, because enumeration keys are slow to hash; they never change once there is a transition.
        self._keys: dict[Any, None] = {}

    def _make_ring(self, capacity: int) -> TransitionRing:
        return TransitionRing(capacity)

    @property
    def _ring(self) -> TransitionRing:
        """The transitions, with everything that was appended by AgentBuffer's way."""
        if self._appended:
            for segment in self._appended.pop_segments():
                self._filled.append(segment)
        return self._filled

    @property
    def capacity(self) -> int:
        """The most transitions that are held."""
        return self._filled.capacity

    @property
    def num_experiences(self) -> int:
        """Transitions that can be sampled now."""
        return self._ring.num_sampleable

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays; those that hold the columns exist from the first `add` on."""
        return self._ring.nbytes

    @property
    def bytes_per_transition(self) -> float:
        """Bytes of all arrays by capacity."""
        return self.nbytes / self.capacity

    @property
    def serial(self) -> int:
        """Transitions ever added: the serial number of the next one."""
        return self._ring.serial

    @property
    def row_shapes(self) -> RowShapes:
        """The shape of one row of each observation and stored column; empty before the first `add`."""
        return self._ring.schema()

    def reserve(self, segment: Segment) -> None:
        """Makes the arrays for segments like this one, which is not added; logs their size.

        An empty buffer does so by itself at the first `add`; this says earlier whether there is enough memory.

        Raises:
            BufferMemoryError: full, the buffer would not fit into the memory that is free.
        """
        self._ring.reserve(segment)

    def add(self, segment: Segment) -> None:
        """Appends the transitions of a segment; of more than `capacity`, the newest.

        Raises:
            ValueError: its columns or shapes are not those of the first segment. Nothing was changed then.
            BufferMemoryError: full, the buffer would not fit into the memory that is free.
        """
        self._ring.append(segment)

    @property
    def memories(self) -> np.ndarray | None:
        """[capacity, M] recurrent state before the transition of each row; None without memory."""
        return self._ring.columns.get(BufferKey.MEMORY)

    def refresh_memories(self, following: Callable[[list[np.ndarray], np.ndarray], np.ndarray]) -> None:
        """Computes all recurrent states anew, along each episode: all episodes at a time, step by step.

        The first transition that is held of an episode keeps the state that is stored there, 0 where the episode began.

        Args:
            following: gives the [B, M] states after B steps, from observations, one [B, ...] a sensor, and the
                [B, M] states before them.
        """
        ring, memories = self._ring, self.memories
        if memories is None:
            return
        rows = ring.live_rows()
        rows = rows[~ring.preceding(rows)[1]]
        while rows.size:
            after = following([store.take(rows) for store in ring.observations], memories[rows])
            rows = ring.following[rows]
            goes_on = rows < ring.capacity  # slots lie behind the rows
            rows = rows[goes_on]
            memories[rows] = after[goes_on]

    def gather(self, rows: np.ndarray) -> Batch:
        """One-step transitions at given rows, such as those of a WINDOW.

        Args:
            rows: any shape, flattened; valid until the next `add`.

        Returns:
            A batch of rows.size transitions with AgentBuffer's keys, NEXT_ACTION_MASK and SERIAL.
        """
        flat = np.asarray(rows).ravel()
        return self._batch(flat, flat)

    def sample_n_step(self, batch_size: int, n: int) -> Batch:
        """Windows of up to n consecutive transitions, for n-step returns; the drawn transition is the first.

        A window is shorter where the episode ends, where the data ends, or where the mask after the next
        transition is not known yet: h = HORIZON.

        Args:
            batch_size: B.
            n: the most transitions of a window, >= 1.

        Returns:
            A batch of B rows: observations, actions, masks, memories and rewards of the first transition, at
            t; NEXT_OBSERVATION, NEXT_ACTION_MASK and next actions at t + h; DONE whether the window ended in
            a terminal state; HORIZON [B], 1 to n; SERIAL [B]; WINDOW [B, n] rows of the transitions for `gather`,
            the last one repeated after the horizon.

        Raises:
            ValueError: n < 1, or there is nothing to sample.
        """
        rows = self._draw(batch_size)
        return self._describe(self._n_step(rows, n), rows)

    def all_n_step(self, n: int) -> Batch:
        """As `sample_n_step`, but a window of every transition that could be drawn, once and oldest first.

        Args:
            n: the most transitions of a window, >= 1.
        """
        rows = self._ring.live_rows()
        return self._n_step(rows[self._ring.sampleable[rows]], n)

    def _n_step(self, rows: np.ndarray, n: int) -> Batch:
        window, horizon = self._windows(rows, n)
        batch = self._batch(rows, window[:, -1])
        batch[ReplayKey.WINDOW] = window
        batch[ReplayKey.HORIZON] = horizon
        return batch

    def sample_mini_batch(self, batch_size: int, sequence_length: int = 1, burn_in: int = 0) -> Batch:
        """Transitions, or sequences of transitions, with AgentBuffer's keys, NEXT_ACTION_MASK and SERIAL.

        A sequence starts at any transition, not only at multiples of its length, and goes on through linked
        segments. After the end of the episode or of the data its last transition is repeated with MASKS 0.
        MEMORY is the recurrent state that was stored at each row.

        With burn-in, the up to `burn_in` transitions that led to the drawn one come first, fewer at the beginning of
        an episode, with MASKS 0: a network unrolls through them, from a stored state that has aged, and its loss
        leaves them out (Kapturowski et al. 2019, section 3).

        Args:
            batch_size: rows of the batch without burn-in, rounded down to whole sequences, at least one.
            sequence_length: L, >= 1.
            burn_in: most transitions before each sequence, >= 0.

        Returns:
            A batch of S * (burn_in + L) rows, S = batch_size // L sequences one after the other; SERIAL is [S].

        Raises:
            ValueError: sequence_length < 1, burn_in < 0, or there is nothing to sample.
        """
        if sequence_length < 1 or burn_in < 0:
            raise ValueError(f"sequence_length must be at least 1, not {sequence_length}; burn_in {burn_in} at least 0")
        rows = self._draw(max(batch_size // sequence_length, 1))
        if sequence_length + burn_in == 1:
            return self._describe(self._batch(rows, rows), rows)
        first, lead = self._walk_back(rows, burn_in)
        window, horizon = self._windows(first, burn_in + sequence_length)
        step = np.arange(burn_in + sequence_length) - lead[:, None]  # 0 at the transition that was drawn
        learns = (step >= 0) & (step < sequence_length) & (step < (horizon - lead)[:, None])
        batch = self.gather(window)
        batch[BufferKey.MASKS] = learns.ravel().astype(np.float32)
        batch[ReplayKey.SERIAL] = self._ring.serials(rows)
        return self._describe(batch, rows)

    def update_priorities(self, serials: np.ndarray, errors: np.ndarray) -> None:
        """Does nothing: transitions are drawn uniformly, whatever their errors.

        Args:
            serials: [B] SERIAL of the batch.
            errors: [B] TD errors.
        """

    def shuffle(self, sequence_length: int = 1) -> None:
        """Puts the transitions into a random order for `make_mini_batch`, as AgentBuffer's method.

        Args:
            sequence_length: so many transitions that were added one after the other stay together.
        """
        rows = self._ring.live_rows()
        chunks = np.arange(len(rows) - len(rows) % sequence_length).reshape(-1, sequence_length)
        self._order = self._ring.state, rows[self.generator.permutation(chunks).ravel()]

    def make_mini_batch(self, start: int, end: int) -> Batch:
        """Transitions by their place in the last `shuffle`'s order, or oldest first; as AgentBuffer's method."""
        if self._order is None or self._order[0] != self._ring.state:
            self._order = self._ring.state, self._ring.live_rows()
        return self.gather(self._order[1][start:end])

    def truncate(self, max_length: int, sequence_length: int = 1) -> None:
        """Drops the oldest transitions until at most `max_length` are held, as AgentBuffer's method."""
        ring = self._ring
        ring.evict(ring.size - (max_length - max_length % sequence_length))

    def reset_agent(self) -> None:
        """Drops all transitions, as AgentBuffer's method; the arrays and the generator stay."""
        self.truncate(0)

    def row_arrays(self) -> dict[str, np.ndarray]:
        """[capacity, ...] arrays of everything that is stored of transitions, by name; not to be written to."""
        return self._ring.row_arrays()

    def end_episodes(self, agent_id: str | None = None) -> None:
        """Forgets whose segments could go on: the next one of the agent begins a new episode.

        Args:
            agent_id: of this agent; default all.
        """
        if agent_id is None:
            self._ring.unfinished.clear()
        else:
            self._ring.unfinished.pop(agent_id, None)

    def save_to_file(self, file_object: BinaryIO, notes: Mapping[str, Any] | None = None) -> None:
        """Writes everything as HDF5: a buffer that loads it goes on exactly as this one would.

        Args:
            file_object: opened for writing in binary mode. Whoever opened it makes the replacement of an
                older file atomic.
            notes: what JSON can hold of where the transitions are from.
        """
        replay_file.save(file_object, self._ring, self.generator, notes or {})

    def load_from_file(self, file_object: BinaryIO) -> dict[str, Any]:
        """Replaces everything by what `save_to_file` wrote; the newest transitions, if there are too many.

        Returns:
            The notes.

        Raises:
            ValueError: it is no such file, or its columns or shapes are not those of the transitions that were
                added here. Nothing was changed then.
            BufferMemoryError: full, the buffer would not fit into the memory that is free.
        """
        ring = self._make_ring(self.capacity)
        state, notes = replay_file.load(file_object, ring, self.row_shapes if self.serial else {})
        self.generator.bit_generator.state = state
        self._filled = ring
        return notes

    def __getitem__(self, key: Any) -> ReplayField:
        return ReplayField(lambda: self._column(key), lambda rows: self._append_rows(key, rows))

    def __contains__(self, key: object) -> bool:
        return key in selection_keys(self._ring)

    def __iter__(self) -> Iterator[Any]:
        return selection_keys(self._ring)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.num_experiences} of {self.capacity} transitions, {self.nbytes} bytes)"

    def _column(self, key: Any) -> np.ndarray:
        return self.gather(self._ring.live_rows())[key]

    def _append_rows(self, key: Any, rows: Any) -> None:
        # The first column of the next append ends the one before.
        if key in self._appended:
            _ = self._ring
        self._appended.extend(key, rows)

    def _draw(self, count: int) -> np.ndarray:
        """[count] sampleable rows, uniformly with replacement."""
        ring = self._ring
        if ring.num_sampleable == 0:
            raise ValueError("the buffer holds no transition that can be sampled")
        if 2 * ring.num_sampleable < ring.size:
            candidates = ring.live_rows()
            candidates = candidates[ring.sampleable[candidates]]
            return candidates[self.generator.integers(len(candidates), size=count)]
        # Few are not sampleable: drawing some more and dropping those is cheaper than listing all the others.
        spare = 8 + 2 * count * (ring.size - ring.num_sampleable) // ring.size
        while True:
            places = (self.generator.random(count + spare) * ring.size).astype(np.int64)  # faster than integers()
            rows = ring.rows(ring.oldest + places)
            rows = rows[ring.sampleable[rows]]
            if len(rows) >= count:
                return rows[:count]

    def _describe(self, batch: Batch, rows: np.ndarray) -> Batch:
        """Adds to a batch what only this draw of `rows` tells; drawn uniformly, that is nothing."""
        return batch

    def _walk_back(self, rows: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
        """[S] rows up to `steps` transitions before `rows` in the same episode; how many these are, [S]."""
        ring = self._ring
        count = np.zeros(len(rows), dtype=np.int64)
        for _ in range(steps):
            rows, linked = ring.preceding(rows)
            count += linked
        return rows, count

    def _windows(self, rows: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
        """[B, n] rows of up to n linked transitions from `rows` on, the last repeated; their number [B]."""
        if n < 1:
            raise ValueError(f"n must be at least 1, not {n}")
        ring = self._ring
        window = np.empty((len(rows), n), dtype=np.int64)
        window[:, 0] = rows
        horizon = np.ones(len(rows), dtype=np.int64)
        for k in range(1, n):
            following = ring.following[rows]
            # Slots lie behind the rows; clipped to the last entry they are not sampleable.
            goes_on = ring.sampleable.take(following, mode="clip")
            rows = np.where(goes_on, following, rows)
            window[:, k] = rows
            horizon += goes_on
        return window, horizon

    def _batch(self, rows: np.ndarray, last: np.ndarray) -> Batch:
        load = Selection(self._ring, rows, last)
        if not self._keys:
            self._keys = dict.fromkeys(selection_keys(self._ring))
        return Batch(lazy=self._keys, load=load, num_experiences=len(rows))


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
