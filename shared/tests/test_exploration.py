"""Masked and epsilon-greedy choices over several branches."""

import pytest
import torch

from mlagents_plugin_shared.exploration import epsilon_greedy, greedy_actions, mask_scores, random_actions

BRANCHES = [3, 2]


def generator(seed: int = 0) -> torch.Generator:
    """Seeded source of randomness."""
    return torch.Generator().manual_seed(seed)


def random_masks(count: int) -> torch.Tensor:
    """[count, 5] masks with at least one legal action in each branch."""
    mask = (torch.rand(count, 5, generator=generator(7)) < 0.5).float()
    rows = torch.arange(count)
    mask[rows, torch.randint(0, 3, (count,), generator=generator(8))] = 1.0
    mask[rows, 3 + torch.randint(0, 2, (count,), generator=generator(9))] = 1.0
    return mask


def is_legal(actions: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """[B, D] whether each action is legal."""
    return mask.gather(1, actions + torch.tensor([0, 3])) == 1.0


def test_mask_scores_leaves_legal_scores_exact() -> None:
    """The score of a legal action is the same float, bit for bit."""
    scores = torch.randn(100, 5, generator=generator())
    assert torch.equal(mask_scores(scores, torch.ones(100, 5)), scores)


def test_greedy_actions_golden() -> None:
    """The best of each branch, and the second best where the best is masked."""
    scores = torch.tensor([[1.0, 5.0, 2.0, 0.0, -1.0]]).repeat(2, 1)
    mask = torch.tensor([[1.0, 1, 1, 1, 1], [1, 0, 1, 0, 1]])
    assert greedy_actions(scores, mask, BRANCHES).tolist() == [[1, 0], [2, 1]]


def test_greedy_actions_are_legal() -> None:
    """No illegal action among 10,000 masked choices, even with very negative scores."""
    mask = random_masks(10_000)
    scores = torch.randn(10_000, 5, generator=generator()) * 1e4 - 1e5
    assert is_legal(greedy_actions(scores, mask, BRANCHES), mask).all()


def test_greedy_actions_refuse_other_branches() -> None:
    """Branches that do not add up to the scores raise."""
    with pytest.raises(ValueError, match="do not fit"):
        greedy_actions(torch.ones(1, 5), torch.ones(1, 5), [3, 3])


def test_random_actions_are_legal() -> None:
    """No illegal action among 10,000 masked draws."""
    mask = random_masks(10_000)
    assert is_legal(random_actions(mask, BRANCHES, generator()), mask).all()


def test_random_actions_are_uniform_over_legal_ones() -> None:
    """With actions 0 and 2 legal, each is drawn half the time: 5,000 ± 5 standard deviations of 50."""
    mask = torch.tensor([[1.0, 0, 1, 1, 1]]).repeat(10_000, 1)
    counts = torch.bincount(random_actions(mask, BRANCHES, generator())[:, 0], minlength=3)
    assert counts[1] == 0
    assert abs(counts[0].item() - 5000) < 250


def test_random_actions_without_a_legal_one_draw_from_all() -> None:
    """A branch that masks everything still gives an action of that branch."""
    actions = random_actions(torch.zeros(1000, 5), BRANCHES, generator())
    assert set(actions[:, 0].tolist()) == {0, 1, 2}


def test_epsilon_greedy_without_epsilon_is_greedy() -> None:
    """Epsilon 0 never explores."""
    greedy = torch.tensor([[2, 1]]).repeat(1000, 1)
    assert torch.equal(epsilon_greedy(greedy, torch.ones(1000, 5), BRANCHES, 0.0, generator()), greedy)


def test_epsilon_greedy_draws_for_each_agent() -> None:
    """Epsilon ½ over 10,000 agents: 1 - ½·5/6 = 58.3 % keep both actions; not all or none, as one draw would give."""
    greedy = torch.tensor([[2, 1]]).repeat(10_000, 1)
    actions = epsilon_greedy(greedy, torch.ones(10_000, 5), BRANCHES, 0.5, generator())
    kept = (actions == greedy).all(dim=1).float().mean().item()
    assert kept == pytest.approx(1 - 0.5 * 5 / 6, abs=0.02)


def test_epsilon_greedy_is_legal() -> None:
    """Epsilon 1 with masks: every action is legal, in every branch."""
    mask = random_masks(10_000)
    actions = epsilon_greedy(greedy_actions(mask, mask, BRANCHES), mask, BRANCHES, 1.0, generator())
    assert is_legal(actions, mask).all()


def test_epsilon_greedy_repeats_with_its_seed() -> None:
    """The same generator state gives the same actions."""
    greedy, mask = torch.zeros(50, 2, dtype=torch.long), torch.ones(50, 5)
    draws = [epsilon_greedy(greedy, mask, BRANCHES, 0.7, generator(3)) for _ in range(2)]
    assert torch.equal(*draws)
