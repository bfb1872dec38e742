"""Pictures of records: learning curves with bands, and how often one learner beats another."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from results import tables
from results.suites import CHANCE
from results.tables import Row

mpl.use("agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = {
    "dqn": "#d1495b",
    "a2c": "#00798c",
    "pqn": "#7b2cbf",
    "flashsac": "#f3722c",
    "ppo": "#6c757d",
    "sac": "#adb5bd",
    "poca": "#495057",
    "sb3-dqn": "#edae49",
    "sb3-qrdqn": "#f4d58d",
    "sb3-a2c": "#66a182",
    "sb3-ppo": "#8d96a3",
    "sb3-tqc": "#b5838d",
}
"""Ours are strong, peers are pale; the same on every picture."""
OTHER_COLOUR = "#6f4e37"
"""Of a learner that has none of its own."""
STYLES = ("-", "--", ":", "-.")
LOWEST, TALLEST = -0.3, 1.25
"""Of a bar, where chance is 0 and the goal is 1."""
Curve = list[tuple[int, float]]
ABOVE: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "fontsize": 7}


def curves(rows: list[Row], file: Path, goal: float | None) -> None:
    """Mean return of the training episodes by agent step: the mean of the seeds, and a band from worst to best.

    Args:
        rows: learners on one behaviour.
        file: the picture.
        goal: what the scene counts as solved.
    """
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    _bands(axes, [(row, [outcome.curve for outcome in row.outcomes]) for row in rows if row.learner != CHANCE])
    for row in rows:
        if row.learner == CHANCE:
            axes.axhline(float(np.mean(row.scores)), color="#999999", linewidth=1, linestyle=":", label="chance")
    if goal is not None:
        axes.axhline(goal, color="black", linewidth=0.8, linestyle="--", label=f"goal {goal:g}")
    axes.set(xlabel="agent steps", ylabel="mean return of training episodes", title=rows[0].behavior)
    axes.legend(fontsize=8)
    _save(figure, file)


def ratings(rows: list[Row], file: Path) -> None:
    """Elo in self-play by agent step, as `curves` has returns: each seed against its own past.

    Args:
        rows: learners on one behaviour.
        file: the picture.
    """
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    _bands(axes, [(row, [outcome.elo for outcome in row.outcomes]) for row in rows])
    axes.set(xlabel="agent steps", ylabel="Elo, against its own past", title=rows[0].behavior)
    axes.legend(fontsize=8)
    _save(figure, file)


def _bands(axes: Axes, learners: list[tuple[Row, list[Curve]]]) -> None:
    """A line and a band for each learner that has a curve."""
    seen: dict[str, int] = {}
    for row, every in learners:
        found = [curve for curve in every if len(curve) > 1]
        if not found:
            continue
        style = STYLES[seen.setdefault(row.learner, 0) % len(STYLES)]
        seen[row.learner] += 1
        steps = np.linspace(max(curve[0][0] for curve in found), min(curve[-1][0] for curve in found), 200)
        values = np.array([np.interp(steps, *np.array(curve).T) for curve in found])
        colour = _colour(row.learner)
        axes.plot(steps, values.mean(0), style, color=colour, label=f"{row.label}, {tables.counted(len(found))}")
        axes.fill_between(steps, values.min(0), values.max(0), color=colour, alpha=0.15, linewidth=0)


def bars(panels: list[list[Row]], file: Path, bounds: dict[str, tuple[float, float]]) -> None:
    """The exported models, from chance (0) to the goal (1): a bar a learner, a dot a seed.

    Bars of what learned from demonstrations too are hatched. A bar that leaves the picture says how far it goes.

    Args:
        panels: rows of learners on the behaviours that stand beside each other; one panel below the other.
        file: the picture.
        bounds: returns of chance and of the goal, by behaviour.
    """
    figure, stacked = plt.subplots(len(panels), figsize=(11, 3.2 * len(panels)), layout="constrained", squeeze=False)
    for axes, rows in zip(stacked[:, 0], panels, strict=True):
        _bars(axes, rows, bounds)
    found = dict(pair[::-1] for axes in stacked[:, 0] for pair in zip(*axes.get_legend_handles_labels(), strict=True))
    order = [tables.name_of(learner) for learner in COLOURS]
    labels = sorted(found, key=lambda name: order.index(name) if name in order else len(order))
    handles = [found[label] for label in labels]
    figure.legend(handles, labels, loc="outside upper center", fontsize=8, ncols=4, frameon=False)
    _save(figure, file)


def _bars(axes: Axes, rows: list[Row], bounds: dict[str, tuple[float, float]]) -> None:
    behaviors = [name for name in bounds if any(row.behavior == name for row in rows)]
    for place, behavior in enumerate(behaviors):
        low, high = bounds[behavior]
        own = [row for row in rows if row.behavior == behavior]
        slot = 0.8 / max(len(own), 3)
        for turn, row in enumerate(own):
            share = (np.array(row.scores) - low) / (high - low)
            at = place + (turn - (len(own) - 1) / 2) * slot
            axes.bar(
                at,
                min(share.mean(), TALLEST),
                0.9 * slot,
                color=_colour(row.learner),
                label=tables.name_of(row.learner),
                hatch="//" if row.demonstrations else None,
                edgecolor="white",
                linewidth=0,
            )
            axes.plot(np.full(len(share), at), share.clip(LOWEST, TALLEST), "k.", markersize=3)
            if share.mean() > TALLEST:
                axes.annotate(f"{share.mean():.1f}", (at, TALLEST), (0, 3), **ABOVE)
    axes.axhline(1, color="black", linewidth=0.8, linestyle="--")
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set(ylim=(LOWEST, TALLEST + 0.15), xlim=(-0.6, len(behaviors) - 0.4))
    axes.set_yticks([0, 1], ["chance", "goal"])
    axes.set_xticks(range(len(behaviors)), behaviors, rotation=15, ha="right", fontsize=9)


def compared(scores: dict[str, np.ndarray], file: Path, repetitions: int = 2000) -> None:
    """Interquartile means with intervals, performance profiles, and the probability that one learner beats another.

    Source: Agarwal et al. (2021), https://arxiv.org/abs/2108.13264.

    Args:
        scores: [seeds, scenes] by learner, 0 as chance and 1 as the goal.
        file: the picture.
        repetitions: of the bootstrap.
    """
    from rliable import library, metrics

    learners = list(scores)
    means, intervals = library.get_interval_estimates(
        scores, lambda each: np.array([metrics.aggregate_iqm(each)]), reps=repetitions
    )
    thresholds = np.linspace(0, 1.2, 61)
    profiles, bands = library.create_performance_profile(scores, thresholds, reps=repetitions)
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(14, 3.8), layout="constrained")
    for place, learner in enumerate(learners):
        low, high = intervals[learner][:, 0]
        left.barh(place, high - low, left=low, color=_colour(learner), alpha=0.6)
        left.plot([means[learner][0]] * 2, [place - 0.35, place + 0.35], "k-")
        middle.plot(thresholds, profiles[learner], color=_colour(learner), label=learner)
        middle.fill_between(thresholds, *bands[learner], color=_colour(learner), alpha=0.15, linewidth=0)
    left.set_yticks(range(len(learners)), learners)
    left.set(xlabel="interquartile mean, with its 95 % interval", title="0: chance, 1: goal")
    middle.set(xlabel="score τ", ylabel="share of runs above τ", title="performance profile")
    middle.legend(fontsize=8)
    pairs = {
        f"{ours},{other}": (scores[ours], scores[other]) for ours in learners[:2] for other in learners if other != ours
    }
    chances, ranges = library.get_interval_estimates(pairs, metrics.probability_of_improvement, reps=repetitions)
    for place, pair in enumerate(pairs):
        low, high = np.ravel(ranges[pair])
        right.barh(place, high - low, left=low, color=_colour(pair.split(",")[0]), alpha=0.6)
        right.plot([np.ravel(chances[pair])[0]] * 2, [place - 0.35, place + 0.35], "k-")
    right.axvline(0.5, color="black", linewidth=0.8, linestyle="--")
    right.set_yticks(range(len(pairs)), [pair.replace(",", " > ") for pair in pairs], fontsize=8)
    right.set(xlabel="probability of improvement", xlim=(0, 1))
    _save(figure, file)


def _colour(learner: str) -> str:
    return COLOURS.get(learner, OTHER_COLOUR)


def _save(figure: Figure, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    # Without a date and a version in it the same records give the same file.
    figure.savefig(file, dpi=110, metadata={"Software": None})
    plt.close(figure)
