"""What the optimizer of every algorithm repeats: schedules, gradient steps and the list of what is saved."""

import math
from abc import abstractmethod
from collections.abc import Iterable
from typing import Any

from mlagents.torch_utils import torch
from mlagents.trainers.optimizer.torch_optimizer import TorchOptimizer
from mlagents.trainers.policy.torch_policy import TorchPolicy
from mlagents.trainers.settings import ScheduleType, TrainerSettings
from mlagents.trainers.torch_entities.networks import NetworkBody
from mlagents_envs.logging_util import get_logger
from torch import nn

from mlagents_plugin_shared import schedules

logger = get_logger(__name__)


Statistics = dict[str, float | torch.Tensor]
"""Numbers by TensorBoard tag. Tensors of one number stay on their device until they are reported."""


class PluginOptimizer(TorchOptimizer):
    """Base of a plugin's optimizer.

    A subclass builds its networks, sets `optimizer` to the torch optimizer of their parameters, and writes `update`.
    """

    optimizer: torch.optim.Optimizer

    def __init__(self, policy: TorchPolicy, trainer_settings: TrainerSettings) -> None:
        super().__init__(policy, trainer_settings)
        self.hyperparameters: Any = trainer_settings.hyperparameters
        self.streams: list[str] = list(self.reward_signals)
        self.learning_rate = self.schedule(
            self.hyperparameters.learning_rate_schedule, self.hyperparameters.learning_rate, 1e-10
        )

    @property
    @abstractmethod
    def network_bodies(self) -> list[NetworkBody]:
        """Bodies of the networks whose observation normalisation follows the data."""

    def schedule(self, kind: ScheduleType, initial: float, final: float) -> schedules.Schedule:
        """A value that is constant, or falls in a line to `final` at the run's `max_steps`.

        Args:
            kind: constant or linear.
            initial: value at step 0.
            final: value at max_steps.
        """
        if kind == ScheduleType.CONSTANT:
            return schedules.constant(initial)
        return schedules.linear(initial, final, self.trainer_settings.max_steps)

    def step_optimizer(self, parameters: Iterable[nn.Parameter], max_grad_norm: float) -> float:
        """Clips the accumulated gradient, takes one step at the scheduled learning rate and clears the gradient.

        A gradient that is NaN or infinite is dropped with a warning, and the parameters stay as they are.

        Args:
            parameters: those that the optimizer trains.
            max_grad_norm: bound of the gradient's norm; 0 does not clip.

        Returns:
            Norm of the gradient before it was clipped.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate(self.policy.get_current_step())
        norm = nn.utils.clip_grad_norm_(parameters, max_grad_norm or float("inf"), foreach=True)
        size = norm.item()
        if math.isfinite(size):
            self.optimizer.step()
        else:
            logger.warning(f"The gradient is {size}: this step is left out. Are the rewards too large?")
        self.optimizer.zero_grad()
        return size

    def get_modules(self) -> dict[str, Any]:
        """What a checkpoint holds besides the policy: the torch optimizer and the reward signals' networks."""
        modules: dict[str, Any] = {"Optimizer:value_optimizer": self.optimizer}
        for signal in self.reward_signals.values():
            modules.update(signal.get_modules())
        return modules
