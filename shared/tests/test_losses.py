"""Losses against golden numbers, masks and gradients."""

import pytest
import torch

from mlagents_plugin_shared.losses import (
    entropy_loss,
    huber,
    masked_mean,
    policy_gradient_loss,
    td_error,
    value_loss,
)


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


def test_policy_gradient_loss_golden() -> None:
    """-(2·(-1 - 3)/2 + 4·(-1)) / 2 = (4 + 4) / 2 = 4: log-probabilities are averaged over the action dimensions."""
    log_probs = torch.tensor([[-1.0, -3.0], [-1.0, -1.0]])
    assert policy_gradient_loss(log_probs, torch.tensor([2.0, 4.0])).item() == 4.0


def test_policy_gradient_loss_raises_the_probability_of_good_actions() -> None:
    """The step against the gradient makes an action with positive advantage more likely."""
    log_probs = torch.tensor([[-1.0], [-1.0]], requires_grad=True)
    policy_gradient_loss(log_probs, torch.tensor([1.0, -1.0])).backward()
    assert log_probs.grad[0].item() < 0 < log_probs.grad[1].item()


def test_value_loss_golden() -> None:
    """((3 - 1)² + 0) / 2 = 2; the padded step does not count."""
    mask = torch.tensor([1.0, 1.0, 0.0])
    assert value_loss(torch.tensor([1.0, 5.0, 9.0]), torch.tensor([3.0, 5.0, 0.0]), mask).item() == 2.0


def test_entropy_loss_is_negative_entropy() -> None:
    """Minimising it raises the entropy."""
    assert entropy_loss(torch.tensor([1.0, 3.0])).item() == -2.0
