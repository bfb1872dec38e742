"""Demonstrations and the agent's transitions sampled as one, and batches joined."""

import numpy as np
import pytest
from mlagents.trainers.buffer import BufferKey
from mlagents.trainers.trajectory import ObsUtil

from fakes import counting_segment
from mlagents_plugin_shared.data import (
    Batch,
    MixedReplay,
    PrioritizedReplayBuffer,
    ReplayBuffer,
    ReplayKey,
    join_batches,
)
from mlagents_plugin_shared.data.mixed import without_demonstrations

OBSERVATION, NEXT_OBSERVATION = ObsUtil.get_name_at(0), ObsUtil.get_name_at_next(0)
SHOWN = 1000
"""Demonstrations count their steps from here, the agent from 0."""


def mixed(ratio: float = 0.25, *, kind=ReplayBuffer, own: int = 30, shown: int = 10, capacity: int = 40) -> MixedReplay:
    """Episodes of 5 steps each; both replays hold what they have room for."""
    replay = MixedReplay(kind(capacity), kind(shown), ratio)
    for buffer, first, count in ((replay.own, 0, own), (replay.demonstrations, SHOWN, shown)):
        buffer.reserve(counting_segment(0, 1))
        for start in range(first, first + count, 5):
            buffer.add(counting_segment(start, 5, terminated=True))
    return replay


def test_joined_batches_have_the_rows_of_their_parts() -> None:
    """Columns that are there and columns that load later, one part after the other."""
    parts = [
        Batch({"here": np.arange(2)}, ["lazy"], lambda key: np.zeros(2)),
        Batch({"here": np.arange(3)}, ["lazy"], lambda key: np.ones(3)),
    ]
    batch = join_batches(parts)
    assert batch.num_experiences == 5
    assert list(batch) == list(parts[0])
    assert batch["here"].tolist() == [0, 1, 0, 1, 2]
    assert batch["lazy"].tolist() == [0, 0, 1, 1, 1]
    assert batch["none"].size == 0


def test_joined_batches_are_lazy_and_notice_an_add() -> None:
    """A column that nobody read before either buffer changed is refused, one that was read stays."""
    replay = mixed()
    batch = replay.sample_n_step(8, 2)
    before = batch[OBSERVATION].copy()
    replay.own.add(counting_segment(50, 5, terminated=True))
    np.testing.assert_array_equal(batch[OBSERVATION], before)
    with pytest.raises(RuntimeError, match="before the buffer changed"):
        batch[NEXT_OBSERVATION]


@pytest.mark.parametrize("kind", [ReplayBuffer, PrioritizedReplayBuffer])
@pytest.mark.parametrize("n", [1, 3])
def test_windows_are_those_of_their_replays(kind, n: int) -> None:
    """A quarter of the rows, the last ones, are demonstrations; window, next state and end belong to each row."""
    batch = mixed(kind=kind).sample_n_step(32, n)
    shown = batch[ReplayKey.DEMONSTRATION]
    assert shown.tolist() == [0.0] * 24 + [1.0] * 8
    first = batch[OBSERVATION][:, 0]
    np.testing.assert_array_equal(first >= SHOWN, shown.astype(bool))
    np.testing.assert_array_equal(batch[NEXT_OBSERVATION][:, 0], first + batch[ReplayKey.HORIZON])
    np.testing.assert_array_equal(batch[ReplayKey.HORIZON], np.minimum(n, 5 - first % 5))
    np.testing.assert_array_equal(batch[BufferKey.DONE], first % 5 + batch[ReplayKey.HORIZON] == 5)
    assert (ReplayKey.WEIGHT in batch) == (kind is PrioritizedReplayBuffer)


def test_gathered_windows_are_the_single_steps() -> None:
    """All steps of all windows in order, and the first of each alone, from both replays."""
    replay = mixed()
    batch = replay.sample_n_step(32, 3)
    steps = replay.gather(batch[ReplayKey.WINDOW].ravel())
    first = batch[OBSERVATION][:, 0]
    last = batch[ReplayKey.HORIZON][:, None] - 1
    expected = first[:, None] + np.minimum(np.arange(3), last)
    np.testing.assert_array_equal(steps[OBSERVATION][:, 0].reshape(32, 3), expected)
    np.testing.assert_array_equal(steps[NEXT_OBSERVATION][:, 0], steps[OBSERVATION][:, 0] + 1)
    np.testing.assert_array_equal(replay.gather(batch[ReplayKey.WINDOW][:, 0])[OBSERVATION][:, 0], first)


def test_gather_refuses_rows_in_another_order() -> None:
    """A demonstration before a transition of the agent would come back behind it."""
    with pytest.raises(ValueError, match="rows of the agent must come first"):
        mixed().gather(np.array([40, 0]))


