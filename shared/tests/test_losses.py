"""Losses against golden numbers, slow loops, ML-Agents and torch; masks and gradients."""

import numpy as np
import pytest
import torch

from mlagents_plugin_shared.maths.losses import (
    categorical_error,
    clipped_surrogate_loss,
    clipped_value_loss,
    entropy_loss,
    huber,
    large_margin_error,
    masked_mean,
    max_mean_priority,
    mean_over_streams,
    policy_gradient_loss,
    quantile_huber_error,
    td_error,
    value_loss,
)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    """Seeded normal numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_masked_mean_leaves_padding_out() -> None:
    """(1 + 3) / 2 = 2; the 100 is padding."""
    assert masked_mean(torch.tensor([1.0, 3.0, 100.0]), torch.tensor([1.0, 1.0, 0.0])).item() == 2.0


def test_masked_mean_ignores_nan_under_padding() -> None:
    """A non-finite value under padding does not reach the mean."""
    assert masked_mean(torch.tensor([1.0, float("nan")]), torch.tensor([1.0, 0.0])).item() == 1.0


def test_masked_mean_of_parts_adds_up() -> None:
    """With the total of the whole, the means of its parts add up to the mean of the whole."""
    values, mask = torch.arange(6.0), torch.tensor([1.0, 1.0, 0.0, 1.0, 1.0, 1.0])
    parts = [masked_mean(values[i : i + 2], mask[i : i + 2], total=5.0) for i in (0, 2, 4)]
    torch.testing.assert_close(sum(parts), masked_mean(values, mask))


def test_masked_mean_refuses_shapes_that_would_broadcast() -> None:
    """[B, 1] against [B] would give [B, B]."""
    with pytest.raises(ValueError, match="one shape"):
        masked_mean(torch.ones(3, 1), torch.ones(3))


def test_td_error_gradient_flows_into_the_estimate_only() -> None:
    """d(error)/dq = -1, and the target gets none."""
    q, target = torch.tensor([1.0], requires_grad=True), torch.tensor([3.0], requires_grad=True)
    td_error(q, target).sum().backward()
    assert q.grad.item() == -1.0
    assert target.grad is None


def test_td_error_refuses_shapes_that_would_broadcast() -> None:
    """[B] against [B, 1] raises."""
    with pytest.raises(ValueError, match="one shape"):
        td_error(torch.ones(3), torch.ones(3, 1))


def test_huber_golden() -> None:
    """½·0.5² = 0.125 inside; 1·(3 - ½) = 2.5 outside; δ = 2: 2·(3 - 1) = 4."""
    torch.testing.assert_close(huber(torch.tensor([0.5, -3.0])), torch.tensor([0.125, 2.5]))
    assert huber(torch.tensor(3.0), delta=2.0).item() == 4.0


def test_huber_equals_torch() -> None:
    """The field's function, on a grid."""
    errors = torch.linspace(-4, 4, 81)
    torch.testing.assert_close(
        huber(errors, 1.5),
        torch.nn.functional.huber_loss(errors, torch.zeros(81), delta=1.5, reduction="none"),
    )


def test_categorical_error_golden() -> None:
    """-¼ ln ¼ - ¾ ln ¾ = 0.5623 for a perfect prediction, -ln ¼ = 1.3863 where all weight is on the other atom."""
    logits = torch.tensor([[0.25, 0.75]]).log().repeat(2, 1) + 7.0  # a constant changes nothing
    error = categorical_error(logits, torch.tensor([[0.25, 0.75], [1.0, 0.0]]))
    torch.testing.assert_close(error, torch.tensor([0.5623351, 1.3862944]))


def test_categorical_error_equals_torch() -> None:
    """The field's cross-entropy, for several leading dimensions; its gradient is prediction less target."""
    logits, target = normal(4, 2, 7).requires_grad_(), normal(4, 2, 7, seed=1).softmax(dim=2).requires_grad_()
    error = categorical_error(logits, target)
    expected = torch.nn.functional.cross_entropy(logits.movedim(2, 1), target.movedim(2, 1), reduction="none")
    torch.testing.assert_close(error, expected)
    error.sum().backward()
    torch.testing.assert_close(logits.grad, (logits.softmax(dim=2) - target).detach())
    assert target.grad is None


