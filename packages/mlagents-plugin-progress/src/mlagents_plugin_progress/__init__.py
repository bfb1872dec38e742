"""Progress of ML-Agents' runs in the terminal, and learning curves and comparisons of them, for every trainer."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlagents.trainers.stats import StatsWriter

__version__ = "0.2.0"


def get_stats_writers(run_options: Any) -> "list[StatsWriter]":
    """Entry point of `mlagents.stats_writer`: what shows the progress of a run.

    Args:
        run_options: ML-Agents' `RunOptions` of the run.

    Returns:
        One writer; none where the variable `MLAGENTS_PROGRESS` is `off`.
    """
    from mlagents_plugin_progress.switches import Shown, how_shown

    shown = how_shown()
    if shown is Shown.OFF:
        return []
    from mlagents_plugin_progress.progress_writer import ProgressWriter

    return [ProgressWriter.start(run_options, in_place=shown is Shown.ON)]
