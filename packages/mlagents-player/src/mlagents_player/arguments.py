"""The command line that ML-Agents gives to a player: Unity's own arguments, then those of `--env-args`."""

from __future__ import annotations

import argparse
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mlagents_player.errors import PlayerError

PORT, LOG_FILE, NUM_AREAS, RECORD = "--mlagents-port", "-logfile", "--num-areas", "--record"
RAW_PICTURES = "--raw-pictures"
FLAGS = ("-nographics", "-batchmode")
ANY_SEED = 10_000  # ML-Agents draws one below it


@dataclass
class PlayerArguments:
    """What a trainer passes to a Unity executable.

    Attributes:
        port: Port of the trainer, as it was given; None if it was not.
        log_file: Where to write the log; None for the standard error stream.
        num_areas: Copies of the scene, as it was given; None: as the trainer says in its first message.
        record: File for a demonstration, as it was given; None: no recording.
        raw_pictures: Send pictures as floats instead of PNG.
        ignored: Arguments that mean nothing here.
    """

    port: str | None = None
    log_file: Path | None = None
    num_areas: str | None = None
    record: str | None = None
    raw_pictures: bool = False
    ignored: list[str] = field(default_factory=list)

    def checked_port(self) -> int:
        """The port as a number.

        Raises:
            PlayerError: it is missing or no port.
        """
        if self.port is None:
            raise PlayerError(
                f"{PORT} is missing: a launcher is started by mlagents-learn --env. "
                "To connect to a trainer that waits, use `mlagents-player play`."
            )
        return parse_port(self.port)

    def checked_areas(self) -> int | None:
        """The number of copies, None if it was not given.

        Raises:
            PlayerError: it is not a whole number of at least 1.
        """
        if self.num_areas is None:
            return None
        if not _is_number(self.num_areas) or int(self.num_areas) < 1:
            raise PlayerError(f"{NUM_AREAS} is {self.num_areas!r}; it is a whole number of at least 1.")
        return int(self.num_areas)

    def checked_record(self) -> Path | None:
        """The file for a demonstration, None if there is to be none.

        Raises:
            PlayerError: it does not end in `.demo`.
        """
        try:
            return None if self.record is None else demo_file(self.record)
        except argparse.ArgumentTypeError as error:
            raise PlayerError(f"{RECORD}: {error}.") from error


def player_arguments(arguments: Sequence[str]) -> PlayerArguments:
    """Sort the arguments of a player; both `--name value` and `--name=value` are understood."""
    given = PlayerArguments()
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        name, equals, value = argument.partition("=")
        if argument.lower() == RAW_PICTURES:
            given.raw_pictures = True
        elif name.lower() in (PORT, LOG_FILE, NUM_AREAS, RECORD):
            _assign(given, name.lower(), value if equals else (rest.pop(0) if rest else ""))
        elif argument.lower() not in FLAGS:
            given.ignored.append(argument)
    return given


def parse_port(text: str) -> int:
    """A port number.

    Raises:
        PlayerError: it is not a whole number from 1 to 65535.
    """
    if not _is_number(text) or not 1 <= int(text) <= 65535:
        raise PlayerError(f"{text!r} is not a port; a port is a number from 1 to 65535.")
    return int(text)


def count(text: str) -> int:
    """A number of things, as a `type` for argparse.

    Raises:
        argparse.ArgumentTypeError: it is not a whole number of at least 1.
    """
    if not _is_number(text) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def demo_file(text: str) -> Path:
    """A file for a demonstration, as a `type` for argparse; ML-Agents reads only those that end in `.demo`.

    Raises:
        argparse.ArgumentTypeError: it has another ending, or none.
    """
    if Path(text).suffix != ".demo":
        raise argparse.ArgumentTypeError(f"{text!r} is not a file that ends in .demo")
    return Path(text)


def seed(text: str) -> int:
    """What chance begins with, as a `type` for argparse; -1 stands for any, as in ML-Agents, and is drawn here.

    Raises:
        argparse.ArgumentTypeError: it is neither -1 nor a whole number of at least 0.
    """
    if text == "-1":
        return secrets.randbelow(ANY_SEED)
    if not _is_number(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 0, or -1 for any")
    return int(text)


def seconds(text: str) -> float:
    """A time, as a `type` for argparse.

    Raises:
        argparse.ArgumentTypeError: it is not a number of at least 0.
    """
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not value >= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds of at least 0")
    return value


def _assign(given: PlayerArguments, name: str, value: str) -> None:
    if name == PORT:
        given.port = value
    elif name == NUM_AREAS:
        given.num_areas = value
    elif name == RECORD:
        given.record = value
    elif value not in ("", "-"):  # Unity takes a bare -logFile or `-` for the standard output
        given.log_file = Path(value)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()
