"""Unity's sensors: rays that tell what they hit, and stacks of the last observations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from mlagents_envs.base_env import DimensionProperty, ObservationSpec, ObservationType
from numpy.typing import NDArray

from mlagents_player.plane import Floats, Shapes, forward
from mlagents_player.scenes.base import Rows, vector_observation

NOTHING = -1  # the tag of what a ray hits and does not know
Tags = int | Sequence[int]
"""One for all shapes, or one for each."""


@dataclass(frozen=True)
class RaySensor:
    """A ray perception sensor on the ground plane.

    For each ray: one-hot of the hit's tag, 1 if nothing was hit, and the way to the hit as a fraction of the
    ray's length, 1 if there is none. Rays are in Unity's order: ahead, then by turns right and left of it.

    Attributes:
        tags: How many kinds of things are told apart.
        rays_per_direction: Rays on each side of the one in the middle.
        max_degrees: Angle of the outermost rays.
        length: Of the rays, m.
        radius: Of the balls that are cast, m.
        facing: Middle of the rays, degrees clockwise from ahead.
    """

    tags: int
    rays_per_direction: int
    max_degrees: float
    length: float
    radius: float = 0.5
    facing: float = 0.0

    @property
    def size(self) -> int:
        """Numbers in one observation."""
        return (2 * self.rays_per_direction + 1) * (self.tags + 2)

    @property
    def angles(self) -> Floats:
        """[rays] degrees clockwise from ahead."""
        steps = np.arange(1, self.rays_per_direction + 1) * self.max_degrees / self.rays_per_direction
        return self.facing + np.concatenate([[0.0], np.stack([steps, -steps], axis=1).ravel()])

    def read(self, position: Floats, yaw: Floats, targets: Sequence[tuple[Tags, Shapes]]) -> NDArray[np.float32]:
        """Look around.

        Args:
            position: [n, 2] of the agents.
            yaw: [n] degrees.
            targets: What there is to see in the agents' areas: the tags of shapes, or `NOTHING`, and the shapes.

        Returns:
            [n, size].
        """
        direction = forward(yaw[:, None] + self.angles)
        ways = [shapes.cast(position, direction, self.radius) for _, shapes in targets]
        tags = [np.broadcast_to(tags, way.shape[-1]) for (tags, _), way in zip(targets, ways, strict=True)]
        every = np.concatenate(ways, axis=-1)
        tag = np.concatenate(tags)[every.argmin(axis=-1)]
        way = every.min(axis=-1)
        missed = way > self.length
        seen = np.zeros((*way.shape, self.tags + 2), np.float32)
        seen[..., : self.tags] = (tag[..., None] == np.arange(self.tags)) & ~missed[..., None]
        seen[..., self.tags] = missed
        seen[..., self.tags + 1] = np.where(missed, 1, way / self.length)
        return seen.reshape(len(position), -1)


class Stack:
    """The last observations of every agent in one vector, the oldest first, zeros before the first."""

    def __init__(self, agents: int, size: int, depth: int) -> None:
        self._kept = np.zeros((agents, depth * size), np.float32)
        self._size = size

    def clear(self, agents: Rows) -> None:
        """Forget, at the beginning of an episode."""
        self._kept[agents] = 0

    def push(self, agents: Rows, seen: NDArray[np.float32]) -> NDArray[np.float32]:
        """Add one observation [agents, size] and read all: [agents, depth * size]."""
        self._kept[agents] = np.hstack([self._kept[agents, self._size :], seen])
        return self._kept[agents]


def stacked(depth: int, size: int, name: str) -> ObservationSpec:
    """Specification of a stacked vector, with Unity's name for it."""
    return vector_observation(depth * size, f"StackingSensor_size{depth}_{name}")


def picture(channels: int, height: int, width: int, name: str) -> ObservationSpec:
    """Specification of a visual observation."""
    still, moving = DimensionProperty.NONE, DimensionProperty.TRANSLATIONAL_EQUIVARIANCE
    return ObservationSpec((channels, height, width), (still, moving, moving), ObservationType.DEFAULT, name)


def goal_signal(size: int, name: str) -> ObservationSpec:
    """Specification of a vector that says what to do rather than what there is."""
    return ObservationSpec((size,), (DimensionProperty.NONE,), ObservationType.GOAL_SIGNAL, name)


def entities(most: int, size: int, name: str) -> ObservationSpec:
    """Specification of up to `most` things of `size` numbers each; missing ones are zero."""
    varying, still = DimensionProperty.VARIABLE_SIZE, DimensionProperty.NONE
    return ObservationSpec((most, size), (varying, still), ObservationType.DEFAULT, name)
