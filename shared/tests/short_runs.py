"""Short runs with checkpoints, and what lies in their folders."""

from pathlib import Path
from typing import Any

import numpy as np
from mlagents_envs.base_env import ActionSpec, ActionTuple

from mlagents_plugin_shared.testing import BEHAVIOR, Outcome, ToyEnv
from recording import config


class Paying(ToyEnv):
    """Episodes of one step; the reward of the n-th of an agent is the n-th of a list, then its last."""

    action_spec = ActionSpec(0, (2,))
    observation_shapes = ((1,),)

    def __init__(self, rewards: list[float], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rewards = rewards
        self.acted = 0

    def begin(self, agents: np.ndarray) -> None:
        """Every episode is the same."""

    def observe(self) -> list[np.ndarray]:
        """Nothing to see."""
        return [np.ones((self.num_agents, 1), dtype=np.float32)]

    def act(self, action: ActionTuple) -> Outcome:
        """Pays."""
        reward = self.rewards[min(self.acted, len(self.rewards) - 1)]
        self.acted += 1
        over = np.ones(self.num_agents, dtype=bool)
        return np.full(self.num_agents, reward), over, ~over


def settings(trainer_type: str = "rollout", max_steps: int = 400, *, interval: int = 100, **changes: Any) -> dict:
    """A short run with checkpoints and summaries."""
    hyperparameters = changes.pop("hyperparameters", {})
    values = config(trainer_type, max_steps, buffer_size=50, **hyperparameters)
    return {**values, "checkpoint_interval": interval, "summary_freq": 40, **changes}


def parts_of(checkpoint: dict) -> dict[str, dict]:
    """States of the trainer's parts."""
    return checkpoint["Trainer"]["parts"]


def names(folder: Path) -> set[str]:
    """Names of the files of the behaviour."""
    return {file.name for file in (folder / BEHAVIOR).iterdir()}


def steps_of(folder: Path, suffix: str = ".pt") -> list[int]:
    """Steps of the numbered checkpoints."""
    stems = [file.stem.rpartition("-")[2] for file in (folder / BEHAVIOR).glob(f"{BEHAVIOR}-*{suffix}")]
    return sorted(int(stem) for stem in stems if stem.isdigit())
