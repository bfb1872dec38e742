"""Network parts: Q heads for several branches, noisy layers, target networks and observation normalisation.

Every head takes an encoding [B, E] and gives the actions of all branches side by side for every reward stream:

| head                                   | output       | algorithm                                   |
|----------------------------------------|--------------|---------------------------------------------|
| `BranchingQHead(...)`                  | [B, S, A]    | DQN: values                                 |
| `BranchingQHead(..., num_atoms=N)`     | [B, S, A, N] | C51: logits of the atoms; QR-DQN: quantiles |
| `ImplicitQuantileHead(...)(..., taus)` | [B, S, A, N] | IQN: quantiles at the given probabilities   |

Each of them can be `dueling` and `noisy`.
"""

import math
from collections.abc import Sequence
from itertools import chain

import numpy as np
from mlagents.torch_utils import torch
from mlagents.trainers.torch_entities.encoders import VectorInput
from mlagents.trainers.torch_entities.layers import Initialization, LinearEncoder, linear_layer
from mlagents.trainers.torch_entities.networks import NetworkBody
from torch import nn

LARGEST_INPUT = 1e15
"""Largest observation that the statistics of normalisation take in."""


class NoisyLinear(nn.Module):
    """Linear layer whose weights carry learned, factorised Gaussian noise: a network of them needs no epsilon.

    y = (μ_w + σ_w ⊙ f(ε_out) f(ε_in)ᵀ) x + μ_b + σ_b ⊙ f(ε_out),   f(ε) = sgn(ε) √|ε|

    The noise is one for the whole batch and stays until `resample`. In evaluation mode (`eval()`) there is none and
    the layer is linear with the mean weights, which are called `weight` and `bias`; torch exports to ONNX in that
    mode. The noise is not part of the `state_dict`.

    Source: Fortunato et al. (2018), eq. 9 to 11 and section 3.2, https://arxiv.org/abs/1706.10295.

    Args:
        in_features: width of the input.
        out_features: width of the output.
        initial_sigma: σ_0; the noise starts with deviations of σ_0 / √in_features.
    """

    noise_in: torch.Tensor
    noise_out: torch.Tensor

    def __init__(self, in_features: int, out_features: int, initial_sigma: float = 0.5) -> None:
        super().__init__()
        bound = 1.0 / math.sqrt(in_features)
        self.weight = nn.Parameter(torch.empty(out_features, in_features).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(out_features).uniform_(-bound, bound))
        self.weight_sigma = nn.Parameter(torch.full((out_features, in_features), initial_sigma * bound))
        self.bias_sigma = nn.Parameter(torch.full((out_features,), initial_sigma * bound))
        self.register_buffer("noise_in", torch.zeros(in_features), persistent=False)
        self.register_buffer("noise_out", torch.zeros(out_features), persistent=False)
        self.resample()

    def resample(self, generator: torch.Generator | None = None) -> None:
        """Draws new noise.

        Args:
            generator: source of randomness, on the device of the layer; default torch's own.
        """
        # New tensors, not new numbers in the old ones: a gradient that is still to be computed needs those.
        self.noise_in = self._noise(self.weight.shape[1], generator)
        self.noise_out = self._noise(self.weight.shape[0], generator)

    def _noise(self, size: int, generator: torch.Generator | None) -> torch.Tensor:
        """[size] f(ε)."""
        noise = torch.randn(size, generator=generator, device=self.weight.device, dtype=self.weight.dtype)
        return noise.sign() * noise.abs().sqrt()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """[..., in_features] → [..., out_features]."""
        if not self.training:
            return nn.functional.linear(inputs, self.weight, self.bias)
        weight = self.weight + self.weight_sigma * torch.outer(self.noise_out, self.noise_in)
        return nn.functional.linear(inputs, weight, self.bias + self.bias_sigma * self.noise_out)


