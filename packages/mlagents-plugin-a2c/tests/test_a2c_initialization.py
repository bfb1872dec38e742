"""Orthogonal initial weights."""

import pytest
from mlagents.torch_utils import torch

from a2c_testing import ACTIONS, MEMORY, trainer


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


def test_policy_starts_near_uniform_only_with_orthogonal_init() -> None:
    """Logits of random observations differ a hundred times less."""
    spread = []
    for orthogonal in (True, False):
        actor = trainer("discrete", orthogonal_init=orthogonal).policy.actor
        encoding, _ = actor.network_body([torch.randn(100, 4)])
        logits = [branch(encoding) for branch in actor.action_model._discrete_distribution.branches]
        spread.append(torch.cat(logits, dim=1).std().item())
    assert spread[0] < 0.02 < spread[1]


def test_orthogonal_init_leaves_memory_alone() -> None:
    """The forget gate keeps ML-Agents' bias of 1."""
    lstm = trainer(memory=MEMORY, orthogonal_init=True).policy.actor.network_body.lstm.lstm
    size = lstm.hidden_size
    assert lstm.bias_ih_l0[size : 2 * size].eq(1).all()
