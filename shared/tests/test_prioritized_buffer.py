"""Proportional prioritisation: what is drawn how often, what it weighs, and what survives a file."""

import io

import numpy as np
import pytest
from mlagents.trainers.buffer import BufferKey
from mlagents.trainers.trajectory import ObsUtil

from fakes import counting_segment
from mlagents_plugin_shared.data import PrioritizedReplayBuffer, ReplayBuffer, ReplayKey

OBSERVATION = ObsUtil.get_name_at(0)
SERIAL, WEIGHT = ReplayKey.SERIAL, ReplayKey.WEIGHT


def filled(errors, *, capacity=100, alpha=1.0, beta=0.4, seed=0):
    """One episode of as many steps, whose observation and serial number are both their count."""
    buffer = PrioritizedReplayBuffer(capacity, alpha=alpha, beta=beta, seed=seed)
    buffer.add(counting_segment(0, len(errors), terminated=True))
    buffer.update_priorities(np.arange(len(errors)), np.asarray(errors, dtype=np.float32))
    return buffer


def frequencies(buffer, size, draws=20_000):
    counts = buffer.sample_mini_batch(draws)[OBSERVATION][:, 0].astype(int)
    return np.bincount(counts, minlength=size) / draws


@pytest.mark.parametrize("alpha", [0.0, 0.5, 0.6, 1.0, 2.0])
def test_prioritized_draws_follow_the_errors(alpha):
    """P(i) = p_i^alpha / sum: stratified draws are within one draw of it; the sign of an error plays no part."""
    errors = np.array([1.0, -2.0, 4.0, 0.5, -8.0])
    expected = np.abs(errors) ** alpha / (np.abs(errors) ** alpha).sum()
    np.testing.assert_allclose(frequencies(filled(errors, alpha=alpha), 5), expected, atol=2 / 20_000)


def test_prioritized_draws_are_independent_within_their_shares():
    """Two batches differ, and of equal priorities each batch of N draws each one about once."""
    buffer = filled(np.ones(64), alpha=1.0)
    first, second = (buffer.sample_mini_batch(64)[SERIAL] for _ in range(2))
    assert first.tolist() == second.tolist() == list(range(64))
    buffer.update_priorities(np.arange(64), np.linspace(1, 5, 64))
    first, second = (buffer.sample_mini_batch(64)[SERIAL] for _ in range(2))
    assert first.tolist() != second.tolist()


@pytest.mark.parametrize("beta", [0.0, 0.4, 1.0])
def test_prioritized_weights_undo_the_preference(beta):
    """w_i = (N P(i))^-beta over the largest of the batch; at beta 1 weighted draws are uniform again."""
    errors = np.array([1.0, 2.0, 5.0, 8.0])
    buffer = filled(errors, beta=beta)
    batch = buffer.sample_mini_batch(4000)
    raw = (4 * errors / errors.sum()) ** -beta
    drawn = batch[SERIAL]
    assert batch[WEIGHT].dtype == np.float32
    np.testing.assert_allclose(batch[WEIGHT], (raw / raw.max())[drawn], rtol=1e-4)
    if beta == 1.0:
        mass = np.bincount(drawn, weights=batch[WEIGHT])
        np.testing.assert_allclose(mass / mass.sum(), 0.25, atol=1e-3)


def test_prioritized_beta_may_follow_a_schedule():
    """What gives beta is asked for each batch."""
    schedule = iter([0.0, 1.0])
    buffer = filled([1.0, 4.0], beta=lambda: next(schedule))
    assert buffer.sample_mini_batch(50)[WEIGHT].tolist() == [1.0] * 50
    assert set(np.round(buffer.sample_mini_batch(50)[WEIGHT], 4)) == {0.25, 1.0}


def test_prioritized_new_transitions_get_the_largest_priority():
    """A transition that was never judged is drawn like the worst that ever was, even when that one is gone."""
    buffer = filled([1.0, 9.0])
    buffer.update_priorities(np.array([1]), np.array([1.0]))
    buffer.add(counting_segment(2, 1, agent_id="b", terminated=True))
    np.testing.assert_allclose(frequencies(buffer, 3), [1 / 11, 1 / 11, 9 / 11], atol=1e-3)


