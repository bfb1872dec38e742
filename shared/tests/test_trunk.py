"""Hidden layers side by side, their normalisation and its derivative."""

import pytest
import torch
from mlagents.trainers.settings import NetworkSettings
from torch import nn

from mlagents_plugin_shared.learning.trunk import (
    BatchNorm,
    Dense,
    Normalization,
    RMSNorm,
    Trunk,
    TrunkBody,
    TrunkStyle,
    project_weights,
)
from mlagents_plugin_shared.testing import SENSORS

STYLES = [TrunkStyle(residual, kind) for residual in (False, True) for kind in Normalization]


def stirred(module: nn.Module) -> nn.Module:
    """With random weights."""
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in module.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    return module


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("training", [False, True])
def test_members_are_as_networks_of_their_own(style: TrunkStyle, training: bool) -> None:
    """Each of two members gives what a plain trunk with its weights gives."""
    both = stirred(Trunk(5, 8, 2, style, 2))
    saved = {name: value.clone() for name, value in both.state_dict().items()}
    inputs = torch.randn(7, 5)
    found = both(inputs, training)
    for k in range(2):
        alone = Trunk(5, 8, 2, style)
        shapes = {name: value.shape for name, value in alone.state_dict().items()}
        alone.load_state_dict({name: v if v.shape == shapes[name] else v[k] for name, v in saved.items()})
        torch.testing.assert_close(found[k], alone(inputs, training), rtol=1e-4, atol=1e-5)


def test_batch_norm_is_torchs() -> None:
    """Outputs, the statistics of a first batch and all derivatives, for each member."""
    ours = stirred(BatchNorm(4, 2)).double()
    inputs = torch.randn(2, 9, 4, dtype=torch.float64, requires_grad=True)
    weigh = torch.randn(2, 9, 4, dtype=torch.float64)
    (ours(inputs, True) * weigh).sum().backward()
    for k in range(2):
        theirs = nn.BatchNorm1d(4, momentum=1.0).double()
        with torch.no_grad():
            theirs.weight.copy_(ours.weight[k, 0])
            theirs.bias.copy_(ours.bias[k, 0])
        alone = inputs.detach()[k].requires_grad_()
        (theirs(alone) * weigh[k]).sum().backward()
        torch.testing.assert_close(inputs.grad[k], alone.grad)
        torch.testing.assert_close(ours.weight.grad[k, 0], theirs.weight.grad)
        torch.testing.assert_close(ours.bias.grad[k, 0], theirs.bias.grad)
        torch.testing.assert_close(ours.running_mean[k, 0], theirs.running_mean)
        torch.testing.assert_close(ours.running_var[k, 0], theirs.running_var)
        torch.testing.assert_close(ours(inputs)[k], theirs.eval()(alone))


def test_rows_outside_the_mask_do_not_count() -> None:
    """Outputs, statistics and derivatives of the others are those of a batch without them."""
    torch.manual_seed(0)
    mask = torch.tensor([1.0, 1.0, 0.0, 1.0, 0.0, 1.0])
    real = mask.bool()
    masked, alone = BatchNorm(4, 2).double(), BatchNorm(4, 2).double()
    inputs = torch.randn(2, 6, 4, dtype=torch.float64)
    inputs[:, ~real] = 1e3
    weigh, gradients = torch.randn(2, 4, 4, dtype=torch.float64), []
    for norm, given, training in ((masked, inputs, mask), (alone, inputs[:, real], True)):
        given = given.clone().requires_grad_()
        outputs = norm(given, training)
        outputs = outputs if training is True else outputs[:, real]
        (outputs * weigh).sum().backward()
        gradients.append((outputs, given.grad if training is True else given.grad[:, real], norm.weight.grad))
        assert training is True or not given.grad[:, ~real].any()
    torch.testing.assert_close(*gradients)
    torch.testing.assert_close(dict(masked.named_buffers()), dict(alone.named_buffers()))


def test_batch_norm_of_one_row_is_finite() -> None:
    """A batch of one has no variance."""
    norm = BatchNorm(3)
    assert torch.isfinite(norm(torch.randn(1, 3), True)).all()
    assert torch.isfinite(norm.running_var).all()


def test_running_statistics_move_in_training_only() -> None:
    """What acts does not change what it acts by."""
    trunk = Trunk(3, 4, 1, TrunkStyle(normalization=Normalization.BATCH))
    before = {name: value.clone() for name, value in trunk.named_buffers()}
    trunk(torch.randn(6, 3) + 5.0)
    assert all(torch.equal(before[name], value) for name, value in trunk.named_buffers())
    trunk(torch.randn(6, 3) + 5.0, True)
    assert not any(torch.equal(before[name], value) for name, value in trunk.named_buffers())


def test_largest_observation_leaves_statistics_finite() -> None:
    """A distance of float32's largest number where nothing was seen, as scenes have: by batch and after it."""
    trunk = Trunk(3, 4, 1, TrunkStyle(normalization=Normalization.BATCH))
    seen = torch.randn(600, 3)
    seen[::2, 1] = torch.finfo(torch.float32).max
    for training in (True, True, False):
        assert torch.isfinite(trunk(seen, training)).all()
    assert all(torch.isfinite(value).all() for value in trunk.buffers())


def test_rms_norm_golden() -> None:
    """(3, 4) has a mean square of 12.5: it becomes (0.848528, 1.131371)."""
    torch.testing.assert_close(RMSNorm(2)(torch.tensor([[3.0, 4.0]])), torch.tensor([[0.848528, 1.131371]]))


def test_projection_gives_each_output_the_norm_one() -> None:
    """And normalisation a mean square of one; biases of layers stay as they are."""
    dense, norm = stirred(Dense(5, 3, 2)), stirred(BatchNorm(4))
    bias = dense.bias.detach().clone()
    project_weights(dense, norm)
    torch.testing.assert_close(dense.weight.norm(dim=-1), torch.ones(2, 3))
    assert torch.equal(dense.bias, bias)
    total = norm.weight.square().sum() + norm.bias.square().sum()
    torch.testing.assert_close(total, torch.tensor(4.0))


@pytest.mark.parametrize("sensors", ["vector", "goal", "everything"])
@pytest.mark.parametrize("training", [False, True])
def test_body_reads_every_sensor(sensors: str, training: bool) -> None:
    """Also where a goal signal has a hyper network in place of the trunk, and with memory."""
    memory = NetworkSettings.MemorySettings(memory_size=8, sequence_length=3)
    settings = NetworkSettings(hidden_units=16, num_layers=1, memory=memory)
    body = TrunkBody(SENSORS[sensors], settings, TrunkStyle(True, Normalization.BATCH))
    observations = [torch.randn(6, *spec.shape) for spec in SENSORS[sensors]]
    encoding, memories = body.encode(observations, torch.zeros(1, 2, 8), 3, training=training)
    assert encoding.shape == (6, body.encoding_size)
    assert memories.shape == (1, 2, 8)
    assert torch.isfinite(encoding).all()
