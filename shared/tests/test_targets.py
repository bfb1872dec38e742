"""Targets against golden numbers, slow loops, identities and negative controls."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlagents_plugin_shared.targets import gae, hold_end, n_step_return, n_step_target, td_target


def column(*values: float) -> torch.Tensor:
    """[T, 1] sequence."""
    return torch.tensor(values, dtype=torch.float64).unsqueeze(1)


@st.composite
def sequences(draw):
    """Random [T, B] rewards, discounts (some 0: terminations) and values, with T + 1 rows of values."""
    length, batch = draw(st.integers(1, 8)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    discount = rng.choice([0.0, 0.5, 0.9, 1.0], size=(length, batch))
    return [
        torch.as_tensor(x) for x in (rng.normal(size=(length, batch)), discount, rng.normal(size=(length + 1, batch)))
    ]


def test_td_target_golden() -> None:
    """1 + 0.9 * 2 = 2.8, and a terminal state has no value: 1 + 0 * 2 = 1."""
    target = td_target(torch.tensor([1.0, 1.0]), torch.tensor([0.9, 0.0]), torch.tensor([2.0, 2.0]))
    torch.testing.assert_close(target, torch.tensor([2.8, 1.0]))


def test_td_target_is_detached() -> None:
    """No gradient flows into the next value."""
    v_t = torch.ones(2, requires_grad=True)
    assert not td_target(torch.ones(2), torch.ones(2), v_t).requires_grad


def test_td_target_refuses_shapes_that_would_broadcast() -> None:
    """[B] against [B, 1] would give [B, B]."""
    with pytest.raises(ValueError, match="one shape"):
        td_target(torch.ones(3), torch.ones(3), torch.ones(3, 1))


def test_n_step_return_golden() -> None:
    """h = 3: 1 + 0.5 * 2 + 0.25 * 4 = 3, then 0.125; h = 1 and terminal: 8, then 0; later rewards do not count."""
    reward, discount = n_step_return(
        torch.tensor([[1.0, 2.0, 4.0], [8.0, 100.0, 100.0]]),
        torch.tensor([3, 1]),
        torch.tensor([False, True]),
        0.5,
    )
    torch.testing.assert_close(reward, torch.tensor([3.0, 8.0]))
    torch.testing.assert_close(discount, torch.tensor([0.125, 0.0]))


def test_n_step_return_tells_interrupted_from_terminated() -> None:
    """An interrupted window bootstraps, a terminated one does not."""
    window = torch.ones(2, 2)
    _, discount = n_step_return(window, torch.tensor([2, 2]), torch.tensor([False, True]), 0.9)
    torch.testing.assert_close(discount, torch.tensor([0.81, 0.0]))


def test_n_step_target_golden() -> None:
    """n = 2, γ = ½: rows 1 + ½·2 + ¼·v2, 2 + ½·4 + ¼·v3, and the last, 4 + ½·v3, bootstraps after one reward."""
    r, discount, v = column(1, 2, 4), column(0.5, 0.5, 0.5), column(10, 20, 40)
    expected = column(1 + 1 + 5, 2 + 2 + 10, 4 + 20)
    torch.testing.assert_close(n_step_target(r, discount, v, n=2), expected)


@settings(max_examples=60, deadline=None)
@given(sequences(), st.integers(1, 10))
def test_n_step_target_equals_a_slow_loop(sequence, n: int) -> None:
    """Every element equals the sum written out."""
    r, discount, values = sequence
    v = values[1:]
    target = n_step_target(r, discount, v, n=n)
    length, batch = r.shape
    for b in range(batch):
        for t in range(length):
            total, weight, last = 0.0, 1.0, min(t + n, length) - 1
            for k in range(t, last + 1):
                total += weight * r[k, b].item()
                weight *= discount[k, b].item()
            assert target[t, b].item() == pytest.approx(total + weight * v[last, b].item())


@settings(max_examples=30, deadline=None)
@given(sequences())
def test_n_step_target_of_one_step_is_td(sequence) -> None:
    """n = 1 is the one-step TD target."""
    r, discount, values = sequence
    torch.testing.assert_close(n_step_target(r, discount, values[1:], n=1), td_target(r, discount, values[1:]))


def test_n_step_target_refuses_n_below_one() -> None:
    """n = 0 sums nothing."""
    with pytest.raises(ValueError, match="at least 1"):
        n_step_target(column(1), column(1), column(1), n=0)


def test_hold_end_bootstraps_from_the_last_real_step() -> None:
    """A sequence of 2 real steps padded to 4 has the targets of the sequence of 2."""
    r, discount, v = column(1, 2, 7, 7), column(0.5, 0.5, 0.3, 0.3), column(10, 20, 99, 99)
    mask = column(1, 1, 0, 0)
    padded = n_step_target(*hold_end(r, discount, v, mask), n=3)[:2]
    torch.testing.assert_close(padded, n_step_target(r[:2], discount[:2], v[:2], n=3))
    assert not torch.allclose(n_step_target(r, discount, v, n=3)[:2], padded)


def test_gae_golden() -> None:
    """γ = ½, λ = ½, v = 0: δ = (1, 2), A_1 = 2, A_0 = 1 + ¼·2 = 1.5."""
    zeros = column(0, 0)
    advantage = gae(column(1, 2), column(0.5, 0.5), zeros, zeros, lambda_=0.5)
    torch.testing.assert_close(advantage, column(1.5, 2))


@settings(max_examples=60, deadline=None)
@given(sequences(), st.floats(0, 1))
def test_gae_equals_a_slow_sum(sequence, lambda_: float) -> None:
    """A_t is the sum of the TD errors, weighted by the discounts and λ between."""
    r, discount, values = sequence
    advantage = gae(r, discount, values[:-1], values[1:], lambda_=lambda_)
    delta = r + discount * values[1:] - values[:-1]
    for b in range(r.shape[1]):
        for t in range(r.shape[0]):
            weight, total = 1.0, 0.0
            for k in range(t, r.shape[0]):
                total += weight * delta[k, b].item()
                weight *= discount[k, b].item() * lambda_
            assert advantage[t, b].item() == pytest.approx(total, abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(sequences())
def test_gae_identities(sequence) -> None:
    """λ = 0 is the TD error; λ = 1 plus the value is the Monte Carlo return with a bootstrap at the end."""
    r, discount, values = sequence
    v_tm1, v_t = values[:-1], values[1:]
    torch.testing.assert_close(gae(r, discount, v_tm1, v_t, lambda_=0.0), r + discount * v_t - v_tm1)
    monte_carlo = n_step_target(r, discount, v_t, n=len(r))
    torch.testing.assert_close(gae(r, discount, v_tm1, v_t, lambda_=1.0) + v_tm1, monte_carlo)


def test_gae_equals_ml_agents() -> None:
    """One segment has the advantages of ML-Agents' own function."""
    from mlagents.trainers.trainer.trainer_utils import get_gae

    rng = np.random.default_rng(0)
    rewards, values = rng.normal(size=7).astype(np.float32), rng.normal(size=8).astype(np.float32)
    expected = get_gae(rewards, values[:-1], value_next=values[-1], gamma=0.9, lambd=0.8)
    v_tm1, v_t = torch.as_tensor(values[:-1, None]), torch.as_tensor(values[1:, None])
    ours = gae(torch.as_tensor(rewards[:, None]), torch.full((7, 1), 0.9), v_tm1, v_t, lambda_=0.8)
    np.testing.assert_allclose(ours[:, 0], expected, rtol=1e-5)


def test_gae_padding_adds_nothing() -> None:
    """Zeros after the end of a segment leave its advantages alone."""
    r, discount, v_tm1, v_t = column(1, 2), column(0.9, 0.9), column(3, 4), column(4, 5)
    alone = gae(r, discount, v_tm1, v_t, lambda_=0.9)
    padded = gae(*(torch.cat([x, column(0, 0, 0)]) for x in (r, discount, v_tm1, v_t)), lambda_=0.9)
    torch.testing.assert_close(padded[:2], alone)


def test_gae_refuses_lambda_outside_its_range() -> None:
    """λ = 1.5 would diverge."""
    with pytest.raises(ValueError, match="between 0 and 1"):
        gae(column(1), column(1), column(1), column(1), lambda_=1.5)
