"""PopArt: statistics of the returns, and values that stay what they are when these change."""

import numpy as np
import pytest
from mlagents.torch_utils import torch
from torch import nn

from mlagents_plugin_shared.learning.popart import MIN_SIGMA, PopArt
from rollouts import trainer


def popart(streams: int = 2) -> tuple[PopArt, nn.ModuleDict]:
    """Fresh statistics, and their heads."""
    torch.manual_seed(0)
    heads = nn.ModuleDict({str(i): nn.Linear(5, 1) for i in range(streams)})
    return PopArt(heads), heads


def values(statistics: PopArt, heads: nn.ModuleDict, inputs: torch.Tensor) -> torch.Tensor:
    """[B, S] values of the heads."""
    return statistics.denormalize(torch.cat([head(inputs) for head in heads.values()], dim=1))


@pytest.mark.parametrize("scale", [0.01, 1.0, 3000.0])
def test_popart_keeps_values(scale: float) -> None:
    """Whatever returns come in, each head says of each state what it said before."""
    statistics, heads = popart()
    inputs = torch.randn(7, 5)
    before = values(statistics, heads, inputs)
    for _ in range(5):
        statistics.update(scale * torch.randn(20, 2) + scale, torch.ones(20))
        torch.testing.assert_close(values(statistics, heads, inputs), before, rtol=1e-4, atol=1e-5 * max(scale, 1.0))


def test_popart_golden() -> None:
    """Returns 1 and 3, then 5 and 5: mean (2 + 5) / 2, variance of all four, 2.75; the padded 100 does not count."""
    statistics, _ = popart(1)
    for returns in ([1.0, 3.0, 100.0], [5.0, 5.0, 100.0]):
        statistics.update(torch.tensor(returns)[:, None], torch.tensor([1.0, 1.0, 0.0]))
    assert statistics.mean.item() == 3.5
    assert statistics.streams["0"].variance.item() == pytest.approx(np.var([1, 3, 5, 5]))
    assert statistics.normalize(torch.tensor([[3.5]])).item() == 0.0


def test_popart_normalizes_to_units() -> None:
    """Returns of 3,000 come out with mean 0 and deviation 1, also where float32's squares would have lost it."""
    statistics, _ = popart(1)
    returns = 3000 + 0.1 * torch.randn(1000, 1)
    statistics.update(returns, torch.ones(1000))
    scaled = statistics.normalize(returns)
    assert abs(scaled.mean().item()) < 0.01
    assert scaled.std().item() == pytest.approx(1.0, rel=0.01)


def test_popart_of_equal_returns_does_not_divide_by_zero() -> None:
    """No deviation counts as a small one."""
    statistics, _ = popart(1)
    statistics.update(torch.full((5, 1), 7.0), torch.ones(5))
    assert statistics.sigma.item() == pytest.approx(MIN_SIGMA)
    assert torch.isfinite(statistics.normalize(torch.ones(3, 1))).all()


@pytest.mark.parametrize("spread", [0.0, 1.0], ids=["equal", "spread"])
def test_popart_leaves_out_what_it_could_not_forget(spread: float) -> None:
    """1e20 is a number, its square is none: infinite deviations would make every later weight NaN."""
    statistics, head = popart(1)
    statistics.update(torch.randn(50, 1), torch.ones(50))
    before = {name: value.clone() for name, value in statistics.state_dict().items()}
    statistics.update(1e20 * (1.0 + spread * torch.rand(5, 1)), torch.ones(5))
    assert all(torch.equal(value, before[name]) for name, value in statistics.state_dict().items())
    statistics.update(torch.randn(50, 1), torch.ones(50))
    assert statistics.rollouts == 2
    assert all(parameter.isfinite().all() for parameter in head.parameters())


def test_statistics_are_in_the_checkpoint() -> None:
    """A resumed critic without them would say something else."""
    modules = trainer().optimizer.get_modules()
    names = {f"streams.extrinsic.{name}" for name in ("mean", "variance", "rollouts")}
    assert names == set(modules["Optimizer:popart"].state_dict())


def test_popart_reads_a_checkpoint_of_0_1() -> None:
    """There the statistics of all streams were one vector, and their rollouts one number."""
    statistics, _ = popart()
    former = {"mean": torch.tensor([1.0, 2.0]), "variance": torch.tensor([4.0, 9.0]), "rollouts": torch.tensor(5.0)}
    missing, unexpected = statistics.load_state_dict(former, strict=False)
    assert (missing, unexpected) == ([], [])
    assert statistics.mean.tolist() == [1.0, 2.0]
    assert statistics.sigma.tolist() == [2.0, 3.0]
    assert statistics.rollouts.tolist() == [5.0, 5.0]
