"""Trainers and rollouts to test with, without an environment."""

from typing import Any

import numpy as np
from mlagents.trainers.buffer import BufferKey
from mlagents_envs.base_env import (
    ActionSpec,
    BehaviorSpec,
    DimensionProperty,
    ObservationSpec,
    ObservationType,
)

from mlagents_plugin_a2c.trainer import A2CTrainer
from mlagents_plugin_shared.data.trajectories import Segment
from mlagents_plugin_shared.testing import Plugin

A2C = Plugin("a2c", {"hyperparameters": {"buffer_size": 40}, "network_settings": {"hidden_units": 16, "num_layers": 1}})
VECTOR = ObservationSpec((4,), (DimensionProperty.NONE,), ObservationType.DEFAULT, "vector")
ACTIONS = {
    "continuous": ActionSpec(2, ()),
    "discrete": ActionSpec(0, (3, 2)),
    "hybrid": ActionSpec(2, (3, 2)),
}
MEMORY = {"memory_size": 8, "sequence_length": 4}


def trainer(
    actions: str = "hybrid",
    *,
    sensors: list[ObservationSpec] | None = None,
    memory: dict | None = None,
    settings: dict | None = None,
    **hyperparameters: Any,
) -> A2CTrainer:
    """A trainer with its policy and optimizer; the same weights at every call."""
    changes = {"hyperparameters": hyperparameters, "network_settings": {"memory": memory}}
    return A2C.trainer(BehaviorSpec(sensors or [VECTOR], ACTIONS[actions]), changes, settings or {})


def segment(a2c: A2CTrainer, length: int, *, seed: int = 0, terminated: bool = False, agent_id: str = "a") -> Segment:
    """Random steps of one agent, with legal actions."""
    rng = np.random.default_rng(seed)
    spec = a2c.policy.behavior_spec.action_spec
    actions = [rng.integers(0, size, length) for size in spec.discrete_branches]
    columns = {
        BufferKey.MASKS: np.ones(length, np.float32),
        BufferKey.DONE: np.zeros(length, bool),
        BufferKey.CONTINUOUS_ACTION: rng.normal(size=(length, spec.continuous_size)).astype(np.float32),
        BufferKey.DISCRETE_ACTION: np.array(actions, np.int32).reshape(-1, length).T,
        BufferKey.CONTINUOUS_LOG_PROBS: np.full((length, spec.continuous_size), -1.0, np.float32),
        BufferKey.DISCRETE_LOG_PROBS: np.full((length, spec.discrete_size), -1.0, np.float32),
        BufferKey.ACTION_MASK: np.ones((length, sum(spec.discrete_branches)), np.uint8),
        BufferKey.ENVIRONMENT_REWARDS: rng.normal(size=length).astype(np.float32),
        BufferKey.GROUP_REWARD: np.zeros(length, np.float32),
    }
    columns[BufferKey.DONE][-1] = terminated
    if a2c.policy.use_recurrent:
        columns[BufferKey.MEMORY] = rng.normal(size=(length, a2c.policy.m_size)).astype(np.float32)
    return Segment(agent_id, [rng.normal(size=(length + 1, 4)).astype(np.float32)], columns, terminated, False)


def fill(a2c: A2CTrainer, *, reward_scale: float = 1.0) -> None:
    """A rollout of 44 steps in segments of 7, 16, 10 and 11 steps of two agents."""
    for i, (length, terminated) in enumerate([(7, True), (16, False), (10, True), (11, False)]):
        piece = segment(a2c, length, seed=i, terminated=terminated, agent_id=str(i % 2))
        piece.columns[BufferKey.ENVIRONMENT_REWARDS] *= reward_scale
        a2c.store(piece, a2c.evaluate_rewards(piece.batch()))


def batch(a2c: A2CTrainer):
    """The rollout as the optimizer gets it."""
    a2c.add_advantages(a2c.update_buffer)
    return a2c.update_buffer.sequences()
