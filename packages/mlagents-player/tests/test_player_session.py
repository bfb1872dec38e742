"""How a session ends: the trainer quits, vanishes, speaks another version or sends nonsense."""

import os
import signal
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
import numpy as np
import pytest
from mlagents_envs.communicator_objects.command_pb2 import QUIT, RESET, STEP
from mlagents_envs.communicator_objects.unity_message_pb2 import UnityMessageProto
from mlagents_envs.environment import UnityEnvironment
from mlagents_envs.side_channel.environment_parameters_channel import EnvironmentParametersChannel
from mlagents_envs.side_channel.raw_bytes_channel import RawBytesChannel
from mlagents_envs.side_channel.side_channel_manager import SideChannelManager
from mlagents_envs.side_channel.stats_side_channel import StatsAggregationMethod, StatsSideChannel

from mlagents_player.client import Connection, play
from mlagents_player.errors import PlayerError
from mlagents_player.scenes.base import Actions
from mlagents_player.scenes.basic import Basic
from mlagents_player.scenes.gridworld import GridWorld
from player_testing import FakeServer, FakeTrainer, free_port, in_editor, message, player_process, wait_until

TRAINER = """
import sys
from mlagents_envs.environment import UnityEnvironment
environment = UnityEnvironment({player!r}, base_port={port}, log_folder={logs!r})
environment.reset()
print(environment._process.pid, flush=True)
sys.stdin.read()
"""


def answering(**rl_input: object) -> Callable[[UnityMessageProto], UnityMessageProto]:
    return lambda request: message(**rl_input)


def played(trainer: FakeTrainer) -> str:
    with Connection(trainer.port) as connection:
        assert connection.wait(60)
        return play(connection, Basic)


def step_with(
    change: Callable[[UnityMessageProto], None],
) -> Callable[[UnityMessageProto], UnityMessageProto]:
    """An answer STEP that `change` has altered."""

    def answer(request: UnityMessageProto) -> UnityMessageProto:
        reply = message(command=STEP)
        change(reply)
        return reply

    return answer


@pytest.mark.parametrize("calls", [2, 3, 5])
def test_play_ends_at_quit(calls: int) -> None:
    """QUIT ends the session, also in the handshake, and no goodbye follows it."""
    answers = [answering(command=RESET)] * (calls - 1) + [answering(command=QUIT)]
    with FakeTrainer(*answers) as trainer:
        assert "QUIT" in played(trainer)
        assert len(trainer.received) == calls


@pytest.mark.parametrize("calls", [1, 2, 3, 5])
def test_play_ends_at_another_status(calls: int) -> None:
    """A status of 400 in any answer ends the session."""
    with FakeTrainer(*[answering()] * (calls - 1), answering(status=400)) as trainer:
        assert "status 400" in played(trainer)


def test_handshake_is_hello_then_an_empty_message() -> None:
    """First the player introduces itself, then asks; brain parameters come once, with the first infos."""
    with FakeTrainer(*[answering()] * 4, answering(command=QUIT)) as trainer:
        played(trainer)
    outputs = [request.unity_output for request in trainer.received]
    assert outputs[0].rl_initialization_output.communication_version == "1.5.0"
    assert trainer.received[1].header.status == 200
    assert not trainer.received[1].HasField("unity_output")
    brains = [len(output.rl_initialization_output.brain_parameters) for output in outputs]
    assert brains == [0, 0, 1, 0, 0]
    assert len(outputs[2].rl_output.agentInfos["Basic"].value) == 1


@pytest.mark.parametrize("version", ["2.0.0", "0.15.0", "", "garbage"])
def test_play_refuses_another_major_version(version: str) -> None:
    """A trainer of another protocol is an error that names both versions, and is told goodbye."""
    with FakeTrainer(answering(version=version)) as trainer, pytest.raises(PlayerError, match=r"1\.5\.0"):
        played(trainer)
    assert trainer.received[-1].header.status == 400


