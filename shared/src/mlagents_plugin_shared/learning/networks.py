"""Network parts: noisy layers, layer normalisation, target networks and observation normalisation."""

import math
from itertools import chain

import numpy as np
from mlagents.torch_utils import torch
from mlagents.trainers.torch_entities.encoders import VectorInput
from mlagents.trainers.torch_entities.layers import LinearEncoder
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


def has_noise(network: nn.Module) -> bool:
    """Whether a network has a `NoisyLinear`, and needs no epsilon.

    Args:
        network: the network.
    """
    return any(isinstance(module, NoisyLinear) for module in network.modules())


def resample_noise(network: nn.Module, generator: torch.Generator | None = None) -> None:
    """Draws new noise for every `NoisyLinear` of a network; does nothing to a network without one.

    Args:
        network: the network.
        generator: source of randomness, on the device of the network; default torch's own.
    """
    for module in network.modules():
        if isinstance(module, NoisyLinear):
            module.resample(generator)


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
