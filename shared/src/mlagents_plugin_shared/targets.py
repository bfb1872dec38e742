"""Learning targets: TD, n-step, double Q and generalised advantage estimation.

Pure functions of tensors. Sequences are time-major, [T, B]. There is no `done` in any formula: the discount is data,
0 where the episode terminated and gamma where it goes on or was interrupted. Names end in `_tm1` for the step at
which the agent acted and in `_t` for what followed. Every target is detached.
"""

import torch


def _check_same_shape(**tensors: torch.Tensor) -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if len(set(shapes.values())) > 1:
        raise ValueError(f"these must have one shape, but are {shapes}")


def td_target(r_t: torch.Tensor, discount_t: torch.Tensor, v_t: torch.Tensor) -> torch.Tensor:
    """One-step bootstrapped return.

    G_t = r_t + γ_t v_t

    With an n-step reward sum, γ^n and the value n steps on, it is the n-step return.

    Source: Sutton & Barto (2018), eq. 6.2.

    Args:
        r_t: [...] rewards received after acting in s_{t-1}.
        discount_t: [...] γ, 0 where the episode terminated.
        v_t: [...] values of the next states; no gradient flows into them.

    Returns:
        [...] targets, detached.

    Raises:
        ValueError: the shapes differ.
    """
    _check_same_shape(r_t=r_t, discount_t=discount_t, v_t=v_t)
    return (r_t + discount_t * v_t).detach()


def n_step_return(
    r_t: torch.Tensor, horizon: torch.Tensor, terminated: torch.Tensor, gamma: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Discounted sum of the rewards in windows of up to n steps, and the discount of what follows them.

    R = r_1 + γ r_2 + … + γ^{h-1} r_h,   discount = γ^h, or 0 where the window ended in a terminal state

    Source: Sutton & Barto (2018), eq. 7.1.

    Args:
        r_t: [B, n] rewards of each window in order; those beyond `horizon` are ignored.
        horizon: [B] integers h, 1 to n: how many rewards of the window count.
        terminated: [B] bool, the h-th reward ended the episode in a terminal state.
        gamma: discount a step, 0 to 1.

    Returns:
        [B] reward sums and [B] discounts, both detached.

    Raises:
        ValueError: `horizon` or `terminated` is not [B].
    """
    _batch_size, n = r_t.shape
    _check_same_shape(batch=r_t[:, 0], horizon=horizon, terminated=terminated)
    step = torch.arange(n, device=r_t.device)
    counts = step < horizon.unsqueeze(1)
    reward = (r_t * counts * gamma**step).sum(dim=1)
    discount = gamma ** horizon.to(r_t.dtype) * ~terminated
    return reward.detach(), discount.detach()


def n_step_target(r_t: torch.Tensor, discount_t: torch.Tensor, v_t: torch.Tensor, *, n: int) -> torch.Tensor:
    """n-step bootstrapped return for every step of a sequence.

    G_t = r_{t+1} + γ_{t+1} r_{t+2} + … + γ_{t+1}…γ_{t+n} v_{t+n}

    Near the end fewer than n rewards remain and the last value is bootstrapped.
    n = 1 is the one-step TD target; n >= T is Monte Carlo with a bootstrap at the end.

    Source: Sutton & Barto (2018), eq. 7.1.

    Args:
        r_t: [T, B, ...] rewards received after acting in s_{t-1}.
        discount_t: [T, B, ...] γ where the episode goes on or was interrupted, 0 where it terminated.
        v_t: [T, B, ...] values of the next states; no gradient flows into them.
        n: number of rewards to sum, >= 1.

    Returns:
        [T, B, ...] targets, detached.

    Raises:
        ValueError: the shapes differ, or n < 1.
    """
    _check_same_shape(r_t=r_t, discount_t=discount_t, v_t=v_t)
    if n < 1:
        raise ValueError(f"n must be at least 1, but is {n}")
    length = r_t.shape[0]
    # Row t bootstraps from v at t + n - 1, or from the last one; then the rewards are folded in backwards.
    last = torch.clamp(torch.arange(length, device=r_t.device) + n - 1, max=length - 1)
    target = v_t[last]
    for k in reversed(range(min(n, length))):
        inside = length - k  # rows whose k-th reward lies within the sequence
        target = torch.cat([r_t[k:] + discount_t[k:] * target[:inside], target[inside:]])
    return target.detach()


def hold_end(
    r_t: torch.Tensor, discount_t: torch.Tensor, v_t: torch.Tensor, mask: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Makes padding at the end of sequences neutral, so that n-step targets bootstrap from the last real step.

    Padded steps get reward 0, discount 1 and the value after the last real step.

    Args:
        r_t: [T, B, ...] rewards.
        discount_t: [T, B, ...] discounts.
        v_t: [T, B, ...] values of the next states.
        mask: [T, B] 1 for real steps, 0 for the padding after them; each sequence has a real step.

    Returns:
        The three tensors with neutral padding.
    """
    last = mask.sum(dim=0).long() - 1
    step = torch.arange(len(mask), device=mask.device).unsqueeze(1)
    held = v_t[torch.minimum(step, last), torch.arange(mask.shape[1], device=mask.device)]
    real = mask.bool().reshape(*mask.shape, *[1] * (r_t.dim() - mask.dim()))
    return r_t * real, torch.where(real, discount_t, torch.ones_like(discount_t)), held


def gae(
    r_t: torch.Tensor, discount_t: torch.Tensor, v_tm1: torch.Tensor, v_t: torch.Tensor, *, lambda_: float
) -> torch.Tensor:
    """Generalised advantage estimates for every step of a sequence.

    δ_t = r_t + γ_t v_t - v_{t-1},   A_{t-1} = δ_t + γ_t λ A_t

    λ = 0 is the one-step TD error; λ = 1 is the Monte Carlo return less the value. Added to `v_tm1` it is the
    λ-return. Steps that pad a sequence at its end need reward, discount and values of 0; they then add nothing.

    Source: Schulman et al. (2016), eq. 16, https://arxiv.org/abs/1506.02438.

    Args:
        r_t: [T, B] rewards received after acting in s_{t-1}.
        discount_t: [T, B] γ where the episode goes on or was interrupted, 0 where it terminated.
        v_tm1: [T, B] values of the states acted in.
        v_t: [T, B] values of the next states; the last row bootstraps.
        lambda_: 0 to 1; low trusts the values (bias), high trusts the rewards (variance).

    Returns:
        [T, B] advantages, detached.

    Raises:
        ValueError: the shapes differ, or `lambda_` is outside 0 to 1.
    """
    _check_same_shape(r_t=r_t, discount_t=discount_t, v_tm1=v_tm1, v_t=v_t)
    if not 0.0 <= lambda_ <= 1.0:
        raise ValueError(f"lambda_ must lie between 0 and 1, but is {lambda_}")
    with torch.no_grad():
        delta_t = r_t + discount_t * v_t - v_tm1
        decay_t = discount_t * lambda_
        advantage = torch.zeros_like(delta_t)
        following = torch.zeros_like(delta_t[0])
        for t in reversed(range(len(delta_t))):
            following = torch.addcmul(delta_t[t], decay_t[t], following)
            advantage[t] = following
    return advantage