def test_play_accepts_another_minor_version() -> None:
    """1.0.0 and 1.9.3 are the same protocol."""
    for version in ("1.0.0", "1.9.3"):
        with FakeTrainer(answering(version=version), answering(status=400)) as trainer:
            assert "status 400" in played(trainer)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.unity_input.rl_input.agent_actions["Basic"].value.add(discrete_actions=[1, 2]),
        lambda m: m.unity_input.rl_input.agent_actions["Basic"].value.add(continuous_actions=[1.0]),
        lambda m: [m.unity_input.rl_input.agent_actions["Basic"].value.add(discrete_actions=[1]) for _ in "12"],
        lambda m: m.unity_input.rl_input.agent_actions["Nobody"].value.add(discrete_actions=[1]),
    ],
)
def test_play_refuses_actions_of_the_wrong_shape(change: Callable[[UnityMessageProto], None]) -> None:
    """Too many actions, of the wrong kind, for too many agents or for nobody: one line that says so."""
    with FakeTrainer(answering(), answering(), step_with(change)) as trainer:
        with pytest.raises(PlayerError, match="The trainer sent actions"):
            played(trainer)
        assert trainer.received[-1].header.status == 400


def test_play_clamps_discrete_actions(caplog: pytest.LogCaptureFixture) -> None:
    """An action beyond its branch is taken as the last one of it, with one line in the log."""

    def far(reply: UnityMessageProto) -> None:
        reply.unity_input.rl_input.agent_actions["Basic"].value.add(discrete_actions=[99])

    with FakeTrainer(answering(), answering(), step_with(far), answering(status=400)) as trainer:
        played(trainer)
    observation = trainer.received[3].unity_output.rl_output.agentInfos["Basic"].value[0].observations[0]
    assert observation.float_data.data[11] == 1  # one to the right of the start
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 1


def test_play_survives_garbage_on_the_side_channel() -> None:
    """Malformed side-channel bytes are left out and the session goes on."""
    with FakeTrainer(
        answering(side_channel=b"junk"), *[answering(side_channel=b"\x00" * 30)] * 3, answering(status=400)
    ) as trainer:
        assert "status 400" in played(trainer)
    assert len(trainer.received) == 5


def hang(request: UnityMessageProto) -> UnityMessageProto:
    """No answer while the test runs."""
    threading.Event().wait(20)
    return message()


class Interrupted(Basic):
    """Basic that calls `interruption` in its third step, between two messages."""

    interruption: Callable[[], object]

    def act(self, agents: np.ndarray, actions: Actions) -> None:
        super().act(agents, actions)
        if self.step_count[0] == 3:
            type(self).interruption()


def interrupted_by(interruption: Callable[[], object]) -> type[Interrupted]:
    return type("Interrupted", (Interrupted,), {"interruption": staticmethod(interruption)})


def test_a_trainer_that_stops_in_a_call_has_closed() -> None:
    """On a busy machine a trainer's stop overtakes its last answer, and nothing but the stop reaches the player."""
    trainer = FakeTrainer(*[answering()] * 3, hang)
    with trainer, ThreadPoolExecutor(1) as pool:
        ended = pool.submit(played, trainer)
        assert wait_until(lambda: len(trainer.received) == 4)
        trainer.server.stop(None)
        assert "the trainer closed the connection" in ended.result(20)


def test_a_trainer_that_stops_between_two_calls_has_closed() -> None:
    """The player computes while the trainer stops; no second trainer on the port gets the next message."""
    second: list[FakeTrainer] = []
    with FakeTrainer(answering()) as trainer, ExitStack() as opened:

        def restart() -> None:
            trainer.server.stop(None).wait()
            assert wait_until(connection._watch_ended.is_set)  # no trainer starts as soon as a farewell arrives
            second.append(opened.enter_context(FakeTrainer(answering(status=400), port=trainer.port)))

        with Connection(trainer.port) as connection:
            assert connection.wait(60)
            ended = play(connection, interrupted_by(restart))
    assert "the trainer closed the connection" in ended
    assert not second[0].received


def test_a_trainer_that_is_killed_between_two_calls_is_lost() -> None:
    """A server that does not say that it stops is gone, also where nobody waited for its answer."""
    with trainer_process("player_testing.message()") as (trainer, port), Connection(port) as connection:
        assert connection.wait(60)
        with pytest.raises(PlayerError, match="The trainer is gone"):
            play(connection, interrupted_by(lambda: (trainer.kill(), trainer.wait())))


