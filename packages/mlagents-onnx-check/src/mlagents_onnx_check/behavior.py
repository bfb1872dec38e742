"""What a behaviour in Unity observes and does, to check a model against."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_OBSERVATION = re.compile(r"[1-9]\d*(x[1-9]\d*){0,2}")
_ACTIONS = re.compile(r"continuous:([1-9]\d*)|discrete:([1-9]\d*(?:,[1-9]\d*)*)")


@dataclass(frozen=True)
class Sensor:
    """One observation.

    Attributes:
        name: for messages.
        shape: (size,), (entities, size) or (channels, height, width).
    """

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Behavior:
    """What an agent in Unity has. What is None is not known, and not checked.

    Attributes:
        sensors: in Unity's order, by the sensors' names.
        continuous_size: number C of continuous actions.
        branches: sizes of the D discrete branches.
    """

    sensors: tuple[Sensor, ...] | None = None
    continuous_size: int | None = None
    branches: tuple[int, ...] | None = None

    @classmethod
    def of(cls, spec: Any) -> Behavior:
        """The behaviour that a trainer was told of, or a Python environment has in its `behavior_specs`.

        Args:
            spec: ML-Agents' `BehaviorSpec`. It is only read, so that ML-Agents need not be installed: for each of its
                `observation_specs` `name` and `shape`, and of its `action_spec` `continuous_size` and
                `discrete_branches`.
        """
        sensors = tuple(Sensor(sensor.name, tuple(sensor.shape)) for sensor in spec.observation_specs)
        return cls(sensors, spec.action_spec.continuous_size, tuple(spec.action_spec.discrete_branches))

    @classmethod
    def parse(cls, observations: Sequence[str] | None = None, actions: Sequence[str] | None = None) -> Behavior:
        """The behaviour that a command line states.

        Args:
            observations: one text a sensor, in Unity's order: `20`, `20x23` (entities), `3x84x84` (C, H, W).
            actions: `continuous:2`, `discrete:3,2`, or both.

        Raises:
            ValueError: a text is of another form.
        """
        sensors = None if observations is None else tuple(_sensor(i, text) for i, text in enumerate(observations))
        if actions is None:
            return cls(sensors)
        found = [_actions(text) for text in actions]
        continuous = [size for size, _ in found if size]
        discrete = [branches for _, branches in found if branches]
        if len(continuous) > 1 or len(discrete) > 1:
            raise ValueError(f"actions {' '.join(actions)}: give continuous and discrete at most once each")
        return cls(sensors, sum(continuous), discrete[0] if discrete else ())


def _sensor(index: int, text: str) -> Sensor:
    if not _OBSERVATION.fullmatch(text):
        raise ValueError(
            f"observation {text!r} is not a shape such as 20, 20x23 (entities) or 3x84x84 (channels, height, width)"
        )
    return Sensor(f"obs_{index}", tuple(map(int, text.split("x"))))


def _actions(text: str) -> tuple[int, tuple[int, ...]]:
    """Continuous size and branches, one of them empty."""
    match = _ACTIONS.fullmatch(text)
    if match is None:
        raise ValueError(f"actions {text!r} are not of the form continuous:2 or discrete:3,2")
    continuous, discrete = match.groups()
    return int(continuous or 0), tuple(map(int, discrete.split(","))) if discrete else ()
