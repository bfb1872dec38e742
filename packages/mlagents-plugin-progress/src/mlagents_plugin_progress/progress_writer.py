"""The stats writer: takes in what ML-Agents reports, and shows it in a terminal or as plain lines."""

import atexit
import functools
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from mlagents.torch_utils.globals import get_rank
from mlagents.trainers.stats import StatsPropertyType, StatsWriter
from mlagents_envs.logging_util import get_logger
from rich.console import Console

from mlagents_plugin_progress import closing, sentences
from mlagents_plugin_progress.board import Board
from mlagents_plugin_progress.event_files import recorded_scores
from mlagents_plugin_progress.glyphs import Glyphs, encodable, encoding_of
from mlagents_plugin_progress.host_console import LOG, HostConsole
from mlagents_plugin_progress.live import LiveLines
from mlagents_plugin_progress.run_state import last_checkpoint
from mlagents_plugin_progress.streams import EncodableStream
from mlagents_plugin_progress.switches import ends_with_commands
from mlagents_plugin_progress.tally import Tally

logger = get_logger(__name__)

PLAIN_WIDTH = 80

SILENCE = 60.0
"""Seconds after which a line between two summaries says that the run goes on, where nothing is drawn in place."""


def _never_ends_a_run(report: Callable[..., None]) -> Callable[..., None]:
    """The method, but what fails in it ends the progress and not the run: ML-Agents lets a writer's errors through."""

    @functools.wraps(report)
    def wrapped(writer: "ProgressWriter", *arguments: Any, **options: Any) -> None:
        if not writer.is_open:
            return
        try:
            report(writer, *arguments, **options)
        except Exception as error:
            writer.give_up(error)

    return wrapped


