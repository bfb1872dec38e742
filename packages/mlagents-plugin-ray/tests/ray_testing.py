"""Runs of mlagents-learn with actors, as a user starts them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import yaml

SECONDS = 240
"""A start of Ray takes 10 to 20 seconds on an idle machine."""

ON_A_BUSY_MACHINE = {"RAY_raylet_start_wait_time_s": str(SECONDS), "RAY_worker_niceness": "0"}
"""Settings of Ray's, without which it gives up to start, and lets all others go before actors."""

LEARN = "from mlagents.trainers.learn import main; main()"
PLAYER = "import sys; from mlagents_player.cli import main; sys.exit(main())"


def build(scene: str, folder: Path) -> Path:
    """A launcher of a scene of `mlagents-player`."""
    words = [sys.executable, "-c", PLAYER, "build", scene, "--output", str(folder)]
    subprocess.run(words, check=True, timeout=SECONDS, capture_output=True)
    return folder / scene.replace(":", "-")


def settings(trainer_type: str, max_steps: int, actors: dict[str, Any], **hyperparameters: Any) -> dict[str, Any]:
    """What stands below the behaviour's name."""
    return {
        "trainer_type": trainer_type,
        "max_steps": max_steps,
        "summary_freq": 500,
        "time_horizon": 16,
        "hyperparameters": {"actors": actors, "buffer_size": 5000, "batch_size": 32, **hyperparameters},
        "network_settings": {"hidden_units": 16, "num_layers": 1},
    }


class Run:
    """An mlagents-learn that is going on.

    Attributes:
        process: of the command.
        log: what it prints.
        results: the run's folder.
    """

    def __init__(
        self,
        folder: Path,
        player: Path,
        port: int,
        behaviors: dict,
        *arguments: str,
        within: Sequence[str] = (),
        **env: str,
    ) -> None:
        file = folder / "run.yaml"
        file.write_text(yaml.safe_dump({"behaviors": behaviors}), encoding="utf-8")
        self.log, self.results = folder / "log.txt", folder / "results" / "run"
        words = [
            *within,
            sys.executable,
            "-c",
            LEARN,
            str(file),
            "--run-id",
            "run",
            "--results-dir",
            str(folder / "results"),
        ]
        words += ["--env", str(player), "--base-port", str(port), "--no-graphics", *arguments]
        with self.log.open("a") as log:
            environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
            # Where mlagents-plugin-progress is installed, it would tell the end in the trainer's place.
            environment |= {"MLAGENTS_PROGRESS": "off", "OMP_NUM_THREADS": "1", **ON_A_BUSY_MACHINE, **env}
            self.process = subprocess.Popen(
                words, stdout=log, stderr=subprocess.STDOUT, env=environment, cwd=folder, start_new_session=True
            )

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait_for(self, words: str) -> None:
        """Waits until the log has these words."""
        wait_until(lambda: words in self.said() or self.process.poll() is not None)
        assert words in self.said(), self.said()[-3000:]

    def wait(self) -> int:
        return self.process.wait(SECONDS)

    def interrupt(self) -> None:
        """As Ctrl+C in a terminal does, for the whole group of processes."""
        os.killpg(self.process.pid, signal.SIGINT)

    def offspring(self) -> list[psutil.Process]:
        """All processes that came of it."""
        return psutil.Process(self.process.pid).children(recursive=True)


@contextmanager
def running(*arguments: Any, **options: Any) -> Iterator[Run]:
    """A run that is ended whatever happens."""
    run = Run(*arguments, **options)
    try:
        yield run
    finally:
        if run.process.poll() is None:
            offspring = run.offspring()
            run.process.kill()
            for process in offspring:
                if process.is_running():
                    process.kill()
        run.process.wait(SECONDS)


def wait_until(holds: Callable[[], bool], seconds: float = SECONDS) -> None:
    """Waits for something to hold.

    Raises:
        TimeoutError: it does not.
    """
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            raise TimeoutError("it did not come to hold")
        time.sleep(0.2)


def scalars(folder: Path) -> dict[str, list[float]]:
    """All scalars of TensorBoard files by tag."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found: dict[str, list[float]] = {}
    for file in folder.rglob("events*"):
        events = EventAccumulator(str(file))
        events.Reload()
        for tag in events.Tags()["scalars"]:
            found.setdefault(tag, []).extend(event.value for event in events.Scalars(tag))
    return found
