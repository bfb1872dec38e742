"""Settings with other values of some keys, each of them named by its path: `("hyperparameters", "beta")`."""

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml


def assign(settings: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Sets a key in place. A section that is not there, or is empty as in `hyperparameters:`, is made.

    Args:
        settings: a mapping of a YAML.
        path: names of the sections, and of the key in the last of them.
        value: of the key.
    """
    *sections, key = path
    for section in sections:
        if not isinstance(settings.get(section), dict):
            settings[section] = {}
        settings = settings[section]
    settings[key] = value


def changed(written: Mapping[str, Any], values: Mapping[tuple[str, ...], Any]) -> dict[str, Any]:
    """A copy with other values of some keys.

    Args:
        written: the mapping of a YAML.
        values: by path.
    """
    result = copy.deepcopy(dict(written))
    for path, value in values.items():
        assign(result, path, value)
    return result


def assignments(changes: Iterable[str]) -> dict[tuple[str, ...], Any]:
    """Values by path, of what a command line has: `hyperparameters.beta=0.01`."""
    pairs = (change.partition("=")[::2] for change in changes)
    return {path_of(name): yaml.safe_load(value) for name, value in pairs}


def path_of(name: str) -> tuple[str, ...]:
    """The path of a key that is written with dots: `hyperparameters.beta`."""
    return tuple(name.split("."))
