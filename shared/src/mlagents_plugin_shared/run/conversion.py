"""What a settings class says of a file that was written for another trainer: the values to begin with instead."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from mlagents.trainers.settings import TrainerSettings

LEAST_HIDDEN_UNITS = 64
"""Width below which a network is one for a policy of few states, as in PPO's file for Basic."""

MANY_UPDATES = 100_000
"""Gradient steps of a run that are enough for most scenes; more take hours."""


class Change(NamedTuple):
    """A value of a converted file that is not that of the original.

    Attributes:
        key: its path, such as `hyperparameters: tau`, or `time_horizon` beside them.
        value: what it becomes; None where the key is left out.
        why: the reason, for a comment behind "was ...:".
    """

    key: str
    value: Any
    why: str


def within(value: float, low: int, high: int) -> int:
    """A number moved into a range.

    Args:
        value: the number.
        low: least of the range.
        high: largest.
    """
    return int(min(max(value, low), high))


def horizon(origin: TrainerSettings, low: int, high: int, why: str) -> Iterator[Change]:
    """The `time_horizon` moved into a range, where it is outside.

    Args:
        origin: settings of the original.
        low: least of the range.
        high: largest.
        why: the reason.
    """
    if not low <= origin.time_horizon <= high:
        yield Change("time_horizon", within(origin.time_horizon, low, high), why)


def wide_enough(origin: TrainerSettings) -> Iterator[Change]:
    """Hidden layers that are wide enough to tell values of actions or states apart.

    Args:
        origin: settings of the original.
    """
    if origin.network_settings.hidden_units < LEAST_HIDDEN_UNITS:
        why = "values need a wider network than a policy does"
        yield Change("network_settings: hidden_units", LEAST_HIDDEN_UNITS, why)
