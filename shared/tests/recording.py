"""Trainers whose algorithm only records what it is given."""

import attr
import numpy as np
import pytest
from mlagents.plugins import all_trainer_settings, all_trainer_types
from mlagents.trainers.policy.torch_policy import TorchPolicy
from mlagents.trainers.settings import OnPolicyHyperparamSettings
from mlagents.trainers.torch_entities.networks import SimpleActor

from mlagents_plugin_shared.data import Batch
from mlagents_plugin_shared.learning.optimizer import PluginOptimizer
from mlagents_plugin_shared.maths.targets import gae
from mlagents_plugin_shared.run import ReplayTrainer, RolloutTrainer
from mlagents_plugin_shared.run.replay_settings import ReplaySettings
from mlagents_plugin_shared.run.settings import CheckedSettings


@attr.s(auto_attribs=True)
class RolloutSettings(CheckedSettings, OnPolicyHyperparamSettings):
    """Settings of the recording on-policy algorithm."""

    lambd: float = 0.9


@attr.s(auto_attribs=True)
class TwoStepSettings(ReplaySettings):
    """Settings of the recording off-policy algorithm."""

    n_step: int = 2
    steps_per_update: float = 1.0
    reward_signal_steps_per_update: float = 1.0


class Recorder(PluginOptimizer):
    """Keeps every batch; its value of any state is 0."""

    def __init__(self, policy, settings) -> None:
        super().__init__(policy, settings)
        self.batches: list = []

    @property
    def network_bodies(self) -> list:
        """The actor's body."""
        return [self.policy.actor.network_body]

    def update(self, batch, num_sequences: int) -> dict[str, float]:
        """Records all columns, copied: those of a rollout are views until its buffer changes."""
        self.batches.append((Batch({key: column.copy() for key, column in batch.items()}), num_sequences))
        return {"Losses/Policy Loss": 0.0}

    def rollout_values(self, rollout):
        """Zeros."""
        return (
            {"extrinsic": np.zeros(rollout.num_experiences, np.float32)},
            {"extrinsic": np.zeros(len(rollout.lengths), np.float32)},
        )

    def targets(self, rollout, steps):
        """GAE, and returns that are the same where all values are 0."""
        advantage = gae(*steps, lambda_=self.hyperparameters.lambd)
        return advantage, advantage

    def get_modules(self) -> dict:
        """Nothing to save."""
        return {}


class RandomPolicyMixin:
    """Wiring that both recording trainers share."""

    def create_policy(self, parsed_behavior_id, behavior_spec) -> TorchPolicy:
        """ML-Agents' policy, untrained."""
        return TorchPolicy(self.seed, behavior_spec, self.trainer_settings.network_settings, SimpleActor, {})

    def create_optimizer(self) -> Recorder:
        """The recorder."""
        return Recorder(self.policy, self.trainer_settings)


class RecordingReplayTrainer(RandomPolicyMixin, ReplayTrainer):
    """Off-policy."""


class RecordingRolloutTrainer(RandomPolicyMixin, RolloutTrainer):
    """On-policy."""


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Registers both algorithms, as an entry point would."""
    for name, trainer, settings in (
        ("replay", RecordingReplayTrainer, TwoStepSettings),
        ("rollout", RecordingRolloutTrainer, RolloutSettings),
    ):
        monkeypatch.setitem(all_trainer_types, name, trainer)
        monkeypatch.setitem(all_trainer_settings, name, settings)


def config(trainer_type: str, max_steps: int = 400, **hyperparameters) -> dict:
    """Settings of a short run."""
    return {
        "trainer_type": trainer_type,
        "max_steps": max_steps,
        "time_horizon": 8,
        "hyperparameters": {"batch_size": 16, "buffer_size": 1000, **hyperparameters},
        "network_settings": {"hidden_units": 8, "normalize": True},
    }
