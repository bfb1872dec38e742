"""Masked greedy, epsilon-greedy and Boltzmann choices over several branches."""

import math

import numpy as np
import pytest
import torch

from mlagents_plugin_shared.maths.branches import (
    action_columns,
    are_legal,
    chosen_values,
    greedy_actions,
    mask_scores,
    soft_policy,
)
from mlagents_plugin_shared.maths.exploration import (
    epsilon_greedy,
    epsilon_ladder,
    explorers,
    exportable_epsilon_greedy,
    random_actions,
    repeat_lengths,
)

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


def test_action_columns_golden() -> None:
    """Action 2 of the first branch is column 2, action 1 of the second is column 3 + 1."""
    assert action_columns(torch.tensor([[2, 1], [0, 0]]), BRANCHES).tolist() == [[2, 4], [0, 3]]


def test_chosen_values_golden() -> None:
    """Columns 2 and 3 + 1 of both streams; with atoms, all the atoms of those columns."""
    q = torch.arange(10.0).reshape(1, 2, 5)
    actions = torch.tensor([[2, 1]])
    assert chosen_values(q, actions, BRANCHES).tolist() == [[[2.0, 4.0], [7.0, 9.0]]]
    atoms = chosen_values(torch.stack([q, -q], dim=3), actions, BRANCHES)
    assert atoms.tolist() == [[[[2.0, -2.0], [4.0, -4.0]], [[7.0, -7.0], [9.0, -9.0]]]]


@pytest.mark.parametrize("trailing", [(), (4,)])
def test_chosen_values_equal_a_slow_loop(trailing: tuple[int, ...]) -> None:
    """Sample by sample and branch by branch."""
    q = torch.randn(7, 2, 5, *trailing, generator=generator())
    actions = torch.randint(0, 2, (7, 2), generator=generator())
    expected = torch.stack([torch.stack([q[b, :, i], q[b, :, 3 + j]], dim=1) for b, (i, j) in enumerate(actions)])
    assert torch.equal(chosen_values(q, actions, BRANCHES), expected)


@pytest.mark.parametrize(
    ("q", "actions"),
    [
        (torch.ones(2, 5), torch.zeros(2, 2)),
        (torch.ones(2, 1, 6), torch.zeros(2, 2)),
        (torch.ones(2, 1, 5), torch.zeros(1, 2)),
        (torch.ones(2, 1, 5), torch.zeros(2, 1)),
        (torch.ones(2, 1, 5), torch.zeros(2)),
    ],
    ids=["no streams", "other actions", "other batch", "one branch", "no branches"],
)
def test_chosen_values_refuse_other_shapes(q, actions) -> None:
    """Actions [B, 1] would broadcast over the branches."""
    with pytest.raises(ValueError, match="do not fit"):
        chosen_values(q, actions.long(), BRANCHES)


def test_are_legal_asks_every_branch() -> None:
    """One illegal branch is enough; where the mask is of another size it raises."""
    mask = torch.tensor([[1.0, 0, 1, 0, 1]]).repeat(3, 1)
    assert are_legal(torch.tensor([[2, 1], [1, 1], [0, 0]]), mask, BRANCHES).tolist() == [True, False, False]
    actions = torch.stack([torch.randint(0, 3, (500,)), torch.randint(0, 2, (500,))], dim=1)
    masks = random_masks(500)
    assert torch.equal(are_legal(actions, masks, BRANCHES), is_legal(actions, masks).all(dim=1))
    with pytest.raises(ValueError, match="do not fit"):
        are_legal(actions, masks[:1], BRANCHES)


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


def test_epsilon_greedy_takes_one_epsilon_an_agent() -> None:
    """Agents of epsilon 0 stay greedy, agents of epsilon 1, whose greedy action is illegal, never do."""
    greedy, mask = torch.zeros(1000, 2, dtype=torch.long), torch.tensor([[0.0, 1, 1, 0, 1]]).repeat(1000, 1)
    epsilon = (torch.arange(1000) % 2).float()
    actions = epsilon_greedy(greedy, mask, BRANCHES, epsilon, generator())
    assert torch.equal((actions != greedy).all(dim=1), epsilon == 1.0)
    assert torch.equal((actions != greedy).any(dim=1), epsilon == 1.0)


def test_epsilon_greedy_with_equal_epsilons_is_epsilon_greedy() -> None:
    """[B] times 0.3 draws as the number 0.3 does; [B, 1], which would broadcast, and [1] raise."""
    greedy, mask = torch.zeros(50, 2, dtype=torch.long), torch.ones(50, 5)
    single = epsilon_greedy(greedy, mask, BRANCHES, 0.3, generator(3))
    assert torch.equal(epsilon_greedy(greedy, mask, BRANCHES, torch.full((50,), 0.3), generator(3)), single)
    for shape in ((50, 1), (1,)):
        with pytest.raises(ValueError, match="each of 50 agents"):
            epsilon_greedy(greedy, mask, BRANCHES, torch.full(shape, 0.3), generator(3))


