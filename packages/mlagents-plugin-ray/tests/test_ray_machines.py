"""Whole runs across two machines, which are network namespaces: what fails there, and what becomes of the run."""

import os
import re
import secrets
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

import machines
from machines import QUICKLY, RAY, Machine
from ray_testing import Run, running, scalars, settings, wait_until

pytest.importorskip("ray")
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

ACTORS = {"count": 1, "weights_every": 200, "resources": {"unity": 1}}

PLAYS = "actor 0 plays"

STARTED = "Ray runtime started"


class Two(NamedTuple):
    """A head, and a worker that runs one actor."""

    head: Machine
    worker: Machine


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Two]:
    """Two machines with a cable between them, and nothing that runs there."""
    if reason := machines.missing():
        pytest.skip(reason)
    # Ray looks through all processes of the kernel for a head of the same address, those of another test too.
    subnet = f"10.99.{secrets.randbelow(254) + 1}"
    made = Two(Machine(tmp_path, subnet, 1), Machine(tmp_path, subnet, 2))
    try:
        machines.connect(*made)
        yield made
    finally:
        for machine in made:
            machine.remove()


def start(two: Two, *, restarts: bool = False, **env: str) -> None:
    """Starts Ray on both."""
    for machine, begin in (
        (two.head, lambda: two.head.head(**env)),
        (two.worker, lambda: two.worker.worker(two.head, restarts=restarts, **env)),
    ):
        before = machine.said().count(STARTED)
        process = begin()
        wait_until(lambda: machine.said().count(STARTED) > before or process.poll() is not None)  # noqa: B023
        assert process.poll() is None, machine.said()[-3000:]


