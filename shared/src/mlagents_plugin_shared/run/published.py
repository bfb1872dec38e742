"""The trainers that this project publishes, so that whoever lacks one is told its name and not that of another."""

from importlib import metadata
from typing import Any

TRAINERS = frozenset({"a2c", "dqn", "flashsac", "pqn"})
"""Values of `trainer_type`, each of the distribution mlagents-plugin-NAME."""


def absent_distribution(trainer_type: Any) -> str:
    """The distribution that a trainer of this project lacks here; empty for others and for what is installed."""
    if trainer_type not in sorted(TRAINERS):
        return ""
    name = f"mlagents-plugin-{trainer_type}"
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return name
    return ""
