"""Each extension against what it must do, and all of them together."""

from itertools import product

import numpy as np
import pytest
from mlagents.torch_utils import torch
from mlagents.trainers.buffer import BufferKey, RewardSignalUtil
from mlagents.trainers.exception import TrainerConfigError, UnityTrainerException
from mlagents.trainers.trajectory import ObsUtil

from dqn_testing import (
    BRANCHES,
    MEMORY,
    behavior_spec,
    decision_steps,
    disturb,
    filled,
    next_values,
    segment,
    targets,
    trainer,
)
from mlagents_plugin_dqn.settings import PRESETS, Distribution, Preset
from mlagents_plugin_shared.acting.q_policy import LADDER
from mlagents_plugin_shared.data import PrioritizedReplayBuffer, ReplayKey
from mlagents_plugin_shared.learning.networks import NoisyLinear
from mlagents_plugin_shared.learning.transitions import discount_key

# A discount small enough that no target of the tests leaves atoms from -50 to 50, where its mean would be bounded.
WITHIN_ATOMS = {"reward_signals": {"extrinsic": {"gamma": 0.9}}}
DISTRIBUTIONS = [kind.value for kind in Distribution]
COMBINATIONS = [
    {"distribution": distribution, "munchausen": munchausen, "noisy": noisy, "prioritized_replay": prioritized}
    for distribution, munchausen, noisy, prioritized in product(DISTRIBUTIONS, *[[False, True]] * 3)
]


def learner(settings: dict | None = None, **options):
    """A trainer with a filled replay, with memory if the settings have it."""
    dqn = trainer(settings=settings, **options)
    memory = 8 if settings == MEMORY else 0
    for i in range(6):
        ends = [{}, {"terminated": True}, {"interrupted": True}][i % 3]
        dqn.update_buffer.add(segment(dqn.policy.behavior_spec, 7, agent_id=str(i), seed=i, memory=memory, **ends))
    disturb(dqn.optimizer.target)
    return dqn


