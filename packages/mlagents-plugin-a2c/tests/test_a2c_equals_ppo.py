"""A2C is PPO with one epoch, one minibatch and a ratio of 1 (Huang et al., 2022): ML-Agents' own PPO takes our step."""

import copy
import itertools
from typing import Any

import numpy as np
import pytest
from mlagents.torch_utils import torch
from mlagents.trainers.buffer import BufferKey
from mlagents.trainers.ppo.optimizer_torch import TorchPPOOptimizer
from mlagents.trainers.ppo.trainer import PPOTrainer
from mlagents.trainers.settings import TrainerSettings
from mlagents.trainers.torch_entities.action_log_probs import LogProbsTuple
from mlagents.trainers.trajectory import AgentExperience, Trajectory
from mlagents_envs.base_env import ActionTuple

from a2c_testing import ACTIONS, MEMORY, fill, trainer
from mlagents_plugin_a2c.trainer import A2CTrainer
from mlagents_plugin_shared.learning.rollout_batch import Steps
from mlagents_plugin_shared.testing import TEAM

COMMON = {"learning_rate": 0.1, "learning_rate_schedule": "constant", "beta": 0.01, "beta_schedule": "constant"}
A2C = {**COMMON, "max_grad_norm": 0.0, "value_coefficient": 0.5}
SIGNALS = {"extrinsic": {"gamma": 0.99}, "rnd": {"gamma": 0.9}}


def descend(*optimizers: Any) -> None:
    """Plain gradient descent, so that parameters show gradients."""
    for optimizer in optimizers:
        owner = getattr(optimizer, "descent", optimizer)
        owner.optimizer = torch.optim.SGD(owner.optimizer.param_groups[0]["params"], lr=0.1)


def ppo_settings(a2c: A2CTrainer, **hyperparameters) -> TrainerSettings:
    """Settings of ML-Agents' PPO for the same behaviour."""
    shared = {"shared_critic": a2c.hyperparameters.shared_critic}
    config = {"trainer_type": "ppo", "hyperparameters": {**COMMON, **shared, "num_epoch": 1, **hyperparameters}}
    settings = TrainerSettings.structure(config, TrainerSettings)
    settings.network_settings = a2c.trainer_settings.network_settings
    settings.reward_signals = a2c.trainer_settings.reward_signals
    return settings


def ppo_optimizer(a2c: A2CTrainer) -> TorchPPOOptimizer:
    """ML-Agents' optimizer with our weights."""
    policy = copy.deepcopy(a2c.policy)
    optimizer = TorchPPOOptimizer(policy, ppo_settings(a2c))
    optimizer.critic.load_state_dict(a2c.optimizer.critic.state_dict())
    return optimizer


def parameters(optimizer) -> list[torch.Tensor]:
    """Everything that is trained, without repeats."""
    modules = (optimizer.policy.actor, optimizer.critic)
    return list(dict.fromkeys(p for module in modules for p in module.parameters() if p.requires_grad))


