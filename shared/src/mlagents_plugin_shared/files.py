"""Files that are whole or absent: written beside their place and then moved there."""

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

# How the names of files begin that are being written.
_UNFINISHED = ".unfinished-"


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Gives a temporary path beside `path` to write to, and moves the file into place when the block ends well.

    At every instant `path` is the whole old file or the whole new one. When the block raises, the old file stays
    and the temporary one is removed.

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
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_unfinished(folder: str | Path) -> None:
    """Removes what a killed run left of files that it was writing with `replacing`.

    Args:
        folder: where it wrote; nothing else may be writing there now.
    """
    for file in Path(folder).glob(f"{_UNFINISHED}*"):
        file.unlink(missing_ok=True)


def _flush_to_disk(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
