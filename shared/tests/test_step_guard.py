"""Gradient steps that would spoil parameters or moments are left out, counted and explained."""

import math

import pytest
from mlagents.plugins.trainer_type import register_trainer_plugins
from mlagents.torch_utils import torch
from mlagents.trainers.settings import OnPolicyHyperparamSettings, TrainerSettings

from mlagents_plugin_shared.learning.networks import update_normalization
from mlagents_plugin_shared.learning.optimizer import MOST_SKIPPED, PluginOptimizer, StepGuard
from recording import Recorder
from test_checkpoints import policy


def optimizer(*kinds: type) -> tuple[Recorder, list[torch.nn.Parameter]]:
    """An optimizer with descents of one parameter of two numbers each."""
    register_trainer_plugins()
    result = Recorder(policy(), TrainerSettings(hyperparameters=OnPolicyHyperparamSettings()))
    parameters = [torch.nn.Parameter(torch.ones(2)) for _ in kinds]
    for i, (kind, parameter) in enumerate(zip(kinds, parameters, strict=True)):
        result.add_descent(kind([parameter], lr=0.1), str(i))
    return result, parameters


def loss_of(parameter: torch.nn.Parameter, value: float, gradient: list[float]) -> torch.Tensor:
    """[] a loss of this value and gradient."""
    slope = parameter @ torch.tensor(gradient)
    return slope - slope.detach().nan_to_num(0.0) + value if math.isfinite(value) else slope + value


def numbers(state: object) -> list[torch.Tensor]:
    """Moments of an optimizer."""
    return [value for moments in state.values() for value in moments.values() if torch.is_tensor(value)]


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.RMSprop])
@pytest.mark.parametrize(
    ("loss", "gradient"),
    [
        (float("inf"), [1.0, 0.0]),  # Huber's gradient is finite where its loss is not
        (float("nan"), [1.0, 0.0]),
        (1.0, [float("nan"), 0.0]),
        (1.0, [float("inf"), 0.0]),
        (1.0, [1e25, 0.0]),  # a number, but its square is none
    ],
)
def test_step_that_would_spoil_something_is_left_out(kind: type, loss: float, gradient: list[float], caplog) -> None:
    """Parameters and moments stay as they are, the log says why, and the next step is taken."""
    learner, (parameter,) = optimizer(kind)
    (descent,) = learner.descents.values()
    with caplog.at_level("WARNING"):
        descent.step(loss_of(parameter, loss, gradient))
    assert parameter.tolist() == [1.0, 1.0]
    assert not numbers(descent.optimizer.state)
    assert learner.guard.skipped == learner.guard.in_a_row == 1
    assert "This step is left out, 1 so far: the loss was" in caplog.text
    descent.step(loss_of(parameter, 1.0, [1.0, 0.0]))
    assert parameter[0] < 1.0
    assert all(moment.isfinite().all() for moment in numbers(descent.optimizer.state))
    assert (learner.guard.skipped, learner.guard.in_a_row) == (1, 0)


def test_loss_in_parts_is_their_sum() -> None:
    """Parts are differentiated one after the other, and one step is taken for all."""
    whole, (a,) = optimizer(torch.optim.SGD)
    in_parts, (b,) = optimizer(torch.optim.SGD)
    norm = whole.descents["0"].step(loss_of(a, 3.0, [3.0, 4.0]))
    assert norm == pytest.approx(5.0)
    assert in_parts.descents["0"].step(loss_of(b, 1.0, part) for part in ([3.0, 0.0], [0.0, 4.0])) == norm
    assert a.tolist() == b.tolist()


def test_gradient_that_somebody_else_has_left_does_not_count() -> None:
    """As that of behavioural cloning, which learns the same weights by an optimizer of its own."""
    (clean, (a,)), (left, (b,)) = optimizer(torch.optim.SGD), optimizer(torch.optim.SGD)
    b.grad = torch.tensor([100.0, 100.0])
    for learner, parameter in ((clean, a), (left, b)):
        assert learner.descents["0"].step(loss_of(parameter, 1.0, [3.0, 4.0])) == pytest.approx(5.0)
    assert a.tolist() == b.tolist()


def test_several_descents_do_not_reach_into_each_other() -> None:
    """A loss of both parameters gives a gradient to those of its own descent only; a broken one is not hidden."""
    learner, (actor, critic) = optimizer(torch.optim.SGD, torch.optim.SGD)
    learner.descents["0"].step((actor * critic).sum())
    assert critic.grad is None
    assert critic.tolist() == [1.0, 1.0]
    for _ in range(MOST_SKIPPED):
        learner.descents["0"].step(loss_of(actor, math.nan, [1.0, 1.0]))
        learner.descents["1"].step(critic.sum())
    assert learner.guard.is_stuck
    assert set(PluginOptimizer.get_modules(learner)) >= {"Optimizer:0", "Optimizer:1"}


def test_two_descents_of_one_name_are_refused() -> None:
    """A checkpoint could not tell them apart."""
    learner, (parameter,) = optimizer(torch.optim.SGD)
    with pytest.raises(ValueError, match="'0' already"):
        learner.add_descent(torch.optim.SGD([parameter], lr=0.1), "0")


def test_guard_is_stuck_after_many_in_a_row_only(caplog) -> None:
    """One good step begins the count anew; the log is not flooded."""
    guard = StepGuard()
    with caplog.at_level("WARNING"):
        for _ in range(MOST_SKIPPED - 1):
            guard.admits(float("nan"), 1.0)
        assert not guard.is_stuck
        assert guard.admits(1.0, 1.0)
        for _ in range(MOST_SKIPPED):
            assert not guard.is_stuck
            guard.admits(1.0, float("inf"))
    assert guard.is_stuck
    assert guard.skipped == 2 * MOST_SKIPPED - 1
    assert len(caplog.records) == guard.skipped.bit_length()


def test_normalization_leaves_out_what_it_could_not_forget() -> None:
    """A row of 1e30 would make the variance infinite for good, and every observation 0; the other rows count."""
    module = policy()
    body = module.actor.network_body
    rows = torch.randn(10, 4, generator=torch.Generator().manual_seed(0)).numpy()
    spoilt = rows.copy()
    spoilt[3] = 1e30
    update_normalization(body, [spoilt])
    normalizer = body.processors[0].normalizer
    found = normalizer.running_mean.clone(), normalizer.running_variance.clone()
    assert all(part.isfinite().all() for part in found)
    assert normalizer.normalization_steps == 10
    other = policy()
    update_normalization(other.actor.network_body, [rows[[0, 1, 2, 4, 5, 6, 7, 8, 9]]])
    torch.testing.assert_close(found[0], other.actor.network_body.processors[0].normalizer.running_mean)
