"""Bars, curves and numbers in a few characters, of those that a stream can take."""

import math
from collections.abc import Sequence
from itertools import pairwise

UNFOLDED = 10_000
"""Columns in which no table is folded or cut off."""

_CURVE, _ASCII_CURVE = "▁▂▃▄▅▆▇█", "_.-=+*%#"
_BAR, _ASCII_BAR = "━─", "=-"


def encoding_of(stream: object) -> str:
    """The encoding of a stream; ASCII where it has none."""
    return str(getattr(stream, "encoding", None) or "ascii")


def can_encode(text: str, encoding: str) -> bool:
    """Whether each character of a text is one of the encoding's."""
    try:
        text.encode(encoding)
        return True
    except (UnicodeEncodeError, LookupError):
        return False


def encodable(text: str, encoding: str) -> str:
    """The text, with `?` for what a stream of this encoding would fail on."""
    try:
        return text.encode(encoding, "replace").decode(encoding)
    except LookupError:
        return text.encode("ascii", "replace").decode("ascii")


class Glyphs:
    """Bars and curves in what an encoding has, or else in ASCII.

    Args:
        encoding: of the stream.
    """

    def __init__(self, encoding: str) -> None:
        self._levels = _CURVE if can_encode(_CURVE, encoding) else _ASCII_CURVE
        self._bar = _BAR if can_encode(_BAR, encoding) else _ASCII_BAR

    def bar(self, share: float, width: int) -> tuple[str, str]:
        """The part of a bar that is done, and the part that is left.

        Args:
            share: from 0 to 1.
            width: of both together.
        """
        done = min(int(share * width), width)
        return self._bar[0] * done, self._bar[1] * (width - done)

    def curve(self, values: Sequence[float], width: int) -> str:
        """A curve of the values, from the lowest to the highest of what is shown.

        Args:
            values: in order; where there are more than fit, neighbours are averaged.
            width: characters at most.
        """
        shown = _averaged([value for value in values if math.isfinite(value)], width)
        if not shown:
            return ""
        low, high = min(shown), max(shown)
        if high == low:
            return self._levels[len(self._levels) // 2] * len(shown)
        top = len(self._levels) - 1
        return "".join(self._levels[round((value - low) / (high - low) * top)] for value in shown)


def _averaged(values: Sequence[float], width: int) -> list[float]:
    if len(values) <= width:
        return list(values)
    bounds = [round(index * len(values) / width) for index in range(width + 1)]
    return [sum(values[low:high]) / (high - low) for low, high in pairwise(bounds)]


def number(value: float | None) -> str:
    """A score in at most seven characters, with three digits after the point where it is small."""
    if value is None or math.isnan(value):
        return "-"
    digits = 3 if abs(value) < 10 else 2 if abs(value) < 100 else 1 if abs(value) < 1000 else 0
    ways = (f",.{digits}f", ",.0f", ".0f") if abs(value) < 1e6 else ()
    return next(text for text in (f"{value:{way}}" for way in (*ways, ".2g", ".1g")) if len(text) <= 7)


def count(value: float | None) -> str:
    """A number of steps in at most six characters: 950, 12.5k, 450k, 1.25M."""
    if value is None:
        return "-"
    if value < 10_000:
        return f"{value:,.0f}"
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= unit * 0.9995:
            scaled = value / unit
            digits = 2 if scaled < 9.995 else 1 if scaled < 99.95 else 0
            text = f"{scaled:.{digits}f}"
            return f"{text.rstrip('0').rstrip('.') if digits else text}{name}"
    return f"{value:,.0f}"


def speed(value: float | None) -> str:
    """Steps a second."""
    return "-" if value is None else f"{value:.1f}" if value < 10 else count(value)


def duration(seconds: float | None) -> str:
    """0:42, 12:34, 3:05:10, 18h 54m or 2d 05h: at most seven characters, up to 99 days."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days}d {hour:02d}h"
    if hours > 9:
        return f"{hours}h {minute:02d}m"
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


def shortened(text: str, width: int) -> str:
    """The text, its middle replaced by two dots where it is longer than the width."""
    if len(text) <= width:
        return text
    head = (width - 2 + 1) // 2
    return f"{text[:head]}..{text[len(text) - (width - 2 - head) :]}"
