"""A run that could not export its model ends before it trains, and none imports what its first steps do not need."""

import subprocess
import sys
from pathlib import Path

import pytest
from mlagents.torch_utils import torch
from mlagents.trainers.exception import TrainerConfigError
from runs import ENVIRONMENT, SECONDS
from starting import STEPS, TRAINERS, settings

from mlagents_plugin_shared.testing import Corridor, Duel, train


class Watched(Corridor):
    """A corridor that notes which files there are before its first step, and counts its steps."""

    def __init__(self, results: Path) -> None:
        super().__init__()
        self.results = results
        self.files_before: list[Path] = []
        self.steps = 0

    def act(self, action):
        if self.steps == 0:
            self.files_before = [file for file in self.results.rglob("*") if file.is_file()]
        self.steps += 1
        return super().act(action)


def fail(*arguments, **options) -> None:
    """In place of torch's export."""
    raise ModuleNotFoundError("No module named 'onnxscript'")


@pytest.mark.parametrize("trainer_type", TRAINERS)
def test_run_that_can_export_has_left_nothing_before_its_first_step(tmp_path: Path, trainer_type: str) -> None:
    """Nothing of the export at start-up stays but the lock; the models of the run are there at its end."""
    task = Watched(tmp_path)
    train(task, settings(trainer_type), tmp_path)
    assert task.steps > 0
    assert [file.name for file in task.files_before] == [".lock"]
    assert (tmp_path / "Toy.onnx").exists()


@pytest.mark.parametrize("threaded", [False, True])
@pytest.mark.parametrize("trainer_type", TRAINERS)
def test_run_that_cannot_export_ends_before_its_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trainer_type: str, threaded: bool
) -> None:
    """The behaviour, the cause and the remedy are named; there is no checkpoint, whole or half."""
    monkeypatch.setattr(torch.onnx, "export", fail)
    task = Watched(tmp_path)
    with pytest.raises(TrainerConfigError, match=r"^Toy: the policy cannot be exported .*onnxscript.*install those\.$"):
        train(task, settings(trainer_type, threaded=threaded), tmp_path)
    assert task.steps == 0
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == []


def test_self_play_that_cannot_export_ends_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a ghost trainer stands before the trainer."""
    monkeypatch.setattr(torch.onnx, "export", fail)
    with pytest.raises(TrainerConfigError, match=r"^Toy: the policy cannot be exported"):
        train(Duel(), settings("dqn", self_play={"save_steps": 100}), tmp_path)
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == []


def test_inference_needs_no_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--inference writes no model, and runs on a machine that could not."""
    train(Corridor(), settings("a2c"), tmp_path)
    monkeypatch.setattr(torch.onnx, "export", fail)
    task = Corridor(max_steps=20)
    train(task, settings("a2c"), tmp_path, resume=True, inference=True)
    assert task.returns


@pytest.mark.parametrize(("first", "second"), zip(TRAINERS, [*list(TRAINERS)[1:], next(iter(TRAINERS))], strict=True))
def test_resuming_with_another_trainer_goes_on_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, first: str, second: str
) -> None:
    """A user who changes trainer_type and adds --resume is told what is not taken up, and the run goes on."""
    train(Corridor(), settings(first), tmp_path)
    with caplog.at_level("WARNING"):
        trainer = train(Corridor(), settings(second, max_steps=2 * STEPS), tmp_path, resume=True)
    assert f"the checkpoint is of trainer_type: {first}, not of {second}" in caplog.text
    assert trainer.get_step >= 2 * STEPS


EXPORT = """
import io, torch
options = {"dynamo": False} if "dynamo" in torch.onnx.export.__code__.co_varnames else {}
torch.onnx.export(torch.nn.Linear(1, 1), (torch.zeros(1, 1),), io.BytesIO(), **options)
"""
TRAININGS = """
import sys
from pathlib import Path
from starting import TRAINERS, settings
from mlagents_plugin_shared.testing import Corridor, train
for each in TRAINERS:
    train(Corridor(), settings(each), Path(sys.argv[1]) / each)
"""


def has_compiler_after(program: str, folder: Path) -> bool:
    """Whether a program, in a process of its own, has imported PyTorch's compiler."""
    asked = f"{program}\nimport sys\nprint('torch._dynamo' in sys.modules)"
    line = [sys.executable, "-W", "ignore", "-c", asked, folder]
    place = {"cwd": Path(__file__).parent, "env": ENVIRONMENT}
    ran = subprocess.run(line, capture_output=True, text=True, timeout=SECONDS, **place)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()[-1] == "True"


def test_trainings_do_not_import_the_compiler(tmp_path: Path) -> None:
    """From the first step to the last file, of every trainer; that PyTorch would, shared's own tests show."""
    if has_compiler_after(EXPORT, tmp_path):
        pytest.skip("this PyTorch imports its compiler for an export")
    assert not has_compiler_after(TRAININGS, tmp_path)


def test_plugins_import_no_onnx(tmp_path: Path) -> None:
    """ML-Agents imports every plugin at each start, whoever trains."""
    program = "from mlagents.plugins.trainer_type import register_trainer_plugins as f; assert 'dqn' in f()[0]"
    asked = f"{program}\nimport sys\nassert 'mlagents_plugin_dqn' in sys.modules and 'onnx' not in sys.modules"
    assert not has_compiler_after(asked, tmp_path)
