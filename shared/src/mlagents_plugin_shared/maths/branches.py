"""Discrete actions of several branches: which are legal, which is best, which were chosen, and how likely they are.

Pure functions of tensors. The actions of an agent are D branches, branch d with A_d choices; masks and scores are
the branches side by side, [B, A] with A = ΣA_d; a mask is 1 where an action is legal.
"""

from collections.abc import Sequence
from itertools import accumulate

import torch

from mlagents_plugin_shared.maths.shapes import check_branches

_ILLEGAL = 1e8  # exact in float32, so that adding 1e8 - 1e8 leaves the score of a legal action as it is


def mask_scores(scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Scores with the illegal actions far below every legal one.

    Only a product and sums, which every ONNX runtime computes alike: the exported model and the policy agree.

    Args:
        scores: [B, A] scores, well below 1e8 in size.
        mask: [B, A] 1.0 where legal, 0.0 where not.

    Returns:
        [B, A] scores.
    """
    return scores + (mask * _ILLEGAL + -_ILLEGAL)


def greedy_actions(scores: torch.Tensor, mask: torch.Tensor, branches: Sequence[int]) -> torch.Tensor:
    """Legal action with the highest score in every branch; the first of equals.

    Args:
        scores: [B, A] scores, well below 1e8 in size.
        mask: [B, A] 1.0 where legal, 0.0 where not.
        branches: sizes A_d.

    Returns:
        [B, D] integer actions.

    Raises:
        ValueError: scores and mask have different shapes, or the branches do not add up to A.
    """
    check_branches(scores, mask, branches)
    best = [branch.argmax(dim=1) for branch in mask_scores(scores, mask).split(list(branches), dim=1)]
    return torch.stack(best, dim=1)


def action_columns(actions: torch.Tensor, branches: Sequence[int]) -> torch.Tensor:
    """Columns of actions where the branches stand side by side.

    Args:
        actions: [B, D] actions, counted within their branch.
        branches: sizes A_d.

    Returns:
        [B, D] columns, 0 to A - 1.

    Raises:
        ValueError: the actions are not of D branches.
    """
    if actions.dim() != 2 or actions.shape[1] != len(branches):
        raise ValueError(f"actions {tuple(actions.shape)} and branches {list(branches)} do not fit")
    if len(branches) == 1:
        return actions
    return actions + actions.new_tensor([0, *accumulate(branches[:-1])])


def are_legal(actions: torch.Tensor, mask: torch.Tensor, branches: Sequence[int]) -> torch.Tensor:
    """Which agents' actions are legal in every branch.

    Args:
        actions: [B, D] actions, counted within their branch.
        mask: [B, A] 1.0 where legal, 0.0 where not.
        branches: sizes A_d.

    Returns:
        [B] bool.

    Raises:
        ValueError: actions, mask and branches do not fit.
    """
    columns = action_columns(actions, branches)
    if mask.shape != (len(actions), sum(branches)):
        raise ValueError(
            f"mask {tuple(mask.shape)}, actions {tuple(actions.shape)} and branches {list(branches)} do not fit"
        )
    return (mask.gather(1, columns) > 0).all(dim=1)


def chosen_values(q: torch.Tensor, actions: torch.Tensor, branches: Sequence[int]) -> torch.Tensor:
    """Values of the chosen action of every branch.

    Args:
        q: [B, S, A] values, or [B, S, A, N] atoms or quantiles, the branches side by side.
        actions: [B, D] chosen actions, counted within their branch.
        branches: sizes A_d.

    Returns:
        [B, S, D] or [B, S, D, N] values.

    Raises:
        ValueError: q, actions and branches do not fit.
    """
    columns = action_columns(actions, branches)
    if q.dim() < 3 or len(q) != len(actions) or q.shape[2] != sum(branches):
        raise ValueError(f"q {tuple(q.shape)}, actions {tuple(actions.shape)} and branches {list(branches)} do not fit")
    index = columns.reshape(len(columns), 1, -1, *[1] * (q.dim() - 3))
    return q.gather(2, index.expand(-1, q.shape[1], -1, *q.shape[3:]))


def legal_or_all(mask: torch.Tensor, branches: Sequence[int]) -> torch.Tensor:
    """The mask, with all actions legal in the branches where none is: there is no choice that could be worse.

    Args:
        mask: [B, A] 1.0 where legal, 0.0 where not.
        branches: sizes A_d.

    Returns:
        [B, A] mask.
    """
    parts = mask.split(list(branches), dim=1)
    return torch.cat([part.masked_fill((part == 0).all(dim=1, keepdim=True), 1.0) for part in parts], dim=1)


def soft_policy(scores: torch.Tensor, mask: torch.Tensor, branches: Sequence[int], temperature: float) -> torch.Tensor:
    """Log-probabilities of the Boltzmann policy of every branch.

    ln π_d(a | s) = Q_d(s, a) / τ - ln Σ_a' exp(Q_d(s, a') / τ)   over legal actions a'

    Stable for large Q / τ. An illegal action gets -1e8, whose exponential is 0; unlike -∞ it gives 0, and not NaN,
    when it is multiplied by that probability.

    Source: Vieillard et al. (2020), section 2, https://arxiv.org/abs/2007.14430; Sutton & Barto (2018), eq. 2.11.

    Args:
        scores: [B, A] scores; gradient flows into those of legal actions.
        mask: [B, A] 1.0 where legal. A branch without a legal action is treated as if all were legal.
        branches: sizes A_d.
        temperature: τ > 0; towards 0 greedy, towards infinity uniform.

    Returns:
        [B, A] log-probabilities, which add up to probability 1 in every branch.

    Raises:
        ValueError: scores, mask and branches do not fit, or the temperature is not positive.
    """
    check_branches(scores, mask, branches)
    if temperature <= 0.0:
        raise ValueError(f"temperature must be positive, but is {temperature}")
    legal = legal_or_all(mask, branches).bool()
    logits = (scores / temperature).masked_fill(~legal, -torch.inf)
    log_policy = torch.cat([branch.log_softmax(dim=1) for branch in logits.split(list(branches), dim=1)], dim=1)
    return log_policy.masked_fill(~legal, -_ILLEGAL)
