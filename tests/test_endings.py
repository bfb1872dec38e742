"""How whole runs end that could not do what they were asked to: code 1, and the reason as the last line."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from runs import (
    ENVIRONMENT,
    SCENES,
    SECONDS,
    command,
    config,
    end,
    faulty_player,
    free_port,
    interrupted,
    learn,
    started,
    wait_for,
)

posix = pytest.mark.skipif(os.name != "posix", reason="its players are shell scripts, or it sends signals")


def reason(run: subprocess.CompletedProcess) -> str:
    """The last line of a run that has ended with code 1 and without a traceback."""
    assert run.returncode == 1, run.stdout[-2000:] + run.stderr[-2000:]
    assert "Traceback" not in run.stderr
    *others, last = run.stderr.strip().splitlines()
    assert not any(line.startswith("mlagents-learn: ") for line in others)
    return last.removeprefix("mlagents-learn: ")


def models(folder: Path) -> list[str]:
    """Names of the models and checkpoints in a folder."""
    return [file.name for file in folder.rglob("*") if file.suffix in (".onnx", ".pt")]


@pytest.mark.parametrize("workers", [1, 2])
def test_parameter_that_the_scene_does_not_know_ends_the_run(tmp_path: Path, players: Path, workers: int) -> None:
    """The player's own line is the last one, and no untrained model is left."""
    file = config(tmp_path, "Basic")
    file.write_text(file.read_text() + "environment_parameters: {gravty: 3.0}\n")
    run = learn(tmp_path, file, "--env", players / "Basic", "--run-id", "x", "--num-envs", workers)
    said = reason(run)
    assert said.startswith("The environment ended with return code 1")
    assert said.endswith("The scene has no environment parameter gravty; it has: none.")
    assert not models(tmp_path / "results")


@posix
@pytest.mark.parametrize("behavior", SCENES)
@pytest.mark.parametrize(("fault", "is_kept"), [("come_off", True), ("come_off_at_once", False)])
def test_error_of_a_scene_ends_the_run(tmp_path: Path, behavior: str, fault: str, is_kept: bool) -> None:
    """Its message is the last line; what was learnt before is saved, and what had learnt nothing is not exported."""
    file = config(tmp_path, behavior)
    run = learn(tmp_path, file, "--env", faulty_player(tmp_path, fault, behavior), "--run-id", "x")
    assert reason(run).endswith("the wheel came off, and rolled away")
    assert bool(models(tmp_path / "results")) == is_kept


@posix
def test_player_that_is_shut_ends_the_run_as_before(tmp_path: Path) -> None:
    """It says goodbye and ends with code 0, twice: what was learnt is saved, and nothing is an error."""
    file = config(tmp_path, "Basic", max_steps=10**6)
    run = learn(tmp_path, file, "--env", faulty_player(tmp_path, "shut", "Basic"), "--run-id", "x")
    assert run.returncode == 0
    assert "Learning was interrupted" in run.stdout
    assert (tmp_path / "results" / "x" / "Basic.onnx").exists()


def launcher(folder: Path, content: str, mode: int = 0o755) -> Path:
    """A file that is given as a player."""
    file = folder / "player"
    file.write_text(content)
    file.chmod(mode)
    return file


@posix
@pytest.mark.parametrize(
    ("content", "mode", "line"),
    [
        (None, 0, r"Couldn't launch --env \S+player: there is no program of this name for \w+\."),
        ("#!/bin/sh\n", 0o644, r"Couldn't launch --env .* may not be run\. Make it executable: chmod \+x \S+player"),
        ("no program\n", 0o755, r"Couldn't launch --env .* is no program that runs here: Exec format error\."),
        ("#!/bin/sh\nexec /no/python\n", 0o755, r"ended with return code 127: .*/no/python: not found"),
        ("#!/bin/sh\necho Out of stock >&2\nexit 3\n", 0o755, r"ended with return code 3: Out of stock"),
        ("#!/bin/sh\nkill -9 $$\n", 0o755, r"ended with return code -9 \(SIGKILL\): it said nothing"),
    ],
)
def test_player_that_does_not_start_ends_the_run(tmp_path: Path, content: str | None, mode: int, line: str) -> None:
    """A missing file, one that may not be run, one that is no program, one that ends at once: why is the last line."""
    player = tmp_path / "player" if content is None else launcher(tmp_path, content, mode)
    run = learn(tmp_path, config(tmp_path, "Basic"), "--env", player, "--run-id", "x", "--timeout-wait", 10)
    assert re.search(line, reason(run))


