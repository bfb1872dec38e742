"""The actor of soft actor-critic: what it may do, and that a noise makes samples of it."""

import numpy as np
import pytest
import torch
from mlagents.trainers.settings import NetworkSettings
from mlagents_envs.base_env import ActionSpec, BehaviorSpec

from mlagents_plugin_shared.acting.noise_policy import NoisePolicy
from mlagents_plugin_shared.acting.soft_actor import LOG_STD, ActionChoice, SoftActor
from mlagents_plugin_shared.learning.temperature import LOG_TEMPERATURE, Temperatures
from mlagents_plugin_shared.learning.trunk import TrunkStyle
from mlagents_plugin_shared.maths.branches import soft_policy
from mlagents_plugin_shared.testing import SENSORS, illegal_choices, masked_decisions

HYBRID = ActionSpec(2, (3, 2))


def policy(actions: ActionSpec = HYBRID, **options) -> NoisePolicy:
    """A policy with vector observations."""
    torch.manual_seed(0)
    return NoisePolicy(
        **{"explores": True, **options},
        seed=0,
        behavior_spec=BehaviorSpec(SENSORS["vector"], actions),
        network_settings=NetworkSettings(hidden_units=16, num_layers=1),
        actor_cls=SoftActor,
        actor_kwargs={"style": TrunkStyle()},
    )


def test_entropies_are_re_derived() -> None:
    """-log p of the sample, and -Σ π log π over the legal actions, the mean over branches."""
    logits, mask = torch.tensor([[1.0, 2.0, 3.0, 0.0, 5.0]]), torch.tensor([[1.0, 0.0, 1.0, 1.0, 1.0]])
    choice = ActionChoice(torch.zeros(1, 0), torch.zeros(1, 0), soft_policy(logits, mask, [3, 2], 1.0), [3, 2])
    expected = []
    for scores in ([1.0, 3.0], [0.0, 5.0]):
        probs = np.exp(scores) / np.exp(scores).sum()
        expected.append(-(probs * np.log(probs)).sum())
    found = choice.entropies(torch.tensor([0.7]))
    torch.testing.assert_close(found, torch.tensor([[-0.7, float(np.mean(expected))]]))


def test_sample_has_the_log_probability_of_its_density() -> None:
    """Over many samples the mean of -log p is the entropy of the histogram of the actions."""
    generator = torch.Generator().manual_seed(0)
    count = 400_000
    mean, log_std = torch.full((count, 1), 0.4), torch.full((count, 1), -0.5)
    choice = ActionChoice(mean, log_std, torch.zeros(count, 1), [1])
    action, log_prob = choice.sample(torch.randn(count, 1, generator=generator))
    density, edges = np.histogram(action.numpy(), bins=400, range=(-1, 1), density=True)
    filled = density[density > 0]
    entropy = -(filled * np.log(filled)).sum() * (edges[1] - edges[0])
    assert -log_prob.mean().item() == pytest.approx(entropy, abs=0.01)


def test_deviations_are_bounded() -> None:
    """Whatever the features are."""
    actor = policy().actor
    choice = actor.choice(1e6 * torch.randn(50, actor.encoding_size), torch.ones(50, 5))
    assert choice.log_std.min().item() >= LOG_STD[0]
    assert choice.log_std.max().item() <= LOG_STD[1]
    action, log_prob = choice.sample()
    assert torch.isfinite(log_prob).all()
    assert action.abs().max().item() <= 1.0


