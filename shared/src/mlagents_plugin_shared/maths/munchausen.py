"""Munchausen Q-learning: the value of a soft policy, and the bonus for what it would have done.

Pure functions of tensors, on the log-probabilities of `branches.soft_policy`. The target of Munchausen DQN is
`targets.td_target` of the reward with its bonus and the soft value. Everything is detached.
"""

from collections.abc import Sequence

import torch

from mlagents_plugin_shared.maths.branches import action_columns


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


def soft_value(
    q_t: torch.Tensor, log_policy_t: torch.Tensor, branches: Sequence[int], temperature: float
) -> torch.Tensor:
    """Value of the next state under a soft policy, entropy included.

    v_d = Σ_a π_d(a | s) Q_d(s, a) + τ H_d(s) / S

    The S reward streams share the entropy, so that they add up to the value of their sum. With the soft policy of
    that sum it is τ ln Σ_a exp(Q / τ); τ towards 0 gives the maximum. Quantiles are treated one by one.

    Source: Vieillard et al. (2020), section 2, https://arxiv.org/abs/2007.14430.

    Args:
        q_t: [B, S, A] or [B, S, A, N] values of the target network; no gradient flows into them.
        log_policy_t: [B, A] log-probabilities from `soft_policy`; those of illegal actions are finite.
        branches: sizes A_d.
        temperature: τ of the policy, > 0.

    Returns:
        [B, S, D] or [B, S, D, N] values, detached.

    Raises:
        ValueError: q, policy and branches do not fit.
    """
    mean = policy_mean(q_t, log_policy_t, branches)
    entropy = policy_entropy(log_policy_t, branches).reshape(len(mean), 1, -1, *[1] * (mean.dim() - 3))
    return (mean + temperature * entropy / q_t.shape[1]).detach()


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
