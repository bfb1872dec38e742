"""The search: asks optuna for values, trains trials, and tells it what came of them; a killed one goes on."""

import contextlib
import json
import math
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from _settings import changed
from filelock import FileLock, Timeout
from mlagents.trainers.settings import TrainerSettings
from optuna.trial import FrozenTrial, TrialState
from results.learners import POINTS
from results.suites import Training
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from sqlalchemy.exc import SQLAlchemyError

from mlagents_plugin_shared.run.search import Choice
from tune.errors import TuneError
from tune.space import Key, keys, read
from tune.trial import Trial, reports

FINAL, WHOLE = "final", "whole"
"""What a trial is judged by: its last tenth, or the mean of the whole training, which fast learners win."""
_POLL = 0.3  # seconds
_MOST_REFUSED = 200
_FAILED_IN_A_ROW = 3


@dataclass
class Request:
    """What is to be searched.

    Attributes:
        config: the whole content of the file.
        scene: of the player; `gym:ID` for a Gymnasium environment.
        folder: where everything of the search lies.
        trials: that come to an end, pruned ones among them.
        seeds: of each trial, 1 and on.
        steps: that a trial trains; None for those of the file.
        timeout: seconds after which no more is trained; None for no end.
        jobs: trials at a time.
        only: names of the keys to search; all where there are none.
        behaviors: whose keys are searched and whose reward counts; all where there are none.
        by: `final` or `whole`.
        pruner: `median`, `hyperband` or `none`.
    """

    config: dict[str, Any]
    scene: str
    folder: Path
    trials: int = 30
    seeds: int = 1
    steps: int | None = None
    timeout: float | None = None
    jobs: int = 1
    only: list[str] = field(default_factory=list)
    behaviors: list[str] = field(default_factory=list)
    by: str = FINAL
    pruner: str = "median"


