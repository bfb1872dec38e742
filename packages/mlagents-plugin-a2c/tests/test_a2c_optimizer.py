"""The step of A2C: one a rollout, clipped, blind to padding, and equal however it is accumulated."""

import itertools

import numpy as np
import pytest
from mlagents.torch_utils import torch
from mlagents.trainers.buffer import BufferKey, RewardSignalUtil
from mlagents.trainers.trajectory import ObsUtil
from torch import nn

from a2c_testing import ACTIONS, MEMORY, batch, fill, segment, trainer
from mlagents_plugin_shared.learning.rmsprop import RMSpropTF
from mlagents_plugin_shared.learning.rollout_batch import Rollout, Steps

ADVANTAGES = BufferKey.ADVANTAGES


def step(a2c, sgd: bool = True) -> list[torch.Tensor]:
    """Parameters after one update; with plain gradient descent, so that they show the gradient."""
    if sgd:
        a2c.optimizer.descent.optimizer = torch.optim.SGD(a2c.optimizer.parameters, lr=1.0)
    a2c._update_policy()
    return [p.detach().clone() for p in a2c.optimizer.parameters]


@pytest.mark.parametrize(
    ("actions", "memory", "shared_critic"),
    [
        (actions, memory, shared)
        for actions, memory, shared in itertools.product(ACTIONS, [None, MEMORY], [False, True])
    ],
)
def test_accumulated_parts_equal_one_step(actions: str, memory, shared_critic: bool) -> None:
    """batch_size 8 of 44 steps gives the parameters of one whole step, to 1e-6."""
    results = []
    for batch_size in (40, 8):
        a2c = trainer(actions, memory=memory, shared_critic=shared_critic, batch_size=batch_size, max_grad_norm=0.0)
        fill(a2c)
        results.append(step(a2c))
    for whole, parts in zip(*results, strict=True):
        torch.testing.assert_close(parts, whole, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("memory", [None, MEMORY])
def test_a_rollout_beyond_buffer_size_takes_one_pass(memory, monkeypatch: pytest.MonkeyPatch) -> None:
    """44 steps, more with padding, where `buffer_size` is 40."""
    a2c = trainer(memory=memory)
    fill(a2c)
    loss, sizes = a2c.optimizer.loss, []

    def noted(part: Rollout, terms: list):
        sizes.append(len(part.advantage))
        return loss(part, terms)

    monkeypatch.setattr(a2c.optimizer, "loss", noted)
    step(a2c)
    assert len(sizes) == 1
    assert sizes[0] > a2c.hyperparameters.buffer_size


def test_a_rollout_takes_one_optimizer_step() -> None:
    """Also where batch_size is smaller: a later step would be off-policy."""
    a2c = trainer(batch_size=8)
    fill(a2c)
    step(a2c, sgd=False)
    counts = {int(state["step"]) for state in a2c.optimizer.descent.optimizer.state.values()}
    assert counts == {1}
    assert a2c.update_buffer.num_experiences == 0


def test_gradient_is_clipped() -> None:
    """The step is as long as the bound times the learning rate, and shorter than without a bound."""
    lengths = []
    for bound in (0.01, 0.0):
        a2c = trainer(max_grad_norm=bound, learning_rate=1.0)
        before = [p.detach().clone() for p in a2c.optimizer.parameters]
        fill(a2c)
        moved = [a - b for a, b in zip(before, step(a2c), strict=True)]
        lengths.append(torch.cat([m.flatten() for m in moved]).norm().item())
    assert lengths[0] == pytest.approx(0.01, rel=1e-3)
    assert lengths[1] > 0.05


def test_padding_does_not_influence_the_step() -> None:
    """Garbage in padded steps leaves every loss and parameter as it was."""
    results = []
    for garbage in (0.0, 1e3):
        a2c = trainer(memory=MEMORY, max_grad_norm=0.0)
        a2c.optimizer.descent.optimizer = torch.optim.SGD(a2c.optimizer.parameters, lr=1.0)
        fill(a2c)
        rollout = batch(a2c)
        padding = rollout[BufferKey.MASKS] == 0
        assert padding.sum() == 1 + 2 + 1  # 7, 10 and 11 steps fill up to 8, 12 and 12; 16 needs none
        for key in (ObsUtil.get_name_at(0), ADVANTAGES, RewardSignalUtil.returns_key("extrinsic")):
            column = np.array(rollout[key])
            column[padding] = garbage
            rollout[key] = column
        a2c.optimizer.update(rollout, rollout.num_experiences // 4)
        results.append([p.detach().clone() for p in a2c.optimizer.parameters])
    for clean, dirty in zip(*results, strict=True):
        torch.testing.assert_close(dirty, clean)


@pytest.mark.parametrize(
    ("optimizer", "kind"), [("rmsprop", torch.optim.RMSprop), ("rmsprop_tf", RMSpropTF), ("adam", torch.optim.Adam)]
)
def test_optimizer_is_the_one_of_the_settings(optimizer: str, kind: type) -> None:
    """RMSprop, that of TensorFlow, or Adam."""
    assert isinstance(trainer(optimizer=optimizer).optimizer.descent.optimizer, kind)


def test_beta_follows_the_learning_rate_schedule_unless_told() -> None:
    """linear learning rate: beta falls too, as in ML-Agents' PPO; its own key wins."""
    run = {"settings": {"max_steps": 100}, "learning_rate_schedule": "linear", "beta": 0.1}
    assert trainer(**run).optimizer.beta(100) == pytest.approx(1e-5)
    assert trainer(**run, beta_schedule="constant").optimizer.beta(100) == 0.1
    assert trainer(**{**run, "beta": 0.0}).optimizer.beta(100) == 0.0


def test_value_loss_huber_counts_large_errors_linearly() -> None:
    """Returns beyond every value by 1,000: the gradient of mse is about 1,000 times that of huber."""
    norms = []
    for loss in ("mse", "huber"):
        a2c = trainer(value_loss=loss, max_grad_norm=0.0)
        fill(a2c, reward_scale=1000.0)
        norms.append(np.sqrt(sum(p.square().sum().item() for p in gradient_of(a2c))))
    assert norms[0] > 100 * norms[1]


def gradient_of(a2c) -> list[torch.Tensor]:
    """Change of the critic's parameters in one step of gradient descent."""
    before = [p.detach().clone() for p in a2c.optimizer.critic.parameters()]
    step(a2c)
    return [a.detach() - b for a, b in zip(a2c.optimizer.critic.parameters(), before, strict=True)]


@pytest.mark.parametrize("memory", [None, MEMORY])
def test_staleness_shows_steps_of_an_older_policy(memory) -> None:
    """A quarter of the steps had half the probability: their ratio is 2; on-policy both statistics are 0."""
    a2c = trainer(memory=memory)
    fill(a2c)
    for share in (0.0, 0.25):
        a2c.add_advantages(a2c.update_buffer)
        acted = a2c.update_buffer.sequences()
        steps = Steps.from_batch(acted, a2c.policy)
        with torch.no_grad():
            log_probs, _ = a2c.optimizer.evaluate(steps)
        log_probs[np.flatnonzero(steps.mask)[: int(share * 44)], 0] -= np.log(2)
        acted[BufferKey.CONTINUOUS_LOG_PROBS] = log_probs[:, :2].numpy()
        acted[BufferKey.DISCRETE_LOG_PROBS] = log_probs[:, 2:].numpy()
        for group in a2c.optimizer.descent.optimizer.param_groups:
            group["lr"] = 0.0
        a2c.optimizer.learning_rate = lambda _: 0.0
        stats = a2c.optimizer.update(acted, 1)
        assert stats["Policy/Stale Steps"] == pytest.approx(share, abs=1e-6)
        assert stats["Policy/Staleness"] == pytest.approx(share * np.log(2), abs=1e-4)


def test_vtrace_on_policy_is_gae() -> None:
    """Where the policy acted itself, correction changes neither advantages nor returns; where it did not, it does."""
    columns = []
    for correction, less in (("none", 0.0), ("vtrace", 0.0), ("vtrace", -1.0)):
        a2c = trainer(off_policy_correction=correction)
        fill(a2c)
        with torch.no_grad():
            log_probs, _ = a2c.optimizer.evaluate(Steps.from_batch(a2c.update_buffer.sequences(), a2c.policy))
        acted = a2c.update_buffer
        acted[BufferKey.CONTINUOUS_LOG_PROBS] = log_probs[:, :2].numpy() - less
        acted[BufferKey.DISCRETE_LOG_PROBS] = log_probs[:, 2:].numpy()
        a2c.add_advantages(acted)
        keys = (ADVANTAGES, RewardSignalUtil.returns_key("extrinsic"))
        columns.append(np.concatenate([np.asarray(acted[key]) for key in keys]))
    np.testing.assert_allclose(columns[1], columns[0], atol=1e-4)
    assert np.abs(columns[2] - columns[0]).max() > 0.1


def test_shared_critic_has_one_body() -> None:
    """One network body for both, or one for each."""
    assert len(trainer(shared_critic=True).optimizer.network_bodies) == 1
    assert len(trainer(shared_critic=False).optimizer.network_bodies) == 2


def test_update_waits_for_a_whole_rollout() -> None:
    """39 of 40 steps are not enough."""
    a2c = trainer()
    a2c.store(segment(a2c, 39), {"extrinsic": np.zeros(39)})
    assert not a2c._is_ready_update()
    a2c.store(segment(a2c, 1), {"extrinsic": np.zeros(1)})
    assert a2c._is_ready_update()


@pytest.mark.parametrize("normalize_returns", [True, False])
def test_steps_do_not_depend_on_the_scale_of_rewards(normalize_returns: bool) -> None:
    """Rewards 1,000 times as large give the policy the same step with PopArt, and only with it."""
    moves = []
    for scale in (1.0, 1000.0):
        a2c = trainer(normalize_returns=normalize_returns, max_grad_norm=0.0, learning_rate=0.1)
        for head in a2c.optimizer.critic.value_heads.value_heads.values():
            nn.init.zeros_(head.weight)
        a2c.optimizer.descent.optimizer = torch.optim.SGD(a2c.optimizer.parameters, lr=0.1)
        fill(a2c, reward_scale=scale)
        before = [p.detach().clone() for p in a2c.policy.actor.parameters()]
        a2c._update_policy()
        moves.append([a - b for a, b in zip(a2c.policy.actor.parameters(), before, strict=True)])
    same = all(torch.allclose(a, b, atol=1e-5) for a, b in zip(*moves, strict=True))
    assert same == normalize_returns
