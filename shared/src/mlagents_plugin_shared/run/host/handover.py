"""A player's messages go from thread to thread as they are, where ML-Agents writes and reads each once more.

What gRPC has read is an object, and so is what it has to write. ML-Agents gives both to another thread of the same
process by a pipe for processes, which pickles them: each is written to bytes and read from them a second time. Where
protobuf is Python, that is half of the time that the process beside a player takes.
"""

import threading
import time
from collections import deque
from typing import Any

from mlagents_envs import rpc_communicator

# A wait is cut into parts, seconds: on Windows Ctrl+C does not end the wait for a lock.
_WAIT = 0.5


class _End:
    """One of two ends in one process; what one sends the other receives. Closing either ends both, as with a pipe."""

    def __init__(self, changed: threading.Condition) -> None:
        self.other = self
        self._changed = changed  # of both ends
        self._arrived: deque[Any] = deque()
        self._is_closed = False

    def send(self, message: Any) -> None:
        with self._changed:
            if self._is_closed or self.other._is_closed:
                raise BrokenPipeError("the other end is closed")
            self.other._arrived.append(message)
            self._changed.notify_all()

    def poll(self, timeout: float = 0.0) -> bool:
        """Whether `recv` would return or raise at once, maybe after waiting for this."""
        until = time.monotonic() + timeout
        with self._changed:
            while not (self._arrived or self._is_closed or self.other._is_closed):
                left = until - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(min(left, _WAIT))
            return True

    def recv(self) -> Any:
        while not self.poll(_WAIT):
            pass
        with self._changed:
            if self._is_closed or not self._arrived:
                raise EOFError
            return self._arrived.popleft()

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()


def _pipe() -> tuple[_End, _End]:
    changed = threading.Condition()
    ours, theirs = _End(changed), _End(changed)
    ours.other, theirs.other = theirs, ours
    return ours, theirs


rpc_communicator.Pipe = _pipe
