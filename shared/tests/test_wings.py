"""What a folder of the package may import is what its name says."""

import ast
import sys
from pathlib import Path

import pytest

import mlagents_plugin_shared

PACKAGE = mlagents_plugin_shared.__name__
ROOT = Path(mlagents_plugin_shared.__file__).parent

# By wing: the wings that it may import, and what else that does not come with Python; a room of one has its own rule.
WINGS: dict[str, tuple[set[str], set[str]]] = {
    "maths": (set(), {"torch"}),
    "data": (
        {"maths"},
        {"numpy", "torch", "mlagents", "mlagents_envs", "mlagents_onnx_check", "google", "h5py", "psutil"},
    ),
    "learning": ({"maths", "data"}, {"numpy", "torch", "mlagents", "mlagents_envs"}),
    "acting": ({"maths", "learning"}, {"numpy", "torch", "mlagents", "mlagents_envs"}),
    "run": (
        {"maths", "data", "learning", "acting"},
        {
            "numpy",
            "torch",
            "mlagents",
            "mlagents_envs",
            "attr",
            "cattr",
            "filelock",
            "google",
            "onnx",
            "psutil",
            "yaml",
            "mlagents_onnx_check",
            "mlagents_player",
        },
    ),
    "doctor/machine": (set(), {"packaging", "mlagents_onnx_check"}),
    "doctor": (
        {"data", "run", "doctor.machine"},
        {"mlagents", "mlagents_envs", "torch", "attr", "google", "packaging", "yaml", "mlagents_onnx_check"},
    ),
    "testing": (
        {"maths", "data", "learning", "acting", "run"},
        {"numpy", "torch", "mlagents", "mlagents_envs", "attr", "cattr", "onnx", "onnxruntime", "pytest"},
    ),
}


def imported(source: str) -> set[str]:
    """Modules that a source imports, wherever in it."""
    tree = ast.parse(source)
    found = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    return found | {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}


def strangers(wing: str, source: str) -> set[str]:
    """What a source of a wing imports and may not."""
    wings, distributions = WINGS[wing]
    modules = {name for name in imported(source) if name.partition(".")[0] not in sys.stdlib_module_names}
    allowed = distributions | {f"{PACKAGE}.{each.replace('/', '.')}" for each in (*wings, wing)}
    return {name for name in modules if not any(f"{name}.".startswith(f"{each}.") for each in allowed)}


@pytest.mark.parametrize("wing", WINGS)
def test_wing_imports_only_what_its_name_allows(wing: str) -> None:
    """So a stranger knows from the folder what a file can depend on."""
    files = sorted((ROOT / wing).rglob("*.py"))
    assert files
    assert {file.name: found for file in files if (found := strangers(wing, file.read_text("utf-8")))} == {}


def test_every_module_is_in_a_wing() -> None:
    """Nothing lies beside the wings, where no rule would hold it."""
    beside = {path.name for path in ROOT.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert beside - set(WINGS) == {"__init__.py"}


def test_stranger_is_noticed() -> None:
    """The rules refuse what they should."""
    assert strangers("maths", f"import numpy\nfrom {PACKAGE}.data.batch import Batch") == {
        "numpy",
        f"{PACKAGE}.data.batch",
    }
    assert strangers("doctor/machine", f"import psutil\nfrom {PACKAGE}.doctor import schema") == {
        "psutil",
        f"{PACKAGE}.doctor",
    }
    assert strangers("learning", f"def f():\n    from {PACKAGE}.run import ReplayTrainer") == {f"{PACKAGE}.run"}


def test_file_names_have_one_meaning() -> None:
    """No two modules have the same name, so that a name in a message or a search finds one place."""
    names = [file.stem for file in ROOT.rglob("*.py") if not file.stem.startswith("__")]
    assert sorted(name for name in set(names) if names.count(name) > 1) == []
