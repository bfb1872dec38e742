"""A player that was started again costs the episodes that were underway, and nothing else."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlagents.trainers.simple_env_manager import SimpleEnvManager
from mlagents.trainers.trajectory import ObsUtil
from mlagents_envs.base_env import ActionSpec, ActionTuple
from mlagents_envs.exception import UnityCommunicationException

from mlagents_plugin_shared.run.episodes import Episodes
from mlagents_plugin_shared.testing import Outcome, ToyEnv, in_process, train
from recording import registered  # noqa: F401 - a fixture
from short_runs import settings

pytestmark = pytest.mark.usefixtures("registered")


class RestartingManager(SimpleEnvManager):
    """Begins anew where the environment fails, as ML-Agents' manager of players does."""

    def _step(self) -> list:
        try:
            return super()._step()
        except UnityCommunicationException:
            self.reset()
            return super()._step()


class Crashing(ToyEnv):
    """Episodes of 6 steps with reward 1 each, whose observations are all different; every 11th step fails."""

    action_spec = ActionSpec(0, (2,))
    observation_shapes = ((2,),)

    def __init__(self) -> None:
        super().__init__()
        self.episode = np.zeros(self.num_agents)
        self.age = np.zeros(self.num_agents)
        self.attempts = 0

    def begin(self, agents: np.ndarray) -> None:
        """Counts episodes."""
        self.episode[agents] += 1
        self.age[agents] = 0

    def observe(self) -> list[np.ndarray]:
        """Episode and step."""
        return [np.stack([self.episode, self.age], axis=1).astype(np.float32)]

    def act(self, action: ActionTuple) -> Outcome:
        """Pays."""
        self.age += 1
        return np.ones(self.num_agents), self.age == 6, self.age > 6

    def step(self) -> None:
        """Acts, or fails."""
        self.attempts += 1
        if self.attempts % 11 == 0:
            raise UnityCommunicationException("the player is gone")
        super().step()


def returns_with_crashes(folder: Path, monkeypatch: pytest.MonkeyPatch, trainer_type: str) -> tuple[Any, set[float]]:
    """The trainer, and the returns of the episodes that it counted."""
    monkeypatch.setattr(in_process, "SimpleEnvManager", RestartingManager)
    values = settings(trainer_type, time_horizon=2)
    values["network_settings"]["memory"] = {"memory_size": 8, "sequence_length": 2}
    trainer = train(Crashing(), values, folder)
    return trainer, set(trainer.episodes.returns)


@pytest.mark.parametrize("trainer_type", ["replay", "rollout"])
def test_restarted_player_costs_open_segments_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trainer_type: str
) -> None:
    """No reward and no transition leads from an episode that was cut into the next one."""
    trainer, returns = returns_with_crashes(tmp_path, monkeypatch, trainer_type)
    assert returns == {5.0, 6.0}  # ML-Agents drops the first step after a restart
    if trainer_type == "replay":
        steps = trainer.update_buffer.gather(np.arange(trainer.update_buffer.num_experiences))
        now, following = steps[ObsUtil.get_name_at(0)], steps[ObsUtil.get_name_at_next(0)]
        np.testing.assert_array_equal(now[:, 0], following[:, 0])


def test_cuts_that_are_not_noticed_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: the rewards of both episodes are counted as one."""
    monkeypatch.setattr(Episodes, "was_cut", lambda self, segment: False)
    assert max(returns_with_crashes(tmp_path, monkeypatch, "replay")[1]) > 6.0
