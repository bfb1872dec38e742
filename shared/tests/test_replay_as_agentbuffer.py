"""A replay buffer filled and read by ML-Agents' own functions, as if it were an AgentBuffer."""

import numpy as np
import pytest
from mlagents.trainers.buffer import AgentBuffer, BufferKey
from mlagents.trainers.torch_entities.agent_action import AgentAction
from mlagents.trainers.torch_entities.utils import ModelUtils
from mlagents.trainers.trajectory import ObsUtil

from fakes import DISCRETE, filled, trajectory
from mlagents_plugin_shared.data import ReplayBuffer, ReplayKey
from mlagents_plugin_shared.data.trajectories import trajectory_to_segment

OBSERVATION = ObsUtil.get_name_at(0)
NEXT_OBSERVATION = ObsUtil.get_name_at_next(0)
DONE = BufferKey.DONE


def test_replay_buffer_resequence_and_append_gives_the_same_rows():
    """What AgentBuffer would hold after ML-Agents' own append is what our buffer holds."""
    ours, theirs = ReplayBuffer(100), AgentBuffer()
    for seed in range(4):
        appended = trajectory(DISCRETE, 5, done=seed % 2 == 0, memory=8, seed=seed).to_agentbuffer()
        appended.resequence_and_append(ours, training_length=1)
        appended.resequence_and_append(theirs, training_length=1)
    assert ours.num_experiences == theirs.num_experiences == 20
    for key in ours:
        if not isinstance(key, ReplayKey):
            column = np.array(ours[key])
            np.testing.assert_array_equal(column, np.array(theirs[key], column.dtype), str(key))


def test_replay_buffer_resequence_and_append_drops_padding():
    """For sequences ML-Agents pads with zeros; our buffer pads when it samples, so it leaves them out."""
    ours = ReplayBuffer(100)
    for seed in range(2):
        appended = trajectory(DISCRETE, 5, done=True, memory=8, seed=seed).to_agentbuffer()
        appended.resequence_and_append(ours, training_length=4)
    batch = ours.sample_mini_batch(400, sequence_length=4)
    assert ours.num_experiences == 10
    assert set(batch[BufferKey.MASKS].reshape(-1, 4).sum(axis=1)) == {1, 2, 3, 4}


def test_replay_buffer_appended_columns_of_different_length_raise():
    """An append that is cut short is an error that lists the lengths, not a shifted column."""
    buffer = ReplayBuffer(10)
    buffer[OBSERVATION].extend([np.zeros(1)] * 3)
    buffer[NEXT_OBSERVATION].extend([np.zeros(1)] * 3)
    buffer[DONE].extend([False] * 2)
    with pytest.raises(ValueError, match=r"differ in length: .*obs:0': 3.*'done': 2"):
        _ = buffer.num_experiences


def test_replay_buffer_appended_columns_without_next_observation_raise():
    """Without next observations the columns are no transitions."""
    buffer = ReplayBuffer(10)
    buffer[OBSERVATION].extend([np.zeros(1)] * 3)
    with pytest.raises(ValueError, match=r"lack \['next_obs:0', 'done'\]"):
        buffer.sample_mini_batch(2)


def test_replay_buffer_batch_is_read_by_mlagents_utilities():
    """Tensors, actions and observations are made from a batch by ML-Agents' own functions."""
    batch = filled(trajectory_to_segment(trajectory(DISCRETE, 9, done=True), DISCRETE)).sample_mini_batch(6)
    actions = AgentAction.from_buffer(batch)
    assert actions.discrete_tensor.shape == (6, 2)
    assert actions.continuous_tensor.shape == (6, 0)
    assert ModelUtils.list_to_tensor(ObsUtil.from_buffer(batch, 1)[0]).shape == (6, 4)
    assert len(batch[BufferKey.MEMORY]) == 0
    assert BufferKey.MEMORY not in batch