def run(two: Two, basic: Path, folder: Path, *arguments: str, on: Machine | None = None, **env: str) -> Any:
    """A run on the head's machine, unless on another, that would go on for long."""
    actors = {**ACTORS, "address": address(two)}
    own = settings("dqn", 10_000_000, actors, steps_per_update=50, save_replay_buffer=True)
    # What `running` takes out, so that a run of one machine has a token of its own.
    tokens = {name: os.environ[name] for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")}
    within = (on or two.head).within
    return running(folder, basic, 5005, {"Basic": own}, *arguments, within=within, **{**tokens, **env})


def address(two: Two) -> str:
    """Of Ray's head."""
    return f"{two.head.address}:6379"


def step(of: Run) -> int:
    """The last that it has reported."""
    return max(map(int, re.findall(r"Step: (\d+)\.", of.said())), default=0)


def wait_for_steps(of: Run, steps: int = 1000) -> None:
    """Waits until the learner has gone on by so many agent steps."""
    goal = step(of) + steps
    wait_until(lambda: step(of) >= goal or of.process.poll() is not None)
    assert of.process.poll() is None, of.said()[-3000:]


def actors(machine: Machine) -> list[psutil.Process]:
    """Processes of actors on a machine."""
    return machine.processes("ray::Worker")


def players(machine: Machine) -> list[psutil.Process]:
    """Environments on a machine that its actors have started."""
    return [each for actor in actors(machine) for each in actor.children(recursive=True)]


def test_killed_actor_of_another_machine_plays_again_and_interrupt_ends_it(two: Two, basic: Path, tmp_path: Path):
    """Training goes across; after Ctrl+C nothing of the run is left on either machine."""
    start(two)
    with run(two, basic, tmp_path) as going:
        going.wait_for(PLAYS)
        (actor,) = actors(two.worker)
        assert actors(two.head) == []
        old = players(two.worker)
        assert old
        actor.kill()
        began = time.monotonic()
        going.wait_for("actor 0 is lost and starts again")
        wait_until(lambda: going.said().count(PLAYS) == 2, 120)
        print(f"back after {time.monotonic() - began:.1f} s")
        wait_for_steps(going)
        gone = [*old, *actors(two.worker), *players(two.worker), *going.offspring()]
        going.interrupt()
        assert going.wait() == 0, going.said()[-3000:]
    wait_until(lambda: not any(map(runs, gone)), 60)
    assert actors(two.worker) == []
    found = scalars(going.results)
    assert max(found["Distributed/Steps per Second"]) > 0
    assert found["Distributed/Restarts"][-1] == 1


def runs(process: psutil.Process) -> bool:
    """Whether it does; one that nobody has waited for has ended."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_learner_goes_on_while_the_link_is_cut(two: Two, basic: Path, tmp_path: Path):
    """For 20 seconds, after which Ray has given the machine up or not; steps of an actor come again in either case."""
    start(two, restarts=True)
    with run(two, basic, tmp_path) as going:
        going.wait_for(PLAYS)
        two.worker.cut()
        until = time.monotonic() + 20
        wait_for_steps(going, 2000)
        time.sleep(max(until - time.monotonic(), 0))
        two.worker.cut(False)
        wait_until(lambda: brings(going))
        wait_for_steps(going)
        going.interrupt()
        assert going.wait() == 0, going.said()[-3000:]


def brings(going: Run) -> bool:
    """Whether actors brought steps before the last two reports, and none may be an old one."""
    before = len(scalars(going.results).get("Distributed/Steps per Second", []))
    wait_for_steps(going, 1500)
    return scalars(going.results)["Distributed/Steps per Second"][before + 1] > 0


def test_machine_that_was_given_up_joins_again(two: Two, basic: Path, tmp_path: Path):
    """Its node never comes back by itself; the unit of the README starts another one, which gets the actor."""
    start(two, restarts=True, **QUICKLY)
    with run(two, basic, tmp_path) as going:
        going.wait_for(PLAYS)
        two.worker.cut()
        going.wait_for("actor 0 is lost and starts again")
        wait_for_steps(going)
        two.worker.cut(False)
        wait_until(lambda: going.said().count(PLAYS) == 2)
        assert two.worker.said().count(STARTED) == 2
        wait_for_steps(going)
        going.interrupt()
        assert going.wait() == 0, going.said()[-3000:]


def test_wrong_token_is_refused(two: Two, basic: Path, tmp_path: Path):
    """Of a run, in one line; and of a machine that would join."""
    start(two)
    wrong = secrets.token_hex(32)
    with run(two, basic, tmp_path, on=two.worker, RAY_AUTH_TOKEN=wrong) as going:
        assert going.wait() != 0
    last = going.said().strip().splitlines()[-1]
    assert f"Basic: hyperparameters: actors: address: {address(two)}: Ray cannot be reached" in last
    join = [*two.worker.within, str(RAY), "start", f"--address={address(two)}"]
    join.append(f"--node-ip-address={two.worker.address}")
    joined = subprocess.run(
        join, env={**os.environ, "RAY_AUTH_TOKEN": wrong}, capture_output=True, text=True, timeout=240
    )
    assert joined.returncode != 0
    assert "Authentication" in joined.stdout + joined.stderr


@pytest.mark.parametrize("learns_on", ["head", "worker"])
def test_run_whose_head_is_lost_ends_with_its_checkpoint(two: Two, basic: Path, tmp_path: Path, learns_on: str):
    """In one line; with another head, --resume starts actors and goes on from there."""
    start(two)
    on = two.worker if learns_on == "worker" else two.head
    with run(two, basic, tmp_path, on=on) as going:
        going.wait_for(PLAYS)
        wait_for_steps(going)
        own = [going.process.pid, *(process.pid for process in going.offspring())]
        for process in two.head.processes():
            if process.pid not in own:
                process.kill()
        assert going.wait() == 1, going.said()[-3000:]
    last = going.said().strip().splitlines()[-1]
    lost = f"the head of Ray at {address(two)}" if learns_on == "worker" else "Ray's node on this machine"
    assert last.startswith(f"mlagents-learn: Basic: hyperparameters: actors: {lost} is lost")
    assert "--resume" in last
    assert "Traceback" not in going.said()
    assert (going.results / "Basic.onnx").is_file()
    reached = step(going)
    two.worker.kill()
    two.head.kill()
    start(two)
    with run(two, basic, tmp_path, "--resume", on=on) as resumed:
        wait_until(lambda: resumed.said().count(PLAYS) == 2 or resumed.process.poll() is not None)
        wait_for_steps(resumed)
        assert step(resumed) > reached
        resumed.interrupt()
        assert resumed.wait() == 0, resumed.said()[-3000:]
    assert re.search(r"Resuming training from step (\d+)", resumed.said())
