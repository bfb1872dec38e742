"""The step of A2C: one a rollout, clipped, blind to padding, and equal however it is accumulated."""

import itertools

import numpy as np
import pytest
from mlagents.torch_utils import torch
from mlagents.trainers.buffer import BufferKey, RewardSignalUtil
from mlagents.trainers.trajectory import ObsUtil

from a2c_testing import ACTIONS, MEMORY, batch, fill, segment, trainer
from mlagents_plugin_a2c.optimizer import normalize
from mlagents_plugin_shared.targets import gae

ADVANTAGES = BufferKey.ADVANTAGES


def step(a2c, sgd: bool = True) -> list[torch.Tensor]:
    """Parameters after one update; with plain gradient descent, so that they show the gradient."""
    if sgd:
        a2c.optimizer.optimizer = torch.optim.SGD(a2c.optimizer.parameters, lr=1.0)
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


def test_a_rollout_takes_one_optimizer_step() -> None:
    """Also where batch_size is smaller: a later step would be off-policy."""
    a2c = trainer(batch_size=8)
    fill(a2c)
    step(a2c, sgd=False)
    counts = {int(state["step"]) for state in a2c.optimizer.optimizer.state.values()}
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
        a2c.optimizer.optimizer = torch.optim.SGD(a2c.optimizer.parameters, lr=1.0)
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


def test_advantages_equal_a_segment_by_segment_computation() -> None:
    """All segments at once have the advantages of each on its own; only a terminal state has no value."""
    a2c = trainer(lambd=0.9)
    fill(a2c)
    rollout = a2c.update_buffer
    values, last_values = (v["extrinsic"] for v in a2c.optimizer.rollout_values(rollout))
    a2c._add_advantages(rollout)
    ours = np.asarray(rollout.batch()[ADVANTAGES])
    rewards = np.asarray(rollout.batch()[RewardSignalUtil.rewards_key("extrinsic")])
    start = 0
    for length, last, terminated in zip(rollout.lengths, last_values, rollout.terminated, strict=True):
        part = slice(start, start + length)
        v = torch.as_tensor(np.append(values[part], last))[:, None]
        discount = torch.full((length, 1), 0.99)
        discount[-1] *= not terminated
        expected = gae(torch.as_tensor(rewards[part])[:, None], discount, v[:-1], v[1:], lambda_=0.9)
        np.testing.assert_allclose(ours[part], expected[:, 0], rtol=1e-4, atol=1e-6)
        start += length


def test_critic_memory_runs_on_through_an_agents_segments() -> None:
    """The second segment of an agent starts from the critic's memory of the first; a new episode starts from zeros."""
    a2c = trainer(memory=MEMORY)
    starts = []
    for ended in (False, True):
        a2c.update_buffer.reset_agent()
        a2c.optimizer.critic_memory_dict.clear()
        for seed in (0, 1):
            a2c._store(segment(a2c, 4, seed=seed, terminated=ended), {"extrinsic": np.zeros(4)})
        a2c.optimizer.rollout_values(a2c.update_buffer)
        starts.append(a2c.update_buffer.batch()[BufferKey.CRITIC_MEMORY][4])
    assert np.abs(starts[0]).max() > 0
    assert np.abs(starts[1]).max() == 0


def test_normalize_golden() -> None:
    """(1, 3) becomes (-1, 1); the padded 100 does not count."""
    scaled = normalize(torch.tensor([1.0, 3.0, 100.0]), torch.tensor([1.0, 1.0, 0.0]))
    torch.testing.assert_close(scaled[:2], torch.tensor([-1.0, 1.0]))


def test_normalize_of_equal_advantages_is_zero() -> None:
    """No deviation, no division by zero."""
    assert normalize(torch.full((5,), 3.0), torch.ones(5)).abs().max().item() == 0.0


@pytest.mark.parametrize(("optimizer", "kind"), [("rmsprop", torch.optim.RMSprop), ("adam", torch.optim.Adam)])
def test_optimizer_is_the_one_of_the_settings(optimizer: str, kind: type) -> None:
    """RMSprop or Adam."""
    assert isinstance(trainer(optimizer=optimizer).optimizer.optimizer, kind)


def test_beta_follows_the_learning_rate_schedule_unless_told() -> None:
    """linear learning rate: beta falls too, as in ML-Agents' PPO; its own key wins."""
    run = {"settings": {"max_steps": 100}, "learning_rate_schedule": "linear", "beta": 0.1}
    assert trainer(**run).optimizer.beta(100) == pytest.approx(1e-5)
    assert trainer(**run, beta_schedule="constant").optimizer.beta(100) == 0.1


def test_shared_critic_has_one_body() -> None:
    """One network body for both, or one for each."""
    assert len(trainer(shared_critic=True).optimizer.network_bodies) == 1
    assert len(trainer(shared_critic=False).optimizer.network_bodies) == 2


def test_update_waits_for_a_whole_rollout() -> None:
    """39 of 40 steps are not enough."""
    a2c = trainer()
    a2c._store(segment(a2c, 39), {"extrinsic": np.zeros(39)})
    assert not a2c._is_ready_update()
    a2c._store(segment(a2c, 1), {"extrinsic": np.zeros(1)})
    assert a2c._is_ready_update()
