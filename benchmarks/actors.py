"""What actors on Ray bring on this machine: `nox -s bench -- actors speed` and `nox -s bench -- actors learning`.

Both run `mlagents-learn` with the player's `gym:CartPole-v1` and the file of `configs/dqn`, as a user would. `speed`:
agent steps a second of a single process, with one agent, and of one actor with a learner that does not act; they take
turns, and the time of the start does not count. `learning`: returns of the exported model after the file's steps, for a
single process and for two actors, seed by seed. `actors_none`, `actors_lag` and `actors_scale` are its neighbours.
"""

import argparse
import copy
import json
import os
import statistics
import subprocess
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from _player import SCRIPTS, Summary, training
from _settings import assignments, changed
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

FILE = Path(__file__).parents[1] / "configs" / "dqn" / "CartPole-v1.yaml"
SCENE = f"gym:{FILE.stem}"
CONFIG = yaml.safe_load(FILE.read_text("utf-8"))


class Ran(NamedTuple):
    """A run that has come to its end.

    Attributes:
        summaries: of its log.
        scalars: of TensorBoard, by tag.
        model: mean return of its exported model; None where it did not play.
    """

    summaries: list[Summary]
    scalars: dict[str, list[float]]
    model: float | None

    def rate(self) -> float:
        """Median agent steps a second between two summaries, but for what lies before the second."""
        rates = [(b.step - a.step) / max(b.seconds - a.seconds, 1e-9) for a, b in pairwise(self.summaries[1:])]
        return statistics.median(rates)

    def mean(self, tag: str) -> float:
        """Mean of a scalar, but for its first two values."""
        values = self.scalars.get(tag, [])[2:]
        return statistics.fmean(values) if values else float("nan")


def run(behaviors: dict[str, Any], seed: int, areas: int, episodes: int) -> Ran:
    """Trains to the end.

    Args:
        behaviors: what stands under `behaviors:`.
        seed: of trainer and scene.
        areas: copies of the environment.
        episodes: that the exported model plays; 0 for none.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with training(SCENE, behaviors, folder, seed, areas=areas) as summaries:
            found = list(summaries)
        results = next(folder.glob("results/*"))
        return Ran(found, scalars(results), play(results, seed, episodes) if episodes else None)


def play(results: Path, seed: int, episodes: int) -> float:
    """Mean return of a run's exported model, on starts that training has not seen."""
    command = [SCRIPTS / "mlagents-player", "watch", results, SCENE, "--json", "--episodes", episodes]
    command += ["--seed", 1_000_000 + seed]
    played = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True)
    (behavior,) = json.loads(played.stdout)["behaviors"].values()
    return float(behavior["return"]["mean"])


def scalars(results: Path) -> dict[str, list[float]]:
    """All scalars of a run by tag."""
    found: dict[str, list[float]] = {}
    for file in results.rglob("events*"):
        events = EventAccumulator(str(file))
        events.Reload()
        for tag in events.Tags()["scalars"]:
            found.setdefault(tag, []).extend(event.value for event in events.Scalars(tag))
    return found


def with_actors(behaviors: dict[str, Any], **actors: Any) -> dict[str, Any]:
    """The same behaviours with `actors:`."""
    result = copy.deepcopy(behaviors)
    for config in result.values():
        config["hyperparameters"]["actors"] = actors
    return result


def speed(options: argparse.Namespace) -> None:
    """Prints a line a repeat, and the medians."""
    changes = [f"max_steps={options.steps}", f"summary_freq={max(options.steps // 20, 1)}", *options.changes]
    single = {name: changed(config, assignments(changes)) for name, config in CONFIG["behaviors"].items()}
    kinds = {"none": with_actors(single, count=0), "one": with_actors(single, count=1, learner_acts=False)}
    rates: dict[str, list[float]] = {name: [] for name in kinds}
    lags = []
    print("| repeat | no actor, steps/s | one actor, learner does not act, steps/s | lag, versions | ratio |")
    print("|---|---|---|---|---|")
    for repeat in range(options.repeats):
        for name, behaviors in kinds.items():
            ran = run(behaviors, options.seeds[0] + repeat, areas=1, episodes=0)
            rates[name].append(ran.rate())
        lags.append(ran.mean("Distributed/Lag Versions"))
        none, one = rates["none"][-1], rates["one"][-1]
        print(f"| {repeat + 1} | {none:.0f} | {one:.0f} | {lags[-1]:.2f} | {one / none:.2f} |", flush=True)
    none, one = map(statistics.median, rates.values())
    print(f"| median | {none:.0f} | {one:.0f} | {statistics.median(lags):.2f} | {one / none:.2f} |")


def learning(options: argparse.Namespace) -> None:
    """Prints a line a seed and kind, and the means."""
    single = {name: changed(config, assignments(options.changes)) for name, config in CONFIG["behaviors"].items()}
    areas = CONFIG["env_settings"]["num_areas"]
    kinds = {"single process": single, "2 actors": with_actors(single, count=2)}
    means: dict[str, list[float]] = {name: [] for name in kinds}
    print(f"| seed | kind | agent steps | return of {options.episodes} episodes | updates | lag, versions |")
    print("|---|---|---|---|---|---|")
    for seed in options.seeds:
        for name, behaviors in kinds.items():
            ran = run(behaviors, seed, areas, options.episodes)
            means[name].append(float(ran.model or 0.0))
            updates = sum(ran.scalars["Performance/Updates per Second"]) / sum(
                ran.scalars["Performance/Steps per Second"]
            )
            lag = ran.mean("Distributed/Lag Versions")
            step = ran.summaries[-1].step
            print(f"| {seed} | {name} | {step:,} | {means[name][-1]:.1f} | {updates:.2f} | {lag:.2f} |", flush=True)
    for name, values in means.items():
        print(f"{name}: mean {statistics.fmean(values):.1f}, least {min(values):.1f} of {len(values)} seeds")


def main() -> None:
    """Runs one of the two."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["speed", "learning"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[101, 102, 103, 104, 105])
    parser.add_argument("--repeats", type=int, default=3, help="of speed")
    parser.add_argument("--steps", type=int, default=10_000, help="agent steps of each run of speed")
    parser.add_argument("--episodes", type=int, default=100, help="of each exported model of learning")
    parser.add_argument("--set", dest="changes", nargs="+", default=[], metavar="KEY=VALUE", help="keys to change")
    options = parser.parse_args()
    os.environ.setdefault("RAY_worker_niceness", "0")  # else all other programs of the machine go before actors
    {"speed": speed, "learning": learning}[options.what](options)


if __name__ == "__main__":
    main()
