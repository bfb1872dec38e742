"""Commands that repair an environment fit its Python and its installer."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mlagents_onnx_check import hints
from mlagents_plugin_shared.doctor.machine import remedies

PYTHON = hints.quoted(sys.executable)
PINS = '"numpy<1.24" "protobuf<3.21"'


class Place:
    """Says of which Python and of whose installer this is.

    Args:
        patch: undoes it.
    """

    def __init__(self, patch: pytest.MonkeyPatch, folder: Path) -> None:
        self.patch = patch
        patch.chdir(folder)
        self.of("3.10.12", installers=["pip"])

    def of(self, version: str, installers: list[str]) -> None:
        """Sets both; the installers are of pip, uv and conda."""
        self.patch.setattr(remedies.sys, "version_info", tuple(map(int, version.split("."))))
        for module in (hints, remedies):
            self.patch.setattr(module, "find_spec", lambda name: name in {*installers, "mlagents_envs"} or None)
        self.patch.setattr(shutil, "which", lambda name: f"/bin/{name}" if name in installers else None)
        self.patch.setattr(hints, "callable_as", lambda name, path: name)
        self.patch.setattr(remedies, "callable_as", lambda name, path: name)
        self.patch.setattr(remedies, "is_conda", lambda prefix: "conda" in installers)


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Place:
    """Python 3.10.12 with pip."""
    return Place(monkeypatch, tmp_path)


def test_ml_agents_is_installed_by_pip_where_its_range_allows(place: Place) -> None:
    """Up to 3.10.12."""
    assert remedies.install_host() == [f'python -m pip install "mlagents==1.1.0" "setuptools<81" {PINS}']


def test_later_3_10_needs_uv(place: Place) -> None:
    """pip would pick 0.28; uv comes from pip where it is not there."""
    install = f'pip install --python {PYTHON} "mlagents==1.1.0" "setuptools<81"'
    place.of("3.10.13", ["pip", "uv"])
    assert remedies.install_host() == [f"uv {install}"]
    place.of("3.10.13", ["pip"])
    assert remedies.install_host() == ["python -m pip install uv", f"python -m uv {install}"]


def test_3_11_needs_the_override(place: Place) -> None:
    """grpcio 1.48 has no wheel there."""
    place.of("3.11.7", ["uv"])
    assert remedies.install_host() == [
        remedies.OVERRIDES,
        f'uv pip install --python {PYTHON} --overrides overrides.txt "mlagents==1.1.0" "setuptools<81"',
    ]


@pytest.mark.parametrize("version", ["3.9.18", "3.10.0", "3.12.1", "3.14.0"])
def test_other_pythons_get_a_new_environment(place: Place, version: str) -> None:
    """By uv, which fetches the Python; by conda in its own environments."""
    place.of(version, ["uv"])
    first, override, install = remedies.install_host()
    assert first == "uv venv --python 3.11 mlagents-env"
    assert override == remedies.OVERRIDES
    assert install.startswith("uv pip install --python mlagents-env --overrides overrides.txt ")
    place.of(version, ["pip", "conda"])
    create, install = remedies.install_host()
    assert create == "conda create --yes --name mlagents-env python=3.10.12"
    assert install.startswith("conda run --name mlagents-env python -m pip install ")


def test_environment_with_neither_pip_nor_uv_gets_pip_first(place: Place) -> None:
    """As poetry leaves its environments."""
    place.of("3.10.12", [])
    assert remedies.install("onnx==1.15.0") == [
        "python -m ensurepip",
        f'python -m pip install "onnx==1.15.0" {PINS}',
    ]


def test_line_that_writes_the_override_does(place: Place, tmp_path: Path) -> None:
    """In any shell: the quotes are those that all take alike."""
    subprocess.run([sys.executable, "-c", remedies.OVERRIDES.split('"')[1]], check=True, cwd=tmp_path)
    assert (tmp_path / "overrides.txt").read_text() == "grpcio>=1.51.3,<1.52"
