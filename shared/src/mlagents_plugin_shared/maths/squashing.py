"""Normal distributions that tanh squashes: log-probabilities, and the entropy that stands for a deviation.

Pure functions of tensors. They take the number before tanh, u, and never the action tanh(u): in float32 tanh is 1 from
u = 9 on, and what the action was made of cannot be found out any more.
"""

import math

import torch

from mlagents_plugin_shared.maths.shapes import check_same_shape

WIDEST_DEVIATION = 2.0 / math.sqrt(2.0 * math.pi * math.e)
"""Deviation of the normal distribution that has the entropy of a uniform action in [-1, 1]: no action has more."""


def log_slope(u: torch.Tensor) -> torch.Tensor:
    """Logarithm of the slope of tanh, log(1 - tanh² u), also where the slope rounds to 0.

    2 (log 2 - u - softplus(-2u))

    Args:
        u: [...] numbers before tanh.

    Returns:
        [...] logarithms, at most 0; about 2 log 2 - 2 |u| where |u| is large.
    """
    return 2.0 * (math.log(2.0) - u - torch.nn.functional.softplus(-2.0 * u))


def squashed_log_prob(u: torch.Tensor, mean: torch.Tensor, log_std: torch.Tensor) -> torch.Tensor:
    """Log-probability of the action tanh(u), u ~ N(μ, σ²).

    -½ ((u - μ) / σ)² - log σ - ½ log 2π - log(1 - tanh² u)

    Source: Haarnoja et al. (2018), appendix C, https://arxiv.org/abs/1801.01290.

    Args:
        u: [B, C] numbers before tanh.
        mean: [B, C] μ.
        log_std: [B, C] log σ.

    Returns:
        [B, C] log-probabilities; gradient flows into all three.

    Raises:
        ValueError: the shapes differ.
    """
    check_same_shape(u=u, mean=mean, log_std=log_std)
    deviation = (u - mean) * (-log_std).exp()
    return -0.5 * deviation.square() - log_std - 0.5 * math.log(2.0 * math.pi) - log_slope(u)


def deviation_entropy(sigma: float) -> float:
    """Entropy of a normal distribution: what a policy with this deviation would have in each dimension.

    ½ log(2π e σ²)

    A target of the entropy that is given as a deviation says how much actions may vary; minus one a dimension, as of
    SAC, is a σ of 0.09.

    Source: FlashSAC, section on exploration (σ = 0.15); Haarnoja et al. (2018b), https://arxiv.org/abs/1812.05905, for
    minus the dimension.

    Args:
        sigma: σ > 0. Beyond `WIDEST_DEVIATION` no action in [-1, 1] has so much entropy.

    Returns:
        Entropy in nats.

    Raises:
        ValueError: sigma is not positive.
    """
    if sigma <= 0.0:
        raise ValueError(f"sigma must be positive, but is {sigma}")
    return 0.5 * math.log(2.0 * math.pi * math.e) + math.log(sigma)
