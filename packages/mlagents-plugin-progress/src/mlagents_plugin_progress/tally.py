"""What is known of one behaviour's training, out of what ML-Agents reports: steps, speed, scores."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from mlagents_plugin_progress.scores import ELO, score_of

WINDOW = 60.0
"""Seconds over which the speed is taken: a PPO run collects, and then stands still while it learns."""


class Score(NamedTuple):
    """A mean return, or in self-play an Elo, and the step at which it was reported."""

    step: int
    value: float


class Tally:
    """Steps, speed and scores of a behaviour.

    Attributes:
        behavior: its name.
        max_steps: how far it is to go.
        first_update: before this step nothing is learnt, and steps are quick; 0 where a trainer learns at once.
        self_play: whether its score is an Elo.
        step: the last step that was reported; None before the first.
        scores: of every report that had one.
        best: the highest of them.
        is_training: False in inference, and once `max_steps` is reached.

    Args:
        behavior: its name.
        settings: its `TrainerSettings` as a mapping.
        clock: seconds of a clock that never goes back.
    """

    def __init__(self, behavior: str, settings: Mapping[str, Any], clock: Callable[[], float] = time.monotonic) -> None:
        self.behavior = behavior
        self.max_steps = int(settings.get("max_steps") or 0)
        self.first_update = int((settings.get("hyperparameters") or {}).get("buffer_init_steps") or 0)
        self.self_play = settings.get("self_play") is not None
        self.step: int | None = None
        self.scores: list[Score] = []
        self.best: Score | None = None
        self.is_training = True
        self._clock = clock
        self._began: Score | None = None
        self._recent: deque[tuple[float, int]] = deque()

    def begin(self, step: int | None) -> None:
        """Starts the clock.

        Args:
            step: where it begins; None where that shows with the first report, as in a run that is resumed.
        """
        if step is not None:
            self.set_step(step)

    def recall(self, scores: Iterable[Score]) -> None:
        """Takes up the scores of the run that this one goes on from."""
        for score in scores:
            self._add(score)

    def set_step(self, step: int) -> None:
        """Takes note of a step; this is called for every trajectory."""
        if self.step is not None and self.step < self.first_update <= step:
            self._recent.clear()
        self.step = step
        now = self._clock()
        if self._recent and now - self._recent[-1][0] < WINDOW / 60:
            return
        if self._began is None:
            self._began = Score(step, now)
        self._recent.append((now, step))
        while now - self._recent[0][0] > WINDOW and len(self._recent) > 2:
            self._recent.popleft()

    def summarise(self, values: Mapping[str, Any], step: int) -> None:
        """Takes note of a summary.

        Args:
            values: ML-Agents' `StatsSummary` by tag.
            step: at which it was due.
        """
        if self.step is None:
            self.set_step(step)
        if "Is Training" in values:
            self.is_training = bool(values["Is Training"].mean > 0)
        means = {tag: float(values[tag].mean) for tag in values if tag == ELO or tag.startswith("Environment/")}
        value = score_of(means, self_play=self.self_play)
        if value is not None:
            self._add(Score(step, value))

    def _add(self, score: Score) -> None:
        self.scores.append(score)
        if not math.isnan(score.value) and (self.best is None or score.value > self.best.value):
            self.best = score

    @property
    def share(self) -> float | None:
        """How much of `max_steps` is done, at most 1; None before the first step."""
        return None if self.step is None or self.max_steps <= 0 else min(self.step / self.max_steps, 1.0)

    @property
    def is_done(self) -> bool:
        """Whether `max_steps` is reached."""
        return self.share is not None and self.share >= 1

    @property
    def steps_per_second(self) -> float | None:
        """Agent steps a second of the last minute; None as long as nothing is known of it."""
        return self._speed(self._recent[0]) if self._recent else None

    @property
    def mean_steps_per_second(self) -> float | None:
        """The same over the whole of this run, from where it began or went on."""
        return self._speed((self._began.value, self._began.step)) if self._began is not None else None

    @property
    def seconds_left(self) -> float | None:
        """Until `max_steps` at the speed of the last minute; None where that says nothing: before the first update."""
        speed = self.steps_per_second
        if self.step is None or self.step < self.first_update or not speed or not self.is_training or self.is_done:
            return None
        return (self.max_steps - self.step) / speed

    def _speed(self, since: tuple[float, int]) -> float | None:
        seconds = self._clock() - since[0]
        steps = (self.step or 0) - since[1]
        return steps / seconds if seconds > 0 and steps > 0 else None
