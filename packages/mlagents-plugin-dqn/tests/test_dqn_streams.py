"""Streams of chance: no two policies or parts of a run draw the same numbers, and a seed repeats them."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlagents.torch_utils import torch
from mlagents.trainers.behavior_id_utils import BehaviorIdentifiers
from mlagents.trainers.ghost.trainer import GhostTrainer
from mlagents.trainers.settings import TrainerSettings
from mlagents_envs.base_env import ActionTuple

from dqn_testing import behavior_spec, decision_steps
from mlagents_plugin_dqn.trainer import DQNTrainer
from mlagents_plugin_shared.acting.q_policy import LADDER, QPolicy
from mlagents_plugin_shared.run.checkpoint_files import read_checkpoint
from mlagents_plugin_shared.testing import BEHAVIOR, Duel, Match, Outcome, record, rewrite_as_0_1, train

SPEC = behavior_spec((3,), ((9,),))
RANDOM = {"exploration_schedule": "constant", "exploration_initial_eps": 1.0}


def trainer(name: str, path: Path, *, seed: int = 1, **hyperparameters: Any) -> DQNTrainer:
    """A trainer of a behaviour, without a policy."""
    config = {
        "trainer_type": "dqn",
        "hyperparameters": {"batch_size": 8, "buffer_size": 1000, **RANDOM, **hyperparameters},
        "network_settings": {"hidden_units": 8, "num_layers": 1},
    }
    settings = TrainerSettings.structure(config, TrainerSettings)
    return DQNTrainer(name, 1, settings, True, False, seed, str(path / name))


def policies(path: Path, names: tuple[str, ...] = ("Red?team=0", "Red?team=0", "Red?team=1", "Blue?team=0")) -> list:
    """Policies of one run, a trainer for each behaviour; for self-play a trainer makes several."""
    found = [BehaviorIdentifiers.from_name_behavior_id(name) for name in names]
    trainers = {each.brain_name: trainer(each.brain_name, path) for each in found}
    return [trainers[each.brain_name].create_policy(each, SPEC) for each in found]


def choices(policy: QPolicy, count: int = 3000) -> np.ndarray:
    """What so many agents choose."""
    return policy.get_action(decision_steps(SPEC, count)).env_action.discrete[:, 0]


def test_no_two_policies_of_a_run_explore_alike(tmp_path: Path) -> None:
    """At epsilon 1 any two agree in a third of the choices among three, and their later ones with others' first."""
    drawn = [choices(policy) for policy in policies(tmp_path)]
    for one, other in itertools.combinations(drawn, 2):
        assert np.mean(one == other) == pytest.approx(1 / 3, abs=0.04)


def test_policies_of_equal_identity_and_seed_explore_alike(tmp_path: Path) -> None:
    """The control, and what makes a run repeatable."""
    for one, other in zip(policies(tmp_path / "a"), policies(tmp_path / "b"), strict=True):
        np.testing.assert_array_equal(choices(one), choices(other))


def test_streams_of_another_seed_are_others(tmp_path: Path) -> None:
    """Neither the next run's policies nor its replays begin as this one's."""
    made = [trainer("Red", tmp_path / str(seed), seed=seed) for seed in (1, 2)]
    assert made[0].update_buffer.generator.random() != made[1].update_buffer.generator.random()
    team = BehaviorIdentifiers.from_name_behavior_id("Red?team=0")
    one, other = (choices(each.create_policy(team, SPEC)) for each in made)
    assert np.mean(one == other) == pytest.approx(1 / 3, abs=0.04)


@pytest.mark.parametrize("prioritized", [False, True])
def test_no_two_parts_of_a_trainer_draw_alike(tmp_path: Path, prioritized: bool) -> None:
    """Replay, demonstrations, their mixture, and those of another behaviour."""
    demo = record(Match(1), lambda seen: [int(np.argmax(seen[:3])), 0, 0], tmp_path / "match.demo", decisions=30)
    drawn = []
    for name in ("Red", "Blue"):
        made = trainer(name, tmp_path, prioritized_replay=prioritized, demo_path=str(demo), demo_ratio=0.3)
        team = BehaviorIdentifiers.from_name_behavior_id(f"{name}?team=0")
        (spec,) = Match(1).behavior_specs.values()
        made.add_policy(team, made.create_policy(team, spec))
        assert set(made._generators()) == {"replay", "demonstrations", "mixture"}
        drawn += [generator.random() for generator in made._generators().values()]
    assert len(set(drawn)) == 6


