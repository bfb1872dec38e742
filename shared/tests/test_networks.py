"""Q heads, noisy layers, target networks and normalisation of observations."""

import inspect
import math

import numpy as np
import onnxruntime
import pytest
from mlagents.torch_utils import torch
from mlagents.trainers.buffer import AgentBuffer
from mlagents.trainers.settings import NetworkSettings
from mlagents.trainers.torch_entities.networks import NetworkBody
from mlagents.trainers.trajectory import ObsUtil
from mlagents_envs.base_env import DimensionProperty, ObservationSpec, ObservationType
from torch import nn

from mlagents_plugin_shared.learning.networks import (
    NoisyLinear,
    add_layer_norm,
    resample_noise,
    update_normalization,
    update_target_network,
)
from mlagents_plugin_shared.learning.return_heads import BranchingQHead, ImplicitQuantileHead, QuantileEmbedding

VECTOR = ObservationSpec((4,), (DimensionProperty.NONE,), ObservationType.DEFAULT, "vector")


def body() -> NetworkBody:
    """Small body with normalisation."""
    return NetworkBody([VECTOR], NetworkSettings(normalize=True, hidden_units=8))


HEADS = {
    f"{kind} {'dueling' if dueling else 'plain'} {'noisy' if noisy else 'sure'}": (kind, dueling, noisy)
    for kind in ("value", "atoms", "implicit")
    for dueling in (True, False)
    for noisy in (True, False)
}


def make_head(name: str) -> nn.Module:
    """Head on 8 numbers for two streams and branches of 3 and 2, of 7 atoms or quantiles."""
    kind, dueling, noisy = HEADS[name]
    if kind == "implicit":
        return ImplicitQuantileHead(8, [3, 2], 2, dueling=dueling, noisy=noisy)
    return BranchingQHead(8, [3, 2], 2, dueling=dueling, num_atoms=7 if kind == "atoms" else 1, noisy=noisy)


def inputs_of(head: nn.Module, batch: int = 6) -> tuple[torch.Tensor, ...]:
    """An encoding, and probabilities where the head asks for them."""
    encoding = torch.randn(batch, 8, generator=torch.Generator().manual_seed(0))
    return (encoding, torch.rand(7)) if isinstance(head, ImplicitQuantileHead) else (encoding,)


@pytest.mark.parametrize("name", HEADS)
def test_heads_give_every_action_of_every_stream(name: str) -> None:
    """[B, S, A] or [B, S, A, N], each row from its own state alone, and a gradient for every parameter."""
    head = make_head(name)
    inputs = inputs_of(head)
    q = head(*inputs)
    assert q.shape == ((6, 2, 5) if name.startswith("value") else (6, 2, 5, 7))
    torch.testing.assert_close(head(inputs[0][2:3], *inputs[1:]), q[2:3])
    q.square().sum().backward()
    assert all(parameter.grad.any() for parameter in head.parameters())


@pytest.mark.parametrize("name", [name for name in HEADS if "dueling" in name])
def test_heads_dueling_have_one_state_value(name: str) -> None:
    """Advantages average to 0 in each branch, atom by atom: both branches have the same mean, which is not 0."""
    head = make_head(name)
    first, second = head(*inputs_of(head)).split([3, 2], dim=2)
    torch.testing.assert_close(first.mean(dim=2), second.mean(dim=2))
    assert first.mean(dim=2).abs().max() > 1e-3


@pytest.mark.parametrize("name", HEADS)
def test_heads_export_without_noise(name: str, tmp_path) -> None:
    """An ONNX model of a head in training gives, for another batch size, what the head in evaluation gives."""
    head = make_head(name)
    encoding, *taus = inputs_of(head)
    path = str(tmp_path / "head.onnx")
    network = Fixed(head, taus)
    legacy = {"dynamo": False} if "dynamo" in inspect.signature(torch.onnx.export).parameters else {}
    torch.onnx.export(
        network, (encoding,), path, opset_version=9, input_names=["e"], dynamic_axes={"e": {0: "batch"}}, **legacy
    )
    (encoding, *_) = inputs_of(head, batch=9)
    (exported,) = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(
        None, {"e": encoding.numpy()}
    )
    assert network.training
    np.testing.assert_allclose(exported, network.eval()(encoding).detach(), atol=1e-5)


class Fixed(nn.Module):
    """A head that reads its quantiles at fixed probabilities."""

    def __init__(self, head: nn.Module, taus: list[torch.Tensor]) -> None:
        super().__init__()
        self.head, self.taus = head, taus

    def forward(self, encoding: torch.Tensor) -> torch.Tensor:
        return self.head(encoding, *self.taus)


