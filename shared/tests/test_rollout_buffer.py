import numpy as np
import pytest
import torch
from mlagents.trainers.buffer import BufferKey, RewardSignalUtil
from mlagents.trainers.trajectory import ObsUtil

from fakes import HYBRID, counting_segment, mask_of, trajectory
from mlagents_plugin_shared.data import RolloutBuffer
from mlagents_plugin_shared.data.trajectories import trajectory_to_segment
from mlagents_plugin_shared.maths.targets import gae, lambda_return, vtrace

OBSERVATION = ObsUtil.get_name_at(0)
NEXT_OBSERVATION = ObsUtil.get_name_at_next(0)
REWARDS = BufferKey.ENVIRONMENT_REWARDS


def filled(sequence_length=1):
    """Segments of 5, 2 and 3 steps."""
    buffer = RolloutBuffer(sequence_length)
    buffer.add(counting_segment(0, 5))
    buffer.add(counting_segment(20, 2, agent_id="b", terminated=True))
    buffer.add(counting_segment(5, 3, interrupted=True))
    return buffer


def test_rollout_buffer_keeps_segments_in_order_of_arrival():
    """Steps come segment after segment, and the observations after them aside."""
    buffer = filled()
    assert buffer.num_experiences == 10
    assert buffer.observations()[0][:, 0].tolist() == [0, 1, 2, 3, 4, 20, 21, 5, 6, 7]
    assert buffer.last_observations()[0][:, 0].tolist() == [5, 22, 8]
    assert buffer.lengths.tolist() == [5, 2, 3]
    assert buffer.agent_ids == ["a", "b", "a"]
    assert buffer.terminated.tolist() == [False, True, False]
    assert buffer.interrupted.tolist() == [False, False, True]


def test_rollout_buffer_batch_has_next_observations_and_actions():
    """The next observation of a segment's last step is the one aside; its next action is zero."""
    batch = filled().batch()
    assert batch[NEXT_OBSERVATION][:, 0].tolist() == [1, 2, 3, 4, 5, 21, 22, 6, 7, 8]
    assert batch[BufferKey.DISCRETE_ACTION][:, 0].tolist() == [0, 1, 2, 3, 0, 0, 1, 1, 2, 3]
    assert batch[BufferKey.NEXT_DISC_ACTION][:, 0].tolist() == [1, 2, 3, 0, 0, 1, 0, 2, 3, 0]
    assert batch[BufferKey.MASKS].tolist() == [1] * 10
    assert batch.num_experiences == 10


def test_rollout_buffer_batch_equals_agentbuffer():
    """All steps hold what ML-Agents' own append would hold."""
    buffer = RolloutBuffer()
    fakes = [trajectory(HYBRID, 4 + seed, shapes=[(4,), (3, 6, 6)], memory=8, seed=seed) for seed in range(3)]
    for fake in fakes:
        buffer.add(trajectory_to_segment(fake, HYBRID))
    parts = [fake.to_agentbuffer() for fake in fakes]
    for key in buffer:
        expected = np.concatenate([np.array(part[key], dtype=buffer[key].dtype) for part in parts])
        np.testing.assert_array_equal(buffer[key], expected, str(key))


def test_rollout_buffer_pad_time_major_round_trip():
    """Padding puts each segment in a column of its own, unpadding brings the steps back in order."""
    buffer = filled()
    padded = buffer.pad_time_major(buffer[REWARDS], fill=-1)
    assert padded.tolist() == [[0, 20, 5], [1, 21, 6], [2, -1, 7], [3, -1, -1], [4, -1, -1]]
    assert buffer.unpad_time_major(padded).tolist() == buffer[REWARDS].tolist()


def test_rollout_buffer_pad_time_major_keeps_inner_shapes():
    """Values of any inner shape are padded alike."""
    buffer = filled()
    values = np.random.default_rng(0).random((10, 2, 3))
    padded = buffer.pad_time_major(values)
    assert padded.shape == (5, 3, 2, 3)
    np.testing.assert_array_equal(buffer.unpad_time_major(padded), values)


LAST_VALUES = np.array([0.7, -0.2, 1.1], np.float32)


def stream(buffer, **options):
    """Rewards, values, and the steps of a stream of which the second segment is terminal."""
    values = np.random.default_rng(0).normal(size=10).astype(np.float32)
    return values, buffer.stream_steps(buffer[REWARDS], values, LAST_VALUES, 0.9, **options)


def test_rollout_buffer_stream_steps_by_hand():
    """Discount 0 after a terminal state, gamma after a cut; behind the end reward 0, discount 1, the last value."""
    values, steps = stream(filled())
    assert steps.r_t[:, 1].tolist() == [20, 21, 0, 0, 0]
    np.testing.assert_allclose(steps.discount_t[:, 1], [0.9, 0, 1, 1, 1])
    np.testing.assert_allclose(steps.discount_t[:, 2], [0.9, 0.9, 0.9, 1, 1])
    np.testing.assert_allclose(steps.v_tm1[:, 1], [values[5], values[6], -0.2, -0.2, -0.2])
    np.testing.assert_allclose(steps.v_t[:, 1], [values[6], -0.2, -0.2, -0.2, -0.2])


