"""Commands for the user to type: each works as it stands, in the folder and with the Python that this process has."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

MLAGENTS_PINS = ("numpy<1.24", "protobuf<3.21")
"""ML-Agents' own bounds, of what other distributions require too."""


def install_command(*requirements: str) -> str:
    """The command that installs into the environment of this Python, by the installer that it has.

    An environment of uv's has no pip. Beside ML-Agents its pins come with the command: without them pip and uv replace
    ML-Agents' protobuf by one that it cannot be imported with.

    Args:
        requirements: names of distributions, with extras or versions.
    """
    pins = MLAGENTS_PINS if find_spec("mlagents_envs") else ()
    return _pip("install", *dict.fromkeys((*requirements, *pins)))


def uninstall_command(name: str) -> str:
    """The command that removes a distribution from the environment of this Python.

    Args:
        name: of the distribution.
    """
    return _pip("uninstall", name)


def _pip(command: str, *requirements: str) -> str:
    names = " ".join(map(quoted, requirements))
    if find_spec("pip") is None:
        return f"uv pip {command} --python {quoted(sys.executable)} {names}"
    unasked = " --yes" if command == "uninstall" else ""
    return f"{callable_as('python', Path(sys.executable))} -m pip {command}{unasked} {names}"


def quoted(argument: object) -> str:
    """In double quotes if need be, which POSIX shells, cmd.exe and PowerShell all take."""
    text = str(argument)
    return text if text and not set(text) & set(" '()[]<>=&;,|*?!$`~{}#^%@") else f'"{text}"'


def program(path: object) -> str:
    """A program as it is called, by its path; to PowerShell what stands in quotes alone is a text.

    Args:
        path: of the program.
    """
    text = quoted(path)
    return f"& {text}" if text.startswith('"') and _is_in_powershell() else text


def _is_in_powershell() -> bool:
    """Whether the command that is printed will be typed there: cmd.exe sets PROMPT, and Git's bash MSYSTEM."""
    return os.name == "nt" and not {"PROMPT", "MSYSTEM"} & set(os.environ)


def script(name: str) -> str:
    """How a script of this environment is called from here: by its name where that finds it, or else by its path.

    Args:
        name: of the script.
    """
    for scheme in (sysconfig.get_default_scheme(), sysconfig.get_preferred_scheme("user")):  # pip install --user
        folder = Path(sysconfig.get_path("scripts", scheme))
        if shutil.which(name, path=str(folder)):
            return callable_as(name, folder / name)
    return name


def callable_as(name: str, path: Path) -> str:
    """How a program is called from here: by its path where that is short, or where its name would not find it.

    The folder of an environment need not be on the PATH of the shell that this process came from.

    Args:
        name: of the program.
        path: where it lies.
    """
    here = Path.cwd()
    if here in path.parents:
        return program(path.relative_to(here))
    found = shutil.which(name)
    # Folders, since the program itself may be a link to one that does not know this environment's packages.
    is_found = found is not None and Path(found).parent.samefile(path.parent)
    return name if is_found else program(path)