def test_branching_q_head_equals_the_papers_formula() -> None:
    """V + A - mean A, number by number from its layers, for two streams of four atoms."""
    head = BranchingQHead(8, [3, 2], 2, dueling=True, num_atoms=4)
    encoding = inputs_of(head)[0]
    value = head.value(encoding).detach().numpy().reshape(6, 2, 4)
    advantage = head.advantage(encoding).detach().numpy().reshape(6, 2, 5, 4)
    q = head(encoding).detach()
    for b, s, a, atom in np.ndindex(6, 2, 5, 4):
        branch = advantage[b, s, :3, atom] if a < 3 else advantage[b, s, 3:, atom]
        assert q[b, s, a, atom].item() == pytest.approx(
            value[b, s, atom] + advantage[b, s, a, atom] - branch.mean(), abs=1e-6
        )


def test_branching_q_head_keeps_the_names_of_its_weights() -> None:
    """A checkpoint of the plain head loads into a noisy one as its mean, and no noise is ever stored."""
    plain = BranchingQHead(8, [3, 2], 2, dueling=True)
    assert list(plain.state_dict()) == ["advantage.weight", "advantage.bias", "value.weight", "value.bias"]
    noisy = BranchingQHead(8, [3, 2], 2, dueling=True, noisy=True)
    missing, unexpected = noisy.load_state_dict(plain.state_dict(), strict=False)
    assert not unexpected
    assert all(name.endswith("_sigma") for name in missing)
    encoding = inputs_of(plain)[0]
    torch.testing.assert_close(noisy.eval()(encoding), plain(encoding))


def test_noisy_linear_golden() -> None:
    """f(4) = 2, f(-9) = -3: weight 1 + 0.5·2·(-3) = -2, bias 1 + 0.1·2 = 1.2, so 10 gives -18.8; the mean gives 11."""
    layer = NoisyLinear(1, 1)
    for parameter, number in zip(layer.parameters(), (1.0, 1.0, 0.5, 0.1), strict=True):
        nn.init.constant_(parameter, number)
    draws = iter((torch.tensor([-9.0]), torch.tensor([4.0])))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "randn", lambda *_, **__: next(draws))
        layer.resample()
    assert layer(torch.tensor([[10.0]])).item() == pytest.approx(-18.8)
    assert layer.eval()(torch.tensor([[10.0]])).item() == 11.0


def test_noisy_linear_starts_as_in_the_paper() -> None:
    """Means uniform within 1 / √inputs = 0.1, deviations 0.5 / √inputs = 0.05."""
    layer = NoisyLinear(100, 50)
    means = torch.cat([layer.weight.flatten(), layer.bias])
    assert 0.095 < means.abs().max() <= 0.1
    assert means.mean().abs() < 0.005
    for sigma in (layer.weight_sigma, layer.bias_sigma):
        torch.testing.assert_close(sigma, torch.full_like(sigma, 0.05))


def test_noisy_linear_noise_is_factorised() -> None:
    """The disturbance of the weights has rank 1; over many draws it has mean 0 and variance σ² (E|ε|)² = σ² 2 / π."""
    layer = NoisyLinear(4, 3)
    identity, generator, draws = torch.eye(4), torch.Generator().manual_seed(0), []
    for _ in range(4000):
        layer.resample(generator)
        with torch.no_grad():  # what is added to W: the response to the unit vectors, less that to 0
            draws.append((layer(identity) - layer(torch.zeros(4, 4))).T - layer.weight)
    disturbance = torch.stack(draws)
    assert torch.linalg.matrix_rank(disturbance[0], atol=1e-5) == 1
    assert disturbance.mean(dim=0).abs().max() < 0.02
    torch.testing.assert_close(disturbance.var(dim=0), torch.full((3, 4), 0.25**2 * 2 / math.pi), rtol=0.15, atol=0)


def test_resample_noise_reaches_every_layer_and_repeats_with_its_seed() -> None:
    """Nested layers too; in between the noise stays, and a network without noise is left alone."""
    network = nn.Sequential(NoisyLinear(8, 8), BranchingQHead(8, [3, 2], 2, dueling=True, noisy=True))
    encoding = inputs_of(network)[0]

    def drawn(seed: int) -> torch.Tensor:
        resample_noise(network, torch.Generator().manual_seed(seed))
        torch.testing.assert_close(network(encoding), network(encoding), rtol=0, atol=0)
        return network(encoding)

    assert torch.equal(drawn(1), drawn(1))
    before = {id(m): m.noise_in for m in network.modules() if isinstance(m, NoisyLinear)}
    assert not torch.allclose(drawn(1), drawn(2))
    assert len(before) == 3
    assert all(not torch.equal(m.noise_in, before[id(m)]) for m in network.modules() if isinstance(m, NoisyLinear))
    resample_noise(nn.Linear(2, 2))


def test_noisy_linear_may_be_resampled_before_the_gradient() -> None:
    """The gradient of an output is that of the noise it was computed with."""
    layer, inputs = NoisyLinear(4, 3), torch.ones(1, 4)
    noise = torch.outer(layer.noise_out, layer.noise_in)
    loss = layer(inputs).sum()
    layer.resample()
    loss.backward()
    torch.testing.assert_close(layer.weight_sigma.grad, noise)


