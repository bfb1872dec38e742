"""tanh in the place of swish: behind every hidden layer of a body, and nowhere else."""

from mlagents.torch_utils import torch
from mlagents.trainers.torch_entities.conditioning import ConditionalEncoder, HyperNetwork
from mlagents.trainers.torch_entities.layers import Swish
from mlagents.trainers.torch_entities.networks import NetworkBody
from mlagents_envs.base_env import DimensionProperty, ObservationSpec, ObservationType
from torch import nn

from mlagents_plugin_shared.learning.activation import use_tanh
from rollouts import VECTOR, network

GOAL = ObservationSpec((2,), (DimensionProperty.NONE,), ObservationType.GOAL_SIGNAL, "goal")


def body(*sensors: ObservationSpec, num_layers: int = 1) -> NetworkBody:
    """A body with tanh."""
    made = NetworkBody(list(sensors), network(num_layers=num_layers))
    use_tanh(made)
    return made


def count(module: nn.Module, kind: type) -> int:
    """How many of its parts are of a kind."""
    return sum(isinstance(part, kind) for part in module.modules())


def test_tanh_is_behind_every_hidden_layer() -> None:
    """Of three layers."""
    made = body(VECTOR, num_layers=3)
    assert (count(made, nn.Tanh), count(made, Swish)) == (3, 0)


def test_hidden_layers_put_out_what_the_formula_says() -> None:
    """tanh(W x + b), where ML-Agents has x sigmoid(x)."""
    made, observations = body(VECTOR), torch.randn(5, 4)
    found, _ = made([observations])
    layer = made._body_endoder.seq_layers[0]
    torch.testing.assert_close(found, torch.tanh(observations @ layer.weight.T + layer.bias))


def test_layers_made_by_a_goal_have_it_too_and_what_makes_them_keeps_its_own() -> None:
    """With a hypernetwork: its own two layers keep swish in each of the two that it makes."""
    trunk = body(VECTOR, GOAL, num_layers=2)._body_endoder
    assert isinstance(trunk, ConditionalEncoder)
    makers = [layer for layer in trunk.layers if isinstance(layer, HyperNetwork)]
    assert count(trunk, nn.Tanh) == 2
    assert makers
    assert all(count(maker, nn.Tanh) == 0 for maker in makers)