def test_categorical_error_refuses_shapes_that_would_broadcast() -> None:
    """One target for several branches has to be expanded."""
    with pytest.raises(ValueError, match="one shape"):
        categorical_error(torch.ones(3, 2, 5), torch.ones(3, 1, 5))


TAUS = torch.tensor([0.25, 0.75])


def test_quantile_huber_error_golden() -> None:
    """Targets 2, -1 and 1 against quantiles 0 and 1.

    Quantile 0 at ¼: u = (2, -1, 1), Huber (1.5, 0.5, 0.5), weights (¼, ¾, ¼): mean 0.875 / 3
    Quantile 1 at ¾: u = (1, -2, 0), Huber (0.5, 1.5, 0), weights (¾, ¼, ¾): mean 0.75 / 3
    """
    error = quantile_huber_error(torch.tensor([[0.0, 1.0]]), TAUS, torch.tensor([[2.0, -1.0, 1.0]]))
    torch.testing.assert_close(error, torch.tensor([1.625 / 3]))


@pytest.mark.parametrize("kappa", [0.0, 0.5, 1.0, 2.0])
def test_quantile_huber_error_equals_a_slow_loop(kappa: float) -> None:
    """Pair by pair, for two streams, with taus of each sample as in IQN."""
    quantiles, target, taus = normal(6, 2, 5), normal(6, 2, 3, seed=1), torch.rand(6, 1, 5)
    expected = np.zeros((6, 2))
    for b, s in np.ndindex(6, 2):
        for i in range(5):
            for j in range(3):
                u = (target[b, s, j] - quantiles[b, s, i]).item()
                size = abs(u) if kappa == 0 else (u**2 / 2 if abs(u) <= kappa else kappa * (abs(u) - kappa / 2)) / kappa
                expected[b, s] += abs(taus[b, 0, i].item() - (u < 0)) * size / 3
    np.testing.assert_allclose(quantile_huber_error(quantiles, taus, target, kappa=kappa), expected, rtol=1e-5)


def test_quantile_huber_error_of_the_median_is_half_huber() -> None:
    """One quantile at τ = ½ against one target."""
    quantile, target = normal(50, 1), 3 * normal(50, 1, seed=1)
    error = quantile_huber_error(quantile, torch.tensor([0.5]), target)
    torch.testing.assert_close(error, 0.5 * huber(target - quantile).squeeze(1))


@pytest.mark.parametrize("tau", [0.1, 0.5, 0.8])
def test_quantile_huber_error_is_least_at_the_quantile(tau: float) -> None:
    """κ = 0 and targets 1 to 100: the best of all numbers is 100 τ; swapped weights would give 100 (1 - τ)."""
    candidates = torch.arange(0.0, 101.0).unsqueeze(1)
    target = torch.arange(1.0, 101.0).expand(101, 100)
    error = quantile_huber_error(candidates, torch.tensor([tau]), target, kappa=0.0)
    assert abs(error.argmin().item() - 100 * tau) <= 1


def test_quantile_huber_error_gradient_flows_into_the_quantiles_only() -> None:
    """The target gets none."""
    quantiles, target = torch.zeros(1, 2, requires_grad=True), torch.ones(1, 3, requires_grad=True)
    quantile_huber_error(quantiles, TAUS, target).sum().backward()
    assert quantiles.grad.tolist() == [[-0.25, -0.75]]
    assert target.grad is None


@pytest.mark.parametrize(
    ("taus", "target", "kappa"),
    [
        (torch.ones(3), torch.ones(2, 2, 4), 1.0),
        (torch.ones(2, 2), torch.ones(2, 2, 4), 1.0),
        (torch.ones(3, 1, 2), torch.ones(2, 2, 4), 1.0),
        (TAUS, torch.ones(2, 4), 1.0),
        (TAUS, torch.ones(2, 2, 4), -1.0),
    ],
    ids=["other quantiles", "[B, N] for [B, S, N]", "other batch", "targets without streams", "kappa"],
)
def test_quantile_huber_error_refuses_what_does_not_fit(taus, target, kappa) -> None:
    """Shapes that would broadcast or fail far away, and a negative bound."""
    with pytest.raises(ValueError, match=r"do not fit|one shape|at least 0"):
        quantile_huber_error(torch.ones(2, 2, 2), taus, target, kappa=kappa)


