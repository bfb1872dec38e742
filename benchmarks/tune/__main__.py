"""The command line: `nox -s tune -- configs/dqn/Basic.yaml`."""

import argparse
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import yaml
from results.suites import ROOT
from rich.console import Console

from mlagents_player.scenes import GYMNASIUM, names
from tune import report
from tune.errors import TuneError
from tune.tuning import FINAL, WHOLE, Request, Tuning

FOLDER = ROOT / "results" / "tune"
STOPPED = 130


def positive(text: str) -> int:
    """A whole number above 0, as `1000`, `10_000` or `1e5`."""
    number = float(text)
    if not (number >= 1 and number.is_integer()):
        raise argparse.ArgumentTypeError(f"{text} is no whole number above 0")
    return int(number)


def seconds(text: str) -> float:
    """A time, as `90`, `90s`, `30m` or `2h`."""
    match = re.fullmatch(r"(\d+\.?\d*)([smh]?)", text)
    if match is None or float(match[1]) == 0:
        raise argparse.ArgumentTypeError(f"{text} is no time; write 90s, 30m or 2h")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]


def parse(arguments: list[str]) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(prog="nox -s tune --", description="Searches hyperparameters of a configuration.")
    parser.add_argument("config", type=Path, help="a file that is named after a scene or a Gymnasium environment")
    parser.add_argument("--trials", type=positive, default=30, help="trials in all, also when it goes on (default: 30)")
    parser.add_argument("--seeds", type=positive, default=1, help="seeds of each trial (default: 1)")
    parser.add_argument("--steps", type=positive, help="agent steps of a trial (default: the file's max_steps)")
    parser.add_argument("--timeout", type=seconds, help="stop after this time, as 30m or 2h; the next call goes on")
    parser.add_argument("--jobs", type=positive, default=1, help="trials at a time (default: 1)")
    parser.add_argument("--keys", nargs="+", default=[], metavar="KEY", help="search these keys alone")
    parser.add_argument("--behavior", nargs="+", default=[], metavar="NAME", help="tune these behaviours alone")
    judged = "judge by the last tenth of a training, or by all of it, which fast learners win (default: final)"
    parser.add_argument("--by", choices=(FINAL, WHOLE), default=FINAL, help=judged)
    ends = "what ends hopeless trials early (default: median)"
    parser.add_argument("--pruner", choices=("median", "hyperband", "none"), default="median", help=ends)
    parser.add_argument("--name", help="of the folder in results/tune (default: that of the file, as dqn-Basic)")
    return parser.parse_args(arguments)


def request_of(options: argparse.Namespace) -> Request:
    """What the options ask for.

    Raises:
        TuneError: the file is not there, is no YAML, or is named after nothing that can be played.
    """
    file: Path = options.config
    try:
        content = yaml.safe_load(file.read_text("utf-8"))
    except OSError as error:
        raise TuneError(f"{file}: {error.strerror or error}") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: of bytes that are no UTF-8, and of impossible dates
        raise TuneError(f"{file} is no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise TuneError(f"{file} has no behaviors")
    scene = f"{GYMNASIUM}{file.stem}" if re.search(r"-v\d+$", file.stem) else file.stem
    if scene == file.stem and scene not in names():
        raise TuneError(f"{file}: no scene is called {scene}; name the file after one: {', '.join(names())}")
    folder = FOLDER / (options.name or f"{file.resolve().parent.name}-{file.stem}")
    asked = {name: getattr(options, name) for name in ("trials", "seeds", "steps", "timeout", "jobs", "by", "pruner")}
    return Request(content, scene, folder, only=options.keys, behaviors=options.behavior, **asked)


def main() -> int:
    """Searches, and writes the best configuration so far.

    Returns:
        The exit code: 1 where it cannot be searched, 130 after Ctrl+C.
    """
    arguments = sys.argv[1:]
    options = parse(arguments)
    words = ["nox", "-s", "tune", "--", *arguments]
    command = subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)
    console = Console(stderr=True)
    code = 0
    try:
        tuning = Tuning(request_of(options), console)
        try:
            tuning.run()
        except KeyboardInterrupt:
            code = STOPPED
        except TuneError as error:
            print(f"tune: {error}", file=sys.stderr)
            code = 1
        _conclude(tuning, options.config.stem, command)
    except TuneError as error:
        print(f"tune: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return STOPPED
    return code


def _conclude(tuning: Tuning, stem: str, command: str) -> None:
    console = Console()
    report.show(tuning, console)
    if file := report.write(tuning, stem, command):
        shown = file.relative_to(ROOT) if ROOT in file.parents else file
        print(f"\nThe best of them:\n    {shown}\nTo train it:\n    nox -s learn -- {shown}")
    if len(tuning.ended()) < tuning.request.trials:
        print(f"\nTo go on where it stopped, in the middle of a trial:\n    {command}")


if __name__ == "__main__":
    sys.exit(main())
