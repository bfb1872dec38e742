"""Launchers for three operating systems, wherever the tests run."""

import io
import subprocess
import sys
import zipfile
from importlib.resources import files
from pathlib import Path

import pytest
from mlagents_envs import env_utils

from mlagents_player import launcher
from mlagents_player.errors import PlayerError

LAYOUTS = {"linux": "Basic", "darwin": "Basic.app/Contents/MacOS/Basic", "win32": "Basic.exe"}


@pytest.mark.parametrize("platform", LAYOUTS)
@pytest.mark.parametrize("ending", ["", ".exe", ".app"])
def test_build_is_found_by_mlagents(
    platform: str, ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ML-Agents finds the launcher under its own layout on each system, with an ending or without."""
    path = launcher.build("Basic", tmp_path, platform)
    monkeypatch.setattr(env_utils, "platform", platform)
    assert path == tmp_path / "Basic"
    assert env_utils.validate_environment_path(f"{path}{ending}") == str(tmp_path / LAYOUTS[platform])


@pytest.mark.parametrize("platform", LAYOUTS)
@pytest.mark.parametrize("scene", ["Basic", "gym:my module:O'Neill-v0"])
def test_scene_of_a_launcher_is_what_it_plays(platform: str, scene: str, tmp_path: Path) -> None:
    """On each system, also where the name cannot be that of a file."""
    path = launcher.build(scene, tmp_path, platform, python="/a b/python")
    assert launcher.scene_of(tmp_path / launcher.layout(path.name, platform)) == scene


@pytest.mark.parametrize("content", [b"", b"MZ", b"\x7fELF -m mlagents_player run Basic", b"#!/bin/sh\nexec game\n"])
def test_other_programs_play_no_scene(content: bytes, tmp_path: Path) -> None:
    """An executable that Unity has built, a script of somebody else's, and a file that is gone."""
    (tmp_path / "game").write_bytes(content)
    assert launcher.scene_of(tmp_path / "game") is None
    assert launcher.scene_of(tmp_path / "gone") is None


def test_other_archives_play_no_scene(tmp_path: Path) -> None:
    """An .exe may hold a zip with another program, or with none."""
    for name in ("__main__.py", "other.py"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr(name, "print('run', 'Basic')")
        assert launcher.scene_of(tmp_path / name) is None


@pytest.mark.parametrize("platform", LAYOUTS)
def test_build_leaves_one_file(platform: str, tmp_path: Path) -> None:
    """No temporary file stays, and building twice is the same as once."""
    launcher.build("Basic", tmp_path, platform)
    first = (tmp_path / LAYOUTS[platform]).read_bytes()
    launcher.build("Basic", tmp_path, platform)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / LAYOUTS[platform]]
    assert (tmp_path / LAYOUTS[platform]).read_bytes() == first


def test_shell_launcher_quotes_its_words() -> None:
    """Spaces, quotes and dollars in a path are taken literally; arguments go through as they are."""
    script = launcher.shell_launcher("Basic", "~o'neill $x/my python")
    assert script == (b"#!/bin/sh\nexec '~o'\"'\"'neill $x/my python' -m mlagents_player run Basic \"$@\"\n")


@pytest.mark.parametrize(("architecture", "starter"), [("AMD64", "t64.exe"), ("ARM64", "t64-arm.exe")])
def test_windows_launcher_is_starter_interpreter_and_program(architecture: str, starter: str) -> None:
    """distlib's launcher for the processor, the quoted interpreter, and a zip that runs the scene."""
    content = launcher.windows_launcher("3DBall", r"C:\Program Files\Python\python.exe", architecture)
    head = files("distlib").joinpath(starter).read_bytes()
    line = b'#!"C:\\Program Files\\Python\\python.exe"\n'
    assert content.startswith(b"MZ")
    assert content.startswith(head + line)
    with zipfile.ZipFile(io.BytesIO(content[len(head + line) :])) as archive:
        program = archive.read("__main__.py").decode()
    compile(program, "__main__.py", "exec")
    assert "'run', '3DBall'" in program


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script is for POSIX systems")
def test_shell_launcher_runs(tmp_path: Path) -> None:
    """Started with no port, as by a double click, it says what it is for."""
    path = launcher.build("Basic", tmp_path / "a folder")
    done = subprocess.run([path], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "--mlagents-port is missing" in done.stderr
    assert done.stderr.count("\n") == 1


def test_file_name_is_legal_everywhere() -> None:
    """What Windows forbids in names becomes a dash."""
    assert launcher.file_name("gym:ALE/Pong v5") == "gym-ALE-Pong-v5"


def test_build_where_a_file_is_in_the_way(tmp_path: Path) -> None:
    """An output folder that is a file is one clear line."""
    blocked = tmp_path / "file"
    blocked.write_text("keep me")
    with pytest.raises(PlayerError, match="Cannot write"):
        launcher.build("Basic", blocked)
    assert blocked.read_text() == "keep me"


def test_write_program_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the move into place fails the old file and nothing else is there."""
    target = tmp_path / "Basic"
    target.write_bytes(b"old")

    def fail(*arguments: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        launcher.write_program(target, b"new")
    assert list(tmp_path.iterdir()) == [target]
    assert target.read_bytes() == b"old"
