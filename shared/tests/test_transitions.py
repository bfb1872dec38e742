"""A replay's batch as tensors: with and without memory, weights, demonstrations and continuous actions."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from mlagents.torch_utils import torch
from mlagents.trainers.buffer import BufferKey

from fakes import HYBRID, counting_segment, trajectory
from mlagents_plugin_shared.data import MixedReplay, PrioritizedReplayBuffer, ReplayBuffer, ReplayKey
from mlagents_plugin_shared.data.trajectories import trajectory_to_segment
from mlagents_plugin_shared.learning.transitions import Transitions, add_sequence_rewards, add_window_rewards

GAMMA, LENGTH, BATCH = 0.5, 4, 32
SIGNALS = {
    "extrinsic": SimpleNamespace(
        gamma=GAMMA, ignore_done=False, strength=1.0, evaluate=lambda batch: batch[BufferKey.ENVIRONMENT_REWARDS]
    ),
    "curiosity": SimpleNamespace(
        gamma=0.9,
        ignore_done=True,
        strength=0.1,
        evaluate=lambda batch: 10.0 + 0.0 * batch[BufferKey.ENVIRONMENT_REWARDS],
    ),
}


class Counts:
    """A network whose encoding is what it sees, and in memory what it has seen before in the sequence, added up."""

    def encode(self, observations, memories=None, sequence_length=1):
        """[R, 1] → [R, 1]."""
        steps = observations[0].reshape(-1, sequence_length, 1)
        start = 0.0 if memories is None else memories.reshape(-1, 1, 1)
        return (start + steps.cumsum(dim=1)).reshape(-1, 1), memories


def policy(memory: bool) -> SimpleNamespace:
    """What a batch is read by."""
    spec = SimpleNamespace(observation_specs=[None])
    return SimpleNamespace(use_recurrent=memory, sequence_length=LENGTH if memory else 1, behavior_spec=spec)


def filled(kind: type = ReplayBuffer) -> ReplayBuffer:
    """Episodes of 9 and of 3 steps, whose observation, reward and memory are their count."""
    replay = kind(100)
    replay.add(counting_segment(0, 9, terminated=True))
    replay.add(counting_segment(50, 3, agent_id="b", interrupted=True))
    return replay


def windows(n: int, replay: ReplayBuffer | MixedReplay | None = None) -> Transitions:
    """Transitions without memory."""
    replay = replay or filled()
    batch = replay.sample_n_step(BATCH, n)
    add_window_rewards(batch, replay.gather(batch[ReplayKey.WINDOW].ravel()), SIGNALS)
    return Transitions.from_batch(batch, BATCH, policy(False), list(SIGNALS))


def sequences(n: int, burn_in: int = 0, replay: ReplayBuffer | MixedReplay | None = None) -> Transitions:
    """Transitions in sequences."""
    batch = (replay or filled()).sample_mini_batch(BATCH, LENGTH, burn_in)
    add_sequence_rewards(batch, BATCH // LENGTH, SIGNALS, n)
    return Transitions.from_batch(batch, BATCH // LENGTH, policy(True), list(SIGNALS))


def expected(count: int, steps: int) -> tuple[float, float]:
    """Reward sum and discount of so many steps from a count on, by hand."""
    reward = sum(GAMMA**k * (count + k) for k in range(steps))
    return reward, 0.0 if count + steps == 9 else GAMMA**steps


@pytest.mark.parametrize("n", [1, 3])
def test_transitions_without_memory_sum_n_steps(n: int) -> None:
    """To the end of the episode at most; what is encoded next lies as many steps later."""
    transitions = windows(n)
    seen, later = transitions.encode(Counts())[:, 0], transitions.bootstrap(transitions.encode_next(Counts()))[:, 0]
    for b, count in enumerate(seen.int().tolist()):
        steps = min(n, (9 if count < 9 else 53) - count)
        assert later[b] == count + steps
        assert transitions.reward[b, 0].item() == pytest.approx(expected(count, steps)[0])
        assert transitions.discount[b, 0].item() == pytest.approx(expected(count, steps)[1])
        assert transitions.reward[b, 1].item() == pytest.approx(sum(0.9**k for k in range(steps)))
        assert transitions.discount[b, 1].item() == pytest.approx(0.9**steps)
    assert transitions.weight is transitions.demonstrated is transitions.sequences is None


@pytest.mark.parametrize("n", [1, 3, 9])
@pytest.mark.parametrize("burn_in", [0, 2])
def test_transitions_with_memory_sum_n_steps_within_their_sequence(n: int, burn_in: int) -> None:
    """A window ends with the sequence, the episode or the data; the step that follows is the one to bootstrap from."""
    transitions = sequences(n, burn_in)
    rows, mask = transitions.sequences.rows, transitions.sequences.mask.reshape(-1, LENGTH)
    seen = transitions.observations[0][rows].reshape(-1, LENGTH)
    following = transitions.bootstrap(transitions.next_observations[0][rows]).reshape(-1, LENGTH)
    reward, discount = (x[:, 0].reshape(-1, LENGTH) for x in (transitions.reward, transitions.discount))
    assert (mask == 0).any()
    for q in range(len(mask)):
        real = int(mask[q].sum())
        for t in range(real):
            count, steps = int(seen[q, t]), min(n, real - t)
            assert following[q, t] == count + steps
            assert reward[q, t].item() == pytest.approx(expected(count, steps)[0])
            assert discount[q, t].item() == pytest.approx(expected(count, steps)[1])


@pytest.mark.parametrize("burn_in", [0, 2])
def test_encodings_with_memory_go_through_the_whole_sequence(burn_in: int) -> None:
    """From the stored state on, burn-in included, and one step further for the next state."""
    transitions = sequences(1, burn_in)
    seen = transitions.observations[0].reshape(BATCH // LENGTH, -1)
    start = transitions.sequences.memories.reshape(-1, 1)
    now = (start + seen.cumsum(dim=1)).flatten()[transitions.sequences.rows]
    assert torch.equal(transitions.encode(Counts())[:, 0], now)
    after = transitions.next_observations[0].reshape(BATCH // LENGTH, -1)
    then = (start + seen[:, :1] + after.cumsum(dim=1)).flatten()[transitions.sequences.rows]
    assert torch.equal(transitions.encode_next(Counts())[:, 0], then)


def test_sensor_of_no_numbers_changes_nothing() -> None:
    """With memory too: a batch of it tells neither how many sequences there are nor how long they are."""
    transitions, nothing = sequences(1), torch.zeros(BATCH, 0)
    with_it = replace(
        transitions,
        observations=[*transitions.observations, nothing],
        next_observations=[*transitions.next_observations, nothing],
    )
    torch.testing.assert_close(with_it.encode(Counts()), transitions.encode(Counts()))
    torch.testing.assert_close(with_it.encode_next(Counts()), transitions.encode_next(Counts()))


def test_mean_is_over_real_transitions_and_weighted_mean_by_their_weights() -> None:
    """Numbers in the padding do not count; each sequence has one weight."""
    transitions = sequences(1, replay=filled(PrioritizedReplayBuffer))
    transitions.batch[ReplayKey.WEIGHT] = np.linspace(0.1, 1.0, BATCH // LENGTH, dtype=np.float32)
    transitions = Transitions.from_batch(transitions.batch, BATCH // LENGTH, policy(True), list(SIGNALS))
    real = transitions.sequences.mask.bool()
    values = torch.rand(BATCH)
    assert not real.all()
    torch.testing.assert_close(transitions.mean(values.masked_fill(~real, 1e9)), values[real].mean())
    weights = torch.linspace(0.1, 1.0, BATCH // LENGTH).repeat_interleave(LENGTH)
    torch.testing.assert_close(transitions.weighted_mean(values), (weights * values)[real].mean())


def test_errors_are_recorded_where_the_replay_asks_for_them() -> None:
    """As they are, or for a sequence 0.9 of the largest and 0.1 of the mean of its real steps."""
    error = torch.rand(BATCH)
    uniform, single = windows(1), windows(1, filled(PrioritizedReplayBuffer))
    several = sequences(1, 2, filled(PrioritizedReplayBuffer))
    for transitions in (uniform, single, several):
        transitions.record_errors(error)
    assert ReplayKey.ERROR not in uniform.batch
    np.testing.assert_array_equal(single.batch[ReplayKey.ERROR], error)
    split, mask = error.reshape(-1, LENGTH), several.sequences.mask.reshape(-1, LENGTH).bool()
    by_hand = [0.9 * e[m].max() + 0.1 * e[m].mean() for e, m in zip(split, mask, strict=True)]
    np.testing.assert_allclose(several.batch[ReplayKey.ERROR], by_hand, rtol=1e-6)


@pytest.mark.parametrize("memory", [False, True])
def test_demonstrations_are_told_apart(memory: bool) -> None:
    """Half of the transitions: those that begin with an observation of the demonstrator's."""
    shown = ReplayBuffer(100)
    shown.add(counting_segment(200, 9, terminated=True))
    replay = MixedReplay(filled(), shown, 0.5)
    transitions = sequences(1, 1, replay) if memory else windows(1, replay)
    rows = transitions.sequences.rows if memory else slice(None)
    assert torch.equal(transitions.demonstrated, (transitions.observations[0][rows, 0] >= 200).float())
    assert transitions.demonstrated.sum() == BATCH / 2