@pytest.mark.parametrize(
    ("actions", "memory", "shared_critic", "signals"),
    [
        *itertools.product(ACTIONS, [None, MEMORY], [False, True], [None]),
        ("hybrid", None, False, SIGNALS),
        ("hybrid", MEMORY, True, SIGNALS),
    ],
)
def test_one_step_equals_that_of_ml_agents_ppo(actions: str, memory, shared_critic: bool, signals) -> None:
    """On the same rollout all parameters are equal to 1e-6 after a step, and moved by more than that."""
    settings = {"reward_signals": signals} if signals else {}
    a2c = trainer(actions, memory=memory, settings=settings, shared_critic=shared_critic, **A2C)
    fill(a2c)
    a2c.add_advantages(a2c.update_buffer)
    batch = a2c.update_buffer.sequences()
    acted_by(a2c, batch)
    ppo = ppo_optimizer(a2c)
    before = [p.detach().clone() for p in parameters(ppo)]
    for optimizer in (a2c.optimizer, ppo):
        descend(optimizer)
        optimizer.update(batch, batch.num_experiences // a2c.policy.sequence_length)
    for ours, theirs in zip(parameters(a2c.optimizer), parameters(ppo), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)
    assert max((p - b).abs().max().item() for p, b in zip(parameters(ppo), before, strict=True)) > 1e-3


def acted_by(a2c: A2CTrainer, batch) -> None:
    """The actions of a batch become those of the policy as it is: PPO's ratio is 1."""
    with torch.no_grad():
        log_probs, _ = a2c.optimizer.evaluate(Steps.from_batch(batch, a2c.policy))
    size = a2c.policy.behavior_spec.action_spec.continuous_size
    batch[BufferKey.CONTINUOUS_LOG_PROBS] = log_probs[:, :size].numpy()
    batch[BufferKey.DISCRETE_LOG_PROBS] = log_probs[:, size:].numpy()


@pytest.mark.parametrize("old_policy", [False, True])
def test_a_ratio_other_than_one_gives_another_step(old_policy: bool) -> None:
    """The control: after a step by which the policy moved, PPO's ratio counts and ours does not."""
    a2c = trainer(**A2C)
    fill(a2c)
    a2c.add_advantages(a2c.update_buffer)
    batch = a2c.update_buffer.sequences()
    acted_by(a2c, batch)
    if old_policy:
        for parameter in a2c.policy.actor.action_model.parameters():
            parameter.data += 0.1
    ppo = ppo_optimizer(a2c)
    for optimizer in (a2c.optimizer, ppo):
        descend(optimizer)
        optimizer.update(batch, batch.num_experiences)
    pairs = zip(parameters(a2c.optimizer), parameters(ppo), strict=True)
    assert (max((ours - theirs).abs().max().item() for ours, theirs in pairs) > 1e-4) == old_policy


def trajectory(a2c: A2CTrainer, length: int, seed: int, *, done: bool, interrupted: bool) -> Trajectory:
    """Steps that the policy took from random observations."""
    rng = np.random.default_rng(seed)
    observations = rng.normal(size=(length + 1, 4)).astype(np.float32)
    masks = torch.ones(length, sum(a2c.policy.behavior_spec.action_spec.discrete_branches))
    with torch.no_grad():
        action, out, _ = a2c.policy.actor.get_action_and_stats([torch.from_numpy(observations[:-1])], masks=masks)
    action, log_probs = action.to_action_tuple(), out["log_probs"].to_log_probs_tuple()
    steps = [
        AgentExperience(
            obs=[observations[t]],
            reward=float(rng.normal()),
            done=done and t == length - 1,
            action=ActionTuple(action.continuous[t], action.discrete[t]),
            action_probs=LogProbsTuple(log_probs.continuous[t], log_probs.discrete[t]),
            action_mask=[np.zeros(3, bool), np.zeros(2, bool)],
            prev_action=np.zeros(2, np.int32),
            interrupted=interrupted and t == length - 1,
            memory=None,
            group_status=[],
            group_reward=0.5,
        )
        for t in range(length)
    ]
    return Trajectory(steps, [observations[-1]], [], f"agent_{seed}", "Toy?team=0")


@pytest.mark.parametrize("shared_critic", [False, True])
def test_one_rollout_equals_that_of_ml_agents_ppo_trainer(shared_critic: bool, caplog) -> None:
    """From trajectories on: rewards of the group, values, advantages (PPO normalises them) and the step are equal."""
    a2c = trainer(shared_critic=shared_critic, normalize_advantage=True, buffer_size=30, **A2C)
    settings = ppo_settings(a2c, batch_size=30, buffer_size=29)
    ppo = PPOTrainer("Toy", 1, settings, True, False, 0, "unused")
    ppo.add_policy(TEAM, copy.deepcopy(a2c.policy))
    ppo.optimizer.critic.load_state_dict(a2c.optimizer.critic.state_dict())
    ends = [(9, True, False), (13, True, True), (8, False, False)]  # terminated, interrupted, cut
    fakes = [trajectory(a2c, n, seed, done=done, interrupted=cut) for seed, (n, done, cut) in enumerate(ends)]
    warnings = []
    for learner in (a2c, ppo):
        descend(learner.optimizer)
        caplog.clear()
        for fake in fakes:
            learner._process_trajectory(fake)
        warnings.append([record.getMessage() for record in caplog.records])
        assert learner._is_ready_update()
        learner._update_policy()
    for ours, theirs in zip(parameters(a2c.optimizer), parameters(ppo.optimizer), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)
    assert warnings[0] == warnings[1]
    assert "Group Reward" in warnings[0][0]
