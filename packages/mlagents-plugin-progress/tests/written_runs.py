"""Runs as ML-Agents writes them, for the commands that read them."""

from collections.abc import Sequence
from pathlib import Path

import yaml
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

REWARD = "Environment/Cumulative Reward"


def write_events(
    folder: Path, rows: Sequence[tuple[int, float, dict[str, float]]], began: float = 1000.0, number: int = 0
) -> Path:
    """An event file: its first record, and then each row's step, time and values by tag."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"events.out.tfevents.{began:.0f}.host.{number}"
    with file.open("wb") as stream:
        records = RecordWriter(stream)
        records.write(Event(wall_time=began, file_version="brain.Event:2").SerializeToString())
        for step, when, values in rows:
            for tag, value in values.items():
                summary = Summary(value=[Summary.Value(tag=tag, simple_value=value)])
                records.write(Event(wall_time=when, step=step, summary=summary).SerializeToString())
    return file


def write_run(
    folder: Path,
    rewards: Sequence[float],
    behaviors: Sequence[str] = ("Basic",),
    settings: dict | None = None,
    seed: int = 1,
    *,
    has_ended: bool = True,
) -> Path:
    """A run with a summary every 100 steps and 10 seconds."""
    for behavior in behaviors:
        rows = [(100 * place, 1000.0 + 10 * place, {REWARD: reward}) for place, reward in enumerate(rewards, 1)]
        write_events(folder / behavior, rows)
    if has_ended:
        of_behavior = {"trainer_type": "dqn", "hyperparameters": {"learning_rate": 1e-3}, **(settings or {})}
        written = {
            "behaviors": dict.fromkeys(behaviors, of_behavior),
            "env_settings": {"seed": seed, "base_port": 5005 + seed},
            "checkpoint_settings": {"run_id": folder.name},
        }
        (folder / "configuration.yaml").write_text(yaml.safe_dump(written), encoding="utf-8")
    return folder
