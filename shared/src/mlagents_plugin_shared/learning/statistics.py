"""Numbers that come up while a gradient is computed, until they are reported."""

from mlagents.torch_utils import torch

Terms = dict[str, torch.Tensor]
"""[] numbers by name; they stay on their device, so that nothing waits for them."""


def sum_terms(parts: list[Terms]) -> dict[str, float]:
    """Sums of the terms that the parts of one loss have.

    Args:
        parts: at least one; all with the same names.
    """
    names = list(parts[0])
    total = sum(torch.stack([part[name].detach() for name in names]) for part in parts)
    return dict(zip(names, total.tolist(), strict=True))


def mean_terms(parts: list[Terms]) -> dict[str, float]:
    """Means of the terms of several losses, as of minibatches.

    Args:
        parts: at least one; all with the same names.
    """
    return {name: value / len(parts) for name, value in sum_terms(parts).items()}
