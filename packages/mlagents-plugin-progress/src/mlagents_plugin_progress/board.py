"""The live lines: a heading, and one line for each behaviour, in whatever width the terminal has."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from mlagents_plugin_progress.glyphs import Glyphs, count, duration, encodable, number, speed
from mlagents_plugin_progress.run_state import last_checkpoint
from mlagents_plugin_progress.tally import Tally

GAP = 2
LEAST_NAME, LEAST_BAR, LEAST_CURVE, LARGEST = 8, 6, 6, 32


class Column(NamedTuple):
    """One column: its heading, its width, what stands in it, and the space before it."""

    head: str
    width: int
    cell: Callable[[Tally], Text]
    to_the_right: bool = True
    gap: int = GAP


class Board:
    """Draws what is known of all behaviours.

    Args:
        glyphs: of the terminal.
        encoding: of the terminal.
        trains: False in inference, where there is no end to come nearer to.
    """

    def __init__(self, glyphs: Glyphs, encoding: str, *, trains: bool) -> None:
        self._glyphs = glyphs
        self._encoding = encoding
        self._trains = trains

    def lines(self, tallies: Sequence[Tally], width: int) -> list[Text]:
        """The heading and a line for each behaviour, each no wider than the terminal.

        Args:
            tallies: of the behaviours.
            width: of the terminal, in cells.
        """
        columns = self._columns(tallies, width)
        head = _line([Text(column.head, style="dim") for column in columns], columns)
        return [head, *(_line([column.cell(tally) for column in columns], columns) for tally in tallies)]

    def _columns(self, tallies: Sequence[Tally], width: int) -> list[Column]:
        name = max((cell_len(self._name(tally).plain) for tally in tallies), default=0)
        columns = {
            "name": Column("Behavior", min(max(name, LEAST_NAME), LARGEST), self._name, to_the_right=False),
            "bar": Column("Progress", LEAST_BAR, lambda tally: Text(), to_the_right=False),
            "percent": Column("", 4, lambda tally: Text(_percent(tally)), gap=1),
            "steps": Column("Steps", 6, lambda tally: Text(count(tally.step))),
            "left": Column("Left", 7, lambda tally: Text(_left(tally))),
            "speed": Column("Steps/s", 7, lambda tally: Text(speed(tally.steps_per_second))),
            "score": Column(_score_head(tallies), 7, lambda tally: Text(_last_score(tally), style="bold")),
            "curve": Column("", LEAST_CURVE, lambda tally: Text(), to_the_right=False),
            "best": Column("Best", 7, lambda tally: Text(number(tally.best and tally.best.value))),
            "saved": Column("Saved", 6, lambda tally: Text(count(last_checkpoint(tally.behavior)))),
        }
        for left_out in ("bar", "percent", "left", "saved") if not self._trains else ("steps",):
            del columns[left_out]
        for least in ("curve", "saved", "best", "bar", "speed", "left", "steps", "percent"):
            if _width(columns) > width:
                self._shorten_name(columns, _width(columns) - width)
            if _width(columns) > width:
                columns.pop(least, None)
        self._widen(columns, width - _width(columns))
        return list(columns.values())

    def _shorten_name(self, columns: dict[str, Column], excess: int) -> None:
        width = max(columns["name"].width - excess, LEAST_NAME)
        columns["name"] = columns["name"]._replace(width=width)

    def _widen(self, columns: dict[str, Column], left: int) -> None:
        """Gives what is left of the width to the curve and the bar."""
        for key, cell in (("curve", self._curve), ("bar", self._bar)):
            if key in columns:
                share = left // 2 if key == "curve" and "bar" in columns else left
                width = min(columns[key].width + max(share, 0), LARGEST)
                left -= width - columns[key].width
                columns[key] = columns[key]._replace(width=width, cell=cell(width))

    def _name(self, tally: Tally) -> Text:
        return Text(encodable(tally.behavior, self._encoding), style="bold")

    def _bar(self, width: int) -> Callable[[Tally], Text]:
        def cell(tally: Tally) -> Text:
            done, left = self._glyphs.bar(tally.share or 0.0, width)
            return Text.assemble((done, "green" if tally.is_done else "cyan"), (left, "dim"))

        return cell

    def _curve(self, width: int) -> Callable[[Tally], Text]:
        return lambda tally: Text(self._glyphs.curve([score.value for score in tally.scores], width), style="cyan")


def _line(cells: Sequence[Text], columns: Sequence[Column]) -> Text:
    line = Text(no_wrap=True, overflow="crop")
    for place, (cell, column) in enumerate(zip(cells, columns, strict=True)):
        if place:
            line.append(" " * column.gap)
        space = column.width - cell_len(cell.plain)
        if space < 0:
            cell = Text(set_cell_size(cell.plain, column.width), style=cell.style)
        line.append(" " * max(space, 0) if column.to_the_right else "")
        line.append_text(cell)
        line.append("" if column.to_the_right else " " * max(space, 0))
    return line


def _width(columns: dict[str, Column]) -> int:
    each = list(columns.values())
    return sum(column.width for column in each) + sum(column.gap for column in each[1:])


def _percent(tally: Tally) -> str:
    return "-" if tally.share is None else f"{int(tally.share * 100)}%"


def _left(tally: Tally) -> str:
    return "done" if tally.is_done else duration(tally.seconds_left)


def _last_score(tally: Tally) -> str:
    return number(tally.scores[-1].value if tally.scores else None)


def _score_head(tallies: Sequence[Tally]) -> str:
    """What the scores are: `Elo` where every behaviour plays against itself, `Score` where some do."""
    kinds = {tally.self_play for tally in tallies}
    return "Reward" if kinds <= {False} else "Elo" if kinds == {True} else "Score"
