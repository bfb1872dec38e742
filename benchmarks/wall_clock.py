"""Time to a mean reward of 95 in 3DBall, A2C beside ML-Agents' own PPO with Unity's file: `nox -s bench -- wall_clock`.

Both learn in the player's scene through `mlagents-learn`, one after the other, seed by seed. The time is ML-Agents'
own, from the start of the run to the first summary (every 12,000 agent steps) at 95 or more.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import yaml
from _player import Summary, training
from published_rewards import settings

GOAL = 95.0
SCENE = "3DBall"
A2C_FILE = Path(__file__).parents[1] / "configs" / "a2c" / "3DBall.yaml"


def time_to_goal(behavior: dict[str, Any], seed: int) -> Summary | None:
    """The first summary at the goal, None if the run ends before."""
    with tempfile.TemporaryDirectory() as folder, training(SCENE, {SCENE: behavior}, Path(folder), seed) as summaries:
        return next((summary for summary in summaries if summary.reward >= GOAL), None)


def main() -> None:
    """Prints a line a run, and the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    seeds = parser.parse_args().seeds
    trainers = {
        "a2c, configs/a2c/3DBall.yaml": yaml.safe_load(A2C_FILE.read_text("utf-8"))["behaviors"][SCENE],
        "ppo, Unity's 3DBall.yaml": settings(SCENE)[SCENE],
    }
    seconds: dict[str, list[float]] = {name: [] for name in trainers}
    for seed in seeds:
        for name, behavior in trainers.items():
            reached = time_to_goal(behavior, seed)
            seconds[name].append(reached.seconds if reached else float("inf"))
            result = f"{reached.seconds:6.1f} s, {reached.step:,} agent steps" if reached else "not reached"
            print(f"seed {seed}  {name:30} {result}", flush=True)
    a2c, ppo = map(median, seconds.values())
    print(f"median: a2c {a2c:.1f} s, ppo {ppo:.1f} s: {a2c / ppo:.2f} of PPO's time")


if __name__ == "__main__":
    sys.exit(main())
