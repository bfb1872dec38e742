"""Numbers, bars and curves in a few characters."""

import math

import pytest

from mlagents_plugin_progress.glyphs import Glyphs, count, duration, encodable, number, shortened, speed


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (math.nan, "-"),
        (math.inf, "inf"),
        (0.93, "0.930"),
        (-1.0, "-1.000"),
        (82.128, "82.13"),
        (123.46, "123.5"),
        (1234.5, "1,234"),
        (-99999.0, "-99,999"),
        (-123_456.0, "-123456"),
        (-999.97, "-1,000"),
        (999_999.7, "1000000"),
        (12_345_678.0, "1.2e+07"),
        (-12_345_678.0, "-1e+07"),
        (-1.5e300, "-2e+300"),
    ],
)
def test_number(value: float | None, text: str) -> None:
    """At most seven characters: a table cuts off what is more, and shows another number."""
    assert number(value) == text
    assert len(text) <= 7


@pytest.mark.parametrize("exponent", range(-5, 300))
def test_number_fits_whatever_its_size(exponent: int) -> None:
    """Near each power of ten, where rounding makes a digit more."""
    for share in (0.99999, 1.0, 4.96):
        for sign in (-1.0, 1.0):
            assert len(number(sign * share * 10.0**exponent)) <= 7


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0, "0"),
        (9999, "9,999"),
        (12_500, "12.5k"),
        (450_000, "450k"),
        (999_999, "1M"),
        (1_250_000, "1.25M"),
        (50_000_000, "50M"),
        (123_456_789, "123M"),
        (2_000_000_000, "2G"),
    ],
)
def test_count(value: float | None, text: str) -> None:
    """At most six characters."""
    assert count(value) == text
    assert len(text) <= 6


def test_speed_of_a_slow_scene_has_a_digit_more() -> None:
    """Where it matters."""
    assert [speed(value) for value in (None, 0.52, 3.0, 14.5, 52_300)] == ["-", "0.5", "3.0", "14", "52.3k"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (math.inf, "-"),
        (0, "0:00"),
        (59.6, "1:00"),
        (754, "12:34"),
        (11110, "3:05:10"),
        (68090, "18h 54m"),
        (190800, "2d 05h"),
    ],
)
def test_duration(seconds: float | None, text: str) -> None:
    """Minutes, hours or days, in the seven cells that the board has for it."""
    assert duration(seconds) == text
    assert len(text) <= 7


def test_curve_goes_from_its_lowest_to_its_highest() -> None:
    """Eight levels: of 0 to 7 each is one."""
    assert Glyphs("utf-8").curve(range(8), 8) == "▁▂▃▄▅▆▇█"
    assert Glyphs("utf-8").curve([7, 0], 8) == "█▁"


def test_curve_of_more_than_fits_is_of_means() -> None:
    """Four values in two places: (0 + 2) / 2 and (6 + 8) / 2."""
    assert Glyphs("utf-8").curve([0, 2, 6, 8], 2) == "▁█"
    assert len(Glyphs("utf-8").curve(range(1001), 13)) == 13


def test_curve_of_nothing_and_of_what_is_level() -> None:
    """No division by zero, and NaN is left out."""
    glyphs = Glyphs("utf-8")
    assert glyphs.curve([], 8) == ""
    assert glyphs.curve([math.nan], 8) == ""
    assert glyphs.curve([2.0, 2.0], 8) == "▅▅"


@pytest.mark.parametrize("encoding", ["cp1252", "cp437", "ascii", "no such encoding"])
def test_encoding_without_them_gets_ascii(encoding: str) -> None:
    """Of the same lengths."""
    glyphs = Glyphs(encoding)
    assert glyphs.curve(range(8), 8) == "_.-=+*%#"
    assert glyphs.bar(0.25, 8) == ("==", "------")


def test_bar_is_full_at_the_end_alone() -> None:
    """And never longer than its place."""
    glyphs = Glyphs("utf-8")
    assert glyphs.bar(0.99, 10) == ("━" * 9, "─")
    assert glyphs.bar(1.0, 10) == ("━" * 10, "")
    assert glyphs.bar(1.7, 10) == ("━" * 10, "")


def test_encodable_replaces_what_is_not() -> None:
    """One question mark a character."""
    assert encodable("Läufer ▁█", "cp1252") == "Läufer ??"
    assert encodable("▁", "no such encoding") == "?"


def test_shortened_keeps_both_ends() -> None:
    """Names of runs tell apart at either."""
    assert shortened("abcdefghij", 10) == "abcdefghij"
    assert shortened("abcdefghijk", 8) == "abc..ijk"
