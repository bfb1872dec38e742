"""Segments as few arrays: what actors send over a network, without what every step repeats."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from mlagents.trainers.buffer import AgentBufferKey

from mlagents_plugin_shared.data.observation_store import from_pixels, to_pixels
from mlagents_plugin_shared.data.trajectories import Segment

_GOES_ON, _TERMINATED, _INTERRUPTED = range(3)


@dataclass(frozen=True)
class PackedSegments:
    """K segments of one behaviour, with T steps altogether.

    A column whose rows are all alike is held as one row, as are masks where everything is allowed, and pictures that
    came from 8 bits as uint8. So a step of a vector task takes little more than its observations and its action.

    Attributes:
        agent_ids: K agents.
        lengths: [K] steps of each segment.
        ends: [K] 0 where the episode goes on, 1 where it terminated, 2 where it was interrupted.
        observations: one array a sensor, [T + K, ...].
        columns: [T, ...] of everything else, or [1, ...].
    """

    agent_ids: list[str]
    lengths: np.ndarray
    ends: np.ndarray
    observations: list[np.ndarray]
    columns: dict[AgentBufferKey, np.ndarray]

    def unpack(self) -> list[Segment]:
        """The segments, equal to those that were packed."""
        observations = [from_pixels(rows) if rows.dtype == np.uint8 else rows for rows in self.observations]
        return list(self._segments(observations))

    def _segments(self, observations: Sequence[np.ndarray]) -> Iterator[Segment]:
        stops = np.cumsum(self.lengths)
        for k, (agent_id, stop) in enumerate(zip(self.agent_ids, stops.tolist(), strict=True)):
            start = stop - int(self.lengths[k])
            yield Segment(
                agent_id=agent_id,
                observations=[rows[start + k : stop + k + 1] for rows in observations],
                columns={key: _part(column, start, stop, int(stops[-1])) for key, column in self.columns.items()},
                terminated=bool(self.ends[k] == _TERMINATED),
                interrupted=bool(self.ends[k] == _INTERRUPTED),
            )


def pack(segments: Sequence[Segment]) -> PackedSegments:
    """Puts segments of one behaviour side by side.

    Args:
        segments: with the same columns and shapes; none is fine too.
    """
    first = segments[0] if segments else None
    return PackedSegments(
        agent_ids=[segment.agent_id for segment in segments],
        lengths=np.array([len(segment) for segment in segments], np.int32),
        ends=np.array([_end(segment) for segment in segments], np.uint8),
        observations=[
            _smallest(np.concatenate([segment.observations[i] for segment in segments]))
            for i in range(len(first.observations) if first else 0)
        ],
        columns={
            key: _once_if_alike(np.concatenate([segment.columns[key] for segment in segments]))
            for key in (first.columns if first else ())
        },
    )


def _end(segment: Segment) -> int:
    if segment.terminated:
        return _TERMINATED
    return _INTERRUPTED if segment.interrupted else _GOES_ON


def _part(column: np.ndarray, start: int, stop: int, total: int) -> np.ndarray:
    if len(column) == total:
        return column[start:stop]
    return np.repeat(column, stop - start, axis=0)  # no view of one row: torch warns of arrays that are read-only


def _once_if_alike(column: np.ndarray) -> np.ndarray:
    return column[:1].copy() if (column == column[:1]).all() else column


def _smallest(observations: np.ndarray) -> np.ndarray:
    """Pictures as uint8 where nothing is lost; all else as it is."""
    if observations.ndim != 4 or observations.dtype == np.uint8:
        return observations
    pixels = to_pixels(observations)
    return observations if pixels is None else pixels
