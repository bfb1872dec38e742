"""DQN with actors: their rungs, and the first priorities of what they send."""

from pathlib import Path

import numpy as np
import pytest
from mlagents.plugins.trainer_type import register_trainer_plugins
from mlagents.torch_utils import torch
from mlagents.trainers.settings import RunOptions
from mlagents_envs.side_channel.environment_parameters_channel import EnvironmentParametersChannel

from mlagents_plugin_shared.data import ReplayBuffer, ReplayKey
from mlagents_plugin_shared.learning.transitions import add_window_rewards
from mlagents_plugin_shared.run import experience_source
from mlagents_plugin_shared.run.actor import Actor, Place
from mlagents_plugin_shared.run.experience_source import ActingBehavior
from mlagents_plugin_shared.testing import BEHAVIOR, Corridor, InProcessSource, train


def actor(rank: int = 0, total: int = 1, **hyperparameters: object) -> Actor:
    """One that plays the corridor."""
    register_trainer_plugins()
    settings = {
        "trainer_type": "dqn",
        "time_horizon": 8,
        "hyperparameters": hyperparameters,
        "network_settings": {"hidden_units": 16, "num_layers": 1},
    }
    options = RunOptions.from_dict({"behaviors": {BEHAVIOR: settings}})
    env = Corridor()
    env.reset()
    behavior = ActingBehavior(
        f"{BEHAVIOR}?team=0", env.behavior_specs[f"{BEHAVIOR}?team=0"], options.behaviors[BEHAVIOR], 0
    )
    made = Actor(behavior, env, EnvironmentParametersChannel(), Place(rank, total))
    made.load(made.policy.get_weights(), 0)
    made.reset()
    return made


@pytest.mark.parametrize("exploration", ["schedule", "ladder"])
def test_each_of_several_actors_keeps_a_rung(exploration: str):
    """0.4^(1 + 7 i / (N - 1)): 0.4 and 0.4^4.5 and 0.4^8 of three."""
    for rank, epsilon in enumerate((0.4, 0.4**4.5, 0.4**8)):
        policy = actor(rank, 3, exploration=exploration).policy
        for step in (0, 10**6):
            policy.set_step(step)
            assert policy._epsilons(["a"]) == pytest.approx(epsilon, rel=1e-5)


def test_one_actor_alone_explores_by_the_schedule():
    """It goes by the step, which comes with the weights."""
    policy = actor(exploration_initial_eps=1.0, exploration_final_eps=0.1, exploration_steps=100).policy
    assert policy._epsilons(["a"]) == 1.0
    policy.load_weights({**policy.get_weights(), "exploration_step": 100})
    assert policy._epsilons(["a"]) == pytest.approx(0.1)


def test_noise_on_weights_explores_in_place_of_a_rung():
    """As in a single process."""
    assert actor(0, 3, noisy=True).policy._epsilons(["a"]) == 0.0


@pytest.mark.parametrize("extension", [{}, {"n_step": 1}, {"distribution": "quantile"}, {"munchausen": True}])
def test_first_priorities_are_the_errors_of_an_update(extension: dict):
    """Before it has learned, with a target network that is equal to the online one."""
    played = actor(prioritized_replay=True, **extension)
    delivery = played.collect(400)
    optimizer = played._priorities._optimizer
    assert len(delivery.errors) == len(delivery.segments) > 4
    for segment, errors in zip(delivery.segments, delivery.errors, strict=True):
        replay = ReplayBuffer(len(segment))
        replay.add(segment)
        is_open = not (segment.terminated or segment.interrupted)
        assert np.isnan(errors).tolist() == [False] * (len(segment) - 1) + [is_open]
        batch = replay.all_n_step(played._priorities._n_step)
        add_window_rewards(batch, replay.gather(batch[ReplayKey.WINDOW].ravel()), optimizer.reward_signals)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(optimizer.descent, "step", lambda loss: 0.0)
            batch[ReplayKey.WEIGHT] = np.ones(batch.num_experiences, np.float32)
            optimizer.update(batch, batch.num_experiences)
        np.testing.assert_allclose(errors[~np.isnan(errors)], batch[ReplayKey.ERROR], rtol=1e-5)


@pytest.mark.parametrize("without", [{}, {"prioritized_replay": False}])
def test_uniform_replay_asks_for_no_priorities(without: dict):
    """They would cost the actor's time."""
    assert actor(**without).collect(40).errors is None


class Point:
    """An entry point."""

    name, value = "here", "tests:make"

    @staticmethod
    def load():
        return lambda settings: InProcessSource(settings, lambda rank: Corridor(seed=rank + 1))


def test_dqn_learns_from_actors(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """The corridor, with prioritised replay, most steps of which come from elsewhere."""
    monkeypatch.setattr(experience_source, "entry_points", lambda group: [Point])
    torch.manual_seed(0)
    settings = {
        "trainer_type": "dqn",
        "max_steps": 6000,
        "hyperparameters": {
            "actors": {"count": 2, "weights_every": 64},
            "learning_rate": 3.0e-3,
            "batch_size": 32,
            "buffer_size": 5000,
            "target_update_interval": 50,
            "exploration_steps": 1000,
            "prioritized_replay": True,
        },
        "network_settings": {"hidden_units": 32, "num_layers": 1},
    }
    env = Corridor()
    trainer = train(env, settings, tmp_path)
    assert np.mean(env.returns[-20:]) > 0.7, env.returns[-20:]
    assert trainer.update_buffer.serial == trainer.get_step
