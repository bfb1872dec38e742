"""Upright shapes seen from above: what a cast ball hits, where boxes touch, and how bodies slide.

Every body of the scenes that use this module, but SoccerTwos' ball, has its rotation frozen in Unity and is turned, if
at all, by its script. So contacts have no lever arms, and an impulse along the normal is all that a rigid-body engine
would compute; doing it here keeps all areas in arrays.

Points are [..., 2], x and z in metres. A yaw is in degrees, clockwise seen from above, 0 along z, as in Unity.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STEP = 0.02  # s, Unity's fixedDeltaTime
TOUCH = 0.02  # m; closer than this a ball touches and does not overlap, as within Unity's contact offset
IMMOVABLE = 1e12  # kg
AWAY = 1e6  # m; where shapes are put that are not there
CLOSE = 1e-6  # m; what overlaps by less has been parted, but for rounding
SOLVER_ITERATIONS = 6  # Unity's default


def forward(yaw: Floats) -> Floats:
    """[..., 2] unit vectors that look along these yaws."""
    angle = np.radians(yaw)
    ahead = np.empty((*np.shape(angle), 2))
    ahead[..., 0], ahead[..., 1] = np.sin(angle), np.cos(angle)
    return ahead


def right(yaw: Floats) -> Floats:
    """[..., 2] unit vectors to the right of these yaws."""
    return forward(np.asarray(yaw) + 90)


def to_local(vectors: Floats, yaw: Floats) -> Floats:
    """Vectors [..., 2] as seen by something that is turned by `yaw` [...]: to its right, to its front."""
    angle = np.radians(yaw)
    sine, cosine = np.sin(angle), np.cos(angle)
    x, z = vectors[..., 0], vectors[..., 1]
    seen = np.empty((*np.broadcast_shapes(x.shape, sine.shape), 2))
    seen[..., 0], seen[..., 1] = x * cosine - z * sine, x * sine + z * cosine
    return seen


class Shapes(Protocol):
    """Anything that a ball can hit."""

    def cast(self, origin: Floats, direction: Floats, radius: float) -> Floats:
        """Cast balls along rays, as Unity's SphereCast: a shape that the ball overlaps at first is not hit.

        Args:
            origin: [n, 2] where the balls start.
            direction: [n, rays, 2] unit vectors.
            radius: Of the balls.

        Returns:
            [n, rays, k] way until each of the k shapes is hit; infinite if it is not.
        """


@dataclass
class Boxes:
    """k upright boxes in each of n areas; 1 instead of n says that all areas are alike.

    Attributes:
        centre: [n, k, 2].
        half: [n, k, 2] half of their sizes along their own x and z.
        yaw: [n, k] degrees.
    """

    centre: Floats
    half: Floats
    yaw: Floats

    @classmethod
    def fixed(cls, *boxes: tuple[float, float, float, float]) -> Boxes:
        """Boxes that are the same in all areas and not turned, each as (x, z, size in x, size in z)."""
        numbers = np.array(boxes, np.float64)[None]
        return cls(numbers[..., :2], numbers[..., 2:] / 2, np.zeros(numbers.shape[:2]))

    @classmethod
    def joined(cls, *several: Boxes) -> Boxes:
        """One after the other, so that balls are cast at all of them at once."""
        areas = max(len(boxes.centre) for boxes in several)

        def join(name: str) -> Floats:
            arrays = [getattr(boxes, name) for boxes in several]
            return np.concatenate([np.broadcast_to(array, (areas, *array.shape[1:])) for array in arrays], axis=1)

        return cls(join("centre"), join("half"), join("yaw"))

    def rows(self, areas: NDArray[np.intp]) -> Boxes:
        """The boxes of these areas."""
        if len(self.centre) == 1:
            return self
        return Boxes(self.centre[areas], self.half[areas], self.yaw[areas])

    def cast(self, origin: Floats, direction: Floats, radius: float) -> Floats:
        """See `Shapes`. A ball that meets a box is a point that meets the box with rounded edges."""
        yaw = self.yaw[:, None]
        start = to_local(origin[:, None, None] - self.centre[:, None], yaw)
        way = to_local(direction[:, :, None], yaw)
        half = self.half[:, None]
        faces = _enter_box(start[..., None, :], way[..., None, :], half[..., None, :] + radius * SIDES)
        edges = _enter_disc(start[..., None, :] - half[..., None, :] * CORNERS, way[..., None, :], radius)
        gap = np.hypot(*np.moveaxis(np.maximum(np.abs(start) - half, 0), -1, 0))
        return np.where(gap < radius - TOUCH, np.inf, np.minimum(faces.min(axis=-1), edges.min(axis=-1)))


SIDES = np.eye(2)
CORNERS = np.array([(-1.0, -1.0), (-1.0, 1.0), (1.0, -1.0), (1.0, 1.0)])


@dataclass
class Tall:
    """Shapes that reach from one height to another, for balls that fly over or under them.

    Attributes:
        shapes: k of them in each area, seen from above.
        bottom: [n, k] m.
        top: [n, k] m.
        height: [n] of the balls at first, m.
        rise: Of the balls, m for each m of their way along the ground.
    """

    shapes: Shapes
    bottom: Floats
    top: Floats
    height: Floats
    rise: float = 0.0

    def cast(self, origin: Floats, direction: Floats, radius: float) -> Floats:
        """See `Shapes`. A ball that is above or below where it reaches the shape is said to miss it."""
        way = self.shapes.cast(origin, direction, radius)
        height = self.height[:, None, None] + self.rise * np.where(np.isfinite(way), way, 0)
        met = (height - radius < self.top[:, None]) & (height + radius > self.bottom[:, None])
        return np.where(met, way, np.inf)


@dataclass
class Discs:
    """k discs in each of n areas.

    Attributes:
        centre: [n, k, 2].
        radius: [n, k], or that of all of them.
    """

    centre: Floats
    radius: float | Floats

    def cast(self, origin: Floats, direction: Floats, radius: float) -> Floats:
        """See `Shapes`."""
        start = origin[:, None, None] - self.centre[:, None]
        reach = radius + np.atleast_2d(self.radius)[:, None]
        hits = _enter_disc(start, direction[:, :, None], reach)
        overlaps = np.hypot(*np.moveaxis(start, -1, 0)) < reach - TOUCH
        return np.where(overlaps, np.inf, hits)


def _enter_box(start: Floats, way: Floats, half: Floats) -> Floats:
    """[...] way to a box around the origin, infinite if it is missed."""
    speed = np.where(np.abs(way) < 1e-12, 1e-12, way)
    first, second = (-half - start) / speed, (half - start) / speed
    enter, leave = np.minimum(first, second).max(axis=-1), np.maximum(first, second).min(axis=-1)
    return np.where((enter <= leave) & (enter >= -TOUCH), np.maximum(enter, 0), np.inf)


def _enter_disc(start: Floats, way: Floats, radius: float | Floats) -> Floats:
    """[...] way to a disc around the origin, infinite if it is missed."""
    along = -np.sum(start * way, axis=-1)
    half_chord = radius**2 - (np.sum(start * start, axis=-1) - along**2)
    enter = along - np.sqrt(np.maximum(half_chord, 0))
    return np.where((half_chord >= 0) & (enter >= -TOUCH), np.maximum(enter, 0), np.inf)


@dataclass
class Bodies:
    """n boxes that slide and do not turn of themselves, one an area.

    Attributes:
        position: [n, 2] m.
        velocity: [n, 2] m/s.
        yaw: [n] degrees.
        half: [n, 2] half of their sizes, m.
        mass: kg.
        drag: 1/s, as a Rigidbody's.
    """

    position: Floats
    velocity: Floats
    yaw: Floats
    half: Floats
    mass: float
    drag: float | Floats

    @classmethod
    def at_rest(cls, count: int, size: float, mass: float, drag: float) -> Bodies:
        """Square boxes at the origin."""
        return cls(
            np.zeros((count, 2)), np.zeros((count, 2)), np.zeros(count), np.full((count, 2), size / 2), mass, drag
        )

    @classmethod
    def fixed(cls, count: int, box: tuple[float, float, float, float]) -> Bodies:
        """Boxes, all as (x, z, size in x, size in z), that nothing moves."""
        x, z, *sizes = box
        bodies = cls.at_rest(count, 1.0, IMMOVABLE, 0.0)
        bodies.position[:], bodies.half[:] = (x, z), np.array(sizes) / 2
        return bodies

    @classmethod
    def joined(cls, *several: Bodies) -> Bodies:
        """Copies of them, one after the other, to ask where all of them are at once; what they weigh is lost."""

        def join(name: str) -> Floats:
            return np.concatenate([getattr(bodies, name) for bodies in several])

        return cls(join("position"), join("velocity"), join("yaw"), join("half"), IMMOVABLE, 0.0)

    @property
    def boxes(self) -> Boxes:
        """As shapes to cast at: one box in each area."""
        return Boxes(self.position[:, None], self.half[:, None], self.yaw[:, None])

    @property
    def extent(self) -> Floats:
        """[n, 2] half of the room that they take along x and z as they are turned."""
        ahead = np.abs(forward(self.yaw))
        side, front = self.half[:, :1], self.half[:, 1:]
        return side * ahead[:, ::-1] + front * ahead

    def slide(self, deceleration: float | Floats = 0.0) -> None:
        """Slow down by drag and by dry friction (m/s²), then move for one step."""
        self.velocity *= np.maximum(0, 1 - np.asarray(self.drag) * STEP).reshape(-1, 1)
        speed = np.hypot(*self.velocity.T)
        slowed = np.maximum(speed - np.asarray(deceleration) * STEP, 0)
        self.velocity *= (slowed / np.maximum(speed, 1e-12))[:, None]
        self.position += STEP * self.velocity

    def keep_within(self, low: Floats, high: Floats) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Stop the bodies at walls along x and z.

        Args:
            low: [2] the walls' inner faces.
            high: [2] those on the other sides.

        Returns:
            [n, 2] whether the low, and whether the high wall of each axis was touched.
        """
        least, most = low + self.extent, high - self.extent
        at_low, at_high = self.position <= least, self.position >= most
        self.position = np.minimum(np.maximum(self.position, least), most)
        stopped = (at_low & (self.velocity < 0)) | (at_high & (self.velocity > 0))
        self.velocity[stopped] = 0
        return at_low, at_high


