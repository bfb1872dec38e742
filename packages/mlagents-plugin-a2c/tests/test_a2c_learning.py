"""Whole runs in process on tasks of a few lines, each with a control that must fail."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlagents.torch_utils import torch

from mlagents_plugin_shared.testing import (
    Corridor,
    Crowd,
    Duel,
    Goal,
    MaskedGrid,
    Match,
    Picture,
    Recall,
    Target,
    ToyEnv,
    train,
)

MEMORY = {"memory_size": 16, "sequence_length": 4}
SELF_PLAY = {"save_steps": 200, "swap_steps": 100, "team_change": 1000}
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


@pytest.mark.parametrize(
    ("env", "max_steps", "enough"),
    [
        (Corridor(8), 6000, 0.6),  # discrete; best 0.8
        (MaskedGrid(8), 6000, 0.5),  # discrete, by a mask that changes; best 0.7
        (Target(16), 10000, 0.8),  # continuous; best 1, and the policy's noise costs some
        (Match(16), 12000, 0.9),  # three branches
        (Match(16, continuous=True), 16000, 0.75),  # hybrid
    ],
)
def test_a2c_solves_every_action_type(tmp_path: Path, env: ToyEnv, max_steps: int, enough: float) -> None:
    """Discrete, masked, continuous, multi-branch and hybrid actions."""
    train(env, config(max_steps), tmp_path)
    assert final_return(env) >= enough
    assert env.illegal_actions == 0


@pytest.mark.parametrize(
    ("env", "enough"),
    [
        (Corridor(16), 0.6),
        (MaskedGrid(16), 0.5),
        (Target(16), 0.8),
        (Match(16), 0.9),
        (Match(16, continuous=True), 0.75),
    ],
)
def test_a2c_without_learning_fails(tmp_path: Path, env: ToyEnv, enough: float) -> None:
    """The control: learning rate 0 (next to it; 0 is refused) does not reach the bounds above."""
    train(env, config(2000, learning_rate=1e-12), tmp_path)
    assert final_return(env) < enough


@pytest.mark.parametrize("blind", [False, True])
@pytest.mark.parametrize(("task", "max_steps"), [(Picture, 3000), (Crowd, 6000), (Goal, 4000)])
def test_a2c_sees(tmp_path: Path, task: type[ToyEnv], max_steps: int, blind: bool) -> None:
    """Pictures, entities of any number, goal signals: nearly always right, and chance where there is nothing to see."""
    env = (blinded(task) if blind else task)(16)
    train(env, config(max_steps), tmp_path)
    assert (final_return(env) >= 0.8) == (not blind)


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


def blinded(task: type[ToyEnv]) -> type[ToyEnv]:
    """A task that shows ones everywhere."""
    return type("Blind", (task,), {"observe": lambda self: [np.ones_like(rows) for rows in task.observe(self)]})


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


@pytest.mark.parametrize(("memory", "low", "high"), [(MEMORY, 0.7, 1.0), (None, -1.0, 0.5)])
def test_a2c_remembers_with_memory_only(tmp_path: Path, memory: Any, low: float, high: float) -> None:
    """A sign seen two steps ago: nearly always right with memory, chance without."""
    env = Recall()
    train(env, config(10000, memory=memory), tmp_path)
    assert low <= final_return(env) <= high


def test_a2c_plays_itself(tmp_path: Path) -> None:
    """Through ML-Agents' ghost trainer the policy learns to call the winning number nearly always."""
    assert share_of_winning_calls(train(Duel(), {**config(4000), "self_play": SELF_PLAY}, tmp_path)) > 0.8


def test_a2c_playing_itself_without_learning_fails(tmp_path: Path) -> None:
    """The control: with a learning rate next to 0 it calls anything."""
    settings = {**config(1000, learning_rate=1e-12), "self_play": SELF_PLAY}
    assert share_of_winning_calls(train(Duel(), settings, tmp_path)) < 0.8


def share_of_winning_calls(trainer: Any) -> float:
    """How often the policy of team 0 calls 2."""
    duel = Duel(num_agents=200)
    duel.reset()
    actions = trainer.policies["Toy?team=0"].get_action(duel.get_steps("Toy?team=0")[0]).env_action.discrete
    return float((actions == 2).mean())


@pytest.mark.parametrize("threaded", [False, True])
def test_a2c_resumes(tmp_path: Path, threaded: bool) -> None:
    """The step goes on where it was, and a model has been exported."""
    settings = {**config(1000), "threaded": threaded}
    first = train(Corridor(), settings, tmp_path)
    assert (tmp_path / "Toy.onnx").exists()
    settings["max_steps"] = 1500
    assert train(Corridor(), settings, tmp_path, resume=True).get_step >= 1500 > first.get_step


def test_a2c_infers_without_learning(tmp_path: Path) -> None:
    """The weights stay, and no checkpoint is written."""
    settings = {**config(500), "checkpoint_interval": 100}
    first = train(Corridor(), settings, tmp_path)
    files = sorted(tmp_path.rglob("*.pt"))
    second = train(Corridor(max_steps=100), settings, tmp_path, resume=True, inference=True)
    for before, after in zip(first.policy.actor.parameters(), second.policy.actor.parameters(), strict=True):
        assert torch.equal(before, after)
    assert sorted(tmp_path.rglob("*.pt")) == files


@pytest.mark.parametrize("memory", [None, MEMORY])
def test_a2c_trains_with_intrinsic_rewards(tmp_path: Path, memory: Any) -> None:
    """Curiosity and RND beside the extrinsic reward, each with its own discount, with and without memory."""
    signals = {
        "extrinsic": {"gamma": 0.99},
        "curiosity": {"gamma": 0.9, "strength": 0.01},
        "rnd": {"gamma": 0.8, "strength": 0.01},
    }
    trainer = train(Corridor(), {**config(300, memory=memory), "reward_signals": signals}, tmp_path)
    assert list(trainer.optimizer.streams) == ["extrinsic", "curiosity", "rnd"]
    assert all(torch.isfinite(parameter).all() for parameter in trainer.policy.actor.parameters())
    assert trainer.optimizer.reward_signals["curiosity"]._has_updated_once
