"""Targets against golden numbers, slow loops, identities and negative controls."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlagents_plugin_shared.maths.targets import (
    double_q_value,
    gae,
    lambda_return,
    least_value,
    n_step_return,
    n_step_windows,
    td_target,
    vtrace,
)


def column(*values: float) -> torch.Tensor:
    """[T, 1] sequence."""
    return torch.tensor(values, dtype=torch.float64).unsqueeze(1)


def n_step_target(r: torch.Tensor, discount: torch.Tensor, v: torch.Tensor, *, n: int) -> torch.Tensor:
    """[T, ...] n-step returns of every step of a sequence, each sum written out; the end bootstraps from the last."""
    target = torch.empty_like(r)
    for t in range(len(r)):
        last = min(t + n, len(r)) - 1
        total, weight = torch.zeros_like(r[0]), torch.ones_like(r[0])
        for k in range(t, last + 1):
            total, weight = total + weight * r[k], weight * discount[k]
        target[t] = total + weight * v[last]
    return target


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


BRANCHES = [3, 2]
SCORES = torch.tensor([[1.0, 5.0, 2.0, 0.0, -1.0]])
Q = torch.tensor([[[10.0, 20.0, 30.0, 40.0, 60.0]]])


def test_double_q_value_golden() -> None:
    """With action 1 illegal the choice is (2, 0), worth (30 + 40) / 2; with all legal it is (1, 0), (20 + 40) / 2."""
    mask = torch.tensor([[1.0, 0, 1, 1, 1]])
    assert double_q_value(Q, SCORES, mask, BRANCHES).tolist() == [[35.0]]
    assert double_q_value(Q, SCORES, torch.ones(1, 5), BRANCHES).tolist() == [[30.0]]


def test_double_q_value_equals_a_slow_loop() -> None:
    """Per state, stream and atom: the mean over the branches of the value of the best legal action."""
    rng = np.random.default_rng(0)
    q, scores = rng.normal(size=(20, 2, 5, 4)), rng.normal(size=(20, 5))
    mask = rng.integers(0, 2, size=(20, 5))
    mask[:, [0, 4]] = 1
    expected = np.zeros((20, 2, 4))
    for b in range(20):
        for columns in ([0, 1, 2], [3, 4]):
            best = max((c for c in columns if mask[b, c]), key=lambda c: scores[b, c])
            expected[b] += q[b, :, best] / 2
    value = double_q_value(*map(torch.as_tensor, (q, scores, mask)), BRANCHES)
    np.testing.assert_allclose(value, expected)
    np.testing.assert_allclose(
        value.mean(dim=2), double_q_value(*map(torch.as_tensor, (q.mean(3), scores, mask)), BRANCHES)
    )


def test_double_q_value_with_one_network_is_the_maximum() -> None:
    """Chosen and judged by the same values: max Q, which the values chosen by others never exceed."""
    q, other = torch.randn(2, 50, 1, 4, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(50, 4)
    maximum = double_q_value(q, q[:, 0], mask, [4])
    torch.testing.assert_close(maximum, q.amax(dim=2))
    assert (double_q_value(q, other[:, 0], mask, [4]) < maximum).any()


def test_double_q_value_makes_the_target_of_double_q_learning() -> None:
    """1 + ½·30 = 16, and 1 where the episode terminated."""
    value = double_q_value(Q.repeat(2, 1, 1), SCORES.repeat(2, 1), torch.ones(2, 5), BRANCHES)
    assert td_target(torch.ones(2, 1), torch.tensor([[0.5], [0.0]]), value).tolist() == [[16.0], [1.0]]


def test_double_q_value_is_detached() -> None:
    """Neither network gets a gradient."""
    q, scores = Q.clone().requires_grad_(), SCORES.clone().requires_grad_()
    assert not double_q_value(q, scores, torch.ones(1, 5), BRANCHES).requires_grad


@pytest.mark.parametrize(("q_t", "branches"), [(Q, [3, 3]), (Q[..., :4], BRANCHES)], ids=["branches", "values"])
def test_double_q_value_refuses_other_shapes(q_t, branches) -> None:
    """Values or branches of another size."""
    with pytest.raises(ValueError, match="do not fit"):
        double_q_value(q_t, SCORES, torch.ones(1, 5), branches)


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


@pytest.mark.parametrize("n", [1, 2, 3, 7])
@pytest.mark.parametrize("burn_in", [0, 2])
def test_n_step_windows_make_the_targets_of_the_sequence_without_padding(n: int, burn_in: int) -> None:
    """A sequence of 2 real steps padded to 4, beside one of 4: each has its own targets, whatever came before."""
    r, discount, v = (torch.rand(burn_in + 4, 2, 3) for _ in range(3))
    mask = torch.tensor([[0.0, 0]] * burn_in + [[1.0, 1], [1, 1], [0, 1], [0, 1]])
    reward, total, horizon = n_step_windows(r, discount, mask, n=n)
    last = torch.arange(burn_in + 4).unsqueeze(1) + horizon - 1
    target = td_target(reward, total, v[last, torch.arange(2)])
    for b, length in ((0, 2), (1, 4)):
        real = slice(burn_in, burn_in + length)
        torch.testing.assert_close(target[real, b], n_step_target(r[real, b], discount[real, b], v[real, b], n=n))


def test_n_step_windows_by_hand() -> None:
    """Two rewards a window; the last has one. After a terminal step nothing counts."""
    reward, discount, horizon = n_step_windows(column(1, 2, 4), column(0.5, 0, 0.5), column(1, 1, 1), n=2)
    torch.testing.assert_close(reward, column(1 + 0.5 * 2, 2, 4))
    torch.testing.assert_close(discount, column(0, 0, 0.5))
    assert horizon.flatten().tolist() == [2, 2, 1]


def test_n_step_windows_refuse_what_does_not_fit() -> None:
    """n = 0 sums nothing, and a mask of another length hides other steps."""
    with pytest.raises(ValueError, match="at least 1"):
        n_step_windows(column(1), column(1), column(1), n=0)
    with pytest.raises(ValueError, match="one shape"):
        n_step_windows(column(1, 2), column(1, 1), column(1), n=1)


def test_lambda_return_golden() -> None:
    """γ = λ = ½: the last is 2 + ½·8 = 6, the first 1 + ½ (½·4 + ½·6) = 3.5."""
    torch.testing.assert_close(lambda_return(column(1, 2), column(0.5, 0.5), column(4, 8), lambda_=0.5), column(3.5, 6))


@settings(max_examples=60, deadline=None)
@given(sequences(), st.floats(0, 1))
def test_lambda_return_is_the_weighted_mean_of_n_step_returns(sequence, lambda_: float) -> None:
    """Weights (1 - λ) λ^{n-1}, and what is left of 1 for the longest."""
    r, discount, values = sequence
    length = len(r)
    expected = lambda_ ** (length - 1) * n_step_target(r, discount, values[1:], n=length)
    for n in range(1, length):
        expected += (1 - lambda_) * lambda_ ** (n - 1) * n_step_target(r, discount, values[1:], n=n)
    torch.testing.assert_close(lambda_return(r, discount, values[1:], lambda_=lambda_), expected)


@settings(max_examples=30, deadline=None)
@given(sequences(), st.floats(0, 1))
def test_lambda_return_identities(sequence, lambda_: float) -> None:
    """λ = 0 is TD, λ = 1 Monte Carlo, and any λ is the value plus its generalised advantage."""
    r, discount, values = sequence
    v_tm1, v_t = values[:-1], values[1:]
    torch.testing.assert_close(lambda_return(r, discount, v_t, lambda_=0.0), td_target(r, discount, v_t))
    torch.testing.assert_close(lambda_return(r, discount, v_t, lambda_=1.0), n_step_target(r, discount, v_t, n=len(r)))
    torch.testing.assert_close(
        lambda_return(r, discount, v_t, lambda_=lambda_), v_tm1 + gae(r, discount, v_tm1, v_t, lambda_=lambda_)
    )


def test_lambda_return_takes_a_weight_for_each_step() -> None:
    """γ 1, rewards 1, values 10: with weights 0, 1 and anything, 1 + 10, 1 + (1 + 10) and 1 + 10; with 1 throughout 13.

    One number is the same as it in every step.
    """
    r, discount, v = column(1, 1, 1), column(1, 1, 1), column(10, 10, 10)
    for weights, expected in ((column(0, 1, 7), column(11, 12, 11)), (column(1, 1, 0), column(13, 12, 11))):
        torch.testing.assert_close(lambda_return(r, discount, v, lambda_=weights), expected)
    same = lambda_return(r, discount, v, lambda_=column(0.3, 0.3, 0.3))
    torch.testing.assert_close(same, lambda_return(r, discount, v, lambda_=0.3))
    with pytest.raises(ValueError, match="one shape"):
        lambda_return(r, discount, v, lambda_=column(0.3, 0.3))


def test_lambda_return_tells_interrupted_from_terminated() -> None:
    """What follows a termination does not reach the step before it; what follows an interruption does."""
    r, v = column(1, 1, 1), column(5, 5, 5)
    changed = column(1, 1, 9)
    for discount, reaches in ((column(0.9, 0.0, 0.9), False), (column(0.9, 0.9, 0.9), True)):
        before, after = (lambda_return(x, discount, v, lambda_=0.5)[0] for x in (r, changed))
        assert bool(before != after) is reaches


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


VTRACE = [column(1, 2), column(0.5, 0.5), column(0, 1), column(1, 4), column(2, 0.5)]


def test_vtrace_golden() -> None:
    """γ = ½, ρ = (2, ½), bounds of 1.

    δ = (1 + ½·1 - 0, ½ (2 + ½·4 - 1)) = (1.5, 1.5); vs - v = (1.5 + ½·1·1.5, 1.5) = (2.25, 1.5)
    A = (1 + ½ (1 + 1.5) - 0, ½·3) = (2.25, 1.5); with ρ̄_pg = 2 the first one is twice that.
    """
    value, advantage = vtrace(*VTRACE)
    torch.testing.assert_close(value, column(2.25, 2.5))
    torch.testing.assert_close(advantage, column(2.25, 1.5))
    _, advantage = vtrace(*VTRACE, clip_pg_rho=2.0)
    torch.testing.assert_close(advantage, column(4.5, 1.5))


@settings(max_examples=60, deadline=None)
@given(sequences(), st.floats(0, 1), st.floats(0.5, 3), st.floats(0.5, 3), st.floats(0.5, 3))
def test_vtrace_equals_a_slow_sum(sequence, lambda_: float, clip_rho: float, clip_c: float, clip_pg: float) -> None:
    """Equation 1 written out: every TD error, weighted by the discounts and ratios before it."""
    r, discount, values = sequence
    rho = torch.as_tensor(np.random.default_rng(len(r)).lognormal(size=tuple(r.shape)))
    target, advantage = vtrace(
        r, discount, values[:-1], values[1:], rho,
        lambda_=lambda_, clip_rho=clip_rho, clip_c=clip_c, clip_pg_rho=clip_pg,
    )  # fmt: skip
    length, batch = r.shape
    for b in range(batch):
        g, v, ratio = discount[:, b].tolist(), values[:, b].tolist(), rho[:, b].tolist()
        vs = []
        for s in range(length):
            weight, total = 1.0, v[s]
            for t in range(s, length):
                total += weight * min(clip_rho, ratio[t]) * (r[t, b].item() + g[t] * v[t + 1] - v[t])
                weight *= g[t] * lambda_ * min(clip_c, ratio[t])
            vs.append(total)
        vs.append(v[length])
        for s in range(length):
            following = (1 - lambda_) * v[s + 1] + lambda_ * vs[s + 1]
            assert target[s, b].item() == pytest.approx(vs[s], abs=1e-9)
            assert advantage[s, b].item() == pytest.approx(
                min(clip_pg, ratio[s]) * (r[s, b].item() + g[s] * following - v[s]), abs=1e-9
            )


@settings(max_examples=30, deadline=None)
@given(sequences(), st.floats(0, 1))
def test_vtrace_on_policy_is_the_lambda_return(sequence, lambda_: float) -> None:
    """Ratios of 1: the λ-return and its generalised advantages. Ratios of 0: nothing is learnt."""
    r, discount, values = sequence
    v_tm1, v_t = values[:-1], values[1:]
    target, advantage = vtrace(r, discount, v_tm1, v_t, torch.ones_like(r), lambda_=lambda_)
    torch.testing.assert_close(target, lambda_return(r, discount, v_t, lambda_=lambda_))
    torch.testing.assert_close(advantage, gae(r, discount, v_tm1, v_t, lambda_=lambda_))
    target, advantage = vtrace(r, discount, v_tm1, v_t, torch.zeros_like(r), lambda_=lambda_)
    torch.testing.assert_close(target, v_tm1)
    assert not advantage.any()


def test_vtrace_padding_adds_nothing() -> None:
    """Zeros after the end leave the segment alone, even where the ratio of the padding is infinite."""
    padding = [column(0, 0)] * 4 + [column(torch.inf, torch.inf)]
    padded = vtrace(*(torch.cat([x, p]) for x, p in zip(VTRACE, padding, strict=True)))
    for alone, long in zip(vtrace(*VTRACE), padded, strict=True):
        torch.testing.assert_close(long[:2], alone)


@pytest.mark.parametrize("function", [lambda_return, gae, vtrace])
def test_lambda_outside_its_range_is_refused(function) -> None:
    """λ = 1.5 would diverge."""
    with pytest.raises(ValueError, match="between 0 and 1"):
        function(*[column(1)] * {lambda_return: 3, gae: 4, vtrace: 5}[function], lambda_=1.5)


@pytest.mark.parametrize(("function", "count"), [(lambda_return, 3), (gae, 4), (vtrace, 5)])
def test_sequence_targets_refuse_shapes_that_would_broadcast(function, count: int) -> None:
    """[T, B] against [T, 1] raises, whichever argument it is; and nothing returned has a gradient."""
    tensors = [torch.ones(3, 2, requires_grad=True)] * count
    returned = function(*tensors, lambda_=0.5)
    assert not any(tensor.requires_grad for tensor in (returned if function is vtrace else [returned]))
    for i in range(count):
        with pytest.raises(ValueError, match="one shape"):
            function(*[x[:, :1] if k == i else x for k, x in enumerate(tensors)], lambda_=0.5)


def test_least_value_is_the_whole_of_one_critic() -> None:
    """The second critic promises less in the first state only; both streams are then its own, also the larger one."""
    values = torch.tensor([[[1.0, 5.0], [2.0, 0.0]], [[3.0, 1.0], [9.0, 9.0]]])  # [K, B, S]
    found = least_value(values, values.sum(dim=2))
    torch.testing.assert_close(found, torch.tensor([[3.0, 1.0], [2.0, 0.0]]))
    assert not torch.equal(found, values.amin(dim=0))  # the control: the least of each stream is of no critic


def test_least_value_of_numbers_is_their_minimum() -> None:
    """Clipped double Q-learning."""
    values = torch.randn(2, 50)
    torch.testing.assert_close(least_value(values, values), values.amin(dim=0))
    with pytest.raises(ValueError, match="one shape"):
        least_value(values, values[:, :1])
