"""Trainer time of A2C against ML-Agents' PPO with Unity's own 3DBall file: `nox -s bench -- a2c`.

Both are fed the same kind of experience, 12 agents with 8 observations and 2 continuous actions, as ML-Agents' own
trajectories, and take turns in one process: trust the ratios more than the times. There is no environment and no
acting: what is timed is what the trainers do with experience.

* intake: from trajectories to a rollout that is ready.
* update: everything from there until the rollout is empty again.

A row is a trainer with its file. The trajectories have the file's time_horizon, and every tenth ends its episode.
"""

import argparse
import itertools
import logging
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import yaml
from mlagents.plugins.trainer_type import register_trainer_plugins
from mlagents.trainers.behavior_id_utils import BehaviorIdentifiers
from mlagents.trainers.ppo.trainer import PPOTrainer
from mlagents.trainers.settings import TrainerSettings
from mlagents.trainers.torch_entities.action_log_probs import LogProbsTuple
from mlagents.trainers.trainer.on_policy_trainer import OnPolicyTrainer
from mlagents.trainers.trajectory import AgentExperience, Trajectory
from mlagents_envs.base_env import (
    ActionSpec,
    ActionTuple,
    BehaviorSpec,
    DimensionProperty,
    ObservationSpec,
    ObservationType,
)

from mlagents_plugin_a2c.trainer import A2CTrainer

AGENTS = 12
SENSOR = ObservationSpec((8,), (DimensionProperty.NONE,), ObservationType.DEFAULT, "vector")
SPEC = BehaviorSpec([SENSOR], ActionSpec(2, ()))
BEHAVIOR = BehaviorIdentifiers.from_name_behavior_id("3DBall?team=0")
OURS = Path(__file__).resolve().parents[1] / "configs" / "a2c" / "3DBall.yaml"
UNITYS: dict[str, Any] = {  # config/ppo/3DBall.yaml
    "trainer_type": "ppo",
    "hyperparameters": {
        "batch_size": 64,
        "buffer_size": 12000,
        "learning_rate": 0.0003,
        "beta": 0.001,
        "epsilon": 0.2,
        "lambd": 0.99,
        "num_epoch": 3,
        "learning_rate_schedule": "linear",
    },
    "network_settings": {"normalize": True, "hidden_units": 128, "num_layers": 2},
    "reward_signals": {"extrinsic": {"gamma": 0.99}},
    "max_steps": 500000,
    "time_horizon": 1000,
}


def trainer(kind: type[OnPolicyTrainer], config: Mapping[str, Any]) -> OnPolicyTrainer:
    """A trainer as mlagents-learn makes it."""
    result = kind("3DBall", 1, TrainerSettings.structure(config, TrainerSettings), True, False, 0, tempfile.mkdtemp())
    result.add_policy(BEHAVIOR, result.create_policy(BEHAVIOR, SPEC))
    return result


def trajectories(horizon: int, count: int) -> list[Trajectory]:
    """As many segments as hold `count` steps, of the agents in turn."""
    rng = np.random.default_rng(0)
    return [_trajectory(rng, horizon, i) for i in range(-(-count // horizon))]


def _trajectory(rng: np.random.Generator, horizon: int, i: int) -> Trajectory:
    observations = rng.normal(size=(horizon + 1, 8)).astype(np.float32)
    actions = rng.normal(size=(horizon, 2)).astype(np.float32)
    log_probs = -0.5 * actions**2 - 0.9189385  # of a standard normal distribution
    steps = [
        AgentExperience(
            obs=[observations[t]],
            reward=0.1,
            done=i % 10 == 0 and t == horizon - 1,
            action=ActionTuple(actions[t], np.zeros(0, np.int32)),
            action_probs=LogProbsTuple(log_probs[t], np.zeros(0, np.float32)),
            action_mask=None,
            prev_action=np.zeros(0, np.int32),
            interrupted=False,
            memory=None,
            group_status=[],
            group_reward=0.0,
        )
        for t in range(horizon)
    ]
    return Trajectory(steps, [observations[-1]], [], f"agent_{i % AGENTS}", "3DBall?team=0")


class Course:
    """Feeds a trainer, and notes what each 1,000 agent steps cost, in milliseconds."""

    def __init__(self, name: str, kind: type[OnPolicyTrainer], config: Mapping[str, Any], steps: int) -> None:
        self.name = name
        self.trainer = trainer(kind, config)
        horizon = config["time_horizon"]
        # ML-Agents updates when its buffer holds more than buffer_size: a whole number of updates a round is fair.
        per_update = config["hyperparameters"]["buffer_size"] + (horizon if kind is PPOTrainer else 0)
        self.steps = per_update * max(steps // per_update, 1)
        self.trajectories = trajectories(horizon, self.steps)
        self.intake: list[float] = []
        self.update: list[float] = []

    def round(self) -> None:
        """Feeds all trajectories once."""
        intake = update = 0.0
        for trajectory in self.trajectories:
            start = time.perf_counter()
            self.trainer._process_trajectory(trajectory)
            middle = time.perf_counter()
            if self.trainer._is_ready_update():
                self.trainer._update_policy()
            intake, update = intake + middle - start, update + time.perf_counter() - middle
        for times, seconds in ((self.intake, intake), (self.update, update)):
            times.append(seconds * 1e6 / self.steps)

    def row(self) -> tuple[float, float, float]:
        """Median intake, update and sum, without the first round."""
        sums = [sum(pair) for pair in zip(self.intake[1:], self.update[1:], strict=True)]
        return median(self.intake[1:]), median(self.update[1:]), median(sums)


def courses(steps: int) -> Iterator[Course]:
    """ML-Agents' PPO, our A2C with our file, and with that of Unity where it can read it."""
    ours = yaml.safe_load(OURS.read_text(encoding="utf-8"))["behaviors"]["3DBall"]
    both = {key: value for key, value in UNITYS["hyperparameters"].items() if key not in ("epsilon", "num_epoch")}
    unitys = {**UNITYS, "trainer_type": "a2c", "hyperparameters": {**both, "batch_size": 12000}}
    yield Course("PPO, Unity's 3DBall.yaml", PPOTrainer, UNITYS, steps)
    yield Course("A2C, configs/a2c/3DBall.yaml", A2CTrainer, ours, steps)
    yield Course("A2C, Unity's 3DBall.yaml", A2CTrainer, unitys, steps)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="Trainer time of A2C against ML-Agents' PPO.")
    parser.add_argument("--steps", type=int, default=12000, help="agent steps a round")
    parser.add_argument("--repeats", type=int, default=5, help="rounds, after one to warm up")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    register_trainer_plugins()
    peers = list(courses(arguments.steps))
    for _, peer in itertools.product(range(arguments.repeats + 1), peers):
        peer.round()
    print(f"{'ms of trainer time per 1,000 agent steps':<42}{'intake':>10}{'update':>10}{'sum':>10}{'of PPO':>10}")
    rows = {peer.name: peer.row() for peer in peers}
    reference = rows[peers[0].name][-1]
    for name, row in rows.items():
        print(f"{name:<42}{''.join(f'{value:>10.2f}' for value in row)}{row[-1] / reference:>10.3f}")


if __name__ == "__main__":
    main()
