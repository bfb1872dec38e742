"""ML-Agents' own reward signals, unchanged, on our batches: the same numbers as on an AgentBuffer."""

import numpy as np
import pytest
import torch
from mlagents.trainers.buffer import AgentBuffer, AgentBufferField, ObservationKeyPrefix
from mlagents.trainers.settings import (
    CuriositySettings,
    NetworkSettings,
    RewardSignalSettings,
    RewardSignalType,
    RNDSettings,
)
from mlagents.trainers.torch_entities.components.reward_providers import create_reward_provider
from mlagents_envs.base_env import BehaviorSpec, DimensionProperty, ObservationSpec, ObservationType

from fakes import CONTINUOUS, DISCRETE, HYBRID, trajectory
from mlagents_plugin_shared.buffers import ReplayBuffer, RolloutBuffer
from mlagents_plugin_shared.trajectories import trajectory_to_segment

SIGNALS = [
    (RewardSignalType.EXTRINSIC, RewardSignalSettings()),
    (RewardSignalType.CURIOSITY, CuriositySettings(network_settings=NetworkSettings(hidden_units=16))),
    (RewardSignalType.RND, RNDSettings(network_settings=NetworkSettings(hidden_units=16))),
]
ACTIONS = {"continuous": CONTINUOUS, "discrete": DISCRETE, "hybrid": HYBRID}


def provider(signal, action_spec):
    sensor = ObservationSpec((4,), (DimensionProperty.NONE,), ObservationType.DEFAULT, "vector")
    torch.manual_seed(0)
    return create_reward_provider(signal[0], BehaviorSpec([sensor], action_spec), signal[1])


def replay_of(trajectories, action_spec):
    buffer = ReplayBuffer(100)
    for each in trajectories:
        buffer.add(trajectory_to_segment(each, action_spec))
    return buffer


def agentbuffer_of(trajectories, rows):
    """ML-Agents' buffer with the given rows of the trajectories, as Python lists."""
    everything, chosen = AgentBuffer(), AgentBuffer()
    for each in trajectories:
        each.to_agentbuffer().resequence_and_append(everything, training_length=1)
    for key, field in everything.items():
        chosen[key] = AgentBufferField([field[row] for row in rows])
    return chosen


@pytest.mark.parametrize("signal", SIGNALS, ids=lambda signal: signal[0].value)
@pytest.mark.parametrize("actions", ACTIONS)
def test_replay_buffer_reward_signals_give_the_same_numbers(signal, actions):
    """Evaluate, update and evaluate again: rewards and losses agree on the same rows."""
    spec = ACTIONS[actions]
    trajectories = [trajectory(spec, 8, done=True, seed=seed) for seed in range(4)]
    rows = np.random.default_rng(0).integers(32, size=24)
    ours, theirs = replay_of(trajectories, spec).gather(rows), agentbuffer_of(trajectories, rows)
    first, second = provider(signal, spec), provider(signal, spec)
    for _ in range(3):
        np.testing.assert_allclose(first.evaluate(ours), second.evaluate(theirs), rtol=1e-6)
        losses, expected = first.update(ours), second.update(theirs)
        assert losses.keys() == expected.keys()
        for name, loss in losses.items():
            np.testing.assert_allclose(loss, expected[name], rtol=1e-6)
    assert first.evaluate(ours).shape == (24,)


@pytest.mark.parametrize("signal", SIGNALS, ids=lambda signal: signal[0].value)
def test_rollout_buffer_reward_signals_give_the_same_numbers(signal):
    """A whole rollout is evaluated as the AgentBuffer of the same trajectories, buffer or batch alike."""
    trajectories = [trajectory(HYBRID, 8, seed=seed) for seed in range(3)]
    buffer = RolloutBuffer()
    for each in trajectories:
        buffer.add(trajectory_to_segment(each, HYBRID))
    theirs = agentbuffer_of(trajectories, range(24))
    first, second = provider(signal, HYBRID), provider(signal, HYBRID)
    first.update(buffer.batch())
    second.update(theirs)
    expected = second.evaluate(theirs)
    np.testing.assert_allclose(first.evaluate(buffer.batch()), expected, rtol=1e-6)
    np.testing.assert_allclose(first.evaluate(buffer), expected, rtol=1e-6)


def test_agentbuffer_has_other_rewards_for_other_rows():
    """The comparison above would notice a wrong row."""
    trajectories = [trajectory(DISCRETE, 8, seed=seed) for seed in range(2)]
    theirs = agentbuffer_of(trajectories, [0, 1, 2])
    ours = replay_of(trajectories, DISCRETE).gather([0, 1, 3])
    extrinsic = provider(SIGNALS[0], DISCRETE)
    assert not np.allclose(extrinsic.evaluate(ours), extrinsic.evaluate(theirs))
    assert (ObservationKeyPrefix.OBSERVATION, 0) in ours
