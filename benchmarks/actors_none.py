"""What the seam for actors costs a run that has none: `nox -s bench -- actors_none [--against REVISION]`.

Trains `configs/dqn/CartPole-v1.yaml` in process, in turns: by sources without `mlagents-plugin-ray`, of a revision or
of this one, and by these with `actors: {count: 0}`. Reported are seconds of the processor, which other programs on the
machine hardly change, and seconds of the clock. The first pair warms up and does not count.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from identical import ROOT, check_out

FILE = ROOT / "configs" / "dqn" / "CartPole-v1.yaml"
PACKAGE = "mlagents-plugin-ray"


def train(steps: int, actors: dict[str, Any] | None) -> dict[str, float]:
    """Trains in this process.

    Args:
        steps: agent steps.
        actors: what stands under `actors:`.
    """
    import _in_process  # by the sources that are on the path
    import yaml
    from mlagents.plugins.trainer_type import register_trainer_plugins

    register_trainer_plugins()  # imports them, which is no part of a training
    content = yaml.safe_load(FILE.read_text("utf-8"))
    for config in content["behaviors"].values():
        config.update(max_steps=steps, summary_freq=steps)
        if actors is not None:
            config["hyperparameters"]["actors"] = actors
    areas = content["env_settings"]["num_areas"]
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter(), time.process_time()
        _in_process.train(f"gym:{FILE.stem}", content, Path(folder), 1, lambda summary: None, areas)
        ended = time.perf_counter(), time.process_time()
    return {"clock": ended[0] - began[0], "processor": ended[1] - began[1]}


def timed(tree: Path, steps: int, actors: dict[str, Any] | None) -> dict[str, float]:
    """The same in a process of its own, by the sources of a tree; without actors without their package.

    Args:
        tree: root of a checkout.
        steps: agent steps.
        actors: what stands under `actors:`.
    """
    sources = [found for pattern in ("*/src", "packages/*/src") for found in sorted(tree.glob(pattern))]
    path = [str(each) for each in sources if actors is not None or each.parent.name != PACKAGE]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", str(Path(__file__)), "--child", str(steps), json.dumps(actors)]
    ran = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return dict(json.loads(ran.stdout.splitlines()[-1]))


def main() -> None:
    """Prints a line a repeat, and the medians."""
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(train(int(sys.argv[2]), json.loads(sys.argv[3]))))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", metavar="REVISION", help="whose sources are those without; default: these")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--steps", type=int, default=6000, help="agent steps of each training")
    options = parser.parse_args()
    ratios: dict[str, list[float]] = {"processor": [], "clock": []}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        before = ROOT
        if options.against:
            before = Path(folder)
            check_out(options.against, before)
        for repeat in range(options.repeats + 1):
            # Who begins takes turns, too: a machine that slows down would favour the first.
            kinds = [(before, None), (ROOT, {"count": 0})]
            order = kinds if repeat % 2 else kinds[::-1]
            taken = {tree_and[1] is not None: timed(tree_and[0], options.steps, tree_and[1]) for tree_and in order}
            if repeat == 0:
                continue
            for clock, values in ratios.items():
                values.append(taken[True][clock] / taken[False][clock])
            seconds = ", ".join(
                f"{taken[key]['processor']:.2f} s {name}" for key, name in ((False, "without"), (True, "0 actors"))
            )
            print(f"{repeat}: {seconds}, ratio {ratios['processor'][-1]:.3f}", flush=True)
    for clock, values in ratios.items():
        print(
            f"ratio of {clock} seconds: median {statistics.median(values):.3f}, {min(values):.3f} to {max(values):.3f}"
        )


if __name__ == "__main__":
    main()
