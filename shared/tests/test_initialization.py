"""Initial weights: orthogonal ones, and gates of a memory that lasts."""

import pytest
from mlagents.torch_utils import torch
from mlagents.trainers.torch_entities.networks import SharedActorCritic, SimpleActor, ValueNetwork

from mlagents_plugin_shared.learning.initialization import initialize_actor, initialize_critic, initialize_memory
from rollouts import ACTIONS, MEMORY, VECTOR, network


def actor(actions: str = "hybrid", memory: dict[str, int] | None = None, *, orthogonal: bool = True) -> SimpleActor:
    """A new network of a policy."""
    torch.manual_seed(0)
    made = SimpleActor([VECTOR], network(memory), ACTIONS[actions])
    if orthogonal:
        initialize_actor(made)
    return made


def gram(weight: torch.Tensor) -> torch.Tensor:
    """W Wᵀ or Wᵀ W, whichever is smaller."""
    rows = weight.detach()
    return rows @ rows.T if rows.shape[0] <= rows.shape[1] else rows.T @ rows


def check_gain(module: torch.nn.Module, gain: float) -> None:
    """Every linear layer in it is orthogonal and has no bias."""
    layers = [part for part in module.modules() if isinstance(part, torch.nn.Linear)]
    assert layers
    for layer in layers:
        expected = gain**2 * torch.eye(min(layer.weight.shape))
        torch.testing.assert_close(gram(layer.weight), expected, rtol=1e-4, atol=1e-5)
        assert not layer.bias.any()


@pytest.mark.parametrize("actions", ACTIONS)
def test_initialize_actor_gains(actions: str) -> None:
    """√2 in the body, and 0.01 before the actions."""
    made = actor(actions)
    check_gain(made.network_body, 2**0.5)
    check_gain(made.action_model, 0.01)


@pytest.mark.parametrize("shared", [True, False])
def test_initialize_critic_gains(shared: bool) -> None:
    """√2 in the body, and 1 before the values; of an actor's value heads too."""
    if shared:
        made = SharedActorCritic([VECTOR], network(), ACTIONS["hybrid"], ["extrinsic", "rnd"])
        initialize_actor(made)
    else:
        made = ValueNetwork(["extrinsic", "rnd"], [VECTOR], network())
        initialize_critic(made)
    check_gain(made.network_body, 2**0.5)
    check_gain(made.value_heads, 1.0)


def test_policy_starts_near_uniform_only_with_orthogonal_init() -> None:
    """Logits of random observations differ a hundred times less."""
    spread = []
    for orthogonal in (True, False):
        made = actor("discrete", orthogonal=orthogonal)
        encoding, _ = made.network_body([torch.randn(100, 4)])
        logits = [branch(encoding) for branch in made.action_model._discrete_distribution.branches]
        spread.append(torch.cat(logits, dim=1).std().item())
    assert spread[0] < 0.02 < spread[1]


def test_orthogonal_init_leaves_memory_alone() -> None:
    """The forget gate keeps ML-Agents' bias of 1."""
    lstm = actor(memory=MEMORY).network_body.lstm.lstm
    size = lstm.hidden_size
    assert lstm.bias_ih_l0[size : 2 * size].eq(1).all()


def test_initialize_memory_spreads_the_gates() -> None:
    """Forget biases are logarithms of 1 to 99 steps, input biases their negatives, and all others are 0."""
    made = actor(memory={"memory_size": 400, "sequence_length": 4})
    lstm = made.network_body.lstm.lstm
    control = lstm.bias_ih_l0.clone()
    initialize_memory(made.network_body, 100)
    inputs, forget, *rest = lstm.bias_ih_l0.detach().chunk(4)
    assert torch.equal(inputs, -forget)
    steps = forget.exp()
    assert 1.0 <= steps.min() < 5.0
    assert 95.0 < steps.max() <= 99.0 + 1e-3
    assert not torch.cat([*rest, lstm.bias_hh_l0.detach()]).any()
    assert not torch.equal(control, lstm.bias_ih_l0)


def test_initialize_memory_leaves_a_network_without_one_alone() -> None:
    """No weight changes, and nothing is drawn."""
    made = actor()
    before = {name: weight.clone() for name, weight in made.state_dict().items()}
    state = torch.get_rng_state()
    initialize_memory(made.network_body, 100)
    assert all(torch.equal(weight, before[name]) for name, weight in made.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())
