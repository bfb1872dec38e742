"""Stands for the command mlagents-learn: the same, and a file that says what a part of the run has cost.

`_measured_learn.py FILE PLAIN SECONDS STEPS [arguments of mlagents-learn]`, where PLAIN is `plain` for a run without
plugins of ours, or empty. The part begins and ends with an update: at the
first one that leaves time to warm up, and at the first one after so many seconds and so many agent steps of the run. So
a rollout of thousands of steps counts whole or not at all. The run then ends as with Ctrl+C.
"""

import contextlib
import functools
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
from _memory import peak_bytes
from _plain import hide_plugins
from mlagents.trainers import learn
from mlagents.trainers.env_manager import EnvManager
from mlagents.trainers.subprocess_env_manager import SubprocessEnvManager
from mlagents.trainers.trainer_controller import TrainerController
from mlagents_envs.timers import TimerNode, get_timer_root, timed

WARM_UP = 2.0
"""Seconds from the first steps before the part begins."""

ELSEWHERE = "workers"
"""The timer below which ML-Agents collects those of other processes."""


def totals(node: TimerNode) -> Counter[str]:
    """Seconds by the name of a timer of this process, wherever in the tree it stands."""
    found: Counter[str] = Counter()
    for name, child in node.children.items():
        if name != ELSEWHERE:
            found[name] += child.total
            found += totals(child)
    return found


def processor_seconds() -> dict[str, float]:
    """What this process, ML-Agents' processes beside players, and players have taken of processors so far."""
    learner = psutil.Process()
    workers = learner.children()
    players = [process for process in learner.children(recursive=True) if process not in workers]
    return {"learner": _taken([learner]), "workers": _taken(workers), "players": _taken(players)}


def _taken(processes: list[psutil.Process]) -> float:
    seconds = 0.0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            seconds += times.user + times.system
    return seconds


def reading(step: int) -> dict[str, Any]:
    """All that has been spent so far."""
    return {
        "seconds": time.perf_counter(),
        "steps": step,
        "processors": processor_seconds(),
        "timers": dict(totals(get_timer_root())),
    }


class Part:
    """The part of a run that is measured.

    Args:
        file: for what it has cost.
        seconds: that it has at least.
        steps: agent steps of the run that are taken before it ends.
    """

    def __init__(self, file: Path, seconds: float, steps: int) -> None:
        self.file = file
        self.seconds = seconds
        self.steps = steps
        self.is_updated = False
        self._warm_at: float | None = None
        self._began: dict[str, Any] | None = None

    def advanced(self, step: int) -> None:
        """Called after each round of the run.

        Args:
            step: agent steps that were learned from.

        Raises:
            KeyboardInterrupt: the part has ended, and so does the run.
        """
        if not step:
            return
        now = time.perf_counter()
        self._warm_at = self._warm_at or now + WARM_UP
        if not self.is_updated:
            return
        self.is_updated = False
        if self._began is None:
            self._began = reading(step) if now >= self._warm_at else None
        elif now >= self._began["seconds"] + self.seconds and step >= self.steps:
            measured = {"began": self._began, "ended": reading(step), "peak_bytes": peak_bytes()}
            self.file.write_text(json.dumps(measured), encoding="utf-8")
            raise KeyboardInterrupt


def watch(part: Part) -> None:
    """Lets ML-Agents tell the part of rounds and updates, and times what it has no timers for."""
    advance, set_policy = TrainerController.advance, EnvManager.set_policy

    @functools.wraps(advance)
    def advance_and_tell(self: TrainerController, *arguments: Any) -> int:
        steps = advance(self, *arguments)
        part.advanced(sum(trainer.get_step for trainer in self.trainers.values()))
        return steps

    @functools.wraps(set_policy)
    def set_policy_and_tell(self: EnvManager, *arguments: Any) -> None:
        part.is_updated = True  # the first one has no step yet
        set_policy(self, *arguments)

    TrainerController.advance = advance_and_tell
    EnvManager.set_policy = set_policy_and_tell
    EnvManager._process_step_infos = timed(EnvManager._process_step_infos)
    SubprocessEnvManager._step = timed(SubprocessEnvManager._step)


def main() -> None:
    """Runs mlagents-learn."""
    file, plain, seconds, steps = sys.argv[1:5]
    del sys.argv[1:5]
    if plain:
        hide_plugins()
    watch(Part(Path(file), float(seconds), int(steps)))
    learn.main()


if __name__ == "__main__":
    main()
