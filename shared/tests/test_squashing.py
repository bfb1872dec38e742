"""Log-probabilities of squashed normal numbers against double precision, quadrature and negative controls."""

import math

import numpy as np
import pytest
import torch

from mlagents_plugin_shared.maths.squashing import WIDEST_DEVIATION, deviation_entropy, log_slope, squashed_log_prob


def naive(u: np.ndarray, mean: np.ndarray, log_std: np.ndarray) -> np.ndarray:
    """The change of variables as it stands in the paper, in 80 bits."""
    u, mean, std = (np.asarray(each, np.longdouble) for each in (u, mean, np.exp(log_std)))
    normal = -0.5 * ((u - mean) / std) ** 2 - np.log(std) - 0.5 * np.log(2 * np.longdouble(np.pi))
    return normal - np.log(1 - np.tanh(u) ** 2)


def test_squashed_log_prob_golden() -> None:
    """u = 0 of a standard normal: -½ log 2π = -0.918939, since the slope of tanh is 1 there."""
    zero = torch.zeros(1, 1)
    assert squashed_log_prob(zero, zero, zero).item() == pytest.approx(-0.918939, abs=1e-6)


def test_squashed_log_prob_equals_double_precision_on_a_grid() -> None:
    """To 1e-5, for deviations from e^-5 to e^2 and up to 3 of them from the mean."""
    mean, log_std, noise = (each.ravel() for each in np.meshgrid([-2.0, 0.0, 1.5], [-5.0, -1.9, 0.5], [-3.0, 0.0, 1.0]))
    u = mean + np.exp(log_std) * noise
    single = [torch.tensor(each[None], dtype=torch.float64).float() for each in (u, mean, log_std)]
    exact = [each.double().numpy() for each in single]
    found = squashed_log_prob(*single).numpy()[0]
    np.testing.assert_allclose(found, naive(*exact)[0].astype(float), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("u", [-40.0, -12.0, 12.0, 40.0])
def test_squashed_log_prob_is_exact_where_tanh_saturates(u: float) -> None:
    """log(1 - tanh² u) is 2 log 2 - 2 |u| up to e^-24 there; as the formula has it, the control, it is infinite."""
    at = torch.tensor([[u]])
    expected = -0.5 * math.log(2 * math.pi) - 2 * math.log(2) + 2 * abs(u)
    assert squashed_log_prob(at, at, torch.zeros(1, 1)).item() == pytest.approx(expected, rel=1e-6)
    assert torch.isinf(torch.log(1 - at.tanh().square())).all()


def test_squashed_probabilities_add_up_to_one() -> None:
    """The integral of exp log p over the actions in (-1, 1)."""
    action = torch.linspace(-0.99999, 0.99999, 400_001, dtype=torch.float64).unsqueeze(1)
    u, mean, log_std = action.atanh(), torch.full_like(action, 0.3), torch.full_like(action, -0.7)
    total = torch.trapezoid(squashed_log_prob(u, mean, log_std).exp()[:, 0], action[:, 0])
    assert total.item() == pytest.approx(1.0, abs=1e-4)


def test_log_slope_has_a_finite_gradient_everywhere() -> None:
    """-2 tanh u: bounded, also where the slope itself is 0."""
    u = torch.tensor([-100.0, -1.0, 0.0, 1.0, 100.0], requires_grad=True)
    log_slope(u).sum().backward()
    torch.testing.assert_close(u.grad, -2.0 * u.detach().tanh())


def test_squashed_log_prob_refuses_other_shapes() -> None:
    """[B] against [B, C] would broadcast."""
    with pytest.raises(ValueError, match="one shape"):
        squashed_log_prob(torch.zeros(2, 2), torch.zeros(2), torch.zeros(2, 2))


def test_deviation_entropy_golden() -> None:
    """½ log(2π e 0.15²) = -0.478182; minus one is a deviation of 0.089; the widest is as uniform in [-1, 1], log 2."""
    assert deviation_entropy(0.15) == pytest.approx(-0.478182, abs=1e-6)
    assert deviation_entropy(0.0890) == pytest.approx(-1.0, abs=1e-3)
    assert deviation_entropy(WIDEST_DEVIATION) == pytest.approx(math.log(2.0))
    assert math.isfinite(deviation_entropy(1e-320))  # whose square is 0
    with pytest.raises(ValueError, match="positive"):
        deviation_entropy(0.0)
