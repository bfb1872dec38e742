"""An old checkpoint that cannot be deleted spoils no new one.

ML-Agents deletes the oldest checkpoint when a new one has been written. On Windows a file that another program has open
cannot be deleted, and the error then counted as one of the new checkpoint, or ended the run before its final model.
"""

from pathlib import Path
from typing import Any

from mlagents.trainers.policy.checkpoint_manager import ModelCheckpointManager
from mlagents_envs.logging_util import get_logger

from mlagents_plugin_shared.run.files import delete

logger = get_logger(__name__)


def _remove_what_can_be_removed(checkpoint: dict[str, Any]) -> None:
    for path in (checkpoint["file_path"], *checkpoint.get("auxillary_file_paths", ())):  # sic
        try:
            delete(path)
        except OSError as error:
            why = error.strerror or error
            logger.warning(
                f"{Path(path)}, of an older checkpoint, could not be deleted: {why}. Delete it once no program has it "
                "open."
            )


ModelCheckpointManager.remove_checkpoint = staticmethod(_remove_what_can_be_removed)
