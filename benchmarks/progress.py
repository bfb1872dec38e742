"""What showing the progress of a run costs: `nox -s bench -- progress`.

A run of PPO in the player's scene Basic, in a terminal. All that ML-Agents calls of the progress, and all that is
printed above the live lines, is timed inside of the run that it is a part of: the share is a ratio of one run, so that
a slow or busy machine does not change it. Basic has few agents and small networks: its steps are quick, and a share of
a run's time is larger here than in most others.
"""

import argparse
import json
import os
import select
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from _player import SCRIPTS, free_port

SETTINGS = {
    "trainer_type": "ppo",
    "hyperparameters": {"batch_size": 128, "buffer_size": 2048},
    "network_settings": {"hidden_units": 32, "num_layers": 1},
    "time_horizon": 32,
}

# Stands for the command mlagents-learn: the same, with a stopwatch around what belongs to the progress.
TIMED = """
import functools, json, sys, time

from mlagents.trainers import learn

from mlagents_plugin_progress.live import LiveLines
from mlagents_plugin_progress.progress_writer import ProgressWriter

spent, calls, depth = 0.0, 0, 0

def timed(function):
    @functools.wraps(function)
    def wrapped(*arguments, **options):
        global spent, calls, depth
        depth += 1
        began = time.perf_counter()
        try:
            return function(*arguments, **options)
        finally:
            depth -= 1
            if not depth:  # a call within a call is in it
                spent += time.perf_counter() - began
                calls += 1
    return wrapped

for owner, names in {
    ProgressWriter: ("on_add_stat", "write_stats", "add_property", "close"),
    LiveLines: ("_print",),
}.items():
    for name in names:
        setattr(owner, name, timed(getattr(owner, name)))

file, *sys.argv[1:] = sys.argv[1:]
began = time.perf_counter()
learn.main()
for writer in learn.StatsReporter.writers:
    if isinstance(writer, ProgressWriter):
        writer.close()
took = time.perf_counter() - began
with open(file, "w") as stream:
    json.dump({"seconds": took, "progress": spent, "calls": calls}, stream)
"""


def main() -> None:
    """Read the command line, run, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=20_000, help="agent steps of the run")
    parser.add_argument("--summary-freq", type=int, default=1000)
    options = parser.parse_args()
    print("| shown as | seconds | in the progress | calls | share |")
    print("|---|---|---|---|---|")
    for how in ("on", "plain"):
        with tempfile.TemporaryDirectory() as folder:
            found = measure(Path(folder), how, {"max_steps": options.steps, "summary_freq": options.summary_freq})
        share = found["progress"] / found["seconds"]
        print(f"| {how} | {found['seconds']:.1f} | {found['progress']:.3f} | {found['calls']:,} | {share:.2%} |")


def measure(folder: Path, how: str, settings: dict[str, int]) -> dict[str, float]:
    """Seconds of a run, and those of its progress.

    Args:
        folder: empty folder to work in.
        how: value of `MLAGENTS_PROGRESS`.
        settings: of the behaviour, beside `SETTINGS`.
    """
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump({"behaviors": {"Basic": {**SETTINGS, **settings}}}), encoding="utf-8")
    subprocess.run([SCRIPTS / "mlagents-player", "build", "Basic", "--output", folder], check=True, capture_output=True)
    arguments = [config, "--env", folder / "Basic", "--base-port", free_port(), "--torch-device", "cpu"]
    script = folder / "timed.py"
    script.write_text(TIMED, encoding="utf-8")
    line = [sys.executable, "-W", "ignore", script, folder / "times.json", *arguments]
    run_in_terminal(list(map(str, line)), folder, {**os.environ, "MLAGENTS_PROGRESS": how, "TERM": "xterm"})
    return json.loads((folder / "times.json").read_text())


def run_in_terminal(line: list[str], folder: Path, environment: dict[str, str]) -> None:
    """Runs a program in a terminal of 80 columns, and reads what it draws, as a terminal would."""
    import fcntl  # of POSIX alone
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    with subprocess.Popen(line, cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        drawn = b""
        while process.poll() is None:
            if select.select([ours], [], [], 1.0)[0]:
                try:
                    drawn += os.read(ours, 65536)
                except OSError:  # Linux: the other side is closed
                    break
    os.close(ours)
    if process.returncode:
        sys.exit(f"the run ended with code {process.returncode}: {drawn[-2000:].decode(errors='replace')}")


if __name__ == "__main__":
    main()
