"""What READMEs and the headers of configurations say of their results, made of the records alone.

A plugin's README has a table between two comments, `<!-- results: pqn -->` and `<!-- end of results: pqn -->`; the
front pages, the repository's README and the site's, have one of everything between `<!-- results: all -->` and its end,
and the page about which algorithm to pick one of what is learned in which time, `<!-- results: minutes -->`.
The header of a file of configs/ has its lines `Wall-clock` and `Seeds` from here as soon as there are records of what
the file says now; records of former values count no more.
"""

import re
import textwrap
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean

from mlagents_player.scenes import GYMNASIUM
from results import page, records, suites, tables
from results.page import OURS
from results.records import Record
from results.suites import CONFIGS, ROOT, learner_config
from results.tables import Row

FRONT_PAGES = (ROOT / "README.md", ROOT / "docs" / "index.md")
CHOICE_PAGE = ROOT / "docs" / "choosing.md"
REACHED = 0.99
"""How far on the way from chance to a goal it counts as reached."""
LEAST_SEEDS = 3
"""A tuned configuration that was trained on fewer is not among those from which one learns what to expect."""
_INDENT = 15
_WIDTH = 120


def by_file(found: Iterable[Record]) -> dict[Path, list[Record]]:
    """The records of each file of configs/ as it is now, by rising seed.

    Args:
        found: all that there are.
    """
    gathered: dict[Path, list[Record]] = {}
    for record in sorted(found, key=lambda each: each.training.seed):
        training = record.training
        file = CONFIGS / training.learner / f"{training.scene.removeprefix(GYMNASIUM)}.yaml"
        if file.is_file() and training.config == learner_config(*_names(record)):
            gathered.setdefault(file, []).append(record)
    return gathered


def _names(record: Record) -> tuple[str, str]:
    return record.training.learner, record.training.scene


def header(text: str, found: list[Record]) -> str:
    """A configuration's text, with the lines of its header that records have.

    Args:
        text: of the file.
        found: its records.
    """
    text = _with_fact(text, "Wall-clock", f"{_minutes(found)} minutes of one core, in one process")
    return _with_fact(text, "Seeds", f"{seeds(found)}, exported models: {_scores(found)} ({_command(found[0])})")


def _with_fact(text: str, name: str, fact: str) -> str:
    first, others = f"# {name + ':':{_INDENT - 2}}", "#" + " " * (_INDENT - 1)
    written = textwrap.fill(
        fact, _WIDTH, initial_indent=first, subsequent_indent=others, break_on_hyphens=False, break_long_words=False
    )
    return re.sub(rf"^# {name}:.*\n(?:#  +.*\n)*", lambda _: f"{written}\n", text, count=1, flags=re.MULTILINE)


def seeds(found: list[Record]) -> str:
    """`101 to 105`, or `101, 103`."""
    numbers = [record.training.seed for record in found]
    if len(numbers) > 2 and numbers == list(range(numbers[0], numbers[-1] + 1)):
        return f"{numbers[0]} to {numbers[-1]}"
    return ", ".join(map(str, numbers))


def _scores(found: list[Record]) -> str:
    rows = tables.rows(found)
    each = {row.behavior: tables.each(row.scores) for row in rows}
    if len(each) == 1:
        return next(iter(each.values()))
    return "; ".join(f"{behavior} {scores}" for behavior, scores in each.items())


def _minutes(found: list[Record]) -> str:
    return _range([record.cpu_seconds / 60 for record in found])


def _range(minutes: list[float]) -> str:
    """`4.6 to 5.9`, or `4.6`."""
    shortest, longest = f"{min(minutes):.1f}", f"{max(minutes):.1f}"
    return shortest if shortest == longest else f"{shortest} to {longest}"


def _command(record: Record) -> str:
    learner, scene = _names(record)
    return f"nox -s results -- full --only {learner}-{scene.removeprefix(GYMNASIUM)}"


def table(learner: str, found: dict[Path, list[Record]], goals: dict) -> str:
    """The table of a plugin's README: a row a behaviour.

    Args:
        learner: its trainer type.
        found: the records of each file.
        goals: of each behaviour.
    """
    head = ["behaviour", "agent steps", "goal", "exported model, each seed", "best actions", "training"]
    rows = [row for file in sorted(found) for row in _rows(learner, found[file], goals)]
    return "\n".join(map(_line, [[*head, "minutes of a core", "seeds"], ["---"] * 8, *rows]))