def test_rollout_buffer_stream_steps_may_bootstrap_after_the_end():
    """With ignore_done a terminal state counts like any other."""
    np.testing.assert_allclose(stream(filled(), ignore_done=True)[1].discount_t[1, 1], 0.9)


def segment_by_segment(function, buffer, steps, *others):
    """The same function on each segment alone, without padding; [N] in the order of arrival."""
    parts = []
    for k, length in enumerate(buffer.lengths):
        parts.append(function(*(field[:length, k : k + 1] for field in (*steps, *others))))
    return [torch.cat(columns).flatten().numpy() for columns in zip(*parts, strict=True)]


@pytest.mark.parametrize(
    "function",
    [
        lambda r, d, v_tm1, v_t, rho: (gae(r, d, v_tm1, v_t, lambda_=0.8),),
        lambda r, d, v_tm1, v_t, rho: (lambda_return(r, d, v_t, lambda_=0.8),),
        lambda r, d, v_tm1, v_t, rho: vtrace(r, d, v_tm1, v_t, rho, lambda_=0.9),
    ],
    ids=["gae", "lambda_return", "vtrace"],
)
def test_rollout_buffer_one_pass_gives_each_segments_own_targets(function):
    """Advantages, returns and V-trace of all segments side by side are those of each segment by itself."""
    buffer = filled()
    _, steps = stream(buffer)
    ratios = np.exp(np.random.default_rng(1).normal(size=10)).astype(np.float32)
    rho = torch.from_numpy(buffer.pad_time_major(ratios, fill=1))
    together = [buffer.unpad_time_major(result.numpy()) for result in function(*steps, rho)]
    for found, expected in zip(together, segment_by_segment(function, buffer, steps, rho), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("lengths", "message"),
    [((9, 10, 3), "rewards: shape"), ((10, 11, 3), "values: shape"), ((10, 10, 2), "last_values: .* 3 segments")],
)
def test_rollout_buffer_stream_steps_of_other_length_raise(lengths, message):
    """Each array must cover all steps, or all segments."""
    with pytest.raises(ValueError, match=message):
        filled().stream_steps(*map(np.zeros, lengths), 0.9)


def test_rollout_buffer_assigned_column_is_in_batches():
    """Advantages and returns that were assigned are in what is read until the next segment."""
    buffer = filled()
    key = RewardSignalUtil.returns_key("extrinsic")
    buffer[BufferKey.ADVANTAGES] = np.arange(10)
    buffer[key] = np.arange(10) * 2
    batch = buffer.sequences()
    assert batch[BufferKey.ADVANTAGES].tolist() == list(range(10))
    assert batch[key].tolist() == list(range(0, 20, 2))
    buffer.add(counting_segment(50, 2))
    assert BufferKey.ADVANTAGES not in buffer


def test_rollout_buffer_assigned_column_of_other_length_raises():
    """A column that does not cover all steps is refused with its shape and the number of steps."""
    with pytest.raises(ValueError, match=r"shape \(9,\), but there are 10 steps"):
        filled()[BufferKey.ADVANTAGES] = np.zeros(9)
    with pytest.raises(ValueError, match=r"shape \(9,\), but there are 10 steps"):
        filled().pad_time_major(np.zeros(9))


@pytest.mark.parametrize("sequence_length", [1, 2, 3, 4, 7])
def test_rollout_buffer_sequences_hold_every_real_step_once(sequence_length):
    """Whatever the length of sequences, the steps with MASKS 1 are all steps in the order of arrival."""
    batch = filled(sequence_length).sequences()
    assert batch[REWARDS][batch[BufferKey.MASKS] > 0].tolist() == [0, 1, 2, 3, 4, 20, 21, 5, 6, 7]
    assert batch.num_experiences % sequence_length == 0


def test_rollout_buffer_sequences_stay_within_segments():
    """A sequence ends with its segment; the rest is zeros, but all actions are allowed there."""
    batch = filled(3).sequences()
    # segments of 5, 2 and 3 steps: sequences 0 1 2, 3 4 -, 20 21 -, 5 6 7
    assert batch[REWARDS].tolist() == [0, 1, 2, 3, 4, 0, 20, 21, 0, 5, 6, 7]
    assert batch[BufferKey.MASKS].tolist() == [1, 1, 1, 1, 1, 0, 1, 1, 0, 1, 1, 1]
    assert batch[OBSERVATION][[5, 8], 0].tolist() == [0, 0]
    assert batch[BufferKey.ACTION_MASK][5].tolist() == [1, 1, 1, 1]
    assert batch[BufferKey.ACTION_MASK][4].tolist() == mask_of([4])[0].tolist()


def test_rollout_buffer_padding_does_not_reach_the_buffer():
    """Writing zeros into the padding of a batch changes no step."""
    buffer = filled(3)
    buffer.sequences()[REWARDS][:] = -1
    assert buffer[REWARDS].tolist() == [0, 1, 2, 3, 4, 20, 21, 5, 6, 7]


