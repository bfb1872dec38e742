"""Networks that follow others: an optimizer saves them, and tells when they have to begin anew."""

import pytest
from mlagents.plugins.trainer_type import register_trainer_plugins
from mlagents.torch_utils import torch
from mlagents.trainers.settings import OffPolicyHyperparamSettings, TrainerSettings
from torch import nn

from mlagents_plugin_shared.learning.optimizer import PluginOptimizer
from test_checkpoints import policy

TARGET = "Optimizer:target_network"


def optimizer(**modules: nn.Module) -> PluginOptimizer:
    """An optimizer that has these networks in its checkpoints."""
    register_trainer_plugins()

    class Learner(PluginOptimizer):
        def get_modules(self) -> dict[str, object]:
            return {**super().get_modules(), **modules}

    return Learner(policy(), TrainerSettings(hyperparameters=OffPolicyHyperparamSettings()))


def weights(network: nn.Module) -> torch.Tensor:
    """All parameters that are floats, side by side."""
    return torch.cat([each.detach().flatten() for each in network.parameters() if each.is_floating_point()])


def test_target_network_is_a_copy_that_nothing_trains() -> None:
    """It begins with the same numbers in parameters of its own, without gradient, and is in every checkpoint."""
    learner = optimizer()
    online = learner.policy.actor
    target = learner.add_target_network(online)
    assert target is not online
    assert torch.equal(weights(target), weights(online))
    assert not any(parameter.requires_grad for parameter in target.parameters())
    assert learner.get_modules()[TARGET] is target
    with torch.no_grad():
        next(online.parameters()).add_(1.0)
    assert not torch.equal(weights(target), weights(online))


def test_given_target_network_takes_over_the_weights() -> None:
    """A network that was built for it is the one that is used, with the online network's numbers and mode."""
    learner, online, given = optimizer(), nn.Linear(2, 2).eval(), nn.Linear(2, 2)
    assert learner.add_target_network(online, given) is given
    assert torch.equal(weights(given), weights(online))
    assert not given.training


@pytest.mark.parametrize(
    ("whole", "follows"),
    [({"Policy", TARGET}, False), ({"Policy"}, True), ({TARGET}, True), (set(), True)],
)
def test_target_network_follows_unless_both_were_saved(whole: set[str], follows: bool) -> None:
    """Beside networks of another run, its numbers would have nothing to do with them."""
    learner = optimizer()
    online = learner.policy.actor
    target = learner.add_target_network(online)
    with torch.no_grad():
        next(online.parameters()).add_(1.0)
    learner.on_loaded(whole)
    assert torch.equal(weights(target), weights(online)) is follows


@pytest.mark.parametrize(("whole", "follows"), [({"Optimizer:critic", "Optimizer:late"}, False), ({"Policy"}, True)])
def test_target_network_of_a_critic_follows_that_critic(whole: set[str], follows: bool) -> None:
    """Which module of a checkpoint matters is the one that it was made for, under any name."""
    critic = nn.Linear(2, 2)
    learner = optimizer(**{"Optimizer:critic": critic})
    target = learner.add_target_network(critic, name="late")
    with torch.no_grad():
        critic.weight.add_(1.0)
    learner.on_loaded(whole)
    assert torch.equal(weights(target), weights(critic)) is follows


def test_two_target_networks_of_one_name_are_refused() -> None:
    """One of them would not be saved."""
    learner = optimizer()
    learner.add_target_network(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="target_network"):
        learner.add_target_network(nn.Linear(2, 2))


def test_critic_and_bodies_are_the_policys_unless_overridden() -> None:
    """An algorithm with one network need not name it."""
    learner = optimizer()
    assert learner.critic is learner.policy.actor
    assert learner.network_bodies == [learner.policy.actor.network_body]