class ProgressWriter(StatsWriter):
    """Shows the progress of one run.

    Attributes:
        is_open: whether the run goes on and is shown.

    Args:
        run_options: ML-Agents' `RunOptions`.
        in_place: whether lines may be drawn in place, where there is a terminal.
    """

    _current: "ProgressWriter | None" = None

    def __init__(self, run_options: Any, *, in_place: bool) -> None:
        settings = run_options.checkpoint_settings
        self.is_open = True
        self._folder = Path(settings.write_path)
        self._trains = not settings.inference
        self._resumes = bool(settings.resume)
        self._environment = run_options.env_settings.env_path
        self._rank = get_rank()
        self._process = os.getpid()
        self._began = time.monotonic()
        self._tallies: dict[str, Tally] = {}
        self._said: dict[str, float] = {}
        log = self._folder / "run_logs" / LOG if self._trains else None
        self._host_console = HostConsole(log, goes_on=self._resumes)
        self._console = _console()
        is_terminal = sys.stdout.isatty() and not self._console.is_dumb_terminal
        self._encoding = encoding_of(sys.stdout)
        self._board = Board(Glyphs(self._encoding), self._encoding, trains=self._trains)
        # Of several processes each would draw where the others do.
        self._live = LiveLines(self._console, self._lines) if in_place and is_terminal and self._rank is None else None
        self._draws = False
        self._excepthook = sys.excepthook

    @classmethod
    def start(cls, run_options: Any, *, in_place: bool) -> "ProgressWriter":
        """The writer of a run that is about to begin; that of an earlier run in this process is closed.

        Args:
            run_options: ML-Agents' `RunOptions`.
            in_place: whether lines may be drawn in place, where there is a terminal.
        """
        if cls._current is not None:
            cls._current.close()
        cls._current = writer = cls(run_options, in_place=in_place)
        writer._host_console.start()
        # ML-Agents does not tell a writer that a run has ended.
        atexit.register(writer.close)
        sys.excepthook = writer._close_and_show_error
        return writer

    # What ML-Agents reports

    @_never_ends_a_run
    def on_add_stat(self, category: str, key: str, value: float, aggregation: Any = None) -> None:
        if key != "Step":  # the others come with the summary
            return
        if (tally := self._tallies.get(category)) is not None:
            tally.set_step(int(value))
            self._break_silence(tally)
            self._draw()

    @_never_ends_a_run
    def write_stats(self, category: str, values: dict[str, Any], step: int) -> None:
        tally = self._tallies.get(category)
        if tally is None:
            return
        tally.summarise(values, step)
        if self._live is None:
            seconds = time.monotonic() - self._began
            line = sentences.summary(tally, values, step, seconds, rank=self._rank, trains=self._trains)
            self._say(tally, line)
        self._draw()

    @_never_ends_a_run
    def add_property(self, category: str, property_type: StatsPropertyType, value: Any) -> None:
        if property_type is not StatsPropertyType.HYPERPARAMETERS:
            return
        tally = self._tallies[category] = Tally(category, value)
        tally.begin(last_checkpoint(category) if self._resumes else 0)
        self._say(tally, sentences.settings_in_short(category, value, self._host_console.file))
        if self._resumes:
            tally.recall(recorded_scores(self._folder / category, self_play=tally.self_play))
        self._draw()

    def tells_the_end_of(self, behavior: str) -> bool:
        """Whether the end of the run will be told here: a trainer that asks need not tell it once more.

        Args:
            behavior: that has ended.
        """
        tally = self._tallies.get(behavior)
        return self.is_open and os.getpid() == self._process and tally is not None and tally.step is not None

    # From the beginning to the end

    def _say(self, tally: Tally, line: str) -> None:
        logger.info(encodable(line, self._encoding))
        self._said[tally.behavior] = time.monotonic()

    def _break_silence(self, tally: Tally) -> None:
        is_silent = time.monotonic() - self._said[tally.behavior] >= SILENCE
        if self._live is None and self._rank is None and is_silent:
            self._say(tally, sentences.between_summaries(tally, trains=self._trains))

    def _draw(self) -> None:
        if self._live is None:
            return
        if not self._draws:
            self._draws = True
            self._live.start()
        self._live.draw()

    def _lines(self, width: int) -> Any:
        return self._board.lines(list(self._tallies.values()), width)

    def give_up(self, error: BaseException) -> None:
        """Ends the progress, and gives ML-Agents' own lines back.

        Args:
            error: why.
        """
        self._shut()
        logger.warning(f"Progress is shown no more, and the run goes on: {type(error).__name__}: {error}")

    def close(self) -> None:
        """Gives the terminal back, and says what the run has reached."""
        if not self.is_open or os.getpid() != self._process:
            return
        try:
            self._shut()
            if any(tally.step is not None for tally in self._tallies.values()):
                tallies = list(self._tallies.values())
                took = time.monotonic() - self._began
                closing.say(self._console, tallies, took, self._what_follows(), trains=self._trains)
        except Exception as error:  # such as a pipe that nobody reads any more
            logger.debug(f"The end of the run could not be shown: {error}")

    def _shut(self) -> None:
        self.is_open = False
        self._host_console.stop()
        if ProgressWriter._current is self:
            ProgressWriter._current = None
        if sys.excepthook == self._close_and_show_error:
            sys.excepthook = self._excepthook
        atexit.unregister(self.close)
        if self._live is not None and self._draws:
            self._draws = False
            self._live.stop()

    def _what_follows(self) -> dict[str, str]:
        if not self._trains:
            return {}
        tallies = list(self._tallies.values())
        models = closing.models(tallies, self._folder)
        lines = {f"Model of {behavior}": str(file) for behavior, file in models.items()}
        if models and ends_with_commands():
            is_done = all(tally.is_done for tally in tallies)
            lines |= closing.next_commands(
                self._folder, self._environment, closing.arguments_of_process(), is_done=is_done
            )
        return lines

    def _close_and_show_error(
        self, kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        """The reason of a run's end stays the last thing that is said."""
        self.close()
        self._excepthook(kind, error, trace)


def _console() -> Console:
    stream = EncodableStream(sys.stdout)
    is_terminal = stream.isatty()
    return Console(
        file=stream,  # type: ignore[arg-type]
        force_terminal=is_terminal,  # CI sets FORCE_COLOR, which would make a terminal of a pipe
        width=None if is_terminal else PLAIN_WIDTH,
        highlight=False,
        markup=False,
        emoji=False,
    )
