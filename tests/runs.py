"""Whole runs as a user starts them, and as processes that can be ended at any moment."""

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path

import yaml

SCRIPTS = Path(sysconfig.get_path("scripts"))
ENVIRONMENT = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "ignore"}
SECONDS = 240

DQN = {
    "trainer_type": "dqn",
    "hyperparameters": {"batch_size": 32, "buffer_size": 2000, "exploration_steps": 500, "save_replay_buffer": True},
    "network_settings": {"hidden_units": 32, "num_layers": 1},
    "max_steps": 400,
    "time_horizon": 10,
    "summary_freq": 200,
}
A2C = {
    "trainer_type": "a2c",
    "hyperparameters": {"buffer_size": 120},
    "network_settings": {"hidden_units": 32, "num_layers": 1, "normalize": True},
    "max_steps": 1200,
    "time_horizon": 10,
    "summary_freq": 600,
}
PQN = {
    "trainer_type": "pqn",
    "hyperparameters": {"batch_size": 32, "buffer_size": 64, "exploration_steps": 300},
    "network_settings": {"hidden_units": 32, "num_layers": 1},
    "max_steps": 400,
    "time_horizon": 10,
    "summary_freq": 200,
}
FLASHSAC = {
    "trainer_type": "flashsac",
    "hyperparameters": {"batch_size": 32, "buffer_size": 2000, "steps_per_update": 4, "save_replay_buffer": True},
    "network_settings": {"hidden_units": 32, "num_layers": 1, "normalize": True},
    "max_steps": 600,
    "time_horizon": 10,
    "summary_freq": 300,
}
SCENES = {"Basic": DQN, "3DBall": A2C}
"""A trainer of each kind, off-policy and on-policy: for what does not depend on the algorithm."""

TRAINERS = {
    settings["trainer_type"]: (behavior, settings)
    for behavior, settings in (("Basic", DQN), ("3DBall", A2C), ("Basic", PQN), ("3DBall", FLASHSAC))
}
"""Every trainer with a scene that it can play."""


def command(name: str, *arguments: object) -> list[str]:
    """Command line of a script of this environment."""
    return [str(SCRIPTS / name), *map(str, arguments)]


def free_port() -> int:
    """A port for the trainer, with room for a second worker."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return min(probe.getsockname()[1], 65000)


def config(folder: Path, behavior: str, **changes: object) -> Path:
    """Writes a configuration."""
    file = folder / "config.yaml"
    settings = {**SCENES[behavior], **changes}
    file.write_text(yaml.safe_dump({"behaviors": {behavior: settings}}, sort_keys=False))
    return file


def learn(folder: Path, file: Path, *arguments: object) -> subprocess.CompletedProcess:
    """Runs mlagents-learn to its end."""
    line = command("mlagents-learn", file, "--base-port", free_port(), "--results-dir", folder / "results", *arguments)
    return subprocess.run(line, capture_output=True, text=True, timeout=SECONDS, env=ENVIRONMENT, cwd=folder)


def trained(folder: Path, file: Path, *arguments: object) -> str:
    """Runs mlagents-learn, which must end well, and gives its output."""
    run = learn(folder, file, *arguments)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-2000:]
    return run.stdout


def last_step(run: Path, behavior: str) -> int:
    """Step of the newest numbered checkpoint."""
    return max(int(file.stem.rpartition("-")[2]) for file in (run / behavior).glob(f"{behavior}-*.onnx"))


def faulty_player(folder: Path, fault: str, behavior: str) -> Path:
    """A launcher of `faulty_player.py`."""
    launcher = folder / "player"
    script = Path(__file__).parent / "faulty_player.py"
    launcher.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, str(script), fault, behavior])} "$@"\n')
    launcher.chmod(0o755)
    return launcher


@contextlib.contextmanager
def started(line: list[str], folder: Path):
    """A process in the background whose output goes to a file; it is ended by its process id."""
    log = folder / f"{Path(line[0]).name}.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            line, stdout=output, stderr=subprocess.STDOUT, cwd=folder, env=ENVIRONMENT, start_new_session=True
        )
    try:
        yield process, log
    finally:
        end(process)


def end(process: subprocess.Popen) -> None:
    """Ends a trainer and its workers, which are in its process group; the players then end by themselves."""
    if os.name == "posix":
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait(timeout=60)


def wait_until(happened: Callable[[], object], log: Path, process: subprocess.Popen) -> None:
    """Waits until something has happened while a process runs."""
    deadline = time.monotonic() + SECONDS
    while not happened():
        assert process.poll() is None, log.read_text()[-2000:]
        assert time.monotonic() < deadline, log.read_text()[-2000:]
        time.sleep(0.02)


def wait_for(text: str, log: Path, process: subprocess.Popen) -> None:
    """Waits until a process has written a text."""
    wait_until(lambda: text in log.read_text(), log, process)


def interrupted(folder: Path, players: Path) -> str:
    """What a run on Basic, `x`, has said that Ctrl+C ended with code 0 after its first summary."""
    file = config(folder, "Basic", max_steps=10**9, summary_freq=100)
    line = command("mlagents-learn", file, "--env", players / "Basic", "--run-id", "x", "--base-port", free_port())
    with started(line, folder) as (process, log):
        wait_for(" Step: ", log, process)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(timeout=SECONDS) == 0, log.read_text()[-2000:]
    return log.read_text()
