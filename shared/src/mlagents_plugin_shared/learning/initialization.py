"""Orthogonal initial weights."""

import math

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


def _layers(module: nn.Module | NetworkBody) -> list[nn.Linear | nn.Conv2d]:
    """Linear layers and convolutions but those of attention, whose scale ML-Agents chose for entities."""
    attention = [part for part in module.modules() if isinstance(part, (EntityEmbedding, ResidualSelfAttention))]
    inside = {inner for part in attention for inner in part.modules()}
    return [part for part in module.modules() if isinstance(part, (nn.Linear, nn.Conv2d)) and part not in inside]


def _orthogonal(layer: nn.Linear | nn.Conv2d, gain: float) -> None:
    nn.init.orthogonal_(layer.weight, gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
