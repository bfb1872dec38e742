"""`mlagents-learn` in a scene of the player, and what it says on the way."""

import contextlib
import re
import signal
import socket
import subprocess
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

SCRIPTS = Path(sysconfig.get_path("scripts"))
LINE = re.compile(r"\] (\S+)\. Step: (\d+)\. Time Elapsed: (\d+\.\d+) s\. Mean Reward: (-?\d+\.\d+)")


class Summary(NamedTuple):
    """One line of ML-Agents' log; `seconds` are since the run began."""

    behavior: str
    step: int
    seconds: float
    reward: float


@contextlib.contextmanager
def training(
    scene: str, behaviors: Mapping[str, Any], folder: Path, seed: int, areas: int = 1
) -> Iterator[Iterator[Summary]]:
    """The summaries of a run as they come; leaving the context ends the run, as Ctrl+C would.

    Args:
        scene: scene of the player, or gym:ID.
        behaviors: what stands under `behaviors:` in the trainer's configuration.
        folder: empty folder to work in.
        seed: of trainer and scene.
        areas: copies of the scene.
    """
    name = scene.replace(":", "-")
    config = folder / f"{name}.yaml"
    settings = {"behaviors": dict(behaviors), "env_settings": {"num_areas": areas}}
    config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    subprocess.run([SCRIPTS / "mlagents-player", "build", scene, "--output", folder], check=True, capture_output=True)
    arguments = ["--env", folder / name, "--run-id", name, "--seed", seed, "--base-port", free_port()]
    command = [SCRIPTS / "mlagents-learn", config, *arguments, "--torch-device", "cpu"]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it, and so would it
    process = subprocess.Popen(
        list(map(str, command)), cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        yield summaries(process)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)  # ML-Agents then ends its workers and players
            process.communicate()


def summaries(process: subprocess.Popen) -> Iterator[Summary]:
    """The summaries in what a run prints."""
    for line in process.stdout or ():
        if found := LINE.search(line):
            yield Summary(found[1], int(found[2]), float(found[3]), float(found[4]))


def free_port() -> int:
    """A port with nothing on it."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]