def resample_noise(network: nn.Module, generator: torch.Generator | None = None) -> None:
    """Draws new noise for every `NoisyLinear` of a network; does nothing to a network without one.

    Args:
        network: the network.
        generator: source of randomness, on the device of the network; default torch's own.
    """
    for module in network.modules():
        if isinstance(module, NoisyLinear):
            module.resample(generator)


class BranchingQHead(nn.Module):
    """Q values of every action of every branch, one set a reward stream; or N numbers that describe their distribution.

    Dueling: Q_d(s, a) = V(s) + A_d(s, a) - mean_a' A_d(s, a'), with one V for all branches, atom by atom.
    Plain:   Q_d(s, a) is read off one linear layer.

    Source: Wang et al. (2016), eq. 9, https://arxiv.org/abs/1511.06581; Tavakoli et al. (2018), eq. 1,
    https://arxiv.org/abs/1711.08946; atom by atom: Hessel et al. (2018), section 3, https://arxiv.org/abs/1710.02298.

    Args:
        encoding_size: width of the input.
        branches: sizes A_d of the action branches; they stand side by side in the output, A = ΣA_d.
        num_streams: number S of reward streams.
        dueling: split into state value and advantages.
        num_atoms: number N of atoms or quantiles of every action; 1 is a plain value.
        noisy: layers are `NoisyLinear`.
    """

    def __init__(
        self,
        encoding_size: int,
        branches: Sequence[int],
        num_streams: int,
        *,
        dueling: bool,
        num_atoms: int = 1,
        noisy: bool = False,
    ) -> None:
        super().__init__()
        self.branches = list(branches)
        self.num_streams = num_streams
        self.num_atoms = num_atoms
        linear = NoisyLinear if noisy else _linear
        self.advantage = linear(encoding_size, num_streams * sum(branches) * num_atoms)
        self.value = linear(encoding_size, num_streams * num_atoms) if dueling else None

    def forward(self, encoding: torch.Tensor) -> torch.Tensor:
        """[B, encoding_size] → [B, S, A], or [B, S, A, N] where N > 1."""
        atoms = () if self.num_atoms == 1 else (self.num_atoms,)
        advantage = self.advantage(encoding).reshape(-1, self.num_streams, sum(self.branches), *atoms)
        if self.value is None:
            return advantage
        value = self.value(encoding).reshape(-1, self.num_streams, 1, *atoms)
        if len(self.branches) == 1:
            return value + (advantage - advantage.mean(dim=2, keepdim=True))
        centred = [part - part.mean(dim=2, keepdim=True) for part in advantage.split(self.branches, dim=2)]
        return value + torch.cat(centred, dim=2)


def _linear(inputs: int, outputs: int) -> nn.Module:
    return linear_layer(inputs, outputs, kernel_init=Initialization.KaimingHeNormal, kernel_gain=0.1)


class QuantileEmbedding(nn.Module):
    """Encoding of a state together with a probability τ, from which the quantile at τ can be read.

    ψ(s) ⊙ φ(τ),   φ_j(τ) = ReLU(Σ_{i=0}^{n-1} cos(π i τ) w_ij + b_j)

    Source: Dabney et al. (2018b), eq. 4, https://arxiv.org/abs/1806.06923.

    Args:
        encoding_size: width E of the encoding ψ(s).
        num_cosines: n.
    """

    frequencies: torch.Tensor

    def __init__(self, encoding_size: int, num_cosines: int = 64) -> None:
        super().__init__()
        self.linear = linear_layer(num_cosines, encoding_size, kernel_init=Initialization.KaimingHeNormal)
        self.register_buffer("frequencies", math.pi * torch.arange(num_cosines), persistent=False)

    def forward(self, encoding: torch.Tensor, taus: torch.Tensor) -> torch.Tensor:
        """[B, E] encoding and τ, [B, N] of each state or [N] of all → [B, N, E]."""
        cosines = torch.cos(taus.unsqueeze(-1) * self.frequencies)
        return encoding.unsqueeze(1) * torch.relu(self.linear(cosines))


