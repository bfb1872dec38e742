"""Losses and errors: TD, Huber, policy gradient, value and entropy, with masks for padded steps.

Pure functions of tensors. Errors end in `_error` and are never reduced; losses end in `_loss` and are scalars.
A mask is 1 for a real step and 0 for padding; where `total` is given the sum is divided by it instead of by the
number of real steps, so that losses of parts add up to the loss of the whole.
"""

import torch


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
    if values.shape != mask.shape:
        raise ValueError(f"values {tuple(values.shape)} and mask {tuple(mask.shape)} must have one shape")
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
    if q_tm1.shape != target_t.shape:
        raise ValueError(f"q_tm1 {tuple(q_tm1.shape)} and target_t {tuple(target_t.shape)} must have one shape")
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
    size = error.abs()
    quadratic = size.clamp(max=delta)
    return 0.5 * quadratic.square() + delta * (size - quadratic)


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
    """
    return masked_mean(-advantage_t.detach() * log_probs_tm1.mean(dim=1), mask, total=total)


def value_loss(
    v_tm1: torch.Tensor,
    return_t: torch.Tensor,
    mask: torch.Tensor | None = None,
    *,
    total: float | None = None,
) -> torch.Tensor:
    """Mean squared error of state values against returns (without the factor ½).

    Args:
        v_tm1: [B] values.
        return_t: [B] returns; no gradient flows into them.
        mask: [B] 1 for real steps, 0 for padding.
        total: divisor, see `masked_mean`.

    Returns:
        [] the loss.
    """
    return masked_mean(td_error(v_tm1, return_t).square(), mask, total=total)


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
