"""The policy: how continuous actions are bounded, where their deviation comes from, and what is greedy."""

import numpy as np
import pytest
from mlagents.torch_utils import torch
from mlagents_envs.base_env import DecisionSteps

from a2c_testing import trainer


def decisions(count: int, seed: int = 0) -> DecisionSteps:
    """Agents with random observations and no masks."""
    rows = np.random.default_rng(seed).normal(size=(count, 4)).astype(np.float32)
    zeros = np.zeros(count, np.float32)
    return DecisionSteps([rows], zeros, np.arange(count), None, np.zeros(count, int), zeros)


def far_out(a2c) -> None:
    """Moves the means of continuous actions to about 5."""
    a2c.policy.actor.action_model._continuous_distribution.mu.bias.data += 5.0


@pytest.mark.parametrize("conditional_sigma", [False, True])
@pytest.mark.parametrize("tanh_squash", [False, True])
def test_actions_are_bounded_and_the_greedy_one_is_among_them(tanh_squash: bool, conditional_sigma: bool) -> None:
    """Squashed or clipped, what the environment and the exported model get lies in [-1, 1]."""
    a2c = trainer(tanh_squash=tanh_squash, conditional_sigma=conditional_sigma)
    far_out(a2c)
    acted = a2c.policy.get_action(decisions(50)).env_action.continuous
    with torch.no_grad():
        exported = a2c.policy.actor([torch.randn(50, 4)], torch.ones(50, 5))
    sampled, greedy = exported[2], exported[4]
    for actions in (torch.as_tensor(acted), sampled, greedy):
        assert actions.shape == (50, 2)
        assert 0.5 < actions.mean() <= 1.0
        assert actions.abs().max() <= 1.0


def test_squashed_actions_have_finite_probabilities() -> None:
    """Also where tanh has reached 1: the gradient of a step from such actions is a number."""
    a2c = trainer("continuous", tanh_squash=True)
    far_out(a2c)
    a2c.policy.actor.action_model._continuous_distribution.mu.bias.data += 20.0
    with torch.no_grad():
        action, _, _ = a2c.policy.actor.get_action_and_stats([torch.randn(50, 4)], masks=torch.ones(50, 0))
    assert (action.continuous_tensor == 1.0).any()
    stats = a2c.policy.actor.get_stats([torch.randn(50, 4)], action, masks=torch.ones(50, 0))
    stats["log_probs"].flatten().mean().backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in a2c.policy.actor.parameters())


def test_sigma_depends_on_the_state_only_if_conditional() -> None:
    """One deviation for all states, or one for each."""
    for conditional in (False, True):
        distribution = trainer("continuous", conditional_sigma=conditional).policy.actor.action_model
        sigma = distribution._get_dists(torch.randn(10, 16), torch.ones(10, 0)).continuous.std
        assert (sigma.std(dim=0).max().item() > 1e-3) == conditional


@pytest.mark.parametrize("deterministic", [False, True])
def test_deterministic_acts_the_same_again(deterministic: bool) -> None:
    """`deterministic: true`, or --deterministic, takes the greedy action of every kind."""
    a2c = trainer(settings={"network_settings": {"hidden_units": 16, "deterministic": deterministic}})
    first, second = (a2c.policy.get_action(decisions(50)).env_action for _ in range(2))
    same = np.array_equal(first.continuous, second.continuous) and np.array_equal(first.discrete, second.discrete)
    assert same == deterministic
