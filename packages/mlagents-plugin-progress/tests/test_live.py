"""What a terminal shows of live lines and of what others write, by a terminal in Python."""

import io
import os
import sys
from collections.abc import Callable

import pyte
import pytest
from rich.console import Console
from rich.text import Text

from mlagents_plugin_progress import live
from mlagents_plugin_progress.live import LiveLines
from mlagents_plugin_progress.streams import EncodableStream, StreamAbove
from terminal import lines_of, screen


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    encoding = "utf-8"
    become_stdout: Callable[[], None]

    def isatty(self) -> bool:
        return True

    def shown(self, columns: int = 40) -> list[str]:
        drawn = screen(columns)
        pyte.Stream(drawn).feed(self.getvalue().replace("\n", "\r\n"))
        return lines_of(drawn)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    made = Terminal()
    # In the test itself, since pytest puts a stream of its own there between fixtures and test.
    made.become_stdout = lambda: monkeypatch.setattr(sys, "stdout", made)
    monkeypatch.setattr(live, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(live, "LARGEST_SHARE", 1e9)
    return made


def lines(terminal: Terminal, *texts: str) -> LiveLines:
    terminal.become_stdout()
    console = Console(file=terminal, force_terminal=True, width=40, height=24, legacy_windows=False)
    made = LiveLines(console, lambda width: [Text(text) for text in texts])
    made.start()
    made.draw()
    return made


def test_lines_stay_below_what_is_written(terminal: Terminal) -> None:
    """Also where that comes in pieces; a piece without its end waits for it."""
    drawn = lines(terminal, "one", "two")
    print("first", end="")
    print(" half\nsecond")
    assert terminal.shown() == ["first half", "second", "one", "two"]
    drawn.stop()


def test_end_leaves_nothing_behind(terminal: Terminal) -> None:
    """The lines are gone, what others wrote is whole, and the streams are as they were."""
    drawn = lines(terminal, "one", "two")
    print("without an end", end="")
    drawn.stop()
    assert sys.stdout is terminal
    print("after")
    assert terminal.shown() == ["without an end", "after"]


def test_cursor_is_shown_while_lines_are_drawn(terminal: Terminal) -> None:
    """A run that is killed leaves it so."""
    drawn = lines(terminal, "one")
    written = terminal.getvalue()
    assert written.rindex("\x1b[?25h") > written.rindex("\x1b[?25l")
    drawn.stop()


def test_number_of_lines_may_change(terminal: Terminal) -> None:
    """As where a behaviour comes up later."""
    texts = ["one"]
    terminal.become_stdout()
    console = Console(file=terminal, force_terminal=True, width=40, height=24, legacy_windows=False)
    drawn = LiveLines(console, lambda width: [Text(text) for text in texts])
    drawn.start()
    drawn.draw()
    texts.append("two")
    drawn.draw()
    print("above")
    assert terminal.shown() == ["above", "one", "two"]
    drawn.stop()


def test_child_that_was_forked_writes_above(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """ML-Agents' processes beside the players log too, one that was started again in the middle of a run."""
    drawn = lines(terminal, "one", "two")
    with monkeypatch.context() as in_child:
        in_child.setattr(os, "getpid", lambda: -1)
        print("of a child")
    drawn.draw()
    assert terminal.shown() == ["of a child", "one", "two"]
    drawn.stop()


def test_drawing_that_is_slow_is_done_less_often(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of 2 s, of which no more than a hundredth of the time may be spent, is followed by 200 s without."""
    now = [0.0]
    monkeypatch.setattr(live.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(live, "LARGEST_SHARE", 0.01)
    drawings = 0

    def slow(width: int) -> list[Text]:
        nonlocal drawings
        drawings += 1
        now[0] += 2
        return []

    drawn = LiveLines(Console(file=terminal, force_terminal=True, width=40, legacy_windows=False), slow)
    drawn.start()
    for now[0] in (0, 100, 201, 203):
        drawn.draw()
    assert drawings == 2
    drawn.stop()


def test_stream_stands_for_the_one_behind_it(terminal: Terminal) -> None:
    """Whoever asks for its encoding, or whether it is a terminal, gets that one's answer."""
    above = StreamAbove(terminal, print, print)
    assert above.isatty()
    assert above.encoding == "utf-8"
    assert above.getvalue() == ""


def test_encodable_stream_never_raises() -> None:
    """Where Python's own does."""
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding="cp1252", write_through=True)
    EncodableStream(stream).write("▁ä")
    assert written.getvalue() == b"?\xe4"