BRANCHES = [3, 2]


def test_large_margin_error_golden() -> None:
    """Margin 0.8, Q = (1, 5, 2 | 0, 1), demonstrated (2, 1): 5 + 0.8 - 2 = 3.8, and 0, for 1 leads 0 by more.

    With action 1 illegal the best rival is 1 + 0.8, less than 2.
    """
    scores, actions = torch.tensor([[1.0, 5.0, 2.0, 0.0, 1.0]]), torch.tensor([[2, 1]])
    error = large_margin_error(scores, actions, torch.ones(1, 5), BRANCHES)
    torch.testing.assert_close(error, torch.tensor([[3.8, 0.0]]))
    masked = large_margin_error(scores, actions, torch.tensor([[1.0, 0, 1, 1, 1]]), BRANCHES)
    torch.testing.assert_close(masked, torch.zeros(1, 2))


def test_large_margin_error_equals_a_slow_loop() -> None:
    """Over legal actions and the demonstrated one, which may be illegal; never negative."""
    scores, actions = normal(30, 5), torch.randint(0, 2, (30, 2), generator=torch.Generator().manual_seed(0))
    mask = (normal(30, 5, seed=1) > 0).float()
    expected = np.zeros((30, 2))
    for b, (d, columns) in [(b, branch) for b in range(30) for branch in enumerate(([0, 1, 2], [3, 4]))]:
        expert = columns[actions[b, d]]
        rivals = [scores[b, c].item() + 0.5 for c in columns if mask[b, c] and c != expert]
        expected[b, d] = max([*rivals, scores[b, expert].item()]) - scores[b, expert].item()
    error = large_margin_error(scores, actions, mask, BRANCHES, margin=0.5)
    np.testing.assert_allclose(error, expected, atol=1e-6)
    assert (error >= 0).all()


def test_large_margin_error_without_margin_is_what_the_greedy_action_gains() -> None:
    """Margin 0: max Q - Q(a_E); its gradient lowers the best rival and raises the demonstrated action."""
    scores = torch.tensor([[1.0, 3.0, 2.0]], requires_grad=True)
    error = large_margin_error(scores, torch.tensor([[0]]), torch.ones(1, 3), [3], margin=0.0)
    assert error.item() == 2.0
    error.backward()
    assert scores.grad.tolist() == [[-1.0, 1.0, 0.0]]


@pytest.mark.parametrize(
    ("actions", "mask", "branches"),
    [
        (torch.zeros(2, 2, dtype=torch.long), torch.ones(4, 5), BRANCHES),
        (torch.zeros(4, 1, dtype=torch.long), torch.ones(4, 5), BRANCHES),
        (torch.zeros(4, 2, dtype=torch.long), torch.ones(1, 5), BRANCHES),
        (torch.zeros(4, 2, dtype=torch.long), torch.ones(4, 5), [3, 3]),
    ],
    ids=["batch", "one branch", "mask", "branches"],
)
def test_large_margin_error_refuses_other_shapes(actions, mask, branches) -> None:
    """Whatever does not fit the scores is named."""
    with pytest.raises(ValueError, match="do not fit"):
        large_margin_error(torch.ones(4, 5), actions, mask, branches)


def test_max_mean_priority_golden() -> None:
    """0.9·3 + 0.1·(1 + 3) / 2 = 2.9: sizes, and no padding, even where it is not a number."""
    error, mask = torch.tensor([[1.0], [-3.0], [float("nan")]]), torch.tensor([[1.0], [1.0], [0.0]])
    torch.testing.assert_close(max_mean_priority(error, mask), torch.tensor([2.9]))
    torch.testing.assert_close(max_mean_priority(error[:2]), torch.tensor([2.9]))


