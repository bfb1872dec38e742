"""What a file is that is not what its name says: the first question where one cannot be read."""

import codecs
import re
from pathlib import Path

_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_HTML = re.compile(rb"(\xef\xbb\xbf)?\s*(<!--.*?-->\s*)?<(!doctype html|html|head)\b", re.IGNORECASE | re.DOTALL)
_DEMONSTRATION_HEAD = 33  # its meta data, with their length before them, zeros after them
_MODEL = re.compile(rb"\x08[\x01-\x14][\x12\x1a\x22\x2a\x32\x3a\x42]")
_MAGIC = {
    b"PK\x03\x04": "a zip archive, as checkpoints (.pt) are",
    b"\x89HDF": "an HDF5 file, as replay buffers are",
    b"\x1f\x8b": "compressed with gzip: unpack it first",
    b"\x80\x02": "a pickle, as old checkpoints (.pt) are",
}
_HEAD = 4096


def describe_stranger(path: Path, suffix: str) -> str | None:
    """What a file is and what to do, where it is known not to be what its name says; in one clause, without its name.

    Args:
        path: the file.
        suffix: of what it should be: `.onnx`, `.demo` or `.pt`.

    Returns:
        The clause, such as `is empty`. None where the file may be of that kind, damaged perhaps, or cannot be read.
    """
    if path.is_dir():
        return f"is a folder, not a {suffix} file"
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return None
    if not head:
        return "is empty: copy it again, or make it anew"
    if head.startswith(_LFS_POINTER):
        return "is a Git LFS pointer, not the file itself: run `git lfs pull` in its repository"
    if _HTML.match(head):
        return "is an HTML page, not the file itself: download it by its link for raw files"
    if kind := _kind(head, suffix):
        return f"is no {suffix} file but {kind}"
    return None


def _kind(head: bytes, suffix: str) -> str | None:
    """What the first bytes show a file to be, None where that is the kind that was asked for or nothing known."""
    if suffix != ".pt":
        found = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), None)
        if found:
            return found
    if _is_demonstration(head):
        return "a recorded demonstration (.demo)" if suffix != ".demo" else None
    if suffix != ".onnx" and _MODEL.match(head):
        return "a model (.onnx)"
    return "a text file" if _is_text(head) else None


def _is_demonstration(head: bytes) -> bool:
    end = 1 + head[0]
    first_fields = b"\x08\x12\x18"
    return 2 < end <= _DEMONSTRATION_HEAD and head[1] in first_fields and not any(head[end:_DEMONSTRATION_HEAD])


def _is_text(head: bytes) -> bool:
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)  # the last letter may be cut
    except UnicodeDecodeError:
        return False
    return all(letter.isprintable() or letter in "\r\n\t" for letter in text)
