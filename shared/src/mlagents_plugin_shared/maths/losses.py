"""Losses and errors: TD, Huber, distributional, large-margin, policy gradient, value and entropy, with masks.

Pure functions of tensors. Errors end in `_error` and are never reduced; losses end in `_loss` and are scalars.
A mask is 1 for a real step and 0 for padding; where `total` is given the sum is divided by it instead of by the
number of real steps, so that losses of parts add up to the loss of the whole.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from mlagents_plugin_shared.maths.branches import action_columns, mask_scores
from mlagents_plugin_shared.maths.shapes import check_branches, check_same_shape


def masked_mean(values: torch.Tensor, mask: torch.Tensor | None = None, *, total: float | None = None) -> torch.Tensor:
    """Mean over the real steps.

    Args:
        values: [B] values.
        mask: [B] 1 for real steps, 0 for padding; None if all are real.
        total: divisor; default the number of real steps (at least 1).

    Returns:
        [] the mean.

    Raises:
        ValueError: the shapes differ; `[B, 1]` against `[B]` would broadcast to `[B, B]`.
    """
    if mask is None:
        return values.sum() / (total or max(values.numel(), 1))
    check_same_shape(values=values, mask=mask)
    # where() rather than a product: a non-finite value under padding must not reach the sum.
    kept = torch.where(mask.bool(), values, torch.zeros_like(values))
    return kept.sum() / (total or mask.float().sum().clamp(min=1.0))


def td_error(q_tm1: torch.Tensor, target_t: torch.Tensor) -> torch.Tensor:
    """Temporal-difference error, target less estimate; the gradient flows into the estimate only.

    Args:
        q_tm1: [...] estimates.
        target_t: [...] targets.

    Returns:
        [...] errors.

    Raises:
        ValueError: the shapes differ.
    """
    check_same_shape(q_tm1=q_tm1, target_t=target_t)
    return target_t.detach() - q_tm1


def huber(error: torch.Tensor, delta: float = 1.0) -> torch.Tensor:
    """Huber function of an error: quadratic up to `delta`, linear beyond, so that outliers do not rule the gradient.

    ½ e² where |e| <= δ, else δ (|e| - ½ δ)

    Source: Huber (1964); Mnih et al. (2015) clip the error of DQN to the same effect.

    Args:
        error: [...] errors.
        delta: bound of the quadratic part, > 0.

    Returns:
        [...] values, not reduced.
    """
    return nn.functional.huber_loss(error, torch.zeros_like(error), reduction="none", delta=delta)


def categorical_error(logits_tm1: torch.Tensor, target_t: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of a predicted distribution against a target distribution.

    -Σ_i m_i ln p_i

    At its least it is the entropy of the target, not 0; its gradient is that of the Kullback-Leibler divergence.

    Source: Bellemare et al. (2017), algorithm 1, https://arxiv.org/abs/1707.06887.

    Args:
        logits_tm1: [..., N] logits of the atoms.
        target_t: [..., N] probabilities m, as from `categorical_target`; no gradient flows into them.

    Returns:
        [...] errors, not reduced.

    Raises:
        ValueError: the shapes differ.
    """
    check_same_shape(logits_tm1=logits_tm1, target_t=target_t)
    return -(target_t.detach() * logits_tm1.log_softmax(dim=-1)).sum(dim=-1)


