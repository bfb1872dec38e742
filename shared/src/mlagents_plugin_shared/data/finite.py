"""Numbers of an environment that are none."""

from collections.abc import Mapping

import numpy as np


def describe_not_finite(behavior: str, agent: object, named: Mapping[str, np.ndarray]) -> str | None:
    """What is wrong with the first number that is NaN or infinite, in one line.

    Args:
        behavior: name of the behaviour.
        agent: whose numbers these are.
        named: arrays of any shape, by what they are.

    Returns:
        The line, None where all numbers are finite.
    """
    for name, numbers in named.items():
        bad = numbers[~np.isfinite(numbers)]
        if bad.size:
            return (
                f"{behavior}: {name} of agent {agent} is {bad[0]}. "
                "Look for a division by zero or an unset value in the environment."
            )
    return None
