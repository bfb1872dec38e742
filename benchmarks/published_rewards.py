"""Train ML-Agents' own PPO with Unity's own settings in the player's scenes, beside the rewards that Unity publishes.

    nox -s bench -- published_rewards Basic 3DBall --minutes 15

The proof that the scenes are right does not rest on this repository's trainers: stock PPO, with the values of Unity's
config/ppo/*.yaml, has to reach the "benchmark mean reward" of ML-Agents' page of example environments. The scene runs
in the trainer's process, which saves the time of the messages. The table has the step at which the mean reward of a
summary first reached the benchmark, or the best one with its step.
"""

import argparse
import functools
import sys
import tempfile
import time
from pathlib import Path

from _in_process import Enough, Summary, train
from mlagents.torch_utils import torch

from mlagents_player.arguments import count

PPO = {
    "learning_rate": 3.0e-4,
    "learning_rate_schedule": "linear",
    "epsilon": 0.2,
    "num_epoch": 3,
    "lambd": 0.95,
    "beta": 0.005,
}
# Unity's values, config/ppo/*.yaml; what is not named here is ML-Agents' default.
COLUMNS = (
    "batch_size",
    "buffer_size",
    "beta",
    "lambd",
    "normalize",
    "hidden",
    "layers",
    "gamma",
    "max_steps",
    "horizon",
)
SETTINGS = {
    "Basic": (32, 256, 0.005, 0.95, False, 20, 1, 0.9, 500_000, 3),
    "3DBall": (64, 12_000, 0.001, 0.99, True, 128, 2, 0.99, 500_000, 1000),
    "3DBallHard": (120, 12_000, 0.001, 0.95, True, 128, 2, 0.99, 500_000, 1000),
    "GridWorld": (32, 256, 0.005, 0.95, False, 128, 1, 0.9, 500_000, 5),
    "PushBlock": (128, 2048, 0.01, 0.95, False, 256, 2, 0.99, 2_000_000, 64),
    "BigWallJump": (128, 2048, 0.005, 0.95, False, 256, 2, 0.99, 20_000_000, 128),
    "SmallWallJump": (128, 2048, 0.005, 0.95, False, 256, 2, 0.99, 5_000_000, 128),
    "Hallway": (128, 1024, 0.03, 0.95, False, 128, 2, 0.99, 10_000_000, 64),
}
SUMMARY_FREQ = {"Basic": 2000, "3DBall": 12_000, "3DBallHard": 12_000, "PushBlock": 60_000, "Hallway": 10_000}
MEMORY = {"Hallway": {"sequence_length": 64, "memory_size": 128}}
BEHAVIORS = {"WallJump": ("BigWallJump", "SmallWallJump")}
BENCHMARK = {
    "Basic": 0.93,
    "3DBall": 100,
    "3DBallHard": 100,
    "GridWorld": 0.8,
    "PushBlock": 4.5,
    "BigWallJump": 0.8,
    "SmallWallJump": 0.8,
    "Hallway": 0.7,
}


def settings(behavior: str) -> dict:
    """A behaviour's part of the trainer's configuration."""
    given = dict(zip(COLUMNS, SETTINGS[behavior], strict=True))
    return {
        "trainer_type": "ppo",
        "hyperparameters": {**PPO, **{key: given[key] for key in ("batch_size", "buffer_size", "beta", "lambd")}},
        "network_settings": {
            "normalize": given["normalize"],
            "hidden_units": given["hidden"],
            "num_layers": given["layers"],
            "memory": MEMORY.get(behavior),
        },
        "reward_signals": {"extrinsic": {"gamma": given["gamma"], "strength": 1.0}},
        "max_steps": given["max_steps"],
        "time_horizon": given["horizon"],
        "summary_freq": SUMMARY_FREQ.get(behavior, 20_000),
        "checkpoint_interval": given["max_steps"] + 1,  # ML-Agents' own export fails with PyTorch 2.9 and newer
    }


def learn(scene: str, folder: Path, seed: int, minutes: float, num_areas: int) -> list[Summary]:
    """Train for some minutes; the summaries, printed as they come."""
    behaviors = {behavior: settings(behavior) for behavior in BEHAVIORS.get(scene, (scene,))}
    found = []
    start = time.perf_counter()

    def note(summary: Summary) -> None:
        found.append(summary)
        seconds = time.perf_counter() - start
        print(f"{seconds:6.0f} s  {summary.behavior} {summary.step:,}: {summary.reward:.3f}", flush=True)
        if seconds > 60 * minutes:
            raise Enough

    train(scene, behaviors, folder, seed, note, num_areas)
    return found


def report(summaries: list[Summary]) -> None:
    """A row for each behaviour."""
    print(f"\n{'behaviour':15}  {'Unity':>6}  {'reached at step':>15}  {'best':>7}  {'at step':>9}  {'steps':>9}")
    for behavior in dict.fromkeys(summary.behavior for summary in summaries):
        curve = [(step, reward) for name, step, reward in summaries if name == behavior]
        goal = BENCHMARK[behavior]
        reached = next((f"{step:,}" for step, reward in curve if reward >= goal), "-")
        best_step, best = max(curve, key=lambda point: point[1])
        print(f"{behavior:15}  {goal:6}  {reached:>15}  {best:7.3f}  {best_step:9,}  {curve[-1][0]:9,}")


def main() -> None:
    """Read the command line, train and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenes", nargs="+", choices=[*SETTINGS, *BEHAVIORS], metavar="SCENE")
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
    sys.exit(main())
