"""What `noxfile.py` takes for done."""

import importlib.util
import sys
import types
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest


def unchanged(*_: Any, **__: Any) -> Any:
    """A decorator of nox: the function as it is."""
    return lambda function: function


@pytest.fixture
def noxfile(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module, with nox's own names and an empty dist/."""
    nox = types.ModuleType("nox")
    project = SimpleNamespace(load_toml=lambda file: {"project": {"name": Path(file).parent.name}})
    names = {"session": unchanged, "parametrize": unchanged, "param": lambda *_, **__: None, "Session": object}
    vars(nox).update(names, options=SimpleNamespace(), project=project)
    monkeypatch.setitem(sys.modules, "nox", nox)
    spec = importlib.util.spec_from_file_location("noxfile", root / "noxfile.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.DIST = tmp_path / "dist"
    module.DIST.mkdir()
    (module.DIST / "former.whl").touch()
    monkeypatch.setattr(module, "constraints", lambda *_, **__: [])
    return module


class Session:
    """A session of nox; with `-R` the steps that install are left out, as `nox.Session` does."""

    def __init__(self, folder: Path, *, reuses: bool) -> None:
        self.virtualenv = SimpleNamespace(location=str(folder))
        self.reuses = reuses
        self.ran: list[str] = []

    def run_install(self, *command: str, **_: Any) -> bool | None:
        """None where it is left out."""
        if self.reuses:
            return None
        if "build" in command:
            Path(command[command.index("--out-dir") + 1]).mkdir(exist_ok=True)
        self.ran.append(command[0])
        return True

    def install(self, *_: str) -> None:
        """Says nothing about whether it was left out."""
        if not self.reuses:
            self.ran.append("install")


def test_environment_that_was_reused_is_not_marked_as_current(noxfile: Any, tmp_path: Path) -> None:
    """`nox -R` installs and builds nothing, and takes nothing away; the next run without it does both."""
    environment = tmp_path / "environment"
    environment.mkdir()
    noxfile.install_all(Session(environment, reuses=True))
    assert not (environment / "installed.txt").exists()
    assert [file.name for file in noxfile.DIST.iterdir()] == ["former.whl"]
    session = Session(environment, reuses=False)
    noxfile.install_all(session)
    assert {"uv", "install"} <= set(session.ran)
    assert (environment / "installed.txt").exists()
    assert (noxfile.DIST / ".sources").exists()


def test_environment_that_is_current_is_left_alone(noxfile: Any, tmp_path: Path) -> None:
    """A second run installs nothing again."""
    for expected in (True, False):
        session = Session(tmp_path, reuses=False)
        noxfile.install_all(session)
        assert ("install" in session.ran) == expected


def test_lowest_installs_everything_declared_but_torch_in_one_resolution(
    noxfile: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Extras and test tools too, none of them held to what lies in PIP_FIND_LINKS; torch has a session of its own."""
    project = {"dependencies": ["Some.Name>=1", "torch>=2.1.1"], "optional-dependencies": {"watch": ["extra[a]>=2"]}}
    monkeypatch.setattr(noxfile.nox.project, "load_toml", lambda _: {"project": project})
    monkeypatch.setattr(noxfile.nox.project, "dependency_groups", lambda *_: ("tool>=3",), raising=False)
    monkeypatch.setattr(noxfile, "PACKAGES", {"package": tmp_path})
    installed: list[Any] = []
    monkeypatch.setattr(noxfile, "build_wheels", lambda _: None)
    monkeypatch.setattr(noxfile, "run_pytest", lambda *_: None)
    monkeypatch.setattr(noxfile, "install", lambda _, *names, **options: installed.append((names, options)))
    noxfile.lowest(SimpleNamespace(posargs=[]), "package")
    declared = ("package", "Some.Name>=1", "extra[a]>=2", "tool>=3")
    assert installed == [(declared, {"free": ["some-name", "extra", "tool"], "resolution": "lowest-direct"})]


@pytest.mark.parametrize(
    ("name", "behavior", "scene"),
    [
        ("WallJump", "BigWallJump", "WallJump"),
        ("3DBall-flashsac", "3DBall", "3DBall"),
        ("mine", "Pendulum-v1", "gym:Pendulum-v1"),
    ],
)
def test_scene_is_that_of_the_file_or_of_its_first_behaviour(
    noxfile: Any, tmp_path: Path, name: str, behavior: str, scene: str
) -> None:
    """A file of one's own may have any name."""
    file = tmp_path / f"{name}.yaml"
    file.write_text(f"# mine\nbehaviors:  # all\n  # one\n  {behavior}:\n    trainer_type: dqn\n", "utf-8")
    noxfile.ROOT = Path(__file__).parents[1]
    assert noxfile.scene_of(file)[0] == scene
