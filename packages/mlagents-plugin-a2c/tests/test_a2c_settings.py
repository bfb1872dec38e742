"""Hyperparameters: defaults that follow from others, and faults."""

import pytest
from mlagents.trainers.exception import TrainerConfigError
from mlagents.trainers.settings import ScheduleType, strict_to_cls

from mlagents_plugin_a2c.settings import A2CSettings

UNITY_3DBALL = {  # the hyperparameters of Unity's a2c_3DBall.yaml
    "batch_size": 1000,
    "buffer_size": 1000,
    "learning_rate": 0.0003,
    "beta": 0.001,
    "lambd": 0.99,
    "num_epoch": 1,
    "learning_rate_schedule": "linear",
}


def test_settings_accept_the_keys_of_unitys_example() -> None:
    """Every key is known and keeps its value."""
    settings = strict_to_cls(UNITY_3DBALL, A2CSettings)
    assert (settings.batch_size, settings.lambd, settings.beta) == (1000, 0.99, 0.001)
    assert settings.beta_schedule == ScheduleType.LINEAR


def test_batch_size_defaults_to_the_whole_rollout() -> None:
    """A file with a buffer_size alone is valid."""
    assert strict_to_cls({"buffer_size": 256}, A2CSettings).batch_size == 256


def test_several_epochs_are_refused() -> None:
    """num_epoch 3 would be off-policy without a ratio: the message says what to use instead."""
    with pytest.raises(TrainerConfigError, match=r"num_epoch: 3.*trainer_type: ppo"):
        strict_to_cls({"num_epoch": 3}, A2CSettings)


@pytest.mark.parametrize(
    "options",
    [
        {"learning_rate": -3e-4},
        {"batch_size": 100, "buffer_size": 50},
        {"beta": -1},
        {"lambd": 1.1},
        {"value_coefficient": -1},
        {"max_grad_norm": -0.5},
        {"optimizer": "sgdd"},
        {"value_loss": "mae"},
        {"off_policy_correction": "retrace"},
        {"learning_rte": 1e-3},
        {"sde_sample_freq": 0},
        {"use_sde": True, "tanh_squash": True},
        {"use_sde": True, "conditional_sigma": True},
    ],
)
def test_faulty_settings_are_refused_by_name(options: dict) -> None:
    """One line that names the key and its value."""
    with pytest.raises(TrainerConfigError) as error:
        strict_to_cls(options, A2CSettings)
    key, value = next(iter(options.items()))
    assert key in str(error.value)
    assert str(value) in str(error.value) or "did you mean learning_rate?" in str(error.value)
    assert "\n" not in str(error.value)