def test_max_mean_priority_equals_numpy() -> None:
    """Sequence by sequence, with the largest alone for η = 1 and the mean alone for η = 0."""
    error, lengths = normal(6, 5), [6, 1, 3, 0, 4]
    mask = (torch.arange(6).unsqueeze(1) < torch.tensor(lengths)).float()
    for eta in (0.0, 0.4, 1.0):
        sizes = [np.abs(error[:length, b].numpy()) for b, length in enumerate(lengths)]
        expected = [eta * x.max() + (1 - eta) * x.mean() if len(x) else 0.0 for x in sizes]
        np.testing.assert_allclose(max_mean_priority(error, mask, eta=eta), expected, rtol=1e-5)


def test_max_mean_priority_refuses_what_does_not_fit() -> None:
    """Masks of another shape, and η outside 0 to 1; what it gives is detached."""
    error = torch.ones(3, 2, requires_grad=True)
    assert not max_mean_priority(error).requires_grad
    with pytest.raises(ValueError, match="one shape"):
        max_mean_priority(error, torch.ones(3, 1))
    with pytest.raises(ValueError, match="between 0 and 1"):
        max_mean_priority(error, eta=1.1)


def test_policy_gradient_loss_golden() -> None:
    """-(2·(-1 - 3)/2 + 4·(-1)) / 2 = (4 + 4) / 2 = 4: log-probabilities are averaged over the action dimensions."""
    log_probs = torch.tensor([[-1.0, -3.0], [-1.0, -1.0]])
    assert policy_gradient_loss(log_probs, torch.tensor([2.0, 4.0])).item() == 4.0


def test_policy_gradient_loss_raises_the_probability_of_good_actions() -> None:
    """The step against the gradient makes an action with positive advantage more likely."""
    log_probs = torch.tensor([[-1.0], [-1.0]], requires_grad=True)
    policy_gradient_loss(log_probs, torch.tensor([1.0, -1.0])).backward()
    assert log_probs.grad[0].item() < 0 < log_probs.grad[1].item()


def test_policy_gradient_loss_refuses_a_column_of_advantages() -> None:
    """[B, 1] against [B] would be [B, B], every step with every advantage."""
    with pytest.raises(ValueError, match="these must have one shape"):
        policy_gradient_loss(normal(4, 2), normal(4, 1))


def test_clipped_surrogate_loss_golden() -> None:
    """ε = 0.2, ratios 2 and ½: a gain of 1.2 for A = 1 and of -0.8 for A = -1; padding does not count."""
    old = torch.zeros(3, 1)
    log_probs = torch.tensor([[2.0], [0.5], [9.0]]).log()
    advantage, mask = torch.tensor([1.0, -1.0, 7.0]), torch.tensor([1.0, 1.0, 0.0])
    loss = clipped_surrogate_loss(log_probs, old, advantage, mask, epsilon=0.2)
    assert loss.item() == pytest.approx(-(1.2 - 0.8) / 2)


def test_clipped_surrogate_loss_equals_ml_agents() -> None:
    """Its trust_region_policy_loss with three action dimensions and padding; parts add up to the whole."""
    from mlagents.trainers.torch_entities.utils import ModelUtils

    log_probs, old = normal(2, 40, 3)
    advantage, mask = normal(40, seed=2), (normal(40, seed=1) > 0).float()
    expected = ModelUtils.trust_region_policy_loss(advantage, log_probs, old, mask, 0.2)
    torch.testing.assert_close(clipped_surrogate_loss(log_probs, old, advantage, mask, epsilon=0.2), expected)
    parts = [
        clipped_surrogate_loss(log_probs[i], old[i], advantage[i], mask[i], epsilon=0.2, total=mask.sum().item())
        for i in (slice(0, 15), slice(15, 40))
    ]
    torch.testing.assert_close(sum(parts), expected)


def test_clipped_surrogate_loss_has_the_gradient_of_the_policy_gradient_where_nothing_has_changed() -> None:
    """A ratio of 1; and none at all where the ratio has left the bounds for the better."""
    log_probs, advantage = normal(10, 2).requires_grad_(), normal(10, seed=1)
    gradients = []
    for loss in (
        policy_gradient_loss(log_probs, advantage),
        clipped_surrogate_loss(log_probs, log_probs.detach(), advantage, epsilon=0.2),
        clipped_surrogate_loss(log_probs, log_probs.detach() - advantage.sign()[:, None], advantage, epsilon=0.2),
    ):
        gradients += torch.autograd.grad(loss, log_probs)
    torch.testing.assert_close(gradients[1], gradients[0])
    assert not gradients[2].any()


