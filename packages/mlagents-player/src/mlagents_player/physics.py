"""Balls on boxes that are turned from outside, moved as PhysX moves them for Unity.

One step is 0.02 s, semi-implicit: gravity changes the velocity, contacts correct it, then the velocity
moves the position. What a contact does was found by replaying a recording of the engine:

* A contact counts while the gap is below 0.02 (two default contact offsets of 0.01).
* The ball may approach by 0.8 of the gap in a step. Where it is inside the box, which is what a turning
  platform does to it, it moves out by 0.8 of the depth in a step without keeping that speed.
* A ball that arrives faster than 2 m/s bounces with 0.05 of its speed.
* Friction acts at the point of contact, so balls roll: 5/7 of g sin θ on a slope.

The box is moved by its transform: a contact sees no velocity of its surface.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STEP = 0.02  # s, Unity's fixedDeltaTime
GRAVITY = 9.81  # m/s²
HALF_SIDE = 2.5  # m, of the box
CONTACT_OFFSET = 0.02  # m
CORRECTION = 0.8  # of the gap, in one step
MAX_CORRECTION_SPEED = 10.0  # m/s, Unity's default maximum depenetration velocity
RESTITUTION = 0.05
BOUNCE_SPEED = 2.0  # m/s, Unity's default bounce threshold
FRICTION = 0.6  # Unity's default material; the recording tells only that it is at least about 0.1
ANGULAR_DRAG = 0.01  # 1/s
MAX_SPIN = 7.0  # rad/s, Unity's default maximum angular velocity
INERTIA = 0.4  # of m r², a solid sphere

NEXT, LAST = [1, 2, 0], [2, 0, 1]  # of x, y, z in a cross product


class Balls:
    """One ball above each of n boxes; positions are relative to the box's centre, in world axes.

    Mass is left out: nothing that acts here depends on it.

    Attributes:
        position: [n, 3] m.
        velocity: [n, 3] m/s.
        spin: [n, 3] angular velocity, rad/s.
        radius: [n] m.
        gravity: Downward acceleration, m/s².
    """

    def __init__(self, count: int) -> None:
        self.position: Floats = np.zeros((count, 3))
        self.velocity: Floats = np.zeros((count, 3))
        self.spin: Floats = np.zeros((count, 3))
        self.radius: Floats = np.full(count, 0.5)
        self.gravity = GRAVITY

    def step(self, rotation: Floats) -> None:
        """Advance by 0.02 s.

        Args:
            rotation: [n, 4] the boxes' rotations as quaternions (w, x, y, z).
        """
        self.velocity[:, 1] -= self.gravity * STEP
        self.spin *= 1 - ANGULAR_DRAG * STEP
        self.spin *= np.minimum(1, MAX_SPIN / np.maximum(_length(self.spin), MAX_SPIN))
        gap, normal = gap_to_box(self.position, rotation)
        gap -= self.radius
        touching = np.flatnonzero(gap < CONTACT_OFFSET)
        correction = self._touch(touching, gap[touching], normal[touching])
        self.position += STEP * self.velocity
        self.position[touching] += STEP * correction

    def _touch(self, balls: NDArray[np.intp], gap: Floats, normal: Floats) -> Floats:
        """Change the velocity and the spin of touching balls.

        Returns:
            [touching, 3] speed that moves a ball out of the box in this step and is then forgotten.
        """
        leaving = _dot(self.velocity[balls], normal)
        moving = np.minimum(-CORRECTION * gap / STEP, MAX_CORRECTION_SPEED)
        bounces = (leaving < -BOUNCE_SPEED) & (leaving * STEP < -gap)
        kept = np.where(bounces, -RESTITUTION * leaving, np.minimum(moving, 0))
        push = np.maximum(kept - leaving, 0)
        self.velocity[balls] += push[:, None] * normal
        self._rub(balls, push, normal)
        correction = np.maximum(moving - np.maximum(kept, leaving), 0)
        return correction[:, None] * normal

    def _rub(self, balls: NDArray[np.intp], push: Floats, normal: Floats) -> None:
        """Coulomb friction: stop the point of contact as far as the normal impulse `push` allows."""
        arm = -self.radius[balls, None] * normal
        slip = self.velocity[balls] + _cross(self.spin[balls], arm)
        slip -= _dot(slip, normal)[:, None] * normal
        speed = _length(slip)
        # A push at a sphere's rim moves the rim 1 + 1 / INERTIA = 7/2 times as much as the centre.
        wanted = speed / (1 + 1 / INERTIA)
        impulse = -slip * np.minimum(wanted, FRICTION * push[:, None]) / np.maximum(speed, 1e-12)
        self.velocity[balls] += impulse
        self.spin[balls] += _cross(arm, impulse) / (INERTIA * self.radius[balls, None] ** 2)


def gap_to_box(position: Floats, rotation: Floats) -> tuple[Floats, Floats]:
    """Distance of points from a 5 x 5 x 5 box at the origin, and where it pushes them.

    Args:
        position: [n, 3] in world axes.
        rotation: [n, 4] of the boxes.

    Returns:
        [n] distance, negative inside, and [n, 3] outward unit normal in world axes.
    """
    axes = matrices(rotation)
    local = np.einsum("nij,ni->nj", axes, position)
    outside = local - np.minimum(np.maximum(local, -HALF_SIDE), HALF_SIDE)
    distance = _length(outside)[:, 0]
    normal = outside / np.maximum(distance, 1e-12)[:, None]
    inside = np.flatnonzero(distance == 0)
    distance[inside], normal[inside] = _nearest_face(local[inside])
    return distance, np.einsum("nij,nj->ni", axes, normal)


def _nearest_face(local: Floats) -> tuple[Floats, Floats]:
    """Distance (<= 0) and normal of the face that is nearest to points inside the box."""
    rows = np.arange(len(local))
    axis = np.abs(local).argmax(axis=1)
    normal = np.zeros_like(local)
    normal[rows, axis] = np.where(local[rows, axis] < 0, -1, 1)
    return np.abs(local[rows, axis]) - HALF_SIDE, normal


def multiply(first: Floats, second: Floats) -> Floats:
    """Hamilton product of [n, 4] quaternions (w, x, y, z): turn by `second` in the frame of `first`."""
    w1, x1, y1, z1 = first.T
    w2, x2, y2, z2 = second.T
    return np.stack(
        [
            w1 * w2 - x1 * x2 - y1 * y2 - z1 * z2,
            w1 * x2 + x1 * w2 + y1 * z2 - z1 * y2,
            w1 * y2 - x1 * z2 + y1 * w2 + z1 * x2,
            w1 * z2 + x1 * y2 - y1 * x2 + z1 * w2,
        ],
        axis=1,
    )


def axis_rotation(axis: int, degrees: Floats) -> Floats:
    """[n, 4] quaternions that turn by `degrees` [n] about axis 0 (x), 1 (y) or 2 (z)."""
    half = np.radians(degrees) / 2
    rotation = np.zeros((len(half), 4))
    rotation[:, 0] = np.cos(half)
    rotation[:, 1 + axis] = np.sin(half)
    return rotation


def matrices(rotation: Floats) -> Floats:
    """[n, 3, 3] rotation matrices of [n, 4] unit quaternions; column j is the box's axis j in the world."""
    w, x, y, z = rotation.T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.array(rows).transpose(2, 0, 1)


def _dot(first: Floats, second: Floats) -> Floats:
    return np.einsum("ni,ni->n", first, second)


def _cross(first: Floats, second: Floats) -> Floats:
    # np.cross spends ten times as long on a few rows.
    return first[:, NEXT] * second[:, LAST] - first[:, LAST] * second[:, NEXT]


def _length(vectors: Floats) -> Floats:
    return np.sqrt(_dot(vectors, vectors))[:, None]
