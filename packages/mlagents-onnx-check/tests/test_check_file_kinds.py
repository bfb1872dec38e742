"""What a file is that is not what its name says."""

from pathlib import Path

import pytest

from mlagents_onnx_check.cli import main
from mlagents_onnx_check.file_kinds import describe_stranger

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
PAGE = b"<!-- saved -->\n<!DOCTYPE html><html><body>Sign in</body></html>"
MODEL = b"\x08\x06\x12\x07pytorch\x1a\x032.0"
DEMONSTRATION = (b"\x0f\x08\x01\x12\x05Bats!\x18\x09\x20\x01").ljust(33, b"\0") + b"\x05Brain"


def write(folder: Path, name: str, content: bytes | None) -> Path:
    """A file of this content; None makes a folder."""
    file = folder / name
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    return file


STRANGERS = [
    (".onnx", None, "is a folder, not a .onnx file"),
    (".demo", b"", "is empty"),
    (".onnx", POINTER, "is a Git LFS pointer, not the file itself: run `git lfs pull`"),
    (".demo", POINTER, "is a Git LFS pointer, not the file itself: run `git lfs pull`"),
    (".pt", POINTER, "is a Git LFS pointer, not the file itself: run `git lfs pull`"),
    (".onnx", PAGE, "is an HTML page, not the file itself: download it"),
    (".onnx", b"\xef\xbb\xbf\n<HTML lang='en'>", "is an HTML page, not the file itself: download it"),
    (".onnx", b"PK\x03\x04 and more", "is no .onnx file but a zip archive, as checkpoints (.pt) are"),
    (".demo", b"PK\x03\x04 and more", "is no .demo file but a zip archive, as checkpoints (.pt) are"),
    (".onnx", b"\x89HDF\r\n\x1a\n", "is no .onnx file but an HDF5 file, as replay buffers are"),
    (".onnx", DEMONSTRATION, "is no .onnx file but a recorded demonstration (.demo)"),
    (".demo", MODEL, "is no .demo file but a model (.onnx)"),
    (".pt", MODEL, "is no .pt file but a model (.onnx)"),
    (".onnx", b"behaviors:\n  Basic: {}\n", "is no .onnx file but a text file"),
    (".demo", '{"größe": 1}'.encode(), "is no .demo file but a text file"),
]


@pytest.mark.parametrize(("suffix", "content", "said"), STRANGERS)
def test_stranger_is_named(tmp_path: Path, suffix: str, content: bytes | None, said: str) -> None:
    """What it is and, where there is one, the remedy."""
    assert str(describe_stranger(write(tmp_path, f"file{suffix}", content), suffix)).startswith(said)


@pytest.mark.parametrize(
    ("suffix", "content"),
    [(".onnx", MODEL), (".demo", DEMONSTRATION), (".pt", b"PK\x03\x04"), (".onnx", bytes(range(256)))],
)
def test_file_that_may_be_right_is_none(tmp_path: Path, suffix: str, content: bytes) -> None:
    """A control; damage within the file is for its reader to find, and so is that there is none."""
    assert describe_stranger(write(tmp_path, f"file{suffix}", content), suffix) is None
    assert describe_stranger(tmp_path / "missing", suffix) is None


def test_letter_that_is_cut_is_still_text(tmp_path: Path) -> None:
    """Only the beginning of a file is read."""
    assert describe_stranger(write(tmp_path, "a.onnx", b"a" + "é".encode() * 5000), ".onnx") is not None


@pytest.mark.parametrize(("suffix", "content", "said"), [each for each in STRANGERS if each[0] == ".onnx"])
def test_check_names_what_is_no_model(tmp_path: Path, capsys, suffix: str, content, said: str) -> None:
    """`mlagents-onnx-check` says it in its one line, and ends with 2."""
    file = write(tmp_path, "model.onnx", content)
    assert main([str(file)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"mlagents-onnx-check: {file} {said}")


def test_check_names_a_model_that_is_cut_short(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """It begins as a model does."""
    assert main([str(write(tmp_path, "model.onnx", MODEL + b"\x3a\xff\x7f"))]) == 2
    assert capsys.readouterr().err.endswith("is not an ONNX file, or cut short: export or copy it again\n")
