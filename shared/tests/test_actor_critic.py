"""The base of actor-critics: advantages of all segments at once, probabilities, and the critic."""

import copy
import itertools

import numpy as np
import pytest
from mlagents.torch_utils import torch
from mlagents.trainers.buffer import BufferKey, RewardSignalUtil
from mlagents.trainers.ppo.optimizer_torch import TorchPPOOptimizer
from mlagents.trainers.settings import ScheduleType

from mlagents_plugin_shared.learning.rollout_batch import Rollout, Steps, values_key
from mlagents_plugin_shared.maths.targets import gae
from rollouts import ACTIONS, MEMORY, fill, trainer


def test_advantages_equal_a_segment_by_segment_computation() -> None:
    """All segments at once have the advantages of each on its own; only a terminal state has no value."""
    owner = trainer(lambd=0.9)
    fill(owner)
    rollout = owner.update_buffer
    values, last_values = (v["extrinsic"] for v in owner.optimizer.rollout_values(rollout))
    owner.add_advantages(rollout)
    ours = np.asarray(rollout.batch()[BufferKey.ADVANTAGES])
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


@pytest.mark.parametrize(("actions", "memory"), itertools.product(ACTIONS, [None, MEMORY]))
def test_importance_ratio_is_one_for_what_the_policy_did_itself(actions: str, memory) -> None:
    """One ratio a step without padding: 1 after acting; e³ for each action dimension that was e⁻³ as likely."""
    owner = trainer(actions, memory=memory)
    fill(owner)
    steps = Steps.from_batch(owner.update_buffer.sequences(), owner.policy)
    with torch.no_grad():
        log_probs, _ = owner.optimizer.evaluate(steps)
    real = log_probs[steps.mask.bool()].numpy()
    size = owner.policy.behavior_spec.action_spec.continuous_size
    for less in (0.0, 3.0):
        owner.update_buffer[BufferKey.CONTINUOUS_LOG_PROBS] = real[:, :size] - less
        owner.update_buffer[BufferKey.DISCRETE_LOG_PROBS] = real[:, size:] - less
        expected = np.full(44, np.exp(less * real.shape[1]))
        np.testing.assert_allclose(owner.optimizer.importance_ratio(owner.update_buffer), expected, rtol=1e-3)


@pytest.mark.parametrize("memory", [None, MEMORY])
@pytest.mark.parametrize("shared_critic", [False, True])
def test_critic_values_are_those_of_the_rollout(memory, shared_critic: bool) -> None:
    """Until the critic has learned, what it says of the steps in sequences is what advantages were computed with."""
    owner = trainer(memory=memory, shared_critic=shared_critic)
    fill(owner)
    owner.add_advantages(owner.update_buffer)
    rollout = Rollout.from_batch(owner.update_buffer.sequences(), owner.policy, owner.optimizer.streams)
    real = rollout.mask.bool()
    torch.testing.assert_close(owner.optimizer.critic_values(rollout)[real], rollout.values[real])
    assert rollout.values[real].std() > 0
    assert len(owner.update_buffer[values_key("extrinsic")]) == 44


@pytest.mark.parametrize("shared_critic", [False, True])
def test_everything_is_trained_once(shared_critic: bool) -> None:
    """Parameters of actor and critic, and of one body where they share it."""
    optimizer = trainer(shared_critic=shared_critic).optimizer
    assert len(optimizer.network_bodies) == (1 if shared_critic else 2)
    everything = {*optimizer.policy.actor.parameters(), *optimizer.critic.parameters()}
    assert len(optimizer.parameters) == len(set(optimizer.parameters))
    assert set(optimizer.parameters) == {parameter for parameter in everything if parameter.requires_grad}


def test_normalize_returns_puts_everything_in_one_unit() -> None:
    """Of returns, values and advantages; what the critic says of the states is the normalised values of before."""
    owner = trainer()
    fill(owner)
    owner.add_advantages(owner.update_buffer)
    rollout = Rollout.from_batch(owner.update_buffer.sequences(), owner.policy, owner.optimizer.streams)
    scaled = owner.optimizer.normalize_returns(rollout._replace(returns=100.0 * rollout.returns))
    sigma = owner.optimizer.popart.sigma
    assert scaled.returns.mean().item() == pytest.approx(0.0, abs=1e-5)
    torch.testing.assert_close(scaled.advantage * sigma, rollout.advantage)
    torch.testing.assert_close(owner.optimizer.critic_values(rollout), scaled.values, atol=1e-5, rtol=1e-4)


def test_shuffler_follows_from_the_step() -> None:
    """Of one step it draws the same again, of another it does not, and neither with another seed."""
    owner = trainer()
    orders = [owner.optimizer.shuffler().permutation(100).tolist() for _ in range(2)]
    owner.policy.set_step(7)
    orders.append(owner.optimizer.shuffler().permutation(100).tolist())
    owner.optimizer.shuffle_seed += 1
    orders.append(owner.optimizer.shuffler().permutation(100).tolist())
    assert orders[0] == orders[1]
    assert len({tuple(order) for order in orders}) == 3


@pytest.mark.parametrize("memory", [None, MEMORY])
@pytest.mark.parametrize("shared_critic", [False, True])
def test_ppo_takes_the_step_of_ml_agents(memory, shared_critic: bool) -> None:
    """One minibatch, with ratios far from 1: all parameters are equal to 1e-6 after a step of plain gradient descent.

    ML-Agents normalises advantages before the update, and clips values around the returns (1.1.0).
    """
    constant = dict.fromkeys(("learning_rate_schedule", "beta_schedule", "epsilon_schedule"), ScheduleType.CONSTANT)
    own = {"num_epoch": 1, "batch_size": 100, "buffer_size": 100, "learning_rate": 0.1, **constant}
    owner = trainer(memory=memory, shared_critic=shared_critic, **own)
    fill(owner)
    owner.add_advantages(owner.update_buffer)
    batch = owner.update_buffer.sequences()
    batch[values_key("extrinsic")] = batch[RewardSignalUtil.returns_key("extrinsic")]
    theirs = TorchPPOOptimizer(copy.deepcopy(owner.policy), owner.trainer_settings)
    theirs.critic.load_state_dict(owner.optimizer.critic.state_dict())
    for holder in (owner.optimizer.descent, theirs):
        holder.optimizer = torch.optim.SGD(holder.optimizer.param_groups[0]["params"], lr=0.1)
    before = [parameter.detach().clone() for parameter in owner.optimizer.parameters]
    owner.optimizer.update(batch, 1)
    mask, advantage = (np.asarray(batch[key]) for key in (BufferKey.MASKS, BufferKey.ADVANTAGES))
    real = advantage[mask > 0]
    batch[BufferKey.ADVANTAGES] = (advantage - real.mean()) / (real.std() + 1e-8)
    theirs.update(batch, 1)
    pairs = [(owner.policy.actor, theirs.policy.actor), (owner.optimizer.critic, theirs.critic)]
    for ours, other in pairs:
        for mine, their in zip(ours.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(mine, their, atol=1e-6, rtol=0)
    moved = [(a - b).abs().max().item() for a, b in zip(owner.optimizer.parameters, before, strict=True)]
    assert max(moved) > 1e-3
