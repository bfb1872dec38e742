"""ML-Agents' own `run_training` in this process, from its checks to its last file, with a toy task for players."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlagents.plugins.trainer_type import register_trainer_plugins
from mlagents.trainers import learn
from mlagents.trainers.settings import RunOptions
from mlagents.trainers.simple_env_manager import SimpleEnvManager
from mlagents.trainers.stats import StatsReporter
from mlagents.trainers.training_status import GlobalTrainingStatus
from mlagents_envs.base_env import ActionTuple, BehaviorSpec
from mlagents_envs.side_channel.environment_parameters_channel import EnvironmentParametersChannel

from mlagents_plugin_shared.run.checkpoint_files import read_checkpoint
from mlagents_plugin_shared.testing import Duel, ToyEnv

TRAINERS: dict[str, dict[str, Any]] = {
    "dqn": {"batch_size": 8, "buffer_size": 500, "save_replay_buffer": True},
    "a2c": {"buffer_size": 50},
    "pqn": {"batch_size": 25, "buffer_size": 50},
    "flashsac": {"batch_size": 8, "buffer_size": 500, "steps_per_update": 2, "save_replay_buffer": True},
}
STEPS = 100


def settings(trainer_type: str, hyperparameters: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """A behaviour's settings."""
    return {
        "trainer_type": trainer_type,
        "max_steps": STEPS,
        "time_horizon": 8,
        "summary_freq": 50,
        "checkpoint_interval": 50,
        "hyperparameters": {**TRAINERS.get(trainer_type, {}), **(hyperparameters or {})},
        "network_settings": {"hidden_units": 8, "num_layers": 1},
        **changes,
    }


def start(
    folder: Path, behaviors: dict[str, Any], env: ToyEnv, mode: str = "first", run_id: str = "x", **place: Any
) -> None:
    """What `mlagents-learn` does once it has read its command line, for a run in `folder/results`."""
    register_trainer_plugins()
    GlobalTrainingStatus.saved_state.clear()
    StatsReporter.writers.clear()
    place = {"run_id": run_id, "results_dir": str(folder / "results"), **place}
    options = RunOptions.from_dict(
        {"behaviors": behaviors, "checkpoint_settings": {**place, "resume": mode == "resume", "force": mode == "force"}}
    )

    def manager(*_: Any) -> SimpleEnvManager:
        (folder / "results" / run_id / "run_logs" / "Player-0.log").write_text(f"A player of {type(env).__name__}")
        return SimpleEnvManager(env, EnvironmentParametersChannel())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learn, "SubprocessEnvManager", manager)
        learn.run_training(1, options, 1)


def files(folder: Path) -> dict[Path, bytes | None]:
    """Contents of all files, and None of folders."""
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def step_of(folder: Path, behavior: str = "Toy", run_id: str = "x") -> int:
    """Step of a run's checkpoint."""
    saved = read_checkpoint(folder / "results" / run_id / behavior / "checkpoint.pt")
    return int(saved["global_step"]["_GlobalSteps__global_step"])


class TwoBehaviors(Duel):
    """The teams as two behaviours, of which the second appears after some steps only."""

    def __init__(self, second: str = "Group/Other?team=0", appears_after: float = 0) -> None:
        super().__init__()
        self._names = ["Toy?team=0", second]
        self.steps_until = appears_after

    @property
    def behavior_specs(self) -> dict[str, BehaviorSpec]:
        """Those that have appeared."""
        return dict(list(super().behavior_specs.items())[: 1 + (self.steps_until <= 0)])

    def step(self) -> None:
        """Acts for those that have not appeared."""
        self.steps_until -= 1
        for name in self._names:
            self._actions.setdefault(name, ActionTuple(discrete=np.zeros((self.num_agents, 1), np.int32)))
        super().step()


class Alone(TwoBehaviors):
    """The first behaviour alone."""

    def __init__(self, name: str = "Toy?team=0") -> None:
        super().__init__(appears_after=float("inf"))
        self._names[0] = name