def test_clipped_surrogate_loss_of_other_shapes_raises() -> None:
    """[B] advantages against [B, 1] would broadcast."""
    with pytest.raises(ValueError, match="one shape"):
        clipped_surrogate_loss(normal(4, 2), normal(4, 2), normal(4, 1), epsilon=0.2)


def test_mean_over_streams_golden() -> None:
    """Errors of 1 in the one stream and 3 in the other: (1 + 9) / 2; keyword arguments go to each."""
    values, returns = torch.zeros(5, 2), torch.tensor([1.0, 3.0]).expand(5, 2)
    assert mean_over_streams(value_loss)(values, returns).item() == 5.0
    assert mean_over_streams(value_loss)(values, returns, mask=torch.ones(5), total=10.0).item() == 2.5


def test_value_loss_golden() -> None:
    """((3 - 1)² + 0) / 2 = 2; the padded step does not count."""
    mask = torch.tensor([1.0, 1.0, 0.0])
    assert value_loss(torch.tensor([1.0, 5.0, 9.0]), torch.tensor([3.0, 5.0, 0.0]), mask).item() == 2.0


def test_value_loss_with_delta_golden() -> None:
    """Errors 0.5 and 3 beyond δ = 1: (0.25 + 2·3 - 1) / 2; without δ (0.25 + 9) / 2."""
    v, returns = torch.tensor([1.0, 0.0]), torch.tensor([1.5, 3.0])
    assert value_loss(v, returns, delta=1.0).item() == 2.625
    assert value_loss(v, returns).item() == 4.625


def test_clipped_value_loss_golden() -> None:
    """ε = 0.2, old 0: a value of 1 counts as 0.2 against a return of 1, (1 - 0.2)² = 0.64; 0.1 is not clipped, 0.81."""
    v, old, returns = torch.tensor([1.0, 0.1, 7.0]), torch.zeros(3), torch.ones(3)
    loss = clipped_value_loss(v, old, returns, torch.tensor([1.0, 1.0, 0.0]), epsilon=0.2)
    assert loss.item() == pytest.approx((0.64 + 0.81) / 2)


def test_clipped_value_loss_equals_ml_agents() -> None:
    """Its trust_region_value_loss for one stream, with padding."""
    from mlagents.trainers.torch_entities.utils import ModelUtils

    v, old, returns = normal(3, 40)
    mask = (normal(40, seed=1) > 0).float()
    expected = ModelUtils.trust_region_value_loss({"a": v}, {"a": old}, {"a": returns}, 0.2, mask)
    loss = clipped_value_loss(v, old, returns, mask, epsilon=0.2)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(clipped_value_loss(v, old, returns, mask, epsilon=100.0), value_loss(v, returns, mask))
    assert loss > value_loss(v, returns, mask)
    parts = [
        clipped_value_loss(v[i], old[i], returns[i], mask[i], epsilon=0.2, total=mask.sum().item())
        for i in (slice(0, 15), slice(15, 40))
    ]
    torch.testing.assert_close(sum(parts), expected)


def test_clipped_value_loss_stops_the_gradient_beyond_its_bound() -> None:
    """A value that has moved by more than ε towards its return is left alone; one that moved away is not."""
    v, old = torch.tensor([0.5, -0.5], requires_grad=True), torch.zeros(2, requires_grad=True)
    clipped_value_loss(v, old, torch.ones(2), epsilon=0.2).backward()
    assert v.grad[0] == 0.0
    assert v.grad[1] < 0.0
    assert old.grad is None


def test_clipped_value_loss_refuses_shapes_that_would_broadcast() -> None:
    """[B] against [B, 1] raises, whichever it is."""
    for odd in range(3):
        tensors = [torch.ones(4, 1) if i == odd else torch.ones(4) for i in range(3)]
        with pytest.raises(ValueError, match="one shape"):
            clipped_value_loss(*tensors, epsilon=0.2)


def test_entropy_loss_is_negative_entropy() -> None:
    """Minimising it raises the entropy."""
    assert entropy_loss(torch.tensor([1.0, 3.0])).item() == -2.0