def test_former_log_is_not_quoted(tmp_path: Path, players: Path) -> None:
    """A player that ends before it writes a log has not said what stands in that of the run before."""
    logs = tmp_path / "results" / "x" / "run_logs"
    logs.mkdir(parents=True)
    (logs / "Player-0.log").write_text("2026-01-01 00:00:00,000 ERROR An old story\n")
    run = learn(
        tmp_path, config(tmp_path, "Basic"), "--env", launcher(tmp_path, "#!/bin/sh\nexit 5\n"), "--run-id", "x",
        "--force", "--timeout-wait", 10,
    )  # fmt: skip
    assert reason(run).endswith("return code 5: it said nothing")


def test_debug_shows_the_traceback(tmp_path: Path, players: Path) -> None:
    """For whoever looks for the place and not for the reason."""
    run = learn(tmp_path, config(tmp_path, "Basic", trainer_type="dqm"), "--debug")
    assert run.returncode == 1
    assert "Traceback" in run.stderr
    assert "Invalid trainer type dqm was found" in run.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize("behavior", SCENES)
@pytest.mark.parametrize("threaded", [False, True])
def test_reason_of_a_refused_start_is_the_last_line(
    tmp_path: Path, players: Path, behavior: str, threaded: bool
) -> None:
    """A demonstration that GAIL cannot read: behaviour, key, file and remedy, though ML-Agents saves on its way out."""
    (tmp_path / "expert.demo").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    signals = {"extrinsic": {}, "gail": {"demo_path": "expert.demo"}}
    file = config(tmp_path, behavior, reward_signals=signals, threaded=threaded)
    run = learn(tmp_path, file, "--env", players / behavior, "--run-id", "x")
    assert reason(run) == (
        f"{behavior}: reward_signals: gail: demo_path: expert.demo is a Git LFS pointer, not the file itself: "
        "run `git lfs pull` in its repository."
    )
    assert not models(tmp_path / "results")


def test_run_that_learned_nothing_is_not_played(tmp_path: Path, players: Path) -> None:
    """--inference without --resume would play an untrained policy for ever; nothing is written."""
    run = learn(tmp_path, config(tmp_path, "Basic"), "--env", players / "Basic", "--run-id", "x", "--inference")
    assert re.search(r"^--inference .*Add --resume to play .*x, or --run-id for another run\.$", reason(run))
    assert not (tmp_path / "results").exists()


def test_module_that_runs_as_the_command_is_mended_too(tmp_path: Path, players: Path) -> None:
    """`python -m mlagents.trainers.learn` runs a copy of the module under another name."""
    line = [sys.executable, "-m", "mlagents.trainers.learn", config(tmp_path, "Basic"), "--inference", "--run-id", "x"]
    run = subprocess.run(line, capture_output=True, text=True, timeout=SECONDS, env=ENVIRONMENT, cwd=tmp_path)
    assert reason(run).startswith("--inference ")


def test_behavior_without_checkpoint_is_not_played(tmp_path: Path, players: Path) -> None:
    """--resume --inference of a run that has not saved: the behaviour's folder is named."""
    (tmp_path / "results" / "x").mkdir(parents=True)
    arguments = ["--env", players / "Basic", "--run-id", "x", "--resume", "--inference"]
    run = learn(tmp_path, config(tmp_path, "Basic"), *arguments)
    assert re.search(r"Basic: there is no checkpoint in .*Basic to begin from", reason(run))


def test_port_is_the_one_that_was_asked_for(tmp_path: Path) -> None:
    """Without --env too: the Editor's project settings may name another one than 5004, and so may `play --port`."""
    port = free_port()
    line = command("mlagents-learn", config(tmp_path, "Basic"), "--run-id", "x", "--base-port", port)
    with started(line, tmp_path) as (process, log):
        wait_for(f"Listening on port {port}", log, process)
        subprocess.run(
            command("mlagents-player", "play", "Basic", "--port", port), check=True, timeout=SECONDS, cwd=tmp_path
        )
        assert process.wait(timeout=SECONDS) == 0, log.read_text()[-2000:]


