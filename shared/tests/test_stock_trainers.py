"""ML-Agents' own trainers beside ours: they save and export on every torch."""

import shutil
from pathlib import Path

import pytest
from mlagents.torch_utils import torch
from mlagents.trainers.exception import UnityTrainerException
from mlagents.trainers.model_saver.torch_model_saver import DEFAULT_CHECKPOINT_NAME, TorchModelSaver

import mlagents_plugin_shared.run.host  # noqa: F401  mends ML-Agents, as each plugin does
from mlagents_onnx_check import Behavior, check_model
from mlagents_plugin_shared.testing import (
    BEHAVIOR,
    Corridor,
    Crowd,
    Duel,
    ExportedModel,
    Goal,
    Match,
    Picture,
    Recall,
    ToyEnv,
    train,
)

STOCK = ["ppo", "sac", "poca"]
MEMORY = {"memory": {"memory_size": 8, "sequence_length": 4}}
SELF_PLAY = {"save_steps": 50, "swap_steps": 20, "team_change": 60, "window": 2}


def config(trainer_type: str, max_steps: int = 200, network: dict | None = None, **settings) -> dict:
    """Settings of a short run with three checkpoints."""
    return {
        "trainer_type": trainer_type,
        "max_steps": max_steps,
        "time_horizon": 8,
        "checkpoint_interval": 80,
        "hyperparameters": {"batch_size": 16, "buffer_size": 64},
        "network_settings": {"hidden_units": 8, "num_layers": 1, **(network or {})},
        **settings,
    }


TASKS = {
    "discrete": (lambda: Corridor(masked=True), {}),
    "hybrid": (lambda: Match(continuous=True), {}),
    "memory": (Recall, {"network": MEMORY}),
    "picture": (Picture, {"network": {"vis_encode_type": "simple"}}),
    "entities": (Crowd, {}),
    "goal": (Goal, {"network": {"goal_conditioning_type": "hyper"}}),
    "self-play": (Duel, {"self_play": SELF_PLAY}),
    "threaded": (Corridor, {"threaded": True}),
}


@pytest.mark.parametrize("trainer_type", STOCK)
@pytest.mark.parametrize("task", TASKS)
def test_stock_trainer_exports_what_unity_accepts(tmp_path: Path, trainer_type: str, task: str) -> None:
    """Every model of the run, by the rules of Unity's loader; and it acts."""
    make, settings = TASKS[task]
    env: ToyEnv = make()
    train(env, config(trainer_type, **settings), tmp_path)
    spec = env.behavior_specs[f"{BEHAVIOR}?team=0"]
    models = [tmp_path / f"{BEHAVIOR}.onnx", *(tmp_path / BEHAVIOR).glob("*.onnx")]
    assert len(models) >= 3
    for model in models:
        report = check_model(model, Behavior.of(spec), deterministic=True)
        assert [finding for finding in report.findings if finding in report.errors] == []
    env.reset()
    outputs = ExportedModel(models[0]).act(env.get_steps(f"{BEHAVIOR}?team=0")[0])
    assert all(len(values) == env.num_agents for name, values in outputs.items() if name.endswith("_actions"))


@pytest.mark.parametrize("trainer_type", STOCK)
def test_stock_trainer_resumes_where_it_was(tmp_path: Path, trainer_type: str) -> None:
    """From its last checkpoint, with the moments of its optimizers; ML-Agents alone could read it too."""
    first = train(Corridor(), config(trainer_type), tmp_path)
    kept = first.model_saver.modules
    resumed = train(Corridor(), config(trainer_type, max_steps=first.get_step), tmp_path, resume=True)
    assert resumed.get_step > first.get_step
    stock = TorchModelSaver(resumed.trainer_settings, str(tmp_path / BEHAVIOR), load=True)
    stock.register(resumed.policy)
    stock.register(resumed.optimizer)
    shutil.copy(tmp_path / BEHAVIOR / f"{BEHAVIOR}-{first.get_step}.pt", tmp_path / BEHAVIOR / DEFAULT_CHECKPOINT_NAME)
    stock.initialize_or_load()
    for name, module in stock.modules.items():
        torch.testing.assert_close(module.state_dict(), kept[name].state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("trainer_type", STOCK)
def test_stock_trainer_resumes_beside_a_damaged_checkpoint(tmp_path: Path, trainer_type: str) -> None:
    """The newest numbered one that is whole takes the place of a file that was cut off."""
    first = train(Corridor(), config(trainer_type), tmp_path)
    newest = tmp_path / BEHAVIOR / DEFAULT_CHECKPOINT_NAME
    newest.write_bytes(newest.read_bytes()[:1000])
    resumed = train(Corridor(), config(trainer_type, max_steps=first.get_step + 50), tmp_path, resume=True)
    assert resumed.get_step > first.get_step


def test_stock_trainer_leaves_no_half_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that breaks off while it writes keeps the last whole one."""
    train(Corridor(), config("ppo"), tmp_path)
    before = {file.name: file.read_bytes() for file in (tmp_path / BEHAVIOR).iterdir()}

    def cut_off(state: dict, file: object) -> None:
        Path(str(file)).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", cut_off)
    with pytest.raises(KeyboardInterrupt):
        train(Corridor(), config("ppo", max_steps=400), tmp_path, resume=True)
    assert {file.name: file.read_bytes() for file in (tmp_path / BEHAVIOR).iterdir()} == before


def test_stock_trainer_does_not_write_numbers_that_are_not_finite(tmp_path: Path) -> None:
    """The run ends with a line that says so, and goes on from the last checkpoint."""
    trainer = train(Corridor(), config("ppo"), tmp_path)
    next(trainer.policy.actor.parameters()).data.fill_(float("nan"))
    before = (tmp_path / BEHAVIOR / DEFAULT_CHECKPOINT_NAME).read_bytes()
    with pytest.raises(UnityTrainerException, match=f"^{BEHAVIOR}: the checkpoint at step .* not finite.*--resume"):
        trainer.save_model()
    assert (tmp_path / BEHAVIOR / DEFAULT_CHECKPOINT_NAME).read_bytes() == before