def test_a_trainer_that_fails_at_a_message_is_named() -> None:
    """What its server says of the failure is the reason, and this is no end as it should be."""

    def fail(request: UnityMessageProto) -> UnityMessageProto:
        raise ValueError("no such agent")

    with FakeTrainer(*[answering()] * 3, fail) as trainer, pytest.raises(PlayerError, match="no such agent"):
        played(trainer)


def test_environment_that_closes_in_any_moment_ends_the_player_normally() -> None:
    """ML-Agents' own environment, closed at once after each of its calls, again and again."""
    ended = []
    for steps in [0, 1, 2] * 4:
        port = free_port()
        with ThreadPoolExecutor(1) as pool:
            playing = pool.submit(play_on, port)
            environment = UnityEnvironment(None, base_port=port, timeout_wait=60)
            environment.reset()
            for _ in range(steps):
                environment.step()
            environment.close()
            ended.append(playing.result(30))
    assert all(reason.startswith("the trainer closed the ") for reason in ended)


def play_on(port: int) -> str:
    with Connection(port) as connection:
        assert connection.wait(60)
        return play(connection, Basic)


def test_play_says_what_listens_is_no_trainer() -> None:
    """A gRPC server without the service is an error, not an end."""
    with FakeServer() as server, Connection(server.port) as connection:
        assert connection.wait(60)
        with pytest.raises(PlayerError, match="no ML-Agents trainer"):
            play(connection, Basic)


def test_player_ends_when_the_trainer_is_killed(players: Path, tmp_path: Path) -> None:
    """A trainer that is killed while it holds the call leaves no player behind, and the log says that it is gone."""
    script = TRAINER.format(player=str(players / "Basic"), port=free_port(), logs=str(tmp_path))
    trainer = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert trainer.stdout is not None
        assert int(trainer.stdout.readline()) > 0
    finally:
        trainer.kill()
        trainer.communicate()
    log = tmp_path / "Player-0.log"
    assert wait_until(lambda: "The trainer is gone" in log.read_text(encoding="utf-8"))


@pytest.mark.parametrize("answers", [1, 2])
def test_player_ends_when_the_trainer_vanishes_in_the_handshake(answers: int) -> None:
    """The server stops between handshake messages: the process ends soon, with code 1."""
    asked = threading.Event()

    def hang(request: UnityMessageProto) -> UnityMessageProto:
        asked.set()
        threading.Event().wait(3)
        return message()

    trainer = FakeTrainer(*[answering()] * (answers - 1), hang)
    with trainer, player_process("run", "Basic", "--mlagents-port", str(trainer.port)) as process:
        assert asked.wait(30)
        trainer.server.stop(None)
        assert process.wait(timeout=60) == 1


def test_editor_play_button() -> None:
    """`play` waits for an environment without a file, plays, and ends with it."""
    port = free_port()
    with player_process("play", "Basic", "--port", str(port), "--timeout", "60") as process:
        environment = UnityEnvironment(None, base_port=port, timeout_wait=60)
        environment.reset()
        for _ in range(5):
            environment.step()
        environment.close()
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        assert "Playing Basic" in output
        assert "Ended: the " in output


def test_editor_play_button_can_be_pressed_again() -> None:
    """A second player connects to a second environment on the same port."""
    port = free_port()
    for _ in range(2):
        with player_process("play", "Basic", "--port", str(port)) as process:
            environment = UnityEnvironment(None, base_port=port, timeout_wait=60)
            environment.reset()
            environment.close()
            assert process.wait(timeout=60) == 0


def test_play_without_a_trainer() -> None:
    """Nothing listens: one line on the error stream and code 1."""
    with player_process("play", "Basic", "--port", str(free_port()), "--timeout", "1") as process:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 1
        assert errors.count("\n") == 1
        assert "No trainer listens on port" in errors


def test_play_on_a_port_that_is_no_trainer() -> None:
    """Something that accepts and says nothing is not a trainer either."""
    with socket.create_server(("localhost", 0)) as server:
        port = server.getsockname()[1]
        with player_process("play", "Basic", "--port", str(port), "--timeout", "2") as process:
            _, errors = process.communicate(timeout=60)
            assert process.returncode == 1
            assert "Traceback" not in errors


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent to processes on POSIX only")
def test_play_stops_at_ctrl_c() -> None:
    """Ctrl+C while it waits, which it says after a second: one line, code 130."""
    with player_process("play", "Basic", "--port", str(free_port())) as process:
        assert process.stdout is not None
        assert "Waiting for a trainer" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 130
        assert errors == "mlagents-player: stopped.\n"


