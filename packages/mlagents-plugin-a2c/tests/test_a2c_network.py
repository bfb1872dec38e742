"""What the settings say of the networks holds for actor and critic."""

import pytest
from mlagents.torch_utils import torch
from mlagents.trainers.torch_entities.layers import Swish
from torch import nn

from a2c_testing import ACTIONS, trainer


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


def gram(weight: torch.Tensor) -> torch.Tensor:
    """W Wᵀ or Wᵀ W, whichever is smaller."""
    rows = weight.detach()
    return rows @ rows.T if rows.shape[0] <= rows.shape[1] else rows.T @ rows


@pytest.mark.parametrize("actions", ACTIONS)
@pytest.mark.parametrize("shared_critic", [True, False])
def test_orthogonal_init_gains(actions: str, shared_critic: bool) -> None:
    """Squares of the gains stand on the diagonals: 2 in the bodies, 0.01² before the actions, 1 before the values."""
    a2c = trainer(actions, orthogonal_init=True, shared_critic=shared_critic)
    actor, critic = a2c.policy.actor, a2c.optimizer.critic
    layers = {
        2.0: [body._body_endoder.seq_layers[0] for body in a2c.optimizer.network_bodies],
        1e-4: [m for m in actor.action_model.modules() if isinstance(m, torch.nn.Linear)],
        1.0: list(critic.value_heads.value_heads.values()),
    }
    for square, modules in layers.items():
        assert modules
        for module in modules:
            expected = square * torch.eye(min(module.weight.shape))
            torch.testing.assert_close(gram(module.weight), expected, rtol=1e-4, atol=1e-5)
            assert not module.bias.any()
