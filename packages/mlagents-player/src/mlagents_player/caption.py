"""What a film says below its pictures: whose film it is, episode, step, return and action of the agent it follows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from mlagents_player.canvas import INK, PAPER
from mlagents_player.evaluation import Episode, Evaluation
from mlagents_player.scenes.base import Actions, Scene

LARGEST, SMALLEST = 20, 10  # letters, pixels
EDGE = 8  # pixels around the words
NOTHING = "nothing"


@dataclass
class Caption:
    """Follows one agent from step to step.

    Attributes:
        title: Whose film it is.
        scene: What is played.
        evaluated: Who plays it.
        row: Of the agent in the scene's arrays.
        lines: What is to be read now.
    """

    title: str
    scene: Scene
    evaluated: Evaluation
    row: int = 0
    lines: tuple[str, str] = ("", "")
    _episode: Episode | None = None
    _begun: int = 0
    _before: Episode | None = None

    def step(self) -> None:
        """A step of the scene has passed."""
        moment = self.evaluated.moment(self.row)
        if moment.episode is not self._episode:
            self._before = self._episode or self._before
            self._episode = moment.episode
            self._begun += moment.episode is not None
        decisions, total = (moment.episode.decisions, moment.episode.total) if moment.episode else (0, 0.0)
        # Read anew each time: the last reward of an episode arrives with the next message.
        last = f" (last {self._before.total:.2f})" if self._before else ""
        self.lines = (
            f"{self.title}: episode {self._begun + (moment.episode is None)}, step {decisions}",
            f"return {total:.2f}{last}, action {words(moment.action, self.scene.action_names)}",
        )


def words(action: Actions, names: tuple[tuple[str, ...], ...] = ()) -> str:
    """One agent's action: continuous numbers, then the discrete actions by their names, or numbers where none are."""
    said = [f"{value:+.2f}" for value in action.continuous[0]]
    for branch, chosen in enumerate(action.discrete[0]):
        said.append(names[branch][chosen] if names else str(chosen))
    return " ".join(filter(None, said)) or NOTHING


def captioned(picture: NDArray[np.uint8], lines: tuple[str, ...]) -> NDArray[np.uint8]:
    """[height + strip, width, 3] the picture with lines below it, in letters that the width has room for."""
    width = picture.shape[1]
    size = int(np.clip(width / 24, SMALLEST, LARGEST))
    height = round(1.3 * size)
    strip = Image.new("RGB", (width, (EDGE + len(lines) * height + EDGE) // 2 * 2), PAPER)
    draw = ImageDraw.Draw(strip)
    for number, line in enumerate(lines):
        draw.text((EDGE, EDGE + number * height), line, fill=INK, font=_font(draw, line, size, width - 2 * EDGE))
    return np.concatenate([picture, np.asarray(strip)])


def _font(draw: ImageDraw.ImageDraw, line: str, size: int, room: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The largest letters, up to a size, by which a line fits."""
    font = ImageFont.load_default(size)
    while size > SMALLEST and draw.textlength(line, font=font) > room:
        size -= 1
        font = ImageFont.load_default(size)
    return font
