"""The command `mlagents-plot`."""

import argparse
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from mlagents_plugin_progress.differences import Group, grouped, of_unknown_settings
from mlagents_plugin_progress.run_reading import RunError, read_runs
from mlagents_plugin_progress.streams import EncodableStream

FAILED = 1
FORMATS = (".png", ".svg", ".pdf")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        arguments: the command line; without it the process's own.

    Returns:
        The exit code.
    """
    command = _parser()
    options = command.parse_args(arguments)
    if options.output.suffix.lower() not in FORMATS:
        command.error(f"--output {options.output}: the name of the picture ends in {', '.join(FORMATS)}")
    if not 0 <= options.smoothing < 1:
        command.error(f"--smoothing {options.smoothing:g} is not in [0, 1)")
    try:
        with warnings.catch_warnings(record=True) as said:
            _draw(options)
    except RunError as error:
        _complain(str(error))
        return FAILED
    except OSError as error:
        _complain(f"{options.output} cannot be written: {error.strerror or error}")
        return FAILED
    if any("missing from" in str(each.message) for each in said):
        _complain("a character of a name is not in matplotlib's font, and is drawn as a box; an .svg keeps it as text")
    print(f"wrote {options.output}", file=EncodableStream(sys.stdout))
    return 0


def _draw(options: argparse.Namespace) -> None:
    found = dict(read_runs(options.runs, options.tag, lambda line: _complain(f"left out: {line}")))
    runs = list(found)
    if not options.no_groups and len(runs) > 1 and (unknown := of_unknown_settings(runs)):
        _complain(f"{unknown}; each is a line of its own")
    groups = [Group(run.name, [run]) for run in runs] if options.no_groups else grouped(runs)
    from mlagents_plugin_progress.learning_curves import Line, Look, draw  # matplotlib, which takes a second

    behaviors = dict.fromkeys(behavior for each in found.values() for behavior in each)
    panels = {}
    for behavior in behaviors:
        lines = [
            Line(group.label, [found[run][behavior] for run in group.runs if behavior in found[run]])
            for group in groups
        ]
        panels[behavior] = [line for line in lines if line.curves]
    look = Look(options.by == "time", options.smoothing, options.tag or "mean episode reward")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    draw(panels, look, options.output)


def _complain(line: str) -> None:
    print(f"mlagents-plot: {line}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    command = argparse.ArgumentParser(
        prog="mlagents-plot",
        description="Draw learning curves of runs. Runs that differ in their seeds alone become one line, their "
        "interquartile mean, with its 95 %% bootstrap interval as a band.",
        epilog="Example: mlagents-plot results/basic-1 results/basic-2 results/ppo --output basic.png",
    )
    command.add_argument(
        "runs", nargs="+", metavar="RUN", help="folder of a run, results/<run-id>, or a pattern of them"
    )
    command.add_argument(
        "--output", type=Path, default=Path("curves.png"), help="the picture: .png, .svg or .pdf (curves.png)"
    )
    command.add_argument("--by", choices=("steps", "time"), default="steps", help="what the curves go by (steps)")
    command.add_argument(
        "--tag",
        help="statistic to draw, as TensorBoard names it; without it the mean episode reward, the group's included",
    )
    command.add_argument(
        "--smoothing",
        type=float,
        default=0.0,
        metavar="WEIGHT",
        help="moving average, with this weight of the past, as TensorBoard's slider (0: as it was logged)",
    )
    command.add_argument("--no-groups", action="store_true", help="a line for every run, seeds too")
    return command


if __name__ == "__main__":
    sys.exit(main())
