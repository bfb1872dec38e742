"""Segments of many agents for one on-policy update."""

from collections.abc import Iterator, MutableMapping
from typing import Any, NamedTuple

import numpy as np
from mlagents.torch_utils import torch
from mlagents.trainers.buffer import AgentBuffer, AgentBufferKey, BufferKey, ObservationKeyPrefix
from mlagents.trainers.trajectory import ObsUtil

from mlagents_plugin_shared.data.batch import Batch
from mlagents_plugin_shared.data.trajectories import (
    NEXT_ACTIONS,
    RowShapes,
    Segment,
    describe,
    key_name,
    next_action,
    row_shapes,
)

DERIVED_COLUMNS = frozenset({BufferKey.MASKS, *NEXT_ACTIONS})
"""Columns that a rollout derives: masks are all ones, next actions are the actions of the following step."""


class StreamSteps(NamedTuple):
    """One reward stream of a rollout as the functions in `targets` take it: [T, K] tensors of K segments.

    Behind the end of a segment the padding is neutral: reward 0, discount 1 and, as both values, that of the state
    after the segment. So every target sees there what it sees at the end of a sequence.
    """

    r_t: torch.Tensor
    discount_t: torch.Tensor
    v_tm1: torch.Tensor
    v_t: torch.Tensor


class GrowingArray:
    """Rows in an array that doubles when it is full and keeps its memory when it is emptied."""

    def __init__(self, like: np.ndarray) -> None:
        self._rows = np.empty((max(len(like), 64), *like.shape[1:]), dtype=like.dtype)
        self._size = 0

    @property
    def values(self) -> np.ndarray:
        """[N, ...] view of the rows that are filled."""
        return self._rows[: self._size]

    def extend(self, rows: np.ndarray) -> None:
        """Appends [T, ...] rows."""
        needed = self._size + len(rows)
        if needed > len(self._rows):
            grown = np.empty((max(needed, 2 * len(self._rows)), *self._rows.shape[1:]), self._rows.dtype)
            grown[: self._size] = self.values
            self._rows = grown
        self._rows[self._size : needed] = rows
        self._size = needed

    def clear(self) -> None:
        """Drops all rows; the memory stays."""
        self._size = 0


