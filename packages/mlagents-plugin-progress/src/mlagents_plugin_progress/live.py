"""Lines that stay at the bottom of a terminal and are drawn anew, while everything else appears above them."""

import time
from collections.abc import Callable, Sequence
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from mlagents_plugin_progress.streams import Redirection, StreamAbove

LEAST_SECONDS = 0.5
"""Between two drawings."""

LARGEST_SHARE = 0.004
"""Of a run's time that may go into drawing: after one that took long, the next one waits."""


class LiveLines:
    """Draws lines at the bottom of the terminal.

    The cursor stays visible, on a line of its own below: a run that is killed leaves the terminal as it should be, and
    what the terminal echoes of Ctrl+C does not end up in a line.

    Args:
        console: of the standard output.
        lines: what to draw in a given width.
    """

    def __init__(self, console: Console, lines: Callable[[int], Sequence[Text]]) -> None:
        self._console = console
        self._lines = lines
        self._live = Live(
            console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
        )
        self._redirection = Redirection(self._above)
        self._height = 0
        self._due = 0.0

    def start(self) -> None:
        """Begins to draw, and redirects the standard streams."""
        self._redirection.start()
        self._live.start()
        self._console.show_cursor(True)

    def draw(self) -> None:
        """Draws, unless that was done a moment ago."""
        began = time.monotonic()
        if began < self._due:
            return
        self._draw([*self._lines(self._console.width), Text()])
        ended = time.monotonic()
        self._due = ended + max(LEAST_SECONDS, (ended - began) / LARGEST_SHARE)

    def stop(self) -> None:
        """Takes the lines away and gives the terminal back."""
        self._live.stop()
        self._redirection.stop()

    def _draw(self, lines: Sequence[Text]) -> None:
        self._height = len(lines)
        self._live.update(Group(*lines), refresh=True)

    def _above(self, stream: TextIO) -> StreamAbove:
        return StreamAbove(stream, self._print, lambda line: self._print_in_child(stream, line))

    def _print(self, line: str) -> None:
        # As it is: not folded at the width, so that a long path can be copied, and not read as markup.
        self._console.print(Text.from_ansi(line), soft_wrap=True, highlight=False)

    def _print_in_child(self, stream: TextIO, line: str) -> None:
        """Goes to the top of the live lines, and leaves the cursor where their owner expects it."""
        up = f"\x1b[{self._height - 1}A" if self._height > 1 else ""
        down = "\n" * max(self._height, 1)
        stream.write(f"\r{up}\x1b[J{line}{down}")
        stream.flush()
