"""Drawing of scenes from above: a sheet of paper with metres on it.

What is drawn is soft on the eyes and the same everywhere: agents are blue with a light nose that shows where they look,
what can be moved is orange, what is wanted is green, walls are slate.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Color = tuple[int, ...]

PAPER: Color = (241, 243, 245)
FLOOR: Color = (255, 255, 255)
WALL: Color = (73, 80, 87)
INK: Color = (52, 58, 64)
AGENT: Color = (34, 139, 230)
RIVAL: Color = (151, 60, 191)
MOVABLE: Color = (247, 144, 49)
GOAL: Color = (64, 192, 107)
BAD: Color = (240, 82, 82)
FAINT: Color = (206, 212, 218)
SHADOW: Color = (33, 37, 41, 40)

SIZE = 480  # pixels of the longer side
WIDE = 720  # pixels of two pictures side by side
GAP = 8  # pixels between them
MARGIN = 0.04  # of the longer side, around what is seen
FINENESS = 3  # pixels are drawn this much finer and then averaged, so that edges are smooth


class Canvas:
    """A picture of a part of the ground plane; x goes to the right and z goes up."""

    def __init__(self, view: tuple[float, float, float, float], size: int = SIZE) -> None:
        """An empty sheet.

        Args:
            view: Least x and z, largest x and z that are to be seen, m.
            size: Pixels of the longer side of the picture.
        """
        left, bottom, right, top = view
        longer = max(right - left, top - bottom)
        margin = MARGIN * longer
        self._scale = size * FINENESS / (longer + 2 * margin)
        self._left, self._top = left - margin, top + margin
        width, height = (round(self._scale * (side + 2 * margin)) for side in (right - left, top - bottom))
        self._image = Image.new("RGB", (width - width % (2 * FINENESS), height - height % (2 * FINENESS)), PAPER)
        self._draw = ImageDraw.Draw(self._image, "RGBA")

    def picture(self) -> NDArray[np.uint8]:
        """[height, width, 3] what has been drawn; both sides are even, as video needs them."""
        return np.asarray(self._image.reduce(FINENESS))

    def polygon(self, points: Iterable[Iterable[float]], color: Color) -> None:
        """An area between points (x, z)."""
        self._draw.polygon([self._pixel(*point) for point in points], fill=color)

    def box(
        self, centre: Iterable[float], size: Iterable[float], color: Color, yaw: float = 0.0, height: float = 0.0
    ) -> None:
        """A box turned clockwise by `yaw` degrees; with a `height` (m) it throws a shadow."""
        corners = np.array([[-1, -1], [-1, 1], [1, 1], [1, -1]]) * np.array([*size]) / 2
        sine, cosine = np.sin(np.radians(yaw)), np.cos(np.radians(yaw))
        points = np.array([*centre]) + corners @ np.array([[cosine, -sine], [sine, cosine]])
        if height:
            self.polygon(points + _shadow(height), SHADOW)
        self.polygon(points, color)

    def disc(self, centre: Iterable[float], radius: float, color: Color, height: float = 0.0) -> None:
        """A disc; with a `height` (m) it throws a shadow."""
        if height:
            self.disc(np.array([*centre]) + _shadow(height), radius, SHADOW)
        x, y = self._pixel(*centre)
        around = radius * self._scale
        self._draw.ellipse([x - around, y - around, x + around, y + around], fill=color)

    def line(self, points: Iterable[Iterable[float]], color: Color, width: float = 0.1) -> None:
        """A line through points, `width` in m."""
        pixels = [self._pixel(*point) for point in points]
        self._draw.line(pixels, fill=color, width=max(1, round(width * self._scale)), joint="curve")

    def text(self, place: Iterable[float], words: str, height: float, color: Color = INK) -> None:
        """Words around a place, `height` in m."""
        font = ImageFont.load_default(height * self._scale)
        self._draw.text(self._pixel(*place), words, fill=color, font=font, anchor="mm")

    def agent(self, centre: Iterable[float], yaw: float, color: Color = AGENT, half: float = 0.5) -> None:
        """A cube that looks along its yaw."""
        middle = np.array([*centre])
        ahead = np.array([np.sin(np.radians(yaw)), np.cos(np.radians(yaw))])
        aside = np.array([ahead[1], -ahead[0]])
        self.box(middle, (2 * half, 2 * half), color, yaw, height=half)
        nose = [middle + half * (0.9 * ahead), middle + half * (0.1 * ahead + 0.6 * aside)]
        self.polygon([*nose, middle + half * (0.1 * ahead - 0.6 * aside)], (255, 255, 255, 230))

    def frame(self, view: tuple[float, float, float, float], color: Color = INK) -> None:
        """The outline of a part of the ground, given as a view."""
        left, bottom, right, top = view
        corners = [(left, bottom), (right, bottom), (right, top), (left, top), (left, bottom)]
        self.line(corners, color, width=1.5 * FINENESS / self._scale)

    def _pixel(self, x: float, z: float) -> tuple[float, float]:
        return (x - self._left) * self._scale, (self._top - z) * self._scale


def beside(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """[height, width, 3] two pictures side by side, with paper between them and below the lower one."""
    height = max(len(left), len(right))
    whole = np.empty((height, left.shape[1] + GAP + right.shape[1], 3), np.uint8)
    whole[:] = PAPER
    whole[: len(left), : left.shape[1]] = left
    whole[: len(right), -right.shape[1] :] = right
    return whole


def _shadow(height: float) -> NDArray[np.float64]:
    """Where a shadow falls: to the lower right."""
    return np.array([0.35, -0.35]) * height
