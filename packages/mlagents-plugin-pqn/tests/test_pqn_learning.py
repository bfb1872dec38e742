"""Whole runs in process on tasks of a few lines, each with a control that must fail."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlagents_plugin_shared.testing import Corridor, MemoryChain, ToyEnv, train


def config(max_steps: int, *, memory: Any = None, **hyperparameters: Any) -> dict[str, Any]:
    """Settings for 32 agents."""
    return {
        "trainer_type": "pqn",
        "max_steps": max_steps,
        "time_horizon": 32,
        "hyperparameters": {
            "learning_rate": 1e-3,
            "buffer_size": 1024,
            "exploration_steps": max_steps // 4,
            "exploration_final_eps": 0.01,
            **hyperparameters,
        },
        "network_settings": {"hidden_units": 128, "num_layers": 1, "memory": memory},
    }


def final_return(env: ToyEnv) -> float:
    """Mean of the last 100 episodes, exploration included."""
    return float(np.mean(env.returns[-100:]))


@pytest.mark.parametrize("remembers", [True, False], ids=["memory", "none"])
def test_pqn_remembers_for_twenty_steps(tmp_path: Path, remembers: bool) -> None:
    """A sign seen at first is told at the end; without memory the return is that of chance, 0."""
    env = MemoryChain(32, length=20)
    memory = {"memory_size": 128, "sequence_length": 32} if remembers else None
    train(env, config(40_000, memory=memory), tmp_path)
    print(f"{final_return(env):.3f}")
    assert (final_return(env) >= 0.9) is remembers
    assert remembers or final_return(env) < 0.4


@pytest.mark.parametrize("num_agents", [1, 100])
def test_pqn_learns_with_any_number_of_agents(tmp_path: Path, num_agents: int) -> None:
    """A rollout is as many agent steps, whoever took them."""
    env = Corridor(num_agents)
    train(env, config(12_000, buffer_size=256, batch_size=64), tmp_path)
    print(f"{final_return(env):.3f}")
    assert final_return(env) >= 0.7
