"""Saves of a run: which was the last one, and what is said of one that could not be written."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlagents.trainers.exception import UnityTrainerException
from mlagents.trainers.policy.checkpoint_manager import ModelCheckpoint
from mlagents_envs.logging_util import get_logger

from mlagents_plugin_shared.data.memory import format_bytes
from mlagents_plugin_shared.run.checkpoint_files import CheckpointError

logger = get_logger(__name__)

# What writing a checkpoint may raise; torch and h5py say RuntimeError where a disk is full.
_NOT_WRITTEN = (OSError, RuntimeError, CheckpointError)


class Saves:
    """Writes with a word for the case that it fails.

    Attributes:
        last: the last checkpoint of this run.

    Args:
        behavior: name of the behaviour.
        folder: where it is saved.
        resumes: whether the run began from a checkpoint.
    """

    def __init__(self, behavior: str, folder: Path, *, resumes: bool) -> None:
        self.last: ModelCheckpoint | None = None
        self._behavior = behavior
        self._folder = folder
        self._resumes = resumes

    def attempt(self, what: str, step: int, write: Callable[[], Any], otherwise: str | None = None) -> bool:
        """Writes, or says on the log that this could not be done, and why.

        Args:
            what: what is written.
            step: of the trainer.
            write: writes it.
            otherwise: what becomes of the run if it could not be written; by default that it goes on.

        Returns:
            Whether it was written.
        """
        try:
            write()
            return True
        except _NOT_WRITTEN as error:
            goes_on = (
                f"Training goes on, and the next one is tried again; the last whole one is {self.describe_last()}."
            )
            logger.warning(
                f"{self._behavior}: the {what} at step {step} was not written: {self._describe(error)}. "
                f"{otherwise or goes_on}"
            )
            return False

    def must(self, what: str, step: int, write: Callable[[], Any]) -> None:
        """Writes, or ends the run.

        Args:
            what: what is written, in the plural.
            step: of the trainer.
            write: writes it.

        Raises:
            UnityTrainerException: it could not be written.
        """
        try:
            write()
        except _NOT_WRITTEN as error:
            raise UnityTrainerException(
                f"{self._behavior}: the {what} at step {step} were not written: {self._describe(error)}. --resume goes "
                f"on from {self.describe_last()}."
            ) from error

    def describe_last(self) -> str:
        """What a resume would begin from."""
        if self.last is not None:
            return f"step {self.last.steps}"
        return "the checkpoint that this run began from" if self._resumes else "nothing: there is no checkpoint yet"

    def _describe(self, error: Exception) -> str:
        reason = str(error).strip().partition("\n")[0]
        if " " not in reason:  # io.UnsupportedOperation says no more than "read"
            reason = f"{type(error).__name__} {reason}".strip()
        free = shutil.disk_usage(self._folder if self._folder.is_dir() else Path.cwd()).free
        return f"{reason} ({format_bytes(free)} are free)"