def quantile_huber_error(
    quantiles_tm1: torch.Tensor, taus_tm1: torch.Tensor, target_t: torch.Tensor, *, kappa: float = 1.0
) -> torch.Tensor:
    """Huber function of the differences between all quantiles and all target quantiles, weighed by the sign.

    Σ_i 1/M Σ_j |τ_i - 1{u_ij < 0}| L_κ(u_ij) / κ,   u_ij = target_j - θ_i

    A quantile low in the distribution pays more for being too high, and the other way round. κ = 0 is quantile
    regression itself, with |u|. Takes memory for N M numbers a distribution.

    Source: Dabney et al. (2018a), eq. 9 and 10, https://arxiv.org/abs/1710.10044 (without the division by κ); Dabney
    et al. (2018b), eq. 3, https://arxiv.org/abs/1806.06923.

    Args:
        quantiles_tm1: [..., N] quantiles θ.
        taus_tm1: their probabilities, 0 to 1: [N], or of as many dimensions as the quantiles with 1 for shared ones.
        target_t: [..., M] target quantiles; no gradient flows into them.
        kappa: κ >= 0, bound of the quadratic part.

    Returns:
        [...] errors, not reduced.

    Raises:
        ValueError: the shapes do not fit, or kappa < 0.
    """
    check_same_shape(one_of_quantiles_tm1=quantiles_tm1[..., 0], one_of_target_t=target_t[..., 0])
    _check_taus(taus_tm1, quantiles_tm1)
    if kappa < 0.0:
        raise ValueError(f"kappa must be at least 0, but is {kappa}")
    error = td_error(*torch.broadcast_tensors(quantiles_tm1.unsqueeze(-1), target_t.unsqueeze(-2)))  # [..., N, M]
    weight = (taus_tm1.unsqueeze(-1) - (error < 0).to(error.dtype)).abs()
    size = huber(error, kappa) / kappa if kappa else error.abs()
    return (weight * size).mean(dim=-1).sum(dim=-1)


def _check_taus(taus: torch.Tensor, quantiles: torch.Tensor) -> None:
    """[B, N] against quantiles [B, S, N] would broadcast where B = S."""
    fits = taus.dim() in (1, quantiles.dim()) and taus.shape[-1] == quantiles.shape[-1]
    leading = zip(taus.shape[:-1], quantiles.shape[:-1], strict=False)
    if not fits or any(size not in (1, full) for size, full in leading):
        raise ValueError(f"taus {tuple(taus.shape)} and quantiles {tuple(quantiles.shape)} do not fit")


def large_margin_error(
    scores_tm1: torch.Tensor,
    actions_tm1: torch.Tensor,
    mask_tm1: torch.Tensor,
    branches: Sequence[int],
    *,
    margin: float = 0.8,
) -> torch.Tensor:
    """How far the demonstrator's action is from being the best by a margin, in every branch.

    J_E = max_a [Q_d(s, a) + l(a_E, a)] - Q_d(s, a_E)   over legal actions, l = margin where a ≠ a_E, else 0

    It is 0 where the demonstrator's action leads by the margin. That action counts as legal whatever the mask says,
    so that the error is never negative.

    Source: Hester et al. (2018), "Deep Q-learning from Demonstrations", section 4, https://arxiv.org/abs/1704.03732.

    Args:
        scores_tm1: [B, A] values of the state, summed over the reward streams; gradient flows into both terms.
        actions_tm1: [B, D] demonstrated actions a_E.
        mask_tm1: [B, A] 1.0 where legal.
        branches: sizes A_d.
        margin: lead asked for, in units of value, >= 0.

    Returns:
        [B, D] errors, not reduced.

    Raises:
        ValueError: scores, actions, mask and branches do not fit.
    """
    check_branches(scores_tm1, mask_tm1, branches)
    columns = action_columns(actions_tm1, branches)
    if len(columns) != len(scores_tm1):
        raise ValueError(f"actions {tuple(actions_tm1.shape)} and scores {tuple(scores_tm1.shape)} do not fit")
    demonstrated = torch.zeros_like(scores_tm1).scatter(1, columns, 1.0)
    raised = mask_scores(scores_tm1 + margin * (1.0 - demonstrated), torch.maximum(mask_tm1, demonstrated))
    best = torch.stack([branch.amax(dim=1) for branch in raised.split(list(branches), dim=1)], dim=1)
    return best - scores_tm1.gather(1, columns)


