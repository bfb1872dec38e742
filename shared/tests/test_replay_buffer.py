"""What a replay buffer keeps, links and samples."""

import numpy as np
import pytest
from mlagents.trainers.buffer import BufferKey
from mlagents.trainers.trajectory import ObsUtil

from fakes import DISCRETE, counting_segment, filled, mask, saved, trajectory, windows
from mlagents_plugin_shared.data import ReplayBuffer, ReplayKey
from mlagents_plugin_shared.data.trajectories import trajectory_to_segment

OBSERVATION = ObsUtil.get_name_at(0)
NEXT_OBSERVATION = ObsUtil.get_name_at_next(0)
DONE = BufferKey.DONE
REWARDS = BufferKey.ENVIRONMENT_REWARDS


TWO_EPISODES = (counting_segment(0, 6, terminated=True), counting_segment(10, 5, terminated=True))


def test_replay_buffer_n_step_window_spans_three_steps():
    """From the middle of a segment an n-step window has n rewards and bootstraps n steps later."""
    sampled = windows(filled(counting_segment(10, 6, terminated=True)), 3)
    # rewards of steps 11, 12, 13; the next observation is 11 + 3
    assert sampled[11] == (3, 14, mask(14), False, [11, 12, 13])


def test_replay_buffer_n_step_window_ends_with_the_episode():
    """Near a terminal state the window is shorter, is done, and everything is allowed after it."""
    sampled = windows(filled(counting_segment(10, 6, terminated=True)), 3)
    assert sampled[13] == (3, 16, [1, 1, 1, 1], True, [13, 14, 15])
    assert sampled[15] == (1, 16, [1, 1, 1, 1], True, [15])


def test_replay_buffer_interrupted_end_bootstraps():
    """Max step ends the window but is not terminal: the value after it counts, with all actions allowed."""
    sampled = windows(filled(counting_segment(10, 6, interrupted=True)), 3)
    assert sampled[15] == (1, 16, [1, 1, 1, 1], False, [15])


def test_replay_buffer_cut_end_waits_for_its_mask():
    """The last transition of a cut segment is not sampled, and windows bootstrap before it."""
    buffer = filled(counting_segment(10, 6))
    sampled = windows(buffer, 3)
    assert buffer.num_experiences == 5
    assert 15 not in sampled
    assert sampled[13] == (2, 15, mask(15), False, [13, 14])
    assert sampled[14] == (1, 15, mask(15), False, [14])


def test_replay_buffer_next_segment_brings_the_mask():
    """Once the agent's next segment is there, windows run across the joint as if there were none."""
    buffer = filled(counting_segment(10, 6), counting_segment(16, 4, terminated=True))
    sampled = windows(buffer, 3)
    assert buffer.num_experiences == 10
    assert sampled[14] == (3, 17, mask(17), False, [14, 15, 16])
    assert windows(buffer, 1)[15] == (1, 16, mask(16), False, [15])


def test_replay_buffer_segments_of_many_agents_interleave():
    """Joints are found per agent, whatever other agents deliver in between."""
    buffer = filled(
        counting_segment(0, 3, agent_id="a"),
        counting_segment(100, 3, agent_id="b"),
        counting_segment(3, 3, agent_id="a", terminated=True),
        counting_segment(103, 3, agent_id="b", interrupted=True),
    )
    sampled = windows(buffer, 4)
    assert sampled[2] == (4, 6, [1, 1, 1, 1], True, [2, 3, 4, 5])
    assert sampled[101] == (4, 105, mask(105), False, [101, 102, 103, 104])


def test_replay_buffer_other_first_observation_is_not_linked():
    """An environment that was reset starts anew under the same agent id: nothing leads across."""
    buffer = filled(counting_segment(0, 3), counting_segment(50, 3, terminated=True))
    sampled = windows(buffer, 5)
    assert sampled[1] == (1, 2, mask(2), False, [1])
    assert 2 not in sampled


def test_replay_buffer_other_agent_is_not_linked():
    """The same observation is no joint if another agent saw it."""
    buffer = filled(counting_segment(0, 3, agent_id="a"), counting_segment(3, 3, agent_id="b", terminated=True))
    assert buffer.num_experiences == 5


def test_replay_buffer_ended_segment_is_not_linked():
    """After the end of an episode the next is not its continuation, even if it starts at the same place."""
    buffer = filled(counting_segment(0, 3, terminated=True), counting_segment(3, 3, terminated=True))
    assert windows(buffer, 5)[2] == (1, 3, [1, 1, 1, 1], True, [2])


