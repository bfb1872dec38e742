"""An algorithm of sixty lines on `ActorCriticOptimizer` and `RolloutTrainer` learns: a PPO, see ppo.py."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlagents.plugins import all_trainer_settings, all_trainer_types

from mlagents_plugin_shared.testing import Corridor, Match, Recall, ToyEnv, differences, killed_and_resumed, train
from ppo import TinyPPOSettings, TinyPPOTrainer

MEMORY = {"memory_size": 16, "sequence_length": 4}


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Registers it, as an entry point would."""
    monkeypatch.setitem(all_trainer_types, "tiny_ppo", TinyPPOTrainer)
    monkeypatch.setitem(all_trainer_settings, "tiny_ppo", TinyPPOSettings)


def config(max_steps: int, *, memory: Any = None, **hyperparameters: Any) -> dict[str, Any]:
    """Settings that solve the toy tasks."""
    rates = {"learning_rate": 3e-3, "batch_size": 64, "buffer_size": 512}
    return {
        "trainer_type": "tiny_ppo",
        "max_steps": max_steps,
        "time_horizon": 32,
        "hyperparameters": {**rates, **hyperparameters},
        "network_settings": {"hidden_units": 32, "num_layers": 1, "memory": memory},
    }


def final_return(env: ToyEnv) -> float:
    """Mean of the last 100 episodes."""
    return float(np.mean(env.returns[-100:]))


@pytest.mark.parametrize(
    ("env", "enough", "settings"),
    [
        (Corridor(16), 0.6, {}),  # best 0.8
        (Corridor(16), 0.6, {"shared_critic": True}),
        (Match(16, continuous=True), 0.75, {"num_epoch": 5}),  # hybrid; best 1
        (Recall(16), 0.8, {"memory": MEMORY}),  # best 1
    ],
    ids=["discrete", "shared critic", "hybrid", "memory"],
)
def test_ppo_on_the_shared_bases_learns(tmp_path: Path, env: ToyEnv, enough: float, settings: dict) -> None:
    """With a critic of its own, with a shared one, for every kind of action, and with memory."""
    train(env, config(8000, **settings), tmp_path)
    assert final_return(env) >= enough


@pytest.mark.parametrize(
    "env", [Corridor(16), Match(16, continuous=True), Recall(16)], ids=lambda env: type(env).__name__
)
def test_ppo_without_learning_fails(tmp_path: Path, env: ToyEnv) -> None:
    """The control: a learning rate of next to 0 stays far below the bounds above."""
    memory = MEMORY if isinstance(env, Recall) else None
    train(env, config(4000, learning_rate=1e-12, memory=memory), tmp_path)
    assert final_return(env) < 0.5


@pytest.mark.parametrize("memory", [None, {"memory_size": 8, "sequence_length": 2}], ids=["feed-forward", "memory"])
def test_ppo_resumes_bit_for_bit(tmp_path: Path, memory: Any) -> None:
    """Minibatches are shuffled after a checkpoint as they would have been without it."""
    settings = {**config(240, memory=memory, buffer_size=50, batch_size=10), "checkpoint_interval": 130}
    settings["time_horizon"] = 8
    assert differences(*killed_and_resumed(Match, settings, tmp_path)) == []


def test_ppo_that_shuffles_otherwise_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: the order of minibatches shows in the parameters."""
    whole = train(Corridor(), config(600, buffer_size=200), tmp_path / "a")
    monkeypatch.setattr(TinyPPOTrainer, "stream_seed", lambda self, *part: 5)
    other = train(Corridor(), config(600, buffer_size=200), tmp_path / "b")
    assert differences(whole, other)
