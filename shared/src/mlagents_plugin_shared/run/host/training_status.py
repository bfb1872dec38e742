"""The run's training status: lessons, Elo and the list of checkpoints.

ML-Agents writes it at the end of a run only, in place, and ends in a traceback where it is damaged. Here the file is
whole or absent, is also written at every checkpoint of ours, and a run resumes without a damaged one. ML-Agents notes
checkpoints by paths from the folder that it was started in; those of a run that was moved or copied would be files of
another run, which it would delete in place of its own. Here they are taken for those of the run that is resumed.
"""

from pathlib import Path

from mlagents.trainers.training_status import GlobalTrainingStatus, StatusType
from mlagents_envs.logging_util import get_logger

from mlagents_plugin_shared.run.files import replacing

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
    _look_for_checkpoints_in(Path(path).parent.parent)


def _look_for_checkpoints_in(run: Path) -> None:
    for behavior, state in GlobalTrainingStatus.saved_state.items():
        for checkpoint in state.get(StatusType.CHECKPOINTS.value, ()):
            for key in ("file_path", "auxillary_file_paths"):  # sic
                checkpoint[key] = _moved_to(run / behavior, checkpoint.get(key, []))


def _moved_to(folder: Path, paths: str | list[str]) -> str | list[str]:
    if isinstance(paths, list):
        return [str(folder / Path(path).name) for path in paths]
    return str(folder / Path(paths).name)


GlobalTrainingStatus.save_state = staticmethod(_save_whole_state)
GlobalTrainingStatus.load_state = staticmethod(_load_state_if_whole)
