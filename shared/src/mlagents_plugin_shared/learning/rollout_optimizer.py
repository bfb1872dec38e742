"""What every optimizer on rollouts repeats, whether it has a critic or Q values."""

from abc import abstractmethod

import numpy as np
from mlagents.torch_utils import torch
from mlagents.trainers.policy.torch_policy import TorchPolicy
from mlagents.trainers.settings import TrainerSettings

from mlagents_plugin_shared.data import RolloutBuffer, StreamSteps
from mlagents_plugin_shared.learning.optimizer import PluginOptimizer


class RolloutOptimizer(PluginOptimizer):
    """Base of an optimizer for a `RolloutTrainer`, which asks it for values and targets before each update.

    A subclass writes `rollout_values`, `targets` and `update`; `ActorCriticOptimizer` has the first two.

    Attributes:
        shuffle_seed: of `shuffler`; a trainer sets it.
        value_batch_size: states of a rollout that are valued at a time.

    Args:
        policy: policy that acts and learns.
        trainer_settings: settings of the behaviour.
        value_batch_size: default `batch_size` of the settings.
    """

    def __init__(
        self, policy: TorchPolicy, trainer_settings: TrainerSettings, *, value_batch_size: int | None = None
    ) -> None:
        super().__init__(policy, trainer_settings)
        self.value_batch_size: int = value_batch_size or self.hyperparameters.batch_size
        self.shuffle_seed = 0

    def shuffler(self) -> np.random.Generator:
        """Stream of chance of this update: it follows from `shuffle_seed` and the policy's step, and is not saved."""
        return np.random.default_rng((self.shuffle_seed, self.policy.get_current_step()))

    @abstractmethod
    def rollout_values(self, rollout: RolloutBuffer) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Values of a rollout's states, and of the state after each segment.

        Args:
            rollout: N steps in K segments.

        Returns:
            [N] and [K] values by reward stream; terminal states have a value too, which their discount of 0 hides.
        """

    @abstractmethod
    def targets(self, rollout: RolloutBuffer, steps: StreamSteps) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns and advantages of one reward stream, of all segments side by side.

        Args:
            rollout: the K segments.
            steps: [T, K] rewards, discounts and values.

        Returns:
            [T, K] returns and [T, K] advantages.
        """

    def by_stream(self, values: np.ndarray) -> dict[str, np.ndarray]:
        """[B, S] numbers as [B] of each reward stream."""
        return dict(zip(self.streams, values.T, strict=True))
