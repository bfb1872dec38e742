"""What it costs to act by an old policy: `nox -s bench -- actors_lag`.

Trains in process on steps of an actor alone, whose weights are a forced number of versions older than the newest; a
version is `--weights-every` agent steps. All else is the file's: at lag 0 the same algorithm on the same steps as a
single process, up to the steps since the last version. The exported model then plays.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest import mock

import _in_process
import numpy as np
import yaml
from _settings import assignments, changed

from mlagents_player import SceneEnvironment, scenes
from mlagents_plugin_shared.run import replay_trainer
from mlagents_plugin_shared.run.actor_settings import ActorSettings
from mlagents_plugin_shared.run.experience_source import Arrivals
from mlagents_plugin_shared.testing import InProcessSource

CONFIGS = Path(__file__).parents[1] / "configs" / "dqn"


class Lagging(InProcessSource):
    """Notes by how many versions its steps were behind."""

    steps = 0
    behind = 0

    def poll(self) -> Arrivals:
        """What the actors bring, as their policies of old let them play."""
        arrivals = super().poll()
        newest = self.versions[-1] if self.versions else 0
        for delivery in arrivals.deliveries:
            Lagging.steps += delivery.steps
            Lagging.behind += delivery.steps * (newest - delivery.version)
        return arrivals


def learn(file: Path, lag: int, seed: int, changes: list[str], episodes: int) -> tuple[float, float]:
    """Trains and plays.

    Args:
        file: the configuration, named after a scene or an environment.
        lag: versions by which the actor is behind.
        seed: of all.
        changes: keys of the file to set.
        episodes: of the exported model.

    Returns:
        Its mean return, and the mean lag of the steps in versions.
    """
    content = yaml.safe_load(file.read_text("utf-8"))
    scene = file.stem if file.stem in scenes.names() else f"gym:{file.stem}"
    areas = content.get("env_settings", {}).get("num_areas", 1)
    values = assignments(changes)
    config = {**content, "behaviors": {name: changed(own, values) for name, own in content["behaviors"].items()}}

    def create(settings: ActorSettings, behavior: str) -> Lagging:
        return Lagging(settings, lambda rank: SceneEnvironment(scene, num_areas=areas, seed=10_000 * seed + rank), lag)

    Lagging.steps = Lagging.behind = 0
    with mock.patch.object(replay_trainer, "create_source", create):
        (learned,) = _in_process.learn(scene, config, seed, num_areas=areas, episodes=episodes).values()
    return learned.mean, Lagging.behind / Lagging.steps


def quiet_learn(*arguments: Any) -> tuple[float, float]:
    """The same, in a process of a pool, which says nothing."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    os.dup2(sys.stdout.fileno(), sys.stderr.fileno())
    return learn(*arguments)


def rows(options: argparse.Namespace) -> Iterator[str]:
    """A line of the table for each file and lag."""
    yield f"| task | lag, versions | measured | {' | '.join(f'seed {seed}' for seed in options.seeds)} | mean |"
    yield "|---" * (4 + len(options.seeds)) + "|"
    actors = [f"hyperparameters.actors.{key}" for key in ("count=1", "learner_acts=false")]
    changes = [*actors, f"hyperparameters.actors.weights_every={options.weights_every}", *options.changes]
    cases = list(product(options.configs, options.lags))
    with ProcessPoolExecutor(options.jobs, get_context("spawn")) as pool:
        tasks = [
            [pool.submit(quiet_learn, file, lag, seed, changes, options.episodes) for seed in options.seeds]
            for file, lag in cases
        ]
        for (file, lag), own in zip(cases, tasks, strict=True):
            means, lags = zip(*(task.result() for task in own), strict=True)
            values = " | ".join(f"{mean:.2f}" for mean in means)
            yield f"| {file.stem} | {lag} | {np.mean(lags):.1f} | {values} | {np.mean(means):.2f} |"


def main() -> None:
    """Prints the table, line by line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("configs", type=Path, nargs="*", default=[CONFIGS / "CartPole-v1.yaml", CONFIGS / "Basic.yaml"])
    parser.add_argument("--lags", type=int, nargs="+", default=[0, 2, 10], help="versions")
    parser.add_argument("--weights-every", type=int, default=400, help="agent steps of a version")
    parser.add_argument("--seeds", type=int, nargs="+", default=[101, 102, 103])
    parser.add_argument("--episodes", type=int, default=100, help="of the exported model")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time")
    parser.add_argument("--set", dest="changes", nargs="+", default=[], metavar="KEY=VALUE", help="keys to change")
    for line in rows(parser.parse_args()):
        print(line, flush=True)


if __name__ == "__main__":
    main()
