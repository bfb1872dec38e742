"""Replay buffers as HDF5 files."""

import contextlib
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO, TypeVar

import h5py
import numpy as np
from mlagents.trainers.buffer import AgentBuffer

from mlagents_plugin_shared.data.ring import TransitionRing
from mlagents_plugin_shared.data.trajectories import RowShapes, describe

_Result = TypeVar("_Result")

OWN_ROWS = ("terminal", "sampleable", "priority")
"""Rows that are no columns of a segment."""

FORMAT = "mlagents_plugin_shared.ReplayBuffer 1"
"""What a file says of itself."""

_CHUNK_BYTES = 2**18
"""About as much is compressed at a time; less than the megabyte of chunks that HDF5 keeps."""


def save(file_object: BinaryIO, ring: TransitionRing, generator: np.random.Generator, notes: Mapping[str, Any]) -> None:
    """Writes all transitions, oldest first, how they are linked, and the state of the generator.

    Args:
        file_object: to be written and read, as HDF5 looks up in large files what it has written.
        ring: the transitions.
        generator: whose state is kept.
        notes: what JSON can hold, and `load` gives back.

    Raises:
        OSError: it could not be written.
    """
    # Ctrl+C raises in the main thread, at any line, and HDF5 crashes where its file object raises.
    with ThreadPoolExecutor(1) as executor:
        executor.submit(_save, file_object, ring, generator, notes).result()


def _save(
    file_object: BinaryIO, ring: TransitionRing, generator: np.random.Generator, notes: Mapping[str, Any]
) -> None:
    with _errors_at_the_end(file_object) as destination, h5py.File(destination, "w") as file:
        file.attrs["format"] = FORMAT
        file.attrs["serial"] = ring.serial
        file.attrs["size"] = ring.size
        file.attrs["generator"] = json.dumps(generator.bit_generator.state)
        file.attrs["notes"] = json.dumps(notes)
        file.attrs["unfinished"] = json.dumps(ring.unfinished)
        file.attrs["state"] = json.dumps(ring.extra_state())
        for name, array in ring.row_arrays().items():
            dataset = _create(file, f"rows/{name}", (ring.size, *array.shape[1:]), array.dtype)
            # Chunk by chunk: of a part of one HDF5 would read the rest again, which takes longer.
            step = dataset.chunks[0] if dataset.chunks else max(ring.size, 1)
            for start in range(0, ring.size, step):
                count = min(step, ring.size - start)
                dataset[start : start + count] = array[ring.consecutive(ring.oldest + start, count)]
        positions, slots = ring.links()
        _create(file, "following", positions.shape, positions.dtype)[:] = positions
        file.create_group("ends")
        for i, store in enumerate(ring.observations):
            ends = store.aside[slots]
            _create(file, f"ends/{i}", ends.shape, ends.dtype)[:] = ends


class _OfAnotherKind(ValueError):
    """A file that is whole, but not of this buffer."""


class _UnfailingFile:
    """A file whose first error is kept, and after which what is written is lost and what is read is anything.

    HDF5 ends the process with a segmentation fault some time after a file object raised while it wrote.

    Attributes:
        error: the first one.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.error: Exception | None = None
        self._file = file

    def write(self, data: Any) -> int:
        return self._try(lambda: self._file.write(data), len(data))

    def readinto(self, buffer: Any) -> int:
        return self._try(lambda: self._file.readinto(buffer), len(buffer))  # type: ignore[attr-defined]

    def read(self, size: int = -1) -> bytes:
        return self._try(lambda: self._file.read(size), bytes(max(size, 0)))

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._try(lambda: self._file.seek(offset, whence), offset)

    def tell(self) -> int:
        return self._try(self._file.tell, 0)

    def truncate(self, size: int | None = None) -> int:
        return self._try(lambda: self._file.truncate(size), size or 0)

    def flush(self) -> None:
        self._try(self._file.flush, None)

    def _try(self, call: Callable[[], _Result], otherwise: _Result) -> _Result:
        if self.error is None:
            try:
                return call()
            except Exception as error:
                self.error = error
        return otherwise


@contextlib.contextmanager
def _errors_at_the_end(file: BinaryIO) -> Iterator[_UnfailingFile]:
    """Raises what went wrong with a file when HDF5 is done with it."""
    unfailing = _UnfailingFile(file)
    try:
        yield unfailing
        unfailing.flush()
    finally:
        if unfailing.error is not None:
            raise unfailing.error


def load(file_object: BinaryIO, ring: TransitionRing, expected: RowShapes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fills an empty ring with the newest transitions of a file; gives the state of the generator, and the notes.

    Raises:
        ValueError: the file is no replay buffer, or its columns or shapes are not those expected, if any are.
    """
    try:
        with h5py.File(file_object, "r") as file:
            if file.attrs.get("format") != FORMAT:
                raise _OfAnotherKind(f"no replay buffer: its format is {file.attrs.get('format')}, not {FORMAT}")
            _read(file, ring, expected)
            state = json.loads(file.attrs["generator"])
            np.random.default_rng().bit_generator.state = state  # refuses what is none
            return state, json.loads(file.attrs.get("notes", "{}"))
    except (_OfAnotherKind, MemoryError):
        raise
    except Exception as error:  # HDF5 says of damage whatever it stumbles over
        raise ValueError(f"no replay buffer, or a damaged one: {error}") from error


