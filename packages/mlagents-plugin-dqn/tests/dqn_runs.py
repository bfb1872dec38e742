"""Settings that solve the toy tasks in a second or two, and what came of a run."""

from pathlib import Path
from typing import Any

import numpy as np

from mlagents_plugin_shared.testing import ToyEnv, train

AGENTS = 16
MEMORY = {"memory_size": 16, "sequence_length": 4}
NO_LEARNING = {"learning_rate": 1e-12}
"""The control of every task: learning rate 0, or next to it, as 0 is refused."""


def config(
    max_steps: int, hyperparameters: dict[str, Any] | None = None, network: dict[str, Any] | None = None, **others: Any
) -> dict[str, Any]:
    """What stands below a behaviour's name; the arguments win."""
    return {
        "trainer_type": "dqn",
        "max_steps": max_steps,
        "time_horizon": 8,
        "hyperparameters": {
            "learning_rate": 5e-3,
            "batch_size": 32,
            "buffer_size": 5000,
            "steps_per_update": 4,
            "target_update_interval": 25,
            "exploration_steps": max_steps // 2,
            **(hyperparameters or {}),
        },
        "network_settings": {"hidden_units": 32, "num_layers": 1, **(network or {})},
        **others,
    }


def final_return(env: ToyEnv) -> float:
    """Mean of the last 100 episodes of training, exploration included."""
    return float(np.mean(env.returns[-100:]))


def trained_return(env: ToyEnv, settings: dict[str, Any], results: Path, *, seed: int = 0) -> float:
    """Trains, and gives the final return."""
    train(env, settings, results, seed=seed)
    print(f"{type(env).__name__}: {final_return(env):.3f} over the last 100 of {len(env.returns)} episodes")
    return final_return(env)
