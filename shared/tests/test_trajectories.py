import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlagents.trainers.buffer import BufferKey
from mlagents.trainers.trajectory import ObsUtil
from mlagents_envs.base_env import ActionSpec

from fakes import CONTINUOUS, DISCRETE, HYBRID, trajectory
from mlagents_plugin_shared.data.trajectories import Segment, trajectory_to_segment

GROUP_KEYS = (
    BufferKey.GROUP_DONES,
    BufferKey.GROUPMATE_REWARDS,
    BufferKey.GROUP_CONTINUOUS_ACTION,
    BufferKey.GROUP_DISCRETE_ACTION,
    BufferKey.GROUP_NEXT_CONT_ACTION,
    BufferKey.GROUP_NEXT_DISC_ACTION,
)


def assert_equals_agentbuffer(fake, action_spec):
    batch = trajectory_to_segment(fake, action_spec).batch()
    expected = fake.to_agentbuffer()
    shared = [key for key in expected if key not in GROUP_KEYS and "group" not in str(key)]
    assert set(shared) | {BufferKey.GROUP_REWARD} == set(batch)
    for key in batch:
        np.testing.assert_array_equal(batch[key], np.array(expected[key], dtype=batch[key].dtype), str(key))


@settings(max_examples=60, deadline=None)
@given(
    spec=st.sampled_from([DISCRETE, CONTINUOUS, HYBRID, ActionSpec(0, (5,))]),
    length=st.integers(1, 12),
    shapes=st.lists(st.sampled_from([(1,), (4,), (3, 8, 6), (2, 5)]), min_size=1, max_size=3),
    memory=st.sampled_from([0, 8]),
    ending=st.sampled_from([(False, False), (True, False), (True, True)]),
    seed=st.integers(0, 100),
)
def test_trajectory_to_segment_equals_to_agentbuffer(spec, length, shapes, memory, ending, seed):
    """Every column that both have holds the same numbers, whatever the actions, sensors and end."""
    done, interrupted = ending
    fake = trajectory(spec, length, shapes=shapes, memory=memory, done=done, interrupted=interrupted, seed=seed)
    assert_equals_agentbuffer(fake, spec)


def test_trajectory_to_segment_dtypes_are_fixed():
    """Numbers are float32, actions int32, masks uint8 and flags bool, whatever Python objects came in."""
    columns = trajectory_to_segment(trajectory(HYBRID), HYBRID).columns
    assert columns[BufferKey.CONTINUOUS_ACTION].dtype == np.float32
    assert columns[BufferKey.DISCRETE_ACTION].dtype == np.int32
    assert columns[BufferKey.PREV_ACTION].dtype == np.int32
    assert columns[BufferKey.ACTION_MASK].dtype == np.uint8
    assert columns[BufferKey.DONE].dtype == bool
    assert columns[BufferKey.ENVIRONMENT_REWARDS].dtype == np.float32
    assert columns[BufferKey.GROUP_REWARD].dtype == np.float32


def test_trajectory_to_segment_observations_are_stored_once():
    """Observation and next observation of a batch are views of the same T + 1 rows."""
    segment = trajectory_to_segment(trajectory(DISCRETE, 6), DISCRETE)
    batch = segment.batch()
    assert segment.observations[0].shape == (7, 4)
    assert np.shares_memory(batch[ObsUtil.get_name_at(0)], segment.observations[0])
    assert np.shares_memory(batch[ObsUtil.get_name_at_next(0)], segment.observations[0])


def test_trajectory_to_segment_missing_mask_allows_everything():
    """Without masks there is one column of ones for each action; AgentBuffer gives one for each branch."""
    fake = trajectory(DISCRETE, 3, masked=False)
    mask = trajectory_to_segment(fake, DISCRETE).columns[BufferKey.ACTION_MASK]
    assert mask.tolist() == [[1] * 5] * 3  # branches of 3 and 2 actions
    assert np.shape(fake.to_agentbuffer()[BufferKey.ACTION_MASK]) == (3, 2)


def test_trajectory_to_segment_single_missing_mask_allows_everything():
    """A step without a mask between steps with masks counts as all allowed and shifts nothing."""
    fake = trajectory(DISCRETE, 3)
    fake.steps[1] = fake.steps[1]._replace(action_mask=None)
    mask = trajectory_to_segment(fake, DISCRETE).columns[BufferKey.ACTION_MASK]
    assert mask[1].tolist() == [1] * 5
    assert mask[2].tolist() == (1 - np.concatenate(fake.steps[2].action_mask)).tolist()


def test_trajectory_to_segment_empty_log_probs_give_empty_columns():
    """Policies without log probabilities give columns of width 0 instead of None."""
    columns = trajectory_to_segment(trajectory(HYBRID, 3, log_probs=False), HYBRID).columns
    assert columns[BufferKey.CONTINUOUS_LOG_PROBS].shape == (3, 0)
    assert columns[BufferKey.DISCRETE_LOG_PROBS].shape == (3, 0)


@pytest.mark.parametrize(
    ("done", "interrupted", "expected"),
    [(False, False, (False, False)), (True, False, (True, False)), (True, True, (False, True))],
)
def test_trajectory_to_segment_end_is_terminal_or_interrupted(done, interrupted, expected):
    """Max step sets done too, but only a real terminal state counts as terminated."""
    segment = trajectory_to_segment(trajectory(DISCRETE, done=done, interrupted=interrupted), DISCRETE)
    assert (segment.terminated, segment.interrupted) == expected


def test_trajectory_to_segment_without_steps_raises():
    """An empty trajectory is an error that names the agent."""
    with pytest.raises(ValueError, match="agent_0-1 has no steps"):
        trajectory_to_segment(trajectory(DISCRETE, 0), DISCRETE)


def test_trajectory_to_segment_ragged_observations_raise():
    """A step whose observation has another shape is not silently reshaped."""
    fake = trajectory(DISCRETE, 3)
    fake.steps[1].obs[0] = np.zeros(5, dtype=np.float32)
    with pytest.raises(ValueError, match="reshape"):
        trajectory_to_segment(fake, DISCRETE)


def test_segment_columns_of_other_length_raise():
    """Columns that do not cover all steps are refused with the key and both lengths."""
    rewards = {BufferKey.ENVIRONMENT_REWARDS: np.zeros(3)}
    with pytest.raises(ValueError, match=r"2 steps.*environment_rewards.*3"):
        Segment("a", [np.zeros((3, 1))], rewards, False, False)
