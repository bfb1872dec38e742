import numpy as np
import pytest

from mlagents_plugin_shared.data.sum_tree import SumTree, block_size

SIZES = (1, 2, 7, 8, 9, 1000, 4096, 60_000, 500_000)


def filled(values):
    tree = SumTree(len(values))
    tree.set(np.arange(len(values)), np.asarray(values, dtype=np.float64))
    return tree


def test_sum_tree_finds_in_proportion_by_hand():
    """1, 0, 2, 1: a quarter of the shares fall to place 0, a half to place 2, a quarter to place 3."""
    shares = np.array([0.0, 0.2499, 0.25, 0.5, 0.7499, 0.75, 0.9999])
    assert filled([1, 0, 2, 1]).find(shares).tolist() == [0, 0, 2, 2, 2, 3, 3]


@pytest.mark.parametrize("size", SIZES)
def test_sum_tree_agrees_with_a_search_in_the_running_sum(size):
    """For whole numbers, whose sums are exact, every share leads where one cumulative sum of all would lead."""
    rng = np.random.default_rng(size)
    values = rng.integers(0, 4, size).astype(np.float64)
    values[0] = 1.0
    tree, shares = filled(values), rng.random(2000)
    expected = np.cumsum(values).searchsorted(shares * values.sum(), side="right")
    assert tree.total == values.sum()
    np.testing.assert_array_equal(tree.find(shares), expected)


@pytest.mark.parametrize("size", SIZES)
def test_sum_tree_never_finds_what_has_no_share(size):
    """Whatever the rounding, a place with 0 is not found, nor one outside; the largest share below 1 included."""
    rng = np.random.default_rng(size)
    values = rng.random(size) ** 20 * (rng.random(size) < 0.3)
    values[size // 2] = 1e-30
    tree = filled(values)
    places = tree.find(np.concatenate([rng.random(5000), [0.0, np.nextafter(1.0, 0.0)]]))
    assert places.max() < size
    assert (values[places] > 0).all()


def test_sum_tree_set_replaces():
    """Sums follow changes, of places named twice the last value counts, and emptied places are not found."""
    tree = filled(np.ones(200))
    tree.set(np.array([5, 150, 5]), np.array([7.0, 3.0, 0.0]))
    tree.set(np.arange(6, 200), 0.0)
    tree.set(np.array([150]), 3.0)
    assert tree.total == 8.0
    assert set(tree.find(np.linspace(0, 0.999, 100))) == {0, 1, 2, 3, 4, 150}


def test_sum_tree_does_not_drift():
    """After many changes the total is the sum, not the sum and an error of each change."""
    rng = np.random.default_rng(0)
    tree = filled(np.full(300, 1e12))
    for _ in range(300):
        tree.set(rng.integers(300, size=50), rng.random(50) * 1e12)
    tree.set(np.arange(300), 1e-3)
    assert tree.total == pytest.approx(0.3, rel=1e-12)


def test_sum_tree_add_up_after_writing():
    """`values` may be written to as a whole."""
    tree = SumTree(100)
    tree.values[:] = 1.0
    assert tree.total == 0.0
    tree.add_up()
    assert tree.total == 100.0


def test_sum_tree_takes_the_memory_that_it_says():
    """8 bytes a place, and a 16th of that where blocks have 16 numbers."""
    assert block_size(64_000) == 16
    assert SumTree(64_000).nbytes == 64_000 * 8 * 17 / 16


@pytest.mark.parametrize(
    ("size", "expected"), [(0, 8), (1000, 8), (100_000, 16), (400_000, 32), (1_000_000, 64), (10**9, 256)]
)
def test_blocks_grow_with_the_root_of_the_size(size, expected):
    assert block_size(size) == expected
