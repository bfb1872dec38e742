"""The live lines in terminals of all widths."""

import pytest
from rich.cells import cell_len

from mlagents_plugin_progress.board import Board
from mlagents_plugin_progress.glyphs import Glyphs
from mlagents_plugin_progress.tally import Score, Tally


def tally(behavior: str = "Basic", **settings: object) -> Tally:
    made = Tally(behavior, {"max_steps": 1000, **settings}, lambda: 0.0)
    made.begin(450)
    made.recall([Score(100 * place, place / 10) for place in range(1, 5)])
    return made


def board(encoding: str = "utf-8", *, trains: bool = True) -> Board:
    return Board(Glyphs(encoding), encoding, trains=trains)


def drawn(tallies: list[Tally], width: int = 80, *, trains: bool = True, encoding: str = "utf-8") -> list[str]:
    return [line.plain for line in board(encoding, trains=trains).lines(tallies, width)]


def test_line_of_eighty_columns() -> None:
    """All that is asked of one line, and nothing cut off."""
    head, line = drawn([tally()])
    assert head.split() == ["Behavior", "Progress", "Left", "Steps/s", "Reward", "Best", "Saved"]
    assert line.split() == ["Basic", "━━━━──────", "45%", "-", "-", "0.400", "▁▃▆█", "0.400", "-"]
    assert len(head.rstrip()) <= 80
    assert len(line) <= 80


def test_names_of_usual_length_are_whole_in_eighty_columns() -> None:
    """Bar and curve give way."""
    lines = drawn([tally("SmallWallJump"), tally("BigWallJump")])
    assert lines[1].startswith("SmallWallJump ")
    assert "▁▃▆█" in lines[1]
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("width", [20, 30, 40, 50, 60, 79, 80, 81, 120, 200, 400])
@pytest.mark.parametrize("trains", [True, False])
def test_lines_are_no_wider_than_the_terminal(width: int, trains: bool) -> None:
    """What matters least is left out first; name and reward stay."""
    lines = drawn(
        [tally(), tally("A behavior with quite a long name of its own"), tally("プレーヤー")], width, trains=trains
    )
    assert max(map(cell_len, lines)) <= width
    assert len({cell_len(line) for line in lines}) == 1
    assert all("0.400" in line for line in lines[1:])


def test_wide_terminal_gives_bar_and_curve_more_room() -> None:
    """Up to a limit."""
    narrow, wide = (drawn([tally()], width)[1] for width in (80, 120))
    assert wide.count("━") + wide.count("─") > narrow.count("━") + narrow.count("─")


def test_elo_is_headed_as_such() -> None:
    """Beside rewards both are scores."""
    plays = tally("Soccer", self_play={"window": 10})
    assert "Elo" in drawn([plays])[0]
    assert "Score" in drawn([plays, tally()])[0]


def test_reached_end_is_said() -> None:
    """In place of the time left."""
    ended = tally()
    ended.set_step(1003)
    assert "100%" in drawn([ended])[1]
    assert "done" in drawn([ended])[1]


def test_inference_counts_steps() -> None:
    """There is no end, and nothing is saved."""
    assert drawn([tally()], trains=False)[0].split() == ["Behavior", "Steps", "Steps/s", "Reward", "Best"]


def test_no_step_yet_is_drawn_too() -> None:
    """A line with nothing known."""
    begun = Tally("Basic", {"max_steps": 1000}, lambda: 0.0)
    assert drawn([begun])[1].split()[2:] == ["-", "-", "-", "-", "-", "-"]


def test_no_behavior_yet_is_a_heading() -> None:
    """Which does not fail."""
    assert len(drawn([])) == 1
