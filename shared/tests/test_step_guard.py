"""Gradient steps that would spoil parameters or moments are left out, counted and explained."""

import pytest
from mlagents.plugins.trainer_type import register_trainer_plugins
from mlagents.torch_utils import torch
from mlagents.trainers.settings import OnPolicyHyperparamSettings, TrainerSettings

from mlagents_plugin_shared.learning.networks import update_normalization
from mlagents_plugin_shared.learning.optimizer import MOST_SKIPPED, StepGuard
from recording import Recorder
from test_checkpoints import policy


def optimizer(kind: type) -> tuple[Recorder, torch.nn.Parameter]:
    """An optimizer of one parameter of two numbers."""
    register_trainer_plugins()
    result = Recorder(policy(), TrainerSettings(hyperparameters=OnPolicyHyperparamSettings()))
    parameter = torch.nn.Parameter(torch.ones(2))
    result.optimizer = kind([parameter], lr=0.1)
    return result, parameter


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
    learner, parameter = optimizer(kind)
    parameter.grad = torch.tensor(gradient)
    with caplog.at_level("WARNING"):
        learner.step_optimizer(torch.tensor(loss), [parameter], 0.0)
    assert parameter.tolist() == [1.0, 1.0]
    assert not numbers(learner.optimizer.state)
    assert learner.guard.skipped == learner.guard.in_a_row == 1
    assert "This step is left out, 1 so far: the loss was" in caplog.text
    parameter.grad = torch.tensor([1.0, 0.0])
    learner.step_optimizer(torch.tensor(1.0), [parameter], 0.0)
    assert parameter[0] < 1.0
    assert all(moment.isfinite().all() for moment in numbers(learner.optimizer.state))
    assert (learner.guard.skipped, learner.guard.in_a_row) == (1, 0)


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
