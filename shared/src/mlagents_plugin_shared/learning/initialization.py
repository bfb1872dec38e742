"""Initial weights: orthogonal ones, and gates of a memory that lasts."""

import math

from mlagents.torch_utils import torch
from mlagents.trainers.torch_entities.attention import EntityEmbedding, ResidualSelfAttention
from mlagents.trainers.torch_entities.networks import NetworkBody, SimpleActor, ValueNetwork
from torch import nn

POLICY_GAIN = 0.01
"""Gain of the last layer of a policy."""

BODY_GAIN = math.sqrt(2.0)
"""Gain of the layers of a body."""


def initialize_actor(actor: SimpleActor) -> None:
    """Orthogonal weights, √2 in the body and 0.01 in the last layer: at first every action is about as likely.

    Source: Andrychowicz et al. (2021), section 3.2, https://arxiv.org/abs/2006.05990, found a last policy layer 100
    times smaller to be among the choices that matter most; √2 and 0.01 are OpenAI Baselines'.

    Args:
        actor: network of the policy, its critic included if it is shared.
    """
    initialize_critic(actor)
    for layer in _layers(actor.action_model):
        _orthogonal(layer, POLICY_GAIN)


def initialize_critic(network: ValueNetwork | SimpleActor) -> None:
    """Orthogonal weights, √2 in the body and 1 in the value heads.

    Args:
        network: a network with a body, and perhaps with value heads.
    """
    for layer in _layers(network.network_body):
        _orthogonal(layer, BODY_GAIN)
    for layer in _layers(getattr(network, "value_heads", nn.Module())):
        _orthogonal(layer, 1.0)


@torch.no_grad()
def initialize_memory(body: NetworkBody, steps: int) -> None:
    """Gates of a memory whose cells forget at different rates, the slowest over `steps` steps (chrono initialisation).

    b_f = log u,   u ~ U(1, steps - 1),   b_i = -b_f

    ML-Agents' own cells keep σ(2) = 0.88 of what they hold at each step, 0.88^100 = 3e-6 over a hundred, and no
    gradient comes back to what was seen then.

    Source: Tallec & Ollivier (2018), section 3.1, https://arxiv.org/abs/1804.11188.

    Args:
        body: network body; nothing happens where it has no memory.
        steps: longest time that something is to be remembered, such as the length of sequences; below 3 it is 3.
    """
    if body.memory_size == 0:
        return
    lstm = body.lstm.lstm
    size = lstm.hidden_size
    rates = torch.empty(size).uniform_(1.0, max(steps - 1.0, 2.0)).log()
    lstm.bias_hh_l0.zero_()
    lstm.bias_ih_l0.copy_(torch.cat([-rates, rates, torch.zeros(2 * size)]))  # input, forget, cell and output gates


def _layers(module: nn.Module | NetworkBody) -> list[nn.Linear | nn.Conv2d]:
    """Linear layers and convolutions but those of attention, whose scale ML-Agents chose for entities."""
    attention = [part for part in module.modules() if isinstance(part, (EntityEmbedding, ResidualSelfAttention))]
    inside = {inner for part in attention for inner in part.modules()}
    return [part for part in module.modules() if isinstance(part, (nn.Linear, nn.Conv2d)) and part not in inside]


def _orthogonal(layer: nn.Linear | nn.Conv2d, gain: float) -> None:
    nn.init.orthogonal_(layer.weight, gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
