"""Temperatures of soft actor-critic: what entropy counts, and the entropy that they keep a policy at."""

import math
from typing import Any

from mlagents.torch_utils import torch
from mlagents_envs.base_env import ActionSpec
from torch import nn

from mlagents_plugin_shared.maths.branches import legal_or_all

LOG_TEMPERATURE = (-12.0, 3.0)
"""Bounds of the logarithms of temperatures, so that none grows for ever where a target is out of reach."""


class Temperatures(nn.Module):
    """What a nat of entropy counts: one number for continuous actions and one for discrete ones.

    Source: Haarnoja et al. (2018b), section 5, https://arxiv.org/abs/1812.05905; one a kind, Delalleau et al. (2019),
    section 4.2, https://arxiv.org/abs/1912.11077.

    Args:
        action_spec: actions of the behaviour.
        initial: both temperatures at first, that of continuous actions and that of discrete ones.
        entropy_of_each: what the entropy of each continuous action is to be, in nats.
        entropy_ratio: what that of a branch of discrete actions is to be, in parts of the logarithm of how many of them
            are legal.
    """

    def __init__(
        self, action_spec: ActionSpec, *, initial: tuple[float, float], entropy_of_each: float, entropy_ratio: float
    ) -> None:
        super().__init__()
        self.action_spec = action_spec
        self.entropy_of_each = entropy_of_each
        self.entropy_ratio = entropy_ratio
        self.logarithm = nn.Parameter(torch.tensor([math.log(each) for each in initial]))

    def forward(self) -> torch.Tensor:
        """[2] temperatures, of continuous and of discrete actions."""
        return self.logarithm.exp()

    @torch.no_grad()
    def bound(self) -> None:
        """Keeps them within their bounds; to be called after each gradient step."""
        self.logarithm.clamp_(*LOG_TEMPERATURE)

    def target_entropies(self, legal: torch.Tensor) -> torch.Tensor:
        """[B, 2] what entropies are to be: of continuous actions together, and of a branch of discrete ones.

        Args:
            legal: [B, A] 1.0 where a discrete action is legal; of any width without discrete actions.
        """
        continuous = legal.new_full((len(legal),), self.entropy_of_each * self.action_spec.continuous_size)
        branches = list(self.action_spec.discrete_branches)
        if not branches:
            return torch.stack([continuous, torch.zeros_like(continuous)], dim=1)
        counts = [branch.sum(dim=1) for branch in legal_or_all(legal, branches).split(branches, dim=1)]
        most = torch.stack(counts, dim=1).log().mean(dim=1)
        return torch.stack([continuous, self.entropy_ratio * most], dim=1)

    def loss(self, entropies: torch.Tensor, legal: torch.Tensor) -> torch.Tensor:
        """[B] α (H - H̄): a temperature rises where the policy has less entropy than it is to have.

        Args:
            entropies: [B, 2] of the policy; no gradient flows into them.
            legal: [B, A] as of `target_entropies`.
        """
        return (entropies.detach() - self.target_entropies(legal)) @ self()

    def named(self, numbers: torch.Tensor) -> dict[str, torch.Tensor]:
        """Of [2] numbers those of the kinds of actions that there are, by its name."""
        sizes = {"Continuous": self.action_spec.continuous_size, "Discrete": self.action_spec.discrete_size}
        return {kind: number.detach() for (kind, size), number in zip(sizes.items(), numbers, strict=True) if size}


LARGE_TEMPERATURE = 0.1
"""First temperature from which on entropy outweighs scaled rewards: an episode of 100 decisions, each with a nat or
less, is then worth more than the largest return, 5."""


def large_temperature(settings: Any, _: Any) -> str:
    """What is said of settings whose first temperature is that of rewards that are not scaled; empty of others.

    Args:
        settings: hyperparameters with `reward_scaling` and `init_entcoef`.

    Returns:
        One line.
    """
    if not settings.reward_scaling or settings.init_entcoef < LARGE_TEMPERATURE:
        return ""
    return (
        f"init_entcoef: {settings.init_entcoef:g} is large where rewards are scaled, and the agent acts at random for "
        "longer; leave it out."
    )
