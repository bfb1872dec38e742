"""A line that says how far a command is, on a terminal, and is gone when there is something to print."""

from __future__ import annotations

import sys
import time
from types import TracebackType

PERIOD = 0.2  # seconds


class StatusLine:
    """Written over again and again on the error stream; where that is no terminal, nothing is written."""

    def __init__(self) -> None:
        self._is_shown = sys.stderr is not None and sys.stderr.isatty()
        self._length = 0
        self._next = 0.0

    def show(self, text: str, *, now: bool = False) -> None:
        """Put a text in the place of the one before.

        Args:
            text: Short enough for one line.
            now: Even if the last one has hardly been read.
        """
        if self._is_shown and (now or time.monotonic() >= self._next):
            self._write(text)
            self._next = time.monotonic() + PERIOD

    def _write(self, text: str) -> None:
        sys.stderr.write(f"\r{text.ljust(self._length)}")
        sys.stderr.flush()
        self._length = len(text)

    def __enter__(self) -> StatusLine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._length:
            self._write("")
            sys.stderr.write("\r")
            sys.stderr.flush()
