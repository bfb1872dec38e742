"""TensorBoard's event files, as ML-Agents writes them: the scalars of a few tags.

TensorBoard's own reader takes every record apart, and checks its sum in Python: over a minute for a long run. Here a
record is only taken apart if it holds a tag that is asked for, which takes a fraction of a second.

Format: records of length (8 bytes), checksum (4), an `Event` as a protobuf, checksum (4). The checksum is looked at in
records that are taken apart, and where a length leads out of the file.
"""

import logging
import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

from google.protobuf.message import DecodeError
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

from mlagents_plugin_progress.scores import ELO, GROUP_REWARD, REWARD, score_of
from mlagents_plugin_progress.tally import Score

logger = logging.getLogger(__name__)

PATTERN = "events.out.tfevents*"

_HEADER, _FOOTER = 12, 4


class Point(NamedTuple):
    """One value of a curve.

    Attributes:
        step: agent steps.
        seconds: of training until then; pauses between a run and its resumes do not count.
        value: the statistic.
    """

    step: int
    seconds: float
    value: float


class Session(NamedTuple):
    """One event file: one start of a run.

    Attributes:
        began: time at which it was made, in seconds since 1970.
        rows: for each step that has one of the tags, its time and the values by tag.
    """

    began: float
    rows: dict[int, tuple[float, dict[str, float]]]


def event_files(folder: Path) -> list[Path]:
    """The event files of a behaviour, without those of its subfolders."""
    return sorted(file for file in folder.glob(PATTERN) if file.is_file())


def read_sessions(folder: Path, tags: Iterable[str]) -> list[Session]:
    """What a run and its resumes have written, in the order of time.

    Args:
        folder: `results/<run>/<behavior>`.
        tags: of the scalars that are wanted.

    Raises:
        OSError: a file cannot be read.
    """
    sessions = [session for file in event_files(folder) if (session := _session(file, list(tags))) is not None]
    return sorted(sessions, key=lambda session: session.began)


def merged(sessions: Iterable[Session]) -> list[tuple[int, float, dict[str, float]]]:
    """One curve of several sessions.

    A run that is resumed begins at its last checkpoint: what was written after that is replaced by what it writes, and
    its time goes on where the kept part ends.

    Args:
        sessions: in the order of time.

    Returns:
        Step, seconds of training and values by tag, by rising steps.
    """
    curve: list[tuple[int, float, dict[str, float]]] = []
    for session in sessions:
        if not session.rows:
            continue
        first = min(session.rows)
        curve = [row for row in curve if row[0] < first]
        before = curve[-1][1] if curve else 0.0
        for step, (when, values) in sorted(session.rows.items()):
            curve.append((step, before + max(when - session.began, 0.0), values))
    return curve


def read_curve(folder: Path, tag: str | None = None) -> list[Point]:
    """The curve of one behaviour.

    Args:
        folder: `results/<run>/<behavior>`.
        tag: of the statistic; without it the mean return, the group's included.

    Returns:
        Its points by rising steps; none where nothing of it was written.

    Raises:
        OSError: a file cannot be read.
    """
    tags = [tag] if tag is not None else [REWARD, GROUP_REWARD]
    points = []
    for step, seconds, values in merged(read_sessions(folder, tags)):
        value = values.get(tag) if tag is not None else score_of(values)
        if value is not None:
            points.append(Point(step, seconds, value))
    return points


def recorded_scores(folder: Path, *, self_play: bool) -> list[Score]:
    """The scores that a run has written so far, for one that goes on from it; none where they cannot be read.

    Args:
        folder: `results/<run>/<behavior>`.
        self_play: whether its score is an Elo.
    """
    try:
        points = read_curve(folder, ELO if self_play else None)
    except OSError:
        return []
    return [Score(point.step, point.value) for point in points]


def tags_of(folder: Path) -> list[str]:
    """All scalars that a behaviour has, of the first records: those of a summary come again in the next one.

    Args:
        folder: `results/<run>/<behavior>`.

    Raises:
        OSError: a file cannot be read.
    """
    tags: set[str] = set()
    for file in event_files(folder):
        for event in islice(_events(file, []), 2000):
            tags |= {value.tag for value in event.summary.value if value.HasField("simple_value")}
    return sorted(tags)


def _session(file: Path, tags: list[str]) -> Session | None:
    """None where the file is empty, as that of a run that has just begun."""
    # A tag as protobuf writes it, with its field and length, so that none is found that only begins like it.
    wanted = [b"\x0a" + bytes([len(tag.encode())]) + tag.encode() for tag in tags if len(tag.encode()) < 128]
    wanted += [tag.encode() for tag in tags if len(tag.encode()) >= 128]
    began = None
    rows: dict[int, tuple[float, dict[str, float]]] = {}
    for event in _events(file, wanted):
        began = event.wall_time if began is None else began
        for value in event.summary.value:
            if value.tag in tags and value.HasField("simple_value"):
                _, values = rows.setdefault(event.step, (event.wall_time, {}))
                values[value.tag] = float(value.simple_value)
    return None if began is None else Session(began, rows)


class _Damaged(Exception):
    """A record is not what was written."""


def _events(file: Path, wanted: Sequence[bytes]) -> Iterator[Event]:
    """The first record of a file, and those with one of some parts; up to where the file is damaged, which is said."""
    with file.open("rb") as stream:
        place = 0
        try:
            for number, (record, checksum) in enumerate(_records(stream)):
                if number == 0 or not wanted or any(part in record for part in wanted):
                    yield _event(record, checksum)
                place = stream.tell()
        except _Damaged:
            logger.warning(f"{file} is damaged from byte {place} on; what was written there is left out.")


def _event(record: bytes, checksum: bytes) -> Event:
    if len(checksum) == _FOOTER and masked_crc32c(record) != struct.unpack("<I", checksum)[0]:
        raise _Damaged
    try:
        return Event.FromString(record)
    except (DecodeError, ValueError) as error:
        raise _Damaged from error


def _records(stream: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """The records of a file and their checksums; the last may be cut off where the run still writes, or was killed."""
    size = os.fstat(stream.fileno()).st_size
    while len(header := stream.read(_HEADER)) == _HEADER:
        length, checksum = struct.unpack("<QI", header)
        if length > size - stream.tell():
            if masked_crc32c(header[:8]) != checksum:
                raise _Damaged
            return
        yield stream.read(length), stream.read(_FOOTER)