class ImplicitQuantileHead(nn.Module):
    """Quantiles of the return of every action of every branch at any probabilities τ, one set a reward stream.

    A `QuantileEmbedding` and the `BranchingQHead` on it.

    Source: Dabney et al. (2018b), section 3, https://arxiv.org/abs/1806.06923.

    Args:
        encoding_size: width of the input.
        branches: sizes A_d of the action branches; they stand side by side in the output, A = ΣA_d.
        num_streams: number S of reward streams.
        dueling: split into state value and advantages, quantile by quantile.
        noisy: layers of the head are `NoisyLinear`; that of the embedding is not.
        num_cosines: n of the embedding.
    """

    def __init__(
        self,
        encoding_size: int,
        branches: Sequence[int],
        num_streams: int,
        *,
        dueling: bool,
        noisy: bool = False,
        num_cosines: int = 64,
    ) -> None:
        super().__init__()
        self.embedding = QuantileEmbedding(encoding_size, num_cosines)
        self.head = BranchingQHead(encoding_size, branches, num_streams, dueling=dueling, noisy=noisy)

    def forward(self, encoding: torch.Tensor, taus: torch.Tensor) -> torch.Tensor:
        """[B, encoding_size] and τ, [B, N] of each state or [N] of all → [B, S, A, N]."""
        embedded = self.embedding(encoding, taus)
        quantiles = self.head(embedded.reshape(-1, encoding.shape[1]))  # [B * N, S, A]
        return quantiles.reshape(-1, taus.shape[-1], *quantiles.shape[1:]).permute(0, 2, 3, 1)


def add_layer_norm(body: NetworkBody) -> None:
    """Normalises what comes out of every hidden layer, before its activation; to be called once, on a new network.

    Source: Ba et al. (2016), https://arxiv.org/abs/1607.06450.

    Args:
        body: network body. Its observation encoders, and a hyper network of a goal signal, stay as they are.
    """
    for encoder in body._body_endoder.modules():  # sic
        if isinstance(encoder, LinearEncoder):
            layers = [
                [layer, nn.LayerNorm(layer.out_features)] if isinstance(layer, nn.Linear) else [layer]
                for layer in encoder.seq_layers
            ]
            encoder.seq_layers = nn.Sequential(*chain.from_iterable(layers))


@torch.no_grad()
def update_target_network(online: nn.Module, target: nn.Module, tau: float = 1.0) -> None:
    """Moves a target network towards its online network: θ' ← τ θ + (1 - τ) θ'.

    τ = 1 copies. Buffers, such as the statistics of observation normalisation, are always copied.

    Source: Lillicrap et al. (2016), algorithm 1, https://arxiv.org/abs/1509.02971; Mnih et al. (2015) for τ = 1.

    Args:
        online: network that learns.
        target: network of the same structure; gets no gradient.
        tau: step, above 0 and up to 1.
    """
    floats = [p for p in target.parameters() if p.is_floating_point()]
    sources = [p for p in online.parameters() if p.is_floating_point()]
    torch._foreach_lerp_(floats, sources, tau)
    for buffer, source in zip(target.buffers(), online.buffers(), strict=True):
        buffer.copy_(source)


def update_normalization(body: NetworkBody, observations: list[np.ndarray]) -> None:
    """Adds observations to the running mean and variance of a network's vector inputs.

    Does what `NetworkBody.update_normalization` does, for arrays. Rows with numbers beyond 10^15 are left out: the sum
    of their squares is none that a float32 can hold, and would never leave the statistics again.

    Args:
        body: network body; nothing happens where its settings have `normalize: false`.
        observations: one array [T, ...] a sensor.
    """
    for observation, processor in zip(observations, body.processors, strict=True):
        if isinstance(processor, VectorInput):
            small = np.abs(observation).max(axis=1, initial=0.0) <= LARGEST_INPUT
            processor.update_normalization(torch.as_tensor(observation if small.all() else observation[small]))
