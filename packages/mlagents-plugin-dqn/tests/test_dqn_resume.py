"""A run that is killed after a checkpoint and resumed ends with the same parameters as one that was not."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dqn_runs import config
from mlagents_plugin_dqn.trainer import DQNTrainer
from mlagents_plugin_shared.run.checkpoints import CheckpointSaver
from mlagents_plugin_shared.testing import Match, Recall, differences, killed_and_resumed, record, train


@pytest.fixture(autouse=True)
def _no_export(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exports take most of the time of these runs; that they make no difference is seen with A2C."""
    monkeypatch.setattr(CheckpointSaver, "export", lambda self, path, name: Path(f"{path}.onnx").touch())


def settings(hyperparameters: dict[str, Any] | None = None, **others: Any) -> dict[str, Any]:
    """A run of 240 steps with a checkpoint at 130, whose replay is saved and overwrites its oldest rows."""
    values = {"steps_per_update": 6, "save_replay_buffer": True, "buffer_size": 150, **(hyperparameters or {})}
    return config(240, values, checkpoint_interval=130, **others)


def test_dqn_resumes_demonstrations_bit_for_bit(tmp_path: Path) -> None:
    """The priorities of demonstrations go on, and how many of a batch they are."""
    demo = record(Match(1), lambda seen: [int(np.argmax(seen[:3])), 0, 0], tmp_path / "match.demo", decisions=30)
    demonstrated = {"demo_path": demo, "demo_ratio": 0.3, "prioritized_replay": True}
    assert differences(*killed_and_resumed(Match, settings(demonstrated), tmp_path)) == []


def test_dqn_resumes_states_that_were_computed_anew_bit_for_bit(tmp_path: Path) -> None:
    """They are of the network at the last refresh, and the next one comes when it would have."""
    demo = record(Recall(1), lambda seen: [int(seen[1] > 0)], tmp_path / "recall.demo", decisions=60)
    refreshed = {"demo_path": demo, "memory_refresh_interval": 7, "memory_refresh_replay": True}
    changed = settings(refreshed, network_settings={"memory": {"memory_size": 8, "sequence_length": 2}})
    assert differences(*killed_and_resumed(Recall, changed, tmp_path)) == []


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("after", [False, True])
def test_dqn_says_that_values_are_in_another_scale(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, before: bool, after: bool
) -> None:
    """Where `value_rescaling` is not as it was; the moments, of other gradients, begin anew then."""
    train(Match(1), {**settings({"value_rescaling": before}), "max_steps": 120}, tmp_path)
    with caplog.at_level("WARNING"):
        train(Match(1), {**settings({"value_rescaling": after}), "max_steps": 121}, tmp_path, resume=True)
    assert ("another value_rescaling" in caplog.text) == (before != after)


@pytest.mark.parametrize("v_max", [10.0, 20.0])
def test_dqn_moves_its_atoms_where_the_file_says(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, v_max: float
) -> None:
    """Those of the checkpoint would win without a word; the control keeps them, and nothing is said."""
    categorical = {"distribution": "categorical", "v_max": 10.0}
    train(Match(1), {**settings(categorical), "max_steps": 120}, tmp_path)
    with caplog.at_level("WARNING"):
        resumed = settings({**categorical, "v_max": v_max})
        trainer = train(Match(1), {**resumed, "max_steps": 121}, tmp_path, resume=True)
    heads = [network.head for network in (trainer.optimizer.online, trainer.optimizer.target)]
    assert [head.support[-1].item() for head in heads] == [v_max, v_max]
    assert ("another v_min or v_max" in caplog.text) == (v_max != 10.0)


def forget_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DQNTrainer, "_resume_replay", lambda self: None)


def forget_updates_due(monkeypatch: pytest.MonkeyPatch) -> None:
    def restore(self: DQNTrainer, state: dict[str, Any]) -> None:
        original(self, {**state, "updates_due": state["updates_due"] + 0.5})

    original = DQNTrainer._load_due_state
    monkeypatch.setattr(DQNTrainer, "_load_due_state", restore)


@pytest.mark.parametrize("forget", [forget_replay, forget_updates_due])
def test_dqn_that_forgets_something_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forget: Any) -> None:
    """The control of the contract's test: what is not restored shows in the parameters."""
    forget(monkeypatch)
    found = differences(*killed_and_resumed(Match, settings(), tmp_path))
    assert any(name.startswith("/Policy/") for name in found)
