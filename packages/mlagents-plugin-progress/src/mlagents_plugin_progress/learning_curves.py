"""Pictures of learning curves: a panel for each behaviour, a line for each run, a band for several seeds."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from mlagents_plugin_progress.bands import bootstrap_interval, interquartile_mean, on_one_axis, smoothed
from mlagents_plugin_progress.event_files import Point
from mlagents_plugin_progress.glyphs import count, shortened

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#000000")
"""Of Okabe and Ito, whom colour-blind people can tell apart, without the yellow, which is lost on white."""

STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
"""Their number and that of the colours have no common factor: 35 lines before one comes again."""

_PANEL = (6.4, 3.6)  # inches
_LONGEST_LABEL = 72
_THIN = 0.7  # points
_NOTHING = np.empty(0), np.empty((0, 1))


class Line(NamedTuple):
    """One line of a panel.

    Attributes:
        label: of the legend, without the number of seeds.
        curves: of its seeds, one or several.
    """

    label: str
    curves: list[list[Point]]


class Look(NamedTuple):
    """How curves are drawn.

    Attributes:
        by_time: whether they go by training time in place of agent steps.
        smoothing: weight of the past in a moving average; 0 draws what was logged.
        quantity: what they show.
    """

    by_time: bool
    smoothing: float
    quantity: str


def draw(panels: Mapping[str, Sequence[Line]], look: Look, file: Path) -> None:
    """Draws a picture.

    Args:
        panels: the lines of each behaviour; one label is the same line on every panel.
        look: how.
        file: where it is written; .png, .svg or .pdf.

    Raises:
        OSError: it cannot be written.
    """
    labels = list(dict.fromkeys(line.label for lines in panels.values() for line in lines))
    columns = 1 if len(panels) == 1 else 2
    rows = -(-len(panels) // columns)
    legend = _legend_columns(labels)
    caption = _caption(panels, look)
    below = 0.2 * -(-len(labels) // legend) + 0.4 + 0.15 * caption.count("\n")
    # A text of the picture stays text in an SVG, a $ in a name is one, and the same runs give the same file.
    how = {"svg.fonttype": "none", "svg.hashsalt": "mlagents-plot", "font.size": 10, "text.parse_math": False}
    with rc_context(how):
        figure = Figure(figsize=(_PANEL[0] * columns, _PANEL[1] * rows + below), layout="constrained")
        FigureCanvasAgg(figure)
        axes = list(figure.subplots(rows, columns, squeeze=False).flat)
        shown: dict[str, Line2D] = {}
        for panel, (behavior, lines) in zip(axes, panels.items(), strict=False):
            for text, drawn in _panel(panel, lines, labels, look).items():
                shown.setdefault(text, drawn)
            panel.set_title(behavior)
        for unused in axes[len(panels) :]:
            unused.set_visible(False)
        _add_legend(figure, shown, legend, caption)
        figure.savefig(file, dpi=150, metadata=_metadata(file))


def _panel(axes: Axes, lines: Sequence[Line], labels: Sequence[str], look: Look) -> dict[str, Line2D]:
    """Draws the lines of a behaviour; what stands for each in the legend, by its text there."""
    shown = {}
    unit, name = _unit(lines) if look.by_time else (1.0, "agent steps")
    for line in lines:
        place = labels.index(line.label)
        how = {"color": COLOURS[place % len(COLOURS)], "linestyle": STYLES[place % len(STYLES)]}
        text, drawn = _add_line(axes, line, look, unit, how)
        shown[text] = drawn
    if not look.by_time:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: count(value) if value >= 0 else ""))
    axes.xaxis.set_major_locator(MaxNLocator(6))
    label = look.quantity
    if look.smoothing:
        label += f"\n(moving average, weight of the past {look.smoothing:g})"
    axes.set(xlabel=name, ylabel=label)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return shown


class _Seed(NamedTuple):
    """One curve as arrays: agent steps, where its points are drawn, and how high."""

    steps: np.ndarray
    x: np.ndarray
    y: np.ndarray

    def beyond(self, low: float, high: float) -> Iterator["_Seed"]:
        """Its part before the step `low` and that after `high`, with the neighbouring point; where there are such."""
        before, after = int(sum(self.steps < low)), int(sum(self.steps > high))
        if before:
            yield _Seed(*(values[: before + 1] for values in self))
        if after:
            yield _Seed(*(values[-after - 1 :] for values in self))


def _add_line(axes: Axes, line: Line, look: Look, unit: float, how: dict) -> tuple[str, Line2D]:
    seeds = [_seed(curve, look, unit) for curve in line.curves]
    label = f"{line.label} ({len(seeds)} seeds)" if len(seeds) > 1 else line.label
    if missing := sum(map(len, line.curves)) - sum(len(seed.steps) for seed in seeds):
        label += f" ({missing} not finite)"
    seeds = [seed for seed in seeds if len(seed.steps)]
    places, values = on_one_axis([(seed.steps, seed.y) for seed in seeds]) if len(seeds) > 1 else _NOTHING
    if not len(places):  # seeds with no step in common stay lines of their own
        first, *others = seeds or [_Seed(*np.empty((3, 0)))]
        for seed in others:
            _plot(axes, seed, how)
        return label, _plot(axes, first, how)
    # By time a step stands at its mean time: one seed may have run on a busier machine than another.
    x = np.mean([np.interp(places, seed.steps, seed.x) for seed in seeds], axis=0)
    low, high = bootstrap_interval(values)
    axes.fill_between(x, low, high, color=how["color"], alpha=0.18, linewidth=0)
    middle = _plot(axes, _Seed(places, x, interquartile_mean(values)), how)
    for seed in seeds:
        for part in seed.beyond(places[0], places[-1]):
            _plot(axes, part, how, width=_THIN)
    return label, middle


def _plot(axes: Axes, seed: _Seed, how: dict, width: float = 1.6) -> Line2D:
    return axes.plot(seed.x, seed.y, linewidth=width, marker="o" if len(seed.x) == 1 else "", **how)[0]


def _seed(curve: Sequence[Point], look: Look, unit: float) -> _Seed:
    """A curve without the values that are not finite: they would be drawn nowhere, and spoil means."""
    steps = np.array([point.step for point in curve], dtype=float)
    x = np.array([point.seconds / unit for point in curve], dtype=float) if look.by_time else steps
    y = np.array([point.value for point in curve])
    is_finite = np.isfinite(y)
    y = y[is_finite]
    return _Seed(steps[is_finite], x[is_finite], smoothed(y, look.smoothing) if look.smoothing else y)


def _unit(lines: Sequence[Line]) -> tuple[float, str]:
    longest = max((curve[-1].seconds for line in lines for curve in line.curves), default=0.0)
    for unit, name in ((3600.0, "hours"), (60.0, "minutes")):
        if longest >= 2 * unit:
            return unit, f"training time ({name})"
    return 1.0, "training time (seconds)"


def _legend_columns(labels: Sequence[str]) -> int:
    longest = max(min(len(label), _LONGEST_LABEL) for label in labels) + len(" (10 seeds)")
    return max(1, min(3, 80 // longest, len(labels)))


def _add_legend(figure: Figure, shown: Mapping[str, Line2D], columns: int, caption: str) -> None:
    how = {"fontsize": 9, "title": caption, "title_fontsize": 8, "frameon": False, "handlelength": 3}
    places = list(map(str, range(len(shown))))
    legend = figure.legend(list(shown.values()), places, loc="outside lower center", ncols=columns, **how)
    for text, label in zip(legend.get_texts(), shown, strict=True):  # afterwards: labels that begin with _ are left out
        text.set_text(shortened(label, _LONGEST_LABEL))


def _caption(panels: Mapping[str, Sequence[Line]], look: Look) -> str:
    several = [line.curves for lines in panels.values() for line in lines if len(line.curves) > 1]
    if not several:
        return ""
    caption = "Of several seeds: interquartile mean and its 95 % bootstrap interval"
    caption += ", each step at its mean time" if look.by_time else ""
    ends = [{(curve[0].step, curve[-1].step) for curve in curves} for curves in several]
    has_thin_lines = any(len(each) > 1 for each in ends)
    return caption + ("\nThin: single seeds, where not all of them have data" if has_thin_lines else "")


def _metadata(file: Path) -> dict:
    """Nothing of the time and of the version, so that the same runs give the same file."""
    return {
        ".png": {"Software": None},
        ".svg": {"Date": None, "Creator": None},
        ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    }[file.suffix.lower()]