def test_noise_is_drawn_from_the_policy() -> None:
    """First decisions of 20,000 agents in one state: shares of discrete actions are their probabilities, the control of
    which is another state's; continuous ones have the mean and deviation before tanh.
    """
    made = policy()
    rng = np.random.default_rng(0)
    (steps,) = [masked_decisions(made.behavior_spec, 20_000, rng)]
    steps.obs[0][:] = steps.obs[0][:1]
    steps = type(steps)(steps.obs, steps.reward, steps.agent_id, None, steps.group_id, steps.group_reward)
    taken = made.get_action(steps).env_action
    with torch.no_grad():
        encoding, _ = made.actor.encode([torch.as_tensor(steps.obs[0][:1])])
        choice = made.actor.choice(encoding, torch.ones(1, 5))
    shares = [(taken.discrete[:, 0] == a).mean() for a in range(3)]
    np.testing.assert_allclose(shares, choice.log_policy.exp()[0, :3].numpy(), atol=0.015)
    u = np.arctanh(taken.continuous.astype(np.float64).clip(-1 + 1e-9, 1 - 1e-9))
    np.testing.assert_allclose(u.mean(axis=0), choice.mean[0].numpy(), atol=0.05)
    np.testing.assert_allclose(u.std(axis=0), choice.log_std.exp()[0].numpy(), rtol=0.05)


def test_an_agent_keeps_its_noise_for_a_while() -> None:
    """In one state the same action follows for some decisions, whoever asks in between; without repetition never."""
    for repeat, lasting in ((16, True), (1, False)):
        made = policy(repeat=repeat)
        steps = masked_decisions(made.behavior_spec, 300, np.random.default_rng(0))
        first, second = (made.get_action(steps).env_action.continuous for _ in range(2))
        assert (first == second).all(axis=1).mean() == pytest.approx(0.37 if lasting else 0.0, abs=0.1)


def test_noise_survives_a_resume_and_ends_with_the_episode() -> None:
    """A policy that takes up the state acts on as the first one does; that of a forgotten agent begins anew."""
    first, second = policy(repeat=16), policy(repeat=16)
    steps = masked_decisions(first.behavior_spec, 50, np.random.default_rng(0))
    first.get_action(steps)
    second.load_acting_state(first.acting_state())
    for _ in range(20):
        one, other = first.get_action(steps).env_action, second.get_action(steps).env_action
        np.testing.assert_array_equal(one.continuous, other.continuous)
        np.testing.assert_array_equal(one.discrete, other.discrete)
    first.end_episodes()
    assert len(first.agents) == 0


def test_greedy_policy_draws_nothing() -> None:
    """tanh of the mean, and the likeliest legal action."""
    made = policy(explores=False)
    steps = masked_decisions(made.behavior_spec, 100, np.random.default_rng(0))
    before = made.generator.get_state()
    one, other = made.get_action(steps).env_action, made.get_action(steps).env_action
    np.testing.assert_array_equal(one.continuous, other.continuous)
    assert torch.equal(made.generator.get_state(), before)
    assert illegal_choices(steps, one.discrete) == 0


def test_target_entropy_counts_legal_actions() -> None:
    """0.5 of the mean of log 3 and log 2 where all are legal; of log 2 and log 1 where one of each branch is not."""
    temperatures = Temperatures(HYBRID, initial=(0.1, 0.2), entropy_of_each=-0.5, entropy_ratio=0.5)
    legal = torch.tensor([[1.0, 1.0, 1.0, 1.0, 1.0], [1.0, 0.0, 1.0, 1.0, 0.0]])
    expected = [[-1.0, 0.25 * np.log(6.0)], [-1.0, 0.25 * np.log(2.0)]]
    torch.testing.assert_close(temperatures.target_entropies(legal), torch.tensor(expected, dtype=torch.float32))


def test_temperature_rises_where_entropy_is_missing() -> None:
    """Each kind by its own; bounded at last."""
    temperatures = Temperatures(HYBRID, initial=(0.1, 0.2), entropy_of_each=-0.5, entropy_ratio=0.5)
    entropies = torch.tensor([[-5.0, 5.0]])
    temperatures.loss(entropies, torch.ones(1, 5)).sum().backward()
    continuous, discrete = temperatures.logarithm.grad.tolist()
    assert continuous < 0.0 < discrete  # what descends along it rises, and falls
    with torch.no_grad():
        temperatures.logarithm.fill_(1e9)
    temperatures.bound()
    assert temperatures.logarithm.tolist() == [LOG_TEMPERATURE[1]] * 2
