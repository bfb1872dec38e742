"""The end of a run: every behaviour is saved, even if one of them cannot be."""

from typing import Any

from mlagents.trainers.trainer_controller import TrainerController
from mlagents_envs.logging_util import get_logger

logger = get_logger(__name__)


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


TrainerController._save_models = _save_all_models
