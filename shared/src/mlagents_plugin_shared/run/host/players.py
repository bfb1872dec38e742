"""A player that ends with an error ends the run with its reason, and not with code 0 or a number alone.

ML-Agents discards what a player prints. It says `Environment shut down with return code 1` of one that is gone, and
takes one that said goodbye first, as every player does that can, for the end of a run that went well. Here the return
code decides, and the last words of the log or the error stream are the message. A player that ends with code 0, and the
Editor, end a run as before, unless they leave before it has begun; and ML-Agents starts a failed player again as often
as it did.
"""

import functools
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlagents.trainers.subprocess_env_manager import UnityEnvWorker
from mlagents_envs import env_utils
from mlagents_envs.environment import UnityEnvironment
from mlagents_envs.exception import (
    UnityCommunicationException,
    UnityCommunicatorStoppedException,
    UnityEnvironmentException,
    UnityWorkerInUseException,
)
from mlagents_envs.logging_util import DEBUG, get_logger

logger = get_logger(__name__)

# A player that has said goodbye ends within so many seconds, or is taken for one that goes on without the trainer.
_GOODBYE_SECONDS = 10.0

# So much of the end of a log is read, and of an error stream kept, bytes.
_TAIL = 65536

_LONGEST_REASON = 500

_LARGEST_OF_A_PROGRAM = 255  # return code; larger ones are those with which Windows ends it

# How a line of Python's logging begins, as in the logs of `mlagents-player`.
_RECORD = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d\S* (?P<level>[A-Z]+) (?P<text>.*)")

_TRACEBACK = "Traceback (most recent call last):"

_COMPLAINT = re.compile(r"error|exception|fatal|failed|abort|crash|not found|cannot|can't", re.IGNORECASE)


def find_program(env_path: str) -> str:
    """The program that `--env` stands for: ML-Agents adds the ending that the operating system wants.

    Args:
        env_path: what was given.

    Raises:
        UnityEnvironmentException: there is none, or it may not be run.
    """
    program = env_utils.validate_environment_path(env_path)
    if program is None:
        raise UnityEnvironmentException(
            f"Couldn't launch --env {env_path}: there is no program of this name for {sys.platform}. Build the "
            "environment there, or look at the path."
        )
    if not os.access(program, os.X_OK):
        raise UnityEnvironmentException(
            f"Couldn't launch --env {env_path}: {program} may not be run. Make it executable: chmod +x {program}"
        )
    return program


class _Player(subprocess.Popen):
    """A player's process, which keeps its last words."""

    def __init__(self, line: list[str]) -> None:
        self._log = _log_of(line)
        self._former_log = _stamp(self._log)
        self._heard = b""
        shows = logger.isEnabledFor(DEBUG)
        output = None if shows else subprocess.DEVNULL
        # In a session of its own, so that Ctrl+C does not reach it: the trainer still needs it while it saves.
        super().__init__(
            line, start_new_session=True, stdout=output, stderr=None if shows else subprocess.PIPE, bufsize=0
        )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        while self.stderr is not None and (heard := self.stderr.read(_TAIL)):
            self._heard = (self._heard + heard)[-_TAIL:]

    def describe_end(self) -> str:
        """Its return code and last words, in one line."""
        code = _in_words(self.returncode)
        log = self._log if _stamp(self._log) != self._former_log else None
        where = f" (its log: {log.name})" if log else ""  # a start that is refused moves its logs elsewhere
        reason = find_reason(_read_tail(log)) if log else ""
        if not reason:
            self._listener.join(timeout=1.0)
            reason = find_reason(self._heard.decode(errors="replace"))
        return f"The environment ended with return code {code}{where}: {reason or 'it said nothing'}"


def find_reason(text: str) -> str:
    """What a log says of the end of its program, in one line; empty where it says nothing.

    The message of the last exception in the last record of an error, as Python writes them; else the last line that
    complains; else the last line.

    Args:
        text: the log, or its end.
    """
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    lines = _last_error(lines)
    if _TRACEBACK in lines:
        after = lines[len(lines) - lines[::-1].index(_TRACEBACK) :]
        message = next((i for i, line in enumerate(after) if not line.startswith(" ")), 0)
        lines = [" ".join(line.strip() for line in after[message:])]
    complaints = [line for line in lines if _COMPLAINT.search(line)]
    return " ".join((complaints or lines or [""])[-1].split())[:_LONGEST_REASON]


