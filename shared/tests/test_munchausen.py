"""The soft value and the Munchausen bonus over several branches and reward streams."""

import math

import numpy as np
import pytest
import torch

from mlagents_plugin_shared.maths.branches import soft_policy
from mlagents_plugin_shared.maths.munchausen import munchausen_bonus, policy_entropy, policy_mean, soft_reward

BRANCHES = [3, 2]
LOG_POLICY = torch.tensor([[0.25, 0.5, 0.25, 0.1, 0.9]]).log()


def random_state(streams: int, *trailing: int) -> tuple[torch.Tensor, torch.Tensor]:
    """[20, S, 5, ...] values and masks with a legal action in every branch."""
    generator = torch.Generator().manual_seed(0)
    mask = (torch.rand(20, 5, generator=generator) < 0.5).float()
    mask[:, [1, 3]] = 1.0
    return torch.randn(20, streams, 5, *trailing, generator=generator), mask


def soft_value(q: torch.Tensor, log_policy: torch.Tensor, temperature: float) -> torch.Tensor:
    """[B, S] value under a soft policy with its entropy: a target without bonus, reward, or discount."""
    rewards = torch.zeros(q.shape[:2])
    entropy = policy_entropy(log_policy, BRANCHES)
    reward = soft_reward(rewards, rewards + 1, torch.zeros_like(entropy), entropy, temperature=temperature)
    return reward + policy_mean(q, log_policy, BRANCHES).mean(dim=2)


def test_soft_reward_golden() -> None:
    """One stream: 1 + (-0.2 - 0.4) / 2 + 0.5 · 2 · (0.3 + 0.5) / 2 = 1.1; without what follows 0.7; two share both."""
    bonus, entropy = torch.tensor([[-0.2, -0.4]] * 2), torch.tensor([[0.3, 0.5]] * 2)
    reward = soft_reward(torch.ones(2, 1), torch.tensor([[0.5], [0.0]]), bonus, entropy, temperature=2.0)
    torch.testing.assert_close(reward, torch.tensor([[1.1], [0.7]]))
    shared = soft_reward(torch.ones(2, 2), torch.tensor([[0.5, 0.0]] * 2), bonus, entropy, temperature=2.0)
    torch.testing.assert_close(shared, torch.tensor([[1.05, 0.85]] * 2))


@pytest.mark.parametrize("temperature", [0.03, 1.0])
def test_soft_value_equals_a_slow_loop(temperature: float) -> None:
    """The sum over legal actions alone, in NumPy, for two streams."""
    q, mask = random_state(2)
    log_policy = soft_policy(q.sum(dim=1), mask, BRANCHES, temperature)
    expected = np.zeros((20, 2))
    for b in range(20):
        for columns in ([0, 1, 2], [3, 4]):
            for a in (c for c in columns if mask[b, c]):
                log_prob = log_policy[b, a].item()
                expected[b] += math.exp(log_prob) * (q[b, :, a].numpy() - temperature * log_prob / 2) / 2
    np.testing.assert_allclose(soft_value(q, log_policy, temperature), expected, rtol=1e-4, atol=1e-5)


def test_soft_value_is_the_soft_maximum() -> None:
    """τ ln Σ exp(Q / τ) over legal actions, the streams added up."""
    q, mask = random_state(2)
    total = q.sum(dim=1)
    value = soft_value(q, soft_policy(total, mask, BRANCHES, 0.5), 0.5).sum(dim=1)
    legal = (total / 0.5).masked_fill(mask == 0, -torch.inf)
    expected = torch.stack([0.5 * branch.logsumexp(dim=1) for branch in legal.split(BRANCHES, dim=1)], dim=1)
    torch.testing.assert_close(value, expected.mean(dim=1))


def test_soft_value_towards_no_temperature_is_the_maximum() -> None:
    """τ = 1e-4 gives the best legal value, however good an illegal action is."""
    q, mask = random_state(1)
    q = q.masked_fill(mask.unsqueeze(1) == 0, 1e4)
    value = soft_value(q, soft_policy(q[:, 0], mask, BRANCHES, 1e-4), 1e-4)
    legal = q[:, 0].masked_fill(mask == 0, -torch.inf)
    expected = torch.stack([branch.amax(dim=1) for branch in legal.split(BRANCHES, dim=1)], dim=1)
    torch.testing.assert_close(value[:, 0], expected.mean(dim=1), atol=1e-3, rtol=0)


def test_soft_reward_refuses_other_shapes() -> None:
    """Rewards without streams, another batch, and a bonus of other branches would broadcast."""
    column = torch.ones(3, 1)
    for arguments in (
        (torch.ones(3), column, column, column),
        (column, column, torch.ones(3, 2), column),
        (torch.ones(1, 1), torch.ones(1, 1), column, column),
    ):
        with pytest.raises(ValueError, match="one shape"):
            soft_reward(*arguments, temperature=1.0)