def test_player_that_refuses_without_env_ends_the_run(tmp_path: Path) -> None:
    """Its own terminal has the reason; the run that it ends says where to look, and is no success."""
    file = config(tmp_path, "Basic")
    file.write_text(file.read_text() + "environment_parameters: {gravty: 3.0}\n")
    port = free_port()
    with started(command("mlagents-learn", file, "--run-id", "x", "--base-port", port), tmp_path) as (process, log):
        wait_for(f"Listening on port {port}", log, process)
        line = command("mlagents-player", "play", "Basic", "--port", port)
        play = subprocess.run(line, capture_output=True, text=True, timeout=SECONDS, cwd=tmp_path)
        assert "no environment parameter gravty" in play.stderr
        assert process.wait(timeout=SECONDS) == 1
        assert log.read_text().strip().endswith("before its first observation; its own console says why.")


def processes_of(trainer: int) -> tuple[list[psutil.Process], list[psutil.Process]]:
    """The workers of a trainer, and their players."""
    workers = [each for each in psutil.Process(trainer).children() if each.children()]
    return workers, [player for worker in workers for player in worker.children()]


def has_ended(process: psutil.Process) -> bool:
    """Whether a process does nothing any more; in a container nobody may take it off the list."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@posix
@pytest.mark.parametrize("workers", [1, 2])
def test_trainer_that_is_killed_takes_all_with_it(tmp_path: Path, players: Path, workers: int) -> None:
    """SIGKILL to mlagents-learn alone: its workers and their players end, and the port is free."""
    file = config(tmp_path, "Basic", max_steps=10**9, summary_freq=100)
    arguments = ["--env", players / "Basic", "--num-envs", workers, "--base-port", free_port()]
    with started(command("mlagents-learn", file, *arguments), tmp_path) as (process, log):
        wait_for(" Step: ", log, process)
        found, played = processes_of(process.pid)
        assert len(found) == len(played) == workers
        process.kill()
        deadline = time.monotonic() + 60
        while (left := [each for each in [*found, *played] if not has_ended(each)]) and time.monotonic() < deadline:
            time.sleep(0.1)
        for each in left:
            each.kill()
        assert not left


@posix
def test_worker_that_is_killed_is_started_again(tmp_path: Path, players: Path) -> None:
    """SIGKILL to ML-Agents' process beside the player: another takes its place, and the run goes on to its end."""
    file = config(tmp_path, "Basic", max_steps=4000, summary_freq=100)
    line = command("mlagents-learn", file, "--env", players / "Basic", "--base-port", free_port())
    with started(line, tmp_path) as (process, log):
        wait_for(" Step: ", log, process)
        (worker,), (player,) = processes_of(process.pid)
        worker.kill()
        assert process.wait(timeout=SECONDS) == 0, log.read_text()[-2000:]
        assert "Restarting worker[0] after 'worker number 0 was ended with code -9'" in log.read_text()
        assert has_ended(player)


@posix
def test_interrupted_run_is_saved(tmp_path: Path, players: Path) -> None:
    """Ctrl+C stays what it is: code 0, and the model."""
    interrupted(tmp_path, players)
    assert (tmp_path / "results" / "x" / "Basic.onnx").exists()


def test_port_that_is_taken_is_the_last_line(tmp_path: Path, players: Path) -> None:
    """With the port, and what to do."""
    port = free_port()
    arguments = ["--env", players / "Basic", "--base-port", port]
    file = config(tmp_path, "Basic", max_steps=10**9)
    with started(command("mlagents-learn", file, *arguments), tmp_path) as (process, log):
        wait_for("Connected to Unity environment", log, process)
        second = subprocess.run(
            command("mlagents-learn", file, *arguments, "--run-id", "second"),
            capture_output=True, text=True, timeout=SECONDS, cwd=tmp_path,
        )  # fmt: skip
        assert re.search(rf"^Port {port} is taken: .* choose another --base-port\.$", reason(second))
        end(process)
