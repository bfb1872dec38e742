"""The contract suite itself: which cases fit a plugin, and that a plugin which breaks the contract fails."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlagents.plugins import all_trainer_settings, all_trainer_types
from mlagents.torch_utils import torch
from mlagents.trainers.exception import TrainerConfigError
from mlagents.trainers.policy.torch_policy import TorchPolicy
from mlagents.trainers.settings import OnPolicyHyperparamSettings

from mlagents_plugin_shared.testing import _contract_suite, contract
from mlagents_plugin_shared.testing._contract_suite import Export
from mlagents_plugin_shared.testing.installed_plugin import merged
from recording import RecordingReplayTrainer, config, registered  # noqa: F401 - a fixture

pytestmark = pytest.mark.usefixtures("registered")


class Discrete(RecordingReplayTrainer):
    """Refuses continuous actions."""

    def create_policy(self, parsed_behavior_id: Any, behavior_spec: Any) -> TorchPolicy:
        """ML-Agents' policy, unless there is something continuous."""
        if behavior_spec.action_spec.continuous_size:
            raise TrainerConfigError("discrete actions only")
        return super().create_policy(parsed_behavior_id, behavior_spec)


def suite(trainer_type: str, **options: Any) -> Any:
    """The suite for an algorithm that records and does not learn."""
    return contract(trainer_type, config(trainer_type, buffer_size=50), **options)()


def test_merged_settings_of_later_ones_win_section_by_section() -> None:
    """What is not a section is replaced as a whole."""
    first = {"a": {"x": 1, "y": {"z": 2}}, "b": 3, "c": {"x": 1}}
    assert merged(first, {"a": {"y": {"w": 4}}, "b": {"x": 5}}, {"c": None}) == {
        "a": {"x": 1, "y": {"z": 2, "w": 4}},
        "b": {"x": 5},
        "c": None,
    }


def test_contract_has_the_cases_that_fit_the_actions(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin of discrete actions is not asked for others; one of all kinds is asked for everything."""
    every = suite("rollout")._cases()
    monkeypatch.setitem(all_trainer_types, "replay", Discrete)
    discrete = suite("replay", variants={"other": {"learning_rate": 1.0}})._cases()
    assert set(every["task"]) - set(discrete["task"]) == {"continuous", "hybrid", "fitting"}
    assert discrete["masked"] == ["discrete"]
    assert Export("discrete", "everything", "other") in discrete["exported"]
    assert {export.kind for export in every["exported"]} == {"discrete", "continuous", "hybrid"}


def test_contract_of_nobody_is_refused() -> None:
    """A name that no installed plugin has, and a task that there is not."""
    with pytest.raises(ValueError, match=r"no plugin for trainer_type 'nobody' is installed; there are .*ppo"):
        contract("nobody")
    with pytest.raises(ValueError, match=r"no task is named maze; there are corridor"):
        contract("replay", tasks={"maze": {}})


def test_contract_names_a_setting_that_cannot_be_read() -> None:
    """The key, and not the actions that nobody could accept then."""
    with pytest.raises(TrainerConfigError, match="nosuch"):
        contract("replay", {"hyperparameters": {"nosuch": 1}})


def test_contract_fails_who_does_not_learn(tmp_path: Path) -> None:
    """The recorder acts at random."""
    with pytest.raises(AssertionError):
        suite("rollout").test_learns(tmp_path, "corridor")


def test_contract_fails_who_reports_no_learning_from_signals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Curiosity that is never updated; with it, the recorder survives."""
    for folder in ("updated", "never"):
        (tmp_path / folder).mkdir()
    suite("replay").test_survives(tmp_path / "updated", "curiosity")
    monkeypatch.setattr("recording.Recorder.update_reward_signals", lambda self, batch: {}, raising=False)
    with pytest.raises(AssertionError):
        suite("replay").test_survives(tmp_path / "never", "curiosity")


def test_contract_fails_who_ignores_masks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A policy that is told that all is legal; the control passes."""
    suite("rollout").test_keeps_to_masks(tmp_path, "discrete", "plain")
    extract = TorchPolicy._extract_masks
    monkeypatch.setattr(TorchPolicy, "_extract_masks", lambda self, steps: np.ones_like(extract(self, steps)))
    with pytest.raises(AssertionError):
        suite("rollout").test_keeps_to_masks(tmp_path, "discrete", "plain")


def test_contract_fails_who_exports_something_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A policy that changes after its export; the control passes."""
    exported = Export("hybrid", "vector", "plain")
    suite("rollout").test_exports_what_it_plays(tmp_path, exported, False)
    export = _contract_suite._exported

    def export_and_change(trainer: Any, folder: Path) -> Any:
        model = export(trainer, folder)
        with torch.no_grad():
            for weight in trainer.policy.actor.action_model.parameters():
                weight.neg_()
        return model

    monkeypatch.setattr(_contract_suite, "_exported", export_and_change)
    with pytest.raises(AssertionError):
        suite("rollout").test_exports_what_it_plays(tmp_path, exported, False)


def test_contract_fails_who_takes_a_bad_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings that are not checked take a learning rate below 0; those of the recorders are checked."""
    suite("rollout").test_refuses_what_is_out_of_range("learning_rate", -0.5)
    monkeypatch.setitem(all_trainer_settings, "rollout", OnPolicyHyperparamSettings)
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        suite("rollout").test_refuses_what_is_out_of_range("learning_rate", -0.5)
