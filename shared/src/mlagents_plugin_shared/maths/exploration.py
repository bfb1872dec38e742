"""Exploration among the legal actions of several branches: random, epsilon-greedy and Boltzmann choice.

Pure functions of tensors; see `branches` for their layout.
"""

from collections.abc import Sequence

import torch

from mlagents_plugin_shared.maths.branches import greedy_actions, legal_or_all


def random_actions(
    mask: torch.Tensor, branches: Sequence[int], generator: torch.Generator | None = None
) -> torch.Tensor:
    """One action a branch, uniform among the legal ones, drawn for every agent on its own.

    Args:
        mask: [B, A] 1.0 where legal. A branch without a legal action is drawn from as if all were legal.
        branches: sizes A_d.
        generator: source of randomness, on the device of `mask`; default torch's own.

    Returns:
        [B, D] integer actions.

    Raises:
        ValueError: the branches do not add up to A.
    """
    # The place of the largest of independent uniform numbers is itself uniform.
    draws = torch.rand(mask.shape, generator=generator, device=mask.device)
    return greedy_actions(draws, legal_or_all(mask, branches), branches)


def epsilon_greedy(
    greedy: torch.Tensor,
    mask: torch.Tensor,
    branches: Sequence[int],
    epsilon: float | torch.Tensor,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """Replaces the greedy actions of each agent, with probability epsilon, by random legal ones.

    Every agent has its own draw; an agent that explores draws anew in all of its branches.

    Source: Sutton & Barto (2018), section 2.2; Mnih et al. (2015).

    Args:
        greedy: [B, D] greedy actions.
        mask: [B, A] 1.0 where legal, 0.0 where not.
        branches: sizes A_d.
        epsilon: probability of a random action, 0 to 1; one for all agents, or [B] one for each (`epsilon_ladder`).
        generator: source of randomness, on the device of `mask`; default torch's own.

    Returns:
        [B, D] integer actions.

    Raises:
        ValueError: a tensor of epsilons is not [B], or mask and branches do not fit.
    """
    if isinstance(epsilon, torch.Tensor):
        if epsilon.shape != greedy.shape[:1]:
            raise ValueError(f"epsilon {tuple(epsilon.shape)} must be one number for each of {len(greedy)} agents")
        epsilon = epsilon.to(mask.device).unsqueeze(1)
    explores = torch.rand(len(greedy), 1, generator=generator, device=mask.device) < epsilon
    return torch.where(explores, random_actions(mask, branches, generator), greedy)


def epsilon_ladder(num_agents: int, base: float = 0.4, exponent: float = 7.0) -> torch.Tensor:
    """Epsilon of every agent, from one that explores much to one that is almost greedy.

    ε_i = base^{1 + exponent · i / (num_agents - 1)},   i = 0, 1, …

    One agent alone has `base`.

    Source: Horgan et al. (2018), section 4.1, https://arxiv.org/abs/1803.00933.

    Args:
        num_agents: number of agents, >= 1.
        base: epsilon of the first agent, above 0 and up to 1.
        exponent: how much greedier the last agent is, >= 0; 0 gives all of them `base`.

    Returns:
        [num_agents] epsilons, falling.

    Raises:
        ValueError: num_agents < 1, `base` is outside its range, or exponent < 0.
    """
    if num_agents < 1 or not 0.0 < base <= 1.0 or exponent < 0.0:
        raise ValueError(
            "num_agents must be at least 1, base above 0 and up to 1, and exponent at least 0, "
            f"but they are {num_agents}, {base} and {exponent}"
        )
    place = torch.arange(num_agents, dtype=torch.float32) / max(num_agents - 1, 1)
    return base ** (1.0 + exponent * place)
