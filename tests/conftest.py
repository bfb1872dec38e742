"""What the tests run over: each ``package``, each ``plugin`` (a package with a trainer), each ``config``."""

import ast
import re
import runpy
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from runs import SCENES, SECONDS, command

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]

# Tests that run in the background of a shell ignore Ctrl+C, and so would what they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


class Package(NamedTuple):
    """One distribution of the repository."""

    name: str
    folder: Path
    project: dict[str, Any]

    @property
    def import_name(self) -> str:
        return self.name.replace("-", "_")

    @property
    def trainers(self) -> dict[str, str]:
        return self.project.get("entry-points", {}).get("mlagents.trainer_type", {})

    @property
    def needs_host(self) -> bool:
        """Whether it declares ML-Agents."""
        return any(re.match(r"mlagents(-envs)?\b(?!-)", requirement) for requirement in self.project["dependencies"])

    def text(self, name: str) -> str:
        return (self.folder / name).read_text(encoding="utf-8")

    def imports(self) -> Iterator[str]:
        """Top-level names that the sources import."""
        for file in self.folder.glob("src/**/*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    yield from (alias.name.partition(".")[0] for alias in node.names)
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    yield node.module.partition(".")[0]


def read_package(file: Path) -> Package:
    project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
    return Package(project["name"], file.parent, project)


PACKAGES = [
    read_package(file)
    for file in sorted([*ROOT.glob("shared/pyproject.toml"), *ROOT.glob("packages/*/pyproject.toml")])
]
PLUGINS = [package for package in PACKAGES if package.trainers]
CONFIGS = sorted(ROOT.glob("configs/*/*.yaml"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=100, help="kills of each trainer in tests/test_faults.py")


@pytest.fixture(scope="session")
def kills(request: pytest.FixtureRequest) -> int:
    return request.config.getoption("--kills")


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def docs_script(root: Path) -> Iterator[Callable[[str], dict[str, Any]]]:
    """Runs a script of docs/, which imports its neighbours, and returns the names that it defines."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(root / "docs")
        yield lambda name: runpy.run_path(str(root / "docs" / f"{name}.py"))


@pytest.fixture(scope="session")
def packages() -> list[Package]:
    return PACKAGES


@pytest.fixture(scope="session")
def plugins() -> list[Package]:
    return PLUGINS


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    by_name = {"package": PACKAGES, "plugin": PLUGINS}
    for fixture, members in by_name.items():
        if fixture in metafunc.fixturenames:
            metafunc.parametrize(fixture, members, ids=[member.name for member in members])
    if "config" in metafunc.fixturenames:
        ids = [f"{file.parent.name}/{file.stem}" for file in CONFIGS]
        metafunc.parametrize("config", CONFIGS, ids=ids)


@pytest.fixture(scope="module")
def players(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the launchers of both scenes."""
    folder = tmp_path_factory.mktemp("players")
    subprocess.run(command("mlagents-player", "build", *SCENES, "--output", folder), check=True, timeout=SECONDS)
    return folder