def test_replay_buffer_continuous_actions_need_no_mask():
    """With continuous actions alone the last transition of a cut segment is sampled at once."""
    buffer = filled(counting_segment(0, 3, continuous=True))
    batch = buffer.sample_n_step(200, 3)
    assert buffer.num_experiences == 3
    assert set(batch[OBSERVATION][:, 0]) == {0, 1, 2}
    assert set(batch[NEXT_OBSERVATION][:, 0]) == {3}
    assert ReplayKey.NEXT_ACTION_MASK not in batch


def test_replay_buffer_continuous_joint_extends_windows():
    """With continuous actions too, the next segment prolongs the windows that ended at the cut."""
    buffer = filled(counting_segment(0, 3, continuous=True), counting_segment(3, 3, continuous=True))
    batch = buffer.sample_n_step(300, 3)
    at_two = np.flatnonzero(batch[OBSERVATION][:, 0] == 2)[0]
    assert batch[NEXT_OBSERVATION][at_two, 0] == 5


def test_replay_buffer_overwrites_the_oldest_transitions_one_by_one():
    """Beyond capacity the oldest steps go, not whole segments, and windows of the rest stay right."""
    buffer = filled(*TWO_EPISODES, capacity=8)
    sampled = windows(buffer, 3)
    assert sorted(sampled) == [3, 4, 5, 10, 11, 12, 13, 14]  # 0, 1 and 2 are overwritten
    assert sampled[3] == (3, 6, [1, 1, 1, 1], True, [3, 4, 5])
    assert sampled[14] == (1, 15, [1, 1, 1, 1], True, [14])


def test_replay_buffer_window_crosses_the_wrap_around():
    """A window may start in the last row of the arrays and go on in the first."""
    buffer = filled(*TWO_EPISODES, capacity=8)
    batch = buffer.sample_n_step(200, 3)
    at_eleven = np.flatnonzero(batch[OBSERVATION][:, 0] == 11)[0]
    assert batch[ReplayKey.WINDOW][at_eleven].tolist() == [7, 0, 1]
    assert batch[NEXT_OBSERVATION][at_eleven, 0] == 14


def test_replay_buffer_segment_longer_than_capacity_keeps_its_end():
    """Of a segment that does not fit the newest transitions stay."""
    buffer = filled(counting_segment(0, 20, terminated=True), capacity=8)
    assert sorted(windows(buffer, 1)) == list(range(12, 20))


def test_replay_buffer_overwritten_joint_is_not_linked():
    """A cut segment that was overwritten meanwhile leaves nothing behind that could be linked."""
    buffer = filled(counting_segment(0, 4), counting_segment(4, 8, terminated=True), capacity=8)
    assert sorted(windows(buffer, 1)) == list(range(4, 12))


def test_replay_buffer_live_transitions_never_exceed_capacity():
    """Many short episodes need many observations aside, but never more transitions than capacity."""
    buffer = ReplayBuffer(10)
    for start in range(0, 500, 5):
        buffer.add(counting_segment(start, 1, terminated=True))
    assert buffer.num_experiences == 10
    assert len(buffer[REWARDS]) == 10
    # 10 live ends at most: the store aside never had to grow beyond its first 16 slots.
    assert buffer.nbytes == 10 * (4 + 4 + 4 + 4 + 4) + 16 * 4 + 10 * (4 + 4 + 1) + 11


def test_replay_buffer_joints_leave_nothing_aside():
    """The observation at a cut is needed until the next segment is linked; then its place is used again."""
    buffer = filled(*(counting_segment(start, 2) for start in range(0, 90, 2)))
    assert buffer.num_experiences == 89
    # 100 rows and never more than the first 16 slots aside, though 45 segments are alive.
    assert buffer.nbytes == 100 * (4 + 4 + 4 + 4 + 4) + 16 * 4 + 100 * (4 + 4 + 1) + 101


def test_replay_buffer_reused_rows_forget_their_end():
    """Where an episode ended before, a transition in the middle of a later one is not done."""
    # Rows 0 to 2, 3 to 7, then 0 to 7 again: row 2 was an end and is the third step of the last episode.
    episodes = [counting_segment(start, length, terminated=True) for start, length in ((0, 3), (10, 5), (20, 8))]
    sampled = windows(filled(*episodes, capacity=8), 1)
    assert [count for count in sorted(sampled) if sampled[count][3]] == [27]


