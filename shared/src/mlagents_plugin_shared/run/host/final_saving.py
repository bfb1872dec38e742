"""The end of a run: every behaviour that has begun is saved, even if one cannot be, and the reason stays the reason.

ML-Agents saves on its way out of an error too. What cannot be saved then would be the error that the user sees, and
what had not begun to learn would become a model.
"""

import functools
import sys
from collections.abc import Callable
from typing import Any

from mlagents.trainers import learn
from mlagents.trainers.trainer_controller import TrainerController
from mlagents_envs.logging_util import get_logger

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
        raise failures[0]


def _keeping_reason(write: Callable[..., None]) -> Callable[..., None]:
    """The function, but that its own failure is only logged where the run ends with an error."""

    @functools.wraps(write)
    def wrapped(*arguments: Any) -> None:
        reason = sys.exc_info()[1]
        try:
            write(*arguments)
        except Exception as failure:
            if reason is None:
                raise
            logger.error(failure)

    return wrapped


TrainerController._save_models = _save_all_models
learn.write_run_options = _keeping_reason(learn.write_run_options)
learn.write_timing_tree = _keeping_reason(learn.write_timing_tree)
learn.write_training_status = _keeping_reason(learn.write_training_status)
