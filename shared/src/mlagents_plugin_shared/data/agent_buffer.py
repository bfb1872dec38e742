"""Lets code that was written for AgentBuffer fill a replay buffer: `AgentBuffer.resequence_and_append`."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from mlagents.trainers.buffer import AgentBufferKey, BufferKey, ObservationKeyPrefix

from mlagents_plugin_shared.data.trajectories import Segment, key_name

# Keys whose entries are lists, one element a group mate; and what the ring derives itself.
_GROUP_PREFIXES = (ObservationKeyPrefix.GROUP_OBSERVATION, ObservationKeyPrefix.NEXT_GROUP_OBSERVATION)
_LEFT_OUT = frozenset(
    {
        BufferKey.GROUP_DONES,
        BufferKey.GROUPMATE_REWARDS,
        BufferKey.GROUP_CONTINUOUS_ACTION,
        BufferKey.GROUP_DISCRETE_ACTION,
        BufferKey.GROUP_NEXT_CONT_ACTION,
        BufferKey.GROUP_NEXT_DISC_ACTION,
        BufferKey.NEXT_CONT_ACTION,
        BufferKey.NEXT_DISC_ACTION,
    }
)


class ReplayField(Sequence):
    """One column of a replay buffer: an array to read, and `extend` to fill the buffer as an AgentBuffer's.

    Reading copies the whole column, oldest transition first.

    Args:
        read: gives the column.
        stage: takes the rows that are appended.
    """

    def __init__(self, read: Callable[[], np.ndarray], stage: Callable[[Iterable[Any]], None]) -> None:
        self._read = read
        self.extend = stage

    def __array__(self, dtype: Any = None) -> np.ndarray:
        return np.asarray(self._read(), dtype=dtype)

    def to_ndarray(self) -> np.ndarray:
        """The column as an array."""
        return np.asarray(self)

    def __getitem__(self, index: Any) -> Any:
        return self._read()[index]

    def __len__(self) -> int:
        return len(self._read())


class AppendedColumns:
    """Columns that arrive one after the other, until they are complete and become segments.

    AgentBuffer has no word for "complete": a column that arrives again, or any reading, ends an append.
    """

    def __init__(self) -> None:
        self._columns: dict[AgentBufferKey, list[Any]] = {}

    def __contains__(self, key: object) -> bool:
        return key in self._columns

    def __bool__(self) -> bool:
        return bool(self._columns)

    def extend(self, key: AgentBufferKey, rows: Iterable[Any]) -> None:
        """Takes the rows of one column."""
        self._columns[key] = list(rows)

    def pop_segments(self) -> Iterator[Segment]:
        """The segments that the columns hold, which are dropped here.

        Rows that ML-Agents added as padding (MASKS 0) are left out. A segment ends where DONE is set or the
        next observation is not the following one. Which agent acted is not known, so an end without DONE is
        taken as an interruption: it is never continued and all actions count as allowed after it.

        Raises:
            ValueError: columns differ in length, or observations, next observations or DONE are missing.
        """
        columns, self._columns = self._columns, {}
        arrays = {key: _array(key, rows) for key, rows in columns.items() if not _is_left_out(key)}
        lengths = {key_name(key): len(array) for key, array in arrays.items()}
        if len(set(lengths.values())) != 1:
            raise ValueError(f"the appended columns differ in length: {lengths}")
        if BufferKey.MASKS in arrays:
            real = arrays.pop(BufferKey.MASKS) > 0
            arrays = {key: array[real] for key, array in arrays.items()}
        return _split(arrays)


def _is_left_out(key: AgentBufferKey) -> bool:
    return key in _LEFT_OUT or (isinstance(key, tuple) and key[0] in _GROUP_PREFIXES)


def _array(key: AgentBufferKey, rows: list[Any]) -> np.ndarray:
    """Padding of masks is a float, of rewards a 0-d array: the common type is found by NumPy."""
    return np.array(rows, dtype=bool if key is BufferKey.DONE else None)


def _split(arrays: dict[AgentBufferKey, np.ndarray]) -> Iterator[Segment]:
    prefix = ObservationKeyPrefix
    sensors = sum(isinstance(key, tuple) and key[0] is prefix.OBSERVATION for key in arrays)
    needed = [(kind, i) for kind in (prefix.OBSERVATION, prefix.NEXT_OBSERVATION) for i in range(sensors)]
    missing = [key_name(key) for key in (*needed, BufferKey.DONE) if key not in arrays]
    if missing or not sensors:
        raise ValueError(f"the appended columns lack {missing or 'observations'}")
    observations = [arrays.pop((prefix.OBSERVATION, i)) for i in range(sensors)]
    following = [arrays.pop((prefix.NEXT_OBSERVATION, i)) for i in range(sensors)]
    ends = arrays[BufferKey.DONE].copy()
    ends[-1:] = True
    for now, then in zip(observations, following, strict=True):
        ends[:-1] |= (now[1:] != then[:-1]).any(axis=tuple(range(1, now.ndim)))
    start = 0
    for end in np.flatnonzero(ends) + 1:
        terminated = bool(arrays[BufferKey.DONE][end - 1])
        pairs = zip(observations, following, strict=True)
        yield Segment(
            agent_id="",
            observations=[np.concatenate([now[start:end], then[end - 1 : end]]) for now, then in pairs],
            columns={key: array[start:end] for key, array in arrays.items()},
            terminated=terminated,
            interrupted=not terminated,
        )
        start = end