def max_mean_priority(error: torch.Tensor, mask: torch.Tensor | None = None, *, eta: float = 0.9) -> torch.Tensor:
    """Priority of replayed sequences: between the largest and the mean TD error of their steps.

    p = η max_t |δ_t| + (1 - η) mean_t |δ_t|   over real steps

    The mean alone, η = 0, would hide the one step of a long sequence that is worth replaying.

    Source: Kapturowski et al. (2019), section 2.3, https://openreview.net/forum?id=r1lyTjAqYX.

    Args:
        error: [T, B] TD errors.
        mask: [T, B] 1 for real steps, 0 for padding; None if all are real. A sequence of padding has priority 0.
        eta: η, 0 to 1.

    Returns:
        [B] priorities, detached.

    Raises:
        ValueError: the shapes differ, or `eta` is outside 0 to 1.
    """
    if not 0.0 <= eta <= 1.0:
        raise ValueError(f"eta must lie between 0 and 1, but is {eta}")
    mask = torch.ones_like(error) if mask is None else mask
    check_same_shape(error=error, mask=mask)
    size = error.detach().abs().masked_fill(mask == 0, 0.0)
    return eta * size.amax(dim=0) + (1.0 - eta) * size.sum(dim=0) / (mask != 0).sum(dim=0).clamp(min=1)


def policy_gradient_loss(
    log_probs_tm1: torch.Tensor,
    advantage_t: torch.Tensor,
    mask: torch.Tensor | None = None,
    *,
    total: float | None = None,
) -> torch.Tensor:
    """Policy-gradient loss of actor-critic.

    L = -E[A log π(a | s)]

    With several action dimensions the log-probabilities are averaged over them, as ML-Agents' PPO does, so that a
    learning rate means the same for either; the textbook sums them.

    Source: Mnih et al. (2016), https://arxiv.org/abs/1602.01783, section 4.

    Args:
        log_probs_tm1: [B, A] log-probability of the action taken in each action dimension.
        advantage_t: [B] advantages; no gradient flows into them.
        mask: [B] 1 for real steps, 0 for padding.
        total: divisor, see `masked_mean`.

    Returns:
        [] the loss.

    Raises:
        ValueError: the numbers of steps differ.
    """
    check_same_shape(log_prob_tm1=log_probs_tm1[:, 0], advantage_t=advantage_t)
    return masked_mean(-advantage_t.detach() * log_probs_tm1.mean(dim=1), mask, total=total)


def clipped_surrogate_loss(
    log_probs_tm1: torch.Tensor,
    old_log_probs_tm1: torch.Tensor,
    advantage_t: torch.Tensor,
    mask: torch.Tensor | None = None,
    *,
    epsilon: float,
    total: float | None = None,
) -> torch.Tensor:
    """Policy loss of PPO: no gain from making an action more or less likely by more than epsilon.

    L = -E[min(r A, clip(r, 1 - ε, 1 + ε) A)],   r = π(a | s) / π_old(a | s)

    With several action dimensions each has a ratio of its own, and the mean is over them too. Equals ML-Agents'
    `ModelUtils.trust_region_policy_loss`. Where r = 1 its gradient is that of `policy_gradient_loss`.

    Source: Schulman et al. (2017), eq. 7, https://arxiv.org/abs/1707.06347.

    Args:
        log_probs_tm1: [B, A] log-probability of the action taken in each action dimension.
        old_log_probs_tm1: [B, A] those under the policy that acted; no gradient flows into them.
        advantage_t: [B] advantages; no gradient flows into them.
        mask: [B] 1 for real steps, 0 for padding.
        epsilon: ε >= 0.
        total: divisor, see `masked_mean`.

    Returns:
        [] the loss.

    Raises:
        ValueError: the shapes differ.
    """
    check_same_shape(log_probs_tm1=log_probs_tm1, old_log_probs_tm1=old_log_probs_tm1)
    check_same_shape(one_of_log_probs_tm1=log_probs_tm1[:, 0], advantage_t=advantage_t)
    ratio = (log_probs_tm1 - old_log_probs_tm1.detach()).exp()
    advantage = advantage_t.detach().unsqueeze(1)
    gain = torch.minimum(ratio * advantage, ratio.clamp(1.0 - epsilon, 1.0 + epsilon) * advantage)
    return -masked_mean(gain.mean(dim=1), mask, total=total)


