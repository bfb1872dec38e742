"""Learning targets: TD, double Q, n-step, λ-return, generalised advantage estimation and V-trace.

Pure functions of tensors. Sequences are time-major, [T, B]. There is no `done` in any formula: the discount is data,
0 where the episode terminated and gamma where it goes on or was interrupted. Names end in `_tm1` for the step at
which the agent acted and in `_t` for what followed. Every target is detached.
"""

from collections.abc import Sequence

import torch

from mlagents_plugin_shared.maths.branches import chosen_values, greedy_actions
from mlagents_plugin_shared.maths.shapes import check_same_shape


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
    check_same_shape(r_t=r_t, discount_t=discount_t, v_t=v_t)
    return (r_t + discount_t * v_t).detach()


def double_q_value(
    q_t: torch.Tensor, scores_t: torch.Tensor, mask_t: torch.Tensor, branches: Sequence[int]
) -> torch.Tensor:
    """Value of the next state: one network chooses the actions, another one values them.

    v_t = 1/D Σ_d Q'_d(s_t, argmax_a Q_d(s_t, a))   over legal actions a

    Scores of the same network give max_a Q', plain Q-learning. Atoms or quantiles of the chosen actions are averaged
    over the branches one by one; the mean of the distribution is then the value above.

    Source: van Hasselt et al. (2016), eq. 4, https://arxiv.org/abs/1509.06461; the mean over branches: Tavakoli et
    al. (2018), eq. 4, https://arxiv.org/abs/1711.08946.

    Args:
        q_t: [B, S, A] or [B, S, A, N] values of the network that judges, the target network.
        scores_t: [B, A] what the network that chooses compares: its values, summed over the reward streams.
        mask_t: [B, A] 1.0 where an action is legal in the next state.
        branches: sizes A_d.

    Returns:
        [B, S] or [B, S, N] values, detached.

    Raises:
        ValueError: the shapes or the branches do not fit.
    """
    best = greedy_actions(scores_t, mask_t, branches)
    return chosen_values(q_t, best, branches).mean(dim=2).detach()


def least_value(values_t: torch.Tensor, scores_t: torch.Tensor) -> torch.Tensor:
    """Of what several critics say of a state, all that the one says that promises least.

    v_t = V_k(s_t),   k = argmin_k score_k(s_t)

    Where a value is a number and its own score, it is min_k V_k, clipped double Q-learning; where it is a distribution,
    that of the critic with the smaller mean. With several reward streams the score is of their sum: all streams are
    then one critic's, where the smallest of each could be of no policy.

    Source: Fujimoto et al. (2018), eq. 10, https://arxiv.org/abs/1802.09477; for distributions FlashSAC,
    https://arxiv.org/abs/2604.04539, and XQC, https://arxiv.org/abs/2509.25174.

    Args:
        values_t: [K, B, ...] of K critics.
        scores_t: [K, B] by what they are compared.

    Returns:
        [B, ...] values, detached; the first critic's where scores are equal.

    Raises:
        ValueError: the shapes do not fit.
    """
    check_same_shape(
        scores_t=scores_t, one_of_values_t=values_t.flatten(2)[:, :, 0] if values_t.dim() > 2 else values_t
    )
    return values_t[scores_t.argmin(dim=0), torch.arange(values_t.shape[1], device=values_t.device)].detach()


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
    check_same_shape(batch=r_t[:, 0], horizon=horizon, terminated=terminated)
    step = torch.arange(n, device=r_t.device)
    counts = step < horizon.unsqueeze(1)
    reward = (r_t * counts * gamma**step).sum(dim=1)
    discount = gamma ** horizon.to(r_t.dtype) * ~terminated
    return reward.detach(), discount.detach()


