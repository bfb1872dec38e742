"""Trainers, policies and batches to test with, without an environment."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mlagents.torch_utils import torch
from mlagents.trainers.buffer import BufferKey
from mlagents_envs.base_env import (
    ActionSpec,
    BehaviorSpec,
    DecisionSteps,
    DimensionProperty,
    ObservationSpec,
    ObservationType,
)

from mlagents_plugin_dqn.trainer import DQNTrainer
from mlagents_plugin_shared.data.trajectories import Segment
from mlagents_plugin_shared.learning.transitions import Transitions
from mlagents_plugin_shared.testing import Plugin

DQN = Plugin(
    "dqn",
    {
        "hyperparameters": {"batch_size": 8, "buffer_size": 1000},
        "network_settings": {"hidden_units": 16, "num_layers": 1},
    },
)
BRANCHES = (3, 2)
MEMORY = {"network_settings": {"hidden_units": 16, "memory": {"memory_size": 8, "sequence_length": 4}}}


def behavior_spec(
    branches: Sequence[int] = BRANCHES, shapes: Sequence[tuple[int, ...]] = ((4,),), continuous: int = 0
) -> BehaviorSpec:
    """A behaviour with vector or picture sensors."""
    picture = (DimensionProperty.NONE, *[DimensionProperty.TRANSLATIONAL_EQUIVARIANCE] * 2)
    return BehaviorSpec(
        [
            ObservationSpec(
                shape,
                picture if len(shape) == 3 else (DimensionProperty.NONE,),
                ObservationType.DEFAULT,
                f"obs_{i}",
            )
            for i, shape in enumerate(shapes)
        ],
        ActionSpec(continuous, tuple(branches)),
    )


def trainer(
    spec: BehaviorSpec | None = None,
    *,
    settings: dict | None = None,
    path: Path | None = None,
    **hyperparameters: Any,
) -> DQNTrainer:
    """A trainer with its policy and optimizer."""
    changes = {"hyperparameters": hyperparameters}
    return DQN.trainer(spec or behavior_spec(), changes, settings or {}, folder=path)


def decision_steps(spec: BehaviorSpec, count: int, legal: np.ndarray | None = None, seed: int = 0) -> DecisionSteps:
    """`count` agents with random observations; `legal` is [count, A] bool."""
    rng = np.random.default_rng(seed)
    observations = [rng.normal(size=(count, *o.shape)).astype(np.float32) for o in spec.observation_specs]
    branches = spec.action_spec.discrete_branches
    masks = None if legal is None else np.split(~legal, np.cumsum(branches)[:-1], axis=1)
    agents = np.arange(count)
    return DecisionSteps(observations, np.zeros(count, np.float32), agents, masks, np.zeros(count), np.zeros(count))


def random_legal(count: int, branches: Sequence[int] = BRANCHES, seed: int = 0) -> np.ndarray:
    """[count, A] bool masks with at least one legal action in each branch."""
    rng = np.random.default_rng(seed)
    legal = rng.random((count, sum(branches))) < 0.5
    offsets = np.cumsum([0, *branches[:-1]])
    for offset, size in zip(offsets, branches, strict=True):
        legal[np.arange(count), offset + rng.integers(0, size, count)] = True
    return legal


def segment(
    spec: BehaviorSpec,
    length: int = 6,
    *,
    terminated: bool = False,
    interrupted: bool = False,
    legal: np.ndarray | None = None,
    memory: int = 0,
    agent_id: str = "a",
    seed: int = 0,
) -> Segment:
    """Random steps of one agent; `legal` is [length, A] bool."""
    rng = np.random.default_rng(seed)
    branches = spec.action_spec.discrete_branches
    legal = random_legal(length, branches, seed) if legal is None else legal
    actions = np.stack([rng.integers(0, size, length) for size in branches], axis=1)
    columns = {
        BufferKey.MASKS: np.ones(length, np.float32),
        BufferKey.DONE: np.zeros(length, bool),
        BufferKey.CONTINUOUS_ACTION: np.zeros((length, 0), np.float32),
        BufferKey.DISCRETE_ACTION: actions.astype(np.int32),
        BufferKey.ACTION_MASK: legal.astype(np.uint8),
        BufferKey.ENVIRONMENT_REWARDS: rng.normal(size=length).astype(np.float32),
        BufferKey.GROUP_REWARD: np.zeros(length, np.float32),
    }
    columns[BufferKey.DONE][-1] = terminated or interrupted
    if memory:
        columns[BufferKey.MEMORY] = rng.normal(size=(length, memory)).astype(np.float32)
    observations = [rng.normal(size=(length + 1, *o.shape)).astype(np.float32) for o in spec.observation_specs]
    return Segment(agent_id, observations, columns, terminated, interrupted)


def disturb(network: torch.nn.Module) -> None:
    """Makes a network differ from its copy."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.5)


def filled(**options):
    """A trainer whose replay holds random segments, and whose target network differs from the online one."""
    dqn = trainer(**options)
    for i in range(6):
        ends = [{}, {"terminated": True}, {"interrupted": True}][i % 3]
        dqn.update_buffer.add(segment(dqn.policy.behavior_spec, 7, agent_id=str(i), seed=i, **ends))
    disturb(dqn.optimizer.target)
    return dqn


def transitions_of(dqn, batch, num_sequences: int = 8) -> Transitions:
    """A batch as the optimizer reads it."""
    return Transitions.from_batch(batch, num_sequences, dqn.policy, dqn.optimizer.streams)


def targets(dqn, batch, num_sequences: int = 8) -> torch.Tensor:
    """[B, S] expected targets of the rows of a batch that are learned from."""
    every_branch = dqn.optimizer.target_return(transitions_of(dqn, batch, num_sequences))
    return dqn.optimizer.target.head.mean(every_branch)[:, :, 0]


def next_values(dqn, batch, num_sequences: int = 8) -> torch.Tensor:
    """[B, S] expected return that the targets of a batch bootstrap from, where its episode goes on."""
    transitions = transitions_of(dqn, batch, num_sequences)
    later = targets(dqn, batch, num_sequences) - transitions.reward
    return (later / transitions.discount)[transitions.discount > 0]
