"""Several seeds as one curve with a band.

Source: Agarwal et al. (2021), "Deep Reinforcement Learning at the Edge of the Statistical Precipice",
https://arxiv.org/abs/2108.13264, interquartile mean and percentile bootstrap over seeds.
"""

from collections.abc import Sequence

import numpy as np

REPETITIONS = 2000
CONFIDENCE = 0.95
SEED = 0
"""Of the bootstrap: the same runs give the same picture."""


def interquartile_mean(values: np.ndarray) -> np.ndarray:
    """Mean of the middle half: a quarter of the values, rounded down, is left out at each end.

    Of fewer than four values it is their mean.

    Args:
        values: [..., seeds].

    Returns:
        [...].
    """
    cut = values.shape[-1] // 4
    return np.sort(values, axis=-1)[..., cut : values.shape[-1] - cut].mean(-1)


def bootstrap_interval(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The 95 % interval of the interquartile mean: its percentiles over seeds that are drawn with replacement.

    Args:
        values: [points, seeds].

    Returns:
        Lower and upper bound, [points] each.
    """
    seeds = values.shape[1]
    draws = np.random.default_rng(SEED).integers(seeds, size=(REPETITIONS, seeds))
    outside = 50 * (1 - CONFIDENCE)
    bounds = [np.percentile(interquartile_mean(row[draws]), [outside, 100 - outside]) for row in values]
    low, high = np.array(bounds).T
    return low, high


def on_one_axis(curves: Sequence[tuple[np.ndarray, np.ndarray]], points: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Curves at the same places, those that all of them have, interpolated between neighbours.

    Args:
        curves: x and y of each, x rising.
        points: number of places.

    Returns:
        The places, [points], and the values, [points, curves]. Where no place is common to all, both are empty.
    """
    low, high = max(x[0] for x, _ in curves), min(x[-1] for x, _ in curves)
    if high < low:
        return np.empty(0), np.empty((0, len(curves)))
    places = np.unique(np.linspace(low, high, points))
    return places, np.stack([np.interp(places, x, y) for x, y in curves], axis=1)


def smoothed(values: np.ndarray, weight: float) -> np.ndarray:
    """Exponential moving average that begins without a bias, as TensorBoard smooths.

    Args:
        values: [points].
        weight: of the past, from 0 (nothing is smoothed) to below 1.
    """
    result = np.empty(len(values))
    average, past = 0.0, 0.0
    for place, value in enumerate(values):
        average = weight * average + (1 - weight) * value
        past = weight * past + (1 - weight)
        result[place] = average / past
    return result
