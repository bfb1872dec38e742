"""The page of results, `docs/results.md`, made of the records alone."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from statistics import fmean

import numpy as np

from mlagents_player.scenes import GYMNASIUM
from results import plots, records, suites, tables
from results.records import Record
from results.suites import CHANCE, CONFIGS, ROOT, STABLE_BASELINES
from results.tables import Row

PAGE = ROOT / "docs" / "results.md"
PICTURES = PAGE.parent / "images" / "results"
OURS = tuple(sorted(folder.name for folder in CONFIGS.iterdir() if folder.is_dir()))

_HEAD = """# Results

What each algorithm does on which scene, how long that takes, and what one would have without it. This page is made by
`nox -s results -- page` of the records in `benchmarks/results/records`; nothing on it is typed by hand.

**What counts is the exported model.** A figure is the mean return of {episodes} episodes (of both walls together in
WallJump, 50 games in SoccerTwos) of the exported `.onnx`, on starts that training has not seen, with the outputs that
Unity takes by default: it is what a player of the game sees. `best actions` are those of the model's deterministic
outputs, and `training` is what the log said in its last tenth; in self-play that is always near 0, since each side is
as good as the other. Stable-Baselines3 plays its own models itself. ± is the deviation over the seeds that were
trained, and every seed is listed. Bands in the pictures reach from the worst seed to the best.

**Goals** are those of Unity's or Gymnasium's authors where they have one; else the section of the scene says why.
`chance` takes each action as often as the others. `peers` are the trainers of ML-Agents and of Stable-Baselines3, with
the steps that their files have: a row's steps stand beside it, and differ.

**Learners** are named by their `trainer_type`, with the values of `configs/`, or of Unity for `ppo`, `sac` and `poca`.
What stands behind the name differs from that: `150k` are 150,000 steps, `as-sac` is FlashSAC's `preset: sac` with the
values of Unity's file for SAC, and `with demonstrations` has a `demo_path`, whose steps are not among its agent steps.
`minutes of a core` are processor time, in one process and without Unity; a busy machine takes longer.

Train any of it again: `nox -s results -- quick` (twenty minutes on two cores), `nox -s results -- full`, or a part of
it, `nox -s results -- full --only a2c-3DBall`. Of the {asked} trainings of all suites {held} have a record so far.

