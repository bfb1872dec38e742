"""A head or a node that is gone is noticed without a call of Ray's, which would wait, or end the process."""

import contextlib
import socket
import struct
from collections.abc import Iterator

import pytest

from mlagents_plugin_ray import watch
from mlagents_plugin_ray.watch import Watch
from ray_testing import wait_until


class Listener:
    """A server of a port that says nothing."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"

    def accept(self) -> socket.socket:
        return self._socket.accept()[0]

    def end(self) -> None:
        self._socket.close()


@pytest.fixture
def listeners(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Listener]]:
    """A head and a node; the head is looked at often."""
    monkeypatch.setattr(watch, "_PERIOD", 0.02)
    made = [Listener(), Listener()]
    yield made
    for each in made:
        each.end()


@contextlib.contextmanager
def watching(listeners: list[Listener], silence: float = 60.0) -> Iterator[Watch]:
    own = Watch(*(each.address for each in listeners), silence=silence)
    try:
        yield own
    finally:
        own.leave()


def test_nothing_is_lost_while_both_are_there(listeners: list[Listener]):
    """Also where the node ends a connection that has said nothing for long."""
    with watching(listeners) as own:
        assert own.lost() == ""
        line = listeners[1].accept()
        line.sendall(b"greeting")
        assert own.lost() == ""
        line.close()
        for _ in range(3):
            assert own.lost() == ""


def test_node_that_is_killed_on_windows_is_lost_at_once(listeners: list[Listener]):
    """There its connections are not closed but reset."""
    with watching(listeners) as own:
        assert own.lost() == ""
        line = listeners[1].accept()
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        listeners[1].end()
        line.close()
        wait_until(lambda: own.lost() == "Ray's node on this machine")


def test_node_that_ends_is_lost_at_once(listeners: list[Listener]):
    """Before the next object would be stored with it."""
    with watching(listeners) as own:
        assert own.lost() == ""
        line = listeners[1].accept()
        listeners[1].end()
        line.close()
        assert own.lost() == "Ray's node on this machine"


def test_head_that_ends_is_lost(listeners: list[Listener]):
    """After a few refused connections."""
    with watching(listeners) as own:
        listeners[0].end()
        wait_until(lambda: own.lost() != "", 10)
        assert own.lost() == f"the head of Ray at {listeners[0].address}"


def test_head_that_is_silent_for_long_is_lost(listeners: list[Listener], monkeypatch: pytest.MonkeyPatch):
    """As behind a link that is cut; a shorter silence is not."""

    def no_answer(address: tuple[str, int], timeout: float) -> socket.socket:
        raise TimeoutError

    with watching(listeners) as patient, watching(listeners, silence=0.1) as own:
        assert (patient.lost(), own.lost()) == ("", "")
        monkeypatch.setattr(watch.socket, "create_connection", no_answer)
        wait_until(lambda: own.lost() != "", 10)
        assert patient.lost() == ""
