"""Whole runs that something happens to: `nox -s faults`, with `-- --kills 10` for fewer than 100 kills a trainer."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import onnx
import psutil
import pytest
from runs import (
    ENVIRONMENT,
    SCENES,
    SECONDS,
    TRAINERS,
    command,
    config,
    faulty_player,
    free_port,
    learn,
    started,
    trained,
    wait_for,
    wait_until,
)

from mlagents_plugin_shared.run.checkpoint_files import read_checkpoint

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(3 * 3600),
    pytest.mark.skipif(os.name != "posix", reason="kills process groups"),
]

ENDLESS = {"max_steps": 10**9, "summary_freq": 100}
INTERVALS = {"Basic": 200, "3DBall": 480}
# Agent steps that can be on their way when a checkpoint is written: those of all agents, up to time_horizon each.
UNDERWAY = {"Basic": 10, "3DBall": 120}
LONGEST_LIFE = 4.0


def steps_of(log: Path) -> list[int]:
    """Steps of the summaries that a run has printed."""
    return [int(step) for step in re.findall(r"\. Step: (\d+)\.", log.read_text(errors="replace"))]


def check_files(folder: Path) -> int:
    """Asserts that every checkpoint and model is whole, and gives the step of `checkpoint.pt`, 0 without.

    What a killed run was writing has another name, and is removed by the next one.
    """
    for file in folder.glob("[!.]*.pt"):
        read_checkpoint(file)
    for file in [*folder.glob("[!.]*.onnx"), *folder.parent.glob("[!.]*.onnx")]:
        onnx.checker.check_model(onnx.load(file))
    status = folder.parent / "run_logs" / "training_status.json"
    if status.exists():
        json.loads(status.read_text())
    newest = folder / "checkpoint.pt"
    return int(read_checkpoint(newest)["global_step"]["_GlobalSteps__global_step"][0]) if newest.exists() else 0


@pytest.mark.parametrize("trainer_type", TRAINERS)
def test_kills_at_random_moments(tmp_path: Path, players: Path, trainer_type: str, kills: int) -> None:
    """After each SIGKILL all files are whole, `--resume` goes on, and at most one checkpoint interval is lost."""
    moments = random.Random(trainer_type)
    behavior, settings = TRAINERS[trainer_type]
    interval = INTERVALS[behavior]
    file = config(tmp_path, behavior, **{**settings, **ENDLESS, "checkpoint_interval": interval})
    folder = tmp_path / "results" / "x" / behavior
    arguments = ["--env", players / behavior, "--run-id", "x"]
    reached, half_written, lost = 0, 0, []
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
        half_written += any(folder.glob(".unfinished-*"))
        print(f"{trainer_type}: kill {kill + 1}, at step {reached}, checkpoint of step {saved}", flush=True)
    print(
        f"{trainer_type}: {len(lost)} resumes, at most {max(lost)} steps lost; a checkpoint every {interval}; "
        f"{half_written} kills while a file was being written"
    )


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


@pytest.mark.parametrize("trainer_type", TRAINERS)
def test_thousand_agents(tmp_path: Path, players: Path, trainer_type: str) -> None:
    """A player with 1,000 agents at once trains to the end."""
    behavior, settings = TRAINERS[trainer_type]
    file = config(tmp_path, behavior, **{**settings, "max_steps": 20_000})
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
        wait_until(lambda: max(steps_of(log)) > before, log, process)


def run_with(folder: Path, fault: str, behavior: str, **changes: object) -> subprocess.CompletedProcess:
    """A run with a player that goes wrong."""
    file = config(folder, behavior, **changes)
    return learn(folder, file, "--env", faulty_player(folder, fault, behavior), "--run-id", "x", "--timeout-wait", 15)


UNUSABLE = {
    "nan_observation": r"{behavior}: sensor \S+ of agent \d+ is nan\. Look for a division by zero",
    "nan_reward": r"{behavior}: the reward of agent \d+ is nan\. Look for a division by zero",
    "wider_observations": r"{behavior}: sensor \S+ of agent \d+ has the shape \((21|9),\), where it had \((20|8),\)",
}


@pytest.mark.parametrize("trainer_type", TRAINERS)
@pytest.mark.parametrize("fault", UNUSABLE)
def test_message_that_cannot_be_used_is_named(tmp_path: Path, trainer_type: str, fault: str) -> None:
    """The run ends; the last line says whose number or size it is, and what was learnt is saved."""
    behavior, settings = TRAINERS[trainer_type]
    run = run_with(tmp_path, fault, behavior, **settings)
    assert run.returncode != 0
    assert re.search(UNUSABLE[fault].format(behavior=behavior), run.stderr.strip().splitlines()[-1])
    assert check_files(tmp_path / "results" / "x" / behavior) > 0


@pytest.mark.parametrize("behavior", SCENES)
@pytest.mark.parametrize("fault", ["hang", "garbage", "crash"])
def test_player_that_fails_is_started_again(tmp_path: Path, behavior: str, fault: str) -> None:
    """Silence, bytes that are no message, an end: ML-Agents starts a new player, and the run goes on to its end."""
    run = run_with(tmp_path, fault, behavior)
    assert run.returncode == 0, run.stderr[-2000:]
    assert "Restarting worker[0]" in run.stdout
    assert check_files(tmp_path / "results" / "x" / behavior) >= SCENES[behavior]["max_steps"]


@pytest.mark.parametrize("behavior", SCENES)
@pytest.mark.parametrize("fault", ["nobody", "strangers"])
def test_agents_that_vanish_do_not_end_a_run(tmp_path: Path, behavior: str, fault: str) -> None:
    """For a while there is nobody, or all agents are gone without an end and others are there."""
    run = run_with(tmp_path, fault, behavior)
    assert run.returncode == 0, run.stderr[-2000:]
    assert "Restarting" not in run.stdout
    assert check_files(tmp_path / "results" / "x" / behavior) >= SCENES[behavior]["max_steps"]


@pytest.mark.parametrize("behavior", SCENES)
def test_run_without_agents_waits_and_is_saved(tmp_path: Path, behavior: str) -> None:
    """A scene may be empty for as long as it likes; Ctrl+C saves what was learnt before."""
    file = config(tmp_path, behavior, **ENDLESS)
    player = faulty_player(tmp_path, "nobody_any_more", behavior)
    line = command("mlagents-learn", file, "--env", player, "--run-id", "x", "--base-port", free_port())
    with started(line, tmp_path) as (process, log):
        wait_until((tmp_path / "nobody_any_more-was-here").exists, log, process)
        time.sleep(5)
        assert process.poll() is None, log.read_text()[-2000:]
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0, log.read_text()[-2000:]
    assert check_files(tmp_path / "results" / "x" / behavior) > 0


@pytest.mark.parametrize("behavior", SCENES)
def test_second_run_beside_the_first_is_refused(tmp_path: Path, players: Path, behavior: str) -> None:
    """`--resume` and `--force` pass ML-Agents' own check; the folder of a run that trains is still its own."""
    file = config(tmp_path, behavior, **ENDLESS, checkpoint_interval=INTERVALS[behavior])
    line = ["mlagents-learn", file, "--env", players / behavior, "--run-id", "x"]
    with started(command(*line, "--base-port", free_port()), tmp_path) as (process, log):
        wait_for("Exported", log, process)
        for option in ("--resume", "--force"):
            second = learn(tmp_path, *line[1:], option)
            assert second.returncode != 0
            assert re.search(
                r"another process writes to .*; .* choose another --run-id", second.stderr.splitlines()[-1]
            )
        before = max(steps_of(log))
        wait_until(lambda: max(steps_of(log)) > before, log, process)
    assert check_files(tmp_path / "results" / "x" / behavior) > 0


