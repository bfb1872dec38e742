"""The page of results, `docs/results.md`, made of the records alone."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import fmean

import numpy as np
import yaml

from mlagents_player.scenes import GYMNASIUM
from results import plots, records, suites, tables
from results.records import Record
from results.suites import CHANCE, CONFIGS, HERE, ROOT, STABLE_BASELINES
from results.tables import Row

PAGE = ROOT / "docs" / "results.md"
PICTURES = PAGE.parent / "images" / "results"
OURS = tuple(sorted(folder.name for folder in CONFIGS.iterdir() if folder.is_dir()))

_HEAD = """# Results

What each algorithm does on which scene, how long that takes, and what one would have without it. This page is made by
`nox -s results -- page` of the records in `benchmarks/results/records`; nothing on it is typed by hand.

**What counts is the exported model.** A figure is the mean return of {episodes} episodes of the exported `.onnx`, on
starts that training has not seen, with the outputs that Unity takes by default. `best actions` are those of the model's
deterministic outputs, and `training` is what the log said in its last tenth: where they differ from the figure, it is
the figure that a player of the game sees. ± is the deviation over the seeds, and every seed is listed. Bands in the
pictures reach from the worst seed to the best.

Train any of it again: `nox -s results -- quick` (twenty minutes on two cores), `nox -s results -- full`, or a part of
it, `nox -s results -- full --only a2c-3DBall`.

"""


def make() -> list[Path]:
    """Writes the page and its pictures.

    Returns:
        The files.
    """
    found = current(records.load())
    rows = tables.rows(found)
    goals = yaml.safe_load((HERE / "scenes.yaml").read_text("utf-8"))
    files = [PAGE]
    text = [_HEAD.format(episodes=min((record.training.episodes for record in found), default=0))]
    text += _overview(rows, goals, files)
    text += _comparison(rows, goals, files)
    for behavior in dict.fromkeys(row.behavior for row in rows):
        text += _behavior([row for row in rows if row.behavior == behavior], goals[behavior], files)
    text += _origin(found)
    PAGE.write_text("\n".join(text), encoding="utf-8", newline="\n")
    return files


def current(found: Iterable[Record]) -> list[Record]:
    """The records of what the suites ask for now: those of former values of a file count no more.

    Args:
        found: all that there are.
    """
    digests = suites.asked_for()
    return [record for record in found if record.training.digest in digests]


def _overview(rows: list[Row], goals: dict, files: list[Path]) -> Iterator[str]:
    bounds = _bounds(rows, goals)
    if bounds:
        picture = PICTURES / "overview.png"
        shown = [
            row for row in rows if row.learner in (*OURS, "ppo", "sac", "poca") and row.variant in _first(rows, row)
        ]
        plots.bars(shown, picture, bounds)
        files.append(picture)
        yield f"![exported models, from chance to the goal]({_link(picture)})\n"
    yield "| behaviour | goal | chance | best of ours | best peer |\n|---|---|---|---|---|"
    for behavior in dict.fromkeys(row.behavior for row in rows):
        own = [row for row in rows if row.behavior == behavior]
        chance = next((row for row in own if row.learner == CHANCE), None)
        ours = next((row for row in own if row.learner in OURS), None)
        peer = next((row for row in own if row.learner not in (*OURS, CHANCE)), None)
        yield (
            f"| [{behavior}](#{behavior.lower()}) | {goals[behavior]['goal']:g} | "
            f"{tables.spread(chance.scores) if chance else '-'} | {_cell(ours)} | {_cell(peer)} |"
        )
    yield ""


def _first(rows: list[Row], row: Row) -> set[str]:
    """The variant with which a learner is shown where there is room for one: the one with the fewest steps."""
    own = [each for each in rows if (each.behavior, each.learner) == (row.behavior, row.learner)]
    return {min(own, key=lambda each: each.steps).variant}


def _cell(row: Row | None) -> str:
    if row is None:
        return "-"
    return f"{tables.spread(row.scores)} ({row.label}, {len(row.seeds)} seeds)"


def _bounds(rows: list[Row], goals: dict) -> dict[str, tuple[float, float]]:
    """Returns of chance and of the goal, for the behaviours of which both are known."""
    chance = {row.behavior: fmean(row.scores) for row in rows if row.learner == CHANCE and row.scores}
    return {name: (chance[name], goals[name]["goal"]) for name in goals if name in chance}


def _comparison(rows: list[Row], goals: dict, files: list[Path]) -> Iterator[str]:
    """Ours beside Stable-Baselines3, over the Gymnasium environments that all of them have trained on."""
    bounds = _bounds(rows, goals)
    own = [row for row in rows if row.scene.startswith(GYMNASIUM) and row.behavior in bounds and not row.variant]
    learners = [name for name in OURS if any(row.learner == name for row in own)]
    learners += sorted({row.learner for row in own if row.learner.startswith(STABLE_BASELINES)})
    scores: dict[str, dict[str, list[float]]] = {name: {} for name in learners}
    for row in own:
        if row.learner in scores:
            low, high = bounds[row.behavior]
            scores[row.learner][row.behavior] = [(score - low) / (high - low) for score in row.greedy]
    scores = {name: found for name, found in scores.items() if len(found) > 1}
    shared = sorted(set.intersection(*(set(found) for found in scores.values()))) if len(scores) > 1 else []
    if not shared:
        return
    seeds = min(len(found[name]) for found in scores.values() for name in shared)
    picture = PICTURES / "comparison.png"
    plots.compared(
        {name: np.array([found[task][:seeds] for task in shared]).T for name, found in scores.items()}, picture
    )
    files.append(picture)
    yield "## Beside Stable-Baselines3\n"
    yield (
        f"Best actions on {', '.join(shared)}, {seeds} seeds each; intervals are stratified bootstraps "
        "(Agarwal et al., 2021, by rliable).\n"
    )
    yield f"![interquartile means, performance profiles, probability of improvement]({_link(picture)})\n"


def _behavior(rows: list[Row], goal: dict, files: list[Path]) -> Iterator[str]:
    name = rows[0].behavior
    picture = PICTURES / f"{name}.png"
    plots.curves(rows, picture, goal["goal"])
    files.append(picture)
    why = f" ({goal['why']})" if "why" in goal else ""
    yield f"## {name}\n\nGoal: {goal['goal']:g}{why}.\n\n![learning curves of {name}]({_link(picture)})\n"
    yield "| learner | agent steps | exported model | each seed | best actions | training | minutes |"
    yield "|---|---|---|---|---|---|---|"
    for row in rows:
        yield (
            f"| {row.label} | {row.steps:,} | {tables.spread(row.scores)} | {tables.each(row.scores)} | "
            f"{tables.spread(row.greedy)} | {tables.spread(row.training)} | {fmean(row.minutes):.1f} |"
        )
    yield ""


def _origin(found: list[Record]) -> Iterator[str]:
    yield "## Where the figures come from\n"
    yield "| commit | trainings | machine | versions |\n|---|---|---|---|"
    groups: dict[tuple, int] = {}
    for record in found:
        machine = f"{record.machine['processor']}, {record.machine['cores']} cores, Python {record.machine['python']}"
        versions = ", ".join(f"{name} {number}" for name, number in record.versions.items())
        key = (record.commit, machine, versions)
        groups[key] = groups.get(key, 0) + 1
    for (commit, machine, versions), count in sorted(groups.items()):
        yield f"| {commit} | {count} | {machine} | {versions} |"
    yield ""


def _link(picture: Path) -> str:
    return picture.relative_to(PAGE.parent).as_posix()
