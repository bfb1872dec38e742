"""Replay in which transitions with a large error come back more often."""

from collections.abc import Callable
from typing import cast

import numpy as np

from mlagents_plugin_shared.data.batch import Batch, ReplayKey
from mlagents_plugin_shared.data.replay import ReplayBuffer
from mlagents_plugin_shared.data.ring import Rows, TransitionRing
from mlagents_plugin_shared.data.sum_tree import SumTree
from mlagents_plugin_shared.data.trajectories import RowShapes

# Added to every error: a transition without error can still be drawn.
_SMALLEST_ERROR = 1e-6


class PrioritizedRing(TransitionRing):
    """A ring whose sampleable transitions have priorities; the others have none.

    Attributes:
        tree: p^α of each row.
        max_priority: the largest p so far, which new transitions get.
    """

    def __init__(self, capacity: int, alpha: float) -> None:
        super().__init__(capacity)
        self.alpha = alpha
        self.max_priority = 1.0

    def _make_links(self, capacity: int) -> None:
        super()._make_links(capacity)
        self.tree = SumTree(capacity)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return super().nbytes + self.tree.nbytes

    def bytes_per_transition(self, schema: RowShapes) -> int:
        """Bytes of one row, with its priority."""
        return super().bytes_per_transition(schema) + self.tree.values.itemsize

    def set_sampleable(self, rows: Rows, value: bool) -> None:
        """Transitions that become sampleable get the largest priority, so that each is soon drawn once."""
        super().set_sampleable(rows, value)
        self.tree.set(rows, self.max_priority**self.alpha if value else 0.0)

    def row_arrays(self) -> dict[str, np.ndarray]:
        """All arrays of rows by name."""
        return {**super().row_arrays(), "priority": self.tree.values}

    def extra_state(self) -> dict[str, float]:
        """Numbers to save beside the rows."""
        return {"alpha": self.alpha, "max_priority": self.max_priority}

    def restore_extra_state(self, state: dict[str, float]) -> None:
        """Takes the priorities as they were; transitions of a uniform replay, or of another α, are converted."""
        priorities = self.tree.values
        if not state.get("alpha"):
            priorities[:] = self.sampleable[:-1]
        elif state["alpha"] != self.alpha:
            priorities **= self.alpha / state["alpha"]
            priorities *= self.sampleable[:-1]  # for 0^0
        self.max_priority = state.get("max_priority", 1.0)
        self.tree.add_up()


class PrioritizedReplayBuffer(ReplayBuffer):
    """A replay buffer that draws transitions in proportion to their last error.

    P(i) = p_i^α / Σ_k p_k^α,   w_i = (N P(i))^-β / max_k w_k,   p_i = |δ_i| + 10^-6

    Windows and sequences are drawn by the priority of the transition (of sequences, after burn-in) at which they
    start. A new transition gets the largest priority so far. Draws are stratified: one from each of B equal shares
    of the sum of all priorities. What is not sampleable has no priority.

    * **Batches** also have WEIGHT [B], by which the caller multiplies its losses (the largest of a batch is 1), and
      SERIAL [B], by which it gives the new errors to `update_priorities`.
    * **Memory**: 8 bytes a transition more than ReplayBuffer.
    * **Cost**: drawing and updating are a handful of NumPy calls each, see `SumTree`.

    Source: Schaul et al. (2016), section 3.3 and algorithm 1, https://arxiv.org/abs/1511.05952.

    Args:
        capacity: the most transitions that are held.
        alpha: α, 0 or more: 0 draws uniformly, 1 in proportion to the errors.
        beta: β, 0 to 1: how far the weights undo the preference; or what gives β of each batch, to follow a schedule.
        seed: of the generator.

    Raises:
        ValueError: capacity < 1, or alpha < 0.
    """

    def __init__(
        self, capacity: int, *, alpha: float = 0.6, beta: float | Callable[[], float] = 0.4, seed: int = 0
    ) -> None:
        if alpha < 0:
            raise ValueError(f"alpha must not be negative, but is {alpha}")
        self.alpha = alpha
        self._beta = beta
        super().__init__(capacity, seed=seed)

    @property
    def beta(self) -> float:
        """β of the next batch."""
        return self._beta() if callable(self._beta) else self._beta

    def update_priorities(self, serials: np.ndarray, errors: np.ndarray) -> None:
        """Sets the priorities of transitions that were drawn, by their new errors.

        Errors that are not finite change nothing, nor do those of transitions that were overwritten meanwhile.

        Args:
            serials: [B] the batch's SERIAL.
            errors: [B] TD errors, of any sign; of a sequence, one number such as `losses.max_mean_priority`.

        Raises:
            ValueError: the shapes differ.
        """
        if np.shape(serials) != np.shape(errors):
            raise ValueError(f"serials {np.shape(serials)} and errors {np.shape(errors)} must have one shape")
        ring = self._ring
        rows = ring.rows(serials)
        known = np.isfinite(errors) & (serials >= ring.oldest) & ring.sampleable[rows]
        priorities = np.abs(errors[known], dtype=np.float64) + _SMALLEST_ERROR
        ring.max_priority = max(ring.max_priority, priorities.max(initial=0.0))
        ring.tree.set(rows[known], priorities**self.alpha)

    def priorities(self) -> tuple[np.ndarray, float]:
        """[capacity] p^α of each row, 0 where nothing can be drawn, and the largest p so far."""
        return self._ring.tree.values.copy(), float(self._ring.max_priority)

    def restore_priorities(self, priorities: np.ndarray, max_priority: float) -> None:
        """Takes up what `priorities` gave, for a buffer that was filled with the same transitions since.

        Args:
            priorities: [capacity] p^α of each row.
            max_priority: the largest p so far.

        Raises:
            ValueError: there are more or fewer rows.
        """
        tree = self._ring.tree
        if priorities.shape != tree.values.shape:
            raise ValueError(f"priorities of {len(priorities)} rows, but the buffer has {len(tree.values)}")
        tree.values[:] = priorities
        tree.add_up()
        self._ring.max_priority = max_priority

    def _make_ring(self, capacity: int) -> PrioritizedRing:
        return PrioritizedRing(capacity, self.alpha)

    @property
    def _ring(self) -> PrioritizedRing:
        return cast(PrioritizedRing, super()._ring)

    def _draw(self, count: int) -> np.ndarray:
        """[count] rows in proportion to their priorities."""
        if self._ring.num_sampleable == 0:
            raise ValueError("the buffer holds no transition that can be sampled")
        return self._ring.tree.find((np.arange(count) + self.generator.random(count)) / count)

    def _describe(self, batch: Batch, rows: np.ndarray) -> Batch:
        ring = self._ring
        probability = ring.tree.values[rows] / ring.tree.total
        weight = (ring.num_sampleable * probability) ** -self.beta
        batch[ReplayKey.WEIGHT] = (weight / weight.max()).astype(np.float32)
        return batch
