"""Demonstrations: their share in the scale of rewards, in batches, and in what is learned."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlagents.torch_utils import torch
from mlagents_envs.base_env import ActionTuple

from flashsac_testing import trainer, transitions_of
from mlagents_plugin_flashsac.trainer import FlashSACTrainer
from mlagents_plugin_shared.data import PrioritizedReplayBuffer, ReplayKey
from mlagents_plugin_shared.learning.reward_scale import RewardScale
from mlagents_plugin_shared.run.checkpoints import CheckpointSaver
from mlagents_plugin_shared.testing import TEAM, Match, differences, killed_and_resumed, record

LARGE = 200.0
MEMORY = {"memory_size": 8, "sequence_length": 4}


def expert(seen: np.ndarray) -> ActionTuple:
    """The choices that are shown, and the number."""
    shown = [part.argmax() for part in np.split(seen[:8], [3, 6])]
    return ActionTuple(seen[None, -1:], np.array([shown], np.int32))


def demonstrations(folder: Path, decisions: int = 100, reward_scale: float = 1.0) -> str:
    """An expert gets the best return of `Match`, 1, in each episode."""
    env = Match(1, continuous=True, reward_scale=reward_scale)
    return record(env, expert, folder / "expert.demo", decisions=decisions)


def learner(settings: dict[str, Any] | None = None, **hyperparameters: Any) -> FlashSACTrainer:
    """A trainer of `Match` with choices and a number."""
    spec = Match(1, continuous=True).behavior_specs[TEAM.behavior_id]
    return trainer(spec=spec, settings=settings, **hyperparameters)


def test_demonstrations_are_in_the_scale_of_rewards_before_the_first_step(tmp_path: Path) -> None:
    """What was demonstrated fits into `v_max`; without demonstrations, the control, nothing is known."""
    made = learner(demo_path=demonstrations(tmp_path, reward_scale=LARGE))
    assert made.optimizer.reward_scale.scale.item() == pytest.approx(LARGE / made.hyperparameters.v_max)
    assert learner().optimizer.reward_scale.scale.item() == 1.0


@pytest.mark.parametrize("memory", [None, MEMORY], ids=["feed-forward", "memory"])
@pytest.mark.parametrize("prioritized", [False, True])
def test_demonstrations_alone_are_learned_from(tmp_path: Path, prioritized: bool, memory: dict | None) -> None:
    """Updates before the first step move the weights and stay finite; priorities are those of demonstrations."""
    network = {"network_settings": {"hidden_units": 16, "num_layers": 1, "memory": memory}}
    options = {"prioritized_replay": prioritized, "actor_update_interval": 1}
    made = learner(network, demo_path=demonstrations(tmp_path), demo_pretraining_steps=3, **options)
    assert made.optimizer.updates == 3
    assert made.optimizer.guard.skipped == 0
    fresh = learner(network, **options)
    weights = [torch.nn.utils.parameters_to_vector(each.policy.actor.parameters()) for each in (made, fresh)]
    assert torch.isfinite(weights[0]).all()
    assert not torch.equal(*weights)
    assert isinstance(made.demonstrations, PrioritizedReplayBuffer) is prioritized
    if prioritized:
        made.replay.ratio = 1.0
        assert len(set(made.sample()[ReplayKey.WEIGHT].ravel())) > 1


@pytest.mark.parametrize("forgets", [False, True])
def test_demonstrations_resume_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forgets: bool) -> None:
    """They are read again and not counted twice; the control, a scale that is not taken up, ends elsewhere."""
    monkeypatch.setattr(CheckpointSaver, "export", lambda self, path, name: Path(f"{path}.onnx").touch())
    if forgets:
        monkeypatch.setattr(RewardScale, "load_state_dict", lambda self, state: None)
    demo = demonstrations(tmp_path, 30, reward_scale=LARGE)
    settings = {
        "trainer_type": "flashsac",
        "max_steps": 240,
        "checkpoint_interval": 130,
        "time_horizon": 8,
        "reward_signals": {"extrinsic": {}, "gail": {"demo_path": demo}},  # who pays otherwise for them at each start
        "hyperparameters": {
            "demo_path": demo,
            "demo_ratio": 0.3,
            "batch_size": 32,
            "buffer_size": 150,
            "steps_per_update": 6,
            "prioritized_replay": True,
            "save_replay_buffer": True,
        },
        "network_settings": {"hidden_units": 16, "num_layers": 1},
    }
    found = differences(*killed_and_resumed(Match, settings, tmp_path, continuous=True))
    assert any("reward_scale" in name for name in found) is forgets
    assert forgets or found == []


@pytest.mark.parametrize("pretraining", [300, 1])
def test_pretraining_tells_critics_what_was_demonstrated(tmp_path: Path, pretraining: int) -> None:
    """Each choice got 200, and both critics know it, but for a tenth; after one update, the control, they do not."""
    options = {"demo_pretraining_steps": pretraining, "batch_size": 32, "learning_rate": 3e-3}
    network = {"network_settings": {"hidden_units": 64, "num_layers": 1}}
    made = learner(network, demo_path=demonstrations(tmp_path, reward_scale=LARGE), **options)
    made.replay.ratio = 1.0
    transitions, twins = transitions_of(made, made.sample()), made.optimizer.twins
    with torch.no_grad():
        features = twins.features(transitions.encode(twins), transitions.continuous_action)
        predictions, _ = twins.head.predict(features)
        q = twins.head.predicted_mean(twins.chosen(predictions, transitions.discrete_action))
    error = (q * made.optimizer.reward_scale.scale - LARGE).abs().mean().item()
    print(f"{error:.1f}")
    assert (error < 0.1 * LARGE) is (pretraining > 1)