def test_munchausen_bonus_golden() -> None:
    """α = 0.9, τ = 0.5: 0.9·0.5·ln 0.5 = -0.312 and 0.9·0.5·ln 0.1 = -1.036, which l_0 = -1 bounds at -0.9."""
    bonus = munchausen_bonus(LOG_POLICY, torch.tensor([[1, 0]]), BRANCHES, temperature=0.5)
    torch.testing.assert_close(bonus, torch.tensor([[0.45 * math.log(0.5), -0.9]]))


def test_munchausen_bonus_equals_a_slow_loop() -> None:
    """Each branch's own column, in NumPy."""
    q, mask = random_state(1)
    log_policy = soft_policy(q[:, 0], mask, BRANCHES, 0.5)
    actions = torch.randint(0, 2, (20, 2), generator=torch.Generator().manual_seed(1))
    expected = [
        [0.7 * max(0.5 * log_policy[b, column].item(), -0.6) for column in (actions[b, 0], 3 + actions[b, 1])]
        for b in range(20)
    ]
    bonus = munchausen_bonus(log_policy, actions, BRANCHES, alpha=0.7, temperature=0.5, lowest=-0.6)
    np.testing.assert_allclose(bonus, expected, rtol=1e-5)


def test_munchausen_bonus_vanishes() -> None:
    """α = 0 is soft Q-learning; an action that is certain, the only legal one, earns nothing."""
    actions = torch.tensor([[1, 0]])
    assert not munchausen_bonus(LOG_POLICY, actions, BRANCHES, alpha=0.0).any()
    certain = soft_policy(torch.randn(1, 5), torch.tensor([[0.0, 1, 0, 1, 0]]), BRANCHES, 0.03)
    assert not munchausen_bonus(certain, actions, BRANCHES).any()
    assert munchausen_bonus(LOG_POLICY, actions, BRANCHES).all()


def test_munchausen_terms_are_detached() -> None:
    """Both belong to the target."""
    log_policy = LOG_POLICY.clone().requires_grad_()
    entropy, ones = policy_entropy(log_policy, BRANCHES), torch.ones(1, 1)
    assert entropy.requires_grad
    assert not soft_reward(ones, ones, entropy, entropy, temperature=1.0).requires_grad
    assert not munchausen_bonus(log_policy, torch.tensor([[1, 0]]), BRANCHES).requires_grad


@pytest.mark.parametrize(
    ("q", "log_policy", "actions"),
    [
        (torch.ones(1, 5), torch.ones(2, 5), torch.zeros(1, 2, dtype=torch.long)),
        (torch.ones(1, 1, 4), torch.ones(1, 4), torch.zeros(1, 2, dtype=torch.long)),
        (torch.ones(2, 1, 5), torch.ones(1, 5), torch.zeros(1, 1, dtype=torch.long)),
    ],
    ids=["no streams, other batch", "other actions", "other batch, no branches"],
)
def test_munchausen_refuses_other_shapes(q, log_policy, actions) -> None:
    """Both functions name what does not fit."""
    with pytest.raises(ValueError, match="do not fit"):
        policy_mean(q, log_policy, BRANCHES)
    with pytest.raises(ValueError, match="do not fit"):
        munchausen_bonus(log_policy, actions, BRANCHES)


def test_policy_mean_and_entropy_golden() -> None:
    """Two branches of known probabilities: the weighted sums by hand, and the entropy of a sure branch is 0."""
    q = torch.tensor([[[1.0, 2, 3, 4, 5]]])
    torch.testing.assert_close(policy_mean(q, LOG_POLICY, BRANCHES), torch.tensor([[[2.0, 4.9]]]))
    sure = torch.tensor([[0.0, -1e8, -1e8, math.log(0.5), math.log(0.5)]])
    torch.testing.assert_close(policy_entropy(sure, BRANCHES), torch.tensor([[0.0, math.log(2)]]))


def test_policy_mean_keeps_a_distribution_one() -> None:
    """Probabilities of atoms, mixed over actions, still add up to 1, and are not those of the best action alone."""
    q, mask = random_state(2, 7)
    mixed = policy_mean(q.softmax(dim=3), soft_policy(q.mean(dim=3).sum(dim=1), mask, BRANCHES, 1.0), BRANCHES)
    torch.testing.assert_close(mixed.sum(dim=3), torch.ones(20, 2, 2))
    assert not torch.allclose(mixed, q.softmax(dim=3)[:, :, [0, 3]])
