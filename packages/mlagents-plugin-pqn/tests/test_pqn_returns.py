"""Returns that Q learns, against a slow version in NumPy and numbers worked out by hand."""

from typing import Any

import numpy as np
import pytest
from mlagents.trainers.buffer import BufferKey, RewardSignalUtil

from mlagents_plugin_pqn.trainer import PQNTrainer
from pqn_testing import GAMMA, random_segment, reads_q, segment, store, trainer

RETURNS = RewardSignalUtil.returns_key("extrinsic")
LAMBDA = 0.8


def returns(owner: PQNTrainer) -> np.ndarray:
    """[N] λ-returns of the rollout."""
    owner.add_advantages(owner.update_buffer)
    return owner.update_buffer[RETURNS]


def greedy(q: np.ndarray, legal: np.ndarray, branches: tuple[int, ...]) -> list[int]:
    """The legal action of the highest Q in each branch."""
    parts = np.split(np.where(legal, q, -np.inf), np.cumsum(branches)[:-1])
    return [int(part.argmax()) for part in parts]


def best(q: np.ndarray, legal: np.ndarray, branches: tuple[int, ...]) -> float:
    """The mean over branches of the highest legal Q."""
    parts = np.split(np.where(legal, q, -np.inf), np.cumsum(branches)[:-1])
    return float(np.mean([part.max() for part in parts]))


def slow_returns(piece: Any, branches: tuple[int, ...], *, watkins: bool) -> np.ndarray:
    """Each return as the weighted mean of its n-step returns; where all is legal after the segment.

    Watkins' ends at the first action after it that is not greedy, with the value of the state in which it was taken.
    """
    q, (rewards, actions) = piece.observations[0], (piece.columns[key] for key in KEYS)
    legal = np.concatenate([piece.columns[BufferKey.ACTION_MASK], np.ones((1, sum(branches)))]).astype(bool)
    values = [best(*pair, branches) for pair in zip(q, legal, strict=True)]
    values[-1] *= not piece.terminated
    is_greedy = [greedy(q[t], legal[t], branches) == list(actions[t]) for t in range(len(piece))]
    found = []
    for t in range(len(piece)):
        last = next((k for k in range(t + 1, len(piece)) if watkins and not is_greedy[k]), len(piece))
        n_step = [
            sum(GAMMA ** (k - t) * rewards[k] for k in range(t, end)) + GAMMA ** (end - t) * values[end]
            for end in range(t + 1, last + 1)
        ]
        weights = [(1 - LAMBDA) * LAMBDA**i for i in range(len(n_step) - 1)] + [LAMBDA ** (len(n_step) - 1)]
        found.append(np.dot(weights, n_step))
    return np.array(found)


KEYS = (BufferKey.ENVIRONMENT_REWARDS, BufferKey.DISCRETE_ACTION)


@pytest.mark.parametrize("branches", [(3,), (3, 2)])
@pytest.mark.parametrize("traces", ["peng", "watkins"])
@pytest.mark.parametrize("end", ["terminated", "interrupted", ""])
def test_returns_equal_the_mean_of_n_step_returns(branches: tuple[int, ...], traces: str, end: str) -> None:
    """Of segments of several lengths side by side; the control is the other kind of traces."""
    owner = reads_q(trainer(branches, lambd=LAMBDA, traces=traces))
    ends = {end: True} if end else {}
    pieces = [random_segment(owner, length, length, agent_id=str(length), **ends) for length in (1, 6, 20)]
    store(owner, *pieces)
    expected, other = (
        np.concatenate([slow_returns(piece, branches, watkins=watkins) for piece in pieces])
        for watkins in (traces == "watkins", traces != "watkins")
    )
    np.testing.assert_allclose(returns(owner), expected, rtol=1e-4, atol=1e-5)
    assert np.abs(expected - other).max() > 0.1


