"""Drawing in perspective: a box that is turned and a ball above it, on a `Canvas` that stands upright."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mlagents_player.canvas import AGENT, MOVABLE, Canvas, Color

Floats = NDArray[np.float64]

CAMERA = np.array([0.0, 5.0, -14.0])
LOOKS_DOWN = np.radians(16)
FOCUS = 14.0  # m; what is as far away is drawn in its true size
LIGHT = np.array([-0.4, 0.8, -0.45])
AXES = [(axis, side) for axis in range(3) for side in (-1, 1)]
CIRCLE = np.linspace(0, 2 * np.pi, 40, endpoint=False)


def project(points: Floats) -> Floats:
    """[n, 2] where points [n, 3] are drawn, m."""
    x, y, z = (points - CAMERA).T
    depth = z * np.cos(LOOKS_DOWN) - y * np.sin(LOOKS_DOWN)
    up = y * np.cos(LOOKS_DOWN) + z * np.sin(LOOKS_DOWN)
    return FOCUS * np.stack([x, up], axis=1) / depth[:, None]


def draw_box(canvas: Canvas, turned: Floats, half: float, color: Color = AGENT) -> None:
    """A cube around the origin whose axes are the columns of the rotation matrix `turned` [3, 3]."""
    for axis, side in AXES:
        normal = side * turned[:, axis]
        if normal @ (CAMERA - half * normal) > 0:
            first, second = half * turned[:, axis - 1], half * turned[:, axis - 2]
            corners = [half * normal + a * first + b * second for a, b in ((1, 1), (1, -1), (-1, -1), (-1, 1))]
            canvas.polygon(project(np.array(corners)), shaded(color, normal))


def draw_ball(canvas: Canvas, position: Floats, radius: float, color: Color = MOVABLE) -> None:
    """A ball with a highlight."""
    middle, rim = project(np.array([position, position + np.array([radius, 0, 0])]))
    size = rim[0] - middle[0]
    canvas.disc(middle, size, shaded(color, np.array([0.3, -0.6, -0.3])))
    for shrunk, light in ((0.85, (0.1, 0.3, -0.4)), (0.6, (-0.2, 0.75, -0.5))):
        canvas.disc(
            middle + (1 - shrunk) * 0.7 * size * np.array([-0.6, 0.8]), shrunk * size, shaded(color, np.array(light))
        )


def draw_shadow(canvas: Canvas, turned: Floats, half: float, position: Floats, radius: float) -> None:
    """The ball's shadow on the top face of the cube, straight below it as the cube is turned."""
    x, _, z = turned.T @ position
    around = np.stack([x + radius * np.cos(CIRCLE), np.full(len(CIRCLE), half), z + radius * np.sin(CIRCLE)])
    around[[0, 2]] = np.clip(around[[0, 2]], -half, half)
    canvas.polygon(project((turned @ around).T), (0, 0, 0, 60))


def shaded(color: Color, normal: Floats) -> Color:
    """The colour of a face under the light."""
    bright = 0.72 + 0.28 * float(normal @ LIGHT)
    return tuple(int(np.clip(value * bright, 0, 255)) for value in color[:3])
