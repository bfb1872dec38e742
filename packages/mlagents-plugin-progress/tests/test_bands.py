"""Interquartile mean, bootstrap and smoothing, against numbers worked out by hand and a slow version."""

import numpy as np
import pytest

from mlagents_plugin_progress.bands import bootstrap_interval, interquartile_mean, on_one_axis, smoothed


@pytest.mark.parametrize(
    ("values", "mean"),
    [
        ([3.0], 3.0),
        ([1.0, 2.0, 6.0], 3.0),  # no quarter of three
        ([100.0, 1.0, 2.0, -50.0], 1.5),  # one at each end is left out
        ([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 1000.0], 3.5),  # two at each end
    ],
)
def test_interquartile_mean(values: list[float], mean: float) -> None:
    """An outlier among four does not move it."""
    assert interquartile_mean(np.array(values)) == mean


def test_interval_of_seeds_that_agree_is_a_point() -> None:
    """Nothing is uncertain."""
    low, high = bootstrap_interval(np.full((3, 5), 2.0))
    np.testing.assert_array_equal(low, [2, 2, 2])
    np.testing.assert_array_equal(high, [2, 2, 2])


def test_interval_holds_the_mean_and_narrows_with_seeds() -> None:
    """By about the root of their number."""
    rng = np.random.default_rng(0)
    widths = []
    for seeds in (5, 80):
        values = rng.normal(size=(50, seeds))
        low, high = bootstrap_interval(values)
        mean = interquartile_mean(values)
        assert np.all((low <= mean) & (mean <= high))
        widths.append(float((high - low).mean()))
    assert 0.15 < widths[1] / widths[0] < 0.45


def test_interval_is_the_same_each_time() -> None:
    """The same runs give the same picture."""
    values = np.random.default_rng(1).normal(size=(4, 6))
    np.testing.assert_array_equal(bootstrap_interval(values), bootstrap_interval(values))


def test_curves_meet_where_all_of_them_are() -> None:
    """From 100 to 300, between the points of either."""
    one = (np.array([0.0, 300.0]), np.array([0.0, 3.0]))
    other = (np.array([100.0, 200.0, 400.0]), np.array([5.0, 5.0, 7.0]))
    places, values = on_one_axis([one, other], points=3)
    np.testing.assert_allclose(places, [100, 200, 300])
    np.testing.assert_allclose(values, [[1, 5], [2, 5], [3, 6]])


def test_curves_that_meet_nowhere_are_empty() -> None:
    """One ended before the other began."""
    places, values = on_one_axis([(np.array([1.0, 2.0]), np.zeros(2)), (np.array([3.0, 4.0]), np.zeros(2))])
    assert places.size == 0
    assert values.shape == (0, 2)


def test_smoothing_of_the_first_value_is_itself() -> None:
    """No bias to zero: of 1, 2 with weight 0.5 the second is (0.25 * 1 + 0.5 * 2) / 0.75."""
    np.testing.assert_allclose(smoothed(np.array([1.0, 2.0]), 0.5), [1.0, 1.25 / 0.75])
    np.testing.assert_allclose(smoothed(np.full(9, 3.0), 0.9), np.full(9, 3.0))
    np.testing.assert_allclose(smoothed(np.array([1.0, 5.0]), 0.0), [1.0, 5.0])
