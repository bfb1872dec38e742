"""Films of a scene: a GIF, an MP4, a picture, or a window."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mlagents_player.canvas import beside
from mlagents_player.errors import PlayerError
from mlagents_player.hints import install_command

RATE = 25.0  # pictures that a film shows in a second at most
KINDS = (".gif", ".mp4", ".png")
COLORS = 64  # of a GIF
SAMPLES = 8  # pictures from which they are taken

Frame = NDArray[np.uint8]


@dataclass
class Film:
    """Takes a picture now and then and shows or keeps it.

    Attributes:
        picture: Takes one: [height, width, 3].
        pace: Seconds between two calls of `step`, as the film shows them.
        show: What to do with each picture as it is taken.
        longest: Seconds after which no more pictures are taken.
    """

    picture: Callable[[], Frame]
    pace: float
    show: Callable[[Frame], None]
    longest: float
    _steps: int = 0

    @property
    def every(self) -> int:
        """Steps from one picture to the next."""
        return max(1, round(1 / (RATE * self.pace)))

    @property
    def seconds(self) -> float:
        """How long each picture is shown."""
        return self.every * self.pace

    @property
    def is_full(self) -> bool:
        """Whether no more pictures are taken."""
        return self._steps * self.pace > self.longest

    def step(self) -> None:
        """A step of the scene has passed."""
        if self._steps % self.every == 0 and not self.is_full:
            self.show(self.picture())
        self._steps += 1


@dataclass
class Reel:
    """Pictures that become a file."""

    frames: list[Frame] = field(default_factory=list)

    def beside(self, other: Reel) -> Reel:
        """Both at once, this one on the left, for as long as both go on."""
        return Reel([beside(left, right) for left, right in zip(self.frames, other.frames, strict=False)])

    def save(self, file: Path, seconds: float) -> None:
        """Write a GIF or an MP4, by the file's ending, each picture shown for some seconds; or the last one as a PNG.

        Raises:
            PlayerError: it cannot be written.
        """
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            if file.suffix == ".png":
                Image.fromarray(self.frames[-1]).save(file, optimize=True)
            elif file.suffix == ".gif":
                self._save_gif(file, seconds)
            else:
                self._save_mp4(file, seconds)
        except OSError as error:
            raise PlayerError(f"Cannot write {file}: {error.strerror or error}.") from error

    def _save_gif(self, file: Path, seconds: float) -> None:
        # One palette for all: with one each, what has not moved would have other colours, and be in the file again.
        sample = np.concatenate(self.frames[:: 1 + len(self.frames) // SAMPLES])
        palette = Image.fromarray(sample).quantize(COLORS, dither=Image.Dither.NONE)
        pictures = [Image.fromarray(frame) for frame in self.frames]
        first, *others = [each.quantize(palette=palette, dither=Image.Dither.NONE) for each in pictures]
        first.save(file, save_all=True, append_images=others, duration=round(1000 * seconds), loop=0, optimize=True)

    def _save_mp4(self, file: Path, seconds: float) -> None:
        try:
            import imageio_ffmpeg
        except ModuleNotFoundError as error:
            command = install_command("imageio-ffmpeg")
            raise PlayerError(f"MP4 needs imageio-ffmpeg; write a GIF, or install it with: {command}") from error
        height, width, _ = self.frames[0].shape
        writer = imageio_ffmpeg.write_frames(str(file), (width, height), fps=1 / seconds, macro_block_size=2)
        writer.send(None)
        for frame in self.frames:
            writer.send(np.ascontiguousarray(frame))
        writer.close()


class Window:
    """Shows pictures on the screen, each for its time; closing the window ends the film."""

    def __init__(self, title: str, seconds: float) -> None:
        """Open it.

        Raises:
            PlayerError: there is no screen, or this Python has no Tk.
        """
        try:
            import tkinter

            self._root = tkinter.Tk()
        except Exception as error:  # a missing module, or Tk's own kind of error, which cannot be named without it
            raise PlayerError(f"No window can be opened ({error}); use --output or --json.") from error
        self._root.title(title)
        self._label = tkinter.Label(self._root, borderwidth=0)
        self._label.pack()
        self._root.protocol("WM_DELETE_WINDOW", self._close)
        self._seconds = seconds
        self._next = time.monotonic()
        self._photo: Any = None  # Tk shows a picture only as long as somebody holds it
        self._closed = False

    def show(self, frame: Frame) -> None:
        """Show the next picture when its time has come.

        Raises:
            KeyboardInterrupt: the window was closed.
        """
        from PIL import ImageTk

        time.sleep(max(0.0, self._next - time.monotonic()))
        self._next = max(self._next, time.monotonic()) + self._seconds
        self._photo = ImageTk.PhotoImage(Image.fromarray(frame), master=self._root)
        self._label.configure(image=self._photo)
        self._root.update()
        if self._closed:
            raise KeyboardInterrupt

    def _close(self) -> None:
        self._closed = True
