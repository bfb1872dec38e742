"""Draws places in proportion to their priorities."""

import math

import numpy as np

_SMALLEST_BLOCK, _LARGEST_BLOCK = 8, 256
_PLACES = 400  # of one number a block: measured with batches of 256


class SumTree:
    """Non-negative numbers with their partial sums, for drawing places in proportion to them.

    A tree of two levels instead of a binary one, the numbers and the sums of blocks of K: it is drawn from by a
    search among the blocks and one within a block, and changed, with no loop over the batch. Sums are added up anew,
    never corrected by differences, so that rounding does not build up.

    * **Blocks**: K = 16 for 100,000 places, 64 for a million; see `block_size`.
    * **Cost** for B of N places: changing O(K B); drawing O(N / K + K B).
    * **Bytes**: 8 a place, and 1/K of that for the sums.

    Args:
        size: number of places, N.
    """

    def __init__(self, size: int) -> None:
        self._block = block_size(size)
        blocks = -(-size // self._block)
        self._leaves = np.zeros((blocks, self._block))
        self._sums = np.zeros(blocks)
        self.values = self._leaves.reshape(-1)[:size]

    @property
    def nbytes(self) -> int:
        """Bytes of the numbers and their sums."""
        return self._leaves.nbytes + self._sums.nbytes

    @property
    def total(self) -> float:
        """Sum of all numbers."""
        return float(self._sums.sum())

    def set(self, places: np.ndarray | slice, values: np.ndarray | float) -> None:
        """Changes the numbers at `places`, [B] or a slice; of those named twice the last value counts."""
        self.values[places] = values
        if isinstance(places, slice):
            blocks: np.ndarray | slice = slice(places.start // self._block, -(-places.stop // self._block))
        else:
            blocks = places // self._block
        self._sums[blocks] = self._leaves[blocks].sum(axis=1)

    def add_up(self) -> None:
        """Computes all sums, after `values` was written to."""
        self._leaves.sum(axis=1, out=self._sums)

    def find(self, shares: np.ndarray) -> np.ndarray:
        """The places at which the running sum of the numbers first exceeds a share of their total.

        Args:
            shares: [B] numbers from 0 to below 1; drawn uniformly, they give places in proportion to the numbers.

        Returns:
            [B] places; none whose number is 0, unless all are.
        """
        ends = self._sums.cumsum()
        mass = _within(shares * ends[-1], ends[-1])
        blocks = ends.searchsorted(mass, side="right")
        mass -= ends.take(blocks) - self._sums.take(blocks)
        running = self._leaves.take(blocks, axis=0).cumsum(axis=1)
        return blocks * self._block + (running > _within(mass, running[:, -1])[:, None]).argmax(axis=1)


def block_size(size: int) -> int:
    """Numbers of a block in a tree of `size` places, a power of two.

    A search among many blocks takes long, and so does one within a large block; both are alike where a block grows
    with the root of the size.
    """
    power = round(math.log2(max(size, 1) / _PLACES) / 2)
    return min(max(2**power, _SMALLEST_BLOCK), _LARGEST_BLOCK)


def _within(mass: np.ndarray, total: np.ndarray | float) -> np.ndarray:
    """Sums of the same numbers differ in their last digits: nothing may be looked for outside of them."""
    return np.minimum(np.maximum(mass, 0), np.nextafter(total, -1))
