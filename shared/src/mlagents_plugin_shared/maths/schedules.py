"""Schedules: values as pure functions of the step, so that resuming a run needs nothing but its step."""

from collections.abc import Callable

Schedule = Callable[[int], float]
"""A number that depends on the step."""


def constant(value: float) -> Schedule:
    """The same value at every step."""
    return lambda step: value


def linear(initial: float, final: float, steps: int) -> Schedule:
    """From `initial` at step 0 in a straight line to `final` at `steps`, and `final` from then on.

    Args:
        initial: value at step 0.
        final: value at `steps` and later.
        steps: length of the slope in steps, >= 1.

    Returns:
        A function of the step.

    Raises:
        ValueError: steps < 1.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, but is {steps}")
    return lambda step: initial + (final - initial) * min(max(step, 0) / steps, 1.0)