def test_rollout_buffer_reset_agent_empties_and_reuses_memory():
    """After a reset the buffer is empty, reads as empty, and fills again from its start."""
    buffer = filled()
    buffer[BufferKey.ADVANTAGES] = np.zeros(10)
    before = buffer.observations()[0].__array_interface__["data"]
    buffer.reset_agent()
    assert buffer.num_experiences == 0
    assert len(buffer.lengths) == 0
    assert buffer.sequences().num_experiences == 0
    assert BufferKey.ADVANTAGES not in buffer
    buffer.add(counting_segment(70, 2))
    assert buffer[REWARDS].tolist() == [70, 71]
    assert buffer.observations()[0].__array_interface__["data"] == before


def test_rollout_buffer_grows_without_losing_steps():
    """Hundreds of segments beyond the first allocation are all there, in order."""
    buffer = RolloutBuffer()
    for start in range(0, 3000, 30):
        buffer.add(counting_segment(start, 30))
    assert buffer[REWARDS].tolist() == list(range(3000))
    assert buffer[NEXT_OBSERVATION][:, 0].tolist() == list(range(1, 3001))


def test_rollout_buffer_other_shape_raises_with_both():
    """A segment with other observations is refused with both shapes and changes nothing."""
    buffer = filled()
    with pytest.raises(ValueError, match=r"holds .*obs:0: \[1\].*has .*obs:0: \[3\]"):
        buffer.add(counting_segment(0, 5, width=3))
    assert buffer.num_experiences == 10


def test_rollout_buffer_empty_reads_as_empty():
    """Before the first segment there are no keys, and any column is empty."""
    buffer = RolloutBuffer()
    assert buffer.num_experiences == 0
    assert len(buffer[REWARDS]) == 0
    assert REWARDS not in buffer
    assert buffer.sequences().num_experiences == 0


def test_rollout_buffer_sequence_length_below_one_raises():
    """Sequences have at least one step."""
    with pytest.raises(ValueError, match="sequence_length must be at least 1, not 0"):
        RolloutBuffer(0)


def test_rollout_buffer_batch_cannot_be_read_after_a_change():
    """A column that is read for the first time after `clear` would be of another rollout: it raises."""
    buffer = filled()
    batch = buffer.batch()
    first = batch[REWARDS]
    buffer.clear()
    assert batch[REWARDS] is first
    with pytest.raises(RuntimeError, match="has changed"):
        batch[OBSERVATION]


def test_rollout_buffer_is_restored_from_its_state():
    """Everything that a batch reads is the same, and the buffer goes on taking segments."""
    buffer, again = filled(), RolloutBuffer()
    again.load_state_dict(buffer.state_dict())
    assert (again.agent_ids, again.lengths.tolist()) == (buffer.agent_ids, buffer.lengths.tolist())
    assert again.terminated.tolist() == buffer.terminated.tolist()
    assert again.interrupted.tolist() == buffer.interrupted.tolist()
    first, second = buffer.batch(), again.batch()
    assert set(first) == set(second)
    for key in first:
        np.testing.assert_array_equal(first[key], second[key])
    again.add(counting_segment(30, 4))
    assert again.num_experiences == 14


def test_rollout_buffer_ends_open_episodes():
    """Of each agent the last segment counts as interrupted unless it was terminal; or of one agent alone."""
    buffer = filled()
    buffer.add(counting_segment(8, 2))
    buffer.add(counting_segment(40, 2, agent_id="c"))
    assert buffer.end_episodes("c")
    assert not buffer.end_episodes("d")
    assert buffer.interrupted.tolist() == [False, False, True, False, True]
    buffer.end_episodes()
    assert buffer.interrupted.tolist() == [False, False, True, True, True]
    assert buffer.terminated.tolist() == [False, True, False, False, False]


def test_rollout_buffer_knows_masks_after_segments_that_go_on():
    """That of the agent's next segment; not where there is none, or an episode was cut; after an end it is moot."""
    buffer = filled()
    buffer.add(counting_segment(30, 2))
    masks, is_known = buffer.last_action_masks()
    assert is_known.tolist() == [True, True, False, False]
    np.testing.assert_array_equal(masks[0], buffer[BufferKey.ACTION_MASK][7])
    assert masks[1:].all()


def test_rollout_buffer_takes_all_to_be_legal_where_nothing_is_forbidden():
    """The control of masks: then every mask is known, whether a segment goes on or not."""
    buffer = filled()
    buffer[BufferKey.ACTION_MASK] = np.ones_like(buffer[BufferKey.ACTION_MASK])
    masks, is_known = buffer.last_action_masks()
    assert is_known.all()
    assert masks.all()


def test_rollout_buffer_without_last_steps():
    """Of the first and the third of segments of 5, 2 and 3 steps."""
    mask = filled().without_last_steps(np.array([True, False, True]))
    assert mask.tolist() == [1, 1, 1, 1, 0, 1, 1, 1, 1, 0]
