"""The package stands alone: neither ML-Agents nor PyTorch, and onnxruntime only where it is there."""

import subprocess
import sys
from pathlib import Path

import pytest

ABSENT = ("mlagents", "mlagents_envs", "mlagents_plugin_shared", "torch", "h5py")

# A name whose module is None cannot be imported, whether it is installed or not.
RUN_WITHOUT = """
import sys
absent, arguments = sys.argv[1].split(","), sys.argv[2:]
sys.modules.update(dict.fromkeys(absent))
import mlagents_onnx_check
from mlagents_onnx_check.cli import main
code = main(arguments)
assert all(sys.modules[name] is None for name in absent)
sys.exit(code)
"""


def run_without(absent: tuple[str, ...], *arguments: object) -> subprocess.CompletedProcess:
    """The command in a process in which some modules cannot be imported."""
    command = [sys.executable, "-c", RUN_WITHOUT, ",".join(absent), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_command_needs_neither_mlagents_nor_torch(good: Path) -> None:
    """The model is read and run all the same."""
    run = run_without(ABSENT, good, "--observations", "4", "3x20x24", "5x6")
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.splitlines()[0] == f"{good}: accepted"
    assert "onnxruntime" not in run.stdout


def test_command_needs_no_onnxruntime(good: Path) -> None:
    """What is left out then is said, with the command that installs it."""
    run = run_without((*ABSENT, "onnxruntime"), good)
    assert (run.returncode, run.stderr) == (0, "")
    last = run.stdout.splitlines()[-1]
    assert last.startswith("  onnxruntime is not installed: the model was not run; to install it: ")
    assert last.endswith(" onnxruntime")


@pytest.mark.parametrize("name", ["numpy", "onnx"])
def test_blocked_module_is_noticed(good: Path, name: str) -> None:
    """A control: without what it does need, the command fails."""
    assert f"import of {name} halted" in run_without((name,), good).stderr
