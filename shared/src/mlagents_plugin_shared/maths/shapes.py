"""Checks of shapes, so that nothing broadcasts unseen."""

from collections.abc import Sequence

import torch


def check_same_shape(**tensors: torch.Tensor) -> None:
    """Refuses tensors of different shapes: [B] with [B, 1] would broadcast to [B, B].

    Raises:
        ValueError: the shapes differ.
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if len(set(shapes.values())) > 1:
        raise ValueError(f"these must have one shape, but are {shapes}")


def check_branches(scores: torch.Tensor, mask: torch.Tensor, branches: Sequence[int]) -> None:
    """Refuses scores and masks that are not [B, A] with A the sum of the branches.

    Raises:
        ValueError: they are not.
    """
    if scores.dim() != 2 or scores.shape != mask.shape or scores.shape[1] != sum(branches):
        raise ValueError(
            f"scores {tuple(scores.shape)}, mask {tuple(mask.shape)} and branches {list(branches)} do not fit"
        )
