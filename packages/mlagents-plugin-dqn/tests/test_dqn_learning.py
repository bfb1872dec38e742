"""Whole runs in process on tasks of a few lines, each with a control that must fail."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlagents.torch_utils import torch

from mlagents_plugin_shared.testing import Corridor, Duel, Match, Recall, train

MEMORY = {"memory_size": 16, "sequence_length": 4}
SELF_PLAY = {"save_steps": 200, "swap_steps": 100, "team_change": 1000}


def config(max_steps: int, *, memory: Any = None, learning_rate: float = 2e-3, **settings: Any) -> dict:
    """Settings that solve the toy tasks."""
    return {
        "trainer_type": "dqn",
        "max_steps": max_steps,
        "time_horizon": 8,
        "hyperparameters": {
            "learning_rate": learning_rate,
            "batch_size": 64,
            "buffer_size": 5000,
            "steps_per_update": 2,
            "target_update_interval": 50,
            "exploration_steps": max_steps // 2,
        },
        "network_settings": {"hidden_units": 32, "num_layers": 1, "memory": memory},
        **settings,
    }


def final_return(env) -> float:
    """Mean of the last 100 episodes."""
    return float(np.mean(env.returns[-100:]))


@pytest.mark.parametrize("masked", [False, True])
def test_dqn_solves_the_corridor(tmp_path: Path, masked: bool) -> None:
    """At least 0.7 of 0.8, and with masks no illegal action in the whole run."""
    env = Corridor(masked=masked)
    train(env, config(2000), tmp_path)
    assert final_return(env) >= 0.7
    assert env.illegal_actions == 0


def test_dqn_without_learning_fails_the_corridor(tmp_path: Path) -> None:
    """The control: learning rate 0 (next to it; 0 is refused)."""
    env = Corridor()
    train(env, config(2000, learning_rate=1e-12), tmp_path)
    assert final_return(env) < 0.5


def test_dqn_learns_several_branches(tmp_path: Path) -> None:
    """Three branches at once: at least 0.9 of 1, where chance gives 0.39."""
    env = Match()
    train(env, config(2000), tmp_path)
    assert final_return(env) >= 0.9


@pytest.mark.parametrize(("memory", "low", "high"), [(MEMORY, 0.8, 1.0), (None, -1.0, 0.5)])
def test_dqn_remembers_with_memory_only(tmp_path: Path, memory: Any, low: float, high: float) -> None:
    """A sign seen two steps ago: nearly always right with memory, chance without."""
    env = Recall()
    train(env, config(4000, memory=memory), tmp_path)
    assert low <= final_return(env) <= high


def test_dqn_plays_itself(tmp_path: Path) -> None:
    """Through ML-Agents' ghost trainer the policy learns to call the winning number, and stops exploring."""
    trainer = train(Duel(), config(2000, self_play=SELF_PLAY), tmp_path)
    acting = trainer.policies["Toy?team=0"]
    assert acting.get_current_step() > 0
    steps = Duel()
    steps.reset()
    acting.epsilon = lambda step: 0.0
    actions = acting.get_action(steps.get_steps("Toy?team=0")[0]).env_action.discrete
    assert (actions == 2).all()


@pytest.mark.parametrize("threaded", [False, True])
def test_dqn_resumes(tmp_path: Path, threaded: bool) -> None:
    """Step, weights, target network and replay go on where they were; the run ends without exploration anew."""
    settings = config(1500, threaded=threaded, checkpoint_interval=500)
    settings["hyperparameters"]["save_replay_buffer"] = True
    first = train(Corridor(), settings, tmp_path)
    assert (tmp_path / "Toy.onnx").exists()
    settings["max_steps"] = 2300  # more than the queue of a threaded trainer holds
    second = train(Corridor(seed=1), settings, tmp_path, resume=True)
    assert second.get_step > first.get_step
    assert second.update_buffer.num_experiences > first.update_buffer.num_experiences - 10
    assert second.optimizer.updates.count > first.optimizer.updates.count > 0


def test_dqn_infers_without_exploring_or_learning(tmp_path: Path) -> None:
    """A solved corridor is walked straight to the goal, the weights stay, and no checkpoint is written."""
    settings = config(2000, checkpoint_interval=500)
    first = train(Corridor(), settings, tmp_path)
    files = sorted(tmp_path.rglob("*.pt"))
    env = Corridor(seed=1, max_steps=200)
    second = train(env, settings, tmp_path, resume=True, inference=True)
    assert min(env.returns) >= 0.75
    for before, after in zip(first.policy.actor.parameters(), second.policy.actor.parameters(), strict=True):
        assert torch.equal(before, after)
    assert sorted(tmp_path.rglob("*.pt")) == files


@pytest.mark.parametrize("memory", [None, MEMORY])
def test_dqn_trains_with_intrinsic_rewards(tmp_path: Path, memory: Any) -> None:
    """Curiosity and RND beside the extrinsic reward, each with its own discount, with and without memory."""
    signals = {
        "extrinsic": {"gamma": 0.99},
        "curiosity": {"gamma": 0.9, "strength": 0.01},
        "rnd": {"gamma": 0.8, "strength": 0.01},
    }
    trainer = train(Corridor(), config(300, memory=memory, reward_signals=signals), tmp_path)
    assert list(trainer.optimizer.streams) == ["extrinsic", "curiosity", "rnd"]
    assert all(torch.isfinite(parameter).all() for parameter in trainer.policy.actor.parameters())
    assert trainer.optimizer.reward_signals["curiosity"]._has_updated_once
