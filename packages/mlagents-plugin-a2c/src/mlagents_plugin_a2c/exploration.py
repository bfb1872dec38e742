"""Exploration of continuous actions by a noise that is a function of the state."""

from collections.abc import Callable
from functools import partial
from typing import Any

from mlagents.torch_utils import torch
from mlagents.trainers.torch_entities.distributions import GaussianDistInstance, GaussianDistribution
from mlagents.trainers.torch_entities.networks import SimpleActor
from torch import nn

MIN_VARIANCE = 1e-8  # of a state whose features are all 0; only there does it count


class StateDependentNoise(GaussianDistInstance):
    """A normal distribution whose samples, where there is no gradient, have a noise that is a function of the state.

    Args:
        mean: [B, C] greedy actions.
        std: [B, C] deviations of the noise, over all the noise functions that could have been drawn.
        noise: gives the [B, C] noise of those that are in use.
    """

    def __init__(self, mean: torch.Tensor, std: torch.Tensor, noise: Callable[[], torch.Tensor]) -> None:
        super().__init__(mean, std)
        self._noise = noise

    def sample(self) -> torch.Tensor:
        """[B, C] actions; those that a gradient flows through, as in cloning, are drawn independently."""
        return super().sample() if torch.is_grad_enabled() else self.mean + self._noise()

    def exported_model_output(self) -> torch.Tensor:
        """[B, C] actions of an exported model, which remembers no noise function from one decision to the next."""
        return super().sample()


class StateDependentGaussian(GaussianDistribution):
    """The layer before it: generalised state-dependent exploration (gSDE).

    a = μ(s) + θᵀ f(s),   θ ~ N(0, σ²),   so that   a ~ N(μ(s), Σ_h σ_h² f_h(s)²)

    f are the features of the last hidden layer and σ is learned. θ is drawn for each agent and kept for some decisions:
    in one state the same action follows, and the noise is as smooth as the features.

    Source: Raffin et al. (2021), https://arxiv.org/abs/2005.05719, equations 4 to 6.

    Args:
        hidden_size: H, number of features.
        num_outputs: C, numbers of an action.
        sample_freq: decisions for which a noise function is kept.
        log_std_init: of log σ.
    """

    def __init__(self, hidden_size: int, num_outputs: int, *, sample_freq: int, log_std_init: float) -> None:
        super().__init__(hidden_size, num_outputs)
        self.log_sigma = nn.Parameter(torch.full((hidden_size, num_outputs), log_std_init))
        self.sample_freq = sample_freq
        self._theta = torch.zeros(0, hidden_size, num_outputs)  # in units of σ, a row for each agent that acts
        self._decisions = 0

    def forward(self, inputs: torch.Tensor) -> GaussianDistInstance:
        """[B, H] features → distributions of [B, C] actions."""
        features = inputs.detach()  # σ does not shape them
        variance = features.square() @ self.log_sigma.exp().square()
        return StateDependentNoise(self.mu(inputs), (variance + MIN_VARIANCE).sqrt(), partial(self._noise, features))

    def noise_state(self) -> dict[str, Any]:
        """The noise functions in use and their age, for a checkpoint."""
        return {"theta": self._theta, "decisions": self._decisions}

    def restore_noise(self, state: dict[str, Any]) -> None:
        """Takes up what `noise_state` gave, if the network has not changed since."""
        if state["theta"].shape[1:] == self.log_sigma.shape:
            self._theta, self._decisions = state["theta"].to(self.log_sigma.device), state["decisions"]

    def _noise(self, features: torch.Tensor) -> torch.Tensor:
        if self._decisions % self.sample_freq == 0 or len(self._theta) < len(features):
            self._theta = torch.randn(len(features), *self.log_sigma.shape, device=features.device)
        self._decisions += 1
        return torch.einsum("bh,bhc->bc", features, self._theta[: len(features)] * self.log_sigma.exp())


def explore_by_state(actor: SimpleActor, *, sample_freq: int, log_std_init: float) -> None:
    """Gives an actor state-dependent noise in place of its own for continuous actions.

    Args:
        actor: network of the policy.
        sample_freq: decisions for which a noise function is kept.
        log_std_init: log σ of the first policy, for each feature.
    """
    model, size = actor.action_model, actor.action_spec.continuous_size
    if size:
        model._continuous_distribution = StateDependentGaussian(
            model.encoding_size, size, sample_freq=sample_freq, log_std_init=log_std_init
        )


def state_dependent(actor: SimpleActor) -> StateDependentGaussian | None:
    """The distribution that `explore_by_state` gave an actor, None if it has another."""
    distribution = actor.action_model._continuous_distribution
    return distribution if isinstance(distribution, StateDependentGaussian) else None
