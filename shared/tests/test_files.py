"""Files that are whole or absent."""

from pathlib import Path

import pytest

from mlagents_plugin_shared.files import replacing


def test_replacing_writes_the_new_file(tmp_path: Path) -> None:
    """The folder is made, the file has the new content, and nothing else is left."""
    path = tmp_path / "new" / "model.pt"
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_replacing_keeps_the_old_file_when_writing_fails(tmp_path: Path) -> None:
    """An error half-way leaves the old content and no temporary file."""
    path = tmp_path / "model.pt"
    path.write_text("old")

    def fail() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_replacing_keeps_the_suffix(tmp_path: Path) -> None:
    """Exporters look at it."""
    with replacing(tmp_path / "a.b.onnx") as temporary:
        temporary.write_bytes(b"")
        assert temporary.suffix == ".onnx"
