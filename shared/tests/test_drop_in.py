"""ML-Agents' own SAC on our replay buffer, as the README shows it."""

from pathlib import Path

import pytest
from mlagents.plugins import all_trainer_settings, all_trainer_types
from mlagents.trainers.sac.optimizer_torch import SACSettings
from mlagents.trainers.sac.trainer import SACTrainer

from mlagents_plugin_shared.buffers import ReplayBuffer
from mlagents_plugin_shared.checkpoints import CheckpointSaver
from mlagents_plugin_shared.testing import Match, Target, ToyEnv, train


class FastSACTrainer(SACTrainer):
    """The example of the README."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.update_buffer = ReplayBuffer(self.hyperparameters.buffer_size, seed=self.seed)

    @staticmethod
    def create_model_saver(trainer_settings, model_path, load):
        return CheckpointSaver(trainer_settings, model_path, load)


@pytest.mark.parametrize("env", [Target(), Match()])
def test_sac_trains_on_our_replay_buffer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, env: ToyEnv) -> None:
    """Continuous and discrete: it updates, the buffer wraps around, and the run ends with a model."""
    monkeypatch.setitem(all_trainer_types, "fast_sac", FastSACTrainer)
    monkeypatch.setitem(all_trainer_settings, "fast_sac", SACSettings)
    config = {
        "trainer_type": "fast_sac",
        "max_steps": 400,
        "time_horizon": 8,
        "hyperparameters": {"batch_size": 16, "buffer_size": 200, "steps_per_update": 10},
        "network_settings": {"hidden_units": 16},
    }
    trainer = train(env, config, tmp_path)
    assert trainer.update_buffer.num_experiences == 200
    assert trainer.update_steps == pytest.approx(40, abs=2)
    assert (tmp_path / "Toy.onnx").exists()
