"""Programs in a terminal or in a pipe, and what they show."""

import atexit
import contextlib
import logging
import os
import select
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import NamedTuple

import pyte

SECONDS = 240


class Shown(NamedTuple):
    """What is seen of a program that has ended.

    Attributes:
        code: its exit code.
        lines: all lines, those that were scrolled away too; in a pipe those of the standard output.
        errors: the error stream, of a pipe; in a terminal it is the same.
        is_cursor_hidden: whether the cursor is left hidden.
        ever: all that was written, with its control codes.
    """

    code: int
    lines: list[str]
    errors: str
    is_cursor_hidden: bool
    ever: str

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


def screen(columns: int = 80, rows: int = 24) -> pyte.HistoryScreen:
    """A terminal that forgets nothing."""
    return pyte.HistoryScreen(columns, rows, history=10_000, ratio=1)


def lines_of(terminal: pyte.HistoryScreen) -> list[str]:
    """Lines that were scrolled away, and those on the screen, without the empty ones at the end."""
    scrolled = ["".join(row[place].data for place in range(terminal.columns)) for row in terminal.history.top]
    lines = [line.rstrip() for line in (*scrolled, *terminal.display)]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def in_terminal(program: Callable[[], None], environment: Mapping[str, str], encoding: str, columns: int) -> Shown:
    """Runs a function as a program in a terminal.

    Args:
        program: the function.
        environment: its environment variables.
        encoding: of its streams.
        columns: of the terminal.
    """
    import fcntl  # of POSIX alone
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    child = _forked(program, {**environment, "TERM": "xterm-256color"}, encoding, theirs, theirs)
    os.close(theirs)
    raw = _read({ours: "screen"})["screen"]
    terminal = screen(columns)
    written = raw.decode(encoding, "replace")
    pyte.Stream(terminal).feed(written)
    return Shown(_code(child), lines_of(terminal), "", terminal.cursor.hidden, written)


def in_pipe(program: Callable[[], None], environment: Mapping[str, str], encoding: str) -> Shown:
    """Runs a function as a program whose streams are pipes.

    Args:
        program: the function.
        environment: its environment variables.
        encoding: of its streams.
    """
    (out, their_out), (err, their_err) = os.pipe(), os.pipe()
    child = _forked(program, environment, encoding, their_out, their_err)
    os.close(their_out)
    os.close(their_err)
    read = _read({out: "out", err: "err"})
    written, errors = (read[name].decode(encoding) for name in ("out", "err"))
    return Shown(_code(child), written.splitlines(), errors, False, written)


def of_process(line: list[str], environment: Mapping[str, str], encoding: str) -> Shown:
    """Runs a command line whose streams are pipes, for operating systems that cannot fork."""
    run = subprocess.run(line, capture_output=True, timeout=SECONDS, env=dict(environment), check=False)
    written, errors = (text.decode(encoding).replace("\r\n", "\n") for text in (run.stdout, run.stderr))
    return Shown(run.returncode, written.splitlines(), errors, False, written)


def _forked(program: Callable[[], None], environment: Mapping[str, str], encoding: str, out: int, err: int) -> int:
    """Starts the function in a process of its own, which has imported all that this one has: seconds are saved."""
    child = os.fork()
    if child:
        return child
    code = 1
    with contextlib.suppress(BaseException):
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.environ.clear()
        os.environ.update(environment)
        sys.stdout = open(1, "w", encoding=encoding, buffering=1, closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding=encoding, buffering=1, closefd=False, errors="backslashreplace")  # noqa: SIM115
        _redirect_loggers()
        atexit._clear()  # what the tests' process has to do at its end
        code = _run(program)
    os._exit(code)


def _run(program: Callable[[], None]) -> int:
    try:
        program()
        return 0
    except Exception:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
        return 1
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()


def _redirect_loggers() -> None:
    """Those of ML-Agents, which hold the stream that they began with; not pytest's own."""
    for name in logging.root.manager.loggerDict:
        for handler in logging.getLogger(name).handlers:
            if type(handler) is logging.StreamHandler:
                handler.setStream(sys.stdout)


def _read(names: dict[int, str]) -> dict[str, bytes]:
    """What comes out of file descriptors until their other ends are closed."""
    read = dict.fromkeys(names.values(), b"")
    left = dict(names)
    while left:
        ready, _, _ = select.select(list(left), [], [], SECONDS)
        assert ready, read
        for each in ready:
            part = b""
            with contextlib.suppress(OSError):  # which Linux raises where a terminal is closed
                part = os.read(each, 65536)
            read[names[each]] += part
            if not part:
                del left[each]
                os.close(each)
    return read


def _code(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
