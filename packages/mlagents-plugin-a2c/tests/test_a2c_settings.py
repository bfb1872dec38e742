"""Hyperparameters: defaults that follow from others, and faults."""

import pytest
from mlagents.trainers.exception import TrainerConfigError
from mlagents.trainers.settings import ScheduleType, strict_to_cls

from mlagents_plugin_a2c.settings import PRESETS, A2CSettings, Activation, OptimizerType, Preset

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


@pytest.mark.parametrize(
    ("options", "optimizer", "learning_rate"),
    [
        ({}, OptimizerType.ADAM, 1e-3),
        ({"optimizer": "rmsprop"}, OptimizerType.RMSPROP, 7e-4),
        ({"optimizer": "rmsprop_tf"}, OptimizerType.RMSPROP_TF, 7e-4),
        ({"learning_rate": 3e-3}, OptimizerType.ADAM, 3e-3),
        ({"preset": "baselines"}, OptimizerType.RMSPROP_TF, 7e-4),
        ({"preset": "baselines", "optimizer": "adam"}, OptimizerType.ADAM, 1e-3),
    ],
)
def test_learning_rate_fits_the_optimizer(options: dict, optimizer: OptimizerType, learning_rate: float) -> None:
    """Adam unless told, as in PPO; a rate that is not written is that of the optimizer which is."""
    settings = strict_to_cls(options, A2CSettings)
    assert (settings.optimizer, settings.learning_rate) == (optimizer, learning_rate)


def test_preset_baselines_is_the_a2c_of_openai_baselines() -> None:
    """RMSprop as TensorFlow had it, 7e-4 falling to 0, n-step returns, an entropy bonus that stays, one network."""
    settings = strict_to_cls({"preset": "baselines"}, A2CSettings)
    assert (settings.learning_rate_schedule, settings.beta_schedule) == (ScheduleType.LINEAR, ScheduleType.CONSTANT)
    assert (settings.beta, settings.lambd, settings.value_coefficient, settings.max_grad_norm) == (0.01, 1.0, 0.5, 0.5)
    assert (settings.shared_critic, settings.orthogonal_init, settings.activation) == (True, True, Activation.TANH)


@pytest.mark.parametrize("key", PRESETS[Preset.BASELINES])
def test_a_key_beside_a_preset_wins(key: str) -> None:
    """Written out with another value than the preset's; the other keys stay."""
    others = {"optimizer": "adam", "learning_rate_schedule": "constant", "beta_schedule": "linear"}
    value = others.get(key, {"beta": 0.5, "lambd": 0.9, "activation": "swish"}.get(key, False))
    settings = strict_to_cls({"preset": "baselines", key: value}, A2CSettings)
    found = {name: getattr(settings, name) for name in PRESETS[Preset.BASELINES]}
    assert getattr(found[key], "value", found[key]) == value
    assert {name for name, default in PRESETS[Preset.BASELINES].items() if found[name] != default} == {key}


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
        {"preset": "baseline"},
        {"activation": "relu"},
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
