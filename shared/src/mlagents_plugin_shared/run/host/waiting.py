"""The trainer sleeps until a player has answered, where it would ask without pause and keep a processor from it."""

import multiprocessing
import queue
from multiprocessing.queues import Queue
from typing import Any

from mlagents.trainers import subprocess_env_manager

# For so long nothing else is looked at while no player answers, seconds.
_WAIT = 0.1


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


subprocess_env_manager.Queue = _AnswersOfPlayers
