"""Files that are whole or absent."""

import contextlib
import errno
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mlagents_plugin_shared.run import files
from mlagents_plugin_shared.run.files import (
    FolderCopy,
    FolderInUse,
    check_writable,
    hold_folder,
    remove_unfinished,
    replacing,
)


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


class InUse:
    """Denies a method of paths some times, as Windows does while another program has the file open."""

    def __init__(self, patch: pytest.MonkeyPatch, method: str, times: int) -> None:
        self.times = times
        own = getattr(Path, method)

        def denied(path: Path, *arguments: object, **options: object) -> object:
            if self.times:
                self.times -= 1
                raise PermissionError(errno.EACCES, "The process cannot access the file", str(path))
            return own(path, *arguments, **options)

        patch.setattr(Path, method, denied)
        patch.setattr(files, "_PAUSE", 0.001)
        patch.setattr(files, "_PATIENCE", 0.5)


@pytest.mark.parametrize(
    ("is_windows", "times", "is_written"), [(True, 3, True), (True, 10**9, False), (False, 1, False)]
)
def test_file_in_use_is_tried_again_on_windows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_windows: bool, times: int, is_written: bool
) -> None:
    """For a while; elsewhere what is denied stays denied. The old file is whole all the time."""
    path = tmp_path / "model.pt"
    path.write_text("old")
    monkeypatch.setattr(files, "_IS_WINDOWS", is_windows)
    InUse(monkeypatch, "replace", times)
    with contextlib.ExitStack() as raised:
        if not is_written:
            raised.enter_context(pytest.raises(PermissionError, match="cannot access"))
        with replacing(path) as temporary:
            temporary.write_text("new")
    assert path.read_text() == ("new" if is_written else "old")
    assert list(tmp_path.iterdir()) == [path]


def test_temporary_file_in_use_hides_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stays for the next run to remove, which does not end where it cannot either."""
    InUse(monkeypatch, "unlink", 2)

    def fail() -> None:
        with replacing(tmp_path / "model.pt") as temporary:
            temporary.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    remove_unfinished(tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    remove_unfinished(tmp_path)
    assert not list(tmp_path.iterdir())


def test_replacing_keeps_the_suffix(tmp_path: Path) -> None:
    """Exporters look at it."""
    with replacing(tmp_path / "a.b.onnx") as temporary:
        temporary.write_bytes(b"")
        assert temporary.suffix == ".onnx"


def on_windows(error: OSError, code: int) -> OSError:
    """The error with the number that Windows gives it."""
    error.winerror = code  # type: ignore[attr-defined]
    return error


HOLDER = "import sys, time; from mlagents_plugin_shared.run.files import hold_folder; held = hold_folder(sys.argv[1]); "


def test_folder_is_held_until_its_process_is_killed(tmp_path: Path) -> None:
    """A process that has no chance to clean up leaves nothing that would stop the next one."""
    line = [sys.executable, "-c", HOLDER + "print('held', flush=True); time.sleep(600)", str(tmp_path / "run")]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout.readline() == "held\n"
            with pytest.raises(FolderInUse, match=r"another process writes to .*run"):
                hold_folder(tmp_path / "run")
        finally:
            holder.kill()
    hold_folder(tmp_path / "run")


def test_folder_is_held_as_long_as_it_is_referred_to(tmp_path: Path) -> None:
    """One process may hold it twice, as when a run goes on in the same process; another one comes after both."""
    line = [sys.executable, "-c", HOLDER, str(tmp_path)]
    first, second = hold_folder(tmp_path), hold_folder(tmp_path)
    del first
    assert subprocess.run(line, capture_output=True).returncode != 0
    del second
    assert subprocess.run(line).returncode == 0


def test_folder_that_cannot_be_written_to_is_an_error(tmp_path: Path) -> None:
    """It is noticed before anything is made."""
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        hold_folder(tmp_path / "file" / "run")


@pytest.mark.parametrize(
    ("answer", "is_fatal"),
    [
        (OSError(errno.ENOLCK, "No locks available"), False),
        (NotImplementedError("flock"), False),
        (on_windows(OSError(errno.EINVAL, "Incorrect function"), 1), False),
        (on_windows(OSError(errno.EINVAL, "The parameter is incorrect"), 87), True),
        (OSError(errno.EIO, "Input/output error"), True),
    ],
)
def test_folder_without_locks_is_said_to_be_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Exception, is_fatal: bool
) -> None:
    """A run on such a file system goes on; any other failure ends it."""

    def acquire(_: object) -> None:
        raise answer

    said: list[str] = []
    monkeypatch.setattr(files.FileLock, "acquire", acquire)
    monkeypatch.setattr(files.logger, "warning", said.append)
    if is_fatal:
        with pytest.raises(OSError, match=re.escape(str(answer))):
            hold_folder(tmp_path)
    else:
        hold_folder(tmp_path)
        assert str(tmp_path) in said[0]


def test_folder_is_what_it_was(tmp_path: Path) -> None:
    """A file that was changed, one that was removed and one that is new; what did not change is not touched."""
    for name in ("same", "changed", "removed"):
        (tmp_path / name).write_text(name)
    untouched = (tmp_path / "same").stat()
    before = FolderCopy(tmp_path)
    (tmp_path / "changed").write_text("another")
    (tmp_path / "removed").unlink()
    (tmp_path / "new").touch()
    assert {file.name for file in before.changed()} == {"changed", "new"}
    before.restore()
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {
        name: name for name in ("same", "changed", "removed")
    }
    assert (tmp_path / "same").stat() == untouched


def test_folder_that_was_not_there_is_empty_again(tmp_path: Path) -> None:
    """It may have been made since."""
    before = FolderCopy(tmp_path / "logs")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "new").touch()
    before.restore()
    assert not list((tmp_path / "logs").iterdir())
    FolderCopy(tmp_path / "none").restore()


def test_checking_a_folder_leaves_nothing(tmp_path: Path) -> None:
    """Neither in it nor, where it is to be made, around it; a file in its place is an error."""
    check_writable(tmp_path)
    check_writable(tmp_path / "a" / "b")
    assert not list(tmp_path.iterdir())
    (tmp_path / "a").touch()
    with pytest.raises(NotADirectoryError):
        check_writable(tmp_path / "a" / "b")