def test_returns_by_hand() -> None:
    """γ 0.9, λ 0.5, rewards 1 and 2, Q (0, 1), (3, 2), (0, 5): G_1 = 2 + 0.9·5 = 6.5.

    Peng: G_0 = 1 + 0.9 (½·3 + ½·6.5) = 5.275. Watkins, the second action not being greedy: 1 + 0.9·3 = 3.7.
    """
    for traces, first in (("peng", 5.275), ("watkins", 3.7)):
        owner = reads_q(trainer((2,), lambd=0.5, traces=traces))
        store(owner, segment(owner, [[0, 1], [3, 2], [0, 5]], [[1], [1]], [1, 2]))
        np.testing.assert_allclose(returns(owner), [first, 6.5], rtol=1e-6)


def test_interruption_bootstraps_and_termination_does_not() -> None:
    """Reward 1, and 5 after the last state: 1 + 0.9·5 = 5.5 where the episode was cut, 1 where it ended."""
    for ends, expected in (({"interrupted": True}, 5.5), ({}, 5.5), ({"terminated": True}, 1.0)):
        owner = reads_q(trainer((2,)))
        store(owner, segment(owner, [[0, 0], [5, 0]], [[0]], [1], **ends))
        np.testing.assert_allclose(returns(owner), [expected], rtol=1e-6)


def test_masked_action_is_no_value() -> None:
    """The next state's best action, worth 9, is forbidden; the other is worth 2: 1 + 0.9·2 = 2.8, and not 9.1."""
    for masks, expected in (([[1, 1], [0, 1]], 2.8), ([[1, 1], [1, 1]], 9.1)):
        owner = reads_q(trainer((2,), lambd=0.0))
        store(owner, segment(owner, [[0, 0], [9, 2], [0, 0]], [[0], [1]], [1, 0], masks=masks, terminated=True))
        np.testing.assert_allclose(returns(owner)[0], expected, rtol=1e-6)


def test_step_before_an_unknown_mask_is_left_out() -> None:
    """What is legal after the segment is not known, since masks forbid something: its last step is not learned from.

    The step before it bootstraps from the state between them, 1 + 0.9·2 = 2.8, whatever follows.
    """
    owner = reads_q(trainer((2,), lambd=0.9))
    store(owner, segment(owner, [[0, 0], [9, 2], [100, 0]], [[0], [1]], [1, 1], masks=[[1, 1], [0, 1]]))
    np.testing.assert_allclose(returns(owner)[0], 2.8, rtol=1e-6)
    assert owner.update_buffer[BufferKey.MASKS].tolist() == [1, 0]


def test_mask_after_a_segment_is_that_of_the_agents_next_one() -> None:
    """It is in the rollout, and forbids the action worth 9: 1 + 0.9·2 = 2.8. Another agent's segment says nothing."""
    owner = reads_q(trainer((2,)))
    first = segment(owner, [[0, 0], [9, 2]], [[0]], [1])
    following = segment(owner, [[9, 2], [0, 0]], [[1]], [0], masks=[[0, 1]], terminated=True)
    store(owner, first, following)
    np.testing.assert_allclose(returns(owner)[0], 2.8, rtol=1e-6)
    assert owner.update_buffer[BufferKey.MASKS].tolist() == [1, 1]
    other = reads_q(trainer((2,)))
    store(other, first, segment(other, [[9, 2], [0, 0]], [[1]], [0], masks=[[0, 1]], terminated=True, agent_id="b"))
    returns(other)
    assert other.update_buffer[BufferKey.MASKS].tolist() == [0, 1]


def test_streams_have_returns_of_their_own() -> None:
    """Each by its own discount, for the action that is best in their sum.

    Q (4, 0) and (0, 3): the sum prefers the first action, worth 4 to one stream and 0 to the other.
    """
    owner = trainer((2,), signals={"extrinsic": {"gamma": 0.5}, "rnd": {"gamma": 0.9}})
    q = np.array([[[4.0, 0.0], [0.0, 3.0]]], np.float32)
    values, actions = owner.optimizer._greedy(q, np.ones((1, 2), np.uint8))
    assert values.tolist() == [[4.0, 0.0]]
    assert actions.tolist() == [[0]]
    store(owner, random_segment(owner, 5, 0))
    owner.add_advantages(owner.update_buffer)
    rnd = owner.update_buffer[RewardSignalUtil.returns_key("rnd")]
    assert not np.allclose(owner.update_buffer[RETURNS], rnd)
