"""Values in units of the returns' deviation: PopArt."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mlagents.torch_utils import torch
from torch import nn

from mlagents_plugin_shared.maths.losses import masked_mean

STEP_SIZE = 0.01
"""A rollout's share in the statistics, once 1 / rollouts has fallen below it."""

MIN_SIGMA = 0.01
"""The least deviation: returns that are all equal must not be divided by 0."""


class ReturnStatistics(nn.Module):
    """Mean and variance of the returns of one reward stream, over the mixture of all its rollouts."""

    mean: torch.Tensor
    variance: torch.Tensor
    rollouts: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("variance", torch.ones(()))
        self.register_buffer("rollouts", torch.zeros(()))

    @property
    def sigma(self) -> torch.Tensor:
        """[] deviation of the returns."""
        return self.variance.clamp(min=MIN_SIGMA**2).sqrt()

    def take_in(self, return_t: torch.Tensor, mask: torch.Tensor) -> None:
        """Takes in the [B] returns of a rollout, unless the statistics would then be no numbers."""
        mean = masked_mean(return_t, mask)
        variance = masked_mean((return_t - mean).square(), mask)
        share = max(1.0 / (self.rollouts.item() + 1), STEP_SIZE)
        variance = self.variance.lerp(variance, share).add((mean - self.mean).square(), alpha=share * (1.0 - share))
        mean = self.mean.lerp(mean, share)
        if mean.isfinite() and variance.isfinite():
            self.rollouts += 1
            self.mean.copy_(mean)
            self.variance.copy_(variance)

    def forget(self) -> None:
        """Back to units of the rewards: mean 0 and deviation 1."""
        self.mean.zero_()
        self.variance.fill_(1.0)
        self.rollouts.zero_()


class PopArt(nn.Module):
    """Statistics of the returns, and value heads that keep saying the same when these change.

    v = σ n + μ,   n the output of a head: w ← w σ / σ',   b ← (σ b + μ - μ') / σ'

    Rewards of any size then give a value loss of about 1, and so do advantages that are divided by σ. It does not
    change which policy is best.

    Source: van Hasselt et al. (2016), section 2, https://arxiv.org/abs/1602.07714; with several heads: Hessel et al.
    (2019), section 3, https://arxiv.org/abs/1809.04474. Here the statistics are the mean over all rollouts until
    1 / rollouts falls below 0.01, and follow the last 100 or so from then on.

    A checkpoint holds them by the names of the streams, so that one that is new in a resumed run begins with its own.

    Args:
        heads: one linear layer a reward stream, by name, in the order of the streams.

    Attributes:
        was_of_0_1: whether it was loaded from a checkpoint of 0.1.
    """

    def __init__(self, heads: nn.ModuleDict) -> None:
        super().__init__()
        self.was_of_0_1 = False
        # In a list, so that a checkpoint does not hold them twice.
        self._heads = [head for head in heads.values() if isinstance(head, nn.Linear)]
        self.streams = nn.ModuleDict({name: ReturnStatistics() for name in heads})

    def _load_from_state_dict(self, state_dict: dict[str, torch.Tensor], prefix: str, *arguments: Any) -> None:
        """Reads checkpoints of 0.1 too, which hold one vector for all streams, in their order."""
        former = {name: state_dict.pop(prefix + name, None) for name in ("mean", "variance", "rollouts")}
        self.was_of_0_1 = former["mean"] is not None
        if self.was_of_0_1 and former["mean"].numel() == len(self.streams):
            for name, values in former.items():
                for stream, value in zip(self.streams, values.expand(len(self.streams)), strict=True):
                    state_dict[f"{prefix}streams.{stream}.{name}"] = value
        super()._load_from_state_dict(state_dict, prefix, *arguments)

    @property
    def _statistics(self) -> list[ReturnStatistics]:
        return [part for part in self.streams.values() if isinstance(part, ReturnStatistics)]

    @property
    def mean(self) -> torch.Tensor:
        """[S] mean of the returns."""
        return torch.stack([statistics.mean for statistics in self._statistics])

    @property
    def sigma(self) -> torch.Tensor:
        """[S] deviation of the returns."""
        return torch.stack([statistics.sigma for statistics in self._statistics])

    @property
    def rollouts(self) -> torch.Tensor:
        """[S] rollouts taken in; values of a stream with none are in units of its rewards."""
        return torch.stack([statistics.rollouts for statistics in self._statistics])

    @torch.no_grad()
    def update(self, return_t: torch.Tensor, mask: torch.Tensor) -> None:
        """Takes in the returns of a rollout; values stay what they were.

        Returns that would make the statistics of their stream something else than numbers are left out.

        Args:
            return_t: [B, S] returns.
            mask: [B] 1 for real steps, 0 for padding.
        """
        for head, statistics, column in zip(self._heads, self._statistics, return_t.unbind(dim=1), strict=True):
            with _values_kept(head, statistics):
                statistics.take_in(column, mask)

    @torch.no_grad()
    def fold(self) -> bool:
        """Puts the units into the heads, which from then on put out values themselves; these stay what they were.

        Returns:
            Whether there were units other than those of the rewards.
        """
        had_units = bool(self.rollouts.any())
        for head, statistics in zip(self._heads, self._statistics, strict=True):
            with _values_kept(head, statistics):
                statistics.forget()
        return had_units

    def normalize(self, return_t: torch.Tensor) -> torch.Tensor:
        """[B, S] returns → what the heads should put out."""
        return (return_t - self.mean) / self.sigma

    def denormalize(self, outputs: torch.Tensor) -> torch.Tensor:
        """[B, S] outputs of the heads → values."""
        return self.sigma * outputs + self.mean


@contextmanager
def _values_kept(head: nn.Linear, statistics: ReturnStatistics) -> Iterator[None]:
    """Rescales a head where its statistics change inside."""
    mean, sigma = statistics.mean.clone(), statistics.sigma
    yield
    if sigma != statistics.sigma or mean != statistics.mean:
        head.weight *= sigma / statistics.sigma
        head.bias.copy_((sigma * head.bias + mean - statistics.mean) / statistics.sigma)
