"""The run's training status: lessons, Elo and the list of checkpoints.

ML-Agents writes it at the end of a run only, in place, and ends in a traceback where it is damaged. Here the file is
whole or absent, is also written at every checkpoint of ours, and a run resumes without a damaged one.
"""

from pathlib import Path

from mlagents.trainers.training_status import GlobalTrainingStatus
from mlagents_envs.logging_util import get_logger

from mlagents_plugin_shared.files import replacing

logger = get_logger(__name__)

_save_state = GlobalTrainingStatus.save_state
_load_state = GlobalTrainingStatus.load_state


def write_training_status(results: Path) -> None:
    """Writes the status of the run now, where `mlagents-learn` would only write it at its end.

    Args:
        results: `results/<run>`; nothing happens where `mlagents-learn` has made no folder for the file.
    """
    folder = results / "run_logs"
    if folder.is_dir():
        GlobalTrainingStatus.save_state(str(folder / "training_status.json"))


def _save_whole_state(path: str) -> None:
    with replacing(path) as temporary:
        _save_state(str(temporary))


def _load_state_if_whole(path: str) -> None:
    try:
        _load_state(path)
    except ValueError as error:  # what json raises
        logger.warning(
            f"{path} is damaged ({error}): lessons and Elo begin anew, and older checkpoints are not deleted."
        )


GlobalTrainingStatus.save_state = staticmethod(_save_whole_state)
GlobalTrainingStatus.load_state = staticmethod(_load_state_if_whole)
