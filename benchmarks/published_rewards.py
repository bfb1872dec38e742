"""Train ML-Agents' own PPO with Unity's own settings in the player's scenes, beside the rewards that Unity publishes.

    nox -s bench -- published_rewards Basic 3DBall --minutes 15

The proof that the scenes are right does not rest on this repository's trainers: stock PPO, with the values of Unity's
config/ppo/*.yaml (results/peers/ppo), has to reach the "benchmark mean reward" of ML-Agents' page of example
environments (results/scenes.yaml). The scene runs
in the trainer's process, which saves the time of the messages. The table has the step at which the mean reward of a
summary first reached the benchmark, or the best one with its step.
"""

import argparse
import functools
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml
from _in_process import Enough, Summary, train
from mlagents.torch_utils import torch
from results.suites import PEERS, goals

from mlagents_player.arguments import count

FILES = {file.stem: file for file in sorted((PEERS / "ppo").glob("*.yaml"))}
SUMMARY_FREQ = {"Basic": 2000, "3DBall": 12_000, "3DBallHard": 12_000, "PushBlock": 60_000, "Hallway": 10_000}


def settings(scene: str) -> dict[str, dict[str, Any]]:
    """Each behaviour's part of Unity's configuration for a scene."""
    behaviors: dict[str, dict[str, Any]] = yaml.safe_load(FILES[scene].read_text("utf-8"))["behaviors"]
    for name, behavior in behaviors.items():
        behavior["summary_freq"] = SUMMARY_FREQ.get(name, 20_000)
        # ML-Agents' own export fails with PyTorch 2.9 and newer
        behavior["checkpoint_interval"] = behavior["max_steps"] + 1
    return behaviors


def published() -> dict[str, float]:
    """Unity's benchmark mean reward by behaviour; a goal with a reason beside it is not Unity's."""
    return {behavior: goal["goal"] for behavior, goal in goals().items() if "why" not in goal}


def learn(scene: str, folder: Path, seed: int, minutes: float, num_areas: int) -> list[Summary]:
    """Train for some minutes; the summaries, printed as they come."""
    found: list[Summary] = []
    start = time.perf_counter()

    def note(summary: Summary) -> None:
        found.append(summary)
        seconds = time.perf_counter() - start
        print(f"{seconds:6.0f} s  {summary.behavior} {summary.step:,}: {summary.reward:.3f}", flush=True)
        if seconds > 60 * minutes:
            raise Enough

    train(scene, {"behaviors": settings(scene)}, folder, seed, note, num_areas)
    return found


def report(summaries: list[Summary]) -> None:
    """A row for each behaviour."""
    goals = published()
    print(f"\n{'behaviour':15}  {'Unity':>6}  {'reached at step':>15}  {'best':>7}  {'at step':>9}  {'steps':>9}")
    for behavior in dict.fromkeys(summary.behavior for summary in summaries):
        curve = [(each.step, each.reward) for each in summaries if each.behavior == behavior]
        goal = goals[behavior]
        reached = next((f"{step:,}" for step, reward in curve if reward >= goal), "-")
        best_step, best = max(curve, key=lambda point: point[1])
        print(f"{behavior:15}  {goal:6}  {reached:>15}  {best:7.3f}  {best_step:9,}  {curve[-1][0]:9,}")


def main() -> None:
    """Read the command line, train and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "scenes",
        nargs="+",
        choices=[scene for scene in FILES if set(settings(scene)) <= set(published())],
        metavar="SCENE",
    )
    parser.add_argument("--minutes", type=float, default=15, help="of training for each scene")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--areas", type=count, default=1, help="copies of Unity's scene, as its --num-envs")
    options = parser.parse_args()
    # The same rule in one kernel: with GridWorld's large network nearly twice as fast.
    torch.optim.Adam = functools.partial(torch.optim.Adam, fused=True)
    for scene in options.scenes:
        with tempfile.TemporaryDirectory() as folder:
            report(learn(scene, Path(folder), options.seed, options.minutes, options.areas))


if __name__ == "__main__":
    main()