def test_exportable_epsilon_greedy_draws_as_epsilon_greedy() -> None:
    """ε ½ with actions 0 and 2 of 3 and both of 2 legal, greedy (2, 1): ½ + ½·¼, and ½·¼ for the three others."""
    torch.manual_seed(0)
    greedy = torch.tensor([[2, 1]]).repeat(10_000, 1)
    mask = torch.tensor([[1.0, 0, 1, 1, 1]]).repeat(10_000, 1)
    both = exportable_epsilon_greedy(greedy, mask, BRANCHES, 0.5), epsilon_greedy(greedy, mask, BRANCHES, 0.5)
    for actions in both:
        shares = torch.bincount(actions[:, 0] * 2 + actions[:, 1], minlength=6) / 10_000
        np.testing.assert_allclose(shares, [0.125, 0.125, 0, 0, 0.125, 0.625], atol=0.025)
        assert shares[2:4].sum() == 0


def test_exportable_epsilon_greedy_is_legal() -> None:
    """Epsilon 1 with masks down to one action; a branch without any draws from all."""
    mask = random_masks(10_000)
    actions = exportable_epsilon_greedy(greedy_actions(mask, mask, BRANCHES), mask, BRANCHES, 1.0)
    assert is_legal(actions, mask).all()
    nothing = exportable_epsilon_greedy(torch.zeros(1000, 2, dtype=torch.long), torch.zeros(1000, 5), BRANCHES, 1.0)
    assert [set(branch.tolist()) for branch in nothing.T] == [{0, 1, 2}, {0, 1}]


def test_exportable_epsilon_greedy_without_epsilon_is_greedy() -> None:
    """And draws nothing; branches that do not add up to the mask raise."""
    greedy, before = torch.tensor([[2, 1]]), torch.get_rng_state()
    assert torch.equal(exportable_epsilon_greedy(greedy, torch.ones(1, 5), BRANCHES, 0.0), greedy)
    assert torch.equal(torch.get_rng_state(), before)
    with pytest.raises(ValueError, match="do not fit"):
        exportable_epsilon_greedy(greedy, torch.ones(1, 6), BRANCHES, 0.5)


def test_explorers_are_those_of_epsilon_greedy() -> None:
    """The same generator state names the same agents, one epsilon or one each."""
    greedy, mask = torch.full((500, 1), 2), torch.ones(500, 3)
    mask[:, 2] = 0.0  # whoever explores chooses another action
    for epsilon in (0.3, torch.linspace(0.0, 1.0, 500)):
        explored = epsilon_greedy(greedy, mask, [3], epsilon, generator(3))
        named = explorers(500, epsilon, generator(3), device=mask.device)
        assert torch.equal(named, explored[:, 0] != 2)


def test_repeat_lengths_golden() -> None:
    """μ = 2 and a cap of 3: weights 36 : 9 : 4 of 49, 7,347, 1,837 and 816 of 10,000, ± 5 deviations of 44."""
    counts = torch.bincount(repeat_lengths(10_000, 3, generator()), minlength=4)
    assert counts.sum() == 10_000
    np.testing.assert_allclose(counts, [0, 7347, 1837, 816], atol=220)


@pytest.mark.parametrize(("cap", "exponent"), [(16, 2.0), (10_000, 2.0), (5, 0.0), (50, 1.0)])
def test_repeat_lengths_follow_the_truncated_law(cap: int, exponent: float) -> None:
    """The mean is Σ n^{1 - μ} / Σ n^{-μ}, within 5 deviations; lengths from 1 to the cap and no others."""
    n = np.arange(1, cap + 1, dtype=float)
    law = n**-exponent / (n**-exponent).sum()
    lengths = repeat_lengths(100_000, cap, generator(), exponent=exponent)
    deviation = np.sqrt((law * n**2).sum() - (law * n).sum() ** 2)
    assert lengths.double().mean().item() == pytest.approx((law * n).sum(), abs=5 * deviation / 100_000**0.5)
    assert 1 <= lengths.min() <= lengths.max() <= cap
    assert (lengths == 1).double().mean().item() == pytest.approx(law[0], abs=0.01)


def test_repeat_lengths_of_a_cap_of_1_repeat_nothing() -> None:
    """Always one decision; no agents draw nothing; the same generator state draws the same."""
    assert repeat_lengths(100, 1, generator()).tolist() == [1] * 100
    assert repeat_lengths(0, 16, generator()).shape == (0,)
    assert torch.equal(repeat_lengths(100, 16, generator(2)), repeat_lengths(100, 16, generator(2)))


