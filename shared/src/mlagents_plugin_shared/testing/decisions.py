"""Random decisions under random masks, and which choices break them: for the proof that no action is illegal."""

import numpy as np
from mlagents_envs.base_env import BehaviorSpec, DecisionSteps, DimensionProperty


def masked_decisions(spec: BehaviorSpec, count: int, rng: np.random.Generator, *, scale: float = 1.0) -> DecisionSteps:
    """Agents that ask for a decision, with normally distributed observations and random masks.

    The number of legal actions of a branch is uniform from 1 to all: many masks leave a single one.

    Some of the entities of a sensor with a variable number are missing: their rows are zero.

    Args:
        spec: the behaviour.
        count: number B of agents.
        rng: source of randomness.
        scale: standard deviation of the observations.

    Returns:
        The decisions of B agents.
    """
    observations = [
        (scale * rng.standard_normal((count, *sensor.shape))).astype(np.float32) for sensor in spec.observation_specs
    ]
    masks = [_random_mask(count, size, rng) for size in spec.action_spec.discrete_branches]
    for sensor, rows in zip(spec.observation_specs, observations, strict=True):
        if DimensionProperty.VARIABLE_SIZE in sensor.dimension_property:
            rows[np.arange(sensor.shape[0]) >= rng.integers(1, sensor.shape[0] + 1, (count, 1))] = 0.0
    none = np.zeros(count, np.float32)
    return DecisionSteps(observations, none, np.arange(count), masks or None, np.zeros(count, np.int32), none)


def _random_mask(count: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """[count, size] bool, True where an action is forbidden."""
    rank = rng.random((count, size)).argsort(axis=1)
    return rank >= rng.integers(1, size + 1, (count, 1))


def illegal_choices(steps: DecisionSteps, actions: np.ndarray) -> int:
    """Number of actions that the decisions' masks forbid.

    Args:
        steps: decisions of B agents, with masks.
        actions: [B, D] discrete actions.
    """
    everyone = np.arange(len(actions))
    return sum(int(mask[everyone, chosen].sum()) for mask, chosen in zip(steps.action_mask, actions.T, strict=True))


def model_inputs(steps: DecisionSteps) -> dict[str, np.ndarray]:
    """The same decisions as inputs of an exported model without memory."""
    observations = {f"obs_{i}": observation for i, observation in enumerate(steps.obs)}
    if steps.action_mask is None:
        return observations
    legal = ~np.concatenate(steps.action_mask, axis=1)
    return {**observations, "action_masks": legal.astype(np.float32)}