def _create(file: h5py.File, name: str, shape: tuple[int, ...], dtype: Any) -> h5py.Dataset:
    if np.prod(shape) == 0:  # HDF5 cannot compress a dataset without elements
        return file.create_dataset(name, shape, dtype)
    row_bytes = math.prod(shape[1:]) * np.dtype(dtype).itemsize
    chunk = (min(max(_CHUNK_BYTES // row_bytes, 1), shape[0]), *shape[1:])
    return file.create_dataset(name, shape, dtype, chunks=chunk, compression="gzip", compression_opts=1)


def _read(file: h5py.File, ring: TransitionRing, expected: RowShapes) -> None:
    _allocate(file, ring, expected)
    size = int(file.attrs["size"])
    ring.serial, ring.size = int(file.attrs["serial"]), min(size, ring.capacity)
    _check(0 <= size <= ring.serial, "serial")
    dropped = size - ring.size
    for name, array in ring.row_arrays().items():
        if name == "priority" and name not in file["rows"]:  # a buffer without priorities writes none
            continue
        for rows, part in ring.spans(ring.oldest, ring.size):
            # Straight into place: a copy of a replay that fits may not fit beside it.
            file[f"rows/{name}"].read_direct(array, np.s_[dropped + part.start : dropped + part.stop], rows)
    unfinished = json.loads(file.attrs["unfinished"])
    _check(all(serial < ring.serial for serial in unfinished.values()), "unfinished")
    ring.unfinished = {agent_id: serial for agent_id, serial in unfinished.items() if serial >= ring.oldest}
    _read_links(file, ring, size, dropped)
    ring.restore_extra_state(json.loads(file.attrs.get("state", "{}")))


def _allocate(file: h5py.File, ring: TransitionRing, expected: RowShapes) -> None:
    names = [name for name in file["rows"] if name not in OWN_ROWS]
    shapes = {AgentBuffer._decode_key(name): file["rows"][name].shape[1:] for name in names}
    # A buffer that was saved before its first transition has no columns.
    if expected and shapes and shapes != expected:
        raise _OfAnotherKind(f"the buffer holds {describe(expected)}, the file {describe(shapes)}")
    ring.allocate(shapes or expected)
    for i in range(len(file["ends"])):
        if file[f"ends/{i}"].dtype != ring.observations[i].ring.dtype:
            ring.observations[i].widen()


def _read_links(file: h5py.File, ring: TransitionRing, size: int, dropped: int) -> None:
    following = file["following"][:]
    at_end = following >= size
    num_ends = np.count_nonzero(at_end)
    ends = [file[f"ends/{i}"] for i in range(len(file["ends"]))]
    _check(len(following) == size and all(following > np.arange(size)), "following")
    _check(all(following[at_end] == size + np.arange(num_ends)), "following")
    _check(all(len(observations) == num_ends for observations in ends), "ends")
    # Ends are in the order of their transitions, so those of the dropped ones come first.
    dropped_ends = np.count_nonzero(at_end[:dropped])
    following, at_end = following[dropped:] - dropped, at_end[dropped:]
    following[at_end] -= dropped_ends
    ring.restore_links(following, [observations[dropped_ends:] for observations in ends])


def _check(holds: bool, name: str) -> None:
    if not holds:
        raise ValueError(f"{name} contradicts the rest of the file")
