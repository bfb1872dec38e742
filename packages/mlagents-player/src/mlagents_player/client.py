"""The connection to the trainer and the session that runs over it.

The trainer is the gRPC server and the player its client: every call of the player carries what happened
in the scene, and the answer carries the trainer's command and actions.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import NoReturn

import grpc
import numpy as np
from mlagents_envs.communicator_objects.command_pb2 import QUIT, RESET
from mlagents_envs.communicator_objects.unity_rl_initialization_input_pb2 import (
    UnityRLInitializationInputProto,
)

from mlagents_player import pictures, trainer_message, wire
from mlagents_player.academy import Academy, AgentInfos, Reply
from mlagents_player.errors import PlayerError, TrainerGone, one_line
from mlagents_player.hosted_scene import HostedScene
from mlagents_player.recording import Recorder
from mlagents_player.scenes.base import Scene
from mlagents_player.trainer_message import TrainerMessage

log = logging.getLogger(__name__)

EXCHANGE = "/communicator_objects.UnityToExternalProto/Exchange"
CHANNEL_OPTIONS = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 1000),
)
NOT_A_TRAINER = "What listens on this port is no ML-Agents trainer"
FAREWELL = "Cancelling all calls"  # gRPC's own words to every open call of a server that stops; a killed one has none
GOODBYE_SECONDS = 1.0
HEEDS_CTRL_C = 0.5  # seconds; Windows does not interrupt a wait


class Connection:
    """An open channel to the trainer on this machine.

    A context manager that closes it; where an error leaves it, the trainer is told that the player ends.

    A trainer that closes answers the call that waits with another status and stops its server at once. On a busy
    machine the stop often overtakes the answer, or the player is between two calls. What tells a stop from a
    trainer that was killed is gRPC's farewell to the calls that are open, so a session keeps one open all the time.
    """

    def __init__(self, port: int) -> None:
        self._channel = grpc.insecure_channel(f"localhost:{port}", CHANNEL_OPTIONS)
        self._call = self._channel.unary_unary(EXCHANGE)
        self._ready = grpc.channel_ready_future(self._channel)
        self._lost = False
        self._watch: grpc.CallFuture[bytes] | None = None
        self._watch_ended, self._closing = threading.Event(), threading.Event()

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error:
            self._say_goodbye()
        self._closing.set()
        self._ready.cancel()  # else its thread asks for the state of the closed channel, which is a traceback
        self._channel.close()

    def wait(self, seconds: float) -> bool:
        """Wait until the trainer listens; True once it does, False after `seconds`."""
        end = time.monotonic() + seconds
        while True:
            left = max(0.0, end - time.monotonic())
            with contextlib.suppress(grpc.FutureTimeoutError):
                self._ready.result(timeout=min(left, HEEDS_CTRL_C))
                return True
            if left <= HEEDS_CTRL_C:
                return False

    def watch(self) -> None:
        """From now on know a trainer that stops, in a call or between two, from one that is lost.

        The call that stays open for this never sends its message, so nothing of the trainer's sees it.
        """

        def nothing() -> Iterator[bytes]:
            self._closing.wait()
            yield from ()

        self._watch = self._channel.stream_unary(EXCHANGE).future(nothing())
        self._watch.add_done_callback(lambda _: self._watch_ended.set())

    def exchange(self, message: bytes) -> TrainerMessage:
        """Send a message and wait, however long, for the trainer's.

        Raises:
            TrainerGone: the trainer closed the session.
            PlayerError: the trainer vanished, or the answer is not of this protocol.
        """
        if self._watch_ended.is_set():  # the channel would connect again, perhaps to the next trainer
            raise self._ended(self._watch)
        try:
            reply = trainer_message.read(self._call(message))
        except grpc.RpcError as error:
            raise self._ended(error) from error
        except ValueError as error:
            raise PlayerError(f"The answer on this port cannot be read as an ML-Agents trainer's: {error}.") from error
        if reply.status != wire.OK:
            raise TrainerGone(f"the trainer closed the environment (status {reply.status})")
        return reply

    def _ended(self, error: grpc.RpcError) -> Exception:
        self._lost = True
        code = error.code()
        if code == grpc.StatusCode.UNIMPLEMENTED:
            return PlayerError(f"{NOT_A_TRAINER} ({code.name}).")
        if self._stopped(error):
            return TrainerGone(f"the trainer closed the connection ({code.name})")
        if code == grpc.StatusCode.UNAVAILABLE:
            return PlayerError(f"The trainer is gone: the connection to it was lost ({code.name}).")
        return PlayerError(f"The trainer did not take a message: {one_line(error.details())} ({code.name}).")

    def _stopped(self, error: grpc.RpcError) -> bool:
        """Whether the trainer stopped its server in a session; before one begins, nothing was played."""
        if self._watch is None:
            return False
        if error.details() == FAREWELL:
            return True
        return self._watch_ended.wait(GOODBYE_SECONDS) and self._watch.details() == FAREWELL

    def _say_goodbye(self) -> None:
        """Tell the trainer that the player ends of its own accord, so that it need not wait."""
        if self._lost or self._watch_ended.is_set():  # whoever listens on the port now is another trainer
            return
        with contextlib.suppress(grpc.RpcError):  # perhaps nobody is left to tell
            self._call(wire.status(wire.CLOSED), timeout=GOODBYE_SECONDS)


def handshake(connection: Connection) -> tuple[UnityRLInitializationInputProto, TrainerMessage]:
    """Introduce the player and wait for the first command.

    Returns:
        What the trainer set at the start (seed, number of areas) and its first input, whose reset needs no
        answer: the scene begins with one.

    Raises:
        PlayerError: the trainer speaks another major version of the protocol.
        TrainerGone: the trainer ended the session.
    """
    settings = connection.exchange(wire.hello()).settings
    check_version(settings.communication_version)
    first = connection.exchange(wire.status(wire.OK))
    connection.watch()
    return settings, first


def check_version(theirs: str) -> None:
    """Raise `PlayerError` unless the trainer's protocol has the same major version."""
    if theirs.split(".")[0] != wire.COMMUNICATION_VERSION.split(".")[0]:
        raise PlayerError(
            f"The trainer speaks version {theirs or 'unknown'} of the ML-Agents protocol and this player "
            f"{wire.COMMUNICATION_VERSION}; install a version of mlagents with the same major number."
        )


