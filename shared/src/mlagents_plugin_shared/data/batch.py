"""What the buffers hand out: arrays under AgentBuffer's keys."""

import enum
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np
from mlagents.trainers.buffer import ObservationKeyPrefix


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


class ObservationArray(np.ndarray):
    """An array with the one method of AgentBuffer's fields that ML-Agents calls on the fields of a batch.

    Its networks read observations so when they update their normalization.
    """

    def to_ndarray(self) -> np.ndarray:
        """The plain array, not copied."""
        return self.view(np.ndarray)


class Batch(MutableMapping):
    """A dictionary of arrays under AgentBuffer's keys, read as an AgentBuffer is read.

    Columns may be lazy: they are loaded at the first `batch[key]` and kept, so nobody pays for columns that
    nobody reads. `in`, iteration and `len` count them without loading. A key that is not there gives an empty
    array (AgentBuffer gives an empty list) and is not added. Assignment replaces a column or adds one.

    Args:
        columns: arrays that are there already.
        lazy: the keys that `load` knows.
        load: gives the array of a lazy key.
        num_experiences: rows of each column; the length of the first one when left out.
    """

    def __init__(
        self,
        columns: Mapping[Any, np.ndarray] | None = None,
        lazy: Iterable[Any] = (),
        load: Callable[[Any], np.ndarray] | None = None,
        num_experiences: int | None = None,
    ) -> None:
        # A lazy key holds None until it is loaded, which keeps the order of the keys.
        self._columns: dict[Any, np.ndarray | None] = dict.fromkeys(lazy)
        self._load = load
        self._num_experiences = num_experiences
        if columns:
            self.update(columns)

    @property
    def num_experiences(self) -> int:
        """Rows of each column, padding included."""
        if self._num_experiences is None:
            return len(next(iter(self.values()), ()))
        return self._num_experiences

    def __getitem__(self, key: Any) -> np.ndarray:
        column = self._columns.get(key)
        if column is None:
            if key not in self._columns or self._load is None:
                return np.empty(0, dtype=np.float32)
            column = self._columns[key] = _as_field(key, self._load(key))
        return column

    def get(self, key: Any, default: Any = None) -> Any:
        """The column, or `default` if there is none."""
        if key not in self:
            return default
        return self[key]

    def __setitem__(self, key: Any, value: np.ndarray) -> None:
        self._columns[key] = _as_field(key, value)

    def __delitem__(self, key: Any) -> None:
        del self._columns[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __contains__(self, key: object) -> bool:
        return key in self._columns

    def __repr__(self) -> str:
        return f"Batch(num_experiences={self.num_experiences}, keys={list(self._columns)})"


def join_batches(parts: Sequence[Batch]) -> Batch:
    """The rows of batches with the same keys as one batch, one part after the other.

    It is as lazy as its parts: a column is read from all of them when somebody asks for it, so before the next `add` to
    the buffers that they come from.

    Args:
        parts: one batch or more; the keys are those of the first.
    """
    rows = sum(part.num_experiences for part in parts)
    return Batch(lazy=parts[0], load=lambda key: np.concatenate([part[key] for part in parts]), num_experiences=rows)


def _as_field(key: Any, column: np.ndarray) -> np.ndarray:
    if isinstance(key, tuple) and isinstance(key[0], ObservationKeyPrefix) and isinstance(column, np.ndarray):
        return column.view(ObservationArray)
    return column
