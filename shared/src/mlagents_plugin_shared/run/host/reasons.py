"""A run that ends with an error ends with its reason: the last line on the standard error stream, and no traceback.

Python would print it under a hundred lines of where in ML-Agents it was raised, or under none of its own where that was
replaced on the way out. With `--debug` the traceback is there. Only what comes out of the command `mlagents-learn` is
shown like this: a program, a test or a notebook that calls ML-Agents sees the exception as it is.
"""

import logging
import sys
from types import TracebackType

from mlagents.trainers import learn, subprocess_env_manager
from mlagents.trainers.cli_utils import DetectDefault
from mlagents.trainers.exception import TrainerConfigError, TrainerError
from mlagents_envs.exception import UnityException
from mlagents_envs.logging_util import get_logger

logger = get_logger(__name__)

# What says all that a user needs. Anything else is a fault of a program, and its traceback is of use.
_REASONS = (TrainerConfigError, TrainerError, UnityException)

# The first Ctrl+C is ML-Agents' own: it ends a run as it should be ended.
_INTERRUPTED = (
    "mlagents-learn: interrupted while it was about to end; if a checkpoint has been saved, --resume goes on from the "
    "last whole one."
)

# How PyTorch says that there is no memory left, on Linux, on Windows and on a GPU.
_NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory")

_excepthook = sys.excepthook


def _show_reason(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, _REASONS) and _came_out_of_learn(trace) and not _debugs():
        for line in str(error).strip().splitlines() or [kind.__name__]:
            print(f"mlagents-learn: {line}", file=sys.stderr)
    elif issubclass(kind, KeyboardInterrupt) and _came_out_of_learn(trace) and not _debugs():
        print(_INTERRUPTED, file=sys.stderr)
    elif _is_out_of_memory(error) and _came_out_of_learn(trace) and not _debugs():
        said = str(error).strip().splitlines()
        print(
            "mlagents-learn: there is not enough memory: make hidden_units, num_layers, batch_size or buffer_size "
            f"smaller. {said[0] if said else ''}".strip(),
            file=sys.stderr,
        )
    else:
        _excepthook(kind, error, trace)


def _came_out_of_learn(trace: TracebackType | None) -> bool:
    """Whether the command was running: its function may belong to `__main__`, where it was started by `python -m`."""
    command = learn.main.__code__
    while trace is not None:
        code = trace.tb_frame.f_code
        if (code.co_filename, code.co_name) == (command.co_filename, command.co_name):
            return True
        trace = trace.tb_next
    return False


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether an array was asked for that there is no room for; PyTorch has no class for it on a CPU."""
    said = str(error).lower()
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(phrase in said for phrase in _NO_MEMORY)
    )


def _debugs() -> bool:
    """Whether the run was started with --debug, which is known of before ML-Agents sets its loggers up."""
    return "debug" in DetectDefault.non_default_args or logger.isEnabledFor(logging.DEBUG)


def _leave_traceback_out(record: logging.LogRecord) -> bool:
    """A filter for what ML-Agents' process beside a player logs before the run ends with the same error."""
    if record.exc_info and isinstance(record.exc_info[1], _REASONS) and not _debugs():
        record.exc_info = None
    return True


sys.excepthook = _show_reason
subprocess_env_manager.logger.addFilter(_leave_traceback_out)
