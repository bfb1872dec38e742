"""Trainers that own what every algorithm repeats: intake, statistics, reward signals, saving and resuming."""

from mlagents_plugin_shared.trainers.replay import ReplayTrainer
from mlagents_plugin_shared.trainers.rollout import RolloutTrainer

__all__ = ["ReplayTrainer", "RolloutTrainer"]