def learn_where(change: str, *arguments: object) -> list[str]:
    """Command line of `mlagents-learn` in a process in which Python's world is another one."""
    return [sys.executable, "-c", f"{change}\nfrom mlagents.trainers.learn import main; main()", *map(str, arguments)]


SLOW_DISK = """
import os, time
flush = os.fsync
def slow(file):
    time.sleep(1.0)
    flush(file)
os.fsync = slow
"""


@pytest.mark.parametrize("behavior", SCENES)
def test_kill_while_a_slow_disk_writes(tmp_path: Path, players: Path, behavior: str) -> None:
    """Every flush takes a second: the process is killed while a checkpoint is half written, and loses that one only."""
    file = config(tmp_path, behavior, **ENDLESS, checkpoint_interval=INTERVALS[behavior])
    folder = tmp_path / "results" / "x" / behavior
    arguments = [file, "--env", players / behavior, "--run-id", "x", "--base-port", free_port()]
    with started(learn_where(SLOW_DISK, *arguments), tmp_path) as (process, log):
        wait_for("Exported", log, process)
        wait_until(lambda: (folder / "checkpoint.pt").exists() and [*folder.glob(".unfinished-*.pt")], log, process)
    saved = check_files(folder)
    assert saved > 0
    output = trained(tmp_path, config(tmp_path, behavior, max_steps=saved + 1), *arguments[1:5], "--resume")
    assert f"Resuming training from step {saved}" in output
    assert not list(folder.glob(".unfinished-*"))


