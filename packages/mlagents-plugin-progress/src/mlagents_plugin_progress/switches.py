"""The environment variables that say what is shown."""

import os
from enum import Enum

from mlagents_envs.logging_util import get_logger

logger = get_logger(__name__)

PROGRESS = "MLAGENTS_PROGRESS"
"""`on` (the default), `plain` (lines even in a terminal) or `off` (ML-Agents shows what it always has)."""

COMMANDS = "MLAGENTS_PROGRESS_COMMANDS"
"""`off`: no commands at the end of a run, for programs that start it and end with their own."""


class Shown(Enum):
    """How a run is shown."""

    ON = "on"
    PLAIN = "plain"
    OFF = "off"


_WORDS = {
    **{shown.value: shown for shown in Shown},
    **dict.fromkeys(("", "1", "true", "yes"), Shown.ON),
    **dict.fromkeys(("0", "false", "no"), Shown.OFF),
}


def how_shown() -> Shown:
    """What `MLAGENTS_PROGRESS` asks for; a word that it does not know is named on the log and counts as `on`."""
    word = os.environ.get(PROGRESS, "").strip().lower()
    if word not in _WORDS:
        logger.warning(f"{PROGRESS} is {word!r}, and can be on, plain or off; it is taken for on.")
    return _WORDS.get(word, Shown.ON)


def ends_with_commands() -> bool:
    """Whether the end of a run names the commands that go on from it."""
    return _WORDS.get(os.environ.get(COMMANDS, "").strip().lower()) is not Shown.OFF
