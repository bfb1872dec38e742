"""What ML-Agents would show of a run, the hyperparameters' eighty lines and the summaries, goes into a file instead.

ML-Agents always has its `ConsoleWriter`, and offers no way to leave it out. All that this one does is to write on the
log; so a filter on that log takes its lines away. Its other lines, and all other writers, are left alone.
"""

import logging
from pathlib import Path

from mlagents.trainers import stats

logger = logging.getLogger(stats.__name__)

LOG = "console.log"
"""The file's name, in `results/<run>/run_logs`."""

_FUNCTIONS = (stats.ConsoleWriter.write_stats.__name__, stats.ConsoleWriter.add_property.__name__)


class HostConsole(logging.Filter):
    """Takes the lines of ML-Agents' `ConsoleWriter` off the log.

    Args:
        file: where they are kept, whole and in their order; None to drop them.
        goes_on: whether the file of an earlier run is continued.
    """

    def __init__(self, file: Path | None, *, goes_on: bool) -> None:
        super().__init__()
        self.file = file
        self._mode = "a" if goes_on else "w"
        self._format = logging.Formatter("%(asctime)s %(message)s")

    def start(self) -> None:
        """From now on."""
        logger.addFilter(self)

    def stop(self) -> None:
        """Gives the lines back to the log."""
        logger.removeFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        if record.funcName not in _FUNCTIONS:
            return True
        if self.file is not None:
            self._keep(record, self.file)
        return False

    def _keep(self, record: logging.LogRecord, file: Path) -> None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open(self._mode, encoding="utf-8", errors="replace") as log:
                log.write(f"{self._format.format(record)}\n")
            self._mode = "a"
        except OSError as error:
            self.file = None
            logger.warning(f"{file} cannot be written: {error.strerror}; ML-Agents' own lines are not kept.")