def test_quantile_embedding_golden() -> None:
    """n = 2, w = (3, 5), b = -1: τ = 0 gives 3 + 5 - 1 = 7, τ = ½ gives 3 - 1 = 2, τ = 1 gives max(3 - 5 - 1, 0)."""
    embedding = QuantileEmbedding(1, num_cosines=2)
    with torch.no_grad():
        embedding.linear.weight.copy_(torch.tensor([[3.0, 5.0]]))
        embedding.linear.bias.fill_(-1.0)
    embedded = embedding(torch.tensor([[10.0]]), torch.tensor([0.0, 0.5, 1.0]))
    torch.testing.assert_close(embedded, torch.tensor([[[70.0], [20.0], [0.0]]]))


def test_quantile_embedding_equals_the_papers_sum() -> None:
    """Equation 4 in NumPy, with taus of each state."""
    embedding = QuantileEmbedding(8, num_cosines=16)
    encoding, taus = inputs_of(embedding)[0], torch.rand(6, 3)
    weight, bias = (p.detach().numpy() for p in embedding.linear.parameters())
    embedded = embedding(encoding, taus).detach()
    for b, k in np.ndindex(6, 3):
        phi = sum(np.cos(np.pi * i * taus[b, k].item()) * weight[:, i] for i in range(16)) + bias
        np.testing.assert_allclose(embedded[b, k], encoding[b] * np.maximum(phi, 0), atol=1e-5)


def test_implicit_quantile_head_reads_each_quantile_at_its_own_tau() -> None:
    """Taus of each state permuted give the quantiles permuted; one τ for all is the same as that τ for each."""
    head = ImplicitQuantileHead(8, [3, 2], 2, dueling=True)
    encoding, taus = inputs_of(head)
    each = torch.rand(6, 7)
    order = torch.tensor([3, 1, 0, 2, 6, 4, 5])
    torch.testing.assert_close(head(encoding, each[:, order]), head(encoding, each)[..., order])
    torch.testing.assert_close(head(encoding, taus), head(encoding, taus.expand(6, 7)))
    assert head(encoding, taus).std(dim=3).min() > 1e-6


def test_update_target_network_copies() -> None:
    """tau = 1 makes both networks equal, statistics of normalisation included."""
    online, target = body(), body()
    update_normalization(online, [np.random.default_rng(0).normal(3, 2, (50, 4)).astype(np.float32)])
    update_target_network(online, target)
    for name, value in online.state_dict().items():
        torch.testing.assert_close(target.state_dict()[name], value)


def test_update_target_network_moves_by_tau() -> None:
    """0.25 of the way: 0.25·4 + 0.75·0 = 1."""
    online, target = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    torch.nn.init.constant_(online.weight, 4.0)
    torch.nn.init.constant_(target.weight, 0.0)
    update_target_network(online, target, tau=0.25)
    assert target.weight.item() == 1.0
    assert online.weight.item() == 4.0


def test_update_target_network_moves_noisy_layers() -> None:
    """Means and deviations follow; with the noise switched off both networks agree."""
    online, target = NoisyLinear(4, 2), NoisyLinear(4, 2)
    update_target_network(online, target)
    for mine, other in zip(online.parameters(), target.parameters(), strict=True):
        torch.testing.assert_close(mine, other)
    torch.testing.assert_close(online.eval()(torch.ones(1, 4)), target.eval()(torch.ones(1, 4)))


def test_update_normalization_equals_ml_agents() -> None:
    """The statistics are those that ML-Agents takes from an AgentBuffer."""
    rows = np.random.default_rng(0).normal(3, 2, (50, 4)).astype(np.float32)
    buffer = AgentBuffer()
    buffer[ObsUtil.get_name_at(0)].extend(rows)
    ours, theirs = body(), body()
    update_normalization(ours, [rows])
    theirs.update_normalization(buffer)
    for mine, other in zip(ours.buffers(), theirs.buffers(), strict=True):
        torch.testing.assert_close(mine, other)


def test_add_layer_norm_normalises_every_hidden_layer() -> None:
    """A LayerNorm follows each linear layer; the encoding no longer depends on the scale of what a layer gives."""
    torch.manual_seed(0)
    body = NetworkBody([VECTOR], NetworkSettings())
    plain = [type(layer).__name__ for layer in body._body_endoder.seq_layers]
    add_layer_norm(body)
    assert plain == ["Linear", "Swish", "Linear", "Swish"]
    names = [type(layer).__name__ for layer in body._body_endoder.seq_layers]
    assert names == ["Linear", "LayerNorm", "Swish", "Linear", "LayerNorm", "Swish"]
    before = body([torch.ones(1, 4)])[0]
    with torch.no_grad():
        body._body_endoder.seq_layers[0].weight.mul_(10)
    torch.testing.assert_close(body([torch.ones(1, 4)])[0], before, rtol=1e-3, atol=1e-3)