def _rows(learner: str, found: list[Record], goals: dict) -> list[list[str]]:
    return [
        [
            f"{row.behavior}, with demonstrations" if row.demonstrations else row.behavior,
            f"{row.steps:,}",
            f"{goals[row.behavior]['goal']:g}",
            tables.each(row.scores),
            tables.spread(row.greedy),
            tables.spread(row.training),
            _minutes(found),
            seeds(found),
        ]
        for row in tables.rows(found)
        if row.learner == learner
    ]


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def front(rows: list[Row], goals: dict) -> str:
    """What the front pages say: how many goals ours reach, and a row for each behaviour that one of ours trained on.

    Args:
        rows: of all records, best first.
        goals: of each behaviour.
    """
    bounds = page.bounds_of(rows, goals)
    bests = [best for best in tables.bests([row for row in rows if row.scores], OURS) if best.ours]
    solved = sum(_reaches_goal(best.ours, bounds.get(best.behavior)) for best in bests if best.ours)
    lines = [["behaviour", "chance", "goal", "the best of ours", "the best of others"]]
    lines.append(["---"] * len(lines[0]))
    for best in bests:
        chance = tables.spread(best.chance.scores) if best.chance else "-"
        figures = [_figure(row, bounds.get(best.behavior)) for row in (best.ours, best.peer)]
        lines.append([best.behavior, chance, f"{goals[best.behavior]['goal']:g}", *figures])
    summary = (
        f"Of {len(bests)} behaviours, ours reach the goal in {solved}: 99 percent of the way from chance to it, or "
        "further, in the mean of three seeds or more. Figures that do are in **bold**."
    )
    return "\n".join([summary, "", *map(_line, lines)])


def _reaches_goal(row: Row, bounds: tuple[float, float] | None) -> bool:
    """Whether seeds enough do, in the mean; not where chance or the goal is not known."""
    if bounds is None or len(row.seeds) < LEAST_SEEDS:
        return False
    chance, goal = bounds
    return (fmean(row.scores) - chance) / (goal - chance) >= REACHED


def _figure(row: Row | None, bounds: tuple[float, float] | None) -> str:
    """`**100.0** (FlashSAC, 30,000 steps; 5 seeds, the worst 99.5)`, in bold where seeds enough reach the goal.

    Args:
        row: whose.
        bounds: returns of chance and of the goal, where both are known.
    """
    if row is None:
        return "-"
    figure, worst = tables.spread([fmean(row.scores)]), tables.spread([min(row.scores)])
    of_seeds = tables.counted(len(row.seeds)) + (f", the worst {worst}" if worst != figure else "")
    if _reaches_goal(row, bounds):
        figure = f"**{figure}**"
    return f"{figure} ({row.name}, {row.steps:,} steps; {of_seeds})"


def times(found: dict[Path, list[Record]], rows: list[Row]) -> str:
    """The table of the files that say that they are tuned and have enough seeds, and of ML-Agents' beside them.

    The quickest of a scene is first.

    Args:
        found: the records of each file.
        rows: of all records.
    """
    tuned = {tables.rows(own)[0]: file for file, own in found.items() if len(own) >= LEAST_SEEDS and is_tuned(file)}
    scenes = {row.scene for row in tuned}
    stock = [
        row for row in rows if row.learner in tables.STOCK and row.scene in scenes and len(row.seeds) >= LEAST_SEEDS
    ]
    head = ["scene", "learner", "agent steps", "exported model", "minutes of a core", "seeds"]
    lines = [
        [
            row.scene.removeprefix(GYMNASIUM),
            _linked(tuned[row], row) if row in tuned else row.name,
            f"{row.steps:,}",
            tables.spread(row.scores),
            _range(row.minutes),
            str(len(row.seeds)),
        ]
        for row in sorted([*tuned, *stock], key=lambda each: (each.scene, fmean(each.minutes)))
    ]
    return "\n".join(map(_line, [head, ["---"] * len(head), *lines]))


def _linked(file: Path, row: Row) -> str:
    """A configuration's name, as the page about which algorithm to pick links to it."""
    name = file.relative_to(CONFIGS).as_posix()
    return f"[`{name}`](../configs/{name})" + (", with demonstrations" if row.demonstrations else "")


def is_tuned(file: Path) -> bool:
    """Whether a configuration's header says so.

    Args:
        file: of configs/.
    """
    return re.search(r"^# Status: +tuned$", file.read_text("utf-8"), re.MULTILINE) is not None


def written() -> dict[Path, str]:
    """What each README and configuration of which there are records should say: its whole text."""
    known = records.load()
    found = by_file(known)
    goals = suites.goals()
    texts = {file: header(file.read_text("utf-8"), own) for file, own in found.items()}
    for readme in sorted(ROOT.glob("packages/*/README.md")):
        text = readme.read_text("utf-8")
        for learner in re.findall(r"<!-- results: (\S+) -->", text):
            texts[readme] = text = _with_table(text, learner, table(learner, found, goals))
    rows = tables.rows(page.of_suites(known))
    of_all = front(rows, goals)
    texts[CHOICE_PAGE] = _with_table(CHOICE_PAGE.read_text("utf-8"), "minutes", times(found, rows))
    texts.update({file: _with_table(file.read_text("utf-8"), "all", of_all) for file in FRONT_PAGES})
    return texts


def _with_table(text: str, name: str, rows: str) -> str:
    begin, end = f"<!-- results: {name} -->", f"<!-- end of results: {name} -->"
    return re.sub(f"{begin}.*?{end}", lambda _: f"{begin}\n\n{rows}\n\n{end}", text, flags=re.DOTALL)


def write() -> list[Path]:
    """Writes what differs.

    Returns:
        The files that did.
    """
    changed = {file: text for file, text in written().items() if text != file.read_text("utf-8")}
    for file, text in changed.items():
        file.write_text(text, encoding="utf-8", newline="\n")
    return list(changed)
