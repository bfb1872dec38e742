"""Environment parameters: numbers, or samplers of numbers, that the trainer sets by name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Sampler = Callable[[int], NDArray[np.float64]]
"""Draws that many values."""


class EnvironmentParameters:
    """Named parameters. A scene asks for them when it needs them, as `GetWithDefault` in Unity."""

    def __init__(self) -> None:
        self._samplers: dict[str, Sampler] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._samplers

    def set(self, name: str, sampler: Sampler) -> None:
        """Let `sampler` answer for this parameter from now on."""
        self._samplers[name] = sampler

    def draw(self, name: str, default: float, count: int) -> NDArray[np.float64]:
        """Values for `count` agents: the constant, one draw an agent from the sampler, or the default."""
        sampler = self._samplers.get(name)
        return np.full(count, default) if sampler is None else sampler(count)

    def get(self, name: str, default: float) -> float:
        """One value, for what all agents share."""
        return float(self.draw(name, default, 1)[0])


def constant(value: float) -> Sampler:
    """Always `value`."""
    return lambda count: np.full(count, value)


def uniform(low: float, high: float, seed: int) -> Sampler:
    """Uniform in [low, high)."""
    rng = seeded(seed)
    return lambda count: rng.uniform(low, high, count)


def gaussian(mean: float, deviation: float, seed: int) -> Sampler:
    """Normal with this mean and standard deviation."""
    rng = seeded(seed)
    return lambda count: rng.normal(mean, abs(deviation), count)


def multirange(bounds: NDArray[np.float64], seed: int) -> Sampler:
    """Uniform over several ranges, each as likely as it is wide.

    Args:
        bounds: [ranges, 2] lower and upper ends.
        seed: Seed of the sampler's own generator.
    """
    rng = seeded(seed)
    widths = bounds[:, 1] - bounds[:, 0]
    weights = widths / widths.sum() if widths.sum() > 0 else np.full(len(bounds), 1 / len(bounds))

    def draw(count: int) -> NDArray[np.float64]:
        chosen = bounds[rng.choice(len(bounds), count, p=weights)]
        return rng.uniform(chosen[:, 0], chosen[:, 1])

    return draw


def seeded(seed: int) -> np.random.Generator:
    """A generator for a signed 32-bit seed as it comes over the wire; NumPy takes no negative ones."""
    return np.random.default_rng(seed & 0xFFFFFFFF)
