"""Whole runs that something happens to: `nox -s faults`, with `-- --kills 10` for fewer than 100 kills a trainer."""

import json
import os
import random
import re
import subprocess
import time
from pathlib import Path

import onnx
import psutil
import pytest
from runs import SCENES, command, config, free_port, learn, started, trained, wait_for

from mlagents_plugin_shared.checkpoint_files import read_checkpoint

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(3 * 3600),
    pytest.mark.skipif(os.name != "posix", reason="kills process groups"),
]

ENDLESS = {"max_steps": 10**9, "summary_freq": 100}
INTERVALS = {"Basic": 200, "3DBall": 2400}
# Agent steps that can be on their way when a checkpoint is written: those of all agents, up to time_horizon each.
UNDERWAY = {"Basic": 10, "3DBall": 120}
LONGEST_LIFE = 4.0


def steps_of(log: Path) -> list[int]:
    """Steps of the summaries that a run has printed."""
    return [int(step) for step in re.findall(r"\. Step: (\d+)\.", log.read_text(errors="replace"))]


def check_files(folder: Path) -> int:
    """Asserts that every checkpoint and model is whole, and gives the step of `checkpoint.pt`, 0 without."""
    for file in folder.glob("*.pt"):
        read_checkpoint(file)
    for file in [*folder.glob("*.onnx"), *folder.parent.glob("*.onnx")]:
        onnx.checker.check_model(onnx.load(file))
    status = folder.parent / "run_logs" / "training_status.json"
    if status.exists():
        json.loads(status.read_text())
    newest = folder / "checkpoint.pt"
    return int(read_checkpoint(newest)["global_step"]["_GlobalSteps__global_step"][0]) if newest.exists() else 0


@pytest.mark.parametrize("behavior", SCENES)
def test_kills_at_random_moments(tmp_path: Path, players: Path, behavior: str, kills: int) -> None:
    """After each SIGKILL all files are whole, `--resume` goes on, and at most one checkpoint interval is lost."""
    moments = random.Random(behavior)
    interval = INTERVALS[behavior]
    file = config(tmp_path, behavior, **ENDLESS, checkpoint_interval=interval)
    folder = tmp_path / "results" / "x" / behavior
    arguments = ["--env", players / behavior, "--run-id", "x"]
    reached, lost = 0, []
    for kill in range(kills + 1):
        line = command("mlagents-learn", file, *arguments, *(["--resume"] if kill else []), "--base-port", free_port())
        with started(line, tmp_path) as (process, log):
            if kill:
                wait_for("Resuming training from step", log, process)
                found = re.search(r"Resuming training from step (\d+)", log.read_text())
                lost.append(reached - int(found[1]))
                assert lost[-1] <= interval + UNDERWAY[behavior]
            else:  # before the first checkpoint there is nothing to resume from
                wait_for("Exported", log, process)
            if kill < kills:
                time.sleep(moments.uniform(0.0, LONGEST_LIFE))
        reached = max([reached, *steps_of(log)])
        saved = check_files(folder)
        print(f"{behavior}: kill {kill + 1}, at step {reached}, checkpoint of step {saved}", flush=True)
    print(f"{behavior}: {len(lost)} resumes, at most {max(lost)} steps lost; a checkpoint every {interval}")


@pytest.mark.parametrize("behavior", SCENES)
def test_killed_player_is_started_again(tmp_path: Path, players: Path, behavior: str) -> None:
    """ML-Agents starts a new player, and the run goes on to its end."""
    steps = SCENES[behavior]["max_steps"] * 10
    file = config(tmp_path, behavior, max_steps=steps, summary_freq=100)
    line = command("mlagents-learn", file, "--env", players / behavior, "--run-id", "x", "--base-port", free_port())
    with started(line, tmp_path) as (process, log):
        wait_for(" Step: ", log, process)
        children = psutil.Process(process.pid).children(recursive=True)
        next(child for child in children if "mlagents_player" in child.cmdline()).kill()
        assert process.wait(timeout=240) == 0, log.read_text()[-2000:]
        assert log.read_text().count("Connected to Unity environment") == 2
        assert max(steps_of(log)) >= steps
    check_files(tmp_path / "results" / "x" / behavior)


@pytest.mark.parametrize("behavior", SCENES)
def test_second_run_of_the_same_name_is_refused(tmp_path: Path, players: Path, behavior: str) -> None:
    """ML-Agents refuses it by name, and the first run's files stay as they are."""
    file = config(tmp_path, behavior)
    trained(tmp_path, file, "--env", players / behavior, "--run-id", "x")
    folder = tmp_path / "results" / "x" / behavior
    before = {path: path.read_bytes() for path in folder.iterdir()}
    run = learn(tmp_path, file, "--env", players / behavior, "--run-id", "x")
    assert run.returncode != 0
    assert "Previous data from this run ID was found" in run.stdout + run.stderr
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("behavior", SCENES)
def test_thousand_agents(tmp_path: Path, players: Path, behavior: str) -> None:
    """A player with 1,000 agents at once trains to the end."""
    file = config(tmp_path, behavior, max_steps=20_000)
    trained(tmp_path, file, "--env", players / behavior, "--run-id", "x", "--num-areas", 1000)
    assert check_files(tmp_path / "results" / "x" / behavior) >= 20_000


def test_port_that_is_taken_is_named(tmp_path: Path, players: Path) -> None:
    """A second trainer on the same port ends with an error that says so; the first goes on."""
    file = config(tmp_path, "Basic", **ENDLESS)
    port = free_port()
    line = ["--env", players / "Basic", "--base-port", port]
    with started(command("mlagents-learn", file, *line, "--run-id", "first"), tmp_path) as (process, log):
        wait_for(" Step: ", log, process)
        second = subprocess.run(
            command("mlagents-learn", file, *line, "--run-id", "second"), capture_output=True, text=True, cwd=tmp_path
        )
        assert second.returncode != 0
        assert re.search("worker number 0 is still in use", second.stdout + second.stderr)
        before = max(steps_of(log))
        deadline = time.monotonic() + 60
        while max(steps_of(log)) <= before:
            assert time.monotonic() < deadline
            time.sleep(0.1)