def test_replay_buffer_samples_uniformly():
    """Each transition that can be sampled is drawn equally often, others never."""
    buffer = filled(counting_segment(0, 10), counting_segment(50, 11, agent_id="b", terminated=True))
    counts = np.bincount(buffer.sample_mini_batch(40_000)[OBSERVATION][:, 0].astype(int), minlength=61)
    drawn = counts[counts > 0]
    # 20 of 21 transitions; 2000 expected each, standard deviation sqrt(40000 * 0.05 * 0.95) = 43.6
    assert counts[9] == 0
    assert len(drawn) == 20
    assert np.abs(drawn - 2000).max() < 5 * 43.6


def test_replay_buffer_samples_uniformly_where_few_can_be_sampled():
    """Where most transitions wait for their mask the few others are still drawn equally often."""
    waiting = [counting_segment(100 * i, 1, agent_id=str(i)) for i in range(1, 50)]
    buffer = filled(counting_segment(0, 2, terminated=True), *waiting)
    counts = np.bincount(buffer.sample_mini_batch(10_000)[OBSERVATION][:, 0].astype(int))
    assert buffer.num_experiences == 2
    assert np.abs(counts - 5000).max() < 5 * 50  # sqrt(10000 * 0.25) = 50


def test_replay_buffer_seed_decides_the_samples():
    """The same seed gives the same batch, another seed another, and NumPy's global state plays no part."""
    segment = counting_segment(0, 50, terminated=True)
    first, second, other = (filled(segment, seed=seed).sample_mini_batch(20) for seed in (1, 1, 2))
    assert first[REWARDS].tolist() == second[REWARDS].tolist() != other[REWARDS].tolist()


def test_replay_buffer_one_step_batch_has_agentbuffers_keys():
    """Every key that an AgentBuffer has for a single agent is in the batch, with as many rows."""
    fake = trajectory(DISCRETE, 6, memory=8, done=True)
    batch = filled(trajectory_to_segment(fake, DISCRETE)).sample_mini_batch(32)
    expected = {key for key in fake.to_agentbuffer() if "group" not in str(key).lower()}
    assert expected | {BufferKey.GROUP_REWARD, ReplayKey.NEXT_ACTION_MASK, ReplayKey.SERIAL} == set(batch)
    assert all(len(column) == 32 for column in batch.values())
    assert batch.num_experiences == 32


def test_replay_buffer_sequences_follow_the_episode():
    """A sequence starts anywhere, runs across joints, and is padded with MASKS 0 after its end."""
    buffer = filled(counting_segment(0, 5), counting_segment(5, 3, terminated=True))
    batch = buffer.sample_mini_batch(400, sequence_length=4)
    starts = batch[OBSERVATION][::4, 0].astype(int)
    masks = batch[BufferKey.MASKS].reshape(-1, 4)
    memories = batch[BufferKey.MEMORY].reshape(-1, 4)
    assert set(starts) == set(range(8))
    for start, mask_row, memory in zip(starts, masks, memories, strict=True):
        length = min(4, 8 - start)
        assert mask_row.tolist() == [1] * length + [0] * (4 - length)
        assert memory[:length].tolist() == list(range(start, start + length))


def test_replay_buffer_sequences_round_the_batch_down():
    """Only whole sequences are given, and at least one."""
    buffer = filled(counting_segment(0, 50, terminated=True))
    assert buffer.sample_mini_batch(10, 4).num_experiences == 8
    assert buffer.sample_mini_batch(2, 4).num_experiences == 4


def test_replay_buffer_burn_in_leads_to_the_sequence():
    """Up to so many steps of the same episode come before what was drawn, with MASKS 0; fewer at its beginning."""
    buffer = filled(counting_segment(0, 5), counting_segment(5, 3, terminated=True))
    batch = buffer.sample_mini_batch(400, sequence_length=2, burn_in=3)
    observations = batch[OBSERVATION].reshape(-1, 5)
    masks = batch[BufferKey.MASKS].reshape(-1, 5).astype(int)
    assert len(batch[ReplayKey.SERIAL]) == 200
    rows = {
        serial: (o.tolist(), m.tolist())
        for serial, o, m in zip(batch[ReplayKey.SERIAL], observations, masks, strict=True)
    }
    assert rows[0] == ([0, 1, 2, 3, 4], [1, 1, 0, 0, 0])
    assert rows[2] == ([0, 1, 2, 3, 4], [0, 0, 1, 1, 0])
    assert rows[4] == ([1, 2, 3, 4, 5], [0, 0, 0, 1, 1])  # across the joint
    assert rows[7] == ([4, 5, 6, 7, 7], [0, 0, 0, 1, 0])


