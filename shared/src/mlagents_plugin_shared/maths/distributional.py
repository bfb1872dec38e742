"""Targets of distributional Q-learning: categorical (C51), quantiles (QR-DQN, IQN).

Pure functions of tensors. A return is a distribution: N probabilities on fixed atoms, or N quantiles of equal weight.
The discount is data, 0 where the episode terminated. Every target is detached.
"""

import torch

from mlagents_plugin_shared.maths.shapes import check_same_shape


def categorical_target(
    probs_t: torch.Tensor, r_t: torch.Tensor, discount_t: torch.Tensor, support: torch.Tensor
) -> torch.Tensor:
    """Distribution of r + γ Z, projected back onto the atoms.

    p_i = Σ_j [1 - |[r_t + γ_t z_j] - z_i| / Δz]_0^1 p_j,   [x] clipped to the support

    What falls between two atoms is shared by them according to its distance, so that the mean is kept; what falls
    outside goes to the nearest end. Of a reward or a discount that is NaN the target is NaN too.

    Source: Bellemare et al. (2017), eq. 7, https://arxiv.org/abs/1707.06887.

    Args:
        probs_t: [..., N] probabilities of the next state's return; no gradient flows into them.
        r_t: [...] rewards received after acting in s_{t-1}.
        discount_t: [...] γ, 0 where the episode terminated.
        support: [N] atoms z, rising in equal steps Δz, N >= 2.

    Returns:
        [..., N] probabilities, detached.

    Raises:
        ValueError: the shapes do not fit, or there are fewer than 2 atoms.
    """
    check_same_shape(r_t=r_t, discount_t=discount_t, probs_of_one_atom=probs_t[..., 0])
    if support.dim() != 1 or len(support) < 2 or len(support) != probs_t.shape[-1]:
        raise ValueError(f"support {tuple(support.shape)} must hold the N >= 2 atoms of probs_t {tuple(probs_t.shape)}")
    with torch.no_grad():
        moved = r_t.unsqueeze(-1) + discount_t.unsqueeze(-1) * support  # [..., N]
        step = (support[-1] - support[0]) / (len(support) - 1)
        place = ((moved - support[0]) / step).clamp(0, len(support) - 1)  # counted in atoms
        below = place.floor().clamp(max=len(support) - 2)
        upper = probs_t * (place - below)  # what the atom above gets
        index = below.nan_to_num().long()  # NaN is no index: it goes on as what is added there
        projected = torch.zeros_like(probs_t).scatter_add(-1, index, probs_t - upper)
        return projected.scatter_add(-1, index + 1, upper)


def mass_outside(
    probs_t: torch.Tensor, r_t: torch.Tensor, discount_t: torch.Tensor, support: torch.Tensor
) -> torch.Tensor:
    """Share of the probability of r + γ Z that `categorical_target` moves to an end, from half a step beyond it on.

    Σ_j [r_t + γ_t z_j outside of z_1 - Δz / 2 to z_N + Δz / 2] p_j, what is clipped in Bellemare et al. (2017), eq. 7

    Args:
        probs_t: [..., N] probabilities of the next state's return.
        r_t: [...] rewards received after acting in s_{t-1}.
        discount_t: [...] γ, 0 where the episode terminated.
        support: [N] atoms, rising in equal steps, N >= 2.

    Returns:
        [] the share, 0 to 1.
    """
    moved = r_t.unsqueeze(-1) + discount_t.unsqueeze(-1) * support  # [..., N]
    half = (support[1] - support[0]) / 2
    outside = (moved > support[-1] + half) | (moved < support[0] - half)
    return (probs_t * outside).sum() / max(r_t.numel(), 1)


def quantile_target(quantiles_t: torch.Tensor, r_t: torch.Tensor, discount_t: torch.Tensor) -> torch.Tensor:
    """Quantiles of r + γ Z: each of them moved.

    r_t + γ_t θ_j

    Source: Dabney et al. (2018a), algorithm 1, https://arxiv.org/abs/1710.10044.

    Args:
        quantiles_t: [..., M] quantiles of the next state's return; no gradient flows into them.
        r_t: [...] rewards received after acting in s_{t-1}.
        discount_t: [...] γ, 0 where the episode terminated: all quantiles are then the reward.

    Returns:
        [..., M] targets, detached.

    Raises:
        ValueError: the shapes do not fit.
    """
    check_same_shape(r_t=r_t, discount_t=discount_t, one_of_the_quantiles=quantiles_t[..., 0])
    return (r_t.unsqueeze(-1) + discount_t.unsqueeze(-1) * quantiles_t).detach()


def quantile_midpoints(num_quantiles: int, device: torch.device | str | None = None) -> torch.Tensor:
    """Midpoints of N equal intervals of probability: the τ at which N quantiles describe a distribution best.

    τ_i = (2 i + 1) / (2 N),   i = 0 … N - 1

    Source: Dabney et al. (2018a), lemma 2, https://arxiv.org/abs/1710.10044.

    Args:
        num_quantiles: N >= 1.
        device: where to create them; default torch's own.

    Returns:
        [N] midpoints.

    Raises:
        ValueError: num_quantiles < 1.
    """
    if num_quantiles < 1:
        raise ValueError(f"num_quantiles must be at least 1, but is {num_quantiles}")
    return (torch.arange(num_quantiles, device=device, dtype=torch.float32) + 0.5) / num_quantiles
