"""The policy of a Q-learner is what its settings say."""

from functools import partial
from typing import Any

import attr
import pytest
from mlagents.trainers.behavior_id_utils import BehaviorIdentifiers
from mlagents.trainers.exception import TrainerConfigError
from mlagents.trainers.settings import NetworkSettings, RewardSignalSettings, RewardSignalType, TrainerSettings
from mlagents_envs.base_env import ActionSpec, BehaviorSpec

from mlagents_plugin_shared.learning.return_heads import MeanReturn
from mlagents_plugin_shared.run.exploration_settings import ExplorationSettings
from mlagents_plugin_shared.run.q_learning import q_network, q_policy
from mlagents_plugin_shared.testing import SENSORS

SPEC = BehaviorSpec(SENSORS["vector"], ActionSpec(0, (3, 2)))
TEAM = BehaviorIdentifiers.from_name_behavior_id("Toy?team=0")


@attr.s(auto_attribs=True)
class Settings(ExplorationSettings):
    """Of an algorithm that has nothing but epsilon."""


class Owner:
    """What a trainer tells a policy."""

    brain_name, seed = "Toy", 0

    def __init__(self, *, is_training: bool = True, deterministic: bool = False, **hyperparameters: Any) -> None:
        self.is_training = is_training
        self.trainer_settings = TrainerSettings(
            hyperparameters=Settings(**hyperparameters),
            network_settings=NetworkSettings(hidden_units=8, num_layers=1, deterministic=deterministic),
            reward_signals={
                each: RewardSignalSettings() for each in (RewardSignalType.EXTRINSIC, RewardSignalType.RND)
            },
            max_steps=1000,
        )
        self.given: list[tuple[Any, BehaviorIdentifiers]] = []

    def give_stream(self, policy: Any, parsed_behavior_id: BehaviorIdentifiers) -> None:
        """Notes who got a stream."""
        self.given.append((policy, parsed_behavior_id))

    @staticmethod
    def get_trainer_name() -> str:
        """As in the YAML."""
        return "mine"


def test_q_policy_explores_as_the_settings_say() -> None:
    """Epsilon falls from 0.8 to 0.1 over a fifth of the run, random actions last, and the policy has its stream."""
    owner = Owner(exploration_initial_eps=0.8, exploration_final_eps=0.1, exploration_repeat=4)
    policy = q_policy(owner, TEAM, SPEC, MeanReturn)
    assert [policy.epsilon(step) for step in (0, 200, 1000)] == pytest.approx([0.8, 0.1, 0.1])
    assert policy.repetition.cap == 4
    assert owner.given == [(policy, TEAM)]


@pytest.mark.parametrize("still", [{"is_training": False}, {"deterministic": True}])
def test_q_policy_does_not_explore_where_it_only_plays(still: dict[str, bool]) -> None:
    """Whatever the schedule says."""
    assert q_policy(Owner(**still), TEAM, SPEC, MeanReturn).epsilon(0) == 0.0


def test_q_network_is_as_that_of_the_policy() -> None:
    """As many reward streams, actions and layers, as random when exported, and other weights."""
    owner, head = Owner(export_epsilon=0.2), partial(MeanReturn, dueling=False)
    first, second = (
        q_policy(owner, TEAM, SPEC, head, layer_norm=True).actor,
        q_network(owner, SPEC, head, layer_norm=True),
    )
    assert first.export_epsilon == second.export_epsilon == 0.2
    shapes, others = ({n: w.shape for n, w in each.named_parameters()} for each in (first, second))
    assert shapes == others
    assert shapes != {n: w.shape for n, w in q_network(owner, SPEC, head).named_parameters()}
    assert max(shape[0] for name, shape in shapes.items() if name.startswith("head")) == 2 * 5
    assert any(not a.equal(b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_q_policy_refuses_continuous_actions() -> None:
    """By the names of behaviour and trainer."""
    with pytest.raises(TrainerConfigError, match=r"Behavior Toy has 2 continuous actions, and mine chooses"):
        q_policy(Owner(), TEAM, BehaviorSpec(SENSORS["vector"], ActionSpec(2, ())), MeanReturn)
