"""A trainer with `threaded: true` learns on the GPU, and ends the run with its reason where it fails.

In ML-Agents its tensors would be on the CPU, since PyTorch keeps a default device for each thread, and after a failure
only its thread would end, with a traceback: players and other trainers would go on for ever.
"""

import sys
from typing import Any

from mlagents.torch_utils import default_device, torch
from mlagents.trainers.trainer_controller import TrainerController

_update = TrainerController.trainer_update_func
_advance = TrainerController.advance
_join_threads = TrainerController.join_threads


def _update_until_failure(controller: Any, trainer: Any) -> None:
    """What runs in the thread."""
    if default_device().type == "cuda":
        torch.set_default_device(default_device())
    try:
        _update(controller, trainer)
    except Exception as failure:
        controller.failure_of_thread = failure


def _raise_failure(controller: Any) -> None:
    if controller.failure_of_thread is not None:
        raise controller.failure_of_thread


def _advance_unless_failed(controller: Any, env_manager: Any) -> int:
    _raise_failure(controller)
    return _advance(controller, env_manager)


def _join_threads_and_look(controller: Any, *arguments: Any) -> None:
    """A thread may fail in its last round, when nothing advances any more."""
    reason = sys.exc_info()[1]
    _join_threads(controller, *arguments)
    if reason is None:
        _raise_failure(controller)


TrainerController.failure_of_thread = None
TrainerController.trainer_update_func = _update_until_failure
TrainerController.advance = _advance_unless_failed
TrainerController.join_threads = _join_threads_and_look
