"""RMSprop with epsilon inside the root."""

import math

import pytest
from mlagents.torch_utils import torch

from mlagents_plugin_shared.learning.rmsprop import RMSpropTF


def steps(optimizer_type: type, gradients: list[float], **options: float) -> float:
    """Where a parameter that starts at 0 ends."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = optimizer_type([parameter], lr=0.1, **options)
    for gradient in gradients:
        parameter.grad = torch.full((1,), gradient)
        optimizer.step()
    return parameter.item()


def test_rmsprop_tf_golden() -> None:
    """s = 0.9 + 0.1·4 = 1.3, step 0.1·2/√1.4; then s = 1.57, step 0.1·2/√1.67."""
    expected = -0.2 / math.sqrt(1.4) - 0.2 / math.sqrt(1.67)
    assert steps(RMSpropTF, [2.0, 2.0], alpha=0.9, eps=0.1) == pytest.approx(expected, rel=1e-6)


def test_centred_rmsprop_golden() -> None:
    """From squares of 0: s = 0.4, m = 0.2, step 0.1·2/√0.46; then s = 0.46, m = 0.28, step 0.1·1/√0.4816."""
    expected = -0.2 / math.sqrt(0.4 - 0.2**2 + 0.1) - 0.1 / math.sqrt(0.46 - 0.28**2 + 0.1)
    found = steps(RMSpropTF, [2.0, 1.0], alpha=0.9, eps=0.1, centered=True, initial_square=0.0)
    assert found == pytest.approx(expected, rel=1e-6)


def test_rmsprop_tf_first_step_is_shorter_than_torchs() -> None:
    """Squares that start at 1: g instead of 10 sgn(g), for a gradient of 0.01 a thousandth."""
    assert steps(RMSpropTF, [0.01]) / steps(torch.optim.RMSprop, [0.01]) == pytest.approx(1e-3, rel=0.02)


def test_rmsprop_tf_later_steps_are_torchs() -> None:
    """After 2,000 steps the first squares are forgotten."""
    lengths = [steps(kind, [0.5] * 2001) - steps(kind, [0.5] * 2000) for kind in (RMSpropTF, torch.optim.RMSprop)]
    assert lengths[0] == pytest.approx(lengths[1], rel=1e-3)


def test_rmsprop_tf_resumes() -> None:
    """Its state goes through a checkpoint: two steps in a row equal one, a reload, and one."""
    ends = []
    for reload in (False, True):
        parameter = torch.nn.Parameter(torch.ones(3))
        optimizer = RMSpropTF([parameter], lr=0.1)
        for _ in range(2):
            parameter.grad = torch.tensor([1.0, -2.0, 0.5])
            optimizer.step()
            if reload:
                state = optimizer.state_dict()
                optimizer = RMSpropTF([parameter], lr=0.1)
                optimizer.load_state_dict(state)
        ends.append(parameter.detach())
    torch.testing.assert_close(ends[0], ends[1])