def collide(first: Bodies, second: Bodies, among: NDArray[np.bool_] | None = None) -> bool:
    """Part bodies that overlap and share the momentum along the normal, without bounce.

    One pass; call it again with what else they touch until all agree.

    Args:
        first: Boxes.
        second: Others in the same areas.
        among: [n] the areas in which they can touch; None: all.

    Returns:
        Whether any of them touch.
    """
    rows, depth, normal = overlap(first, second, among)
    if not len(rows):
        return False
    share = second.mass / (first.mass + second.mass)
    apart = depth[:, None] * normal
    first.position[rows] += share * apart
    second.position[rows] -= (1 - share) * apart
    closing = np.sum((first.velocity[rows] - second.velocity[rows]) * normal, axis=1)
    impulse = np.maximum(-closing, 0)[:, None] * normal
    first.velocity[rows] += share * impulse
    second.velocity[rows] -= (1 - share) * impulse
    return True


def overlap(
    first: Bodies, second: Bodies, among: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.intp], Floats, Floats]:
    """Where boxes lie in one another, by the separating axis theorem.

    Args:
        first: Boxes.
        second: Others in the same areas.
        among: [n] the areas to look at; None: all.

    Returns:
        [m] the areas in which they overlap, [m] how deep, and [m, 2] the unit normal that points at `first`.
    """
    rows = np.arange(len(first.position)) if among is None else np.flatnonzero(among)
    offset = first.position[rows] - second.position[rows]
    near = np.hypot(*offset.T) < np.hypot(*first.half[rows].T) + np.hypot(*second.half[rows].T)
    rows, offset = rows[near], offset[near]
    if not len(rows):
        return rows, np.zeros(0), np.zeros((0, 2))
    yaws = first.yaw[rows], second.yaw[rows]
    sine, cosine = np.abs(forward(yaws[0] - yaws[1])).T[..., None]
    halves = first.half[rows], second.half[rows]
    room = np.empty((len(rows), 4))  # along the axes of the first, then of the second
    for k, (half, other) in enumerate((halves, halves[::-1])):
        reach = half + other * cosine + other[:, ::-1] * sine
        room[:, 2 * k : 2 * k + 2] = reach - np.abs(to_local(offset, yaws[k]))
    meet = room.min(axis=1) > CLOSE
    rows, offset, room = rows[meet], offset[meet], room[meet]
    best = room.argmin(axis=1)
    yaw = np.where(best < 2, first.yaw[rows], second.yaw[rows]) + np.where(best % 2 == 0, 90, 0)
    normal = forward(yaw)
    normal *= np.where(np.sum(normal * offset, axis=1) < 0, -1, 1)[:, None]
    return rows, room.min(axis=1), normal


