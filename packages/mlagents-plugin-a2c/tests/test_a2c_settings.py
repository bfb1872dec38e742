"""Hyperparameters: defaults that follow from others, and faults."""

import attr
import pytest
from mlagents.plugins.trainer_type import register_trainer_plugins
from mlagents.trainers.exception import TrainerConfigError
from mlagents.trainers.ppo.optimizer_torch import PPOSettings
from mlagents.trainers.settings import RunOptions, ScheduleType, strict_to_cls

from mlagents_plugin_a2c.settings import PRESETS, A2CSettings, Activation, OptimizerType, Preset
from mlagents_plugin_shared.run.settings import show

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


def remarks(hyperparameters: dict, caplog: pytest.LogCaptureFixture, **others) -> str:
    """The warning about a file with a behaviour."""
    register_trainer_plugins()
    behavior = {"trainer_type": "a2c", "hyperparameters": hyperparameters, **others}
    RunOptions.from_dict({"behaviors": {"Ball": behavior}})
    return caplog.text


def test_file_of_ppo_is_taken_with_one_warning(caplog) -> None:
    """Its keys that A2C does not have, those without effect, and the one that makes it slow."""
    keys = {key: field.default for key, field in attr.fields_dict(PPOSettings).items()}
    schedules = {key: "linear" for key in keys if key.endswith("schedule")}
    text = remarks({**keys, **schedules, "buffer_size": 12000, "batch_size": 64}, caplog, max_steps=500000)
    assert len(caplog.records) == 1
    assert "Ball: without effect for trainer_type a2c" in text
    assert all(key in text for key in ("epsilon (a key of ppo", "epsilon_schedule (a key of ppo", "num_epoch (A2C"))
    assert "buffer_size: 12000 takes one gradient step in 12,000 agent steps, 41 in the whole run" in text
    assert "lambd" not in text


def test_file_of_sac_is_taken_although_its_replay_is_longer_than_the_run(caplog) -> None:
    """A rollout ends with the run at the latest."""
    keys = {"buffer_size": 200000, "tau": 0.005, "init_entcoef": 0.5, "steps_per_update": 10.0}
    text = remarks(keys, caplog, max_steps=100000)
    assert all(f"{key} (a key of sac)" in text for key in ("tau", "init_entcoef", "steps_per_update"))
    assert "1 in the whole run" in text


@pytest.mark.parametrize(
    ("options", "silent"),
    [
        ({"beta_schedule": "linear"}, {"beta": 0.1}),
        ({"sde_sample_freq": 4}, {"use_sde": True}),
        ({"log_std_init": -2.0}, {"use_sde": True}),
        ({"num_epoch": 3}, {"num_epoch": 1}),
    ],
)
def test_key_without_effect_is_named_unless_it_has_one(options: dict, silent: dict, caplog) -> None:
    """With the control."""
    key = next(iter(options))
    assert f"without effect for trainer_type a2c: {key} (" in remarks(options, caplog)
    caplog.clear()
    assert remarks({**options, **silent}, caplog) == ""


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
    key, value = list(options.items())[0 if "use_sde" not in options else 1]
    assert key in str(error.value)
    assert f"{key}: {show(value)} is not valid" in str(error.value)
    assert "\n" not in str(error.value)
