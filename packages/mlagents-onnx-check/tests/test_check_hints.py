"""The commands that are printed for the user to type."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from mlagents_onnx_check import hints

PINS = '"numpy<1.24" "protobuf<3.21"'


@pytest.mark.parametrize(("installed", "pins"), [({"pip"}, ""), ({"pip", "mlagents_envs"}, f" {PINS}")])
def test_install_command_has_the_pins_of_mlagents_beside_it_alone(
    installed: set[str], pins: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Elsewhere they would replace a newer NumPy."""
    monkeypatch.setattr(hints, "find_spec", lambda name: name in installed or None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.chdir(tmp_path)
    assert hints.install_command("onnxruntime") == f"{hints.quoted(sys.executable)} -m pip install onnxruntime{pins}"


def test_install_command_is_of_uv_where_there_is_no_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    """uv's environments have none."""
    monkeypatch.setattr(hints, "find_spec", lambda name: None)
    python = hints.quoted(sys.executable)
    assert hints.install_command("a", "b[c]>=1") == f'uv pip install --python {python} a "b[c]>=1"'


def test_program_of_this_environment_goes_by_its_name_where_that_finds_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By its path where another one would be found, and below the folder of the user."""
    monkeypatch.chdir(tmp_path)
    for folder in ("here/bin", "other"):
        (tmp_path / folder).mkdir(parents=True)
    below, outside = Path.cwd() / "here" / "bin" / "tool", Path(sys.executable)
    assert hints.callable_as("tool", below) == str(Path("here", "bin", "tool"))
    monkeypatch.setattr(shutil, "which", lambda name: str(outside.with_name(name)))
    assert hints.callable_as("python", outside) == "python"
    monkeypatch.setattr(shutil, "which", lambda name: str(tmp_path / "other" / name))
    assert hints.callable_as("python", outside) == hints.quoted(outside)


@pytest.mark.parametrize("scheme", ["here", "user"])
def test_script_is_where_pip_has_put_it(scheme: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Beside this Python, or in the user's own folder after `pip install --user`; else its name has to do."""
    folders = {"here": tmp_path / "bin", "user": tmp_path / "local"}
    monkeypatch.setattr(sysconfig, "get_default_scheme", lambda: "here")
    monkeypatch.setattr(sysconfig, "get_preferred_scheme", lambda key: key)
    monkeypatch.setattr(sysconfig, "get_path", lambda name, scheme: str(folders[scheme]))
    assert hints.script("a-tool-of-tests") == "a-tool-of-tests"
    program = folders[scheme] / ("a-tool-of-tests.exe" if sys.platform == "win32" else "a-tool-of-tests")
    program.parent.mkdir()
    program.touch(mode=0o755)
    assert hints.script("a-tool-of-tests") == hints.quoted(program.with_name("a-tool-of-tests"))


@pytest.mark.parametrize(("installed", "ends"), [({"pip"}, "-m pip uninstall --yes a"), (set(), "a")])
def test_uninstall_command_asks_nothing(
    installed: set[str], ends: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """uv never does."""
    monkeypatch.setattr(hints, "find_spec", lambda name: name in installed or None)
    monkeypatch.chdir(tmp_path)
    assert hints.uninstall_command("a").endswith(ends)
    assert hints.uninstall_command("a").startswith("uv pip uninstall --python") is not bool(installed)


def test_hints_need_no_onnx() -> None:
    """They are for those on whose machine it cannot be imported."""
    code = "import sys; sys.modules['onnx'] = sys.modules['numpy'] = None; import mlagents_onnx_check.hints"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


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
        called = hints.program(r"C:\Users\Max Muster\python.exe"), hints.program(r"C:\python.exe")
    assert called == (("& " if is_powershell else "") + r'"C:\Users\Max Muster\python.exe"', r"C:\python.exe")
