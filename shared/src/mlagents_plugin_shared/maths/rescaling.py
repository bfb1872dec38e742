"""Rescaling of values, so that one network learns returns of very different sizes.

Pure functions of tensors. A network that learns h(Q) has the target h(r + γ h⁻¹(v)).
"""

import torch


def signed_hyperbolic(x: torch.Tensor, eps: float = 1e-3) -> torch.Tensor:
    """Square root for large values, about linear for small ones; keeps the sign.

    h(x) = sgn(x) (√(|x| + 1) - 1) + ε x

    Source: Pohlen et al. (2018), proposition A.2, https://arxiv.org/abs/1805.11593; Kapturowski et al. (2019), section
    2.3, for ε = 1e-3, https://openreview.net/forum?id=r1lyTjAqYX.

    Args:
        x: [...] values.
        eps: ε > 0, slope that remains for very large values; keeps the inverse from growing too fast.

    Returns:
        [...] rescaled values.
    """
    # The same with no difference of nearly equal numbers: √(y + 1) - 1 = y / (√(y + 1) + 1).
    return x / ((x.abs() + 1.0).sqrt() + 1.0) + eps * x


def signed_parabolic(x: torch.Tensor, eps: float = 1e-3) -> torch.Tensor:
    """Inverse of `signed_hyperbolic`.

    h⁻¹(x) = sgn(x) (((√(1 + 4 ε (|x| + 1 + ε)) - 1) / (2 ε))² - 1)

    The formula as it stands loses all digits of small values in float32; this one does not.

    Source: Pohlen et al. (2018), proposition A.2, https://arxiv.org/abs/1805.11593.

    Args:
        x: [...] rescaled values.
        eps: ε of `signed_hyperbolic`.

    Returns:
        [...] values.
    """
    # The root is √((1 + 2ε)² + 4ε|x|). With w = 2|x| / (root + 1 + 2ε) the bracket is (w + 1)² - 1 = w (w + 2).
    root = ((1.0 + 2.0 * eps) ** 2 + 4.0 * eps * x.abs()).sqrt()
    w = 2.0 * x / (root + 1.0 + 2.0 * eps)
    return w * (w.abs() + 2.0)
