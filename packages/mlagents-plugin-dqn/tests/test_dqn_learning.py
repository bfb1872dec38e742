"""Whole runs in process on tasks of a few lines, each with a control that must fail."""

from pathlib import Path

import numpy as np
import pytest
from mlagents.torch_utils import torch

from dqn_runs import AGENTS, MEMORY, NO_LEARNING, config, trained_return
from mlagents_plugin_shared.testing import (
    Corridor,
    Recall,
    train,
)


def test_dqn_remembers_with_burn_in(tmp_path: Path) -> None:
    """A sign seen two steps ago is nearly always right where the memory is burnt in; chance is 0."""
    settings = config(3000, {"batch_size": 64, "steps_per_update": 8, "burn_in": 2}, {"memory": MEMORY})
    assert trained_return(Recall(AGENTS), settings, tmp_path) >= 0.8


@pytest.mark.parametrize(
    ("num_agents", "max_steps", "threaded"),
    [(1, 1600, False), (12, 1600, False), (12, 1600, True), (100, 4000, False)],
)
def test_dqn_updates_at_its_ratio_for_any_number_of_agents(
    tmp_path: Path, num_agents: int, max_steps: int, threaded: bool
) -> None:
    """One update in four agent steps once a batch of 32 is there, whoever took them; and the corridor is solved."""
    env = Corridor(num_agents)
    trainer = train(env, config(max_steps, threaded=threaded), tmp_path)
    assert trainer._updates_due < 1.0
    # The round in which max_steps is reached is learned from to its end; in a thread of its own others may follow.
    assert (max_steps - 32) / 4 - 3 <= trainer.optimizer.updates <= (trainer.get_step - 32) / 4 + 3
    assert threaded or trainer.optimizer.updates == pytest.approx((trainer.get_step - 32) / 4, abs=3)
    assert np.mean(env.returns[-50:]) >= 0.65


@pytest.mark.parametrize("threaded", [False, True], ids=["", "threaded"])
def test_dqn_resumes_without_a_dip(tmp_path: Path, threaded: bool) -> None:
    """Step, weights, target network, replay and priorities go on: the first episodes are as good as the last were."""
    hyperparameters = {"save_replay_buffer": True, "prioritized_replay": True, "exploration_steps": 600}
    settings = config(1600, hyperparameters, threaded=threaded, checkpoint_interval=500)
    before, after = Corridor(AGENTS), Corridor(AGENTS, seed=1)
    first = train(before, settings, tmp_path)
    assert (tmp_path / "Toy.onnx").exists()
    second = train(after, {**settings, "max_steps": 2400}, tmp_path, resume=True)
    assert second.get_step > first.get_step
    assert second.update_buffer.num_experiences > first.update_buffer.num_experiences - 10
    assert second.optimizer.updates > first.optimizer.updates > 0
    print(*(f"{np.mean(part):.3f}" for part in (before.returns[:50], before.returns[-50:], after.returns[:50])))
    assert np.mean(before.returns[-50:]) >= 0.7
    assert np.mean(after.returns[:50]) >= np.mean(before.returns[-50:]) - 0.05
    # The control: a run that starts anew begins at chance.
    assert np.mean(before.returns[:50]) < 0.5


def test_dqn_follows_a_curriculum(tmp_path: Path) -> None:
    """The start moves away from the goal once near starts are mastered; far ones pay 0.85 at most."""
    env = Corridor(AGENTS)
    train(env, config(2000), tmp_path, environment_parameters=CURRICULUM)
    assert max(env.returns) > 0.89
    assert env.parameters["start"] == 0.0
    assert max(env.returns[-20:]) < 0.86


def test_dqn_without_learning_stays_in_the_first_lesson(tmp_path: Path) -> None:
    """The control: the start stays near the goal. One network in three is born to walk there."""
    starts = []
    for seed in range(3):
        env = Corridor(AGENTS)
        settings = config(600, NO_LEARNING)
        train(env, settings, tmp_path / str(seed), seed=seed, environment_parameters=CURRICULUM)
        starts.append(env.parameters["start"])
    assert starts.count(3.0) >= 2


MASTERED = {"behavior": "Toy", "measure": "reward", "threshold": 0.85, "min_lesson_length": 50}
CURRICULUM = {
    "start": {
        "curriculum": [
            {"name": "near", "value": 3.0, "completion_criteria": MASTERED},
            {"name": "far", "value": 0.0},
        ]
    }
}


def test_dqn_infers_without_exploring_or_learning(tmp_path: Path) -> None:
    """A solved corridor is walked straight to the goal, the weights stay, and no checkpoint is written."""
    settings = config(2000, checkpoint_interval=500)
    first = train(Corridor(AGENTS), settings, tmp_path)
    files = sorted(tmp_path.rglob("*.pt"))
    env = Corridor(AGENTS, seed=1, max_steps=50)
    second = train(env, settings, tmp_path, resume=True, inference=True)
    assert min(env.returns) >= 0.75
    for before, after in zip(first.policy.actor.parameters(), second.policy.actor.parameters(), strict=True):
        assert torch.equal(before, after)
    assert sorted(tmp_path.rglob("*.pt")) == files
