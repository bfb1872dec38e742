"""Munchausen Q-learning: the value of a soft policy, its entropy, and the bonus for what it would have done.

Pure functions of tensors, on the log-probabilities of `branches.soft_policy`. The target of Munchausen DQN is that of
the `soft_reward` and the `policy_mean` of the next values. What is added to a reward is detached.
"""

from collections.abc import Sequence

import torch

from mlagents_plugin_shared.maths.branches import action_columns
from mlagents_plugin_shared.maths.shapes import check_same_shape


def policy_mean(q_t: torch.Tensor, log_policy_t: torch.Tensor, branches: Sequence[int]) -> torch.Tensor:
    """Mean of the values over the actions of a policy, in every branch.

    Σ_a π_d(a | s) Q_d(s, a)

    Args:
        q_t: [B, S, A] values, or [B, S, A, N] quantiles or probabilities of a distribution, which are mixed one by one.
        log_policy_t: [B, A] log-probabilities; those of illegal actions are finite.
        branches: sizes A_d.

    Returns:
        [B, S, D] or [B, S, D, N] means.

    Raises:
        ValueError: q, policy and branches do not fit.
    """
    if q_t.dim() < 3 or log_policy_t.shape != (len(q_t), sum(branches)) or q_t.shape[2] != sum(branches):
        raise ValueError(
            f"q_t {tuple(q_t.shape)}, log_policy_t {tuple(log_policy_t.shape)} and branches {list(branches)} do not fit"
        )
    weighted = log_policy_t.exp().reshape(len(q_t), 1, -1, *[1] * (q_t.dim() - 3)) * q_t
    return torch.stack([part.sum(dim=2) for part in weighted.split(list(branches), dim=2)], dim=2)


def policy_entropy(log_policy: torch.Tensor, branches: Sequence[int]) -> torch.Tensor:
    """Entropy of a policy in every branch.

    H_d(s) = -Σ_a π_d(a | s) ln π_d(a | s)

    Args:
        log_policy: [B, A] log-probabilities; those of illegal actions are finite.
        branches: sizes A_d.

    Returns:
        [B, D] entropies, 0 to ln A_d.
    """
    terms = log_policy.exp() * log_policy
    return -torch.stack([part.sum(dim=1) for part in terms.split(list(branches), dim=1)], dim=1)


def munchausen_bonus(
    log_policy_tm1: torch.Tensor,
    actions_tm1: torch.Tensor,
    branches: Sequence[int],
    *,
    alpha: float = 0.9,
    temperature: float = 0.03,
    lowest: float = -1.0,
) -> torch.Tensor:
    """What Munchausen DQN adds to the reward: the scaled log-probability of the action that was taken.

    α [τ ln π_d(a | s)] clipped to l_0 … 0

    It is 0 where the policy is sure of the action, and lower the less it would have chosen it. Added to each of S
    reward streams it is to be divided by S.

    Source: Vieillard et al. (2020), section 2, and section 4 for the bound, https://arxiv.org/abs/2007.14430.

    Args:
        log_policy_tm1: [B, A] log-probabilities from `soft_policy` of the target network's values of s_{t-1}.
        actions_tm1: [B, D] actions taken.
        branches: sizes A_d.
        alpha: α, 0 to 1; 0 is soft Q-learning.
        temperature: τ of the policy, > 0.
        lowest: l_0 < 0, bound of the logarithm, which has none of its own.

    Returns:
        [B, D] bonuses, detached, α l_0 to 0.

    Raises:
        ValueError: policy, actions and branches do not fit.
    """
    columns = action_columns(actions_tm1, branches)
    if log_policy_tm1.shape != (len(columns), sum(branches)):
        raise ValueError(
            f"log_policy_tm1 {tuple(log_policy_tm1.shape)}, actions_tm1 {tuple(actions_tm1.shape)} and branches "
            f"{list(branches)} do not fit"
        )
    scaled = temperature * log_policy_tm1.gather(1, columns)
    return alpha * scaled.clamp(min=lowest, max=0.0).detach()


def soft_reward(
    r_t: torch.Tensor,
    discount_t: torch.Tensor,
    bonus_tm1: torch.Tensor,
    entropy_t: torch.Tensor,
    *,
    temperature: float,
) -> torch.Tensor:
    """Reward of Munchausen Q-learning: with the bonus, and with the entropy of the soft policy of the next state.

    r + (1/D Σ_d bonus_d + γ τ 1/D Σ_d H_d) / S

    Beside `policy_mean` as the next value, that makes the soft value Σ_a π (Q - τ ln π) of the whole target; the
    entropy stands with the reward since a distribution of the return can be moved, but by nothing else added to. The S
    reward streams share both, so that they add up to the target of their sum.

    Source: Vieillard et al. (2020), eq. 1, https://arxiv.org/abs/2007.14430.

    Args:
        r_t: [B, S] rewards received after acting in s_{t-1}.
        discount_t: [B, S] γ, 0 where the episode terminated.
        bonus_tm1: [B, D] from `munchausen_bonus`.
        entropy_t: [B, D] from `policy_entropy`.
        temperature: τ of the policy, > 0.

    Returns:
        [B, S] rewards, detached.

    Raises:
        ValueError: the shapes do not fit.
    """
    check_same_shape(r_t=r_t, discount_t=discount_t)
    check_same_shape(bonus_tm1=bonus_tm1, entropy_t=entropy_t)
    check_same_shape(batch=r_t[:, 0], bonus_of_one_branch=bonus_tm1[:, 0])
    soft_t = discount_t * temperature * entropy_t.mean(dim=1).unsqueeze(1)
    return (r_t + (bonus_tm1.mean(dim=1, keepdim=True) + soft_t) / r_t.shape[1]).detach()
