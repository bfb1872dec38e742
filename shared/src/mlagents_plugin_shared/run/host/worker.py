"""The trainer, ML-Agents' process beside a player, and the player end together, also where one of them is killed.

A trainer that is killed can tell nobody: ML-Agents' process would wait for it for ever, and hold port and player. And
a trainer would wait for ever for a process of these that is killed.
"""

import _thread
import contextlib
import multiprocessing
import os
import signal
import threading
import time
from multiprocessing.connection import wait
from typing import Any

from mlagents.trainers import subprocess_env_manager
from mlagents.trainers.subprocess_env_manager import EnvironmentCommand, EnvironmentResponse, SubprocessEnvManager
from mlagents_envs.exception import UnityEnvironmentException

from mlagents_plugin_shared.run.host import players

_worker = subprocess_env_manager.worker
_create_worker = SubprocessEnvManager.create_worker

# Beyond what ML-Agents grants a player to end, seconds.
_GRACE = 10.0

# For so long no writer holds a queue that is being read, seconds.
_WRITING = 2.0


def _run_worker(*arguments: Any) -> None:
    """ML-Agents' process beside a player. Where processes start empty, as on Windows, its name imports this module."""
    _, _, _, _, options, *_ = arguments
    trainer = multiprocessing.parent_process()
    if trainer is not None:
        if os.name == "posix":  # not SIGINT: a shell's background processes ignore that
            signal.signal(signal.SIGUSR1, signal.default_int_handler)
        seconds = options.env_settings.timeout_wait + _GRACE
        threading.Thread(target=_end_with, args=(trainer.sentinel, seconds), daemon=True).start()
    try:
        _worker(*arguments)
    finally:
        players.end_players()  # one that was still starting is none that ML-Agents would end


def _end_with(trainer: Any, seconds: float) -> None:
    """Interrupts this process once the trainer has ended, as Ctrl+C would: ML-Agents then ends the player."""
    wait([trainer])
    if os.name == "posix":
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)  # also wakes what waits
    else:
        _thread.interrupt_main()
    time.sleep(seconds)
    players.end_players()
    os._exit(1)


def _create_watched_worker(worker_id: int, step_queue: Any, *arguments: Any) -> Any:
    worker = _create_worker(worker_id, step_queue, *arguments)
    threading.Thread(target=_speak_for, args=(worker.process, worker_id, step_queue), daemon=True).start()
    return worker


def _speak_for(process: Any, worker_id: int, step_queue: Any) -> None:
    """Says for a process that was killed what others say themselves when they end; ML-Agents then starts it again."""
    wait([process.sentinel])
    process.join()  # its pipe closes a moment before it can be asked for its code
    if process.exitcode:
        lost = UnityEnvironmentException(f"worker number {worker_id} was ended with code {process.exitcode}")
        _free(step_queue)
        with contextlib.suppress(ValueError):  # the run has ended, and nobody listens
            step_queue.put(EnvironmentResponse(EnvironmentCommand.ENV_EXITED, worker_id, lost))
            step_queue.put(EnvironmentResponse(EnvironmentCommand.CLOSED, worker_id, None))


def _free(step_queue: Any) -> None:
    """Takes the queue's lock from a process that was killed while it wrote: nobody could ever write again.

    A writer that lives and waits has filled the pipe; one that is dead has left nothing in it, or a whole message.
    """
    lock = step_queue._wlock
    if lock is None:  # on Windows a pipe needs none
        return
    while not lock.acquire(timeout=_WRITING) and step_queue._reader.poll():
        pass
    lock.release()


subprocess_env_manager.worker = _run_worker
SubprocessEnvManager.create_worker = staticmethod(_create_watched_worker)
