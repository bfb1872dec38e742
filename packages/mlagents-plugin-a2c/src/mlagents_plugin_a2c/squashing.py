"""Continuous actions squashed by tanh, the greedy ones too."""

from mlagents.torch_utils import torch
from mlagents.trainers.torch_entities.distributions import (
    GaussianDistInstance,
    GaussianDistribution,
    TanhGaussianDistInstance,
)
from mlagents.trainers.torch_entities.networks import SimpleActor

MARGIN = 1e-6


class SquashedGaussianInstance(TanhGaussianDistInstance):
    """tanh of a normal distribution.

    Differences from ML-Agents' (1.1.0): the greedy action is the tanh of the mean, not the mean itself, which may lie
    far outside of [-1, 1]; and an action of ±1, which tanh reaches in float32, has a probability.
    """

    def deterministic_sample(self) -> torch.Tensor:
        """[B, C] greedy actions in [-1, 1]."""
        return self.mean.tanh()

    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        """[B, C] log-probabilities of actions; those of ±1 are taken next to it."""
        return super().log_prob(value.clamp(-1.0 + MARGIN, 1.0 - MARGIN))


class SquashedGaussian(GaussianDistribution):
    """The layer before it."""

    def forward(self, inputs: torch.Tensor) -> GaussianDistInstance:
        """[B, E] encodings → distributions of [B, C] actions."""
        instance = super().forward(inputs)
        return SquashedGaussianInstance(instance.mean, instance.std)


def squash(actor: SimpleActor, *, conditional_sigma: bool) -> None:
    """Gives an actor squashed actions in place of its own continuous ones.

    Args:
        actor: network of the policy, made with `tanh_squash`.
        conditional_sigma: the deviation depends on the state.
    """
    model, size = actor.action_model, actor.action_spec.continuous_size
    if size:
        model._continuous_distribution = SquashedGaussian(
            model.encoding_size, size, conditional_sigma=conditional_sigma, tanh_squash=True
        )
