"""Whole runs in process on tasks of a few lines, each with a control that must fail."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlagents_plugin_shared.testing import (
    Corridor,
    Goal,
    Match,
    ToyEnv,
    train,
)

SWITCHES: list[dict[str, Any]] = [
    {"normalize_returns": True, "value_loss": "huber", "orthogonal_init": True, "conditional_sigma": True},
    {"normalize_advantage": True, "tanh_squash": True, "shared_critic": True, "optimizer": "rmsprop"},
]


def config(max_steps: int, *, memory: Any = None, **hyperparameters: Any) -> dict:
    """Settings that solve the toy tasks."""
    return {
        "trainer_type": "a2c",
        "max_steps": max_steps,
        "time_horizon": 8,
        "hyperparameters": {"learning_rate": 3e-3, "buffer_size": 64, **hyperparameters},
        "network_settings": {"hidden_units": 32, "num_layers": 1, "memory": memory},
    }


def final_return(env: ToyEnv) -> float:
    """Mean of the last 100 episodes."""
    return float(np.mean(env.returns[-100:]))


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    ("keys", "learns"),
    [({}, True), ({"learning_rate": 5e-3}, True), ({"learning_rate": 5e-3, "optimizer": "rmsprop"}, False)],
    ids=["defaults", "learning rate of PPO files", "RMSprop"],
)
def test_a2c_learns_with_the_keys_of_unitys_example(tmp_path: Path, keys: dict, learns: bool, seed: int) -> None:
    """Nearly always right by default; the control: RMSprop's first step, ten times as long, breaks the hypernetwork."""
    example = {"beta": 1e-3, "lambd": 0.99, "learning_rate_schedule": "linear", "num_epoch": 1}
    settings = config(4000)
    settings["hyperparameters"] = {"buffer_size": 64, **example, **keys}
    settings["network_settings"] = {"hidden_units": 64, "num_layers": 2}
    env = Goal(16, seed=seed)
    train(env, settings, tmp_path, seed=seed)
    assert (final_return(env) >= 0.9) == learns


@pytest.mark.parametrize("switches", SWITCHES, ids=lambda switches: "-".join(switches))
def test_a2c_learns_with_every_switch(tmp_path: Path, switches: dict) -> None:
    """What can be switched on, in two halves, reaches the bound of the defaults."""
    env = Match(16, continuous=True)
    train(env, config(16000, **switches), tmp_path)
    assert final_return(env) >= 0.75


def test_a2c_corrects_what_older_policies_did(tmp_path: Path) -> None:
    """In a thread, with segments far longer than a rollout, V-trace still solves the corridor."""
    env = Corridor()
    settings = config(8000, off_policy_correction="vtrace", buffer_size=32)
    train(env, {**settings, "time_horizon": 64, "threaded": True}, tmp_path)
    assert final_return(env) >= 0.6
