"""Whole runs in process on tasks of a few lines, each with a control that must fail."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlagents.torch_utils import torch

from dqn_runs import AGENTS, MEMORY, NO_LEARNING, config, trained_return
from mlagents_plugin_shared.testing import (
    Corridor,
    Crowd,
    Duel,
    Goal,
    MaskedGrid,
    Match,
    Picture,
    Recall,
    ToyEnv,
    train,
)

FOUR_BRANCHES = (3, 3, 3, 2)
SELF_PLAY = {"save_steps": 200, "swap_steps": 100, "team_change": 1000}


@pytest.mark.parametrize("masked", [False, True])
def test_dqn_solves_the_corridor(tmp_path: Path, masked: bool) -> None:
    """At least 0.7 of 0.8, and with masks no illegal action in the whole run."""
    env = Corridor(AGENTS, masked=masked)
    assert trained_return(env, config(1600), tmp_path) >= 0.7
    assert env.illegal_actions == 0


def test_dqn_without_learning_fails_the_corridor(tmp_path: Path) -> None:
    """The control of the corridor."""
    assert trained_return(Corridor(AGENTS), config(1000, NO_LEARNING), tmp_path) < 0.0


def test_dqn_finds_its_way_by_changing_masks(tmp_path: Path) -> None:
    """At least 0.6 of 0.7 where only the mask says which way is open, and never an illegal action."""
    env = MaskedGrid(AGENTS)
    assert trained_return(env, config(2400), tmp_path) >= 0.6
    assert env.illegal_actions == 0


def test_dqn_without_the_masks_loses_its_way(tmp_path: Path) -> None:
    """The control: the masks are kept from the trainer, and it falls."""
    env = MaskedGrid(AGENTS, hides_masks=True)
    assert trained_return(env, config(1600), tmp_path) < -0.2
    assert env.illegal_actions > 100


def test_dqn_learns_four_branches(tmp_path: Path) -> None:
    """Branches of 3, 3, 3 and 2 at once: at least 0.9 of 1."""
    assert trained_return(Match(AGENTS, branches=FOUR_BRANCHES), config(1600), tmp_path) >= 0.9


@pytest.mark.parametrize(("blank", "hyperparameters"), [([], NO_LEARNING), ([0], {})], ids=["no learning", "blank"])
def test_dqn_fails_four_branches_without_learning_or_sight(tmp_path: Path, blank: list, hyperparameters: dict) -> None:
    """The controls stay at chance, 3/8."""
    env = Match(AGENTS, branches=FOUR_BRANCHES, blank=blank)
    assert trained_return(env, config(1000, hyperparameters), tmp_path) < 0.5


@pytest.mark.parametrize("blank", [False, True], ids=["seen", "blank"])
@pytest.mark.parametrize(
    ("task", "sensor", "max_steps", "enough", "blind"),
    [(Picture, 0, 1200, 0.8, 0.5), (Crowd, 0, 2000, 0.8, 0.65), (Goal, 1, 1600, 0.85, 0.65)],
    ids=["picture", "entities", "goal"],
)
def test_dqn_sees(
    tmp_path: Path, task: type[ToyEnv], sensor: int, max_steps: int, enough: float, blind: float, blank: bool
) -> None:
    """Pictures, entities of any number and goal signals by hyper networks; chance where the sensor shows zeros."""
    env = task(AGENTS, blank=[sensor] if blank else [])
    settings = config(max_steps, {"steps_per_update": 8 if task is Crowd else 4})
    reached = trained_return(env, settings, tmp_path)
    assert reached < blind if blank else reached >= enough


@pytest.mark.parametrize(
    ("memory", "burn_in", "low", "high"), [(MEMORY, 0, 0.8, 1.0), (MEMORY, 2, 0.8, 1.0), (None, 0, -1.0, 0.5)]
)
def test_dqn_remembers_with_memory_only(tmp_path: Path, memory: Any, burn_in: int, low: float, high: float) -> None:
    """A sign seen two steps ago: nearly always right with memory, burnt in or not, and chance without."""
    settings = config(3000, {"batch_size": 64, "steps_per_update": 8, "burn_in": burn_in}, {"memory": memory})
    assert low <= trained_return(Recall(AGENTS), settings, tmp_path) <= high


def test_dqn_plays_itself(tmp_path: Path) -> None:
    """Through ML-Agents' ghost trainer both teams act, and the policy learns to call the winning number."""
    trainer = train(Duel(), config(2000, self_play=SELF_PLAY), tmp_path)
    assert trainer.policies["Toy?team=0"].get_current_step() > 0
    assert share_of_winning_calls(trainer) == 1.0


def test_dqn_playing_itself_without_learning_fails(tmp_path: Path) -> None:
    """The control calls what it was born with, for either of two births: not always the winning number."""
    shares = [
        share_of_winning_calls(
            train(Duel(), config(400, NO_LEARNING, self_play=SELF_PLAY), tmp_path / str(seed), seed=seed)
        )
        for seed in (0, 1)
    ]
    assert min(shares) < 1.0


def share_of_winning_calls(trainer: Any) -> float:
    """How often the greedy policy of team 0 calls 2."""
    duel = Duel(num_agents=100)
    duel.reset()
    policy = trainer.policies["Toy?team=0"]
    policy.epsilon = lambda step: 0.0
    return float((policy.get_action(duel.get_steps("Toy?team=0")[0]).env_action.discrete == 2).mean())


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


@pytest.mark.parametrize("memory", [None, MEMORY])
def test_dqn_trains_with_intrinsic_rewards(tmp_path: Path, memory: Any) -> None:
    """Curiosity and RND beside the extrinsic reward, each with its own discount, with and without memory."""
    signals = {
        "extrinsic": {"gamma": 0.99},
        "curiosity": {"gamma": 0.9, "strength": 0.01},
        "rnd": {"gamma": 0.8, "strength": 0.01},
    }
    trainer = train(Corridor(), config(200, network={"memory": memory}, reward_signals=signals), tmp_path)
    assert list(trainer.optimizer.streams) == ["extrinsic", "curiosity", "rnd"]
    assert all(torch.isfinite(parameter).all() for parameter in trainer.policy.actor.parameters())
    assert trainer.optimizer.reward_signals["curiosity"]._has_updated_once