def test_replay_buffer_burn_in_starts_with_the_stored_memory():
    """The memory to unroll from is the one stored at the first step of the burn-in, not at the drawn one."""
    buffer = filled(counting_segment(0, 8, terminated=True))
    batch = buffer.sample_mini_batch(100, sequence_length=2, burn_in=3)
    first = batch[BufferKey.MEMORY].reshape(-1, 5)[:, 0]
    assert first.tolist() == np.maximum(batch[ReplayKey.SERIAL] - 3, 0).tolist()


def test_replay_buffer_burn_in_stays_in_its_episode():
    """Neither another episode, nor another agent, nor what was overwritten leads to a step."""
    other = counting_segment(50, 2, agent_id="b", terminated=True)
    buffer = filled(counting_segment(0, 4, terminated=True), other, counting_segment(9, 4, terminated=True), capacity=7)
    batch = buffer.sample_mini_batch(600, sequence_length=1, burn_in=2)
    lead = (batch[BufferKey.MASKS].reshape(-1, 3)).argmax(axis=1)
    drawn = batch[OBSERVATION].reshape(-1, 3)[np.arange(600), lead]
    assert dict(zip(drawn, lead, strict=True)) == {3: 0, 50: 0, 51: 1, 9: 0, 10: 1, 11: 2, 12: 2}


@pytest.mark.parametrize(("length", "burn_in"), [(0, 0), (1, -1)])
def test_replay_buffer_sequence_without_length_raises(length, burn_in):
    """Sequences have a step, and burn-in is no less than none."""
    with pytest.raises(ValueError, match=f"at least 1, not {length}; burn_in {burn_in} at least 0"):
        filled(*TWO_EPISODES).sample_mini_batch(4, length, burn_in)


def test_replay_buffer_make_mini_batch_reads_in_order_until_shuffled():
    """As in AgentBuffer: oldest first; after `shuffle` every transition once, in another order, until the next add."""
    buffer = filled(*TWO_EPISODES, capacity=8)
    in_order = [3, 4, 5, 10, 11, 12, 13, 14]
    assert buffer.make_mini_batch(2, 5)[REWARDS].tolist() == in_order[2:5]
    buffer.shuffle()
    shuffled = np.concatenate([buffer.make_mini_batch(start, start + 3)[REWARDS] for start in (0, 3, 6)])
    assert shuffled.tolist() != in_order == sorted(shuffled)
    buffer.add(counting_segment(20, 1, terminated=True))
    assert buffer.make_mini_batch(0, 8)[REWARDS].tolist() == [*in_order[1:], 20]


def test_replay_buffer_shuffle_keeps_sequences_together():
    """Chunks of so many transitions stay in order, as AgentBuffer shuffles; the rest that makes no chunk is left."""
    buffer = filled(*TWO_EPISODES)
    buffer.shuffle(sequence_length=3)
    chunks = buffer.make_mini_batch(0, 100)[REWARDS].reshape(-1, 3).tolist()
    assert sorted(chunks) == [[0, 1, 2], [3, 4, 5], [10, 11, 12]]


def test_replay_buffer_next_actions_cross_joints():
    """The next action is the following transition's, and zero where none follows."""
    buffer = filled(counting_segment(1, 2), counting_segment(3, 3, terminated=True))
    batch = buffer.gather(np.arange(5))
    assert batch[BufferKey.DISCRETE_ACTION][:, 0].tolist() == [1, 2, 3, 0, 1]  # count modulo 4
    assert batch[BufferKey.NEXT_DISC_ACTION][:, 0].tolist() == [2, 3, 0, 1, 0]


def test_replay_buffer_stale_batch_raises():
    """A column that is first read after the buffer changed would mix two states; it is refused."""
    buffer = filled(counting_segment(0, 5, terminated=True))
    batch = buffer.sample_mini_batch(4)
    rewards = batch[REWARDS]
    buffer.add(counting_segment(9, 5, terminated=True))
    assert batch[REWARDS] is rewards
    with pytest.raises(RuntimeError, match="before the next add"):
        batch[OBSERVATION]


