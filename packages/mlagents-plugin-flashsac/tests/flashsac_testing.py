"""Trainers, segments and batches to test with, without an environment."""

from pathlib import Path
from typing import Any

import numpy as np
from mlagents.torch_utils import torch
from mlagents.trainers.buffer import BufferKey
from mlagents_envs.base_env import ActionSpec, BehaviorSpec, DimensionProperty, ObservationSpec, ObservationType

from mlagents_plugin_flashsac.trainer import FlashSACTrainer
from mlagents_plugin_shared.data.trajectories import Segment
from mlagents_plugin_shared.learning.transitions import Transitions
from mlagents_plugin_shared.testing import Plugin

FLASHSAC = Plugin(
    "flashsac",
    {
        "hyperparameters": {"batch_size": 8, "buffer_size": 1000},
        "network_settings": {"hidden_units": 16, "num_layers": 1},
    },
)
CONTINUOUS, DISCRETE, HYBRID = ActionSpec(2, ()), ActionSpec(0, (3, 2)), ActionSpec(2, (3, 2))
KINDS = {"continuous": CONTINUOUS, "discrete": DISCRETE, "hybrid": HYBRID}
PRESETS = ["light", "sac", "crossq", "xqc", "flashsac"]


def behavior_spec(actions: ActionSpec) -> BehaviorSpec:
    """A behaviour with one vector of four numbers."""
    sensor = ObservationSpec((4,), (DimensionProperty.NONE,), ObservationType.DEFAULT, "vector")
    return BehaviorSpec([sensor], actions)


def trainer(
    actions: ActionSpec = HYBRID,
    *,
    spec: BehaviorSpec | None = None,
    settings: dict | None = None,
    path: Path | None = None,
    **hyperparameters: Any,
) -> FlashSACTrainer:
    """A trainer with its policy and optimizer, for four numbers of observation unless `spec` says otherwise."""
    changes = {"hyperparameters": hyperparameters}
    return FLASHSAC.trainer(spec or behavior_spec(actions), changes, settings or {}, folder=path)


def random_legal(count: int, actions: ActionSpec, rng: np.random.Generator) -> np.ndarray:
    """[count, A] bool masks with at least one legal action in each branch."""
    branches = actions.discrete_branches
    legal = rng.random((count, sum(branches))) < 0.5
    for offset, size in zip(np.cumsum([0, *branches[:-1]]), branches, strict=bool(branches)):
        legal[np.arange(count), offset + rng.integers(0, size, count)] = True
    return legal


def segment(actions: ActionSpec, length: int, *, seed: int, scale: float = 1.0, **ends: bool) -> Segment:
    """Random steps of one agent."""
    rng = np.random.default_rng(seed)
    discrete = [rng.integers(0, size, length) for size in actions.discrete_branches]
    columns = {
        BufferKey.MASKS: np.ones(length, np.float32),
        BufferKey.DONE: np.zeros(length, bool),
        BufferKey.CONTINUOUS_ACTION: rng.uniform(-1, 1, (length, actions.continuous_size)).astype(np.float32),
        BufferKey.DISCRETE_ACTION: np.stack([*discrete, np.zeros(length)], axis=1)[:, :-1].astype(np.int32),
        BufferKey.ACTION_MASK: random_legal(length, actions, rng).astype(np.uint8),
        BufferKey.ENVIRONMENT_REWARDS: scale * rng.normal(size=length).astype(np.float32),
        BufferKey.GROUP_REWARD: np.zeros(length, np.float32),
    }
    columns[BufferKey.DONE][-1] = any(ends.values())
    terminated, interrupted = ends.get("terminated", False), ends.get("interrupted", False)
    return Segment(str(seed), [rng.normal(size=(length + 1, 4)).astype(np.float32)], columns, terminated, interrupted)


def filled(actions: ActionSpec = HYBRID, *, scale: float = 1.0, **options: Any) -> FlashSACTrainer:
    """A trainer whose replay holds random segments, and whose networks have random weights."""
    made = trainer(actions, **options)
    for i in range(6):
        ends = [{}, {"terminated": True}, {"interrupted": True}][i % 3]
        steps = segment(actions, 7, seed=i, scale=scale, **ends)
        made.store(steps, made.evaluate_rewards(steps.batch()))
    torch.manual_seed(1)
    with torch.no_grad():
        for network in (made.policy.actor, made.optimizer.twins, made.optimizer.target):
            for weight in network.parameters():
                told = network is made.policy.actor and not weight.requires_grad  # by a model, to Unity
                if weight.dim() > 1 and not told:
                    weight.add_(0.3 * torch.randn(weight.shape, device="cpu").to(weight))
    return made


def transitions_of(made: FlashSACTrainer, batch: Any) -> Transitions:
    """A batch as the optimizer reads it."""
    return Transitions.from_batch(batch, 8, made.policy, made.optimizer.streams)
