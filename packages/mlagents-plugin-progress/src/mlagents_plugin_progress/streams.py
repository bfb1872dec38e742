"""The standard streams while live lines are drawn: what others write appears above these."""

import io
import logging
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from mlagents_plugin_progress.glyphs import encodable, encoding_of


class EncodableStream(io.TextIOBase):
    """A stream which writes `?` for what its encoding does not have, where Python would raise.

    Args:
        stream: a standard stream.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return encoding_of(self._stream)

    def write(self, text: str) -> int:
        self._stream.write(encodable(text, self.encoding))
        return len(text)

    def flush(self) -> None:
        self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()


class StreamAbove(io.TextIOBase):
    """Stands for a standard stream while live lines are drawn, and hands whole lines on.

    Args:
        stream: the standard stream.
        print_line: prints a line above the live lines.
        print_in_child: prints it in a process that was forked off, which does not know where the cursor is.
    """

    def __init__(
        self, stream: TextIO, print_line: Callable[[str], None], print_in_child: Callable[[str], None]
    ) -> None:
        self.stream = stream
        self._print = print_line
        self._print_in_child = print_in_child
        self._process = os.getpid()
        self._begun = ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return encoding_of(self.stream)

    def write(self, text: str) -> int:
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._hand_on(line)
        return len(text)

    def flush(self) -> None:
        if self._begun:
            line, self._begun = self._begun, ""
            self._hand_on(line)

    def isatty(self) -> bool:
        return self.stream.isatty()

    def fileno(self) -> int:
        return self.stream.fileno()

    def _hand_on(self, line: str) -> None:
        is_child = os.getpid() != self._process
        (self._print_in_child if is_child else self._print)(line)


class Redirection:
    """Puts streams in the place of the standard ones, for loggers too, which hold the one that they began with.

    Args:
        make: makes what stands for a standard stream.
    """

    def __init__(self, make: Callable[[TextIO], StreamAbove]) -> None:
        self._make = make
        self._made: list[StreamAbove] = []

    def start(self) -> None:
        """Redirects what goes to a terminal."""
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if stream is not None and stream.isatty():
                made = self._make(stream)
                self._made.append(made)
                setattr(sys, name, made)
                _hand_over(stream, made)

    def stop(self) -> None:
        """Puts everything back, where nobody else has put something in its place since."""
        for made in self._made:
            made.flush()
            for name in ("stdout", "stderr"):
                if getattr(sys, name) is made:
                    setattr(sys, name, made.stream)
            _hand_over(made, made.stream)
        self._made.clear()


def _hand_over(stream: TextIO | StreamAbove, successor: TextIO | StreamAbove) -> None:
    for handler in _handlers():
        if handler.stream is stream:
            handler.setStream(successor)


def _handlers() -> Iterator[logging.StreamHandler]:
    loggers = [logging.getLogger(), *logging.Logger.manager.loggerDict.values()]
    for logger in loggers:
        for handler in getattr(logger, "handlers", ()):
            if isinstance(handler, logging.StreamHandler):
                yield handler