class Tuning:
    """A study and the trials that are under way.

    Args:
        request: what is to be searched.
        console: takes a line for each trial that begins or ends.

    Attributes:
        study: optuna's, on disk.
        behaviors: whose keys are searched.
        trainer_type: of these behaviours.
        keys: that are searched.
        held: what the file holds of them, as if it had been drawn.
        full_steps: `max_steps` of each behaviour in the file.
        steps: that a trial trains of each.

    Raises:
        TuneError: the file cannot be tuned, or the folder holds another search.
    """

    def __init__(self, request: Request, console: Console) -> None:
        self.request = request
        self.console = console
        settings = _settings(request.config)
        self.behaviors = _tunable(request, settings)
        self.full_steps = {name: settings[name].max_steps for name in request.config["behaviors"]}
        self.steps = {name: request.steps or steps for name, steps in self.full_steps.items()}
        read(
            {
                name: changed(own, {("max_steps",): self.steps[name]})
                for name, own in request.config["behaviors"].items()
            }
        )
        self.trainer_type = settings[self.behaviors[0]].trainer_type
        own, steps = settings[self.behaviors[0]], self.steps[self.behaviors[0]]
        self.keys, self.held = keys(own, steps, request.only)
        self._failed = self._refused = 0
        with _quiet(), _one_line(request.folder):
            self.study = self._open()

    def run(self) -> None:
        """Trains until there are enough trials, or no time is left; what is under way then can be gone on with.

        Raises:
            TuneError: another process is at this search, or trials fail one after another.
        """
        try:
            with FileLock(self.request.folder / ".lock", timeout=0):
                self._run()
        except Timeout:
            raise TuneError(f"another process is at the search in {self.request.folder}") from None

    def ended(self) -> list[FrozenTrial]:
        """Trials that came to their end, pruned ones among them."""
        return self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))

    def values(self, trial: FrozenTrial, steps: int) -> dict[tuple[str, ...], Any]:
        """What a trial sets, by path.

        Args:
            trial: any of the study.
            steps: `max_steps` of the behaviour.
        """
        drawn = trial.params
        return {key.path: key.value(drawn[key.name], steps) for key in self.keys if key.name in drawn}

    def _run(self) -> None:
        ends = None if self.request.timeout is None else time.monotonic() + self.request.timeout
        columns = [TextColumn("{task.description:12}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%")]
        under_way: dict[int, tuple[optuna.Trial, Trial]] = {}
        with Progress(*columns, TimeElapsedColumn(), console=self.console, transient=True) as progress:
            whole = progress.add_task("all trials", total=self.request.trials, completed=len(self.ended()))
            rows: dict[int, Any] = {}
            try:
                while ends is None or time.monotonic() < ends:
                    for asked, trial in self._begun(under_way):
                        under_way[trial.number] = (asked, trial)
                        rows[trial.number] = progress.add_task(f"trial {trial.number}", total=POINTS * self._seeds)
                    if not under_way:
                        break
                    for number, (asked, trial) in list(under_way.items()):
                        if self._step(asked, trial):
                            del under_way[number]
                            progress.remove_task(rows.pop(number))
                        else:
                            progress.update(rows[number], completed=max(_reported(asked), default=0))
                    progress.update(whole, completed=len(self.ended()))
                    time.sleep(_POLL)
            finally:
                for _, trial in under_way.values():
                    trial.stop()

    @property
    def _seeds(self) -> int:
        return self.request.seeds

    def _begun(self, under_way: dict[int, Any]) -> Iterator[tuple[optuna.Trial, Trial]]:
        """Trials to go on with, then new ones, until enough are under way."""
        left = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        for frozen in left:
            if frozen.number not in under_way and len(under_way) < self.request.jobs:
                asked = optuna.Trial(self.study, frozen._trial_id)
                yield from self._start(asked, "goes on")
        while len(under_way) < self.request.jobs and len(self.ended()) + len(under_way) < self.request.trials:
            yield from self._start(self.study.ask(), "begins")

    def _start(self, asked: optuna.Trial, how: str) -> Iterator[tuple[optuna.Trial, Trial]]:
        for key in self.keys:
            _draw(asked, key)
        behaviors = self._configured(asked)
        try:
            read(behaviors)
        except TuneError as refused:
            self.study.tell(asked, state=TrialState.FAIL)
            self._refused += 1
            if self._refused == _MOST_REFUSED:
                raise TuneError(f"{_MOST_REFUSED} draws in a row were refused, the last one: {refused}") from None
            return
        self._refused = 0
        config = {**self.request.config, "behaviors": behaviors}
        folder = self.request.folder / f"trial-{asked.number:04}"
        trainings = [
            Training(self.trainer_type, self.request.scene, f"trial {asked.number}", config, seed, 0)
            for seed in range(1, self._seeds + 1)
        ]
        drawn = self.values(asked._get_latest_trial(), self._own_steps)
        said = ", ".join(f"{path[-1]} {value}" for path, value in drawn.items())
        self._say(f"trial {asked.number} {how}: {said}")
        yield asked, Trial(asked.number, folder, trainings)

    @property
    def _own_steps(self) -> int:
        return self.steps[self.behaviors[0]]

    def _configured(self, asked: optuna.Trial) -> dict[str, Any]:
        frozen = asked._get_latest_trial()
        result = {}
        for name, written in self.request.config["behaviors"].items():
            steps: dict[tuple[str, ...], Any] = {("max_steps",): self.steps[name]}
            own = self.values(frozen, self.steps[name]) if name in self.behaviors else {}
            result[name] = changed(written, {**steps, **own})
        return result

    def _step(self, asked: optuna.Trial, trial: Trial) -> bool:
        """Looks after a trial; whether it came to its end."""
        try:
            is_over = trial.step()
        except TuneError as failure:
            self.study.tell(asked, state=TrialState.FAIL)
            self._count_failure(str(failure))
            return True
        seeds = self._rewards(trial)
        self._report(asked, seeds)
        if is_over:
            self._complete(asked, trial, seeds)
            return True
        if asked.should_prune():
            at = max(_reported(asked))
            trial.forget()
            self.study.tell(asked, state=TrialState.PRUNED)
            share = 100 * at / (POINTS * self._seeds)
            self._say(f"trial {trial.number}: pruned after {share:.0f} percent, at {_reported(asked)[at]:.3g}")
            return True
        return False

    def _rewards(self, trial: Trial) -> list[dict[int, float]]:
        return trial.seeds(self.behaviors)

    def _report(self, asked: optuna.Trial, seeds: list[dict[int, float]]) -> None:
        known = _reported(asked)
        for step, value in reports(seeds).items():
            if step not in known and step > max(known, default=0):
                asked.report(value, step)

    def _complete(self, asked: optuna.Trial, trial: Trial, seeds: list[dict[int, float]]) -> None:
        trial.forget()
        if len(seeds) < self._seeds:
            self.study.tell(asked, state=TrialState.FAIL)
            self._count_failure(f"trial {trial.number}: no episode ended in its training")
            return
        scores = [score(each, self.request.by) for each in seeds]
        if not all(map(math.isfinite, scores)):
            self.study.tell(asked, state=TrialState.FAIL)
            self._count_failure(f"trial {trial.number}: its reward is {sum(scores)}, which is no number to compare")
            return
        asked.set_user_attr("seeds", scores)
        asked.set_user_attr("seconds", trial.seconds())
        self.study.tell(asked, sum(scores) / len(scores))
        self._failed = 0
        best = self.study.best_trial
        self._say(
            f"trial {trial.number}: {sum(scores) / len(scores):.4g}, best {best.value:.4g} of trial {best.number}"
        )

    def _count_failure(self, text: str) -> None:
        """Says it; what fails again and again is not the values' fault."""
        self._failed += 1
        if self._failed == _FAILED_IN_A_ROW:
            raise TuneError(text)
        self._say(text)

    def _say(self, text: str) -> None:
        self.console.print(text, highlight=False, soft_wrap=True, markup=False)

    def _open(self) -> optuna.Study:
        folder = self.request.folder
        folder.mkdir(parents=True, exist_ok=True)
        study = optuna.create_study(
            storage=f"sqlite:///{(folder / 'study.db').resolve().as_posix()}",
            study_name=folder.name,
            direction="maximize",
            load_if_exists=True,
        )
        self._check_is_the_same(study)
        begun = len(study.get_trials(deepcopy=False))
        study.sampler = optuna.samplers.TPESampler(
            n_startup_trials=max(min(10, self.request.trials // 3), 2),
            multivariate=True,
            constant_liar=self.request.jobs > 1,
            seed=begun,  # one that went on with the first seed would draw the first values again
        )
        study.pruner = _pruner(self.request)
        if not begun:
            study.enqueue_trial(self.held)
        return study

    def _check_is_the_same(self, study: optuna.Study) -> None:
        """A search goes on as it began, or not at all: what differs would be compared with what does not."""
        own = {
            "file": self.request.config,
            "keys": {key.name: [*key.search][:-1] for key in self.keys},
            "--seeds": self._seeds,
            "--steps": self._own_steps,
            "--by": self.request.by,
            "--behavior": self.behaviors,
        }
        own = json.loads(json.dumps(own))
        before = study.user_attrs.get("search")
        if before is None:
            study.set_user_attr("search", own)
        elif others := [name for name in own if own[name] != before.get(name)]:
            raise TuneError(
                f"{self.request.folder} holds a search with another {' and another '.join(others)}; "
                "give this one another name with --name, or delete the folder"
            )


def score(seed: dict[int, float], by: str) -> float:
    """What a seed counts: its last reward, or the mean of all.

    Args:
        seed: its points.
        by: `final` or `whole`.
    """
    return seed[max(seed)] if by == FINAL else sum(seed.values()) / len(seed)


def _draw(asked: optuna.Trial, key: Key) -> None:
    search = key.search
    if isinstance(search, Choice):
        asked.suggest_categorical(key.name, search.values)
    elif isinstance(search.low, int) and isinstance(search.high, int):
        asked.suggest_int(key.name, search.low, search.high, log=search.log)
    else:
        asked.suggest_float(key.name, search.low, search.high, log=search.log)


def _reported(asked: optuna.Trial) -> dict[int, float]:
    return asked._get_latest_trial().intermediate_values


def _pruner(request: Request) -> optuna.pruners.BasePruner:
    """None judges the first fifth of a training, nor before there is something to compare with."""
    if request.pruner == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=POINTS // 5, max_resource=POINTS * request.seeds)
    if request.pruner == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=POINTS // 5, n_min_trials=3)
    return optuna.pruners.NopPruner()


def _settings(config: dict[str, Any]) -> dict[str, TrainerSettings]:
    """The settings of all behaviours of a file.

    Raises:
        TuneError: the file has none, or faults, or something that a search leaves out.
    """
    behaviors = config.get("behaviors")
    if not isinstance(behaviors, dict) or not behaviors:
        raise TuneError("the file has no behaviors")
    if config.get("default_settings"):
        raise TuneError("default_settings: a search trains without it; write what it sets below each behaviour")
    played_here = {key: value for key, value in config.items() if key != "env_settings"}  # several players among them
    return read(behaviors, played_here)


def _tunable(request: Request, settings: Mapping[str, TrainerSettings]) -> list[str]:
    """The behaviours to tune.

    Raises:
        TuneError: the file has not those, or they cannot be judged.
    """
    chosen = request.behaviors or list(settings)
    if missing := [name for name in chosen if name not in settings]:
        raise TuneError(f"--behavior {missing[0]} is not in the file, which has {', '.join(settings)}")
    kinds = {settings[name].trainer_type for name in chosen}
    if len(kinds) > 1:
        raise TuneError(f"the behaviours have several trainers, {', '.join(sorted(kinds))}; choose with --behavior")
    if selves := [name for name in chosen if settings[name].self_play]:
        raise TuneError(
            f"{selves[0]}: self_play: its reward says how a policy fares against its own past, which ranks no settings"
        )
    return chosen


@contextlib.contextmanager
def _one_line(folder: Path) -> Iterator[None]:
    """What the disk and the database have against a folder, as one line."""
    try:
        yield
    except (OSError, SQLAlchemyError) as error:
        reason = error.strerror if isinstance(error, OSError) else getattr(error, "orig", None) or error
        raise TuneError(f"{folder} holds no search that can go on: {reason}; choose another --name") from None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what optuna says of every trial, which stands here in other words, and of what is experimental."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield
