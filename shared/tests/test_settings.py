"""Faults in a YAML are one line with the key, the value and the remedy."""

import attr
import pytest
from mlagents.trainers.exception import TrainerConfigError
from mlagents.trainers.ppo.optimizer_torch import PPOSettings
from mlagents.trainers.settings import OffPolicyHyperparamSettings, strict_to_cls

from mlagents_plugin_shared.run.exploration_settings import ExplorationSettings
from mlagents_plugin_shared.run.replay_settings import ReplaySettings
from mlagents_plugin_shared.run.settings import CheckedSettings, Idle, between, entries, not_negative, positive


@attr.s(auto_attribs=True)
class FakeSettings(CheckedSettings, OffPolicyHyperparamSettings):
    """Settings of an algorithm that does not exist."""

    n_step: int = attr.ib(default=3, validator=positive)
    epsilon: float = attr.ib(default=0.1, validator=between(0.0, 1.0))
    beta: float = attr.ib(default=0.0, validator=not_negative)


def fault(**options) -> str:
    """The message for a faulty file."""
    with pytest.raises(TrainerConfigError) as error:
        strict_to_cls(options, FakeSettings)
    message = str(error.value)
    assert "\n" not in message
    return message


def test_valid_settings_pass() -> None:
    """Strings that YAML leaves, such as 1e-3, become numbers."""
    settings = strict_to_cls({"learning_rate": "1e-3", "n_step": 5}, FakeSettings)
    assert (settings.learning_rate, settings.n_step) == (0.001, 5)


def test_unknown_key_names_the_nearest() -> None:
    """A typing error is answered with the key that was meant."""
    assert "learnig_rate is not a known key; did you mean learning_rate?" in fault(learnig_rate=0.1)


def test_unknown_key_that_belongs_elsewhere_says_where() -> None:
    """gamma is a key of the reward signals."""
    assert "reward_signals" in fault(gamma=0.99)


def test_unknown_key_without_a_neighbour_lists_all() -> None:
    """Nothing is near: the known keys are listed."""
    message = fault(zzz=1)
    assert all(key in message for key in ("batch_size", "n_step", "beta"))


def test_ill_typed_value_names_key_and_value() -> None:
    """A word where a number belongs."""
    message = fault(n_step="many")
    assert "n_step" in message
    assert "'many'" in message


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"learning_rate": -1.0}, ["learning_rate: -1.0", "greater than 0"]),
        ({"batch_size": 512, "buffer_size": 256}, ["batch_size: 512", "buffer_size, which is 256"]),
        ({"n_step": 0}, ["n_step: 0", "greater than 0"]),
        ({"epsilon": 1.5}, ["epsilon: 1.5", "between 0.0 and 1.0"]),
        ({"epsilon": float("nan")}, ["epsilon: nan"]),
        ({"beta": -0.1}, ["beta: -0.1", "0 or greater"]),
        ({"learning_rate": float("nan")}, ["learning_rate: nan"]),
    ],
)
def test_value_out_of_range_names_key_value_and_remedy(options, parts) -> None:
    """Each range is checked when the file is read, before a run begins."""
    message = fault(**options)
    assert all(part in message for part in parts)


def test_settings_of_ml_agents_are_left_alone() -> None:
    """Other trainers keep ML-Agents' own message."""
    with pytest.raises(TrainerConfigError, match="The option learnig_rate was specified"):
        strict_to_cls({"learnig_rate": 0.1}, PPOSettings)


def test_every_algorithm_has_the_keys_of_a_run() -> None:
    """They are declared once, and checked as all others."""
    settings = strict_to_cls({"keep_best": True, "stop_at_reward": 1, "reward_window": 20}, FakeSettings)
    assert (settings.keep_best, settings.stop_at_reward, settings.reward_window) == (True, 1.0, 20)
    assert "reward_window: 0 is not valid; it must lie between 1 and 1000000" in fault(reward_window=0)


def test_entries_are_those_of_all_bases() -> None:
    """A class that lists nothing, or a key of its own only, keeps what each of its bases says; each entry once."""

    class Both(ExplorationSettings, ReplaySettings):
        pass

    own = Idle(("mine",), lambda *_: True, "always")

    class More(Both):
        idle = (*ReplaySettings.idle, own)

    inherited = entries(Both, "idle")
    assert set(inherited) == {*CheckedSettings.idle, *ExplorationSettings.idle, *ReplaySettings.idle}
    assert entries(Both, "far") == list(ReplaySettings.far)
    assert entries(More, "idle") == [*inherited, own]
