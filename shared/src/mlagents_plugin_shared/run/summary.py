"""What a run says of itself: how often it reports, and in one line at its end what it has reached."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import attr
from mlagents.trainers.settings import TrainerSettings
from mlagents.trainers.stats import StatsReporter
from mlagents.trainers.training_status import GlobalTrainingStatus, StatusType

from mlagents_onnx_check.hints import quoted, script
from mlagents_plugin_shared.run.host.executable import executable
from mlagents_plugin_shared.run.host.written_settings import written_settings

ELO = "Self-play/ELO"
"""Tag of ML-Agents' rating in self-play."""

REPORTS = 10
"""A run to `max_steps` reports so often, or more often."""

_DEFAULT_FREQ = cast(int, attr.fields_dict(TrainerSettings)["summary_freq"].default)


def report_often(settings: TrainerSettings) -> None:
    """Lowers `summary_freq` to a tenth of `max_steps`, unless the user wrote it.

    ML-Agents' default of 50,000 steps leaves a short run without a single report. It reports once a trajectory at most,
    so that a run of fewer than ten `time_horizon` may still report less often.

    Args:
        settings: of one behaviour; what is lowered is also what `configuration.yaml` will say.
    """
    if settings.summary_freq == _DEFAULT_FREQ and "summary_freq" not in written_settings(settings):
        settings.summary_freq = max(min(_DEFAULT_FREQ, settings.max_steps // REPORTS), 1)


def is_told_by_a_writer(behavior: str) -> bool:
    """Whether a stats writer says at the end of the run what a behaviour has reached, so that its trainer need not.

    Such a writer has a method `tells_the_end_of(behavior)` that says so; that of mlagents-plugin-progress does.

    Args:
        behavior: its name.
    """
    asked = (getattr(writer, "tells_the_end_of", None) for writer in StatsReporter.writers)
    return any(tells(behavior) for tells in asked if callable(tells))


@attr.s(auto_attribs=True, frozen=True)
class Score:
    """A mean over episodes, or an Elo, and the step at which it was measured."""

    value: float
    step: int
    episodes: int = 0


class RunSummary:
    """Last and best score of a behaviour: the mean return of its last episodes, or in self-play its Elo.

    The best mean is the highest at any report over as many episodes as the window holds; as long as there are fewer,
    the highest over those that there are.

    Args:
        behavior: name of the behaviour.
        window: episodes over which the mean is taken.
        self_play: whether the Elo is the measure.
    """

    def __init__(self, behavior: str, window: int, *, self_play: bool) -> None:
        self._behavior = behavior
        self._window = window
        self._self_play = self_play
        self._best: Score | None = None

    def report(self, returns: Sequence[float], step: int) -> None:
        """Takes note of a report, before it is written and ML-Agents forgets its numbers.

        Args:
            returns: of the last episodes, as many as the window holds.
            step: of the report.
        """
        self._keep_better(self._reported_elo(step) if self._self_play else self._mean(returns, step))

    def end(self, returns: Sequence[float], step: int, max_steps: int, model: Path, *, goal_reached: bool) -> str:
        """The line at the end of a run.

        Args:
            returns: of the last episodes, as many as the window holds.
            step: the last one.
            max_steps: how far the run was to go.
            model: the exported model, `results/<run>/<behavior>.onnx`.
            goal_reached: whether the behaviour has learned enough before `max_steps`.

        Returns:
            Score, model, and what to do next.
        """
        last = self._last_elo(step) if self._self_play else self._mean(returns, step)
        former = self._best
        self._keep_better(last)
        how = "With a larger max_steps --resume goes on" if step >= max_steps else "--resume goes on from here"
        goes_on = "" if goal_reached else f" {how}."
        reached = self._describe(last, former, step)
        return (
            f"{self._behavior}: ended at step {step} (max_steps: {max_steps}), {reached}.{goes_on} "
            f"The model is {model}; {_next_step(model)}"
        )

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run has to know."""
        return attr.asdict(self._best) if self._best is not None else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up what `state_dict` gave."""
        self._best = Score(**state) if state else None

    def _mean(self, returns: Sequence[float], step: int) -> Score | None:
        return Score(float(sum(returns)) / len(returns), step, len(returns)) if returns else None

    def _reported_elo(self, step: int) -> Score | None:
        values = StatsReporter.stats_dict[self._behavior].get(ELO)
        return Score(float(sum(values)) / len(values), step) if values else None

    def _last_elo(self, step: int) -> Score | None:
        elo = GlobalTrainingStatus.get_parameter_state(self._behavior, StatusType.ELO)
        return Score(float(elo), step) if elo is not None else None

    def _keep_better(self, score: Score | None) -> None:
        if score is None:
            return
        episodes, least = (
            (0, 0) if self._best is None else (self._best.episodes, min(self._best.episodes, self._window))
        )
        fills_window = episodes < self._window <= score.episodes
        is_better = self._best is None or (score.episodes >= least and score.value > self._best.value)
        if fills_window or is_better:
            self._best = score

    def _describe(self, last: Score | None, former: Score | None, step: int) -> str:
        """The last score beside the best one; where there was no former one, there is nothing to compare it with."""
        if last is None or self._best is None:
            return "with no game finished" if self._self_play else f"no episode ended in {step} steps"
        of_the_last = "the only episode" if last.episodes == 1 else f"the last {_episodes(last)}"
        what = "Elo" if self._self_play else f"mean reward of {of_the_last}"
        text = f"{what} {last.value:.3f}"
        best = self._best
        if best == last:
            return f"{text}, the best of the run" if former else text
        over = "" if best.episodes == last.episodes else f" over {_episodes(best)}"
        return f"{text}, at best {best.value:.3f}{over} at step {best.step}"


def _episodes(score: Score) -> str:
    return "1 episode" if score.episodes == 1 else f"{score.episodes} episodes"


def _next_step(model: Path) -> str:
    if scene := _scene_of_player():
        return f"see it play: {script('mlagents-player')} watch {quoted(model.parent)} {quoted(scene)}"
    return "drag it into your Unity project, and from there into Model of the agent's Behavior Parameters."


def _scene_of_player() -> str | None:
    """The scene of `mlagents-player` that the run has played on; None where it was Unity's or somebody else's."""
    launcher = executable()
    if launcher is None or find_spec("mlagents_player") is None:
        return None
    from mlagents_player.launcher import scene_of  # another distribution, which need not be installed

    return scene_of(launcher)