"""


Pictures = dict[Path, Callable[[], None]]
"""What draws each picture."""


def make() -> list[Path]:
    """Writes the page and its pictures.

    Returns:
        The files.
    """
    text, pictures = written()
    PAGE.write_text(text, encoding="utf-8", newline="\n")
    for draw in pictures.values():
        draw()
    return [PAGE, *pictures]


def written() -> tuple[str, Pictures]:
    """The page as the records have it, and the pictures that it shows."""
    found = of_suites(records.load())
    rows = tables.rows(found)
    goals = suites.goals()
    pictures: Pictures = {}
    episodes = min((record.training.episodes for record in found), default=0)
    text = [_HEAD.format(episodes=episodes, asked=len(suites.asked_for()), held=len(found))]
    text += _overview(rows, goals, pictures)
    text += _comparison(rows, goals, pictures)
    for behavior in dict.fromkeys(row.behavior for row in rows):
        text += _behavior([row for row in rows if row.behavior == behavior], goals[behavior], pictures)
    text += _origin(found)
    return "\n".join(text), pictures


def of_suites(found: Iterable[Record]) -> list[Record]:
    """The records of what the suites ask for now: those of former values of a file count no more.

    Args:
        found: all that there are.
    """
    digests = suites.asked_for()
    return [record for record in found if record.training.digest in digests]


def _overview(rows: list[Row], goals: dict, pictures: Pictures) -> Iterator[str]:
    bounds = bounds_of(rows, goals)
    learned = [row for row in rows if row.behavior in bounds and row.learner != CHANCE and row.scores]
    shown = [row for row in learned if row.variant == _first(rows, row)]
    panels = [[row for row in shown if row.scene.startswith(GYMNASIUM) == is_in] for is_in in (False, True)]
    panels = [panel for panel in panels if panel]
    if panels:
        picture = PICTURES / "overview.png"
        pictures[picture] = partial(plots.bars, panels, picture, bounds)
        yield f"![exported models, from chance to the goal]({_link(picture)})\n"
    yield "| behaviour | goal | chance | best of ours | best peer |\n|---|---|---|---|---|"
    for best in tables.bests(rows, OURS):
        chance = tables.spread(best.chance.scores) if best.chance else "-"
        yield (
            f"| [{best.behavior}](#{best.behavior.lower()}) | {goals[best.behavior]['goal']:g} | {chance} | "
            f"{_cell(best.ours)} | {_cell(best.peer)} |"
        )
    yield ""


def _first(rows: list[Row], row: Row) -> str:
    """The variant with which a learner is shown where there is room for one: the one with the fewest steps."""
    own = [each for each in rows if (each.behavior, each.learner) == (row.behavior, row.learner)]
    return min(own, key=lambda each: each.steps).variant


def _cell(row: Row | None) -> str:
    if row is None:
        return "-"
    return f"{tables.spread(row.scores)} ({row.label}, {tables.counted(len(row.seeds))})"


def bounds_of(rows: list[Row], goals: dict) -> dict[str, tuple[float, float]]:
    """Returns of chance and of the goal, for the behaviours of which both are known."""
    chance = {row.behavior: fmean(row.scores) for row in rows if row.learner == CHANCE and row.scores}
    return {name: (chance[name], goals[name]["goal"]) for name in goals if name in chance}


def _comparison(rows: list[Row], goals: dict, pictures: Pictures) -> Iterator[str]:
    """Ours beside Stable-Baselines3, over the Gymnasium environments that all of them have trained on."""
    bounds = bounds_of(rows, goals)
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
    compared = {name: np.array([found[task][:seeds] for task in shared]).T for name, found in scores.items()}
    pictures[picture] = partial(plots.compared, compared, picture)
    yield "## Beside Stable-Baselines3\n"
    yield (
        f"Best actions on {', '.join(shared)}, {seeds} seeds each; intervals are stratified bootstraps "
        "(Agarwal et al., 2021, by rliable).\n"
    )
    yield f"![interquartile means, performance profiles, probability of improvement]({_link(picture)})\n"


def _behavior(rows: list[Row], goal: dict, pictures: Pictures) -> Iterator[str]:
    name = rows[0].behavior
    picture = PICTURES / f"{name}.png"
    pictures[picture] = partial(plots.curves, rows, picture, goal["goal"])
    why = f" ({goal['why']})" if "why" in goal else ""
    yield f"## {name}\n\nGoal: {goal['goal']:g}{why}.\n\n![learning curves of {name}]({_link(picture)})\n"
    rated = [row for row in rows if any(outcome.elo for outcome in row.outcomes)]
    if rated:
        picture = PICTURES / f"{name}-elo.png"
        pictures[picture] = partial(plots.ratings, rated, picture)
        yield f"![Elo of {name} in self-play]({_link(picture)})\n"
    yield "| learner | agent steps | exported model | each seed | best actions | training | minutes of a core |"
    yield "|---|---|---|---|---|---|---|"
    for row in rows:
        yield (
            f"| {row.label} | {row.steps:,} | {tables.spread(row.scores)} | {tables.each(row.scores)} | "
            f"{tables.spread(row.greedy)} | {tables.spread(row.training)} | {fmean(row.minutes):.1f} |"
        )
    yield ""


def _origin(found: list[Record]) -> Iterator[str]:
    """A row for each machine with its versions: the commits at which it trained, and how often."""
    yield "## Where the figures come from\n"
    yield "A commit with a + had changes that were not committed yet; each record says what it was trained with.\n"
    yield "| machine | versions | trainings by commit |\n|---|---|---|"
    groups: dict[tuple[str, str], Counter[str]] = {}
    for record in found:
        machine = f"{record.machine['processor']}, {record.machine['cores']} cores, Python {record.machine['python']}"
        versions = ", ".join(f"{name} {number}" for name, number in sorted(record.versions.items()))
        groups.setdefault((machine, versions), Counter())[record.commit] += 1
    for (machine, versions), commits in sorted(groups.items()):
        counts = ", ".join(f"{commit}: {count}" for commit, count in sorted(commits.items()))
        yield f"| {machine} | {versions} | {counts} |"
    yield ""


def _link(picture: Path) -> str:
    return picture.relative_to(PAGE.parent).as_posix()
