"""Hyperparameters: presets, what follows from other keys, and what is refused."""

import attr
import pytest
from mlagents.plugins.trainer_type import register_trainer_plugins
from mlagents.trainers.exception import TrainerConfigError
from mlagents.trainers.settings import RunOptions, ScheduleType

from mlagents_plugin_flashsac.settings import PRESETS, Distribution, FlashSACSettings, Preset
from mlagents_plugin_shared.learning.trunk import Normalization
from mlagents_plugin_shared.maths.squashing import WIDEST_DEVIATION

register_trainer_plugins()


def read(hyperparameters: dict, **behavior) -> FlashSACSettings:
    """Settings as `mlagents-learn` reads them."""
    config = {"trainer_type": "flashsac", "hyperparameters": hyperparameters, **behavior}
    return RunOptions.from_dict({"behaviors": {"Toy": config}}).behaviors["Toy"].hyperparameters


@pytest.mark.parametrize("preset", Preset)
def test_presets_set_keys_that_there_are(preset: Preset) -> None:
    """Each value of a preset is that of the settings with it."""
    settings = read({"preset": preset.value})
    assert {key: getattr(settings, key) for key in PRESETS[preset]} == PRESETS[preset]


def test_sac_is_the_classic() -> None:
    """Squared errors of two Q networks with slow copies, at minus the dimension, with nothing normalised or scaled."""
    settings = read({"preset": "sac"})
    assert settings.distribution is Distribution.NONE
    assert settings.normalization is Normalization.NONE
    assert settings.target_sigma is None
    assert settings.tau == 0.005
    assert not any((settings.residual, settings.weight_normalization, settings.reward_scaling))
    assert (settings.noise_repeat, settings.actor_update_interval, settings.init_entcoef) == (1, 1, 1.0)


def test_what_stands_beside_a_preset_wins() -> None:
    """Also where it is what the preset would not say."""
    settings = read({"preset": "crossq", "target_network": True, "tau": 0.02})
    assert settings.target_network
    assert settings.tau == 0.02
    assert settings.normalization is Normalization.BATCH


def test_preset_holds_from_default_settings() -> None:
    """Defaults that follow from it follow, and keys of the behaviour win."""
    behaviors = {"Toy": {"trainer_type": "flashsac", "hyperparameters": {"batch_size": 64}}}
    defaults = {"trainer_type": "flashsac", "hyperparameters": {"preset": "sac"}}
    found = RunOptions.from_dict({"behaviors": behaviors, "default_settings": defaults}).behaviors["Toy"]
    assert found.hyperparameters.batch_size == 64
    assert found.hyperparameters.distribution is Distribution.NONE


def test_default_is_flashsac_on_plain_layers() -> None:
    """With half of the learning rate at the end; `preset: flashsac` differs by its network and its batch alone."""
    settings, paper = read({"learning_rate": 1e-3}), read({"learning_rate": 1e-3, "preset": "flashsac"})
    assert settings.preset is Preset.LIGHT
    differences = {key for key in attr.asdict(settings) if getattr(settings, key) != getattr(paper, key)}
    assert differences == {"preset", "batch_size", "residual", "critic_width"}
    assert settings.learning_rate_schedule is ScheduleType.LINEAR
    assert settings.final_learning_rate == 5e-4
    assert (settings.num_atoms, settings.v_min, settings.v_max) == (101, -5.0, 5.0)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("target_sigma", 0.0),
        ("target_sigma", WIDEST_DEVIATION + 0.01),
        ("target_entropy_ratio", 1.0),
        ("v_max", 0.0),
        ("v_max", -6.0),
        ("v_min", -1e38),
        ("num_atoms", 1),
        ("noise_repeat", 0),
        ("actor_update_interval", 0),
        ("critic_width", 0.0),
        ("init_entcoef", 0.0),
        ("tau", 0.0),
        ("final_learning_rate", -1e-4),
        ("preset", "td3"),
        ("normalization", "layer"),
    ],
)
def test_what_is_out_of_range_is_refused_by_name(key: str, value: object) -> None:
    """In one line with behaviour, key and value."""
    with pytest.raises(TrainerConfigError, match=key) as refused:
        read({key: value})
    assert "\n" not in str(refused.value)
    assert str(refused.value).startswith("Toy: ")