@pytest.mark.parametrize("burn_in", [0, 2])
def test_sequences_are_whole(burn_in: int) -> None:
    """Each sequence of 4, with burn-in, is of one replay and in order of time; SERIAL has one entry a sequence."""
    batch = mixed(0.5).sample_mini_batch(32, 4, burn_in)
    rows = batch[OBSERVATION][:, 0].reshape(8, 4 + burn_in)
    assert (np.diff(rows, axis=1) >= 0).all()
    assert (np.diff(rows, axis=1) <= 1).all()
    shown = batch[ReplayKey.DEMONSTRATION].reshape(rows.shape)
    np.testing.assert_array_equal(shown, rows >= SHOWN)
    assert shown[:, 0].tolist() == [0] * 4 + [1] * 4
    np.testing.assert_array_equal(batch[ReplayKey.SERIAL] < 0, shown[:, 0])


@pytest.mark.parametrize(("ratio", "size"), [(0.3, 8), (1 / 256, 32), (0.25, 1)])
def test_share_that_is_no_whole_number_is_met_on_average(ratio: float, size: int) -> None:
    """Each batch has the number below or above, 4,000 batches the share itself within 5 standard errors."""
    replay = mixed(ratio)
    counts = np.array([replay.sample_n_step(size, 1)[ReplayKey.DEMONSTRATION].sum() for _ in range(4000)])
    exact = ratio * size
    assert set(counts) == {np.floor(exact), np.ceil(exact)}
    deviation = np.sqrt((exact % 1) * (1 - exact % 1) / len(counts))
    assert counts.mean() == pytest.approx(exact, abs=5 * deviation)


def test_demonstrations_alone_need_no_transition_of_the_agent() -> None:
    """Ratio 1 samples before there is any, ratio 0 none of them."""
    replay = mixed(1.0, own=0)
    batch = replay.sample_n_step(8, 3)
    assert batch[ReplayKey.DEMONSTRATION].all()
    assert (replay.gather(batch[ReplayKey.WINDOW].ravel())[OBSERVATION] >= SHOWN).all()
    replay = mixed(0.0)
    assert not replay.sample_n_step(8, 3)[ReplayKey.DEMONSTRATION].any()


@pytest.mark.parametrize("ratio", [0.0, 0.25, 1.0])
def test_own_rows_of_a_batch_are_those_that_were_not_demonstrated(ratio: float) -> None:
    """What GAIL learns from; a batch of one replay is its own as a whole."""
    replay = mixed(ratio)
    own = without_demonstrations(replay.sample_n_step(32, 1))
    assert own.num_experiences == len(own[OBSERVATION]) == 32 * (1 - ratio)
    assert (own[OBSERVATION] < SHOWN).all()
    alone = replay.own.sample_n_step(8, 1)
    assert without_demonstrations(alone) is alone


def test_demonstrations_are_never_overwritten() -> None:
    """Ten times as many transitions as there is room for: the agent's old ones go, demonstrations stay."""
    replay = mixed(0.5)
    for start in range(0, 400, 5):
        replay.own.add(counting_segment(start, 5, terminated=True))
    assert replay.own.num_experiences == 40
    assert replay.demonstrations.num_experiences == 10
    drawn = {row for _ in range(50) for row in replay.sample_n_step(32, 1)[OBSERVATION][:, 0] if row >= SHOWN}
    assert drawn == set(range(SHOWN, SHOWN + 10))


def test_priorities_go_back_to_the_replay_that_a_row_came_from() -> None:
    """Each row's new error is its own step's count: afterwards each priority is, in both replays."""
    replay = mixed(0.5, kind=PrioritizedReplayBuffer)
    for _ in range(40):
        batch = replay.sample_n_step(64, 2)
        replay.update_priorities(batch[ReplayKey.SERIAL], batch[OBSERVATION][:, 0])
    for buffer, first in ((replay.own, 0), (replay.demonstrations, SHOWN)):
        steps = np.arange(first, first + buffer.num_experiences)
        expected = (steps + 1e-6) ** 0.6
        untouched = 1.0
        values = buffer._ring.tree.values[: len(steps)]
        assert np.isclose(values, expected, rtol=1e-4).mean() > 0.9
        assert ((np.isclose(values, expected, rtol=1e-4)) | np.isclose(values, untouched)).all()


def test_weights_are_up_to_1_in_each_part() -> None:
    """The largest of the agent's and the largest of the demonstrations' are both 1."""
    replay = mixed(0.5, kind=PrioritizedReplayBuffer)
    replay.own.update_priorities(np.arange(30), np.linspace(1, 100, 30))
    weight = replay.sample_n_step(64, 1)[ReplayKey.WEIGHT]
    assert weight[:32].max() == weight[32:].max() == 1.0
    assert weight[:32].min() < 1.0