def test_transitions_have_actions_of_both_kinds() -> None:
    """Continuous ones as they are, discrete ones as integers, with the masks of now and of then."""
    replay = ReplayBuffer(100)
    replay.add(trajectory_to_segment(trajectory(HYBRID, 20, done=True), HYBRID))
    transitions = windows(1, replay)
    batch = transitions.batch
    np.testing.assert_array_equal(transitions.continuous_action, batch[BufferKey.CONTINUOUS_ACTION])
    np.testing.assert_array_equal(transitions.discrete_action, batch[BufferKey.DISCRETE_ACTION])
    assert transitions.discrete_action.dtype == torch.int64
    np.testing.assert_array_equal(transitions.legal, batch[BufferKey.ACTION_MASK])
    np.testing.assert_array_equal(transitions.next_legal, batch[ReplayKey.NEXT_ACTION_MASK])


@pytest.mark.parametrize("kind", [ReplayBuffer, PrioritizedReplayBuffer])
@pytest.mark.parametrize("name", ["mean", "weighted_mean"])
def test_losses_of_streams_and_branches_are_refused(kind: type, name: str) -> None:
    """[B, S, D] errors times [B] weights would be another number, without a word."""
    transitions = windows(1, filled(kind))
    mean = getattr(transitions, name)
    assert mean(torch.ones(BATCH)).shape == ()
    with pytest.raises(ValueError, match=r"\[B\], but the shape is \[32, 1, 1\]: take the mean over"):
        mean(torch.ones(BATCH, 1, 1))
