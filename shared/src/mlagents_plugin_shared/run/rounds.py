"""Rounds of the training loop: one call of `advance` each, at whose end all that has arrived was learned from."""

import contextlib
import threading
from collections.abc import Callable, Iterator


class Rounds:
    """The round that is going on, and what is due at its end.

    A checkpoint that falls due in a round is written at its end, so that it is the state of a moment from which a run
    can go on: nothing is half done. The round in which `max_steps` is reached is finished like any other.

    Attributes:
        learns: whether a round is going on that learns.
        checkpoint_due: whether a checkpoint is to be written at its end.
        has_summary: whether a summary was written in it.
    """

    def __init__(self) -> None:
        self.learns = False
        self.checkpoint_due = False
        self.has_summary = False
        self._lock = threading.RLock()

    @contextlib.contextmanager
    def between(self) -> Iterator[None]:
        """Waits until no round is going on, and keeps the next one from beginning."""
        with self._lock:
            yield

    @contextlib.contextmanager
    def one(self, learns: Callable[[], bool]) -> Iterator[None]:
        """A round.

        Args:
            learns: says, once the former round has ended, whether this one learns.
        """
        with self._lock:
            try:
                self.learns = learns()
                yield
            finally:
                self.learns = False
                self.has_summary = False
