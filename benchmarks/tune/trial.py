"""A trial: some seeds of one configuration, one after the other, watched while they train."""

import json
import math
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from filelock import FileLock, Timeout
from results.learners import POINTS
from results.suites import Training
from results.training import IS_BUSY, prepare

from tune.errors import TuneError
from tune.training import FINISHED, forget

LOG = "log.txt"
SMOOTH = POINTS // 10
"""Points of a curve whose mean is the reward at the last of them."""

Curves = Mapping[str, Sequence[tuple[int, float]]]
"""(agent step, mean return of the training episodes since the step before) of each behaviour."""


def points(curves: Curves, steps: int) -> dict[int, float]:
    """The reward at each point of a curve, 1 to `POINTS`: the mean of the last `SMOOTH`, and of the behaviours.

    A point at which no episode had ended is not there, nor one before all behaviours have ended one.

    Args:
        curves: of one seed.
        steps: that are trained.
    """
    width = max(steps // POINTS, 1)
    smoothed = [dict(_smoothed(curve, width)) for curve in curves.values()]
    known: list[float | None] = [None] * len(smoothed)
    result = {}
    for point in range(1, POINTS + 1):
        known = [each.get(point, before) for each, before in zip(smoothed, known, strict=True)]
        rewards = [value for value in known if value is not None]
        if any(point in each for each in smoothed) and len(rewards) == len(smoothed):
            result[point] = sum(rewards) / len(rewards)
    return result


def _smoothed(curve: Sequence[tuple[int, float]], width: int) -> list[tuple[int, float]]:
    result = []
    for index, (step, _) in enumerate(curve):
        last = [reward for _, reward in curve[max(index + 1 - SMOOTH, 0) : index + 1]]
        result.append((min(math.ceil(step / width), POINTS), sum(last) / len(last)))
    return result


def reports(seeds: Sequence[Mapping[int, float]]) -> dict[int, float]:
    """What a pruner compares: the reward at each point of each seed, with that of the seeds before at the same point.

    Points of the second seed follow those of the first, so that two trials are compared where both are equally far.

    Args:
        seeds: the points of each seed that has begun.
    """
    result = {}
    for number, own in enumerate(seeds):
        for point in own:
            at_point = [_until(before, point) for before in seeds[:number]] + [own[point]]
            known = [value for value in at_point if value is not None]
            result[number * POINTS + point] = sum(known) / len(known)
    return result


def _until(known: Mapping[int, float], point: int) -> float | None:
    before = [own for own in known if own <= point]
    return known[max(before)] if before else None


@dataclass
class Trial:
    """The seeds of a trial, and the process that trains one of them.

    Attributes:
        number: of the trial.
        folder: where it works.
        trainings: what each seed trains.
        process: that trains one of them; None while none does.
    """

    number: int
    folder: Path
    trainings: list[Training]
    process: subprocess.Popen | None = None
    _log: IO[str] | None = field(default=None, repr=False)

    def step(self) -> bool:
        """Starts what is to be trained next, if nothing trains; whether all seeds have come to their end.

        Raises:
            TuneError: a training failed; with the last line of its log.
        """
        if self.process is not None:
            code = self.process.poll()
            if code is None:
                return False
            training = self._folder(self._next())
            self._close()
            if code not in (0, IS_BUSY):
                raise TuneError(f"trial {self.number} failed: {_last_line(training / LOG)}; see {training / LOG}")
        if (waiting := self._next()) is None:
            return True
        if not _is_busy(self._folder(waiting)):
            self._start(waiting)
        return False

    def stop(self) -> None:
        """Ends the process; the checkpoints stay."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
            self._close()

    def forget(self) -> None:
        """Ends the process, and deletes what only going on would need."""
        self.stop()
        for training in self.trainings:
            forget(self._folder(training))

    def seeds(self, behaviors: Sequence[str]) -> list[dict[int, float]]:
        """The points of each seed that has begun, in their order.

        Args:
            behaviors: those that count.
        """
        found = []
        for training in self.trainings:
            curves = self._measured(training).get("curves", {})
            known = points({name: curves.get(name, []) for name in behaviors}, training.steps)
            if not known:
                break
            found.append(known)
        return found

    def seconds(self) -> list[float]:
        """Wall-clock of each seed that has ended."""
        ended = [each for each in self.trainings if (self._folder(each) / FINISHED).is_file()]
        return [self._measured(training)["seconds"] for training in ended]

    def _next(self) -> Training | None:
        waiting = (each for each in self.trainings if not (self._folder(each) / FINISHED).is_file())
        return next(waiting, None)

    def _start(self, training: Training) -> None:
        folder = prepare(training, self._folder(training))
        self._log = (folder / LOG).open("a", encoding="utf-8")
        command = [sys.executable, "-W", "ignore", "-m", "tune.training", str(folder)]
        self.process = subprocess.Popen(command, stdout=self._log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)

    def _close(self) -> None:
        self.process = None
        if self._log is not None:
            self._log.close()

    def _folder(self, training: Training | None) -> Path:
        return self.folder / f"seed-{training.seed}" if training else self.folder

    def _measured(self, training: Training) -> dict[str, Any]:
        for name in (FINISHED, "journal.json"):
            try:
                return json.loads((self._folder(training) / name).read_text("utf-8"))
            except (OSError, ValueError):
                continue
        return {}


def _is_busy(folder: Path) -> bool:
    """Whether another process trains there: the orphan of a search that was killed, which is waited for."""
    if not folder.is_dir():
        return False
    try:
        with FileLock(folder / ".lock", timeout=0):
            return False
    except Timeout:
        return True


def _last_line(log: Path) -> str:
    lines = log.read_text("utf-8", errors="replace").strip().splitlines() if log.is_file() else []
    return lines[-1] if lines else "it said nothing"