def test_replay_buffer_batch_is_a_copy():
    """Writing into a batch does not reach the buffer."""
    buffer = filled(counting_segment(0, 5, terminated=True))
    buffer.sample_mini_batch(50)[REWARDS][:] = -1
    assert np.array(buffer[REWARDS]).tolist() == [0, 1, 2, 3, 4]


def test_replay_buffer_columns_read_oldest_first():
    """`buffer[key]` is a column of all transitions in the order of their age, also after wrap-around."""
    buffer = filled(counting_segment(0, 6, terminated=True), counting_segment(10, 5), capacity=8)
    assert np.array(buffer[REWARDS]).tolist() == [3, 4, 5, 10, 11, 12, 13, 14]
    assert buffer[NEXT_OBSERVATION][-1].tolist() == [15]
    assert len(buffer[DONE]) == 8
    assert REWARDS in buffer
    assert BufferKey.ADVANTAGES not in buffer


def test_replay_buffer_has_no_keys_before_the_first_transition():
    """An empty buffer claims no columns, and has all of them after its first segment or loaded file."""
    buffer, loaded = ReplayBuffer(10), ReplayBuffer(10)
    assert list(buffer) == []
    buffer.add(counting_segment(0, 5))
    loaded.load_from_file(saved(buffer))
    assert set(buffer) == set(loaded) == set(loaded.sample_mini_batch(2))
    assert BufferKey.MASKS in buffer


def test_replay_buffer_truncate_drops_the_oldest():
    """`truncate` keeps the newest transitions, in whole sequences."""
    buffer = filled(counting_segment(0, 10, terminated=True))
    buffer.truncate(5, sequence_length=2)
    assert np.array(buffer[REWARDS]).tolist() == [6, 7, 8, 9]


def test_replay_buffer_reset_agent_empties():
    """After a reset nothing is left to sample or to link, and the buffer can be filled again."""
    buffer = filled(counting_segment(0, 5))
    buffer.reset_agent()
    assert buffer.num_experiences == 0
    buffer.add(counting_segment(5, 2, terminated=True))
    assert np.array(buffer[REWARDS]).tolist() == [5, 6]


def test_replay_buffer_empty_raises():
    """Sampling from nothing is an error; so is sampling where everything waits for its mask."""
    with pytest.raises(ValueError, match="no transition that can be sampled"):
        ReplayBuffer(10).sample_mini_batch(4)
    with pytest.raises(ValueError, match="no transition that can be sampled"):
        filled(counting_segment(0, 1)).sample_n_step(4, 3)


@pytest.mark.parametrize("call", [lambda b: b.sample_n_step(4, 0), lambda b: b.sample_mini_batch(4, 0)])
def test_replay_buffer_length_below_one_raises(call):
    """Windows and sequences have at least one step."""
    with pytest.raises(ValueError, match="at least 1, not 0"):
        call(filled(counting_segment(0, 5)))


def test_replay_buffer_capacity_below_one_raises():
    """A buffer without room is refused."""
    with pytest.raises(ValueError, match="capacity must be at least 1, not 0"):
        ReplayBuffer(0)


def test_replay_buffer_other_shape_raises_with_both():
    """A segment with other observations is refused with both shapes and changes nothing."""
    buffer = filled(counting_segment(0, 5, terminated=True))
    with pytest.raises(ValueError, match=r"holds .*obs:0: \[1\].*has .*obs:0: \[3\]"):
        buffer.add(counting_segment(5, 5, width=3))
    assert buffer.num_experiences == 5


def test_replay_buffer_other_columns_raise():
    """A segment of another behaviour, with other actions, is refused."""
    buffer = filled(counting_segment(0, 5, terminated=True))
    with pytest.raises(ValueError, match=r"discrete_action: \[1\].*continuous_action: \[1\]"):
        buffer.add(counting_segment(5, 5, continuous=True))


def test_replay_buffer_memory_is_close_to_the_payload():
    """64 floats and what a discrete behaviour needs cost less than 1.1 times their own bytes."""
    segment = trajectory_to_segment(trajectory(DISCRETE, 64, shapes=[(64,)], done=True), DISCRETE)
    buffer = filled(*[segment] * 40, capacity=2000)
    # float32: 64 of observation, 2 log probabilities, 2 rewards; int32: 2 actions, 2 previous; 5 mask bytes
    payload = 4 * (64 + 2 + 2 + 2 + 2) + 5
    assert buffer.bytes_per_transition < 1.1 * payload
