"""What can go wrong, as one line for the person in front of the terminal."""

from __future__ import annotations

import difflib
import textwrap
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mlagents_envs.exception import UnityException

LONGEST = 300  # characters of somebody else's text


class PlayerError(UnityException):
    """Something a user can put right; its text is one complete line and needs no traceback."""


class SceneError(PlayerError):
    """The code of a scene or an environment raised something, which is the cause of this error."""


class TrainerGone(Exception):
    """The trainer ended the session; its text says how. This is the normal end of a run."""


@contextmanager
def blaming(whose: str, call: str) -> Iterator[None]:
    """Around a call of somebody else's code: what it raises becomes one line.

    Args:
        whose: What the code belongs to.
        call: What is called.

    Raises:
        SceneError: it raised something, or tried to end the process; the text names where.
    """
    try:
        yield
    except (PlayerError, TrainerGone):
        raise
    except (Exception, SystemExit) as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(where.filename).name}, line {where.lineno}"
        raise SceneError(f"{whose} raised {one_line(repr(error))} in {call} ({place}).") from error


def one_line(text: str | None) -> str:
    """A text without line breaks, and not endlessly long."""
    return textwrap.shorten(text or "", LONGEST, placeholder=" ...")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A question with the known name that is nearest to this one, with a space before it; empty if none is near."""
    lowered = {other.lower(): other for other in known}
    near = difflib.get_close_matches(name.lower(), list(lowered), n=1, cutoff=0.5)
    return f" Did you mean {lowered[near[0]]}?" if near else ""
