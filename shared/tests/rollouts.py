"""An on-policy trainer and its rollouts to test with, without an environment."""

import tempfile
from typing import Any

import numpy as np
from mlagents.torch_utils import torch
from mlagents.trainers.behavior_id_utils import BehaviorIdentifiers
from mlagents.trainers.buffer import BufferKey
from mlagents.trainers.settings import NetworkSettings, TrainerSettings
from mlagents_envs.base_env import (
    ActionSpec,
    BehaviorSpec,
    DimensionProperty,
    ObservationSpec,
    ObservationType,
)

from mlagents_plugin_shared.data.trajectories import Segment
from ppo import TinyPPOSettings, TinyPPOTrainer

BEHAVIOR = BehaviorIdentifiers.from_name_behavior_id("Toy?team=0")
VECTOR = ObservationSpec((4,), (DimensionProperty.NONE,), ObservationType.DEFAULT, "vector")
ACTIONS = {
    "continuous": ActionSpec(2, ()),
    "discrete": ActionSpec(0, (3, 2)),
    "hybrid": ActionSpec(2, (3, 2)),
}
MEMORY = {"memory_size": 8, "sequence_length": 4}


def behavior(actions: str = "hybrid", sensors: list[ObservationSpec] | None = None) -> BehaviorSpec:
    """A behaviour with a vector of 4 numbers, unless other sensors are given."""
    return BehaviorSpec(sensors or [VECTOR], ACTIONS[actions])


def network(memory: dict[str, int] | None = None, num_layers: int = 1) -> NetworkSettings:
    """A small network."""
    kept = NetworkSettings.MemorySettings(**memory) if memory else None
    return NetworkSettings(hidden_units=16, num_layers=num_layers, memory=kept)


def settings(memory: dict[str, int] | None = None, **hyperparameters: Any) -> TrainerSettings:
    """Settings of the behaviour."""
    return TrainerSettings(
        trainer_type="tiny_ppo",
        hyperparameters=TinyPPOSettings(**{"batch_size": 40, "buffer_size": 40, **hyperparameters}),
        network_settings=network(memory),
    )


def trainer(actions: str = "hybrid", *, memory: dict[str, int] | None = None, **hyperparameters: Any) -> TinyPPOTrainer:
    """A trainer with its policy and optimizer; the same weights at every call."""
    torch.manual_seed(0)
    result = TinyPPOTrainer("Toy", 1, settings(memory, **hyperparameters), True, False, 0, tempfile.mkdtemp())
    result.add_policy(BEHAVIOR, result.create_policy(BEHAVIOR, behavior(actions)))
    return result


def segment(
    owner: TinyPPOTrainer, length: int, *, seed: int = 0, terminated: bool = False, agent_id: str = "a"
) -> Segment:
    """Random steps of one agent, with legal actions."""
    rng = np.random.default_rng(seed)
    spec = owner.policy.behavior_spec.action_spec
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
    if owner.policy.use_recurrent:
        columns[BufferKey.MEMORY] = rng.normal(size=(length, owner.policy.m_size)).astype(np.float32)
    return Segment(agent_id, [rng.normal(size=(length + 1, 4)).astype(np.float32)], columns, terminated, False)


def fill(owner: TinyPPOTrainer) -> None:
    """A rollout of 44 steps in segments of 7, 16, 10 and 11 steps of two agents."""
    for i, (length, terminated) in enumerate([(7, True), (16, False), (10, True), (11, False)]):
        piece = segment(owner, length, seed=i, terminated=terminated, agent_id=str(i % 2))
        owner.store(piece, {"extrinsic": piece.columns[BufferKey.ENVIRONMENT_REWARDS]})
