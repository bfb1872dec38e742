"""The end of a run: every behaviour that has begun is saved, even if one cannot be, and the reason stays the reason.

ML-Agents saves on its way out of an error too. What cannot be saved then would be the error that the user sees, and
what had not begun to learn would become a model. It writes `configuration.yaml` and `timers.json` in place, so that on
a full disk those of before would be gone; here they are whole or absent.
"""

import functools
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlagents.trainers import learn
from mlagents.trainers.exception import UnityTrainerException
from mlagents.trainers.trainer_controller import TrainerController
from mlagents_envs.logging_util import get_logger

from mlagents_plugin_shared.run.files import replacing
from mlagents_plugin_shared.run.host.run_folder import has_begun

logger = get_logger(__name__)


def _save_all_models(controller: Any) -> None:
    reason = sys.exc_info()[1]  # why the run ends, where it ends with an error
    failures: list[Exception] = []
    for behavior, trainer in controller.trainers.items():
        if not has_begun(behavior) or (reason is not None and trainer.get_step == 0):
            continue
        try:
            trainer.save_model()
        except Exception as failure:
            failures.append(failure)
            logger.error(failure)
    if failures and reason is None:
        if len(failures) == 1:
            raise failures[0]
        raise UnityTrainerException(" ".join(map(str, failures))) from failures[0]


def _keeping_reason(write: Callable[..., None]) -> Callable[..., None]:
    """The function, but that its own failure is only logged where the run ends with an error.

    Args:
        write: takes the folder that it writes to first.
    """

    @functools.wraps(write)
    def wrapped(folder: str, *arguments: Any) -> None:
        reason = sys.exc_info()[1]
        try:
            write(folder, *arguments)
        except Exception as failure:
            if reason is not None:
                logger.error(failure)
            elif isinstance(failure, OSError):
                raise UnityTrainerException(f"{folder}: not all files of the run were written: {failure}") from failure
            else:
                raise

    return wrapped


def _replacing_files(write: Callable[..., None]) -> Callable[..., None]:
    """The function, but that its files are written elsewhere and then replace those of before.

    Args:
        write: takes the folder that it writes to first.
    """

    @functools.wraps(write)
    def wrapped(folder: str, *arguments: Any) -> None:
        if not Path(folder).is_dir():
            write(folder, *arguments)  # which says so
            return
        with tempfile.TemporaryDirectory(prefix="mlagents-", ignore_cleanup_errors=True) as elsewhere:
            write(elsewhere, *arguments)
            for file in Path(elsewhere).iterdir():
                with replacing(Path(folder) / file.name) as temporary:
                    shutil.copyfile(file, temporary)

    return wrapped


TrainerController._save_models = _save_all_models
learn.write_run_options = _keeping_reason(_replacing_files(learn.write_run_options))
learn.write_timing_tree = _keeping_reason(_replacing_files(learn.write_timing_tree))
learn.write_training_status = _keeping_reason(learn.write_training_status)
