"""Files that are whole or absent, written beside their place and then moved there, in folders of one writer."""

import contextlib
import errno
import filecmp
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from filelock import BaseFileLock, FileLock, Timeout
from mlagents_envs.logging_util import get_logger

logger = get_logger(__name__)

LOCK = ".lock"
"""A run that writes to a folder holds this file's lock; the file itself stays, and says nothing."""

# What a file system answers that knows no locks, as some network drives.
_NO_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK}
_NO_LOCKS_ON_WINDOWS = {1, 50}  # ERROR_INVALID_FUNCTION, ERROR_NOT_SUPPORTED

# How the names of files begin that are being written.
_UNFINISHED = ".unfinished-"

_IS_WINDOWS = os.name == "nt"
_PATIENCE, _PAUSE = 10.0, 0.05
"""Seconds for which a file that is in use is tried again, and between two tries."""


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Gives a temporary path beside `path` to write to, and moves the file into place when the block ends well.

    At every instant `path` is the whole old file or the whole new one. When the block raises, the old file stays
    and the temporary one is removed. Windows denies the move while another program, as a virus scanner, reads one of
    the two; it is then tried again for some seconds.

    Args:
        path: final place; its folder is created if need be.

    Yields:
        The temporary path, of the same suffix, in the same folder.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not tempfile: its files are readable by their owner only, and would stay so.
    temporary = path.with_name(f"{_UNFINISHED}{uuid.uuid4().hex[:8]}-{path.name}")
    try:
        yield temporary
        _flush_to_disk(temporary)
        _patiently(lambda: temporary.replace(path))
    finally:
        with contextlib.suppress(OSError):  # `remove_unfinished` does it later
            temporary.unlink(missing_ok=True)


def delete(path: str | Path) -> None:
    """Deletes a file, if it is there, as soon as no other program has it open.

    Args:
        path: of the file.

    Raises:
        OSError: it cannot be deleted.
    """
    _patiently(lambda: Path(path).unlink(missing_ok=True))


def _patiently(act: Callable[[], Any]) -> None:
    """Does what Windows denies while another program has a file open, as soon as it can be done."""
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            act()
            return
        except PermissionError:
            if not _IS_WINDOWS or time.monotonic() > end:  # elsewhere it stays denied
                raise
            time.sleep(_PAUSE)


def remove_unfinished(folder: str | Path) -> None:
    """Removes what a killed run left of files that it was writing with `replacing`.

    Args:
        folder: where it wrote; nothing else may be writing there now.
    """
    for file in Path(folder).glob(f"{_UNFINISHED}*"):
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)


class FolderInUse(Exception):
    """Another process writes to the folder."""


def hold_folder(folder: str | Path) -> BaseFileLock:
    """Keeps a folder, which is created if need be, for this process.

    Args:
        folder: where files will be written.

    Returns:
        What holds the folder for as long as it is referred to, and never longer than the process lives, however that
        ends. Within a process a folder can be held more than once. Where the file system knows no locks it holds
        nothing, and a warning is logged.

    Raises:
        FolderInUse: another process holds it.
        OSError: nothing can be written there.
    """
    file = Path(folder) / LOCK
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    lock = FileLock(file.resolve(), timeout=0, thread_local=False, is_singleton=True)
    try:
        lock.acquire()
    except Timeout as error:
        raise FolderInUse(f"another process writes to {folder}") from error
    except (NotImplementedError, OSError) as error:  # which of them depends on the release of filelock
        if isinstance(error, OSError) and not _is_of_no_locks(error):
            raise
        logger.warning(f"{folder} lies on a file system without locks: do not start a second run of the same name.")
    return lock


def _is_of_no_locks(error: OSError) -> bool:
    return error.errno in _NO_LOCKS or getattr(error, "winerror", None) in _NO_LOCKS_ON_WINDOWS


def check_writable(folder: str | Path) -> None:
    """Makes sure that files can be made in a folder, or the folder where there is none; leaves nothing.

    Args:
        folder: where files will be written.

    Raises:
        OSError: nothing can be written there.
    """
    place = next(path for path in (Path(folder).absolute(), *Path(folder).absolute().parents) if path.exists())
    if not place.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(place))
    with tempfile.TemporaryFile(dir=place):
        pass


class FolderCopy:
    """The files of a folder as they are now, those of its folders left out.

    Args:
        folder: the folder; it need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._copy = tempfile.TemporaryDirectory(prefix="mlagents-", ignore_cleanup_errors=True)
        for file in _files(folder):
            shutil.copy2(file, self._copy.name)

    def changed(self) -> list[Path]:
        """Files that are new or not what they were."""
        return [file for file in _files(self._folder) if not self._is_same(file.name)]

    def restore(self) -> None:
        """Makes the folder's files what they were."""
        for file in self.changed():
            file.unlink()
        for copy in _files(Path(self._copy.name)):
            if not (self._folder / copy.name).exists():
                shutil.copy2(copy, self._folder)

    def _is_same(self, name: str) -> bool:
        copy = Path(self._copy.name) / name
        return copy.exists() and filecmp.cmp(copy, self._folder / name, shallow=False)


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []


def _flush_to_disk(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
