"""tanh in the place of swish: behind every hidden layer of actor and critic, and nowhere else."""

import pytest
from mlagents.torch_utils import torch
from mlagents.trainers.torch_entities.conditioning import ConditionalEncoder, HyperNetwork
from mlagents.trainers.torch_entities.layers import Swish
from mlagents_envs.base_env import DimensionProperty, ObservationSpec, ObservationType
from torch import nn

from a2c_testing import trainer

VECTOR = ObservationSpec((4,), (DimensionProperty.NONE,), ObservationType.DEFAULT, "vector")
GOAL = ObservationSpec((2,), (DimensionProperty.NONE,), ObservationType.GOAL_SIGNAL, "goal")


def count(module: nn.Module, kind: type) -> int:
    """How many of its parts are of a kind."""
    return sum(isinstance(part, kind) for part in module.modules())


@pytest.mark.parametrize("shared_critic", [False, True])
@pytest.mark.parametrize("activation", ["swish", "tanh"])
def test_activation_is_behind_every_hidden_layer(activation: str, shared_critic: bool) -> None:
    """Of three layers, in actor and critic; the default is ML-Agents' own."""
    settings = {"network_settings": {"hidden_units": 16, "num_layers": 3}}
    a2c = trainer(activation=activation, shared_critic=shared_critic, settings=settings)
    wanted, other = (nn.Tanh, Swish) if activation == "tanh" else (Swish, nn.Tanh)
    for body in a2c.optimizer.network_bodies:
        assert (count(body, wanted), count(body, other)) == (3, 0)


def test_hidden_layers_put_out_what_the_formula_says() -> None:
    """tanh(W x + b), where ML-Agents has x sigmoid(x)."""
    a2c = trainer(activation="tanh")
    body = a2c.policy.actor.network_body
    observations = torch.randn(5, 4)
    found, _ = body([observations])
    layer = body._body_endoder.seq_layers[0]
    torch.testing.assert_close(found, torch.tanh(observations @ layer.weight.T + layer.bias))


def test_layers_made_by_a_goal_have_it_too_and_what_makes_them_keeps_its_own() -> None:
    """With a hypernetwork: its own two layers keep swish in each of the two that it makes."""
    settings = {"network_settings": {"hidden_units": 16, "num_layers": 2}}
    a2c = trainer(activation="tanh", sensors=[VECTOR, GOAL], settings=settings)
    trunk = a2c.policy.actor.network_body._body_endoder
    assert isinstance(trunk, ConditionalEncoder)
    makers = [layer for layer in trunk.layers if isinstance(layer, HyperNetwork)]
    assert count(trunk, nn.Tanh) == 2
    assert makers
    assert all(count(maker, nn.Tanh) == 0 for maker in makers)