@pytest.mark.parametrize("settings", [None, MEMORY], ids=["feed-forward", "memory"])
@pytest.mark.parametrize(
    "options", COMBINATIONS, ids=lambda options: "-".join(str(value) for value in options.values())
)
def test_every_combination_learns_from_a_batch(options: dict, settings: dict | None) -> None:
    """Updates change every trained weight, all statistics are finite, and the policy acts legally afterwards."""
    dqn = learner(settings, **options, dueling=True, layer_norm=True, burn_in=2 if settings else 0, num_quantiles=4)
    before = {name: p.clone() for name, p in dqn.optimizer.online.named_parameters()}
    for _ in range(3):
        batch = dqn.sample()
        sequences = max(8 // dqn.policy.sequence_length, 1)
        stats = dqn.optimizer.update(batch, sequences)
        assert all(np.isfinite(float(value)) for value in stats.values())
        if options["prioritized_replay"]:
            dqn.update_buffer.update_priorities(batch[ReplayKey.SERIAL], batch[ReplayKey.ERROR])
    stuck = [name for name, p in dqn.optimizer.online.named_parameters() if torch.equal(p, before[name])]
    assert not stuck
    steps = decision_steps(dqn.policy.behavior_spec, 5)
    assert dqn.policy.evaluate(steps, list("abcde"))["action"].discrete.shape == (5, 2)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_distributions_have_the_same_expected_target(distribution: str) -> None:
    """Whatever describes the return, its mean target is reward plus discount times the mean of the best action."""
    dqn = filled(distribution=distribution, v_min=-50.0, v_max=50.0, n_step=3, settings=WITHIN_ATOMS)
    batch = dqn.sample()
    next_obs = [torch.as_tensor(batch[ObsUtil.get_name_at_next(0)])]
    judge = dqn.optimizer.target.q_values(next_obs)[0].detach().numpy()[:, 0]
    chooser = dqn.optimizer.online.q_values(next_obs)[0].detach().numpy()[:, 0]
    legal = batch[ReplayKey.NEXT_ACTION_MASK].astype(bool)
    rewards, discounts = (np.asarray(batch[key("extrinsic")]) for key in (RewardSignalUtil.rewards_key, discount_key))
    expected = []
    for b in range(8):
        best = [max((a for a in branch if legal[b, a]), key=lambda a: chooser[b, a]) for branch in ((0, 1, 2), (3, 4))]
        expected.append(rewards[b] + discounts[b] * judge[b, best].mean())
    np.testing.assert_allclose(targets(dqn, batch)[:, 0].numpy(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_distribution_learns_the_rewards_of_a_bandit(distribution: str) -> None:
    """Terminal steps that pay 1 or 3 with even odds: Q goes to 2, and a distribution tells the two apart."""
    dqn = trainer(
        behavior_spec((2,)), distribution=distribution, learning_rate=5e-3, v_min=-5.0, v_max=5.0, dueling=False,
        batch_size=64, loss="mse" if distribution == "none" else "huber",
    )  # fmt: skip
    for seed in range(100):
        step = segment(dqn.policy.behavior_spec, 1, terminated=True, seed=seed, legal=np.ones((1, 2), bool))
        step.columns[BufferKey.ENVIRONMENT_REWARDS][:] = 1.0 + 2.0 * (seed % 2)
        step.observations[0][:] = 0.5
        dqn.update_buffer.add(step)
    for _ in range(400):
        dqn.optimizer.update(dqn.sample(), 64)
    encoding, _ = dqn.optimizer.online.encode([torch.full((1, 4), 0.5)])
    returns = dqn.optimizer.online.head(encoding)[0, 0, 0].detach()
    assert float(dqn.optimizer.online.head.mean(returns)) == pytest.approx(2.0, abs=0.35)
    if distribution == "categorical":
        support = dqn.optimizer.online.head.support
        near = [float(returns[(support - reward).abs() < 0.3].sum()) for reward in (1.0, 3.0)]
        assert min(near) > 0.3
    elif distribution != "none":
        low, high = float(returns[: len(returns) // 4].mean()), float(returns[-len(returns) // 4 :].mean())
        assert high - low > 1.0


def test_rescaled_target_is_re_derived_in_a_slow_loop() -> None:
    """h(r + γ v) with h by hand and v in units of reward, for 8 transitions; TD errors are in the scale of h."""

    def h(x: float) -> float:
        return float(np.sign(x) * (np.sqrt(abs(x) + 1) - 1) + 1e-3 * x)

    dqn = filled(value_rescaling=True, prioritized_replay=True)
    batch = dqn.sample()
    now, then = (torch.as_tensor(batch[name(0)]) for name in (ObsUtil.get_name_at, ObsUtil.get_name_at_next))
    judge, chooser, present = (
        network.q_values([observed])[0].detach().numpy()[:, 0]
        for network, observed in (
            (dqn.optimizer.target, then),
            (dqn.optimizer.online, then),
            (dqn.optimizer.online, now),
        )
    )
    legal = batch[ReplayKey.NEXT_ACTION_MASK].astype(bool)
    rewards, discounts = (np.asarray(batch[key("extrinsic")]) for key in (RewardSignalUtil.rewards_key, discount_key))
    expected, errors = [], []
    for b in range(8):
        best = [max((a for a in branch if legal[b, a]), key=lambda a: chooser[b, a]) for branch in ((0, 1, 2), (3, 4))]
        expected.append(h(rewards[b] + discounts[b] * judge[b, best].mean()))
        taken = batch[BufferKey.DISCRETE_ACTION][b] + (0, 3)
        errors.append(np.mean([abs(expected[b] - h(present[b, a])) for a in taken]))
    np.testing.assert_allclose(targets(dqn, batch)[:, 0].numpy(), expected, rtol=1e-4, atol=1e-5)
    dqn.optimizer.update(batch, 8)
    np.testing.assert_allclose(batch[ReplayKey.ERROR], errors, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("rescaled", [True, False])
def test_rescaling_learns_large_returns(rescaled: bool) -> None:
    """Terminal steps that pay 900 or 1,100: Q is near 1,000 after 400 updates, and far from it without rescaling."""
    dqn = trainer(behavior_spec((2,)), learning_rate=5e-3, dueling=False, batch_size=64, value_rescaling=rescaled)
    for seed in range(100):
        step = segment(dqn.policy.behavior_spec, 1, terminated=True, seed=seed, legal=np.ones((1, 2), bool))
        step.columns[BufferKey.ENVIRONMENT_REWARDS][:] = 900.0 + 200.0 * (seed % 2)
        step.observations[0][:] = 0.5
        dqn.update_buffer.add(step)
    for _ in range(400):
        statistics = dqn.optimizer.update(dqn.sample(), 64)
    q, _ = dqn.optimizer.online.q_values([torch.full((1, 4), 0.5)])
    assert float(statistics["Policy/Q Value"]) == pytest.approx(q.mean().item(), rel=0.1)
    assert (abs(q - 1000) < 100).all() if rescaled else (q < 300).all()


def test_munchausen_without_bonus_and_temperature_is_plain_q_learning() -> None:
    """α = 0 and a soft policy that is nearly greedy: the targets are those of DQN without double."""
    found = []
    for options in ({"munchausen": True, "munchausen_alpha": 0.0, "munchausen_temperature": 1e-4}, {"double": False}):
        torch.manual_seed(5)
        dqn = filled(**options)
        for network in (dqn.optimizer.online, dqn.optimizer.target):
            torch.manual_seed(6)
            disturb(network)
        found.append(targets(dqn, dqn.sample()))
    torch.testing.assert_close(found[0], found[1], rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_munchausen_target_is_re_derived_in_a_slow_loop(distribution: str) -> None:
    """r + α [τ ln π(a|s)] + γ Σ π (Q - τ ln π), mean over branches, π of the target network over legal actions."""
    alpha, temperature = 0.7, 0.5
    dqn = filled(
        distribution=distribution, v_min=-50.0, v_max=50.0, n_step=1,
        munchausen=True, munchausen_alpha=alpha, munchausen_temperature=temperature, settings=WITHIN_ATOMS,
    )  # fmt: skip
    batch = dqn.sample()
    rewards, discounts = (np.asarray(batch[key("extrinsic")]) for key in (RewardSignalUtil.rewards_key, discount_key))
    q = {}
    for name in (ObsUtil.get_name_at(0), ObsUtil.get_name_at_next(0)):
        q[name] = dqn.optimizer.target.q_values([torch.as_tensor(batch[name])])[0].detach().numpy()[:, 0].astype(float)

    def log_policy(values: np.ndarray, legal: list[int]) -> dict[int, float]:
        scaled = np.array([values[a] / temperature for a in legal])
        total = np.log(np.exp(scaled - scaled.max()).sum()) + scaled.max()
        return dict(zip(legal, scaled - total, strict=True))

    expected = []
    for b in range(8):
        bonus, value = [], []
        for d, branch in enumerate(((0, 1, 2), (3, 4))):
            now = [a for a in branch if batch[BufferKey.ACTION_MASK][b, a]]
            taken = branch[0] + int(batch[BufferKey.DISCRETE_ACTION][b, d])
            then = [a for a in branch if batch[ReplayKey.NEXT_ACTION_MASK][b, a]]
            log_now = log_policy(q[ObsUtil.get_name_at(0)][b], now).get(taken, -1e8)
            bonus.append(alpha * np.clip(temperature * log_now, -1.0, 0.0))
            values = q[ObsUtil.get_name_at_next(0)][b]
            log_then = log_policy(values, then)
            value.append(sum(np.exp(p) * (values[a] - temperature * p) for a, p in log_then.items()))
        expected.append(rewards[b] + np.mean(bonus) + discounts[b] * np.mean(value))
    np.testing.assert_allclose(targets(dqn, batch)[:, 0].numpy(), expected, rtol=1e-3, atol=1e-3)


def test_prioritized_weights_scale_the_loss() -> None:
    """A batch whose weights are all ½ has half the loss; without weights it is not scaled."""
    dqn = filled(prioritized_replay=True, learning_rate=1e-12, noisy=False)
    batch = dqn.sample()
    batch[ReplayKey.WEIGHT] = np.ones(8, np.float32)
    full = float(dqn.optimizer.update(batch, 8)["Losses/Value Loss"])
    batch[ReplayKey.WEIGHT] = np.full(8, 0.5, np.float32)
    assert float(dqn.optimizer.update(batch, 8)["Losses/Value Loss"]) == pytest.approx(full / 2, rel=1e-4)


def test_prioritized_replay_gets_the_td_errors_and_the_scheduled_beta() -> None:
    """After an update the priorities of the drawn transitions are their errors; beta rises to 1 at max_steps."""
    dqn = filled(prioritized_replay=True, priority_alpha=1.0, settings={"max_steps": 1000})
    assert isinstance(dqn.update_buffer, PrioritizedReplayBuffer)
    batch = dqn.sample()
    assert dqn.update_buffer.beta == pytest.approx(0.4)
    q = dqn.optimizer.online.q_values([torch.as_tensor(batch[ObsUtil.get_name_at(0)])])[0].detach()[:, 0]
    offsets = np.array([0, BRANCHES[0]])
    chosen = np.take_along_axis(q.numpy(), batch[BufferKey.DISCRETE_ACTION] + offsets, axis=1)
    expected = np.abs(targets(dqn, batch).numpy() - chosen).mean(axis=1)
    dqn.optimizer.update(batch, 8)
    np.testing.assert_allclose(batch[ReplayKey.ERROR], expected, rtol=1e-4)
    dqn.update_buffer.update_priorities(batch[ReplayKey.SERIAL], batch[ReplayKey.ERROR])
    rows = dqn.update_buffer._ring.rows(batch[ReplayKey.SERIAL][-1:])
    assert dqn.update_buffer._ring.tree.values[rows][0] == pytest.approx(batch[ReplayKey.ERROR][-1] + 1e-6)
    dqn.policy.set_step(1000)
    dqn._step = 1000
    dqn.sample()
    assert dqn.update_buffer.beta == pytest.approx(1.0)


def test_noisy_network_explores_without_epsilon() -> None:
    """Decisions on one observation differ from call to call; with exploration off they do not."""
    steps = decision_steps(behavior_spec((9,)), 1)
    noisy = trainer(behavior_spec((9,)), noisy=True)
    assert noisy.policy.epsilon(0) == 0.0
    drawn = {int(noisy.policy.evaluate(steps, ["a"])["action"].discrete[0, 0]) for _ in range(60)}
    settings = {"network_settings": {"hidden_units": 16, "num_layers": 1, "deterministic": True}}
    sure = trainer(behavior_spec((9,)), settings=settings, noisy=True)
    fixed = {int(sure.policy.evaluate(steps, ["a"])["action"].discrete[0, 0]) for _ in range(60)}
    assert len(drawn) > 1
    assert len(fixed) == 1


def test_target_network_has_noise_of_its_own() -> None:
    """Noise of online and target network is drawn apart at each update (Fortunato et al., 2018, section 3.1)."""
    dqn = learner(noisy=True)
    dqn.optimizer.update(dqn.sample(), 8)
    dqn.optimizer.update(dqn.sample(), 8)
    online, target = (
        [m.noise_in for m in network.modules() if isinstance(m, NoisyLinear)]
        for network in (dqn.optimizer.online, dqn.optimizer.target)
    )
    assert online
    assert not any(torch.equal(a, b) for a, b in zip(online, target, strict=True))


def test_ladder_gives_each_agent_its_epsilon() -> None:
    """Each of eight agents has another rung of Ape-X's geometric ladder, and keeps it until its episode ends."""
    dqn = trainer(exploration="ladder")
    agents = [f"agent_{i}" for i in range(16)]
    np.testing.assert_allclose(LADDER, [0.4 ** (1 + i) for i in range(8)], rtol=1e-5)
    epsilons = dqn.policy._epsilons(agents)
    for eight in epsilons.split(8):
        np.testing.assert_allclose(sorted(eight, reverse=True), LADDER, rtol=1e-5)
    assert not torch.equal(epsilons[:8], epsilons[8:])
    np.testing.assert_allclose(dqn.policy._epsilons(agents[::-1]), epsilons.flip(0))
    dqn.policy.remove_memories(agents)
    assert not torch.equal(dqn.policy._epsilons(agents), epsilons)
    assert len(dqn.policy.agents["rung"]) == 16


def test_ladder_is_off_in_inference() -> None:
    """Deterministic actions are greedy for every agent."""
    settings = {"network_settings": {"hidden_units": 16, "num_layers": 1, "deterministic": True}}
    assert trainer(settings=settings, exploration="ladder").policy._epsilons(["a", "b"]) == 0.0


@pytest.mark.parametrize("preset", list(Preset))
def test_preset_sets_its_keys_and_explicit_keys_win(preset: Preset) -> None:
    """Everything that a preset names is set; a key beside it, be it the default, is kept."""
    chosen = trainer(preset=preset.value).hyperparameters
    assert {key: getattr(chosen, key) for key in PRESETS[preset]} == PRESETS[preset]
    assert trainer(preset=preset.value, n_step=7, dueling=True).hyperparameters.n_step == 7


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"preset": "rainbows"},
            "preset: 'rainbows' is not valid; it must be one of dqn, double_dueling, rainbow, btr",
        ),
        ({"distribution": "gauss"}, "distribution: 'gauss' is not valid; it must be one of none, categorical"),
        ({"distribution": "categorical", "v_min": 3.0, "v_max": 3.0}, "v_max: 3.0 is not valid; .* greater than v_min"),
        ({"distribution": "categorical", "v_min": -1e12}, "v_min: -1000000000000.0 is not valid; .* -1e.08 and 1e.08"),
        ({"distribution": "categorical", "v_min": 1e31}, r"^(?!.*v_max).*v_min: 1e\+31 is not valid"),
        ({"distribution": "categorical", "v_min": 1e7, "v_max": 1e7 + 2}, "v_max: 10000002.0 .* atoms would be equal"),
        ({"distribution": "categorical", "num_atoms": 1}, "num_atoms: 1 is not valid; .* at least 2 atoms"),
        ({"distribution": "quantile", "loss": "mse"}, "loss: mse is not valid; distribution: quantile has a loss"),
        (
            {"distribution": "quantile", "value_rescaling": True},
            "value_rescaling: true is not valid; distribution: quantile is learned as it is",
        ),
        ({"noisy": True, "exploration": "ladder"}, "exploration: ladder is not valid; noisy: true explores by itself"),
        ({"priority_alpha": 1.5}, "priority_alpha: 1.5 is not valid"),
        ({"munchausen_temperature": 0.0}, "munchausen_temperature: 0.0 is not valid"),
    ],
)
def test_combinations_without_sense_are_refused(options: dict, message: str) -> None:
    """One line with the key, the value and why."""
    with pytest.raises(TrainerConfigError, match=message):
        trainer(**options)


def test_branch_without_a_choice_is_refused() -> None:
    """A branch of one action is named with the behaviour."""
    with pytest.raises(TrainerConfigError, match="Behavior Toy: action branch 1 has 1 action"):
        trainer(behavior_spec((3, 1)))


def test_agent_without_a_legal_action_is_named() -> None:
    """All actions of a branch masked: the agent and the branch are named, and nothing is chosen."""
    legal = np.ones((3, 5), bool)
    legal[1, 3:] = False
    with pytest.raises(UnityTrainerException, match="Agent b may take none of the 2 actions of branch 1"):
        trainer().policy.evaluate(decision_steps(behavior_spec(), 3, legal), ["a", "b", "c"])


def test_next_values_of_munchausen_differ_from_those_of_double_dqn() -> None:
    """The switches do something."""
    values = []
    for options in ({}, {"munchausen": True, "munchausen_temperature": 1.0}, {"double": False}):
        torch.manual_seed(3)
        dqn = filled(**options)
        torch.manual_seed(4)
        disturb(dqn.optimizer.target)
        values.append(next_values(dqn, dqn.sample()))
    assert not torch.allclose(values[0], values[1])
    assert not torch.allclose(values[0], values[2])
