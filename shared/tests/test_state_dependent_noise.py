"""Noise that is a function of the state: whose it is, how long it lasts, how large it is, and what learns its size."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlagents.torch_utils import torch
from mlagents_envs.base_env import DecisionSteps

from mlagents_plugin_shared.acting.actor_policy import actor_policy
from mlagents_plugin_shared.acting.state_dependent_noise import StateDependentGaussian, StateDependentPolicy
from rollouts import behavior
from rollouts import settings as trainer_settings

FEATURES, NUMBERS, KEPT = 6, 2, 4


def layer() -> StateDependentGaussian:
    """A layer with deviations of its own for every feature."""
    torch.manual_seed(0)
    made = StateDependentGaussian(FEATURES, NUMBERS, log_std_init=-1.0)
    made.log_sigma.data += torch.randn(FEATURES, NUMBERS) / 4
    return made


def policy(sample_freq: int = KEPT) -> StateDependentPolicy:
    """A policy whose agents keep their noise functions for four decisions."""
    torch.manual_seed(0)
    return actor_policy(
        StateDependentPolicy,
        0,
        behavior("continuous"),
        trainer_settings(),
        shared_critic=False,
        sample_freq=sample_freq,
        log_std_init=-1.0,
    )


def decide(acting: StateDependentPolicy, agents: Sequence[int], worker: int = 0) -> np.ndarray:
    """[B, C] actions of agents that are all in one state, so that their noise functions tell them apart."""
    count = len(agents)
    none = np.zeros(count, np.float32)
    state = np.ones((count, 4), np.float32)
    steps = DecisionSteps([state], none, np.array(agents), None, none.astype(np.int32), none)
    return acting.get_action(steps, worker).outputs["action"].continuous


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.sets(st.integers(0, 4), min_size=1)), max_size=40),
    st.integers(1, 5),
)
def test_noise_function_is_kept_for_decisions_of_its_agent(asked: list[tuple[int, set[int]]], sample_freq: int) -> None:
    """However many agents of whichever workers ask at a time: one lasts `sde_sample_freq` of its own decisions."""
    acting = policy(sample_freq)
    actions: dict[tuple[int, int], list[np.ndarray]] = {}
    for worker, agents in asked:
        for agent, action in zip(agents, decide(acting, list(agents), worker), strict=True):
            actions.setdefault((worker, agent), []).append(action)
    drawn: list[float] = []
    for own in actions.values():
        for start in range(0, len(own), sample_freq):
            kept = own[start : start + sample_freq]
            np.testing.assert_allclose(kept, [kept[0]] * len(kept), atol=1e-5)
            drawn.append(round(float(kept[0][0]), 5))
    assert len(set(drawn)) == len(drawn)


@pytest.mark.parametrize("agents", [1, 12])
def test_noise_functions_of_agents_that_are_gone_are_forgotten(agents: int) -> None:
    """With Unity every episode has an id of its own: a thousand episodes take the rows of those that act at a time."""
    acting = policy()
    for episode in range(1000 // agents):
        ids = list(range(episode * agents, (episode + 1) * agents))
        decide(acting, ids)
        acting.remove_memories([f"agent_0-{i}" for i in ids])
    assert len(acting.agents) == 0
    assert len(acting.agents["theta"]) == agents


def test_noise_is_linear_in_the_features() -> None:
    """Twice the features have twice the noise."""
    distribution, features = layer(), torch.randn(3, FEATURES)
    theta = torch.randn(3, FEATURES, NUMBERS)
    distribution.functions = lambda: theta
    with torch.no_grad():
        one, two = (
            instance.sample() - instance.deterministic_sample()
            for instance in (distribution(features), distribution(2 * features))
        )
    torch.testing.assert_close(two, 2 * one, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(one, torch.einsum("bh,bhc->bc", features, theta * distribution.log_sigma.exp()))


def test_deviation_is_that_of_the_noise() -> None:
    """Over 50,000 noise functions; the density that learning uses is that of a normal distribution with it."""
    distribution, one = layer(), torch.randn(1, FEATURES)
    distribution.functions = lambda: torch.randn(50_000, FEATURES, NUMBERS)
    with torch.no_grad():
        everyone, instance = distribution(one.repeat(50_000, 1)), distribution(one)
        drawn = everyone.sample() - everyone.deterministic_sample()
    assert drawn.std(dim=0) == pytest.approx(instance.std[0].tolist(), rel=0.02)
    action = instance.deterministic_sample() + 0.3
    expected = torch.distributions.Normal(instance.mean, instance.std).log_prob(action)
    assert instance.log_prob(action) == pytest.approx(expected, abs=1e-4)


def test_deviation_over_noise_functions_of_a_policy() -> None:
    """What agents draw has the deviation that their density says, over 20,000 agents."""
    acting = policy()
    actions = decide(acting, range(20_000))
    body, model = acting.actor.network_body, acting.actor.action_model
    with torch.no_grad():
        instance = model._continuous_distribution(body([torch.ones(1, 4)])[0])
    assert actions.std(axis=0) == pytest.approx(instance.std[0].tolist(), rel=0.03)
    assert actions.mean(axis=0) == pytest.approx(instance.mean[0].tolist(), abs=0.05)


def test_features_are_not_shaped_by_the_deviation() -> None:
    """The gradient of the probabilities reaches σ, and the features through the mean alone."""
    distribution = layer()
    features = torch.randn(3, FEATURES, requires_grad=True)
    instance = distribution(features)
    instance.std.sum().backward()
    assert distribution.log_sigma.grad.abs().min() > 0
    assert features.grad is None


def test_what_a_gradient_flows_through_is_drawn_independently() -> None:
    """Cloning and exported models do not touch the noise functions of those who act."""
    acting = policy()
    before = decide(acting, [0])
    rows = acting.actor.action_model._continuous_distribution(torch.ones(5, 16))
    with torch.no_grad():
        outside = rows.sample()
    for drawn in (rows.sample(), rows.exported_model_output(), outside):
        assert len(drawn[:, 0].unique()) == 5
    np.testing.assert_allclose(decide(acting, [0]), before, atol=1e-6)
