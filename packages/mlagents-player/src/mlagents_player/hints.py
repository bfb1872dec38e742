"""Commands for the user to type: each works as it stands, in the folder and with the Python that this process has."""

from __future__ import annotations

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

PINS = ("numpy<1.24", "protobuf<3.21")  # ML-Agents' own, of what other distributions require too


def install_command(*requirements: str) -> str:
    """The command that installs into the environment of this Python, by the installer that it has.

    An environment of uv's has no pip. What is named is what an extra stands for, and not the extra: its package would
    bring ML-Agents' requirements, of which one cannot be had on Python 3.11. The pins come with it: without them pip
    and uv replace ML-Agents' protobuf by one that it cannot be imported with.

    Args:
        requirements: names of distributions, with extras or versions.
    """
    names = " ".join(quoted(requirement) for requirement in (*requirements, *PINS))
    if find_spec("pip") is None:
        return f"uv pip install --python {quoted(sys.executable)} {names}"
    return f"{_callable_as('python', Path(sys.executable))} -m pip install {names}"


def quoted(argument: object) -> str:
    """In double quotes if need be, which POSIX shells, cmd.exe and PowerShell all take."""
    text = str(argument)
    return text if text and not set(text) & set(" '()[]<>=&;,|*?!$`~{}#^%@") else f'"{text}"'


def _program(path: object) -> str:
    """A program as it is called, by its path; to PowerShell what stands in quotes alone is a text.

    Args:
        path: of the program.
    """
    text = quoted(path)
    return f"& {text}" if text.startswith('"') and _is_in_powershell() else text


def _is_in_powershell() -> bool:
    """Whether the command that is printed will be typed there: cmd.exe sets PROMPT, and Git's bash MSYSTEM."""
    return os.name == "nt" and not {"PROMPT", "MSYSTEM"} & set(os.environ)


def _callable_as(name: str, path: Path) -> str:
    """By its path where that is short: its folder need not be on the PATH of the shell that this process came from."""
    here = Path.cwd()
    if here in path.parents:
        return _program(path.relative_to(here))
    found = shutil.which(name)
    # Folders, since the program itself may be a link to one that does not know this environment's packages.
    is_found = found is not None and Path(found).parent.samefile(path.parent)
    return name if is_found else _program(path)
