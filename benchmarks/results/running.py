"""Trains what a suite asks for and has no record of: as many at a time as there are cores, less one."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from results import records
from results.suites import Training
from results.training import IS_BUSY, prepare

LOG = "log.txt"
_POLL = 0.5  # seconds


@dataclass
class Running:
    """A training that a process of its own is at.

    Attributes:
        training: what it trains.
        folder: where it works.
        process: at it.
        log: of what it prints.
        row: of the progress display.
    """

    training: Training
    folder: Path
    process: subprocess.Popen
    log: IO[str]
    row: TaskID

    def step(self) -> int:
        """The last step that it noted."""
        try:
            curves = json.loads((self.folder / "journal.json").read_text("utf-8"))["curves"]
        except (OSError, ValueError):
            return 0
        return max((curve[-1][0] for curve in curves.values() if curve), default=0)


def pending(trainings: list[Training]) -> list[Training]:
    """Those that have no record yet."""
    known = {record.training.digest for record in records.load()}
    return [training for training in trainings if training.digest not in known]


def expected_seconds(trainings: list[Training]) -> float | None:
    """What they take one after the other, after what other seeds and steps took; None where nobody has trained yet.

    Learners and scenes that have no record count as the mean of those that have.
    """
    rates: dict[tuple[str, str], list[float]] = {}
    for record in records.load():
        rates.setdefault((record.training.learner, record.training.scene), []).append(
            record.seconds / max(record.training.steps, 1)
        )
    if not rates:
        return None
    known = {key: sum(values) / len(values) for key, values in rates.items()}
    usual = sum(known.values()) / len(known)
    return sum(known.get((each.learner, each.scene), usual) * each.steps for each in trainings)


def run(trainings: list[Training], at_a_time: int | None = None) -> int:
    """Trains them, and shows how it goes; Ctrl+C or SIGTERM ends it, and the next call goes on.

    Args:
        trainings: which; those with a record are passed over.
        at_a_time: processes; default: the cores, less one.

    Returns:
        How many failed.
    """
    at_a_time = at_a_time or max((os.cpu_count() or 1) - 1, 1)
    waiting, failed = pending(trainings), 0
    running: list[Running] = []
    console = Console(stderr=True)
    console.print(describe(trainings, waiting, at_a_time), soft_wrap=True)
    columns = [TextColumn("{task.description:40}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%")]
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        whole = progress.add_task("all", total=len(waiting))
        try:
            while waiting or running:
                while waiting and len(running) < at_a_time:
                    running.append(_start(waiting.pop(0), progress))
                time.sleep(_POLL)
                for each in list(running):
                    progress.update(each.row, completed=each.step())
                    if each.process.poll() is not None:
                        running.remove(each)
                        failed += not _end(each, console)
                        progress.remove_task(each.row)
                        progress.advance(whole)
        finally:
            for each in running:
                each.process.terminate()
                each.process.wait()
                each.log.close()
    return failed


def describe(trainings: list[Training], waiting: list[Training], at_a_time: int) -> str:
    """How much there is to do, and how long that takes."""
    text = f"{len(trainings) - len(waiting)} of {len(trainings)} trainings have a record; {at_a_time} at a time"
    seconds = expected_seconds(waiting)
    if not waiting:
        return text
    if seconds is None:
        return f"{text}; how long they take is known after the first."
    return f"{text}; the others take about {_duration(seconds / at_a_time)} here, if this machine is as fast."


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds < 2 * 3600 else f"{seconds / 3600:.1f} hours"


def _start(training: Training, progress: Progress) -> Running:
    folder = prepare(training)
    log = (folder / LOG).open("a", encoding="utf-8")
    command = [sys.executable, "-W", "ignore", "-m", "results.training", str(folder)]
    process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    if not progress.console.is_terminal:
        progress.console.print(f"{training.name}: begins", highlight=False, soft_wrap=True)
    return Running(training, folder, process, log, progress.add_task(training.name, total=training.steps))


def _end(ended: Running, console: Console) -> bool:
    """Says how it ended, and whether well."""
    ended.log.close()
    code = ended.process.returncode
    if code == 0:
        results = [
            f"{name} {outcome.default.mean:.3f}"
            for record in records.load()
            if record.training.digest == ended.training.digest
            for name, outcome in record.behaviors.items()
            if outcome.default
        ]
        console.print(f"{ended.training.name}: {', '.join(results)}", highlight=False, soft_wrap=True)
    elif code == IS_BUSY:
        console.print(f"{ended.training.name}: another process is at it", highlight=False, soft_wrap=True)
    else:
        log = ended.folder / LOG
        lines = log.read_text("utf-8", errors="replace").strip().splitlines() if log.is_file() else []
        console.print(
            f"{ended.training.name}: failed, {lines[-1] if lines else code}; see {log}", highlight=False, soft_wrap=True
        )
    return code in (0, IS_BUSY)