def test_prioritized_cut_end_has_no_priority_until_it_can_be_sampled():
    """The last transition of a cut segment is not drawn; with its mask it comes in with the largest priority."""
    buffer = PrioritizedReplayBuffer(20, alpha=1.0)
    buffer.add(counting_segment(0, 3))
    assert buffer.num_experiences == 2
    assert frequencies(buffer, 3)[2] == 0
    buffer.update_priorities(np.array([2]), np.array([50.0]))  # a stray update must not make it drawn
    assert frequencies(buffer, 3)[2] == 0
    buffer.add(counting_segment(3, 1, terminated=True))
    assert frequencies(buffer, 4)[2] > 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_prioritized_errors_that_are_not_finite_change_nothing(bad):
    """NaN and infinity are ignored; the other errors of the batch count."""
    buffer = filled([1.0, 3.0])
    buffer.update_priorities(np.array([0, 1]), np.array([bad, 1.0]))
    np.testing.assert_allclose(frequencies(buffer, 2), 0.5, atol=1e-3)
    assert np.isfinite(buffer.sample_mini_batch(10)[WEIGHT]).all()


def test_prioritized_zero_error_is_still_drawn():
    """No priority is 0: with all errors 0 the draws are uniform."""
    np.testing.assert_allclose(frequencies(filled(np.zeros(5)), 5), 0.2, atol=1e-3)
    assert filled([0.0, 1.0])._ring.tree.values[0] > 0


def test_prioritized_update_of_overwritten_transitions_is_ignored():
    """A batch may be judged after the buffer went on: rows that hold newer transitions keep their priority."""
    buffer = filled([1.0, 1.0, 1.0, 1.0], capacity=4)
    drawn = np.arange(4)
    buffer.add(counting_segment(10, 2, terminated=True))  # over the serials 0 and 1
    buffer.update_priorities(drawn, np.array([90.0, 90.0, 1.0, 3.0]))
    expected = np.array([1.0, 3.0, 1.0, 1.0])  # serials 2, 3, 4, 5
    counts = np.bincount(buffer.sample_mini_batch(20_000)[SERIAL] - 2, minlength=4) / 20_000
    np.testing.assert_allclose(counts, expected / expected.sum(), atol=1e-3)


def test_prioritized_shapes_must_agree():
    """Errors of one shape for serials of another are an error with both."""
    with pytest.raises(ValueError, match=r"serials \(3,\) and errors \(3, 1\)"):
        filled([1.0, 2.0]).update_priorities(np.arange(3), np.ones((3, 1)))


def test_prioritized_alpha_below_zero_raises():
    """A negative exponent would prefer what is known."""
    with pytest.raises(ValueError, match=r"alpha must not be negative, but is -0\.1"):
        PrioritizedReplayBuffer(10, alpha=-0.1)


def test_prioritized_empty_raises():
    """As in a uniform buffer there must be something to sample."""
    with pytest.raises(ValueError, match="no transition that can be sampled"):
        PrioritizedReplayBuffer(10).sample_mini_batch(4)


@pytest.mark.parametrize("n", [1, 3])
def test_prioritized_windows_start_at_what_was_drawn(n):
    """n-step windows begin at the transition that was drawn by its priority, and are those of a uniform buffer."""
    buffer, uniform = filled([1, 1, 30, 1, 1, 1]), ReplayBuffer(100)
    uniform.add(counting_segment(0, 6, terminated=True))
    batch = buffer.sample_n_step(360, n)
    assert np.count_nonzero(batch[SERIAL] == 2) == pytest.approx(360 * 30 / 35, abs=1)
    assert batch[OBSERVATION][:, 0].tolist() == batch[SERIAL].tolist()
    expected = {row: uniform._windows(np.array([row]), n)[0][0].tolist() for row in range(6)}
    assert all(
        expected[row] == window.tolist() for row, window in zip(batch[SERIAL], batch[ReplayKey.WINDOW], strict=True)
    )


