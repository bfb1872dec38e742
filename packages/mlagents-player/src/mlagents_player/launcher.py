"""Launchers: what `mlagents-learn --env` starts in place of a built Unity executable.

A launcher is a small file that runs this Python with this package. Where `mlagents_envs.env_utils` looks
for it depends on the operating system, so each one has its own layout.
"""

from __future__ import annotations

import ast
import io
import os
import platform as machine
import re
import shlex
import stat
import sys
import tempfile
import zipfile
from importlib.resources import files
from pathlib import Path

from mlagents_player.errors import PlayerError

LONGEST_SCRIPT = 2**14  # bytes; one that is longer is none of ours
RUN_BITS = stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH


def build(scene: str, folder: Path, platform: str = sys.platform, python: str = sys.executable) -> Path:
    """Write the launcher of a scene, whole or not at all.

    Args:
        scene: Name of the scene, also of the launcher.
        folder: Where to put it; created if needed.
        platform: `linux`, `darwin` or `win32`, as `sys.platform` names them.
        python: The interpreter that has this package.

    Returns:
        What to give to `--env`: a path in `folder` without the ending, which ML-Agents adds.

    Raises:
        PlayerError: the file cannot be written.
    """
    name = file_name(scene)
    target = folder / layout(name, platform)
    content = windows_launcher(scene, python) if platform == "win32" else shell_launcher(scene, python)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_program(target, content)
    except OSError as error:
        raise PlayerError(f"Cannot write {target}: {error.strerror or error}.") from error
    return folder / name


def file_name(scene: str) -> str:
    """The scene's name with what a file name cannot hold replaced by `-`."""
    return re.sub(r'[<>:"/\\|?*\s]+', "-", scene)


def layout(name: str, platform: str) -> Path:
    """Where ML-Agents looks for the executable `name` on this operating system, relative to its folder."""
    if platform == "win32":
        return Path(f"{name}.exe")
    if platform == "darwin":
        return Path(f"{name}.app", "Contents", "MacOS", name)
    return Path(name)


def shell_launcher(scene: str, python: str) -> bytes:
    """A POSIX shell script; a `#!` line of its own cannot hold a long path or one with spaces."""
    return f'#!/bin/sh\nexec {shlex.quote(python)} -m mlagents_player run {shlex.quote(scene)} "$@"\n'.encode()


def windows_launcher(scene: str, python: str, architecture: str = machine.machine()) -> bytes:
    """An .exe as pip makes them for scripts: distlib's launcher, the interpreter's path, and a zip to run.

    Args:
        scene: Name of the scene.
        python: Path of the interpreter.
        architecture: As `platform.machine()` says it.
    """
    program = f"import sys\nfrom mlagents_player.cli import main\nsys.exit(main(['run', {scene!r}, *sys.argv[1:]]))\n"
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        # A fixed date: the same scene always gives the same file.
        zipped.writestr(zipfile.ZipInfo("__main__.py", (1980, 1, 1, 0, 0, 0)), program)
    starter = "t64-arm.exe" if architecture.lower() in ("arm64", "aarch64") else "t64.exe"
    return files("distlib").joinpath(starter).read_bytes() + f'#!"{python}"\n'.encode() + archive.getvalue()


def scene_of(launcher: Path) -> str | None:
    """The scene that a launcher plays.

    Args:
        launcher: The file that ML-Agents starts, which need not be one of ours.

    Returns:
        None if it is another program, or cannot be read.
    """
    try:
        if zipfile.is_zipfile(launcher):
            with zipfile.ZipFile(launcher) as archive:
                program = archive.read("__main__.py")
            found = re.search(rb"import main\nsys\.exit\(main\(\['run', (.+), \*sys", program)
            return ast.literal_eval(found[1].decode()) if found else None
        with launcher.open("rb") as file:
            script = file.read(LONGEST_SCRIPT)
        found = re.fullmatch(rb'#!/bin/sh\nexec .+ -m mlagents_player run (.+) "\$@"\n', script)
        return shlex.split(found[1].decode())[0] if found else None
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return None


def write_program(target: Path, content: bytes) -> None:
    """Write an executable file under a temporary name and move it into place.

    Raises:
        OSError: as the operating system says; nothing is left behind.
    """
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(temporary).chmod(0o644 | RUN_BITS)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink()
        raise
