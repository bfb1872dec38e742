"""Value rescaling against the formulas in double precision, and as inverses of each other in float32."""

import numpy as np
import pytest
import torch

from mlagents_plugin_shared.maths.rescaling import signed_hyperbolic, signed_parabolic

SIZES = torch.logspace(-6, 4, 500)
GRID = torch.cat([-SIZES.flip(0), torch.zeros(1), SIZES])


def naive_parabolic(x, eps: float):
    """The inverse as proposition A.2 of Pohlen et al. (2018) writes it."""
    return np.sign(x) * (((np.sqrt(1 + 4 * eps * (np.abs(x) + 1 + eps)) - 1) / (2 * eps)) ** 2 - 1)


def test_signed_hyperbolic_golden() -> None:
    """ε = 0.01: √(3 + 1) - 1 + 0.03 = 1.03, odd, and 0 at 0."""
    torch.testing.assert_close(
        signed_hyperbolic(torch.tensor([3.0, -3.0, 0.0]), 0.01), torch.tensor([1.03, -1.03, 0.0])
    )


def test_signed_parabolic_golden() -> None:
    """1.03 and -1.03 come from 3 and -3 where ε = 0.01; with another ε they do not."""
    x = torch.tensor([1.03, -1.03, 0.0])
    torch.testing.assert_close(signed_parabolic(x, 0.01), torch.tensor([3.0, -3.0, 0.0]))
    assert not torch.allclose(signed_parabolic(x), torch.tensor([3.0, -3.0, 0.0]), rtol=1e-3)


@pytest.mark.parametrize("eps", [1e-3, 1e-2])
def test_rescaling_equals_the_formulas(eps: float) -> None:
    """Both in double precision, from -10⁴ to 10⁴."""
    x = GRID.double().numpy()
    hyperbolic = np.sign(x) * (np.sqrt(np.abs(x) + 1) - 1) + eps * x
    np.testing.assert_allclose(signed_hyperbolic(GRID, eps), hyperbolic, rtol=1e-5, atol=1e-12)
    np.testing.assert_allclose(signed_parabolic(GRID, eps), naive_parabolic(x, eps), rtol=1e-5, atol=1e-10)


@pytest.mark.parametrize("eps", [1e-3, 1e-2])
def test_rescaling_is_undone_in_float32(eps: float) -> None:
    """To 5 digits from 10⁻⁶ to 10⁴; the formula as written loses the small ones altogether."""
    rescaled = signed_hyperbolic(GRID, eps)
    torch.testing.assert_close(signed_parabolic(rescaled, eps), GRID, rtol=1e-5, atol=0)
    assert not np.allclose(naive_parabolic(rescaled.numpy(), np.float32(eps)), GRID, rtol=1e-1, atol=0)


def test_rescaling_has_a_gradient_at_zero() -> None:
    """h'(0) = ½ + ε and its inverse 1 / (½ + ε); a sign function would give 0 or NaN."""
    x = torch.zeros(1, requires_grad=True)
    for function, slope in ((signed_hyperbolic, 0.501), (signed_parabolic, 1 / 0.501)):
        (gradient,) = torch.autograd.grad(function(x).sum(), x)
        assert gradient.item() == pytest.approx(slope, rel=1e-4)
