"""The trainer of DQN: wiring of settings, policy and optimizer."""

from collections.abc import Callable
from functools import partial
from typing import Any

from mlagents.torch_utils import torch
from mlagents.trainers.behavior_id_utils import BehaviorIdentifiers
from mlagents_envs.base_env import BehaviorSpec

from mlagents_plugin_dqn.optimizer import DQNOptimizer
from mlagents_plugin_dqn.settings import Distribution, DQNSettings, LossType
from mlagents_plugin_shared.acting.q_policy import QPolicy
from mlagents_plugin_shared.data import MixedReplay
from mlagents_plugin_shared.learning.networks import update_target_network
from mlagents_plugin_shared.learning.return_heads import (
    CategoricalReturn,
    ImplicitQuantileReturn,
    MeanReturn,
    QuantileReturn,
    RescaledMeanReturn,
    ReturnHead,
)
from mlagents_plugin_shared.maths.losses import huber
from mlagents_plugin_shared.run import ReplayTrainer
from mlagents_plugin_shared.run.q_learning import q_network, q_policy

TRAINER_NAME = "dqn"


class DQNTrainer(ReplayTrainer):
    """Trains a behaviour with discrete actions by DQN."""

    hyperparameters: DQNSettings

    @staticmethod
    def get_trainer_name() -> str:
        """Name for `trainer_type:` in the YAML."""
        return TRAINER_NAME

    def pretrain(self, replay: MixedReplay) -> None:
        """Learns from demonstrations alone; the target network takes over what they have normalised."""
        update_target_network(self.optimizer.online, self.optimizer.target)
        super().pretrain(replay)

    def create_policy(self, parsed_behavior_id: BehaviorIdentifiers, behavior_spec: BehaviorSpec) -> QPolicy:
        """Creates a policy for a behaviour.

        Raises:
            TrainerConfigError: the behaviour has continuous actions.
        """
        layer_norm = self.hyperparameters.layer_norm
        return q_policy(self, parsed_behavior_id, behavior_spec, self._head(), layer_norm=layer_norm)

    def create_optimizer(self) -> DQNOptimizer:
        """Creates the learner of this trainer's policy."""
        layer_norm = self.hyperparameters.layer_norm
        target = q_network(self, self.policy.behavior_spec, self._head(), layer_norm=layer_norm)
        return DQNOptimizer(self.policy, self.trainer_settings, target)

    def _head(self) -> Callable[..., ReturnHead]:
        """What makes the kind of head that the settings ask for."""
        settings = self.hyperparameters
        layers: dict[str, Any] = {"dueling": settings.dueling, "noisy": settings.noisy}
        if settings.distribution is Distribution.CATEGORICAL:
            atoms: dict[str, Any] = {"num_atoms": settings.num_atoms, "v_min": settings.v_min, "v_max": settings.v_max}
            return partial(CategoricalReturn, **atoms, **layers)
        if settings.distribution is Distribution.QUANTILE:
            return partial(QuantileReturn, num_quantiles=settings.num_quantiles, **layers)
        if settings.distribution is Distribution.IMPLICIT_QUANTILE:
            return partial(ImplicitQuantileReturn, num_quantiles=settings.num_quantiles, **layers)
        mean = RescaledMeanReturn if settings.value_rescaling else MeanReturn
        return partial(mean, penalty=huber if settings.loss is LossType.HUBER else torch.square, **layers)
