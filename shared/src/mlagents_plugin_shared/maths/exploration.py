"""Exploration: random and epsilon-greedy choice among the legal actions of several branches, and how long it lasts.

Pure functions of tensors; see `branches` for their layout.
"""

from collections.abc import Sequence
from functools import lru_cache

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


def explorers(
    num_agents: int, epsilon: float | torch.Tensor, generator: torch.Generator | None = None, *, device: torch.device
) -> torch.Tensor:
    """Which agents explore: each with probability epsilon, by a draw of its own.

    Args:
        num_agents: B.
        epsilon: probability, 0 to 1; one for all agents, or [B] one for each (`epsilon_ladder`).
        generator: source of randomness, on `device`; default torch's own.
        device: of the result.

    Returns:
        [B] bool.

    Raises:
        ValueError: a tensor of epsilons is not [B].
    """
    if isinstance(epsilon, torch.Tensor):
        if epsilon.shape != (num_agents,):
            raise ValueError(f"epsilon {tuple(epsilon.shape)} must be one number for each of {num_agents} agents")
        epsilon = epsilon.to(device)
    return torch.rand(num_agents, generator=generator, device=device) < epsilon


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
    explores = explorers(len(greedy), epsilon, generator, device=mask.device)
    return torch.where(explores.unsqueeze(1), random_actions(mask, branches, generator), greedy)


def repeat_lengths(
    count: int, cap: int, generator: torch.Generator | None = None, *, exponent: float = 2.0
) -> torch.Tensor:
    """For how many decisions each of some random actions or noises is repeated, drawn from a truncated zeta law.

    P(n) = n^{-μ} / Σ_{k=1}^{cap} k^{-μ},   n = 1, …, cap

    Most are short and a few very long, at every scale alike. With μ = 2 the mean is about ln(cap) · 6/π²: 2.1 at a cap
    of 16 and 6.0 at 10,000. A cap of 1 never repeats.

    Source: Dabney et al. (2021), section 4, https://arxiv.org/abs/2006.01782, where μ = 2 and the cap is 10,000.

    Args:
        count: B, number of draws.
        cap: greatest length, >= 1.
        generator: source of randomness, on the CPU; default torch's own.
        exponent: μ >= 0; low draws more long ones, 0 all lengths alike.

    Returns:
        [B] integer lengths on the CPU, 1 to `cap`.

    Raises:
        ValueError: cap < 1 or exponent < 0.
    """
    if cap < 1 or exponent < 0.0:
        raise ValueError(f"cap must be at least 1 and exponent at least 0, but they are {cap} and {exponent}")
    draws = torch.rand(count, generator=generator, dtype=torch.float64, device="cpu")
    return torch.searchsorted(_zeta_distribution(cap, exponent), draws, right=True) + 1


@lru_cache(maxsize=8)
def _zeta_distribution(cap: int, exponent: float) -> torch.Tensor:
    """[cap] probabilities that a length is at most 1, 2, … and so on."""
    weights = torch.arange(1, cap + 1, dtype=torch.float64, device="cpu") ** -exponent
    up_to = weights.cumsum(0)
    return up_to / up_to[-1]


def exportable_epsilon_greedy(
    greedy: torch.Tensor, mask: torch.Tensor, branches: Sequence[int], epsilon: float
) -> torch.Tensor:
    """As `epsilon_greedy`, for a model that is exported: it draws by itself, wherever it runs.

    The graph has products, sums and `Multinomial`, by which ML-Agents' own models draw, and no other source of chance;
    without epsilon it has none at all.

    Args:
        greedy: [B, D] greedy actions.
        mask: [B, A] 1.0 where legal, 0.0 where not. In a branch without a legal action all are drawn from.
        branches: sizes A_d, of which A is at least 2.
        epsilon: probability of a random action in all branches, 0 to 1.

    Returns:
        [B, D] integer actions.

    Raises:
        ValueError: mask and branches do not fit.
    """
    if sum(branches) != mask.shape[1]:
        raise ValueError(f"mask {tuple(mask.shape)} and branches {list(branches)} do not fit")
    if epsilon == 0.0:
        return greedy + 0  # another node: ONNX does not take one tensor for two outputs
    # One coin for all branches of an agent. The mask has as many rows as agents, a number that no graph knows before.
    coin = torch.multinomial(mask[:, :2] * 0.0 + mask.new_tensor([1.0 - epsilon, epsilon]), 1)
    weights = [part + (1.0 - part.max(dim=1, keepdim=True).values) for part in mask.split(list(branches), dim=1)]
    drawn = torch.cat([torch.multinomial(weight, 1) for weight in weights], dim=1)
    return greedy + coin * (drawn - greedy)


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