def n_step_windows(
    r_t: torch.Tensor, discount_t: torch.Tensor, mask: torch.Tensor, *, n: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The n-step windows that begin at every step of sequences; `td_target` makes n-step returns of them.

    R_t = r_{t+1} + γ_{t+1} r_{t+2} + …,   Γ_t = γ_{t+1} γ_{t+2} …   over n steps, or fewer before the padding

    Source: Sutton & Barto (2018), eq. 7.1.

    Args:
        r_t: [T, B, ...] rewards received after acting in s_{t-1}.
        discount_t: [T, B, ...] γ where the episode goes on or was interrupted, 0 where it terminated.
        mask: [T, B] 1 for the steps that are learned from, at least one, without a gap; 0 for burn-in before them and
            for padding after them.
        n: most rewards of a window, >= 1.

    Returns:
        [T, B, ...] reward sums R, [T, B, ...] discounts Γ, and [T, B] the steps of each window: the value after the
        last of them is the one to bootstrap from. Windows in the padding mean nothing.

    Raises:
        ValueError: the shapes differ, or n < 1.
    """
    check_same_shape(r_t=r_t, discount_t=discount_t)
    check_same_shape(mask=mask, steps=r_t.reshape(*r_t.shape[:2], -1)[..., 0])
    if n < 1:
        raise ValueError(f"n must be at least 1, but is {n}")
    step = torch.arange(len(mask), device=mask.device)
    end = (mask.long() * step.unsqueeze(1)).amax(dim=0)
    reward, discount = torch.zeros_like(r_t), torch.ones_like(discount_t)
    for k in range(n):
        at = (step + k).clamp(max=len(mask) - 1)
        inside = (step.unsqueeze(1) + k <= end).reshape(*mask.shape, *[1] * (r_t.dim() - 2))
        reward = reward + torch.where(inside, discount * r_t[at], torch.zeros_like(reward))
        discount = torch.where(inside, discount * discount_t[at], discount)
    last = torch.minimum(step.unsqueeze(1) + n - 1, end)
    return reward.detach(), discount.detach(), last - step.unsqueeze(1) + 1


def _backward_sum(x_t: torch.Tensor, decay_t: torch.Tensor, end: torch.Tensor) -> torch.Tensor:
    """[T, B, ...] sums y_t = x_t + decay_t y_{t+1}, with y = end after the last row."""
    sums = torch.empty_like(x_t)
    following = end
    for t in reversed(range(len(x_t))):
        following = torch.addcmul(x_t[t], decay_t[t], following)
        sums[t] = following
    return sums


def _check_lambda(lambda_: float) -> None:
    if not 0.0 <= lambda_ <= 1.0:
        raise ValueError(f"lambda_ must lie between 0 and 1, but is {lambda_}")


def lambda_return(
    r_t: torch.Tensor, discount_t: torch.Tensor, v_t: torch.Tensor, *, lambda_: float | torch.Tensor
) -> torch.Tensor:
    """λ-return for every step of a sequence: the mean of all n-step returns, weighted by (1 - λ) λ^{n-1}.

    G_t = r_t + γ_t ((1 - λ_t) v_t + λ_t G_{t+1}),   the last one bootstraps: G_T = r_T + γ_T v_T

    λ = 0 is the one-step TD target; λ = 1 is Monte Carlo with a bootstrap at the end. With values v = max_a Q(s, a) it
    is Peng's Q(λ), and where λ_t is 0 before actions that are not greedy, Watkins'. Steps that pad a sequence at its
    end need reward 0, discount 1 and the last value, as in `StreamSteps`.

    Source: Sutton & Barto (2018), eq. 12.18 and section 12.10; Peng & Williams (1996), eq. 8.

    Args:
        r_t: [T, B, ...] rewards received after acting in s_{t-1}.
        discount_t: [T, B, ...] γ where the episode goes on or was interrupted, 0 where it terminated.
        v_t: [T, B, ...] values of the next states; no gradient flows into them.
        lambda_: 0 to 1; low trusts the values (bias), high trusts the rewards (variance). One number, or
            [T, B, ...] of each step, the weight of the return that follows it; that of the last row is without effect.

    Returns:
        [T, B, ...] targets, detached.

    Raises:
        ValueError: the shapes differ, or the one number of `lambda_` is outside 0 to 1.
    """
    check_same_shape(r_t=r_t, discount_t=discount_t, v_t=v_t)
    if isinstance(lambda_, torch.Tensor):
        check_same_shape(v_t=v_t, lambda_=lambda_)
    else:
        _check_lambda(lambda_)
    with torch.no_grad():
        return _backward_sum(r_t + discount_t * (1.0 - lambda_) * v_t, discount_t * lambda_, v_t[-1])


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
    check_same_shape(r_t=r_t, discount_t=discount_t, v_tm1=v_tm1, v_t=v_t)
    _check_lambda(lambda_)
    with torch.no_grad():
        delta_t = r_t + discount_t * v_t - v_tm1
        return _backward_sum(delta_t, discount_t * lambda_, torch.zeros_like(delta_t[0]))


def vtrace(
    r_t: torch.Tensor,
    discount_t: torch.Tensor,
    v_tm1: torch.Tensor,
    v_t: torch.Tensor,
    rho_tm1: torch.Tensor,
    *,
    lambda_: float = 1.0,
    clip_rho: float = 1.0,
    clip_c: float = 1.0,
    clip_pg_rho: float = 1.0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """V-trace: value targets and policy-gradient advantages from the actions of an older policy μ.

    vs_{t-1} = v_{t-1} + δ_t + γ_t c_{t-1} (vs_t - v_t),   δ_t = min(ρ̄, ρ_{t-1}) (r_t + γ_t v_t - v_{t-1})
    A_{t-1} = min(ρ̄_pg, ρ_{t-1}) (r_t + γ_t (v_t + λ (vs_t - v_t)) - v_{t-1}),   c = λ min(c̄, ρ)

    Where π = μ, with the bounds at 1 or above, the targets are the λ-return and the advantages those of `gae`. Steps
    that pad a sequence at its end need reward, discount and values of 0; they then add nothing.

    Source: Espeholt et al. (2018), eq. 1, section 4.2 (advantages) and remark 2 (λ),
    https://arxiv.org/abs/1802.01561.

    Args:
        r_t: [T, B] rewards received after acting in s_{t-1}.
        discount_t: [T, B] γ where the episode goes on or was interrupted, 0 where it terminated.
        v_tm1: [T, B] values of the states acted in.
        v_t: [T, B] values of the next states; the last row bootstraps.
        rho_tm1: [T, B] importance ratios π(a | s) / μ(a | s) of the actions taken, all branches together.
        lambda_: 0 to 1, as in `lambda_return`.
        clip_rho: ρ̄, bound of the ratio of the TD errors, >= clip_c: which policy the values converge to, from that
            of μ (near 0) to that of π (infinite).
        clip_c: c̄, bound of the ratios that carry an error back in time: how fast, and with how much variance.
        clip_pg_rho: ρ̄_pg, bound of the ratio of the advantages.

    Returns:
        [T, B] value targets and [T, B] advantages, both detached.

    Raises:
        ValueError: the shapes differ, or `lambda_` is outside 0 to 1.
    """
    check_same_shape(r_t=r_t, discount_t=discount_t, v_tm1=v_tm1, v_t=v_t, rho_tm1=rho_tm1)
    _check_lambda(lambda_)
    with torch.no_grad():
        delta_t = rho_tm1.clamp(max=clip_rho) * (r_t + discount_t * v_t - v_tm1)
        c_tm1 = lambda_ * rho_tm1.clamp(max=clip_c)
        end = torch.zeros_like(delta_t[:1])
        correction_tm1 = _backward_sum(delta_t, discount_t * c_tm1, end[0])  # vs - v
        correction_t = torch.cat([correction_tm1[1:], end])
        advantage = rho_tm1.clamp(max=clip_pg_rho) * (r_t + discount_t * (v_t + lambda_ * correction_t) - v_tm1)
        return v_tm1 + correction_tm1, advantage