@dataclass
class Options:
    """How a scene is played.

    Attributes:
        num_areas: Copies of the scene; None: as the trainer says.
        record: File for a demonstration of what the trainer did; None: no recording.
        raw_pictures: Send pictures as floats instead of PNG.
    """

    num_areas: int | None = None
    record: Path | None = None
    raw_pictures: bool = False


class Session:
    """One scene played for one trainer, from the handshake until the trainer ends it."""

    def __init__(self, connection: Connection, scene_type: type[Scene], options: Options) -> None:
        """Shake hands and build the scene.

        Args:
            connection: A channel to a trainer that listens.
            scene_type: The scene to play.
            options: How to play it.
        """
        self._connection = connection
        settings, first = handshake(connection)
        copies = max(1, settings.num_areas if options.num_areas is None else options.num_areas)
        self._hosted = HostedScene(scene_type, copies, settings.seed, first.side_channel)
        self._introduced: set[str] = set()
        self._recorder = Recorder(options.record, scene_type.behaviors) if options.record else None
        self._raw_pictures = options.raw_pictures
        if first.command == QUIT:
            raise TrainerGone("the trainer sent QUIT")
        log.info(
            "Connected to ML-Agents %s: seed %d, %d agents.",
            settings.package_version,
            settings.seed,
            self._hosted.scene.num_agents,
        )

    def run(self) -> NoReturn:
        """Play until the trainer ends the session.

        Raises:
            TrainerGone: the trainer ended it.
            PlayerError: the trainer sent something that cannot be obeyed, or a recording cannot be written.
        """
        academy = Academy(self._hosted.scene)
        try:
            while True:
                academy.step(self._decide)
        finally:
            if self._recorder:
                for file in self._recorder.save():
                    log.info("Recorded %s.", file)

    def _decide(self, infos: dict[str, list[AgentInfos]]) -> Reply:
        introduce = [name for name in infos if name not in self._introduced]
        if self._raw_pictures:
            infos = {behavior: [_raw(batch) for batch in batches] for behavior, batches in infos.items()}
        message = wire.encode_output(infos, self._hosted.scene.behaviors, introduce, self._hosted.send())
        answer = self._connection.exchange(message)
        self._introduced.update(introduce)
        self._hosted.receive(answer.side_channel)
        if answer.command == QUIT:
            raise TrainerGone("the trainer sent QUIT")
        reply = Reply(reset=True) if answer.command == RESET else Reply(answer.actions)
        if self._recorder:
            self._recorder.note(infos, reply)
        return reply


def _raw(infos: AgentInfos) -> AgentInfos:
    """The same with pictures as floats."""
    seen = [pictures.to_floats(values) if values.dtype == np.uint8 else values for values in infos.observations]
    return replace(infos, observations=seen)


def play(connection: Connection, scene_type: type[Scene], options: Options | None = None) -> str:
    """Play a scene over a connection until the trainer ends it.

    Returns:
        Why it ended.

    Raises:
        PlayerError: the trainer sent something that cannot be obeyed, or the scene failed.
    """
    try:
        Session(connection, scene_type, options or Options()).run()
    except TrainerGone as gone:
        return str(gone)
