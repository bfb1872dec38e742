"""What a run does before its first step: `nox -s bench -- startup`.

`mlagents-learn` in the player's scene Basic, with ML-Agents' PPO and with trainers of ours, up to the moment when the
first step of the scene has come back. Of the process that trains, and of the player and the process beside it, which
start meanwhile: seconds of CPU, and seconds by the clock for all. Trainers take turns, and medians are printed, after
one start to warm up the caches; on a busy machine only CPU seconds say something. The second table is of the imports of
one start of each: milliseconds of the modules themselves, by package, of the ones that cost most.

`--plain` also starts PPO without any plugin of ours, which is what they cost everybody.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from _player import SCRIPTS, free_port
from results.suites import CONFIGS, PEERS

IMPORT = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)")

# Stands for the command mlagents-learn: the same, up to the first step.
UP_TO_THE_FIRST_STEP = """
import json, os, sys, time

file, without, began, *sys.argv[1:] = sys.argv[1:]
if without:
    import _plain
    _plain.hide_plugins()

from mlagents.trainers import learn
from mlagents.trainers.trainer_controller import TrainerController

advance = TrainerController.advance

def first_step(*arguments):
    steps = advance(*arguments)
    if steps:
        import psutil
        wall = time.time() - float(began)
        own = psutil.Process()
        others = own.children(recursive=True)
        cpu, *beside = [sum(each.cpu_times()[:2]) for each in (own, *others)]
        with open(file, "w") as stream:
            json.dump({"seconds": wall, "cpu": cpu, "beside": sum(beside)}, stream)
        sys.stderr.flush()
        for each in others:
            each.kill()
        os._exit(0)
    return steps

TrainerController.advance = first_step
learn.main()
"""


def main() -> None:
    """Read the command line, start, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trainers", nargs="+", default=["dqn", "a2c"], help="of ours, with a file for Basic")
    parser.add_argument("--plain", action="store_true", help="PPO without any plugin of ours too")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--imports", type=int, default=8, help="packages in the table of imports")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        starts = prepare(folder, options.trainers, plain=options.plain)
        times: dict[str, list[dict[str, float]]] = {each: [] for each in starts}
        for repeat in range(options.repeats + 1):
            for each, (config, without) in starts.items():
                found, _ = start(folder, config, without=without)
                if repeat:
                    times[each].append(found)
        print("| trainer | seconds | CPU seconds | CPU seconds beside it |")
        print("|---|---|---|---|")
        for each, measured in times.items():
            middle = [statistics.median(one[key] for one in measured) for key in ("seconds", "cpu", "beside")]
            print(f"| {each} | {' | '.join(f'{number:.2f}' for number in middle)} |")
        print()
        print_imports({each: imports(folder, *arguments) for each, arguments in starts.items()}, options.imports)


def prepare(folder: Path, trainers: list[str], *, plain: bool) -> dict[str, tuple[Path, bool]]:
    """Builds the player; the settings of each kind of start, and whether it is without plugins of ours."""
    subprocess.run([SCRIPTS / "mlagents-player", "build", "Basic", "--output", folder], check=True, capture_output=True)
    ppo = PEERS / "ppo" / "Basic.yaml"
    starts = {"ppo without plugins": (ppo, True)} if plain else {}
    starts["ppo"] = ppo, False
    return {**starts, **{trainer: (CONFIGS / trainer / "Basic.yaml", False) for trainer in trainers}}


def start(folder: Path, config: Path, *options: str, without: bool = False) -> tuple[dict[str, float], str]:
    """Seconds of one start, and what it wrote to standard error.

    Args:
        folder: with the player, to work in.
        config: settings of the run.
        options: of Python.
        without: leave all plugins of ours out.
    """
    script, times = folder / "first_step.py", folder / "times.json"
    script.write_text(UP_TO_THE_FIRST_STEP, encoding="utf-8")
    arguments = [config, "--env", folder / "Basic", "--force", "--base-port", free_port(), "--torch-device", "cpu"]
    line = [sys.executable, "-W", "ignore", *options, script, times, "x" if without else "", time.time(), *arguments]
    ran = subprocess.run(list(map(str, line)), cwd=folder, capture_output=True, text=True, errors="replace")
    if ran.returncode:
        sys.exit(f"the run ended with code {ran.returncode}: {ran.stdout[-1000:]}{ran.stderr[-1000:]}")
    return json.loads(times.read_text(encoding="utf-8")), ran.stderr


def imports(folder: Path, config: Path, without: bool) -> Counter[str]:
    """Microseconds of the modules of each package, without those that they import in turn."""
    _, said = start(folder, config, "-X", "importtime", without=without)
    found: Counter[str] = Counter()
    for microseconds, module in IMPORT.findall(said):
        found[module.partition(".")[0]] += int(microseconds)
    return found


def print_imports(found: dict[str, Counter[str]], count: int) -> None:
    """A table of the packages that cost most, and of all together."""
    most = sum(found.values(), Counter[str]()).most_common(count)
    print(f"| imports, ms | {' | '.join(found)} |")
    print(f"|---|{'---|' * len(found)}")
    for package, _ in most:
        print(f"| {package} | {' | '.join(f'{each[package] / 1000:.0f}' for each in found.values())} |")
    print(f"| all | {' | '.join(f'{each.total() / 1000:.0f}' for each in found.values())} |")


if __name__ == "__main__":
    main()
