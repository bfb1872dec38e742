"""What has to be mended in ML-Agents (1.1.0) itself for a run to lose neither work nor time; it offers no hook for it.

Importing the module does it, for every trainer of the process.

* `run_logs/training_status.json`, which holds lessons, Elo and the list of checkpoints, is whole or absent, is also
  written at every checkpoint of ours (`write_training_status`), and where it is damaged a run resumes without it
  instead of ending in a traceback.
* At the end of a run every behaviour is saved, even if one of them cannot be.
* A player's message that cannot be used is an error which names the behaviour and the sensor, where it would only say
  that there is NaN somewhere.
* The trainer sleeps until a player has answered, where it would ask without pause and so keep a processor from the
  players.
"""

import multiprocessing
import queue
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import numpy as np
from mlagents.trainers import subprocess_env_manager
from mlagents.trainers.trainer_controller import TrainerController
from mlagents.trainers.training_status import GlobalTrainingStatus
from mlagents_envs.environment import UnityEnvironment
from mlagents_envs.exception import UnityObservationException
from mlagents_envs.logging_util import get_logger

from mlagents_plugin_shared.files import replacing
from mlagents_plugin_shared.finite import describe_not_finite

logger = get_logger(__name__)

# For so long nothing else is looked at while no player answers, seconds.
_WAIT = 0.1

_save_state = GlobalTrainingStatus.save_state
_load_state = GlobalTrainingStatus.load_state
_worker = subprocess_env_manager.worker
_update_state = UnityEnvironment._update_state


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


def _run_worker(*arguments: Any) -> None:
    """ML-Agents' process beside a player. Where processes start empty, as on Windows, its name imports this module."""
    _worker(*arguments)


def _update_state_or_name_fault(environment: Any, output: Any) -> None:
    try:
        _update_state(environment, output)
    except (RuntimeError, UnityObservationException) as error:
        raise type(error)(_describe_fault(output, environment._env_specs) or str(error)) from None


def _describe_fault(output: Any, specs: Any) -> str | None:
    """The first shape or number in a player's message that is not what was agreed on."""
    for behavior in specs:
        for info in output.agentInfos[behavior].value if behavior in output.agentInfos else ():
            numbers = {"the reward": [info.reward], "the group reward": [info.group_reward]}
            for sensor, sent in zip(specs[behavior].observation_specs, info.observations, strict=True):
                if tuple(sent.shape) != sensor.shape:
                    return (
                        f"{behavior}: sensor {sensor.name} of agent {info.id} has the shape {tuple(sent.shape)}, where "
                        f"it had {sensor.shape} when the run began. An observation must keep its size."
                    )
                numbers[f"sensor {sensor.name}"] = sent.float_data.data
            named = {name: np.array(values) for name, values in numbers.items()}
            if fault := describe_not_finite(behavior, info.id, named):
                return fault
    return None


class _AnswersOfPlayers(Queue):
    """A queue that is emptied without waiting, but waited for once it is empty.

    ML-Agents calls `get_nowait` until it is empty, and then again and again until something has come.
    """

    _is_empty = True

    def __init__(self) -> None:
        super().__init__(ctx=multiprocessing.get_context())

    def get_nowait(self) -> Any:
        try:
            answer = self.get(block=self._is_empty, timeout=_WAIT)
        except queue.Empty:
            self._is_empty = True
            raise
        self._is_empty = False
        return answer


GlobalTrainingStatus.save_state = staticmethod(_save_whole_state)
GlobalTrainingStatus.load_state = staticmethod(_load_state_if_whole)
TrainerController._save_models = _save_all_models
subprocess_env_manager.worker = _run_worker
subprocess_env_manager.Queue = _AnswersOfPlayers
UnityEnvironment._update_state = _update_state_or_name_fault
