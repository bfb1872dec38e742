"""Commands that the player tells its user to type."""

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import gymnasium
import pytest

from mlagents_player import hints
from mlagents_player.errors import PlayerError
from mlagents_player.scenes import gymnasium_env

PINS = '"numpy<1.24" "protobuf<3.21"'


@pytest.fixture
def has_pip(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> bool:
    """Whether this Python has pip."""
    monkeypatch.setattr(hints, "find_spec", lambda name: request.param or None)
    return request.param


@pytest.mark.parametrize("has_pip", [True], indirect=True)
def test_install_command_is_of_this_python(has_pip: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By its short name where that calls it, by its path where another one would be called."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shutil, "which", lambda name: str(Path(sys.executable).with_name("python")))
    assert hints.install_command("onnxruntime") == f"python -m pip install onnxruntime {PINS}"
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert hints.install_command("onnxruntime") == f"{hints.quoted(sys.executable)} -m pip install onnxruntime {PINS}"


@pytest.mark.parametrize("has_pip", [True], indirect=True)
def test_install_command_names_an_environment_below_the_folder(
    has_pip: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As it is usual to have one in a project; it need not be active."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(Path.cwd() / ".venv" / "bin" / "python"))
    Path(sys.executable).parent.mkdir(parents=True)
    monkeypatch.setattr(shutil, "which", lambda name: str(tmp_path / "python"))
    assert hints.install_command("x") == f"{Path('.venv') / 'bin' / 'python'} -m pip install x {PINS}"


@pytest.mark.parametrize("has_pip", [False], indirect=True)
def test_install_command_is_of_uv_where_there_is_no_pip(has_pip: bool) -> None:
    """uv's environments have none."""
    assert hints.install_command("a", "b[c]>=1") == (
        f'uv pip install --python {hints.quoted(sys.executable)} a "b[c]>=1" {PINS}'
    )


def test_install_command_works_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a shell, with a dry run in place of the real one; what is asked for is there already."""
    installer = "pip" if importlib.util.find_spec("pip") else "uv"
    if installer == "uv" and shutil.which("uv") is None:
        pytest.skip("this environment has no installer")
    monkeypatch.chdir(tmp_path)
    command = hints.install_command("numpy>=1.23").replace(" install ", " install --dry-run ")
    run = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr


def test_install_command_keeps_to_the_pins_of_mlagents() -> None:
    """Newer ones would be installed in place of those that it can be imported with."""
    required = {re.match(r"[\w-]+", line)[0]: line for line in importlib.metadata.requires("mlagents-envs")}
    for pin in hints.PINS:
        name, bound = pin.split("<")
        assert f"<{bound}" in required[name]


@pytest.mark.parametrize("extra", ["box2d", "classic-control"])
def test_environment_that_needs_an_extra_names_the_command(extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gymnasium's own advice is pip's, which may be another Python's."""

    def fail(*arguments: object, **options: object) -> None:
        raise gymnasium.error.DependencyNotInstalled(f'run `pip install swig` and `pip install "gymnasium[{extra}]"`')

    monkeypatch.setattr(gymnasium, "make", fail)
    with pytest.raises(PlayerError) as failure:
        gymnasium_env.make("Some-v0")
    command = hints.install_command(f"gymnasium[{extra}]")
    assert str(failure.value) == f"gym:Some-v0 needs gymnasium[{extra}]; install it with: {command}"


@pytest.mark.parametrize(
    ("system", "variables", "is_powershell"),
    [("nt", {}, True), ("nt", {"PROMPT": "$P$G"}, False), ("nt", {"MSYSTEM": "MINGW64"}, False), ("posix", {}, False)],
)
def test_program_in_quotes_is_called_in_powershell_too(
    system: str, variables: dict[str, str], is_powershell: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There it takes an `&`, which would be an error in cmd.exe."""
    monkeypatch.setattr(os, "environ", variables)
    with monkeypatch.context() as patch:
        patch.setattr(os, "name", system)
        called = hints._program(r"C:\Users\Max Muster\python.exe"), hints._program(r"C:\python.exe")
    assert called == (("& " if is_powershell else "") + r'"C:\Users\Max Muster\python.exe"', r"C:\python.exe")
