"""How fast a run is: updates and agent steps a second."""

import time


class Rates:
    """Updates and agent steps a second since the last measurement.

    Attributes:
        total: updates since the start.
    """

    def __init__(self) -> None:
        self.total = 0
        self.updates = 0
        self._step = 0
        self._time = time.perf_counter()

    def count(self) -> None:
        """Counts an update."""
        self.total += 1
        self.updates += 1

    def measure(self, step: int) -> dict[str, float]:
        """The rates by TensorBoard tag; counting begins anew.

        Args:
            step: the trainer's step.
        """
        now = time.perf_counter()
        counts = {"Performance/Updates per Second": self.updates, "Performance/Steps per Second": step - self._step}
        rates = {name: count / max(now - self._time, 1e-9) for name, count in counts.items()}
        self.updates, self._step, self._time = 0, step, now
        return rates
