"""A run as ML-Agents reports it to its stats writers, with no environment and no trainer: simulated_run.py JSON."""

import json
import sys
from pathlib import Path

from mlagents.plugins.stats_writer import register_stats_writer_plugins
from mlagents.plugins.trainer_type import register_trainer_plugins
from mlagents.trainers.exception import TrainerConfigError
from mlagents.trainers.policy.checkpoint_manager import ModelCheckpoint, ModelCheckpointManager
from mlagents.trainers.settings import RunOptions, TrainerSettings
from mlagents.trainers.stats import StatsPropertyType, StatsReporter, StatsWriter
from mlagents_envs import logging_util
from mlagents_envs.side_channel.stats_side_channel import StatsAggregationMethod

logger = logging_util.get_logger(__name__)
register_trainer_plugins()  # here, since it takes seconds: a test imports this once


class Listener(StatsWriter):
    """A writer of somebody else's, which counts what it gets."""

    def __init__(self) -> None:
        self.summaries = 0

    def write_stats(self, category, values, step) -> None:
        self.summaries += 1


def main(given: dict) -> None:
    """Reports a run of some summaries."""
    folder = Path(given["folder"])
    options = RunOptions.from_dict(
        {
            "checkpoint_settings": {
                "run_id": folder.name,
                "results_dir": str(folder.parent),
                "resume": given.get("resume", False),
                "inference": given.get("inference", False),
            }
        }
    )
    logging_util.set_log_level(logging_util.INFO)
    writers = register_stats_writer_plugins(options)
    listener = Listener()
    for writer in [*writers, listener]:
        StatsReporter.add_writer(writer)
    if given.get("end") == "refused":
        raise TrainerConfigError("Basic: batch_size: 0 is below 1.")
    _make_drawing_immediate(given.get("silence", 60.0))
    behaviors = given.get("behaviors", ["Basic"])
    settings = {**TrainerSettings(max_steps=1000).as_dict(), **given.get("settings", {})}
    for behavior in behaviors:
        StatsReporter(behavior).add_property(StatsPropertyType.HYPERPARAMETERS, settings)
        if settings.get("self_play"):
            StatsReporter(behavior).add_property(StatsPropertyType.SELF_PLAY, True)
    for summary in range(1, given.get("summaries", 5) + 1):
        for behavior in behaviors:
            _report(behavior, 100 * summary + given.get("from", 0), given)
    for line in given.get("lines", []):
        logger.info(line)
    if "ask" in given:
        tellers = [writer for writer in writers if hasattr(writer, "tells_the_end_of")]
        print(f"told: {[name for name in given['ask'] if any(each.tells_the_end_of(name) for each in tellers)]}")
    if given.get("end") == "error":
        raise RuntimeError("the wheel came off")
    print(f"others got {listener.summaries} summaries")


def _report(behavior: str, step: int, given: dict) -> None:
    reporter = StatsReporter(behavior)
    reporter.set_stat("Step", float(step))
    for reward in (step / 1000, step / 1000 + 0.1):
        reporter.add_stat("Environment/Cumulative Reward", reward, StatsAggregationMethod.HISTOGRAM)
    if "group" in given:
        reporter.add_stat("Environment/Group Cumulative Reward", given["group"], StatsAggregationMethod.HISTOGRAM)
    if given.get("settings", {}).get("self_play"):
        reporter.add_stat("Self-play/ELO", 1200 + step)
    reporter.add_stat("Is Training", 1.0)
    reporter.write_stats(step)
    checkpoint = ModelCheckpoint(step, f"{behavior}-{step}.onnx", 0.5, 0.0)
    ModelCheckpointManager.add_checkpoint(behavior, checkpoint, 5)


def _make_drawing_immediate(silence: float) -> None:
    """So that a test sees what is drawn, and does not depend on the time that it takes."""
    if "mlagents_plugin_progress" in sys.modules:
        from mlagents_plugin_progress import live, progress_writer

        progress_writer.SILENCE = silence
        live.LEAST_SECONDS = 0.0
        live.LARGEST_SHARE = 1e9


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