def test_prioritized_sequences_start_at_what_was_drawn():
    """One weight and one serial a sequence, of its first step after burn-in."""
    buffer = filled([1, 1, 1, 1, 50, 1])
    batch = buffer.sample_mini_batch(30, sequence_length=3, burn_in=2)
    observations = batch[OBSERVATION].reshape(10, 5)
    assert len(batch[WEIGHT]) == len(batch[SERIAL]) == 10
    chosen = batch[SERIAL] == 4
    assert chosen.sum() >= 8
    assert (observations[chosen] == [2, 3, 4, 5, 5]).all()
    assert batch[BufferKey.MASKS].reshape(10, 5)[chosen].tolist() == [[0, 0, 1, 1, 0]] * int(chosen.sum())


def saved(buffer):
    file = io.BytesIO()
    buffer.save_to_file(file)
    file.seek(0)
    return file


def judged(capacity=5, alpha=0.6):
    """Wrapped around, cut, with a largest priority that is gone, and judged."""
    buffer = PrioritizedReplayBuffer(capacity, alpha=alpha, seed=3)
    buffer.add(counting_segment(0, 3, terminated=True))
    buffer.update_priorities(np.array([0]), np.array([40.0]))
    buffer.add(counting_segment(10, 4))
    buffer.update_priorities(np.array([4, 5]), np.array([2.0, 0.1]))
    return buffer


def test_prioritized_buffer_goes_on_from_a_file_as_it_would_have():
    """Priorities, the largest one and the generator are saved: later draws, weights and additions are the same."""
    buffer, loaded = judged(), PrioritizedReplayBuffer(5, seed=99)
    loaded.load_from_file(saved(buffer))
    for _ in range(3):
        batches = buffer.sample_n_step(40, 3), loaded.sample_n_step(40, 3)
        for key in batches[0]:
            np.testing.assert_array_equal(batches[0][key], batches[1][key], str(key))
        for each in (buffer, loaded):
            each.update_priorities(batches[0][SERIAL], batches[0][OBSERVATION][:, 0])
            each.add(counting_segment(14, 2))
    np.testing.assert_array_equal(buffer._ring.tree.values, loaded._ring.tree.values)


def test_prioritized_buffer_reads_a_uniform_file():
    """Switched on for a resume, it takes the transitions of a uniform buffer, all with the same priority."""
    uniform, loaded = ReplayBuffer(9), PrioritizedReplayBuffer(9)
    uniform.add(counting_segment(0, 5))
    loaded.load_from_file(saved(uniform))
    assert loaded.num_experiences == 4
    np.testing.assert_allclose(frequencies(loaded, 5), [0.25, 0.25, 0.25, 0.25, 0], atol=1e-3)


def test_uniform_buffer_reads_a_prioritized_file():
    """Switched off for a resume, the priorities are left aside."""
    buffer, loaded = judged(), ReplayBuffer(5)
    loaded.load_from_file(saved(buffer))
    assert loaded.num_experiences == buffer.num_experiences
    assert set(loaded.sample_mini_batch(200)[OBSERVATION][:, 0]) == {2, 10, 11, 12}  # 13 waits for its mask


def test_prioritized_buffer_with_another_alpha_keeps_the_errors():
    """Loaded with another alpha, draws follow the saved errors by the new exponent."""
    buffer, loaded = filled([1.0, 4.0], alpha=0.5), PrioritizedReplayBuffer(100, alpha=1.0)
    loaded.load_from_file(saved(buffer))
    np.testing.assert_allclose(frequencies(loaded, 2), [0.2, 0.8], atol=1e-3)


def test_prioritized_buffer_of_smaller_capacity_keeps_the_newest():
    """A file with more transitions than fit leaves the newest with their own priorities."""
    buffer, loaded = filled([50.0, 1.0, 3.0], alpha=1.0), PrioritizedReplayBuffer(2, alpha=1.0)
    loaded.load_from_file(saved(buffer))
    np.testing.assert_allclose(frequencies(loaded, 3), [0, 0.25, 0.75], atol=1e-3)
