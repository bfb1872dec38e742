"""Messages between the two threads of the process beside a player."""

import threading

import pytest
from mlagents_envs import rpc_communicator

import mlagents_plugin_shared.run.host  # noqa: F401 - mends ML-Agents


def test_handover_gives_the_message_itself() -> None:
    """Nothing is pickled: what arrives is the object that was sent, in the order of sending."""
    ours, theirs = rpc_communicator.Pipe()
    first, second = object(), object()
    ours.send(first)
    ours.send(second)
    assert theirs.poll()
    assert theirs.recv() is first
    assert theirs.recv() is second
    assert not theirs.poll(0.0)
    assert not ours.poll(0.0)


def test_handover_wakes_the_one_that_waits() -> None:
    """A message ends the wait for it, in both directions."""
    ours, theirs = rpc_communicator.Pipe()
    answering = threading.Thread(target=lambda: theirs.send(theirs.recv() + 1), daemon=True)
    answering.start()
    ours.send(1)
    assert ours.poll(60)
    assert ours.recv() == 2
    answering.join(60)


def test_handover_that_is_closed_lets_nobody_wait() -> None:
    """A thread of gRPC that waits for an answer ends when the trainer is gone: the process could not end else."""
    ours, theirs = rpc_communicator.Pipe()
    raised: list[BaseException] = []

    def wait() -> None:
        try:
            theirs.recv()
        except EOFError as error:
            raised.append(error)

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    ours.close()
    waiting.join(60)
    assert len(raised) == 1
    with pytest.raises(BrokenPipeError):
        theirs.send(1)
    with pytest.raises(EOFError):
        ours.recv()


def test_handover_keeps_the_last_message_of_one_that_is_closed() -> None:
    """As with a pipe: the goodbye that is sent before closing arrives."""
    ours, theirs = rpc_communicator.Pipe()
    ours.send("goodbye")
    ours.close()
    assert theirs.recv() == "goodbye"
    with pytest.raises(EOFError):
        theirs.recv()
