"""The command `mlagents-compare`."""

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mlagents_plugin_progress.differences import SEED, differing, of_unknown_settings, short_keys, shown
from mlagents_plugin_progress.event_files import Point
from mlagents_plugin_progress.glyphs import UNFOLDED, count, duration, encodable, number, speed
from mlagents_plugin_progress.run_reading import Run, RunError, read_runs
from mlagents_plugin_progress.streams import EncodableStream

FAILED = 1


class Outcome(NamedTuple):
    """What one behaviour of a run has reached.

    Attributes:
        number: of the run, in the order of the command line.
        run: the run.
        behavior: the behaviour.
        last: its last point.
        best: the point with the highest value.
        reached: the first point at the threshold or above; None where there is none.
    """

    number: int
    run: Run
    behavior: str
    last: Point
    best: Point
    reached: Point | None

    @property
    def steps_per_second(self) -> float | None:
        """Over the whole training."""
        return self.last.step / self.last.seconds if self.last.seconds > 0 else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        arguments: the command line; without it the process's own.

    Returns:
        The exit code.
    """
    options = _parser().parse_args(arguments)
    try:
        found = read_runs(options.runs, options.tag, lambda line: _complain(f"left out: {line}"))
    except RunError as error:
        _complain(str(error))
        return FAILED
    runs = [run for run, _ in found]
    if len(runs) > 1 and (unknown := of_unknown_settings(runs)):
        _complain(unknown)
    outcomes = [
        _outcome(place, run, behavior, curve, options.threshold)
        for place, (run, curves) in enumerate(found, 1)
        for behavior, curve in curves.items()
    ]
    if options.json:
        values = differing(runs)
        print(json.dumps([_as_json(outcome, values, options.threshold) for outcome in outcomes], indent=2))
    else:
        tables = [_results(outcomes, options.threshold), *_settings(runs)]
        _print_markdown(tables) if options.markdown else _print(tables)
    return 0


def _complain(line: str) -> None:
    print(f"mlagents-compare: {line}", file=sys.stderr)


def _outcome(place: int, run: Run, behavior: str, curve: list[Point], threshold: float | None) -> Outcome:
    reached = None
    if threshold is not None:
        reached = next((point for point in curve if point.value >= threshold), None)
    best = max(curve, key=lambda point: -math.inf if math.isnan(point.value) else point.value)
    return Outcome(place, run, behavior, curve[-1], best, reached)


class Rows(NamedTuple):
    """A table: its title, its headings and its rows; all but the first columns are numbers."""

    title: str
    heads: list[str]
    rows: list[list[str]]
    texts: int


def _results(outcomes: Sequence[Outcome], threshold: float | None) -> Rows:
    heads = ["#", "Run", "Behavior", "Last", "Best", "At step"]
    heads += [f"Steps to {threshold:g}"] if threshold is not None else []
    heads += ["Steps", "Steps/s", "Time"]
    rows = []
    for each in outcomes:
        reached = [count(each.reached.step) if each.reached else "never"] if threshold is not None else []
        best = [number(each.best.value), count(each.best.step)]
        how_fast = [count(each.last.step), speed(each.steps_per_second), duration(each.last.seconds)]
        rows.append(
            [str(each.number), each.run.name, each.behavior, number(each.last.value), *best, *reached, *how_fast]
        )
    return Rows("", heads, rows, 3)


def _settings(runs: Sequence[Run]) -> list[Rows]:
    """What differs, a row a setting and a column a run; a single run differs in nothing."""
    values = {SEED: [(run.settings or {}).get(SEED) for run in runs], **differing(runs)}
    names = short_keys(list(values))
    is_known = [run.settings is not None for run in runs]
    rows = [
        [names[key], *(shown(value) if known else "?" for value, known in zip(each, is_known, strict=True))]
        for key, each in values.items()
    ]
    rows = [row for row in rows if len(set(row[1:])) > 1]
    heads = ["Setting", *(str(place) for place in range(1, len(runs) + 1))]
    return [Rows("What differs", heads, rows, 1)] if rows else []


def _print(tables: Sequence[Rows]) -> None:
    stream = EncodableStream(sys.stdout)
    is_terminal = stream.isatty()
    console = Console(
        file=stream,  # type: ignore[arg-type]
        force_terminal=is_terminal,
        width=None if is_terminal else UNFOLDED,  # a program reads whole rows
        highlight=False,
        markup=False,
        emoji=False,
    )
    for each in tables:
        if each.title:
            console.print(Text(each.title))
        drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for place, head in enumerate(each.heads):
            drawn.add_column(Text(head), justify="left" if place < each.texts else "right", overflow="fold")
        for row in each.rows:  # with what the encoding lacks replaced before widths are taken
            drawn.add_row(*(Text(encodable(cell, stream.encoding)) for cell in row))
        console.print(drawn)
        console.print()


def _print_markdown(tables: Sequence[Rows]) -> None:
    stream = EncodableStream(sys.stdout)
    for each in tables:
        sides = [":--" if place < each.texts else "--:" for place in range(len(each.heads))]
        for row in (each.heads, sides, *each.rows):
            cells = " | ".join(" ".join(cell.replace("|", r"\|").splitlines()) for cell in row)
            print(f"| {cells} |", file=stream)
        print(file=stream)


def _as_json(outcome: Outcome, values: Mapping[str, list[Any]], threshold: float | None) -> dict[str, Any]:
    settings = outcome.run.settings
    reached = {"threshold": threshold, "steps_to_threshold": outcome.reached.step if outcome.reached else None}
    return {
        "run": outcome.run.name,
        "behavior": outcome.behavior,
        "last": _or_null(outcome.last.value),
        "best": _or_null(outcome.best.value),
        "best_step": outcome.best.step,
        **(reached if threshold is not None else {}),
        "steps": outcome.last.step,
        "steps_per_second": outcome.steps_per_second,
        "seconds": outcome.last.seconds,
        "seed": settings.get(SEED) if settings is not None else None,
        "differs": {key: each[outcome.number - 1] for key, each in values.items()} if settings is not None else None,
    }


def _or_null(value: float) -> float | None:
    """JSON has no word for what is not finite."""
    return value if math.isfinite(value) else None


def _parser() -> argparse.ArgumentParser:
    command = argparse.ArgumentParser(
        prog="mlagents-compare",
        description="Compare runs: last and best reward, steps to a threshold, speed, and the settings that differ.",
        epilog='Example: mlagents-compare "results/basic-*" results/ppo --threshold 0.9',
    )
    command.add_argument(
        "runs", nargs="+", metavar="RUN", help="folder of a run, results/<run-id>, or a pattern of them"
    )
    command.add_argument(
        "--threshold", type=float, metavar="REWARD", help="also say after how many steps it was reached first"
    )
    command.add_argument(
        "--tag",
        help="statistic to compare, as TensorBoard names it; without it the mean episode reward, the group's included",
    )
    form = command.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--markdown", action="store_true", help="print Markdown")
    return command


if __name__ == "__main__":
    sys.exit(main())