def test_memory_needs_a_shared_encoder() -> None:
    """Critics of their own would have no state to begin from; the control is left out or true."""
    memory = {"network_settings": {"memory": {"memory_size": 8, "sequence_length": 4}}}
    with pytest.raises(TrainerConfigError, match="shared_encoder"):
        read({"shared_encoder": False}, **memory)
    assert read({"shared_encoder": True}, **memory).shared_encoder
    assert read({}, **memory).shared_encoder is None


@pytest.mark.parametrize(("normalization", "fits"), [("batch", False), ("rms", True), ("none", True)])
def test_batch_normalisation_needs_more_than_one(normalization: str, fits: bool) -> None:
    """The deviation of one row is 0."""
    written = {"batch_size": 1, "normalization": normalization}
    if fits:
        assert read(written).batch_size == 1
        return
    with pytest.raises(TrainerConfigError, match="batch_size: 1 is not valid; batch normalisation needs 2 or more"):
        read(written)


def test_every_default_is_in_range() -> None:
    """Of every preset, alone."""
    for preset in Preset:
        assert attr.asdict(FlashSACSettings(preset=preset))["preset"] is preset


def test_a_large_batch_is_spoken_of_with_its_default(caplog: pytest.LogCaptureFixture) -> None:
    """The default that follows from the preset, not what it is worked out by."""
    read({"preset": "sac", "batch_size": 4096})
    assert "leave it out (256)" in caplog.text


def test_a_large_batch_with_fewer_updates_is_not_spoken_of(caplog: pytest.LogCaptureFixture) -> None:
    """As on a GPU with many agents; with an update a step, the control, it is."""
    many = {"preset": "flashsac", "batch_size": 2048}
    read({**many, "steps_per_update": 512})
    assert "batch_size: 2048" not in caplog.text
    read(many)
    assert "batch_size: 2048" in caplog.text


def test_first_temperature_of_a_sac_file_is_spoken_of(caplog: pytest.LogCaptureFixture) -> None:
    """Where rewards are scaled and it is large; not where it is small, or rewards are as they are."""
    read({"init_entcoef": 0.05})
    read({"init_entcoef": 0.5, "preset": "sac"})
    assert "init_entcoef" not in caplog.text
    read({"init_entcoef": 0.5})
    assert "init_entcoef: 0.5 is large where rewards are scaled" in caplog.text


@pytest.mark.parametrize("options", [{"critic_width": 1e9}, {"steps_per_update": 1e-320}, {"num_atoms": 10**12}])
def test_numbers_that_no_machine_has_room_for_are_refused(options: dict) -> None:
    """With the key and the range."""
    with pytest.raises(TrainerConfigError, match=next(iter(options))):
        read(options)


def test_networks_that_no_machine_has_room_for_are_refused() -> None:
    """What stands below network_settings, too."""
    for network in ({"hidden_units": 10**12}, {"num_layers": 10**6}, {"memory": {"memory_size": 10**30}}):
        with pytest.raises(TrainerConfigError, match=r"network_settings: \w+.* between"):
            read({}, network_settings=network)


def test_hours_of_updates_are_spoken_of(caplog: pytest.LogCaptureFixture) -> None:
    """A file of PPO has many steps, and an update to each of them takes hours; one to some of them is no news."""
    read({"steps_per_update": 5}, max_steps=500000)
    read({}, max_steps=200000)
    assert "max_steps" not in caplog.text
    read({}, max_steps=500000)
    assert "max_steps: 500000 makes 500,000 updates (steps_per_update: 1), often hours of one core" in caplog.text
