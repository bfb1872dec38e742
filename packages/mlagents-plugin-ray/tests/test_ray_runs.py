"""Whole runs of mlagents-learn with actors on Ray, of this machine alone."""

from pathlib import Path

import psutil
import pytest

from ray_testing import running, scalars, settings, wait_until

pytest.importorskip("ray")


def test_dqn_trains_with_an_actor_and_leaves_nothing_behind(basic: Path, port: int, tmp_path: Path):
    """Steps of actors count, statistics tell of them, and every process ends with the run."""
    own = settings("dqn", 30_000, {"count": 1, "weights_every": 200}, steps_per_update=50)
    with running(tmp_path, basic, port, {"Basic": own}) as run:
        run.wait_for("actor 0 plays")
        offspring = run.offspring()
        assert run.wait() == 0, run.said()[-3000:]
    assert "ended at step 300" in run.said()
    assert [process for process in offspring if alive(process)] == []
    found = scalars(run.results)
    assert found["Distributed/Actors Alive"][-1] == 1
    assert found["Distributed/Restarts"][-1] == 0
    assert max(found["Distributed/Steps per Second"]) > 0
    assert max(found["Distributed/Bytes per Second"]) > 0
    assert max(found["Distributed/Lag Steps"]) > 0


def alive(process: psutil.Process) -> bool:
    """Whether a process runs; one that nobody has waited for has ended."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.cluster
def test_flashsac_trains_with_an_actor(ball: Path, port: int, tmp_path: Path):
    """Continuous actions, from the noise of the policy; demonstrations of normalised observations are none."""
    own = settings("flashsac", 6000, {"count": 1}, steps_per_update=50)
    with running(tmp_path, ball, port, {"3DBall": own}) as run:
        assert run.wait() == 0, run.said()[-3000:]
    assert "ended at step 6" in run.said()


def test_interrupt_ends_every_process_and_saves(basic: Path, port: int, tmp_path: Path):
    """Ctrl+C in a terminal goes to all processes of the group."""
    own = settings("dqn", 10_000_000, {"count": 1}, steps_per_update=50)
    with running(tmp_path, basic, port, {"Basic": own}) as run:
        run.wait_for("actor 0 plays")
        offspring = run.offspring()
        run.interrupt()
        assert run.wait() == 0, run.said()[-3000:]
    assert (run.results / "Basic.onnx").is_file()
    wait_until(lambda: not any(alive(process) for process in offspring), 30)


@pytest.mark.cluster
def test_killed_actor_plays_again_and_its_player_ends(basic: Path, port: int, tmp_path: Path):
    """The learner goes on; SIGKILL leaves an actor no last word."""
    own = settings("dqn", 10_000_000, {"count": 1}, steps_per_update=50)
    with running(tmp_path, basic, port, {"Basic": own}) as run:
        run.wait_for("actor 0 plays")
        (actor,) = [each for each in run.offspring() if each.name().startswith("ray::Worker")]
        players = actor.children(recursive=True)
        actor.kill()
        run.wait_for("actor 0 is lost and starts again")
        wait_until(lambda: run.said().count("actor 0 plays") == 2)
        wait_until(lambda: not any(alive(process) for process in players), 60)
        run.interrupt()
        assert run.wait() == 0, run.said()[-3000:]


@pytest.mark.cluster
def test_killed_player_is_started_again_in_its_actor(basic: Path, port: int, tmp_path: Path):
    """The actor's process stays."""
    own = settings("dqn", 10_000_000, {"count": 1}, steps_per_update=50)
    with running(tmp_path, basic, port, {"Basic": own}) as run:
        run.wait_for("actor 0 plays")
        (actor,) = [each for each in run.offspring() if each.name().startswith("ray::Worker")]
        for player in actor.children(recursive=True):
            player.kill()
        run.wait_for("an environment of actor 0 was started again")
        assert alive(actor)
        run.interrupt()
        assert run.wait() == 0, run.said()[-3000:]
