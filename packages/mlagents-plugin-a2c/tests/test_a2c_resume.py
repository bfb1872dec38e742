"""A run that is killed after a checkpoint and resumed ends with the same parameters as one that was not."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlagents.torch_utils import torch
from mlagents_envs.base_env import DecisionSteps

from a2c_testing import trainer
from mlagents_plugin_a2c.trainer import A2CTrainer
from mlagents_plugin_shared.testing import (
    BEHAVIOR,
    Match,
    Target,
    differences,
    killed_and_resumed,
    rewrite_as_0_1,
    train,
)


def settings(hyperparameters: dict[str, Any] | None = None, memory: Any = None) -> dict[str, Any]:
    """A run of 240 steps with a checkpoint at 130, in the middle of a rollout of 50 or more."""
    return {
        "trainer_type": "a2c",
        "max_steps": 240,
        "checkpoint_interval": 130,
        "time_horizon": 8,
        "hyperparameters": {"buffer_size": 50, **(hyperparameters or {})},
        "network_settings": {"hidden_units": 16, "num_layers": 1, "normalize": True, "memory": memory},
    }


@pytest.mark.parametrize("first", [{}, {"use_sde": True}])
def test_a2c_resumes_with_other_noise(tmp_path: Path, first: dict[str, Any]) -> None:
    """State-dependent noise that the checkpoint does not hold, or holds for a smaller network, begins anew."""
    train(Target(4), settings(first), tmp_path)
    larger = settings({"use_sde": True})
    larger["network_settings"]["hidden_units"], larger["max_steps"] = 24, 300
    resumed = train(Target(4), larger, tmp_path, resume=True)
    assert resumed.get_step >= 300
    assert resumed.policy.agents["theta"].shape[1:] == (24, 1)


def test_a2c_resumes_noise_of_the_first_release(tmp_path: Path) -> None:
    """Its checkpoints hold a row of noise for each place in the batch: the noise begins anew, the rest goes on."""
    train(Target(4), settings({"use_sde": True}), tmp_path)
    file = tmp_path / BEHAVIOR / "checkpoint.pt"
    rewrite_as_0_1(file, {"noise": {"theta": torch.zeros(4, 16, 1), "decisions": 5}})
    resumed = train(Target(4), {**settings({"use_sde": True}), "max_steps": 300}, tmp_path, resume=True)
    assert resumed.get_step >= 300
    assert resumed.optimizer.guard.skipped == 0


def decide(a2c: A2CTrainer, agents: int) -> np.ndarray:
    """[agents, C] actions in one state."""
    none = np.zeros(agents, np.float32)
    states = [np.ones((agents, 4), np.float32)]
    steps = DecisionSteps(states, none, np.arange(agents), None, none.astype(np.int32), none)
    return a2c.policy.get_action(steps).outputs["action"].continuous


def test_noise_functions_go_on_from_a_checkpoint() -> None:
    """Two of four decisions are over: for two more the functions are those of before, and then the same new ones."""
    arguments: dict[str, Any] = {"actions": "continuous", "use_sde": True, "sde_sample_freq": 4}
    first, second = trainer(**arguments), trainer(**arguments)
    for _ in range(2):
        decide(first, 3)
    first.chance.note()
    second.chance.load_state_dict(first.chance.state_dict())
    before = decide(first, 3)
    np.testing.assert_array_equal(decide(second, 3), before)
    np.testing.assert_array_equal(decide(second, 3), decide(first, 3))
    afterwards = decide(second, 3)
    np.testing.assert_array_equal(afterwards, decide(first, 3))
    assert not np.isclose(afterwards, before).any()


def forget_rollout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlagents_plugin_shared.data.RolloutBuffer.load_state_dict", lambda self, state: None)


def test_a2c_that_forgets_its_rollout_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the contract's test: what is not restored shows in the parameters."""
    forget_rollout(monkeypatch)
    found = differences(*killed_and_resumed(Match, settings(), tmp_path))
    assert any(name.startswith("/Policy/") for name in found)