@pytest.mark.parametrize(("cap", "exponent"), [(0, 2.0), (-3, 2.0), (16, -1.0)])
def test_repeat_lengths_refuse_what_is_no_law(cap: int, exponent: float) -> None:
    """No decision at all, or one that grows with the length."""
    with pytest.raises(ValueError, match="cap must be at least 1"):
        repeat_lengths(1, cap, exponent=exponent)


def test_epsilon_ladder_golden() -> None:
    """0.4, 0.4^{1 + 7/2} and 0.4⁸; one agent has 0.4."""
    torch.testing.assert_close(epsilon_ladder(3), torch.tensor([0.4, 0.016191, 0.00065536]), rtol=1e-4, atol=0)
    assert epsilon_ladder(1).tolist() == pytest.approx([0.4])


def test_epsilon_ladder_equals_the_papers_formula() -> None:
    """Agent by agent; falling; without an exponent all are alike."""
    ladder = epsilon_ladder(8, base=0.6, exponent=3.0)
    assert ladder.tolist() == pytest.approx([0.6 ** (1 + i / 7 * 3) for i in range(8)])
    assert (ladder.diff() < 0).all()
    assert epsilon_ladder(8, exponent=0.0).tolist() == pytest.approx([0.4] * 8)


@pytest.mark.parametrize("arguments", [(0,), (4, 0.0), (4, 1.5), (4, 0.4, -1.0)])
def test_epsilon_ladder_refuses_what_is_no_ladder(arguments) -> None:
    """No agents, epsilons outside 0 to 1, or rising ones."""
    with pytest.raises(ValueError, match="must be at least 1"):
        epsilon_ladder(*arguments)


def test_soft_policy_golden() -> None:
    """τ = 2 and scores 2 ln 1, 2 ln 3: probabilities ¼ and ¾; an illegal action has exactly 0."""
    scores = torch.tensor([[0.0, 2 * math.log(3), 50.0, 4.0, 4.0]])
    probs = soft_policy(scores, torch.tensor([[1.0, 1, 0, 1, 1]]), BRANCHES, 2.0).exp()
    torch.testing.assert_close(probs, torch.tensor([[0.25, 0.75, 0.0, 0.5, 0.5]]))
    assert probs[0, 2] == 0.0


@pytest.mark.parametrize(("size", "temperature"), [(1.0, 1.0), (1e3, 0.03), (1e6, 0.03), (1e6, 1e8)])
def test_soft_policy_equals_numpy(size: float, temperature: float) -> None:
    """A softmax over the legal actions of each branch in double precision, for tiny and huge scores."""
    scores, mask = size * torch.randn(200, 5, generator=generator()), random_masks(200)
    expected = np.zeros((200, 5))
    for b in range(200):
        for columns in ([0, 1, 2], [3, 4]):
            legal = [c for c in columns if mask[b, c]]
            x = scores[b, legal].double().numpy() / temperature
            expected[b, legal] = np.exp(x - x.max()) / np.exp(x - x.max()).sum()
    log_policy = soft_policy(scores, mask, BRANCHES, temperature)
    np.testing.assert_allclose(log_policy.exp(), expected, atol=1e-4)
    assert torch.isfinite(log_policy.exp() * log_policy).all()


def test_soft_policy_gradient_ignores_illegal_actions() -> None:
    """It is 0 there, and finite everywhere, although an illegal score is not a number."""
    scores = torch.tensor([[1.0, torch.nan, 2.0, 3.0, torch.inf]], requires_grad=True)
    soft_policy(scores, torch.tensor([[1.0, 0, 1, 1, 0]]), BRANCHES, 1.0)[0, 0].backward()
    assert scores.grad[0, [1, 3, 4]].tolist() == [0.0, 0.0, 0.0]
    assert scores.grad[0, 0].item() == pytest.approx(1 - 1 / (1 + np.e), abs=1e-6)


def test_soft_policy_without_a_legal_action_treats_all_as_legal() -> None:
    """As `random_actions` does; the other branch keeps its mask."""
    probs = soft_policy(torch.zeros(1, 5), torch.tensor([[0.0, 0, 0, 1, 0]]), BRANCHES, 1.0).exp()
    torch.testing.assert_close(probs, torch.tensor([[1 / 3, 1 / 3, 1 / 3, 1.0, 0.0]]))


def test_soft_policy_refuses_what_does_not_fit() -> None:
    """Temperature 0 divides by zero; other branches and [B, 1] masks raise."""
    with pytest.raises(ValueError, match="positive"):
        soft_policy(torch.ones(2, 5), torch.ones(2, 5), BRANCHES, 0.0)
    for mask, branches in ((torch.ones(2, 5), [3, 3]), (torch.ones(2, 1), BRANCHES)):
        with pytest.raises(ValueError, match="do not fit"):
            soft_policy(torch.ones(2, 5), mask, branches, 1.0)
