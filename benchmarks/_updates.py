"""Trainers of any kind filled with random steps, and calls that make one update each, to be timed side by side."""

import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
from mlagents import plugins
from mlagents.plugins.trainer_type import register_trainer_plugins
from mlagents.torch_utils import torch
from mlagents.trainers.behavior_id_utils import BehaviorIdentifiers
from mlagents.trainers.buffer import RewardSignalUtil
from mlagents.trainers.settings import TrainerSettings
from mlagents.trainers.torch_entities.action_log_probs import LogProbsTuple
from mlagents.trainers.trajectory import AgentExperience, Trajectory
from mlagents_envs.base_env import (
    ActionSpec,
    ActionTuple,
    BehaviorSpec,
    DimensionProperty,
    ObservationSpec,
    ObservationType,
)

from mlagents_plugin_shared.data.trajectories import trajectory_to_segment

HORIZON = 64
BEHAVIOR = BehaviorIdentifiers.from_name_behavior_id("Toy?team=0")


def trainer(kind: str, floats: int, actions: ActionSpec, hidden_units: int, hyperparameters: dict[str, Any]) -> Any:
    """A trainer of a vector of floats, with two hidden layers."""
    register_trainer_plugins()
    config = {
        "trainer_type": kind,
        "hyperparameters": hyperparameters,
        "network_settings": {"hidden_units": hidden_units, "num_layers": 2},
    }
    settings = TrainerSettings.structure(config, TrainerSettings)
    result = plugins.all_trainer_types[kind]("Toy", 1, settings, True, False, 0, tempfile.mkdtemp())
    sensor = ObservationSpec((floats,), (DimensionProperty.NONE,), ObservationType.DEFAULT, "vector")
    result.add_policy(BEHAVIOR, result.create_policy(BEHAVIOR, BehaviorSpec([sensor], actions)))
    return result


def fill(trainers: list[Any], floats: int, actions: ActionSpec, steps: int) -> None:
    """The same random steps for all: into the replay of ours, and the AgentBuffer of ML-Agents' SAC."""
    for seed in range(steps // HORIZON):
        fake = trajectory(floats, actions, seed)
        for each in trainers:
            if hasattr(each.update_buffer, "add"):
                each.update_buffer.add(trajectory_to_segment(fake, actions))
            else:
                fake.to_agentbuffer().resequence_and_append(each.update_buffer, training_length=1)


def trajectory(floats: int, actions: ActionSpec, seed: int) -> Trajectory:
    """Random steps of an agent."""
    rng = np.random.default_rng(seed)
    observations = [[rng.random(floats, dtype=np.float32)] for _ in range(HORIZON + 1)]
    branches = actions.discrete_branches

    def discrete() -> np.ndarray:
        return np.array([rng.integers(branch) for branch in branches], np.int32)

    steps = [
        AgentExperience(
            obs=observations[t],
            reward=np.float32(rng.normal()),
            done=t == HORIZON - 1,
            action=ActionTuple(rng.uniform(-1, 1, actions.continuous_size).astype(np.float32), discrete()),
            action_probs=LogProbsTuple.empty_log_probs(),
            action_mask=[np.zeros(branch, bool) for branch in branches] or None,
            prev_action=discrete(),
            interrupted=False,
            memory=None,
            group_status=[],
            group_reward=0.0,
        )
        for t in range(HORIZON)
    ]
    return Trajectory(steps, observations[HORIZON], [], f"agent_0-{seed}", "Toy?team=0")


def updates_of_sac(sac: Any, batch_size: int) -> Callable[[], None]:
    """What ML-Agents' SACTrainer does for each update."""

    def update() -> None:
        batch = sac.update_buffer.sample_mini_batch(batch_size)
        for name, signal in sac.optimizer.reward_signals.items():
            batch[RewardSignalUtil.rewards_key(name)] = signal.evaluate(batch) * signal.strength
        sac.optimizer.update(batch, batch_size)

    return _whole(update)


def updates_of_ours(replay_trainer: Any) -> Callable[[], None]:
    """What a ReplayTrainer does for each update that is due."""

    def update() -> None:
        replay_trainer._updates_due = 1.0
        replay_trainer._update_policy()

    return _whole(update)


def _whole(update: Callable[[], None]) -> Callable[[], None]:
    """The update, until a GPU is done with it."""

    def call() -> None:
        update()
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    return call
