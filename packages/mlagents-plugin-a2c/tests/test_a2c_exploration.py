"""Noise that is a function of the state: how long it lasts, how large it is, and what learns its size."""

import pytest
from mlagents.torch_utils import torch

from mlagents_plugin_a2c.exploration import StateDependentGaussian

FEATURES, NUMBERS, KEPT = 6, 2, 4


def layer(sample_freq: int = KEPT) -> StateDependentGaussian:
    """A layer with deviations of its own for every feature."""
    torch.manual_seed(0)
    made = StateDependentGaussian(FEATURES, NUMBERS, sample_freq=sample_freq, log_std_init=-1.0)
    made.log_sigma.data += torch.randn(FEATURES, NUMBERS) / 4
    return made


@torch.no_grad()
def noise(distribution: StateDependentGaussian, features: torch.Tensor) -> torch.Tensor:
    """What is added to the greedy actions."""
    instance = distribution(features)
    return instance.sample() - instance.deterministic_sample()


def test_noise_function_is_kept_and_then_drawn_anew() -> None:
    """In one state the same noise follows for some decisions; twice the features have twice the noise."""
    distribution, features = layer(), torch.randn(3, FEATURES)
    first = [noise(distribution, features) for _ in range(KEPT - 1)]
    assert all(torch.allclose(each, first[0]) for each in first)
    assert torch.allclose(noise(distribution, 2 * features), 2 * first[0], atol=1e-6)
    assert not torch.allclose(noise(distribution, features), first[0], atol=1e-2)


def test_every_agent_has_a_noise_function_of_its_own() -> None:
    """Also one that comes later, in the middle of the others' time."""
    distribution, one = layer(), torch.randn(1, FEATURES)
    drawn = noise(distribution, one.repeat(5, 1))
    assert len(drawn[:, 0].unique()) == 5
    assert len(noise(distribution, one.repeat(8, 1))[:, 0].unique()) == 8


def test_deviation_is_that_of_the_noise() -> None:
    """Over 50,000 noise functions; the density that learning uses is that of a normal distribution with it."""
    distribution, one = layer(), torch.randn(1, FEATURES)
    drawn = noise(distribution, one.repeat(50_000, 1))
    with torch.no_grad():
        instance = distribution(one)
    assert drawn.std(dim=0) == pytest.approx(instance.std[0].tolist(), rel=0.02)
    action = instance.deterministic_sample() + 0.3
    expected = torch.distributions.Normal(instance.mean, instance.std).log_prob(action)
    assert instance.log_prob(action) == pytest.approx(expected, abs=1e-4)


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
    distribution, one = layer(), torch.randn(1, FEATURES)
    before = noise(distribution, one)
    rows = distribution(one.repeat(5, 1))
    for drawn in (rows.sample(), rows.exported_model_output()):
        assert len(drawn[:, 0].unique()) == 5
    assert torch.allclose(noise(distribution, one), before)
