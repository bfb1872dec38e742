"""What a search found: a table, and the configuration with the best values, with its header."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
import yaml
from _settings import changed
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console
from rich.table import Table

from mlagents_player.scenes import GYMNASIUM
from tune.tuning import FINAL, Tuning

_MOST, _WIDTH = 8, 11
"""Trials beside each other, and the columns of a terminal that each takes."""

UNITS = {
    "buffer_init_steps": "agent steps",
    "checkpoint_interval": "agent steps",
    "exploration_steps": "agent steps",
    "max_steps": "agent steps",
    "steps_per_update": "agent steps an update",
    "summary_freq": "agent steps",
    "target_update_interval": "updates",
    "time_horizon": "agent steps",
}
"""What the numbers of keys count that would else leave it open."""


def show(tuning: Tuning, console: Console) -> None:
    """Prints the best trials, and which keys mattered.

    Args:
        tuning: at its end, or stopped.
        console: where.
    """
    completed = best_first(tuning)
    pruned = len(tuning.ended()) - len(completed)
    were = "was" if pruned == 1 else "were"
    console.print(f"{_trials(len(completed))} trained to the end, {pruned} {were} pruned.", highlight=False)
    if not completed:
        return
    console.print(_table(tuning, completed, console.width))
    if weights := importance(tuning):
        told = ", ".join(f"{name.rpartition('.')[2]} {share:.0%}" for name, share in weights.items())
        console.print(f"What the reward depended on: {told}", highlight=False, soft_wrap=True)


def _trials(number: int) -> str:
    return f"{number} trial{'' if number == 1 else 's'}"


def _table(tuning: Tuning, completed: Sequence[FrozenTrial], width: int) -> Table:
    """The best trials beside each other, as many as a terminal has room for, the best one first."""
    names = max(len("reward of seed 1"), *(len(key.path[-1]) for key in tuning.keys))
    best = completed[: max(1, min(_MOST, (width - names) // _WIDTH))]
    values = [tuning.values(trial, tuning.steps[tuning.behaviors[0]]) for trial in best]
    table = Table("trial", box=None)
    for trial in best:
        table.add_column("the file" if trial.number == 0 else str(trial.number), justify="right")
    table.add_row("reward", *(f"{trial.value:.4g}" for trial in best))
    if tuning.request.seeds > 1:
        for seed in range(tuning.request.seeds):
            table.add_row(f"reward of seed {seed + 1}", *(f"{each.user_attrs['seeds'][seed]:.3g}" for each in best))
    for key in tuning.keys:
        table.add_row(key.path[-1], *(str(each.get(key.path, "")) for each in values))
    return table


def best_first(tuning: Tuning) -> list[FrozenTrial]:
    """Trials that were trained to their end, the best one first.

    Args:
        tuning: at its end, or stopped.
    """
    completed = tuning.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return sorted(completed, key=lambda trial: (-(trial.value or 0.0), trial.number))


def importance(tuning: Tuning) -> dict[str, float]:
    """How much of the difference between good trials and all goes with each key (PED-ANOVA); empty for too few.

    Args:
        tuning: at its end, or stopped.
    """
    completed = best_first(tuning)
    if len({trial.value for trial in completed}) < 2 or len(completed) < 4:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return optuna.importance.get_param_importances(
                tuning.study, evaluator=optuna.importance.PedAnovaImportanceEvaluator()
            )
        except (RuntimeError, ValueError):  # no two trials differ in a way that it can weigh
            return {}


def write(tuning: Tuning, stem: str, command: str) -> Path | None:
    """Writes the best configuration into the folder of the search, under the name of the file that was searched.

    Args:
        tuning: at its end, or stopped.
        stem: of the file that was searched, which is also the scene's name.
        command: that searched.

    Returns:
        The file; None if no trial was trained to its end.
    """
    completed = best_first(tuning)
    if not completed:
        return None
    content = best_config(tuning, completed[0])
    text = "\n".join(header(tuning, completed, stem, command)) + "\n" + with_units(content)
    file = tuning.request.folder / f"{stem}.yaml"
    unfinished = file.with_suffix(".new")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(file)
    return file


def best_config(tuning: Tuning, best: FrozenTrial) -> dict[str, Any]:
    """The content of the file with the values of a trial, and the steps that the file had.

    Args:
        tuning: of the trial.
        best: the trial.
    """
    behaviors = dict(tuning.request.config["behaviors"])
    for name in tuning.behaviors:
        behaviors[name] = changed(behaviors[name], tuning.values(best, tuning.full_steps[name]))
    return {**tuning.request.config, "behaviors": behaviors}


def header(tuning: Tuning, completed: Sequence[FrozenTrial], stem: str, command: str) -> list[str]:
    """The comment that opens every configuration of this repository.

    Args:
        tuning: what found it.
        completed: the trials that were trained to their end, the best one first.
        stem: of the file that was searched.
        command: that searched.
    """
    best, request = completed[0], tuning.request
    first = next((trial for trial in completed if trial.number == 0), None)
    areas = int(request.config.get("env_settings", {}).get("num_areas", 1))
    where = "Gymnasium" if request.scene.startswith(GYMNASIUM) else "mlagents-player"
    copies = f", {areas} copies" if areas > 1 else ""
    of_what = "the last tenth of the training" if request.by == FINAL else "the whole training"
    seeds = " and ".join(", ".join(map(str, range(1, request.seeds + 1))).rsplit(", ", 1))
    trained, full = tuning.steps[tuning.behaviors[0]], tuning.full_steps[tuning.behaviors[0]]
    shortened = "" if trained == full else f"; the search trained {trained:,} of them"
    minutes = sum(best.user_attrs["seconds"]) / len(best.user_attrs["seconds"]) / 60
    before = f"; the file that was searched {first.value:.3g}" if first is not None and first is not best else ""
    searched = ", ".join(key.path[-1] for key in tuning.keys)
    return [
        f"# {tuning.trainer_type.upper()} on {stem}",
        "#",
        f"# Environment: {stem}{copies} ({where})",
        f"# Reward:      {best.value:.3g}, the mean of {of_what}{before}",
        f"# Steps:       {full:,} agent steps{shortened}",
        f"# Wall-clock:  about {minutes:.1f} minutes in the search",
        f"# Seeds:       {seeds}, those of the search; others may do worse",
        f"# Status:      almost tuned, the best of {_trials(len(tuning.ended()))} over {searched}",
        f"# Command:     {command}",
    ]


def with_units(content: dict[str, Any]) -> str:
    """A YAML whose step-valued numbers say what they count.

    Args:
        content: of the file.
    """
    lines = []
    for line in yaml.safe_dump(content, sort_keys=False, allow_unicode=True).splitlines():
        key, _, value = line.strip().partition(": ")
        lines.append(f"{line}  # {UNITS[key]}" if key in UNITS and value else line)
    return "\n".join(lines) + "\n"
