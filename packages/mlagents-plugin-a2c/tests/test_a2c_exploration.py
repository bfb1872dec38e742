"""State-dependent noise in a trainer: it ends with an episode, is no other policy's, and keeps the meaning of beta."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from mlagents.torch_utils import torch
from mlagents.trainers.torch_entities.distributions import GaussianDistInstance
from mlagents_envs.base_env import DecisionSteps

from a2c_testing import batch, fill, trainer
from mlagents_plugin_shared.acting.state_dependent_noise import StateDependentPolicy
from mlagents_plugin_shared.learning.rollout_batch import Steps
from mlagents_plugin_shared.testing import TEAM, Target, train

KEPT = 4


def decide(acting: StateDependentPolicy, agents: Sequence[int], worker: int = 0) -> np.ndarray:
    """[B, C] actions of agents that are all in one state, so that their noise functions tell them apart."""
    count = len(agents)
    none = np.zeros(count, np.float32)
    state = np.ones((count, 4), np.float32)
    steps = DecisionSteps([state], none, np.array(agents), None, none.astype(np.int32), none)
    return acting.get_action(steps, worker).outputs["action"].continuous


def test_next_episode_of_an_agent_has_another_noise_function() -> None:
    """Also in the middle of the former one's time, and where the environment was reset."""
    a2c = trainer("continuous", use_sde=True, sde_sample_freq=KEPT)
    first = decide(a2c.policy, [0])
    a2c.policy.remove_memories(["agent_0-0"])
    second = decide(a2c.policy, [0])
    a2c.end_episode()
    third = decide(a2c.policy, [0])
    assert len({round(float(action[0, 0]), 5) for action in (first, second, third)}) == 3


def test_policies_do_not_share_noise_functions() -> None:
    """Of one team or of two: no two policies of a run draw the same."""
    a2c = trainer("continuous", use_sde=True)
    other_team = TEAM._replace(behavior_id="Toy?team=1", team_id=1)
    policies = [a2c.policy, *(a2c.create_policy(team, a2c.policy.behavior_spec) for team in (TEAM, other_team))]
    for each in policies[1:]:
        each.load_weights(a2c.policy.get_weights())
    assert len({round(float(decide(each, [0])[0, 0]), 5) for each in policies}) == 3


def test_state_dependent_noise_lasts_through_a_run(tmp_path: Path) -> None:
    """After a run no more agents are remembered than act."""
    settings = {
        "trainer_type": "a2c",
        "max_steps": 300,
        "hyperparameters": {"buffer_size": 50, "use_sde": True},
        "network_settings": {"hidden_units": 16, "num_layers": 1},
    }
    assert len(train(Target(4), settings, tmp_path).policy.agents["age"]) == 4


@pytest.mark.parametrize("use_sde", [False, True])
def test_entropy_of_clipped_actions_is_that_of_the_normal_distribution(use_sde: bool) -> None:
    """Bit for bit ML-Agents' own, with state-dependent noise too: a beta tuned with PPO keeps its meaning."""
    a2c = trainer("continuous", use_sde=use_sde)
    fill(a2c)
    steps = Steps.from_batch(batch(a2c), a2c.policy)
    model = a2c.policy.actor.action_model
    encoding, _ = a2c.policy.actor.network_body(steps.observations, None, 1)
    instance = model._get_dists(encoding, steps.action_masks).continuous
    own = GaussianDistInstance(instance.mean, instance.std).entropy()
    assert torch.equal(a2c.optimizer.evaluate(steps)[1], own.sum(dim=1))
