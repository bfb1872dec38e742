"""Whether Ray is still there: its head, and its node on this machine.

Ray itself does not say so. Without its head its calls wait, and after a minute it ends the process that asked; without
the node of this machine it does so at the next object that is stored or fetched. Either would take what was learnt
since the last checkpoint along, so a run looks by itself first.
"""

import socket
import threading
import time

# Seconds between two looks at the head, and for each: Windows takes two to say that nobody listens.
_PERIOD, _DIAL = 1.0, 3.0

# Refused connections in a row after which the head is given up: its process has ended, and what it knew with it.
_REFUSALS = 3


class Watch:
    """Looks after the head from a thread, and after the node whenever it is asked.

    Attributes:
        head: HOST:PORT of the head's store.

    Args:
        head: HOST:PORT of the head's store.
        node: HOST:PORT of the node that serves this process.
        silence: seconds without an answer after which the head is given up; Ray would end the process after 60.
    """

    def __init__(self, head: str, node: str, silence: float = 30.0) -> None:
        self.head = head
        self._silence = silence
        self._node = _Line(node)
        self._has_head = True
        self._left = threading.Event()
        threading.Thread(target=self._look, name="head of Ray", daemon=True).start()

    def lost(self) -> str:
        """What is lost; empty where nothing is. It takes microseconds, and is as of now for the node."""
        if not self._has_head:
            return f"the head of Ray at {self.head}"
        return "" if self._node.holds() else "Ray's node on this machine"

    def leave(self) -> None:
        """Ends the watch."""
        self._left.set()

    def _look(self) -> None:
        heard, refusals = time.monotonic(), 0
        while self._has_head and not self._left.wait(_PERIOD):
            try:
                dial(self.head, _DIAL).close()
                heard, refusals = time.monotonic(), 0
            except ConnectionRefusedError:  # its machine is there, and nobody listens
                refusals += 1
            except OSError:  # a cut link, or a machine that is gone
                pass
            self._has_head = refusals < _REFUSALS and time.monotonic() - heard <= self._silence


class _Line:
    """A connection that is kept open to learn at once when the other side ends.

    Args:
        address: HOST:PORT.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._socket: socket.socket | None = None

    def holds(self) -> bool:
        """Whether the other side is there."""
        if self._socket is not None and _is_open(self._socket):
            return True
        return self._reopened()  # one that says nothing is ended by the other side in a while

    def _reopened(self) -> bool:
        if self._socket is not None:
            self._socket.close()
        try:
            self._socket = dial(self._address, _DIAL)
        except OSError:
            self._socket = None
            return False
        self._socket.setblocking(False)
        return True


def _is_open(line: socket.socket) -> bool:
    try:
        while line.recv(4096):  # a greeting, which nobody answers
            pass
    except BlockingIOError:
        return True
    except OSError:  # a process that is killed on Windows resets its connections
        return False
    return False


def dial(address: str, timeout: float) -> socket.socket:
    """A connection.

    Args:
        address: HOST:PORT.
        timeout: seconds.

    Raises:
        OSError: nobody takes it.
        ValueError: it is no such address.
    """
    host, _, port = address.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), timeout)
