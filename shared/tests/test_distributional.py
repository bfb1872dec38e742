"""Distributional targets against golden numbers, the paper's loop, identities and negative controls."""

import math

import numpy as np
import pytest
import torch

from mlagents_plugin_shared.learning.return_heads import CUT_OFF_INTERVAL, CategoricalReturn
from mlagents_plugin_shared.maths.distributional import (
    categorical_target,
    mass_outside,
    quantile_midpoints,
    quantile_target,
)

SUPPORT = torch.tensor([0.0, 1.0, 2.0])


def random_distributions(leading: tuple[int, ...], atoms: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Probabilities [..., N], rewards and discounts [...], some of them terminal."""
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.ones(atoms), size=leading)
    arrays = probs, rng.normal(size=leading) * 3, rng.choice([0.0, 0.5, 0.99], size=leading)
    return tuple(torch.as_tensor(array, dtype=torch.float32) for array in arrays)


@pytest.mark.parametrize(
    ("reward", "discount", "expected"),
    [
        (0.5, 1.0, [0.0, 0.5, 0.5]),  # 1 moves to 1.5, half way between two atoms
        (0.0, 0.25, [0.75, 0.25, 0.0]),  # 1 moves to 0.25
        (10.0, 1.0, [0.0, 0.0, 1.0]),  # beyond the support: the nearest end
        (-10.0, 1.0, [1.0, 0.0, 0.0]),
        (0.75, 0.0, [0.25, 0.75, 0.0]),  # terminal: the reward alone
    ],
)
def test_categorical_target_golden(reward: float, discount: float, expected: list[float]) -> None:
    """All of the next state's return lies at 1."""
    target = categorical_target(torch.tensor([0.0, 1.0, 0.0]), torch.tensor(reward), torch.tensor(discount), SUPPORT)
    torch.testing.assert_close(target, torch.tensor(expected))


def test_categorical_target_equals_the_papers_loop() -> None:
    """Algorithm 1 of Bellemare et al. (2017), atom by atom, for two leading dimensions and 51 atoms."""
    probs, reward, discount = random_distributions((6, 2), 51)
    support = torch.linspace(-4.0, 6.0, 51)
    step = 10.0 / 50
    expected = np.zeros(probs.shape)
    for index in np.ndindex(6, 2):
        for j in range(51):
            moved = min(max(reward[index].item() + discount[index].item() * support[j].item(), -4.0), 6.0)
            place = (moved + 4.0) / step
            lower, upper = math.floor(place), math.ceil(place)
            if lower == upper:
                expected[index][lower] += probs[index][j]
            else:
                expected[index][lower] += probs[index][j] * (upper - place)
                expected[index][upper] += probs[index][j] * (place - lower)
    np.testing.assert_allclose(categorical_target(probs, reward, discount, support), expected, atol=2e-6)


def test_categorical_target_keeps_probability_and_mean() -> None:
    """Probabilities add up to 1; while nothing leaves the support the mean is r + γ E[Z], and clipping changes it."""
    probs, reward, discount = random_distributions((200,), 21)
    expected = reward + discount * (probs * torch.linspace(-1, 1, 21)).sum(dim=1)
    for width, kept in ((40.0, True), (1.0, False)):
        support = torch.linspace(-width, width, 21)
        narrow = categorical_target(probs, torch.zeros(200), torch.full((200,), 1 / width), support)  # back to -1 … 1
        target = categorical_target(narrow, reward, discount, support)
        torch.testing.assert_close(target.sum(dim=1), torch.ones(200))
        assert torch.allclose((target * support).sum(dim=1), expected, atol=1e-4) is kept


def test_categorical_target_of_what_is_no_number_is_none() -> None:
    """So that the step that it would make is left out; the other transitions of the batch have theirs."""
    target = categorical_target(
        torch.full((2, 3), 1 / 3), torch.tensor([float("nan"), 0.0]), torch.ones(2), torch.tensor([-1.0, 0.0, 1.0])
    )
    assert target[0].isnan().any()
    torch.testing.assert_close(target[1], torch.full((3,), 1 / 3))


def test_categorical_target_without_reward_or_discounting_changes_nothing() -> None:
    """r = 0 and γ = 1."""
    probs, _, _ = random_distributions((9,), 51)
    target = categorical_target(probs, torch.zeros(9), torch.ones(9), torch.linspace(-10, 10, 51))
    torch.testing.assert_close(target, probs, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("probs", "reward", "support"),
    [
        (torch.ones(4, 3), torch.ones(4, 1), SUPPORT),
        (torch.ones(4, 2), torch.ones(4), SUPPORT),
        (torch.ones(4, 1), torch.ones(4), SUPPORT[:1]),
        (torch.ones(4, 3), torch.ones(4), SUPPORT.expand(4, 3)),
    ],
    ids=["rewards [B, 1]", "other atoms", "one atom", "supports [B, N]"],
)
def test_categorical_target_refuses_other_shapes(probs, reward, support) -> None:
    """Shapes that would broadcast, and supports that are no N >= 2 atoms."""
    with pytest.raises(ValueError, match=r"one shape|must hold"):
        categorical_target(probs, reward, reward, support)


def test_mass_outside_golden() -> None:
    """The atoms 0, 1 and 2, with probabilities 0.2, 0.3 and 0.5, become 0.6, 1.6 and 2.6: the last lies outside."""
    probs, reward, discount = torch.tensor([[0.2, 0.3, 0.5]]), torch.tensor([0.6]), torch.tensor([1.0])
    assert mass_outside(probs, reward, discount, SUPPORT).item() == 0.5
    assert mass_outside(probs, -reward, discount, SUPPORT).item() == pytest.approx(0.2)
    assert mass_outside(probs, torch.tensor([2.4]), 0 * discount, SUPPORT).item() == 0.0
    assert mass_outside(probs, torch.tensor([2.6]), 0 * discount, SUPPORT).item() == pytest.approx(1.0)


@pytest.mark.parametrize(("reward", "said"), [(1.0, True), (-1.0, True), (0.05, False)])
def test_returns_that_no_atom_can_tell_are_spoken_of_once(
    reward: float, said: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A reward of 1 a step comes to 100 with a discount of 0.99, where atoms end at 10; 0.05, the control, to 5."""
    head = CategoricalReturn(4, [2], 1, num_atoms=51, v_min=-10.0, v_max=10.0)
    probs = torch.full((8, 1, 51), 1 / 51)
    for _ in range(3 * CUT_OFF_INTERVAL):
        probs = head.target(probs, torch.full((8, 1), reward), torch.full((8, 1), 0.99))
    assert caplog.text.count("outside of v_min: -10 to v_max: 10 and are cut off,") == said


def test_quantile_target_golden() -> None:
    """1 + ½ (2, 4) = (2, 3); where the episode terminated all quantiles are the reward."""
    target = quantile_target(torch.tensor([[2.0, 4.0]] * 2), torch.ones(2), torch.tensor([0.5, 0.0]))
    assert target.tolist() == [[2.0, 3.0], [1.0, 1.0]]


def test_quantile_target_has_the_td_target_as_its_mean() -> None:
    """For any leading dimensions, and quantile by quantile in NumPy."""
    quantiles, reward, discount = random_distributions((5, 2), 8)
    target = quantile_target(quantiles, reward, discount)
    torch.testing.assert_close(target.mean(dim=2), reward + discount * quantiles.mean(dim=2))
    expected = [[[r + g * q for q in qs] for qs, r, g in zip(*row, strict=True)]
                for row in zip(quantiles.tolist(), reward.tolist(), discount.tolist(), strict=True)]  # fmt: skip
    np.testing.assert_allclose(target, expected, rtol=1e-5)


def test_quantile_target_refuses_shapes_that_would_broadcast() -> None:
    """[B, N] rewards against [B, N] quantiles: rewards have no quantiles."""
    with pytest.raises(ValueError, match="one shape"):
        quantile_target(torch.ones(3, 4), torch.ones(3, 4), torch.ones(3, 4))


def test_distributional_targets_are_detached() -> None:
    """No gradient flows into the next state's distribution."""
    probs = torch.full((2, 3), 1 / 3, requires_grad=True)
    assert not categorical_target(probs, torch.ones(2), torch.ones(2), SUPPORT).requires_grad
    assert not quantile_target(probs, torch.ones(2), torch.ones(2)).requires_grad


def test_quantile_midpoints_golden() -> None:
    """Four intervals of a quarter: 1/8, 3/8, 5/8, 7/8."""
    torch.testing.assert_close(quantile_midpoints(4), torch.tensor([0.125, 0.375, 0.625, 0.875]))
    with pytest.raises(ValueError, match="at least 1"):
        quantile_midpoints(0)


def test_quantile_midpoints_describe_a_distribution_best() -> None:
    """Exp(1) is nearer, by Wasserstein's distance, to its quantiles at the midpoints than at i / N or (i + 1) / N."""
    levels = torch.linspace(0.0005, 0.9995, 1000)
    quantile = torch.distributions.Exponential(1.0).icdf

    def distance(taus: torch.Tensor) -> float:
        return (quantile(taus.clamp(max=0.999)).repeat_interleave(100) - quantile(levels)).abs().mean().item()

    midpoints = quantile_midpoints(10)
    assert distance(midpoints) < min(distance(midpoints - 0.05), distance(midpoints + 0.05))
