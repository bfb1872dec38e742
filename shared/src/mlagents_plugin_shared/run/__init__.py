"""What a run does: trainers that own what algorithms repeat, settings, checkpoints, export, and mends of ML-Agents."""

from mlagents_plugin_shared.run.replay_trainer import ReplayTrainer
from mlagents_plugin_shared.run.rollout_trainer import RolloutTrainer

__all__ = ["ReplayTrainer", "RolloutTrainer"]