def _last_error(lines: list[str]) -> list[str]:
    """Text of the last record of an error and the lines that belong to it; all lines where there is no such record."""
    records = [(i, found) for i, line in enumerate(lines) if (found := _RECORD.match(line))]
    end = len(lines)
    for start, record in reversed(records):
        if record["level"] in ("ERROR", "CRITICAL", "FATAL"):
            return [record["text"], *lines[start + 1 : end]]
        end = start
    return lines


def _log_of(line: list[str]) -> Path | None:
    """The log file that a player is told to write."""
    names = [argument.lower() for argument in line]
    given = line[names.index("-logfile") + 1 :] if "-logfile" in names else []
    return Path(given[0]) if given and given[0] != "-" else None


def _stamp(file: Path | None) -> tuple[int, int] | None:
    """What changes when a file is written; None where there is none."""
    try:
        found = file.stat() if file else None
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size) if found else None


def _read_tail(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            opened.seek(max(0, os.fstat(opened.fileno()).st_size - _TAIL))
            return opened.read().decode(errors="replace")
    except OSError:
        return ""


def _in_words(code: int) -> str:
    """A return code, with the signal that ended the process on POSIX; as Windows writes it where that ended it."""
    if code > _LARGEST_OF_A_PROGRAM:
        return f"{code:#010x}"
    try:
        return f"{code} ({signal.Signals(-code).name})"
    except ValueError:
        return str(code)


_players: list[_Player] = []


def end_players() -> None:
    """Ends every player of this process that has not ended."""
    for player in _players:
        if player.poll() is None:
            player.kill()
    _players.clear()


def _launch(file_name: str, args: list[str]) -> _Player:
    program = find_program(file_name)
    try:
        player = _Player([program, *args])
    except OSError as error:
        raise UnityEnvironmentException(
            f"Couldn't launch --env {file_name}: {program} is no program that runs here: {error.strerror or error}."
        ) from error
    _players.append(player)
    return player


def _poll(environment: Any) -> None:
    player = environment._process
    if player is not None and player.poll() is not None:
        raise UnityEnvironmentException(player.describe_end())


def _naming_reason(exchange: Callable[[Any], None]) -> Callable[[Any], None]:
    """The function, but that a player which says goodbye and ends with an error is one that failed."""

    @functools.wraps(exchange)
    def wrapped(environment: Any) -> None:
        try:
            exchange(environment)
        except UnityCommunicatorStoppedException:
            player = environment._process
            if player is not None and _code_at_end(player):
                raise UnityEnvironmentException(player.describe_end()) from None
            if environment._is_first_message:
                raise UnityEnvironmentException(
                    "The environment closed the connection before its first observation; its own console says why."
                ) from None
            raise

    return wrapped


def _code_at_end(player: subprocess.Popen) -> int | None:
    try:
        return player.wait(_GOODBYE_SECONDS)
    except subprocess.TimeoutExpired:
        return None


_send = UnityEnvWorker.send


def _send_or_say_why(worker: Any, *request: Any) -> None:
    """A worker that ended with an error has said why; that it takes nothing any more is no reason."""
    try:
        _send(worker, *request)
    except UnityCommunicationException:
        worker.recv()
        raise


_get_communicator = UnityEnvironment._get_communicator


def _get_communicator_or_name_port(worker_id: int, base_port: int, timeout_wait: int) -> Any:
    try:
        return _get_communicator(worker_id, base_port, timeout_wait)
    except UnityWorkerInUseException:  # its message is garbled on the way to another process
        raise UnityEnvironmentException(
            f"Port {base_port + worker_id} is taken: worker number {worker_id} is still in use, by another run "
            "perhaps. Wait until it has ended, or choose another --base-port."
        ) from None


env_utils.launch_executable = _launch
UnityEnvironment._poll_process = _poll
UnityEnvironment.reset = _naming_reason(UnityEnvironment.reset)
UnityEnvironment.step = _naming_reason(UnityEnvironment.step)
UnityEnvironment._get_communicator = staticmethod(_get_communicator_or_name_port)
UnityEnvWorker.send = _send_or_say_why
