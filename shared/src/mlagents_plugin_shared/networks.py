"""Network parts: a Q head for several branches, target networks and observation normalisation."""

from collections.abc import Sequence

import numpy as np
from mlagents.torch_utils import torch
from mlagents.trainers.torch_entities.encoders import VectorInput
from mlagents.trainers.torch_entities.layers import Initialization, linear_layer
from mlagents.trainers.torch_entities.networks import NetworkBody
from torch import nn


class BranchingQHead(nn.Module):
    """Q values of every action of every branch, one set a reward stream.

    Dueling: Q_d(s, a) = V(s) + A_d(s, a) - mean_a' A_d(s, a'), with one V for all branches.
    Plain:   Q_d(s, a) is read off one linear layer.

    Source: Wang et al. (2016), eq. 9, https://arxiv.org/abs/1511.06581; Tavakoli et al. (2018), eq. 1,
    https://arxiv.org/abs/1711.08946.

    Args:
        encoding_size: width of the input.
        branches: sizes A_d of the action branches; they stand side by side in the output, A = ΣA_d.
        num_streams: number S of reward streams.
        dueling: split into state value and advantages.
    """

    def __init__(self, encoding_size: int, branches: Sequence[int], num_streams: int, *, dueling: bool) -> None:
        super().__init__()
        self.branches = list(branches)
        self.num_streams = num_streams
        self.advantage = self._linear(encoding_size, num_streams * sum(branches))
        self.value = self._linear(encoding_size, num_streams) if dueling else None

    @staticmethod
    def _linear(inputs: int, outputs: int) -> nn.Module:
        return linear_layer(inputs, outputs, kernel_init=Initialization.KaimingHeNormal, kernel_gain=0.1)

    def forward(self, encoding: torch.Tensor) -> torch.Tensor:
        """[B, encoding_size] → [B, S, A]."""
        advantage = self.advantage(encoding).reshape(-1, self.num_streams, sum(self.branches))
        if self.value is None:
            return advantage
        centred = [part - part.mean(dim=2, keepdim=True) for part in advantage.split(self.branches, dim=2)]
        return self.value(encoding).unsqueeze(2) + torch.cat(centred, dim=2)


def chosen_values(q: torch.Tensor, actions: torch.Tensor, branches: Sequence[int]) -> torch.Tensor:
    """Q values of the chosen action of every branch.

    Args:
        q: [B, S, A] values, the branches side by side.
        actions: [B, D] chosen actions, counted within their branch.
        branches: sizes A_d.

    Returns:
        [B, S, D] values.
    """
    offsets = actions.new_tensor(np.cumsum([0, *branches[:-1]]))
    columns = (actions + offsets).unsqueeze(1).expand(-1, q.shape[1], -1)
    return q.gather(2, columns)


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

    Does what `NetworkBody.update_normalization` does, for arrays.

    Args:
        body: network body; nothing happens where its settings have `normalize: false`.
        observations: one array [T, ...] a sensor.
    """
    for observation, processor in zip(observations, body.processors, strict=True):
        if isinstance(processor, VectorInput):
            processor.update_normalization(torch.as_tensor(observation))
