"""Continuous actions squashed by tanh, the greedy ones too."""

import numpy as np
from mlagents.torch_utils import torch
from mlagents.trainers.torch_entities.distributions import (
    GaussianDistInstance,
    GaussianDistribution,
    TanhGaussianDistInstance,
)
from mlagents.trainers.torch_entities.networks import SimpleActor

from mlagents_plugin_shared.maths.squashing import log_slope

MARGIN = 1e-6
"""How far from ±1 an action is taken to be, where tanh gave just that."""

# Gauss-Hermite quadrature: with so many nodes, entropies of deviations up to 3 are off by less than 0.01.
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(32)


class SquashedGaussianInstance(TanhGaussianDistInstance):
    """tanh of a normal distribution.

    Differences from ML-Agents' (1.1.0): the greedy action is the tanh of the mean, not the mean itself, which may lie
    far outside of [-1, 1]; an action of ±1, which tanh reaches in float32, has a probability; the entropy is that of
    the action, not of what is squashed; and a model's actions are bounded, for the tanh of some runtimes rounds to
    1.0000001.
    """

    def deterministic_sample(self) -> torch.Tensor:
        """[B, C] greedy actions in [-1, 1]."""
        return self.mean.tanh().clamp(-1.0, 1.0)

    def exported_model_output(self) -> torch.Tensor:
        """[B, C] drawn actions in [-1, 1]."""
        return self.sample().clamp(-1.0, 1.0)

    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        """[B, C] log-probabilities of actions; those of ±1 are taken next to it."""
        return super().log_prob(value.clamp(-1.0 + MARGIN, 1.0 - MARGIN))

    def entropy(self) -> torch.Tensor:
        """[B, 1] entropy of the squashed action, the mean over its numbers as in ML-Agents.

        H(tanh u) = H(u) + E[log(1 - tanh² u)],   u ~ N(μ, σ²)

        It is at most log 2, that of a uniform action: a bonus for it spreads actions over [-1, 1]. The entropy of u
        grows with σ for ever, and a bonus for that drives actions to the ends, where tanh is flat.

        Source: change of variables, as in Haarnoja et al. (2018), appendix C, https://arxiv.org/abs/1801.01290, whose
        sampled estimate this is the mean of: by quadrature, which draws no random numbers.
        """
        return super().entropy() + self._mean_log_slope().mean(dim=1, keepdim=True)

    def _mean_log_slope(self) -> torch.Tensor:
        """[B, C] E[log(1 - tanh² u)]."""
        u = self.mean.unsqueeze(-1) + self.std.unsqueeze(-1) * self.mean.new_tensor(NODES)
        return log_slope(u) @ self.mean.new_tensor(WEIGHTS / WEIGHTS.sum())


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
