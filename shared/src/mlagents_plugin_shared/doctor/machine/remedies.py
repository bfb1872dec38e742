"""Commands that repair an environment, for its Python and its installer; each is a line to type."""

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement

from mlagents_onnx_check.hints import MLAGENTS_PINS, callable_as, install_command, quoted
from mlagents_plugin_shared.doctor.machine.installed import askers, is_conda, points

HOST = "mlagents==1.1.0"
"""The release of ML-Agents that knows trainer plugins."""

SETUPTOOLS = "setuptools<81"
"""ML-Agents imports pkg_resources, which setuptools 82 has no longer."""

FIRST_PYTHON, PIPS_LAST_PYTHON, LAST_PYTHON = (3, 10, 1), (3, 10, 12), (3, 11)
"""Pythons of ML-Agents: what it allows, which pip takes literally, and what it works on."""

NEW_FOLDER = "mlagents-env"
"""The environment that is made where this one cannot be repaired."""

OVERRIDES = "python -c \"open('overrides.txt', 'w').write('grpcio>=1.51.3,<1.52')\""
"""The line that lifts ML-Agents' pin of grpcio, which has no wheel for Python 3.11; as the README has it."""


def restore_pins() -> list[str]:
    """NumPy and protobuf back into ML-Agents' bounds, and with them what had moved them, in versions that fit."""
    moved = {name for pin in MLAGENTS_PINS for name in askers(Requirement(pin).name, Requirement(pin))}
    return prepared(install_command(*sorted(moved - _OWN), *MLAGENTS_PINS))


_OWN = {"mlagents", "mlagents-envs"}


def install(*requirements: str) -> list[str]:
    """Installs distributions into this environment.

    Args:
        requirements: names, with versions.
    """
    return prepared(install_command(*requirements))


def install_host() -> list[str]:
    """ML-Agents 1.1.0 into this environment, or into a new one where this Python is none of its."""
    return install_with_host(HOST, SETUPTOOLS)


def install_with_host(*requirements: str) -> list[str]:
    """What needs ML-Agents, into this environment, or into a new one where this Python is none of its.

    Args:
        requirements: names of distributions, with versions.
    """
    version = sys.version_info[:3]
    if not version >= FIRST_PYTHON or version[:2] > LAST_PYTHON:
        return new_environment()
    if version <= PIPS_LAST_PYTHON:
        return install(*requirements)
    lines, uv = _uv()
    target = f"{uv} pip install --python {quoted(sys.executable)}"
    if version[:2] == LAST_PYTHON:
        lines, target = [*lines, _with_this_python(OVERRIDES)], f"{target} --overrides overrides.txt"
    return [*lines, f"{target} {' '.join(map(quoted, requirements))}"]


def new_environment() -> list[str]:
    """An environment on a Python that ML-Agents works on, with the trainers that are installed here."""
    owners = {point.dist.metadata["Name"] for point in points("mlagents.trainer_type") if point.dist}
    names = " ".join(sorted(owners - {"mlagents"}) or [quoted(HOST), quoted(SETUPTOOLS)])
    if is_conda(sys.prefix) and shutil.which("conda"):
        return [
            f"conda create --yes --name {NEW_FOLDER} python=3.10.12",
            f"conda run --name {NEW_FOLDER} python -m pip install {names}",
        ]
    lines, uv = _uv()
    return [
        *lines,
        f"{uv} venv --python 3.11 {NEW_FOLDER}",
        _with_this_python(OVERRIDES),
        f"{uv} pip install --python {NEW_FOLDER} --overrides overrides.txt {names}",
    ]


def _uv() -> tuple[list[str], str]:
    """What has to be done before uv can be called, and how it is called."""
    if shutil.which("uv"):
        return [], "uv"
    return prepared(f"{_python()} -m pip install uv"), f"{_python()} -m uv"


def prepared(command: str) -> list[str]:
    """A command, and before it what brings its installer where there is none.

    Args:
        command: as `hints` words it, for pip or for uv.
    """
    if find_spec("pip") is None and not shutil.which("uv"):
        pip = command.replace(f"uv pip install --python {quoted(sys.executable)}", f"{_python()} -m pip install")
        return [f"{_python()} -m ensurepip", pip]
    return [command]


def _python() -> str:
    return callable_as("python", Path(sys.executable))


def _with_this_python(line: str) -> str:
    return line.replace("python", _python(), 1)
