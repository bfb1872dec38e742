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


def exponential(initial: float, final: float, steps: int) -> Schedule:
    """From `initial` at step 0 by the same factor a step to `final` at `steps`, and `final` from then on.

    initial (final / initial)^{step / steps}

    Args:
        initial: value at step 0, > 0.
        final: value at `steps` and later, > 0.
        steps: length of the slope in steps, >= 1.

    Returns:
        A function of the step.

    Raises:
        ValueError: steps < 1, or a value is not positive.
    """
    if initial <= 0.0 or final <= 0.0:
        raise ValueError(f"initial and final must be positive, but are {initial} and {final}")
    progress = linear(0.0, 1.0, steps)
    return lambda step: initial * (final / initial) ** progress(step)


def warm_up(schedule: Schedule, steps: int) -> Schedule:
    """From 0 at step 0 in a straight line to the schedule's value at `steps`, and the schedule from then on.

    The schedule is not shifted: it has had `steps` of its own steps when it takes over.

    Args:
        schedule: what follows.
        steps: length of the slope in steps; 0 is no warm-up.

    Returns:
        A function of the step.

    Raises:
        ValueError: steps < 0.
    """
    if steps < 0:
        raise ValueError(f"steps must be at least 0, but is {steps}")
    return lambda step: schedule(step) if step >= steps else schedule(steps) * max(step, 0) / steps