def part_discs(
    position: Floats, velocity: Floats, radius: Floats, mass: Floats, bounce: Floats, slow: float = 0.0
) -> NDArray[np.bool_]:
    """Part the discs of each area that overlap, and bounce them off one another.

    All pairs are treated at once; where one disc touches several the result is an approximation.

    Args:
        position: [areas, k, 2] changed in place.
        velocity: [areas, k, 2] changed in place.
        radius: [areas, k].
        mass: [k].
        bounce: [k, k] of the speed at which a pair approaches, how much it has afterwards.
        slow: m/s; pairs that approach no faster do not bounce.

    Returns:
        [areas, k, k] which discs touch which.
    """
    offset = position[:, :, None] - position[:, None]
    distance = np.sqrt(np.sum(offset**2, axis=-1))
    depth = radius[:, :, None] + radius[:, None] - distance
    touch = (depth > 0) & ~np.eye(len(mass), dtype=bool)
    if touch.any():
        share = (mass / (mass[:, None] + mass))[..., None]  # what the other's mass moves this one
        normal = offset / np.maximum(distance, 1e-9)[..., None]
        position += np.sum(share * np.where(touch, depth, 0)[..., None] * normal, axis=2)
        closing = np.sum((velocity[:, :, None] - velocity[:, None]) * normal, axis=-1)
        push = np.where(touch, np.maximum(-closing, 0), 0) * (1 + bounce * (-closing > slow))
        velocity += np.sum(share * push[..., None] * normal, axis=2)
    return touch
