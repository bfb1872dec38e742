"""The doctor on machines of which one thing is wrong: it names it, what to do about it, and ends with 1."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from environments import TORCH, Environment

PINS = '"numpy<1.24" "protobuf<3.21"'


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """One in which all is well."""
    return Environment(tmp_path / "env")


def checks(environment: Environment) -> dict[str, dict[str, Any]]:
    """What is said of each subject; exit code and verdict agree."""
    ran = environment.doctor("--json")
    assert ran.stdout, ran.stderr[-2000:]
    said = json.loads(ran.stdout)
    has_problem = any(check["state"] == "problem" for check in said["checks"])
    assert ran.returncode == int(has_problem)
    assert said["works"] is not has_problem
    return {check["subject"]: check for check in said["checks"]}


def only_problem(environment: Environment) -> dict[str, Any]:
    """The check that is the reason of all others that say so."""
    found = checks(environment)
    problems = [check for check in found.values() if check["state"] == "problem" and check["commands"]]
    assert len(problems) == 1, [(check["subject"], check["advice"]) for check in problems]
    return problems[0]


def test_machine_on_which_all_is_well_has_no_problem(environment: Environment) -> None:
    """The control: a table, and 0."""
    ran = environment.doctor()
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.isascii()
    assert ran.stdout.rstrip().splitlines()[-1].startswith("ML-Agents works here.")
    for subject in ("Python", "mlagents", "numpy", "protobuf", "grpcio", "setuptools", "torch", "export", "CUDA"):
        assert f"ok       {subject} " in ran.stdout
    assert "upb" in ran.stdout


def test_release_without_plugins_is_named_with_why_pip_picks_it(environment: Environment) -> None:
    """ML-Agents 0.28 starts, and then knows no trainer of ours."""
    environment.add("mlagents", "0.28.0")
    environment.add("mlagents-envs", "0.28.0")
    problem = only_problem(environment)
    assert problem["subject"] == "mlagents"
    assert "0.28.0" in problem["found"]
    assert "pip picks an old release" in problem["advice"]
    assert '"mlagents==1.1.0" "setuptools<81"' in problem["commands"][-1]


def test_missing_ml_agents_is_named(environment: Environment) -> None:
    """The first thing that a new user lacks."""
    environment.remove("mlagents")
    shutil.rmtree(environment.site / "mlagents")
    assert only_problem(environment)["subject"] == "mlagents"


def test_two_versions_of_ml_agents_are_named(environment: Environment) -> None:
    """Its two distributions are one release."""
    environment.add("mlagents-envs", "1.0.0")
    assert "must have one version" in checks(environment)["mlagents"]["advice"]


def test_numpy_2_is_named_with_what_moved_it(environment: Environment) -> None:
    """The command takes it back, and with it what would move it again."""
    environment.add("numpy", "2.4.6", {"numpy/__init__.py": "too_new = True"})
    environment.add("plots", "9.0", requires=["numpy>=2.1"])
    environment.add("older", "9.0", requires=["numpy>=1.16"])
    problem = only_problem(environment)
    assert problem["subject"] == "numpy"
    assert "plots asks for it" in problem["advice"]
    assert problem["commands"][-1].endswith(f" plots {PINS}")


def test_numpy_that_ml_agents_can_be_imported_with_is_a_warning(environment: Environment) -> None:
    """What works stops nobody."""
    environment.add("numpy", "1.24.0")
    assert checks(environment)["numpy"]["state"] == "warning"


def test_protobuf_7_is_named(environment: Environment) -> None:
    """One line takes both pins back."""
    environment.add("protobuf", "7.36.2", {"google/protobuf/__init__.py": "too_new = True"})
    environment.add("tracker", "1.0", requires=["protobuf>=5,<8"])
    problem = only_problem(environment)
    assert problem["subject"] == "protobuf"
    assert problem["commands"][-1].endswith(f" tracker {PINS}")


def test_setuptools_without_pkg_resources_is_named(environment: Environment) -> None:
    """ML-Agents imports it and does not say so."""
    environment.add("setuptools", "82.0.0")
    shutil.rmtree(environment.site / "pkg_resources")
    problem = only_problem(environment)
    assert problem["subject"] == "setuptools"
    assert '"setuptools<81"' in problem["commands"][-1]


@pytest.mark.parametrize(
    ("export", "found"),
    [
        ("raise ModuleNotFoundError(\"No module named 'onnxscript'\")", "fails"),
        ("if dynamo: raise ModuleNotFoundError(\"No module named 'onnxscript'\")", "mlagents-plugin-shared alone"),
    ],
)
def test_torch_that_cannot_export_is_named(environment: Environment, export: str, found: str) -> None:
    """Before the first checkpoint of a training finds out."""
    text = TORCH["torch/onnx/__init__.py"].replace("dynamo=False", "dynamo=True").replace(" pass", f"\n    {export}")
    environment.break_module("torch/onnx/__init__.py", text)
    problem = only_problem(environment)
    assert problem["subject"] == "export"
    assert found in problem["found"]
    assert "onnxscript" in problem["advice"]
    assert '"torch>=2.1.1,<2.9"' in problem["commands"][-1]


def test_crash_of_an_import_does_not_end_the_doctor(environment: Environment) -> None:
    """A library that takes Python with it is named, and what comes after it is looked at."""
    environment.break_module("torch/__init__.py", "import os; os.abort()")
    found = checks(environment)
    assert found["torch"]["state"] == "problem"
    assert "Python" in found["torch"]["advice"]
    assert found["grpcio"]["state"] == "ok"
    assert found["port 5004"]["state"] in ("ok", "warning")


def test_plugin_that_raises_is_named_with_its_reason(environment: Environment) -> None:
    """ML-Agents logs it and goes on without."""
    environment.add_trainer("mlagents-plugin-mine", "mine", "raise RuntimeError('no licence found')")
    problem = only_problem(environment)
    assert problem["subject"] == "trainer mine"
    assert "RuntimeError: no licence found" in problem["advice"]
    assert "uninstall" in problem["commands"][0]
    assert problem["commands"][0].endswith("mlagents-plugin-mine")


def test_plugin_that_lacks_a_module_is_named_with_it(environment: Environment) -> None:
    """The command installs what it asks for, or else what is called as the module."""
    environment.add_trainer("mlagents-plugin-mine", "mine", "import gymnasium_of_theirs")
    assert "gymnasium_of_theirs" in only_problem(environment)["commands"][-1]
    environment.add_trainer("mlagents-plugin-mine", "mine", "import gymnasium_of_theirs", requires=["gym-theirs>=2"])
    assert '"gym-theirs>=2"' in only_problem(environment)["commands"][-1]


def test_plugin_of_another_range_of_shared_is_a_warning(environment: Environment) -> None:
    """Two versions of ours that were not made for each other."""
    environment.add("mlagents-plugin-shared", "0.2.0")
    environment.add_trainer("mlagents-plugin-old", "old", requires=["mlagents-plugin-shared<0.2,>=0.1"])
    check = checks(environment)["trainer old"]
    assert check["state"] == "warning"
    assert "mlagents-plugin-shared 0.2.0, asked for is mlagents-plugin-shared<0.2,>=0.1" in check["advice"]


def test_two_plugins_with_one_name_are_named(environment: Environment) -> None:
    """Only one of them counts, and nobody says which."""
    environment.add_trainer("plugin-one", "mine")
    environment.add_trainer("plugin-two", "mine")
    problem = only_problem(environment)
    assert {"plugin-one", "plugin-two"} <= set(problem["advice"].replace(",", " ").split())
    assert "uninstall" in problem["commands"][0]


def test_plugin_that_replaces_a_trainer_of_ml_agents_is_a_warning(environment: Environment) -> None:
    """It may be meant."""
    environment.add_trainer("plugin-one", "ppo")
    found = [check for check in checks(environment).values() if "of plugin-one, not of ML-Agents" in check["found"]]
    assert [check["state"] for check in found] == ["warning"]


def test_stats_writer_that_raises_is_named(environment: Environment) -> None:
    """The other kind of plugins."""
    points = {"mlagents.stats_writer": {"shiny": "shiny:get"}}
    environment.add("shiny", "1.0", {"shiny.py": "import nothing_here"}, points=points)
    assert only_problem(environment)["subject"] == "stats writer shiny"


@pytest.fixture
def taken_port() -> Iterator[int]:
    """Port 5005, in use."""
    with socket.socket() as listener:
        try:
            listener.bind(("localhost", 5005))
            listener.listen()
        except OSError:  # somebody else has it, which is as good
            pass
        yield 5005


def test_port_in_use_is_a_warning_with_one_that_is_free(environment: Environment, taken_port: int) -> None:
    """The command names another port, which can be taken."""
    check = checks(environment)[f"port {taken_port}"]
    assert check["state"] == "warning"
    port = int(check["commands"][0].rpartition(" ")[2])
    with socket.socket() as probe:
        probe.bind(("localhost", port))


def interpreters(version: str) -> list[str]:
    """Pythons of a version on this machine."""
    folders = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob(f"versions/{version}.*/bin/python")
    return [*map(str, folders), *filter(None, [shutil.which(f"python{version}")])]


@pytest.mark.parametrize("version", ["3.12", "3.13"])
def test_wrong_python_is_named(tmp_path: Path, version: str) -> None:
    """The doctor itself starts there, and says how to make an environment that fits."""
    for python in interpreters(version):
        try:
            environment = Environment(tmp_path / "env", python)
            break
        except (subprocess.CalledProcessError, OSError):  # such as a shim of pyenv's that leads nowhere
            continue
    else:
        pytest.skip(f"there is no Python {version} here")
    check = checks(environment)["Python"]
    assert check["state"] == "problem"
    assert "cannot start" in check["advice"]
    assert any("3.11 mlagents-env" in command or "python=3.10" in command for command in check["commands"])


def test_doctor_imports_nothing_that_may_be_broken() -> None:
    """Before it has looked: neither ML-Agents, nor torch, NumPy, protobuf or onnx."""
    code = "import sys; import mlagents_plugin_shared.doctor.machine.entry; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    broken = {"mlagents", "mlagents_envs", "torch", "numpy", "google.protobuf", "onnx", "yaml", "psutil", "attr"}
    assert broken & set(ran.stdout.split()) == set()
