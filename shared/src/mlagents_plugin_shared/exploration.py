"""Exploration over discrete actions: uniform draws among legal actions, and epsilon-greedy.

Pure functions of tensors. The actions of an agent are D branches, branch d with A_d choices; masks and scores are
the branches side by side, [B, A] with A = ΣA_d; a mask is 1 where an action is legal.
"""

from collections.abc import Sequence

import torch

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
    if scores.shape != mask.shape or scores.shape[1] != sum(branches):
        raise ValueError(
            f"scores {tuple(scores.shape)}, mask {tuple(mask.shape)} and branches {list(branches)} do not fit"
        )
    best = [branch.argmax(dim=1) for branch in mask_scores(scores, mask).split(list(branches), dim=1)]
    return torch.stack(best, dim=1)


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
    no_choice = torch.cat(
        [(part.sum(dim=1, keepdim=True) == 0).expand_as(part) for part in mask.split(list(branches), dim=1)],
        dim=1,
    )
    return greedy_actions(draws, torch.where(no_choice, torch.ones_like(mask), mask), branches)


def epsilon_greedy(
    greedy: torch.Tensor,
    mask: torch.Tensor,
    branches: Sequence[int],
    epsilon: float,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """Replaces the greedy actions of each agent, with probability epsilon, by random legal ones.

    Every agent has its own draw; an agent that explores draws anew in all of its branches.

    Source: Sutton & Barto (2018), section 2.2; Mnih et al. (2015).

    Args:
        greedy: [B, D] greedy actions.
        mask: [B, A] 1.0 where legal, 0.0 where not.
        branches: sizes A_d.
        epsilon: probability of a random action, 0 to 1.
        generator: source of randomness, on the device of `mask`; default torch's own.

    Returns:
        [B, D] integer actions.
    """
    explores = torch.rand(len(greedy), 1, generator=generator, device=mask.device) < epsilon
    return torch.where(explores, random_actions(mask, branches, generator), greedy)
