"""The agent's replay and demonstrations, sampled as one."""

from collections.abc import Callable
from typing import Any

import numpy as np

from mlagents_plugin_shared.data.batch import Batch, ReplayKey, join_batches
from mlagents_plugin_shared.data.replay import ReplayBuffer


class MixedReplay:
    """Two replays that are sampled as one: a share of every batch are demonstrations, the rest the agent's own.

    Demonstrations stay in a buffer of their own, which the agent's transitions never overwrite.

    Batches have the columns that a `ReplayBuffer` gives, the agent's rows first, then the demonstrations, and
    DEMONSTRATION [B], which tells them apart. Demonstrations count as added before everything else: their SERIAL is
    negative. Their rows in a WINDOW lie behind those of the agent's buffer. WEIGHT, where both replays are prioritised,
    is up to 1 in each part: priorities choose within a part, not between the two.

    A share that is no whole number of transitions, or sequences, is met on average: the number is rounded up or down at
    random, as in R2D3 (Gulcehre et al. 2020, section 3, https://arxiv.org/abs/1909.01387).

    Args:
        own: the agent's transitions.
        demonstrations: with the same columns; not to be added to any more.
        ratio: share of demonstrations, 0 to 1.
        seed: of the generator that rounds.

    Attributes:
        ratio: of the next batch; may be changed.
        generator: what rounds.
    """

    def __init__(self, own: ReplayBuffer, demonstrations: ReplayBuffer, ratio: float, *, seed: int = 0) -> None:
        self.own = own
        self.demonstrations = demonstrations
        self.ratio = ratio
        self.generator = np.random.default_rng(seed)

    def sample_n_step(self, batch_size: int, n: int) -> Batch:
        """Windows of up to n transitions, as `ReplayBuffer.sample_n_step`."""
        return self._sample(batch_size, lambda replay, count: replay.sample_n_step(count, n))

    def sample_mini_batch(self, batch_size: int, sequence_length: int = 1, burn_in: int = 0) -> Batch:
        """Transitions or sequences, as `ReplayBuffer.sample_mini_batch`."""
        return self._sample(
            max(batch_size // sequence_length, 1),
            lambda replay, count: replay.sample_mini_batch(count * sequence_length, sequence_length, burn_in),
        )

    def gather(self, rows: np.ndarray) -> Batch:
        """One-step transitions, as `ReplayBuffer.gather`.

        Args:
            rows: those of a WINDOW or a part of it, flattened.

        Raises:
            ValueError: a row of the agent follows one of a demonstration.
        """
        flat = np.asarray(rows).ravel()
        boundary = len(flat) - np.count_nonzero(flat >= self.own.capacity)
        if (flat[:boundary] >= self.own.capacity).any():
            raise ValueError("rows of the agent must come first, then those of demonstrations")
        return _join(self.own.gather(flat[:boundary]), self.demonstrations.gather(flat[boundary:] - self.own.capacity))

    def update_priorities(self, serials: np.ndarray, errors: np.ndarray) -> None:
        """Sets new priorities in both replays, as `PrioritizedReplayBuffer.update_priorities`."""
        shown = serials < 0
        self.own.update_priorities(serials[~shown], errors[~shown])
        self.demonstrations.update_priorities(serials[shown] + self.demonstrations.serial, errors[shown])

    def _sample(self, count: int, draw: Callable[[ReplayBuffer, int], Batch]) -> Batch:
        shown = int(count * self.ratio + self.generator.random())
        own = draw(self.own, count - shown) if shown < count else Batch(num_experiences=0)
        demonstrations = draw(self.demonstrations, shown) if shown else Batch(num_experiences=0)
        if shown:
            demonstrations[ReplayKey.SERIAL] = demonstrations[ReplayKey.SERIAL] - self.demonstrations.serial
            if ReplayKey.WINDOW in demonstrations:
                demonstrations[ReplayKey.WINDOW] = demonstrations[ReplayKey.WINDOW] + self.own.capacity
        return _join(own, demonstrations)


def without_demonstrations(batch: Any) -> Any:
    """The rows of a batch that are the agent's own, as lazy as it is.

    Args:
        batch: a `Batch` of a `MixedReplay`; any other, which knows of no demonstrations, is given back as it is.
    """
    if ReplayKey.DEMONSTRATION not in batch:
        return batch
    count = int(np.count_nonzero(batch[ReplayKey.DEMONSTRATION] == 0.0))
    return Batch(lazy=batch, load=lambda key: batch[key][:count], num_experiences=count)


def _join(own: Batch, demonstrations: Batch) -> Batch:
    parts = [part for part in (own, demonstrations) if part.num_experiences]
    batch = join_batches(parts)
    flags = [np.full(part.num_experiences, part is demonstrations, np.float32) for part in parts]
    batch[ReplayKey.DEMONSTRATION] = np.concatenate(flags)
    return batch
