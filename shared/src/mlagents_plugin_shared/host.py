"""What has to be mended in ML-Agents (1.1.0) itself for a run to lose nothing; it offers no hook for it.

Importing the module does it, for every trainer of the process.

* `run_logs/training_status.json`, which holds lessons, Elo and the list of checkpoints, is whole or absent, is also
  written at every checkpoint of ours (`write_training_status`), and where it is damaged a run resumes without it
  instead of ending in a traceback.
* At the end of a run every behaviour is saved, even if one of them cannot be.
"""

from pathlib import Path
from typing import Any

from mlagents.trainers.trainer_controller import TrainerController
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


def _save_all_models(controller: Any) -> None:
    failures: list[Exception] = []
    for trainer in controller.trainers.values():
        try:
            trainer.save_model()
        except Exception as failure:
            failures.append(failure)
            logger.error(failure)
    if failures:
        raise failures[0]


GlobalTrainingStatus.save_state = staticmethod(_save_whole_state)
GlobalTrainingStatus.load_state = staticmethod(_load_state_if_whole)
TrainerController._save_models = _save_all_models