def value_loss(
    v_tm1: torch.Tensor,
    return_t: torch.Tensor,
    mask: torch.Tensor | None = None,
    *,
    delta: float | None = None,
    total: float | None = None,
) -> torch.Tensor:
    """Mean squared error of state values against returns (without the factor ½), or the `huber` of it.

    e², or with δ: e² where |e| <= δ, else δ (2 |e| - δ)

    Args:
        v_tm1: [B] values.
        return_t: [B] returns; no gradient flows into them.
        mask: [B] 1 for real steps, 0 for padding.
        delta: δ > 0, the error beyond which the loss is linear; None is squared everywhere.
        total: divisor, see `masked_mean`.

    Returns:
        [] the loss.

    Raises:
        ValueError: the shapes differ.
    """
    error = td_error(v_tm1, return_t)
    return masked_mean(error.square() if delta is None else 2.0 * huber(error, delta), mask, total=total)


def clipped_value_loss(
    v_tm1: torch.Tensor,
    old_v_tm1: torch.Tensor,
    return_t: torch.Tensor,
    mask: torch.Tensor | None = None,
    *,
    epsilon: float,
    total: float | None = None,
) -> torch.Tensor:
    """Value loss of PPO: no gain from moving a value further than epsilon from what it was when the agent acted.

    L = E[max((R - v)², (R - v_clip)²)],   v_clip = v_old + clip(v - v_old, -ε, ε)

    Equals ML-Agents' `ModelUtils.trust_region_value_loss` for one reward stream.

    Source: the implementation of Schulman et al. (2017), described by Engstrom et al. (2020), section 3,
    https://arxiv.org/abs/2005.12729.

    Args:
        v_tm1: [B] values.
        old_v_tm1: [B] values when the agent acted; no gradient flows into them.
        return_t: [B] returns; no gradient flows into them.
        mask: [B] 1 for real steps, 0 for padding.
        epsilon: ε >= 0, in units of value.
        total: divisor, see `masked_mean`.

    Returns:
        [] the loss.

    Raises:
        ValueError: the shapes differ.
    """
    change = -td_error(v_tm1, old_v_tm1)
    clipped = old_v_tm1.detach() + change.clamp(-epsilon, epsilon)
    worse = torch.maximum(td_error(v_tm1, return_t).square(), td_error(clipped, return_t).square())
    return masked_mean(worse, mask, total=total)


def mean_over_streams(loss: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """The mean of a loss of values over the reward streams.

    Args:
        loss: takes [B] tensors of one stream, such as `value_loss` or `clipped_value_loss`.

    Returns:
        The same for [B, S] tensors; keyword arguments are handed on.
    """

    def mean_loss(*columns: torch.Tensor, **keywords: Any) -> torch.Tensor:
        streams = zip(*(column.unbind(dim=1) for column in columns), strict=True)
        return torch.stack([loss(*stream, **keywords) for stream in streams]).mean()

    return mean_loss


def entropy_loss(
    entropy: torch.Tensor, mask: torch.Tensor | None = None, *, total: float | None = None
) -> torch.Tensor:
    """Negative mean entropy; added with a positive weight it keeps the policy from narrowing too soon.

    Args:
        entropy: [B] entropies of the policy.
        mask: [B] 1 for real steps, 0 for padding.
        total: divisor, see `masked_mean`.

    Returns:
        [] the loss.
    """
    return -masked_mean(entropy, mask, total=total)
