"""Values in units of the returns' deviation: PopArt."""

from mlagents.torch_utils import torch
from torch import nn

from mlagents_plugin_shared.losses import masked_mean

# A rollout's share in the statistics, once 1 / rollouts has fallen below it.
STEP_SIZE = 0.01
# The least deviation: returns that are all equal must not be divided by 0.
MIN_SIGMA = 0.01


class PopArt(nn.Module):
    """Statistics of the returns, and value heads that keep saying the same when these change.

    v = σ n + μ,   n the output of a head: w ← w σ / σ',   b ← (σ b + μ - μ') / σ'

    Rewards of any size then give a value loss of about 1, and so do advantages that are divided by σ. It does not
    change which policy is best.

    Source: van Hasselt et al. (2016), section 2, https://arxiv.org/abs/1602.07714; with several heads: Hessel et al.
    (2019), section 3, https://arxiv.org/abs/1809.04474. Here the statistics are the mean over all rollouts until
    1 / rollouts falls below 0.01, and follow the last 100 or so from then on.

    Args:
        heads: one linear layer a reward stream, in the order of the streams.
    """

    mean: torch.Tensor
    variance: torch.Tensor
    rollouts: torch.Tensor

    def __init__(self, heads: nn.ModuleDict) -> None:
        super().__init__()
        # In a list, so that a checkpoint does not hold them twice.
        self._heads = [head for head in heads.values() if isinstance(head, nn.Linear)]
        self.register_buffer("mean", torch.zeros(len(heads)))
        self.register_buffer("variance", torch.ones(len(heads)))
        self.register_buffer("rollouts", torch.zeros(()))

    @property
    def sigma(self) -> torch.Tensor:
        """[S] deviation of the returns."""
        return self.variance.clamp(min=MIN_SIGMA**2).sqrt()

    @torch.no_grad()
    def update(self, return_t: torch.Tensor, mask: torch.Tensor) -> None:
        """Takes in the returns of a rollout; values stay what they were.

        Returns that would make the statistics something else than numbers are left out.

        Args:
            return_t: [B, S] returns.
            mask: [B] 1 for real steps, 0 for padding.
        """
        before, scale = self.mean.clone(), self.sigma
        if not self._take_in(return_t, mask):
            return
        for i, head in enumerate(self._heads):
            head.weight *= scale[i] / self.sigma[i]
            head.bias.copy_((scale[i] * head.bias + before[i] - self.mean[i]) / self.sigma[i])

    def _take_in(self, return_t: torch.Tensor, mask: torch.Tensor) -> bool:
        """Mean and variance of the mixture of all rollouts before and this one, [S]; False if they are no numbers."""
        mean = _means(return_t, mask)
        variance = _means((return_t - mean).square(), mask)
        share = max(1.0 / (self.rollouts.item() + 1), STEP_SIZE)
        variance = self.variance.lerp(variance, share).add((mean - self.mean).square(), alpha=share * (1.0 - share))
        mean = self.mean.lerp(mean, share)
        if not (mean.isfinite() & variance.isfinite()).all():
            return False
        self.rollouts += 1
        self.mean.copy_(mean)
        self.variance.copy_(variance)
        return True

    def normalize(self, return_t: torch.Tensor) -> torch.Tensor:
        """[B, S] returns → what the heads should put out."""
        return (return_t - self.mean) / self.sigma

    def denormalize(self, outputs: torch.Tensor) -> torch.Tensor:
        """[B, S] outputs of the heads → values."""
        return self.sigma * outputs + self.mean


def _means(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """[B, S] → [S] means over the real steps."""
    return torch.stack([masked_mean(column, mask) for column in values.unbind(dim=1)])
