"""Time to a mean reward, learner beside learner: `nox -s bench -- wall_clock Hallway 0.7 pqn dqn ppo --seeds 1 2 3`.

Each learns in this process, on one thread, from the file of configs/ or of results/peers (Unity's own values) that is
named after the scene, one after the other, seed by seed; the player's scene or Gymnasium environment runs beside it in
the same process. The time ends once the mean of the last five summaries is at the goal, since a single one of few
episodes may be luck; none counts before each agent has had the time of the longest episode, since only short ones,
maybe the good ones, have ended until then. A run that ends before, or that takes `--factor` times as long as the first
learner took with that seed, has not reached it. Seconds are those of the processor, which other work on the machine
does not lengthen.
"""

import argparse
import copy
import math
import sys
import tempfile
import time
from collections import deque
from pathlib import Path
from statistics import fmean, median
from typing import Any, NamedTuple

from _in_process import Enough, Summary, train
from results.suites import SuiteError, learner_config

from mlagents_player import scenes

SUMMARIES = 100
"""Of a run to its `max_steps`: they say when a goal was reached."""

WINDOW = 5
"""Summaries whose mean has to be at the goal."""


class Reached(NamedTuple):
    """Where a training ended.

    Attributes:
        seconds: of the processor.
        step: agent steps of the behaviour.
        reward: mean of the last `WINDOW` summaries.
        is_there: it is at the goal.
    """

    seconds: float
    step: int
    reward: float
    is_there: bool


def watched(config: dict[str, Any]) -> dict[str, Any]:
    """A file with summaries that are fine enough, and without checkpoints on the way."""
    config = copy.deepcopy(config)
    for behavior in config["behaviors"].values():
        steps = int(float(behavior["max_steps"]))
        behavior.update(summary_freq=max(steps // SUMMARIES, 1), checkpoint_interval=steps + 1)
    return config


def steps_of_an_episode(scene: str, areas: int) -> int:
    """Agent steps until all agents of a scene have had the time of its longest episode; 0 where it has no limit."""
    found = scenes.load(scene)
    return areas * found.areas * found.agents_per_area * (found.max_step // found.decision_period)


def time_to_goal(config: dict[str, Any], scene: str, goal: float, seed: int, longest: float) -> Reached:
    """Trains until the last summaries are at the goal, or for so many seconds."""
    last = Reached(0.0, 0, -math.inf, False)
    areas = int(config.get("env_settings", {}).get("num_areas", 1))
    least = steps_of_an_episode(scene, areas)
    rewards: deque[float] = deque(maxlen=WINDOW)
    began = time.process_time()

    def note(summary: Summary) -> None:
        nonlocal last
        if summary.step > least:
            rewards.append(summary.reward)
        mean = fmean(rewards) if rewards else -math.inf
        last = Reached(time.process_time() - began, summary.step, mean, len(rewards) == WINDOW and mean >= goal)
        if last.is_there or last.seconds > longest:
            raise Enough

    with tempfile.TemporaryDirectory() as folder:
        train(scene, watched(config), Path(folder), seed, note, areas)
    return last


def table(reached: dict[str, list[Reached]]) -> None:
    """Medians, and what share of each learner's time the first one takes."""
    middles = {
        learner: median(run.seconds if run.is_there else math.inf for run in runs) for learner, runs in reached.items()
    }
    first, *others = middles
    print(f"median: {', '.join(f'{learner} {seconds:.1f} s' for learner, seconds in middles.items())}")
    for other in others:
        if math.isfinite(middles[first]):
            spent = median(run.seconds for run in reached[other])
            is_bound = "" if math.isfinite(middles[other]) else "less than "
            print(f"{first} takes {is_bound}{middles[first] / min(middles[other], spent):.2f} of the time of {other}")


def main() -> None:
    """Prints a line a run, and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scene", help="of the player, or gym:ID")
    parser.add_argument("goal", type=float, help="mean reward")
    parser.add_argument("learners", nargs="+", help="folders of configs/ or results/peers; the first is compared")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--factor", type=float, default=10.0, help="of the first learner's time, for the others")
    arguments = parser.parse_args()
    try:
        configs = {learner: learner_config(learner, arguments.scene) for learner in arguments.learners}
    except SuiteError as error:
        sys.exit(str(error))
    if any(len(config["behaviors"]) > 1 for config in configs.values()):
        sys.exit(f"{arguments.scene} has several behaviours, and a goal is that of one")
    reached: dict[str, list[Reached]] = {learner: [] for learner in configs}
    for seed in arguments.seeds:
        longest = math.inf
        for learner, config in configs.items():
            run = time_to_goal(config, arguments.scene, arguments.goal, seed, longest)
            reached[learner].append(run)
            if math.isinf(longest):
                longest = arguments.factor * run.seconds
            end = f"{run.step:,} agent steps" if run.is_there else f"not reached: {run.reward:.2f} at {run.step:,}"
            print(f"seed {seed}  {learner:10} {run.seconds:7.1f} s, {end}", flush=True)
    table(reached)


if __name__ == "__main__":
    main()
