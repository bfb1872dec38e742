"""What an update does to the network."""

import copy

import numpy as np
import pytest
from mlagents.torch_utils import torch
from mlagents.trainers.buffer import BufferKey

from mlagents_plugin_pqn.optimizer import PQNOptimizer
from mlagents_plugin_shared.learning.rollout_batch import Rollout
from pqn_testing import MEMORY, batch, fill, random_segment, store, trainer


def loss_of(optimizer: PQNOptimizer, rollout: Rollout) -> torch.Tensor:
    """[] the loss, of which nothing is reported."""
    return optimizer.loss(rollout, [])


def rollout_of(owner) -> Rollout:
    """The filled rollout as tensors."""
    return Rollout.from_batch(batch(owner), owner.policy, owner.optimizer.streams)


def test_loss_is_half_the_mean_square() -> None:
    """Of what each branch lacks to the one return of all branches."""
    owner = trainer()
    fill(owner)
    rollout = rollout_of(owner)
    with torch.no_grad():
        q, _ = owner.optimizer.network.q_values(rollout.steps.observations)
    q, actions = q[:, 0].numpy(), rollout.steps.actions.long().numpy()
    chosen = np.stack([q[np.arange(len(q)), actions[:, 0]], q[np.arange(len(q)), 3 + actions[:, 1]]], axis=1)
    expected = 0.5 * np.square(rollout.returns.numpy() - chosen).mean()
    np.testing.assert_allclose(loss_of(owner.optimizer, rollout).item(), expected, rtol=1e-5)


@pytest.mark.parametrize("memory", [None, MEMORY])
def test_update_comes_nearer_to_the_returns(memory: dict | None) -> None:
    """Many epochs learn a rollout by heart; with a vanishing learning rate nothing changes."""
    for learning_rate, learns in ((1e-2, True), (1e-12, False)):
        owner = trainer(memory=memory, num_epoch=200, learning_rate=learning_rate)
        fill(owner)
        made = batch(owner)
        rollout = Rollout.from_batch(made, owner.policy, owner.optimizer.streams)
        before = loss_of(owner.optimizer, rollout).item()
        owner.optimizer.update(made, made.num_experiences // owner.policy.sequence_length)
        after = loss_of(owner.optimizer, rollout).item()
        assert (after < 0.5 * before) is learns, (before, after)


def test_returns_are_worked_out_once_by_the_network_that_acted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradient steps do not move them: the network is asked for values before the first one only."""
    owner = trainer(num_epoch=3)
    fill(owner)
    calls = []
    values = PQNOptimizer.rollout_values
    monkeypatch.setattr(
        PQNOptimizer, "rollout_values", lambda self, rollout: calls.append(len(steps)) or values(self, rollout)
    )
    steps: list[torch.Tensor] = []
    step = owner.optimizer.descent.step
    owner.optimizer.descent.step = lambda loss: steps.append(loss) or step(loss)
    owner._update_policy()
    assert calls == [0]
    assert len(steps) == 3 * 2  # 44 steps are two minibatches of 20 and more


def test_no_gradient_flows_into_the_returns() -> None:
    """That of the loss is (Q - G) ∇Q: a return that depended on the weights would add to it."""
    owner = trainer()
    fill(owner)
    assert not rollout_of(owner).returns.requires_grad


@pytest.mark.parametrize("what", ["returns", "observations"])
def test_padding_and_left_out_steps_do_not_count(what: str) -> None:
    """Numbers under a mask of 0 change no loss; the control changes a real step."""
    owner = trainer(memory=MEMORY)
    store(owner, random_segment(owner, 6, 0))  # sequences of 4 and 2 steps
    rollout = rollout_of(owner)
    assert rollout.mask.tolist() == [1, 1, 1, 1, 1, 1, 0, 0]
    losses = []
    for row in (None, 7, 5):
        changed = copy.deepcopy(rollout)
        if row is not None:
            (changed.returns if what == "returns" else changed.steps.observations[0])[row] += 10.0
        losses.append(loss_of(owner.optimizer, changed).item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    assert losses[0] != pytest.approx(losses[2], rel=1e-4)


def test_left_out_step_is_not_learned_from() -> None:
    """The last step before an unknown mask: its reward has no gradient, that of the step before has."""
    gradients = []
    for row, amount in ((1, 0.0), (1, 10.0), (0, 10.0)):
        owner = trainer((2,))
        piece = random_segment(owner, 2, 0, masks=[[1, 1], [1, 0]])
        piece.columns[BufferKey.ENVIRONMENT_REWARDS][row] += amount
        store(owner, piece)
        loss_of(owner.optimizer, rollout_of(owner)).backward()
        gradients.append(owner.optimizer.network.head.head.advantage.weight.grad.clone())
    assert torch.equal(gradients[0], gradients[1])
    assert not torch.allclose(gradients[0], gradients[2])


def test_memory_starts_from_the_stored_state() -> None:
    """Values with another state at the start of a sequence are others; those in the middle of it are not read."""
    found = []
    for row in (None, 0, 1, 4):
        owner = trainer(memory=MEMORY)
        piece = random_segment(owner, 6, 0)
        if row is not None:
            piece.columns[BufferKey.MEMORY][row] = 1.0
        store(owner, piece)
        values, _ = owner.optimizer.rollout_values(owner.update_buffer)
        found.append(values["extrinsic"])
    plain, first, middle, second = found
    assert not np.allclose(plain[:4], first[:4])
    assert np.array_equal(plain, middle)
    assert np.array_equal(plain[:4], second[:4])
    assert not np.allclose(plain[4:], second[4:])


def test_learning_rate_falls_in_a_line() -> None:
    """Half of it is left in the middle of the run."""
    owner = trainer(learning_rate=1e-3, learning_rate_schedule="linear", settings={"max_steps": 1000})
    owner.policy.set_step(500)
    fill(owner)
    made = batch(owner)
    assert owner.optimizer.update(made, made.num_experiences)["Policy/Learning Rate"] == pytest.approx(5e-4)


def test_layer_norm_is_on_unless_switched_off() -> None:
    """It stands where a target network would; without it the hidden layers are ML-Agents' own."""
    norms = [
        sum(isinstance(part, torch.nn.LayerNorm) for part in trainer(**switch).policy.actor.modules())
        for switch in ({}, {"layer_norm": False})
    ]
    assert norms == [1, 0]


def test_chrono_init_spreads_the_gates() -> None:
    """Forget gates begin between 1/2 and 1 - 1/64, for sequences of 64 steps; switched off, all alike."""
    gates = []
    for switch in (True, False):
        memory = {"memory_size": 64, "sequence_length": 64}
        owner = trainer(memory=memory, chrono_init=switch, batch_size=64, buffer_size=64)
        lstm = owner.policy.actor.network_body.lstm.lstm
        gates.append((lstm.bias_ih_l0 + lstm.bias_hh_l0)[32:64].sigmoid())
    assert 0.5 <= gates[0].min() < 0.9
    assert 0.95 < gates[0].max() <= 1 - 1 / 64
    assert gates[1].std() < 1e-6
