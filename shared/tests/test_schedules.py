"""Schedules at their ends and between."""

import pytest

from mlagents_plugin_shared.maths.schedules import constant, exponential, linear, warm_up


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


@pytest.mark.parametrize(("step", "value"), [(-5, 1.0), (0, 1.0), (50, 0.1), (75, 10**-1.5), (100, 0.01), (500, 0.01)])
def test_exponential_golden(step: int, value: float) -> None:
    """From 1 to 10⁻² over 100 steps: 10⁻¹ half way, not the 0.505 of a straight line."""
    assert exponential(1.0, 0.01, 100)(step) == pytest.approx(value)


def test_exponential_multiplies_by_one_factor() -> None:
    """Step by step, rising too, the ratio is (final / initial)^{1 / steps}."""
    schedule, value = exponential(0.2, 3.0, 7), 0.2
    for step in range(8):
        assert schedule(step) == pytest.approx(value)
        value *= 15 ** (1 / 7)


@pytest.mark.parametrize("arguments", [(1.0, 0.0, 10), (0.0, 1.0, 10), (1.0, -1.0, 10), (1.0, 0.1, 0)])
def test_exponential_refuses_zero(arguments) -> None:
    """No factor leads to or from 0, and a slope needs a length."""
    with pytest.raises(ValueError, match=r"positive|at least 1"):
        exponential(*arguments)


@pytest.mark.parametrize(("step", "value"), [(-3, 0.0), (0, 0.0), (5, 0.4), (10, 0.8), (11, 0.78), (50, 0.0)])
def test_warm_up_golden(step: int, value: float) -> None:
    """10 steps up to the 0.8 that a slope from 1 to 0 over 50 has reached by then; after that the slope, unshifted."""
    assert warm_up(linear(1.0, 0.0, 50), 10)(step) == pytest.approx(value)


def test_warm_up_of_no_steps_is_the_schedule() -> None:
    """Step 0 has the schedule's value already; a negative length raises."""
    assert warm_up(constant(0.3), 0)(0) == 0.3
    with pytest.raises(ValueError, match="at least 0"):
        warm_up(constant(0.3), -1)
