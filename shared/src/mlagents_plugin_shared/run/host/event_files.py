"""TensorBoard's files: where one cannot be written the run goes on, and a new one is begun when there is room again.

ML-Agents would end the run with the error, and TensorBoard's writer has its thread print a traceback, and answers with
the same error for ever.
"""

import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlagents.plugins import stats_writer
from mlagents.trainers.stats import StatsPropertyType, TensorboardWriter
from mlagents_envs.logging_util import get_logger
from torch.utils.tensorboard import SummaryWriter

logger = get_logger(__name__)

# Bytes that must be free for another file; a report has some kilobytes.
_ROOM = 2**14

_excepthook = threading.excepthook


class LastingWriter(TensorboardWriter):
    """Loses the statistics of a report that cannot be written, and says so once until one could be."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._failing: set[str] = set()

    def write_stats(self, category: str, values: Mapping[str, Any], step: int) -> None:
        """Writes a report, or says why it could not be.

        Args:
            category: the behaviour.
            values: summaries by tag.
            step: of the trainer.
        """
        try:
            if category in self._failing and category not in self.summary_writers:
                self._begin_another_file(category)
            super().write_stats(category, values, step)
            self._failing.discard(category)
        except OSError as error:
            self._give_up(category, f"statistics of step {step} were", error)

    def add_property(self, category: str, property_type: StatsPropertyType, value: Any) -> None:
        """Writes the hyperparameters, or says why they could not be."""
        try:
            super().add_property(category, property_type, value)
        except OSError as error:
            self._give_up(category, "hyperparameters were", error)

    def _begin_another_file(self, category: str) -> None:
        """Begins a file without deleting those of before, as ML-Agents would."""
        folder = Path(self.base_dir, category)
        with tempfile.TemporaryFile(dir=folder) as probe:  # each try would leave an empty file
            probe.write(bytes(_ROOM))
            probe.flush()
        self.summary_writers[category] = SummaryWriter(str(folder))

    def _give_up(self, category: str, what: str, error: OSError) -> None:
        self.summary_writers.pop(category, None)
        if category not in self._failing:
            self._failing.add(category)
            logger.warning(
                f"{category}: the {what} not written for TensorBoard: {error}. Training goes on, and the next report "
                "is tried again."
            )


def _leave_traceback_out(failure: threading.ExceptHookArgs) -> None:
    """TensorBoard's thread fails with what its writer raises too."""
    is_of_tensorboard = type(failure.thread).__module__.startswith("tensorboard.")
    if not (is_of_tensorboard and isinstance(failure.exc_value, OSError)):
        _excepthook(failure)


stats_writer.TensorboardWriter = LastingWriter
threading.excepthook = _leave_traceback_out