CLOCK_JUMPS = """
import time
true, calls = time.time, 0
def jumping():
    global calls
    calls += 1
    return true() + (0, 86400, -86400)[calls // 50 % 3]
time.time = jumping
"""


@pytest.mark.parametrize("behavior", SCENES)
def test_clock_that_jumps_changes_nothing(tmp_path: Path, players: Path, behavior: str) -> None:
    """The machine's time goes a day ahead and a day back, again and again: the run ends as it should, and resumes."""
    for steps, option in ((SCENES[behavior]["max_steps"], "--force"), (SCENES[behavior]["max_steps"] * 2, "--resume")):
        file = config(tmp_path, behavior, max_steps=steps, checkpoint_interval=INTERVALS[behavior], keep_checkpoints=2)
        arguments = [file, "--env", players / behavior, "--run-id", "x", "--base-port", free_port(), option]
        with started(learn_where(CLOCK_JUMPS, *arguments), tmp_path) as (process, log):
            assert process.wait(timeout=SECONDS) == 0, log.read_text()[-2000:]
        assert check_files(tmp_path / "results" / "x" / behavior) >= steps


READ_ONLY = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]  # or root may write everywhere


@pytest.mark.parametrize("behavior", SCENES)
def test_folder_that_is_read_only_is_named(tmp_path: Path, players: Path, behavior: str) -> None:
    """A run in a folder that may not be written to any more ends at once; its last line says which."""
    prefix = READ_ONLY if os.geteuid() == 0 else []
    if prefix and not shutil.which(prefix[0]):
        pytest.skip("root may write everywhere, and setpriv is not there")
    file = config(tmp_path, behavior)
    arguments = [file, "--env", players / behavior, "--run-id", "x"]
    trained(tmp_path, *arguments)
    folder = tmp_path / "results" / "x" / behavior
    before = {path: path.read_bytes() for path in folder.iterdir()}
    folder.chmod(0o555)
    line = [*prefix, *command("mlagents-learn", *arguments, "--resume", "--base-port", free_port())]
    run = subprocess.run(line, capture_output=True, text=True, timeout=SECONDS, env=ENVIRONMENT, cwd=tmp_path)
    folder.chmod(0o755)
    assert run.returncode != 0
    line = rf"{behavior}: nothing can be written to .*{behavior}: Permission denied; make it writable"
    assert re.search(line, run.stderr.strip().splitlines()[-1])
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
