"""One training in a process of its own: `python -m results.training FOLDER`.

The folder holds `training.json`, what is to be trained. Checkpoints and what was measured so far lie beside it, so that
a killed training goes on from its last checkpoint. At the end its record is added, and only its models stay.
"""

import contextlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
from _memory import peak_bytes
from filelock import FileLock, Timeout

from results import learners, records
from results.suites import CHANCE, ROOT, STABLE_BASELINES, Training

FOLDERS = ROOT / "results" / "suites"
IS_BUSY = 75
"""Exit code where another process trains it just now."""
_KEPT = {".onnx", ".zip"}


class Journal:
    """What was measured of a training, in a file that survives a kill.

    Attributes:
        curves: (agent step, mean return) of each behaviour.
        elo: (agent step, rating) of each behaviour in self-play.
        resumed_at: steps at which it was taken up again.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "journal.json"
        self._began = time.perf_counter()
        held = json.loads(self._file.read_text("utf-8")) if self._file.is_file() else {}
        self.curves: dict[str, list[tuple[int, float]]] = held.get("curves", {})
        self.elo: dict[str, list[tuple[int, float]]] = held.get("elo", {})
        self.resumed_at: list[int] = held.get("resumed_at", [])
        self._seconds_before: float = held.get("seconds", 0.0)
        self._cpu_before: float = held.get("cpu_seconds", 0.0)
        self._peak_before: int = held.get("peak_bytes", 0)

    def begin_anew(self) -> None:
        """Forgets what a killed process measured of a training that nothing is left of."""
        self.curves, self.elo, self.resumed_at = {}, {}, []
        self._seconds_before, self._cpu_before, self._peak_before = 0.0, 0.0, 0

    def resume(self, step: int) -> None:
        """Goes on from a checkpoint: what was seen after it will be seen again."""
        self.resumed_at.append(step)
        for curves in (self.curves, self.elo):
            curves.update({name: [point for point in curve if point[0] <= step] for name, curve in curves.items()})

    def note(self, behavior: str, step: int, value: float, elo: float | None = None) -> None:
        """Adds a point, and says on the standard error how the training goes."""
        self.curves.setdefault(behavior, []).append((step, round(value, 4)))
        if elo is not None:
            self.elo.setdefault(behavior, []).append((step, round(elo, 1)))
        print(f"{behavior} {step:,}: {value:.3f}", file=sys.stderr, flush=True)
        temporary = self._file.with_suffix(".new")
        held = {"curves": self.curves, "elo": self.elo, **self.measured()}
        temporary.write_text(json.dumps(held), encoding="utf-8")
        with contextlib.suppress(PermissionError):  # Windows, while it is read; the next point writes it whole
            temporary.replace(self._file)

    def measured(self) -> dict[str, Any]:
        """The fields of a record that are measured."""
        times = psutil.Process().cpu_times()
        return {
            "seconds": round(self._seconds_before + time.perf_counter() - self._began, 1),
            "cpu_seconds": round(self._cpu_before + times.user + times.system, 1),
            "peak_bytes": max(self._peak_before, peak_bytes()),
            "resumed_at": self.resumed_at,
        }


def folder_of(training: Training) -> Path:
    """Where a training works, and where its models stay."""
    return FOLDERS / f"{training.name.replace(':', '-')}-{training.digest}"


def prepare(training: Training, folder: Path | None = None) -> Path:
    """Makes the folder of a training, its own if none is given, or finds the one that a killed process left."""
    folder = folder or folder_of(training)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "training.json").write_text(json.dumps(asdict(training)), encoding="utf-8")
    return folder


def alone(train: Callable[[Training, Path, Journal], None]) -> None:
    """Does with the training in the folder that is the command's argument what no other process is doing.

    Args:
        train: takes the training, its folder, and the journal of what was measured so far.
    """
    # Ctrl+C reaches all processes of a terminal. The one that started this one ends it; ML-Agents would take it for the
    # end of the training.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    folder = Path(sys.argv[1])
    training = Training(**json.loads((folder / "training.json").read_text("utf-8")))
    try:
        with FileLock(folder / ".lock", timeout=0):
            with contextlib.suppress(AttributeError):  # Windows has no such call
                os.nice(10)
            train(training, folder, Journal(folder))
    except Timeout:
        sys.exit(IS_BUSY)


def _train(training: Training, folder: Path, journal: Journal) -> None:
    """Trains, lets the exported model play, and adds the record."""
    play = _learner(training)(training, folder, journal)
    measured = journal.measured()
    outcomes = {
        name: records.Outcome(journal.curves.get(name, []), **kinds, elo=journal.elo.get(name, []))
        for name, kinds in play().items()
    }
    records.append(records.of(training, outcomes, **measured))
    for file in folder.rglob("*"):
        if file.is_file() and file.suffix not in _KEPT and file.name != ".lock":
            file.unlink()
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)


def _learner(training: Training) -> Callable[[Training, Path, Journal], learners.Play]:
    if training.learner == CHANCE:
        return learners.chance
    if training.learner.startswith(STABLE_BASELINES):
        from results import stable_baselines  # two seconds that no other learner needs

        return stable_baselines.learn
    return learners.ml_agents


if __name__ == "__main__":
    alone(_train)