def test_teams_do_not_climb_the_ladder_in_step(tmp_path: Path) -> None:
    """Whoever explores much meets all kinds of opponents: of 64 pairs of rungs many are seen, not the same eight."""
    names = ("Red?team=0", "Red?team=1")
    found = [BehaviorIdentifiers.from_name_behavior_id(name) for name in names]
    red = trainer("Red", tmp_path, exploration="ladder")
    agents = [f"agent_0-{i}" for i in range(800)]
    rungs = [red.create_policy(each, SPEC)._epsilons(agents).tolist() for each in found]
    assert len(set(zip(*rungs, strict=True))) > 3 * len(LADDER)


class Calls(Duel):
    """Notes in what share of the duels both teams made the same call."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.same: list[float] = []

    def act(self, action: ActionTuple) -> Outcome:
        """Compares the calls."""
        mine, other = np.split(action.discrete[:, 0], 2)
        self.same.append(float(np.mean(mine == other)))
        return super().act(action)


def self_play(max_steps: int, **hyperparameters: Any) -> dict[str, Any]:
    """A run of self-play."""
    return {
        "trainer_type": "dqn",
        "max_steps": max_steps,
        "time_horizon": 1,
        "network_settings": {"hidden_units": 16, "num_layers": 1},
        "hyperparameters": {"batch_size": 32, "buffer_size": 2000, "learning_rate": 1e-3, **RANDOM, **hyperparameters},
        "self_play": {"save_steps": 100, "team_change": 200, "swap_steps": 100, "window": 3},
    }


def test_opponents_of_self_play_call_independently(tmp_path: Path) -> None:
    """At epsilon 1 a third of the duels are draws; were all, there would be nothing to learn: the best call is 2."""
    task = Calls(num_agents=8, seed=3)
    trained = train(task, self_play(2000), tmp_path)
    assert np.mean(task.same) == pytest.approx(1 / 3, abs=0.05)
    (values,) = trained.trainer.policy.actor.scores([torch.ones(1, 1)], torch.zeros(1, 1, 0))[0].tolist()
    assert sorted(values) == values
    assert values[2] - values[0] > 0.5


def test_self_play_resumes_the_streams_of_all_its_policies(tmp_path: Path) -> None:
    """Two that act and one that learns: each goes on from where it was, also those that are made after the resume."""
    first = train(Duel(num_agents=8), self_play(400, exploration="ladder"), tmp_path)
    assert isinstance(first, GhostTrainer)
    saved = read_checkpoint(tmp_path / BEHAVIOR / "checkpoint.pt")["Trainer"]["parts"]["chance"]["policies"]
    assert {name: len(states) for name, states in saved.items()}.keys() == {f"{BEHAVIOR}?team={i}" for i in (0, 1)}
    assert sum(map(len, saved.values())) == 3
    states = [state["generator"] for team in saved.values() for state in team]
    assert not any(torch.equal(one, other) for one, other in itertools.combinations(states, 2))
    resumed = train(Duel(num_agents=8), self_play(400, exploration="ladder"), tmp_path, resume=True)
    for name, team in saved.items():
        acts, state = resumed.trainer.chance.of(name)[0], team[0]
        assert torch.equal(acts.generator.get_state(), state["generator"])
        assert acts._rungs_left == state["rungs_left"]
        assert acts is resumed.get_policy(name)


def test_checkpoint_of_the_first_release_resumes(tmp_path: Path) -> None:
    """It holds the stream of one policy under another name: exploration begins anew, the rest goes on."""
    config = {key: value for key, value in self_play(200).items() if key != "self_play"}
    first = train(Match(4), config, tmp_path)
    file = tmp_path / BEHAVIOR / "checkpoint.pt"
    stream = torch.Generator(device="cpu").get_state()
    rewrite_as_0_1(file, {"exploration": stream, "ladder_turn": 3})
    resumed = train(Match(4), {**config, "max_steps": 300}, tmp_path, resume=True)
    assert resumed.get_step >= 300
    assert resumed.optimizer.updates > first.optimizer.updates
