"""Where a search for hyperparameters looks: each range stands beside its key, in the metadata of the attrs field.

    tau: float = attr.ib(default=0.01, validator=between(0.0, 1.0), metadata=searched(0.002, 0.05, log=True))

`nox -s tune` reads them. What a key may hold is its validator's to say; a range says where it is worth looking.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import attr

_METADATA = "search"


class Interval(NamedTuple):
    """Numbers from `low` to `high`, both among them; whole ones where both are.

    Attributes:
        low: the least.
        high: the largest.
        log: their logarithms are drawn evenly, so that each power of ten gets its share.
        of_max_steps: they are shares of `max_steps`, and the key holds agent steps.
        unset: what a key that is None stands for, as a number of the interval; None if nothing does.
        when: whether the key means something, from the hyperparameters; None if it always does.
    """

    low: float
    high: float
    log: bool = False
    of_max_steps: bool = False
    unset: float | None = None
    when: Callable[[Any], bool] | None = None


class Choice(NamedTuple):
    """One of some values.

    Attributes:
        values: as a YAML has them.
        when: whether the key means something, from the hyperparameters; None if it always does.
    """

    values: tuple[Any, ...]
    when: Callable[[Any], bool] | None = None


Search: TypeAlias = Interval | Choice
"""Where to look for the value of a key."""

not_searched: dict[str, Any] = {_METADATA: None}
"""Metadata of a key that is left as it is, although a base class says where to look."""


def searched(
    low: float,
    high: float,
    *,
    log: bool = False,
    of_max_steps: bool = False,
    unset: float | None = None,
    when: Callable[[Any], bool] | None = None,
) -> dict[str, Any]:
    """Metadata of a number.

    Args:
        low: the least value to try.
        high: the largest; where both are whole, only whole numbers are tried.
        log: draws powers of ten evenly.
        of_max_steps: both are shares of `max_steps`, and the key holds agent steps.
        unset: the number for which a key that is None stands.
        when: whether the key means something, from the hyperparameters: `lambda own: own.tau < 1`.

    Raises:
        ValueError: the interval is empty, or `log` has no logarithm of `low`.
    """
    if not low < high:
        raise ValueError(f"low {low} is not below high {high}")
    if log and low <= 0:
        raise ValueError(f"log needs low above 0, not {low}")
    return {_METADATA: Interval(low, high, log, of_max_steps, unset, when)}


def searched_among(*values: Any, when: Callable[[Any], bool] | None = None) -> dict[str, Any]:
    """Metadata of a key that holds one of some values: numbers far apart, names, truth values.

    Args:
        values: as a YAML has them; at least two.
        when: whether the key means something, from the hyperparameters.

    Raises:
        ValueError: there is nothing to choose from.
    """
    if len(set(values)) < 2:
        raise ValueError(f"{values} leaves no choice")
    return {_METADATA: Choice(values, when)}


def search_space(hyperparameters: type) -> dict[str, Search | None]:
    """Where to look for each key of a settings class that says so; None for those that are `not_searched`.

    A class that declares a key of its base again and says nothing about the search keeps what the base says.

    Args:
        hyperparameters: an attrs class.
    """
    found: dict[str, Search | None] = {}
    for ancestor in reversed(hyperparameters.__mro__):
        for field in vars(ancestor).get("__attrs_attrs__", ()):
            if not field.inherited and _METADATA in field.metadata:
                found[field.name] = field.metadata[_METADATA]
    return {key: search for key, search in found.items() if key in attr.fields_dict(hyperparameters)}
