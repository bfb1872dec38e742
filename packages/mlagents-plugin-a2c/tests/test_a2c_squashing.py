"""Squashed actions: the entropy is that of the action, and a bonus for it does not drive actions to the ends."""

import math

import numpy as np
import pytest
from mlagents.torch_utils import torch
from mlagents.trainers.buffer import BufferKey
from mlagents.trainers.torch_entities.distributions import GaussianDistInstance

from a2c_testing import batch, fill, segment, trainer
from mlagents_plugin_a2c.rollout import Steps
from mlagents_plugin_a2c.squashing import SquashedGaussianInstance


def entropy(mean: float, std: float) -> float:
    """What the distribution says."""
    return SquashedGaussianInstance(torch.tensor([[mean]]), torch.tensor([[std]])).entropy().item()


@pytest.mark.parametrize("mean", [0.0, -1.0, 3.0])
@pytest.mark.parametrize("std", [0.05, 0.5, 1.0, 3.0])
def test_entropy_is_the_mean_of_the_log_probability(mean: float, std: float) -> None:
    """Minus the integral of p log p over [-1, 1], with the density of tanh u written out and summed in NumPy."""
    u = np.linspace(mean - 9 * std, mean + 9 * std, 200_001)
    density = np.exp(-(((u - mean) / std) ** 2) / 2) / (std * math.sqrt(2 * math.pi))
    log_slope = 2 * (math.log(2) - np.abs(u) - np.log1p(np.exp(-2 * np.abs(u))))  # log(1 - tanh² u)
    expected = -np.sum(density * (np.log(density) - log_slope)) * (u[1] - u[0])
    assert entropy(mean, std) == pytest.approx(expected, abs=0.01)


def test_entropy_is_the_mean_over_samples() -> None:
    """The estimate from log-probabilities of the distribution's own samples agrees, within 4 standard errors."""
    torch.manual_seed(0)
    rows = torch.tensor([[0.3, -1.2]]).expand(100_000, 2)
    instance = SquashedGaussianInstance(rows, torch.tensor([[0.6, 0.9]]).expand(100_000, 2))
    surprise = -instance.log_prob(instance.sample()).mean(dim=1)
    error = surprise.std().item() / math.sqrt(100_000)
    assert instance.entropy()[0].item() == pytest.approx(surprise.mean().item(), abs=4 * error)


def test_entropy_is_never_above_that_of_a_uniform_action() -> None:
    """log 2 is the most that an action in [-1, 1] can have; that of the unsquashed normal distribution has no bound."""
    grid = [entropy(mean, std) for mean in np.linspace(-5, 5, 21) for std in np.geomspace(0.05, 7.0, 30)]
    assert max(grid) <= math.log(2.0)
    assert max(grid) == pytest.approx(math.log(2.0), abs=0.02)
    assert GaussianDistInstance(torch.zeros(1, 1), torch.full((1, 1), 7.0)).entropy().item() > 3.0


@pytest.mark.parametrize("mean", [-30.0, -3.0, -0.5, 0.5, 3.0, 30.0])
def test_gradient_of_the_entropy_leads_back_from_the_ends(mean: float) -> None:
    """It points from the mean to 0, where tanh is flat too, and from a large deviation to a smaller one."""
    mu, sigma = torch.tensor([[mean]], requires_grad=True), torch.tensor([[2.5]], requires_grad=True)
    SquashedGaussianInstance(mu, sigma).entropy().sum().backward()
    assert mu.grad is not None
    assert sigma.grad is not None
    assert mu.grad.item() * mean < 0.0
    assert sigma.grad.item() < (0.5 if abs(mean) > 10 else 0.0)  # far out, 1 / σ alone is left


@pytest.mark.parametrize("conditional_sigma", [False, True])
@pytest.mark.parametrize("actions", ["continuous", "hybrid"])
def test_bonus_alone_spreads_squashed_actions_evenly(actions: str, conditional_sigma: bool) -> None:
    """Trained for nothing but entropy, from means near an end: a tenth of the actions is beyond 0.9, not most."""
    a2c = trainer(actions, tanh_squash=True, conditional_sigma=conditional_sigma)
    a2c.policy.actor.action_model._continuous_distribution.mu.bias.data += 2.0
    fill_squashed(a2c)
    steps = Steps.from_batch(batch(a2c), a2c.policy)
    adam = torch.optim.Adam(a2c.policy.actor.parameters(), lr=0.02)
    for _ in range(300):
        adam.zero_grad()
        (-a2c.optimizer._evaluate(steps)[1].mean()).backward()
        adam.step()
    with torch.no_grad():
        masks = torch.ones(2000, sum(a2c.policy.behavior_spec.action_spec.discrete_branches))
        acted, _, _ = a2c.policy.actor.get_action_and_stats([torch.randn(2000, 4)], masks=masks)
    share_at_ends = (acted.continuous_tensor.abs() > 0.9).float().mean().item()
    assert share_at_ends == pytest.approx(0.1, abs=0.06)


def fill_squashed(a2c) -> None:
    """A rollout whose continuous actions lie in [-1, 1]."""
    piece = segment(a2c, 40)
    piece.columns[BufferKey.CONTINUOUS_ACTION] = np.tanh(piece.columns[BufferKey.CONTINUOUS_ACTION])
    a2c.store(piece, a2c.evaluate_rewards(piece.batch()))


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
    assert torch.equal(a2c.optimizer._evaluate(steps)[1], own.sum(dim=1))


def test_hybrid_entropy_adds_the_branches_to_the_mean_of_the_numbers() -> None:
    """ML-Agents' own sum, with the squashed entropy in place of the other; a branch of one legal action has none."""
    a2c = trainer("hybrid", tanh_squash=True)
    observations, masks = [torch.randn(6, 4)], torch.ones(6, 5)
    masks[:, 1:3] = 0.0  # the first branch has its first action only
    with torch.no_grad():
        encoding, _ = a2c.policy.actor.network_body(observations, None, 1)
        dists = a2c.policy.actor.action_model._get_dists(encoding, masks)
        _, out, _ = a2c.policy.actor.get_action_and_stats(observations, masks=masks)
    second = torch.distributions.Categorical(probs=dists.discrete[1].probs).entropy()
    torch.testing.assert_close(out["entropy"], dists.continuous.entropy()[:, 0] + second, atol=1e-5, rtol=1e-5)