class Echo(Basic):
    """Basic that sends back what it is sent, and a statistic."""

    def message_received(self, channel: uuid.UUID, payload: bytes) -> None:
        self.send_message(channel, payload[::-1])
        self.add_statistic("echoes", len(payload))


class Own(Basic):
    """A scene that declares no parameters."""

    parameter_names = None


def test_side_channels_both_ways() -> None:
    """Raw bytes reach the scene and come back, with a statistic beside them."""
    raw, numbers = RawBytesChannel(uuid.uuid4()), StatsSideChannel()
    with in_editor(Echo, side_channels=[raw, numbers]) as environment:
        raw.send_raw_data(b"abc")
        for _ in range(2):
            environment.step()
        assert raw.get_and_clear_received_messages() == [b"cba"]
        assert numbers.get_and_reset_stats() == {"echoes": [(3.0, StatsAggregationMethod.AVERAGE)]}


def test_unknown_environment_parameter_is_an_error() -> None:
    """A misspelt name ends the session with those that there are; a scene that declares none takes any."""
    channel = EnvironmentParametersChannel()
    channel.set_float_parameter("grid_size", 7.0)
    data = bytes(SideChannelManager([channel]).generate_side_channel_messages())
    for scene, says in ((GridWorld, "gridSize, numPlusGoals, numExGoals"), (Basic, "none")):
        with FakeTrainer(answering(side_channel=data)) as trainer, Connection(trainer.port) as connection:
            assert connection.wait(60)
            with pytest.raises(PlayerError, match=rf"no environment parameter grid_size; it has: {says}\.") as error:
                play(connection, scene)
            assert ("Did you mean gridSize?" in str(error.value)) == (scene is GridWorld)
    answers = answering(side_channel=data), answering(), answering(status=400)
    with FakeTrainer(*answers) as trainer, Connection(trainer.port) as connection:
        assert connection.wait(60)
        assert "400" in play(connection, Own)


@pytest.mark.parametrize("garbage", [b"\xff" * 40, b"hello", b"\x0a\x7f"])
def test_garbage_on_the_port_is_one_line(garbage: bytes) -> None:
    """A server of another kind that answers with anything: code 1 and one line."""
    handler = grpc.method_handlers_generic_handler(
        "communicator_objects.UnityToExternalProto",
        {"Exchange": grpc.unary_unary_rpc_method_handler(lambda request, context: garbage)},
    )
    other = FakeServer()
    other.server.add_generic_rpc_handlers((handler,))
    with other, player_process("play", "Basic", "--port", str(other.port)) as process:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 1
        assert errors.count("\n") == 1
        assert "cannot be read as an ML-Agents trainer's" in errors


def test_raw_pictures() -> None:
    """Sent as floats they are what PNG gives."""
    seen = []
    for raw in (False, True):
        with in_editor(GridWorld, raw_pictures=raw, seed=3) as environment:
            seen.append(environment.get_steps("GridWorld")[0].obs[0])
    assert np.array_equal(*seen)


@contextmanager
def trainer_process(answer: str) -> Iterator[tuple[subprocess.Popen, int]]:
    """A trainer in a process of its own, which can be killed, and its port; `answer` is an expression."""
    script = f"import sys, player_testing; t = player_testing.FakeTrainer(lambda r: {answer})\n"
    script += "t.server.start(); print(t.port, flush=True); sys.stdin.read()"
    trainer = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])},
    )
    try:
        assert trainer.stdout is not None
        yield trainer, int(trainer.stdout.readline())
    finally:
        trainer.kill()
        trainer.communicate()


def test_play_says_that_the_trainer_is_gone() -> None:
    """A trainer that is killed ends `play` with code 1 and one line."""
    with (
        trainer_process("__import__('time').sleep(60)") as (trainer, port),
        player_process("play", "Basic", "--port", str(port)) as process,
    ):
        assert process.stdout is not None
        assert "Playing Basic" in process.stdout.readline()
        trainer.kill()
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 1
        assert errors == "mlagents-player: The trainer is gone: the connection to it was lost (UNAVAILABLE).\n"
