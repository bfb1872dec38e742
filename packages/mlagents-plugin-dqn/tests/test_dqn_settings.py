"""Hyperparameters: defaults that follow from others, and faults."""

import pytest
from mlagents.trainers.exception import TrainerConfigError
from mlagents.trainers.settings import strict_to_cls

from mlagents_plugin_dqn.settings import DQNSettings

UNITY_BASIC = {  # the hyperparameters of Unity's dqn_basic.yaml
    "learning_rate": 0.0003,
    "learning_rate_schedule": "constant",
    "batch_size": 64,
    "buffer_size": 50000,
    "tau": 0.005,
    "steps_per_update": 10.0,
    "save_replay_buffer": False,
    "exploration_schedule": "linear",
    "exploration_initial_eps": 0.8,
    "exploration_final_eps": 0.05,
}


def test_settings_accept_the_keys_of_unitys_example() -> None:
    """Every key is known and keeps its value."""
    settings = strict_to_cls(UNITY_BASIC, DQNSettings)
    assert (settings.tau, settings.exploration_initial_eps, settings.steps_per_update) == (0.005, 0.8, 10.0)


@pytest.mark.parametrize(
    ("options", "interval"),
    [
        ({}, 1000),
        ({"tau": 0.005}, 1),
        ({"target_update_interval": 50}, 50),
        ({"tau": 0.5, "target_update_interval": 4}, 4),
        ({"preset": "btr"}, 500),
        ({"preset": "btr", "tau": 0.5}, 1),
    ],
)
def test_target_update_interval_follows_tau(options: dict, interval: int) -> None:
    """A soft target moves at every update, a hard one every 1000, unless the file says otherwise."""
    assert strict_to_cls(options, DQNSettings).target_update_interval == interval


@pytest.mark.parametrize(
    "options",
    [
        {"learning_rate": -3e-4},
        {"batch_size": 100, "buffer_size": 50},
        {"n_step": 0},
        {"tau": 1.5},
        {"tau": 0.0},
        {"exploration_initial_eps": 2},
        {"exploration_final_eps": -0.1},
        {"exploration_steps": 0},
        {"steps_per_update": 0},
        {"target_update_interval": 0},
        {"max_grad_norm": -1},
        {"loss": "hubert"},
        {"exploration_shedule": "linear"},
    ],
)
def test_faulty_settings_are_refused_by_name(options: dict) -> None:
    """One line that names the key and its value."""
    with pytest.raises(TrainerConfigError) as error:
        strict_to_cls(options, DQNSettings)
    key, value = next(iter(options.items()))
    assert key in str(error.value)
    assert str(value) in str(error.value) or "did you mean" in str(error.value)
    assert "\n" not in str(error.value)
