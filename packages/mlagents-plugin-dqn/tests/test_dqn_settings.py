"""Hyperparameters: defaults that follow from others, and faults."""

import pytest
from mlagents.plugins.trainer_type import register_trainer_plugins
from mlagents.trainers.exception import TrainerConfigError
from mlagents.trainers.settings import RunOptions, strict_to_cls

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
        {"n_step": 1_000_000_000},
        {"burn_in": 1_000_000_000},
        {"reward_window": 10**20},
        {"num_atoms": 10**12, "distribution": "categorical"},
        {"num_quantiles": 10**12, "distribution": "quantile"},
        {"steps_per_update": 1e-320},
        {"tau": 1.5},
        {"tau": 0.0},
        {"exploration_initial_eps": 2},
        {"exploration_final_eps": -0.1},
        {"exploration_steps": 0},
        {"exploration_repeat": 0},
        {"export_epsilon": 1.1},
        {"export_epsilon": -0.5},
        {"exploration_repeat": 10_001},
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


def remarks(hyperparameters: dict, caplog: pytest.LogCaptureFixture, **others) -> str:
    """The warning about a file with a behaviour."""
    register_trainer_plugins()
    behavior = {"trainer_type": "dqn", "hyperparameters": hyperparameters, **others}
    RunOptions.from_dict({"behaviors": {"Basic": behavior}})
    return caplog.text


RND = {"reward_signals": {"extrinsic": {}, "rnd": {"strength": 0.1}}}


@pytest.mark.parametrize(
    ("options", "silent", "around"),
    [
        ({"burn_in": 8}, {}, {"network_settings": {"memory": {"memory_size": 8, "sequence_length": 4}}}),
        ({"v_min": -1.0}, {"distribution": "categorical"}, {}),
        ({"v_max": 1.0}, {"distribution": "categorical"}, {}),
        ({"num_atoms": 21}, {"preset": "rainbow"}, {}),
        ({"num_quantiles": 21}, {"distribution": "quantile"}, {}),
        ({"munchausen_alpha": 0.5}, {"munchausen": True}, {}),
        ({"munchausen_temperature": 0.5}, {"preset": "btr"}, {}),
        ({"priority_alpha": 0.5}, {"prioritized_replay": True}, {}),
        ({"priority_initial_beta": 0.5}, {"preset": "rainbow"}, {}),
        ({"exploration_final_eps": 0.01, "noisy": True}, {"noisy": False}, {}),
        ({"exploration_steps": 100, "preset": "rainbow"}, {"noisy": False}, {}),
        ({"exploration_repeat": 16, "noisy": True}, {"noisy": False}, {}),
        ({"exploration_initial_eps": 0.5, "exploration": "ladder"}, {"exploration": "schedule"}, {}),
        ({"exploration_final_eps": 0.5, "exploration_schedule": "constant"}, {"exploration_schedule": "linear"}, {}),
        ({"double": True, "munchausen": True}, {"munchausen": False}, {}),
        ({"loss": "huber", "distribution": "quantile"}, {"distribution": "none"}, {}),
        ({"demo_ratio": 0.25}, {"demo_path": "a.demo"}, {}),
        ({"demo_margin": 0.5, "demo_margin_weight": 0.0, "demo_path": "a.demo"}, {"demo_margin_weight": 0.5}, {}),
        ({"reward_signal_steps_per_update": 8}, {}, RND),
    ],
)
def test_key_without_effect_is_named_unless_it_has_one(options: dict, silent: dict, around: dict, caplog) -> None:
    """With the control; what a preset sets does not count as written."""
    assert f"Basic: without effect for trainer_type dqn: {next(iter(options))} (" in remarks(options, caplog)
    caplog.clear()
    assert remarks({**options, **silent}, caplog, **around) == ""


def test_file_of_ppo_is_taken_with_one_warning(caplog) -> None:
    """Its keys that DQN does not have, and a buffer, a batch and a horizon that are right for rollouts only."""
    ppo = {"batch_size": 1024, "buffer_size": 2048, "epsilon": 0.2, "beta": 0.005, "lambd": 0.95, "num_epoch": 3}
    text = remarks(ppo, caplog, max_steps=500000, time_horizon=1000)
    assert len(caplog.records) == 1
    assert "time_horizon: 1000 lets steps wait" in text
    assert all(f"{key} (a key of ppo, poca)" in text for key in ("epsilon", "beta", "lambd", "num_epoch"))
    assert "buffer_size: 2048 is a replay that forgets after 2,048 of 500,000 steps" in text
    assert "batch_size: 1024 transitions" in text


def test_signals_are_updated_as_often_as_the_policy() -> None:
    """As in ML-Agents' SAC, unless the file says otherwise."""
    assert strict_to_cls({"steps_per_update": 16}, DQNSettings).reward_signal_steps_per_update == 16
    both = {"steps_per_update": 16, "reward_signal_steps_per_update": 2}
    assert strict_to_cls(both, DQNSettings).reward_signal_steps_per_update == 2


@pytest.mark.parametrize("options", [{"buffer_init_steps": 500}, {"batch_size": 300}, {"steps_per_update": 500}])
def test_run_without_an_update_is_refused(options: dict) -> None:
    """It would end before the first one."""
    behavior = {"trainer_type": "dqn", "max_steps": 301, "hyperparameters": {"batch_size": 16, **options}}
    register_trainer_plugins()
    with pytest.raises(TrainerConfigError, match=f"Basic: max_steps: 301 is .* nothing .*{next(iter(options))} "):
        RunOptions.from_dict({"behaviors": {"Basic": behavior}})
