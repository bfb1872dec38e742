"""Schedules at their ends and between."""

import pytest

from mlagents_plugin_shared.maths.schedules import constant, linear


def test_constant_never_changes() -> None:
    """The same value at step 0 and much later."""
    assert constant(0.3)(0) == constant(0.3)(10**9) == 0.3


@pytest.mark.parametrize(("step", "value"), [(0, 1.0), (25, 0.75), (100, 0.0), (500, 0.0), (-5, 1.0)])
def test_linear_golden(step: int, value: float) -> None:
    """From 1 to 0 over 100 steps, held at both ends."""
    assert linear(1.0, 0.0, 100)(step) == pytest.approx(value)


def test_linear_may_rise() -> None:
    """From 0.4 to 1, as the beta of prioritised replay does: 0.4 + 0.6 / 2."""
    assert linear(0.4, 1.0, 10)(5) == pytest.approx(0.7)


def test_linear_refuses_no_steps() -> None:
    """A slope needs a length."""
    with pytest.raises(ValueError, match="at least 1"):
        linear(1.0, 0.0, 0)