class RolloutBuffer(MutableMapping):
    """Segments of many agents in the order of their arrival, for one on-policy update.

    It stands where on-policy trainers and reward signals use an AgentBuffer: `buffer[key]` is an array of all
    steps, `num_experiences` counts them, `reset_agent` empties it. Arrays that are assigned (advantages,
    returns, value estimates) live until the next `add` or `clear`.

    Steps are stored without padding; each observation once, those after the segments aside. `add` copies each
    column once, `sequences` copies the columns that are read if it has to pad them. Memory grows by doubling and is
    kept when the buffer is emptied. The buffer draws nothing.

    Args:
        sequence_length: steps of what `sequences` gives; 1 for networks without memory.

    Raises:
        ValueError: sequence_length < 1.
    """

    def __init__(self, sequence_length: int = 1) -> None:
        if sequence_length < 1:
            raise ValueError(f"sequence_length must be at least 1, not {sequence_length}")
        self.sequence_length = sequence_length
        self._observations: list[GrowingArray] = []
        self._last_observations: list[GrowingArray] = []
        self._columns: dict[AgentBufferKey, GrowingArray] = {}
        self._shapes: RowShapes = {}
        self._assigned: dict[Any, np.ndarray] = {}
        self._segments: list[tuple[str, int, bool, bool]] = []
        self._num_experiences = 0
        self._changes = 0

    @property
    def num_experiences(self) -> int:
        """Steps of all segments, without padding."""
        return self._num_experiences

    @property
    def agent_ids(self) -> list[str]:
        """[K] agent of each segment."""
        return [agent_id for agent_id, _, _, _ in self._segments]

    @property
    def lengths(self) -> np.ndarray:
        """[K] steps of each segment."""
        return np.array([length for _, length, _, _ in self._segments], dtype=np.int64)

    @property
    def terminated(self) -> np.ndarray:
        """[K] whether the segment's episode ended in a terminal state."""
        return np.array([terminated for _, _, terminated, _ in self._segments], dtype=bool)

    @property
    def interrupted(self) -> np.ndarray:
        """[K] whether the segment's episode ended because max step was reached."""
        return np.array([interrupted for _, _, _, interrupted in self._segments], dtype=bool)

    def add(self, segment: Segment) -> None:
        """Appends a segment; assigned arrays are dropped, for they no longer cover all steps.

        Raises:
            ValueError: the segment has other columns or shapes than the first one.
        """
        self._check_or_allocate(segment)
        self._changes += 1
        self._assigned.clear()
        for i, observation in enumerate(segment.observations):
            self._observations[i].extend(observation[:-1])
            self._last_observations[i].extend(observation[-1:])
        for key, column in self._columns.items():
            column.extend(segment.columns[key])
        self._segments.append((segment.agent_id, len(segment), segment.terminated, segment.interrupted))
        self._num_experiences += len(segment)

    def clear(self) -> None:
        """Drops all segments and assigned arrays; memory is kept for the next ones."""
        for array in (*self._observations, *self._last_observations, *self._columns.values()):
            array.clear()
        self._changes += 1
        self._assigned.clear()
        self._segments.clear()
        self._num_experiences = 0

    def reset_agent(self) -> None:
        """AgentBuffer's name for `clear`."""
        self.clear()

    def end_episodes(self, agent_id: str | None = None) -> bool:
        """Counts episodes that were going on as interrupted: the next segment of the agent begins a new one.

        Args:
            agent_id: of this agent; default all.

        Returns:
            Whether there are segments of the agent, or of any.
        """
        ended: set[str] = set()
        for k, (agent, length, terminated, _) in reversed(list(enumerate(self._segments))):
            if agent not in ended and agent_id in (None, agent):
                ended.add(agent)
                self._segments[k] = agent, length, terminated, not terminated
        return bool(ended)

    def state_dict(self) -> dict[str, Any]:
        """All segments in the types that a checkpoint can hold; columns by their names in ML-Agents' files."""
        arrays = {
            "observations": self._observations,
            "last_observations": self._last_observations,
            "columns": list(self._columns.values()),
        }
        return {
            "names": [key_name(key) for key in self._columns],
            "segments": [list(segment) for segment in self._segments],
            **{name: [torch.from_numpy(array.values.copy()) for array in part] for name, part in arrays.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Replaces everything by what `state_dict` gave.

        Args:
            state: of a buffer whose segments had the same columns as those that will come.
        """
        self.clear()
        start = 0
        keys = [AgentBuffer._decode_key(name) for name in state["names"]]
        for last, (agent_id, length, terminated, interrupted) in enumerate(state["segments"]):
            steps = slice(start, start + length)
            observations = [
                np.concatenate([rows[steps].numpy(), ends[last : last + 1].numpy()])
                for rows, ends in zip(state["observations"], state["last_observations"], strict=True)
            ]
            columns = {key: rows[steps].numpy() for key, rows in zip(keys, state["columns"], strict=True)}
            self.add(Segment(agent_id, observations, columns, terminated, interrupted))
            start += length

    def observations(self) -> list[np.ndarray]:
        """One array a sensor, [N, ...]: all steps in the order of arrival, as views until the next `add`."""
        return [array.values for array in self._observations]

    def last_observations(self) -> list[np.ndarray]:
        """One array a sensor, [K, ...]: the observation after each segment, to bootstrap from."""
        return [array.values for array in self._last_observations]

    def batch(self) -> Batch:
        """All N steps in the order of arrival, with next observations and everything that was assigned.

        Columns are read at first use, which is too late after the next `add` or `clear` and raises RuntimeError.
        """
        changes = self._changes

        def load(key: Any) -> np.ndarray:
            if changes != self._changes:
                raise RuntimeError(f"the rollout has changed since this batch was made; read {key} before that")
            return self._load(key)

        return Batch(lazy=self._keys(), load=load, num_experiences=self.num_experiences)

    def last_action_masks(self) -> tuple[np.ndarray, np.ndarray]:
        """What was legal after each segment; a trajectory says it of the states that were acted in only.

        Returns:
            [K, A] masks, 1 = allowed: those of the agent's next segment, where it goes on in this rollout, else all 1.
            [K] whether each is known: not where the episode goes on elsewhere or was interrupted, unless nothing was
            ever forbidden in this rollout. After a terminal state it does not matter, and counts as known.
        """
        masks = self[BufferKey.ACTION_MASK]
        starts = np.cumsum(self.lengths) - self.lengths
        last = np.ones((len(starts), masks.shape[1]), masks.dtype)
        is_known = self.terminated | masks.all()
        going_on: dict[str, int] = {}
        for k, (agent, _, terminated, interrupted) in enumerate(self._segments):
            if agent in going_on:
                before = going_on.pop(agent)
                last[before], is_known[before] = masks[starts[k]], True
            if not (terminated or interrupted):
                going_on[agent] = k
        return last, is_known

    def without_last_steps(self, of: np.ndarray) -> np.ndarray:
        """[N] MASKS of all steps, 0 for the last step of some segments.

        Args:
            of: [K] bool, which segments.
        """
        mask = np.ones(self.num_experiences, dtype=np.float32)
        mask[np.cumsum(self.lengths)[of] - 1] = 0.0
        return mask

    def stream_steps(
        self,
        rewards: np.ndarray,
        values: np.ndarray,
        last_values: np.ndarray,
        gamma: float,
        *,
        ignore_done: bool = False,
    ) -> StreamSteps:
        """All segments side by side, so that one pass over T steps gives the targets of a reward stream.

        `rollout.unpad_time_major(gae(*steps, lambda_=0.95).numpy())` are the advantages of all steps.

        Args:
            rewards: [N] rewards.
            values: [N] values of the states acted in.
            last_values: [K] values of the states after the segments; those of terminal states do not count.
            gamma: discount a step.
            ignore_done: bootstrap after terminal states too, as ML-Agents does for some intrinsic rewards.

        Returns:
            [T, K] float32 tensors on the CPU, T the longest segment.

        Raises:
            ValueError: an array has another length.
        """
        self._check_length("rewards", rewards)
        self._check_length("values", values)
        if len(last_values) != len(self._segments):
            raise ValueError(
                f"last_values: shape {np.shape(last_values)}, but there are {len(self._segments)} segments"
            )
        time, segment = self._time_and_segment()
        shape = max(self.lengths, default=0), len(self._segments)
        r_t, discount_t = np.zeros(shape, np.float32), np.ones(shape, np.float32)
        v = np.tile(np.asarray(last_values, np.float32), (shape[0] + 1, 1))
        r_t[time, segment], discount_t[time, segment], v[time, segment] = rewards, gamma, values
        if not ignore_done:
            discount_t[self.lengths - 1, np.arange(shape[1])] *= ~self.terminated
        return StreamSteps(*map(torch.from_numpy, (r_t, discount_t, v[:-1], v[1:])))

    def pad_time_major(self, values: np.ndarray, fill: float = 0) -> np.ndarray:
        """[N, ...] values of all steps as [T, K, ...], T the longest segment; `fill` after each end."""
        self._check_length("values", values)
        padded = np.full((max(self.lengths, default=0), len(self._segments), *values.shape[1:]), fill, values.dtype)
        padded[self._time_and_segment()] = values
        return padded

    def unpad_time_major(self, padded: np.ndarray) -> np.ndarray:
        """[T, K, ...] as [N, ...]; the inverse of `pad_time_major`."""
        return padded[self._time_and_segment()]

    def sequences(self) -> Batch:
        """All steps in one batch of S whole sequences in the order of arrival: [S * sequence_length, ...] arrays.

        Sequences have `sequence_length` steps of one segment. Where a segment ends within a sequence the rest is
        padding: MASKS is 0 there, ACTION_MASK is 1, everything else is 0. Without memory, sequence_length 1, these are
        views of the steps themselves, until the next `add` or `clear`.
        """
        if self.sequence_length == 1:
            return self.batch()
        steps, real = self._sequences()
        return _select(self.batch(), steps.ravel(), real.ravel())

    def _sequences(self) -> tuple[np.ndarray, np.ndarray]:
        """[S, L] indices of the steps of each sequence, and whether each is a real step."""
        length = self.sequence_length
        ends = np.cumsum(self.lengths)
        counts = -(-self.lengths // length)
        first_sequence = np.cumsum(counts) - counts
        within = np.arange(counts.sum()) - np.repeat(first_sequence, counts)
        starts = np.repeat(ends - self.lengths, counts) + length * within
        steps = starts[:, None] + np.arange(length)
        real = steps < np.repeat(ends, counts)[:, None]
        return np.where(real, steps, 0), real

    def _time_and_segment(self) -> tuple[np.ndarray, np.ndarray]:
        """[N] position of each step within its segment, and the segment."""
        starts = np.cumsum(self.lengths) - self.lengths
        time = np.arange(self.num_experiences) - np.repeat(starts, self.lengths)
        return time, np.repeat(np.arange(len(self._segments)), self.lengths)

    def _keys(self) -> Iterator[Any]:
        for sensor in range(len(self._observations)):
            yield ObsUtil.get_name_at(sensor)
            yield ObsUtil.get_name_at_next(sensor)
        yield BufferKey.MASKS
        yield from self._columns
        yield from (key for key, action in NEXT_ACTIONS.items() if action in self._columns)
        yield from self._assigned

    def _load(self, key: Any) -> np.ndarray:
        if key in self._assigned:
            return self._assigned[key]
        if key in self._columns:
            return self._columns[key].values
        if key is BufferKey.MASKS:
            return np.ones(self.num_experiences, dtype=np.float32)
        if key in NEXT_ACTIONS:
            return next_action(self._columns[NEXT_ACTIONS[key]].values, np.cumsum(self.lengths) - 1)
        prefix, sensor = key
        if prefix is ObservationKeyPrefix.OBSERVATION:
            return self._observations[sensor].values
        return self._next_observation(sensor)

    def _next_observation(self, sensor: int) -> np.ndarray:
        observation = self._observations[sensor].values
        following = np.empty_like(observation)
        following[:-1] = observation[1:]
        following[np.cumsum(self.lengths) - 1] = self._last_observations[sensor].values
        return following

    def _check_or_allocate(self, segment: Segment) -> None:
        found = row_shapes(segment, without=DERIVED_COLUMNS)
        if not self._shapes:
            self._shapes = found
            self._observations = [GrowingArray(rows) for rows in segment.observations]
            self._last_observations = [GrowingArray(rows[:0]) for rows in segment.observations]
            self._columns = {key: GrowingArray(segment.columns[key]) for key in found if key in segment.columns}
        if found != self._shapes:
            raise ValueError(f"the buffer holds {describe(self._shapes)}, the segment has {describe(found)}")

    def _check_length(self, what: Any, values: np.ndarray) -> None:
        if len(values) != self.num_experiences:
            raise ValueError(f"{what}: shape {np.shape(values)}, but there are {self.num_experiences} steps")

    def __getitem__(self, key: Any) -> np.ndarray:
        return self.batch()[key]

    def __setitem__(self, key: Any, value: np.ndarray) -> None:
        """Adds or replaces a column of all steps, [N, ...]."""
        self._check_length(key, value)
        self._assigned[key] = np.asarray(value)

    def __delitem__(self, key: Any) -> None:
        """Removes an assigned column."""
        del self._assigned[key]

    def __contains__(self, key: object) -> bool:
        return key in self._keys()

    def __iter__(self) -> Iterator[Any]:
        return iter(dict.fromkeys(self._keys()))

    def __len__(self) -> int:
        return len(dict.fromkeys(self._keys()))


def _select(source: Batch, steps: np.ndarray, real: np.ndarray) -> Batch:
    """The chosen steps of a batch, with padding where they are not real."""

    def load(key: Any) -> np.ndarray:
        column = source[key].take(steps, axis=0)
        if not real.all():
            column[~real] = 1 if key is BufferKey.ACTION_MASK else 0
        return column

    return Batch(lazy=source, load=load, num_experiences=len(steps))
