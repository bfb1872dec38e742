"""The doctor in fresh environments that real installs have broken: its commands put them right, as they stand.

The wheels are those of `dist`, and of the folders that UV_FIND_LINKS names.
"""

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.doctor, pytest.mark.skipif(shutil.which("uv") is None, reason="uv makes the environments")]

OVERRIDE = "grpcio>=1.51.3,<1.52"
SECONDS = 1200


class Fresh:
    """An environment that uv makes.

    Attributes:
        python: its interpreter.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "env" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
        run(folder, "uv", "venv", "--python", f"{sys.version_info.major}.{sys.version_info.minor}", "env")

    def install(self, *requirements: str, overrides: bool = False) -> None:
        """As a user does."""
        options: list[str] = []
        if overrides and sys.version_info >= (3, 11):
            (self.folder / "first.txt").write_text(OVERRIDE)
            options = ["--overrides", "first.txt"]
        run(self.folder, "uv", "pip", "install", "--python", self.python, *options, *requirements)

    def doctor(self) -> dict[str, dict[str, Any]]:
        """What is said of each subject."""
        command = [str(self.python), "-m", "mlagents_plugin_shared.doctor", "--json"]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, cwd=self.folder)
        return {check["subject"]: check for check in json.loads(ran.stdout)["checks"]}

    def repair(self, check: dict[str, Any]) -> None:
        """Types the commands of a check."""
        for command in check["commands"]:
            run(self.folder, *shlex.split(command))

    def imports(self, module: str) -> bool:
        """Whether a module can be imported."""
        return (
            subprocess.run([self.python, "-c", f"import {module}"], capture_output=True, cwd=self.folder).returncode
            == 0
        )


def run(folder: Path, *words: object) -> None:
    """Runs a command that must end well."""
    ran = subprocess.run([str(word) for word in words], capture_output=True, text=True, cwd=folder, timeout=SECONDS)
    assert ran.returncode == 0, f"{shlex.join(map(str, words))}\n{ran.stdout[-2000:]}{ran.stderr[-3000:]}"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Fresh:
    """One in which a plugin works; each test leaves it so."""
    fresh = Fresh(tmp_path_factory.mktemp("fresh"))
    fresh.install("mlagents-plugin-dqn", overrides=True)
    return fresh


def test_environment_of_the_readme_has_no_problem(environment: Fresh) -> None:
    """The control."""
    assert [check for check in environment.doctor().values() if check["state"] == "problem"] == []


@pytest.mark.parametrize(
    ("breaks", "subject"),
    [
        (["numpy>=2"], "numpy"),
        (["protobuf>=7"], "protobuf"),
        (["wandb>=0.26"], "protobuf"),
        (["setuptools>=82"], "setuptools"),
    ],
    ids=["numpy 2", "protobuf 7", "wandb", "setuptools 82"],
)
def test_later_install_that_breaks_ml_agents_is_named_and_repaired(
    environment: Fresh, breaks: list[str], subject: str
) -> None:
    """By the commands that are printed: ML-Agents can be imported again."""
    environment.install(*breaks)
    check = environment.doctor()[subject]
    assert check["state"] == "problem"
    assert not environment.imports("mlagents.trainers.learn")
    environment.repair(check)
    assert environment.imports("mlagents.trainers.learn")
    assert environment.doctor()[subject]["state"] == "ok"


def test_former_release_of_ml_agents_is_named_and_replaced(environment: Fresh) -> None:
    """What pip picks by itself on a Python that 1.1.0 does not allow."""
    run(environment.folder, "uv", "pip", "install", "--python", environment.python, "--no-deps", "mlagents==0.28.0")
    check = environment.doctor()["mlagents"]
    assert "0.28.0" in check["found"]
    environment.repair(check)
    assert environment.doctor()["mlagents"]["state"] == "ok"


def test_missing_plugin_is_named_and_installed(environment: Fresh) -> None:
    """A file asks for a trainer that is not here."""
    file = environment.folder / "config.yaml"
    file.write_text("behaviors: {Car: {trainer_type: pqn}}")
    command = [str(environment.python), "-m", "mlagents_plugin_shared.doctor", str(file), "--json"]
    said = json.loads(subprocess.run(command, capture_output=True, text=True, timeout=SECONDS).stdout)
    assert "Invalid trainer type pqn" in said["faults"][0]["text"]
    environment.repair(said)
    assert json.loads(subprocess.run(command, capture_output=True, text=True, timeout=SECONDS).stdout)["accepted"]


def test_stock_trainers_alone_are_told_that_they_cannot_export(environment: Fresh) -> None:
    """Without any plugin nothing mends ML-Agents' export on torch 2.9 and later; a plugin does."""
    installed = [point for point in environment.doctor() if point.startswith("trainer ") and point != "trainer default"]
    for trainer in installed:
        name = trainer.removeprefix("trainer ")
        run(environment.folder, "uv", "pip", "uninstall", "--python", environment.python, f"mlagents-plugin-{name}")
    check = environment.doctor()["export"]
    assert check["state"] == "problem"
    assert "crash at their first checkpoint" in check["advice"]
    environment.install("mlagents-plugin-dqn", overrides=True)
    assert environment.doctor()["export"]["state"] == "ok"
