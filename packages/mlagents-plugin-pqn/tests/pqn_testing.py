"""Trainers and rollouts to test with, without an environment."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mlagents.torch_utils import torch
from mlagents.trainers.buffer import BufferKey
from mlagents_envs.base_env import (
    ActionSpec,
    BehaviorSpec,
    DimensionProperty,
    ObservationSpec,
    ObservationType,
)

from mlagents_plugin_pqn.trainer import PQNTrainer
from mlagents_plugin_shared.data.trajectories import Segment
from mlagents_plugin_shared.testing import Plugin

PQN = Plugin(
    "pqn",
    {
        "hyperparameters": {"buffer_size": 40, "batch_size": 20, "learning_rate_schedule": "constant"},
        "network_settings": {"hidden_units": 16, "num_layers": 1},
    },
)
MEMORY = {"memory_size": 8, "sequence_length": 4}
GAMMA = 0.9


def trainer(
    branches: Sequence[int] = (3, 2),
    *,
    memory: dict[str, int] | None = None,
    signals: dict[str, Any] | None = None,
    settings: dict[str, Any] | None = None,
    **hyperparameters: Any,
) -> PQNTrainer:
    """A trainer with its policy and optimizer, for as many numbers of observation as actions; always the same weights.

    Args:
        branches: sizes of the action branches.
        memory: settings of the memory.
        signals: reward signals; default the extrinsic one, of discount `GAMMA`.
        settings: more of what stands below the behaviour's name.
        **hyperparameters: those that differ from small ones.
    """
    changes = {
        "hyperparameters": hyperparameters,
        "network_settings": {"memory": memory},
        "reward_signals": signals or {"extrinsic": {"gamma": GAMMA}},
    }
    sensor = ObservationSpec((sum(branches),), (DimensionProperty.NONE,), ObservationType.DEFAULT, "vector")
    return PQN.trainer(BehaviorSpec([sensor], ActionSpec(0, tuple(branches))), changes, settings or {})


def reads_q(owner: PQNTrainer) -> PQNTrainer:
    """The trainer with a network whose Q values are the observation, so that a test can choose them."""

    def q_values(observations: list[torch.Tensor], memories: Any = None, sequence_length: int = 1) -> tuple:
        return observations[0].unsqueeze(1), memories

    owner.optimizer.network.q_values = q_values
    return owner


def segment(
    owner: PQNTrainer,
    q: np.ndarray,
    actions: np.ndarray,
    rewards: np.ndarray,
    *,
    masks: np.ndarray | None = None,
    terminated: bool = False,
    interrupted: bool = False,
    agent_id: str = "a",
) -> Segment:
    """Steps of one agent.

    Args:
        owner: whose rollout it is for.
        q: [T + 1, A] observations, which a network of `reads_q` takes for Q.
        actions: [T, D].
        rewards: [T].
        masks: [T, A] 1 where legal; default all.
        terminated: the episode ends.
        interrupted: the episode is cut by a step limit.
        agent_id: whose steps.
    """
    length, spec = len(actions), owner.policy.behavior_spec.action_spec
    nothing = np.zeros((length, 0), np.float32)
    columns = {
        BufferKey.MASKS: np.ones(length, np.float32),
        BufferKey.DONE: np.zeros(length, bool),
        BufferKey.CONTINUOUS_ACTION: nothing,
        BufferKey.DISCRETE_ACTION: np.asarray(actions, np.int32),
        BufferKey.CONTINUOUS_LOG_PROBS: nothing,
        BufferKey.DISCRETE_LOG_PROBS: nothing,
        BufferKey.ACTION_MASK: np.ones((length, sum(spec.discrete_branches)), np.uint8)
        if masks is None
        else np.asarray(masks, np.uint8),
        BufferKey.ENVIRONMENT_REWARDS: np.asarray(rewards, np.float32),
        BufferKey.GROUP_REWARD: np.zeros(length, np.float32),
    }
    if owner.policy.use_recurrent:
        columns[BufferKey.MEMORY] = np.zeros((length, owner.policy.m_size), np.float32)
    return Segment(agent_id, [np.asarray(q, np.float32)], columns, terminated, interrupted)


def random_segment(owner: PQNTrainer, length: int, seed: int, **ends: Any) -> Segment:
    """Random steps of one agent; where masks are not given all is legal."""
    rng = np.random.default_rng(seed)
    branches = owner.policy.behavior_spec.action_spec.discrete_branches
    actions = np.stack([rng.integers(0, size, length) for size in branches], axis=1)
    return segment(owner, rng.normal(size=(length + 1, sum(branches))), actions, rng.normal(size=length), **ends)


def store(owner: PQNTrainer, *pieces: Segment) -> None:
    """Puts segments into the rollout, with their rewards of each stream."""
    for piece in pieces:
        owner.store(piece, owner.evaluate_rewards(piece.batch()))


def fill(owner: PQNTrainer) -> None:
    """A rollout of 44 steps in segments of 7, 16, 10 and 11 steps of two agents."""
    for i, (length, terminated) in enumerate([(7, True), (16, False), (10, True), (11, False)]):
        store(owner, random_segment(owner, length, i, terminated=terminated, agent_id=str(i % 2)))


def batch(owner: PQNTrainer) -> Any:
    """The rollout as the optimizer gets it."""
    owner.add_advantages(owner.update_buffer)
    return owner.update_buffer.sequences()
