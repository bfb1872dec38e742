"""Helpers of the player's tests: free ports, processes, and trainers scripted or in this process."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import grpc
import numpy as np
from mlagents_envs.base_env import ActionSpec, ActionTuple
from mlagents_envs.communicator_objects.unity_message_pb2 import UnityMessageProto
from mlagents_envs.communicator_objects.unity_to_external_pb2_grpc import (
    UnityToExternalProtoServicer,
    add_UnityToExternalProtoServicer_to_server,
)
from mlagents_envs.environment import UnityEnvironment

from mlagents_player.academy import Academy, AgentInfos, Reply
from mlagents_player.client import Connection, Options, play
from mlagents_player.parameters import EnvironmentParameters
from mlagents_player.scenes.base import Actions, Scene

Infos = dict[str, list[AgentInfos]]
Server = TypeVar("Server", bound="FakeServer")


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def player_process(*arguments: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """`mlagents-player` as a process, with more environment variables; ended by its own handle if still there."""
    process = subprocess.Popen(
        [sys.executable, "-m", "mlagents_player", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env={**os.environ, "PYTHONUNBUFFERED": "1", **variables},
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


class FakeServer:
    """A gRPC server on a port of this machine, without a service; its threads end with it."""

    def __init__(self, port: int = 0) -> None:
        self._pool = ThreadPoolExecutor(2)
        self.server = grpc.server(self._pool)
        self.port = self.server.add_insecure_port(f"localhost:{port}")

    def __enter__(self: Server) -> Server:
        self.server.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.server.stop(None).wait()
        self._pool.shutdown(wait=False)  # an answer may still wait for something


class FakeTrainer(FakeServer, UnityToExternalProtoServicer):
    """Gives scripted answers, the last one again and again."""

    def __init__(self, *answers: Callable[[UnityMessageProto], UnityMessageProto], port: int = 0) -> None:
        super().__init__(port)
        self.answers = list(answers)
        self.received: list[UnityMessageProto] = []
        add_UnityToExternalProtoServicer_to_server(self, self.server)

    def Exchange(self, request: UnityMessageProto, context: object) -> UnityMessageProto:
        self.received.append(request)
        answer = self.answers[min(len(self.received), len(self.answers)) - 1]
        return answer(request)


def message(status: int = 200, version: str = "1.5.0", **rl_input: object) -> UnityMessageProto:
    """A trainer's message: greeting and input in one, of which the player reads what it needs."""
    answer = UnityMessageProto()
    answer.header.status = status
    start = answer.unity_input.rl_initialization_input
    start.communication_version, start.seed, start.num_areas = version, 1, 1
    for name, value in rl_input.items():
        setattr(answer.unity_input.rl_input, name, value)
    return answer


class InProcess:
    """A scene in an academy whose trainer is a function; keeps every message."""

    def __init__(
        self,
        scene_type: type[Scene],
        policy: Callable[[AgentInfos], Actions],
        areas: int = 1,
        seed: int = 0,
        parameters: EnvironmentParameters | None = None,
    ) -> None:
        self.scene = scene_type(areas, np.random.default_rng(seed), parameters or EnvironmentParameters())
        self.policy = policy
        self.messages: list[tuple[list[AgentInfos], list[AgentInfos]]] = []
        self.reset_next = False
        self.academy = Academy(self.scene)

    def decide(self, infos: Infos) -> Reply:
        """Note the message as (terminals, decisions) and answer it by the policy."""
        (behavior, batches), *_ = infos.items()
        self.messages.append(([b for b in batches if b.done], [b for b in batches if not b.done]))
        if self.reset_next:
            self.reset_next = False
            return Reply(reset=True)
        decisions = [batch for batch in batches if not batch.done]
        return Reply({behavior: self.policy(decisions[0])} if decisions else {})

    def run(self, academy_steps: int) -> InProcess:
        """Take academy steps."""
        for _ in range(academy_steps):
            self.academy.step(self.decide)
        return self


def continuous(*values: float) -> Callable[[AgentInfos], Actions]:
    """A policy that always takes these continuous actions."""

    def policy(infos: AgentInfos) -> Actions:
        agents = len(infos.ids)
        return Actions(np.tile(np.float32(values), (agents, 1)), np.zeros((agents, 0), np.int32))

    return policy


def discrete(*values: int) -> Callable[[AgentInfos], Actions]:
    """A policy that always takes these discrete actions."""

    def policy(infos: AgentInfos) -> Actions:
        agents = len(infos.ids)
        return Actions(np.zeros((agents, 0), np.float32), np.tile(np.int32(values), (agents, 1)))

    return policy


def in_thread(target: Callable[[], object]) -> threading.Thread:
    """Start a daemon thread."""
    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    return thread


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Whether the condition came true in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return condition()


@contextmanager
def in_editor(
    scene_type: type[Scene],
    num_areas: int = 1,
    record: Path | None = None,
    raw_pictures: bool = False,
    **options: object,
) -> Iterator[UnityEnvironment]:
    """ML-Agents' own environment on a scene that plays in a thread of this process, after its first reset."""
    port = free_port()

    def press_play() -> None:
        with Connection(port) as connection:
            connection.wait(30)
            play(connection, scene_type, Options(None, record, raw_pictures))

    thread = in_thread(press_play)
    environment = UnityEnvironment(None, base_port=port, timeout_wait=60, num_areas=num_areas, **options)
    try:
        environment.reset()
        yield environment
    finally:
        environment.close()
        thread.join(10)


def random_actions(spec: ActionSpec, agents: int, rng: np.random.Generator) -> Actions:
    """Actions anywhere in their ranges."""
    continuous = rng.uniform(-1, 1, (agents, spec.continuous_size)).astype(np.float32)
    discrete = [rng.integers(0, size, agents) for size in spec.discrete_branches]
    return Actions(continuous, np.array(discrete, np.int32).T.reshape(agents, -1))


def random_step(environment: UnityEnvironment, behavior: str, rng: np.random.Generator, step: bool = True) -> int:
    """Act at random on all decisions of a behaviour and, if told so, step; the number of decisions."""
    decisions, _ = environment.get_steps(behavior)
    if len(decisions):
        actions = random_actions(environment.behavior_specs[behavior].action_spec, len(decisions), rng)
        environment.set_actions(behavior, ActionTuple(actions.continuous, actions.discrete))
    if step:
        environment.step()
    return len(decisions)
