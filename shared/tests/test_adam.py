"""Adam in one kernel and in several."""

from typing import Any

import pytest
from mlagents.torch_utils import torch

from mlagents_plugin_shared.learning.optimizer import adam


def trained(optimizer_of: Any) -> torch.Tensor:
    """Parameters after five steps down the same slopes."""
    parameter = torch.nn.Parameter(torch.tensor([1.0, -2.0, 0.5]))
    optimizer = optimizer_of([parameter])
    for step in range(5):
        parameter.grad = torch.tensor([0.3, -1.0, 2.0]) * (step - 1)
        optimizer.step()
    return parameter.detach()


def test_adam_is_that_of_pytorch() -> None:
    """Whichever kernel, the rule is that of the paper; another epsilon shows."""
    plain = trained(lambda parameters: torch.optim.Adam(parameters, lr=0.1, eps=0.01))
    torch.testing.assert_close(trained(lambda parameters: adam(parameters, 0.1, eps=0.01)), plain)
    assert not torch.allclose(trained(lambda parameters: adam(parameters, 0.1)), plain, rtol=1e-3)


def test_adam_without_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where PyTorch refuses `fused`, as on a CPU before 2.4, the rule is the same."""

    class Old(torch.optim.Adam):
        def __init__(self, *args: Any, fused: bool = False, **kwargs: Any) -> None:
            if fused:
                raise RuntimeError("`fused=True` requires other devices")
            super().__init__(*args, **kwargs)

    with_kernel = trained(lambda parameters: adam(parameters, 0.1))
    monkeypatch.setattr(torch.optim, "Adam", Old)
    torch.testing.assert_close(trained(lambda parameters: adam(parameters, 0.1)), with_kernel)
