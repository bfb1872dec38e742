"""The learner against slow re-derivations, and what must not influence it."""

import numpy as np
import pytest
from mlagents.torch_utils import torch
from mlagents.trainers.buffer import BufferKey
from mlagents.trainers.trajectory import ObsUtil

from flashsac_testing import CONTINUOUS, HYBRID, KINDS, PRESETS, filled, segment, trainer, transitions_of
from mlagents_plugin_flashsac.optimizer import FlashSACOptimizer
from mlagents_plugin_shared.data import ReplayKey
from mlagents_plugin_shared.learning.transitions import Transitions

PLAIN = {"normalization": "none", "n_step": 2, "init_entcoef": 0.3}


def soft_target(made, batch) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """[B, S, N] the target of a batch, and by name what it is made of."""
    optimizer, transitions = made.optimizer, transitions_of(made, batch)
    with torch.no_grad():
        choice = optimizer.actor.choice(transitions.encode_next(optimizer.actor), transitions.next_legal)
        action, log_prob = choice.sample(torch.full_like(choice.mean, 0.5))
        features = optimizer.target.features(transitions.encode_next(optimizer.target), action)
        target = optimizer.soft_target(transitions, features, choice, log_prob)
        parts = {
            "returns": optimizer.target.head(features),
            "log_policy": choice.log_policy,
            "log_prob": log_prob,
            "reward": transitions.reward,
            "discount": transitions.discount,
            "legal": transitions.next_legal,
            "temperatures": optimizer.temperatures(),
        }
    return target.numpy(), {name: value.numpy() for name, value in parts.items()}


def projected(probs: np.ndarray, reward: float, discount: float, support: np.ndarray) -> np.ndarray:
    """Algorithm 1 of Bellemare et al. (2017), atom by atom."""
    result, step = np.zeros(len(support)), support[1] - support[0]
    for j, atom in enumerate(support):
        place = (np.clip(reward + discount * atom, support[0], support[-1]) - support[0]) / step
        low = min(int(np.floor(place + 1e-9)), len(support) - 2)
        result[low] += probs[j] * (low + 1 - place)
        result[low + 1] += probs[j] * (place - low)
    return result


@pytest.mark.parametrize("decoupled", [True, False])
@pytest.mark.parametrize("distribution", ["categorical", "none"])
@pytest.mark.parametrize("kind", KINDS)
def test_target_is_re_derived_in_a_slow_loop(kind: str, distribution: str, decoupled: bool) -> None:
    """r / scale + γ (Z_k + α H), k the critic whose mean over legal actions, and over branches, is less."""
    made = filled(KINDS[kind], distribution=distribution, decoupled_entropy=decoupled, num_atoms=11, **PLAIN)
    target, parts = soft_target(made, made.sample())
    support, scale = np.linspace(-5.0, 5.0, 11), made.optimizer.reward_scale.scale.item()
    branches = [range(3), range(3, 5)] if KINDS[kind].discrete_size else [range(1)]
    for b in range(8):
        values, entropies = [], []
        for branch in branches:
            probs = np.exp(parts["log_policy"][b, branch])
            values.append(
                [
                    sum(p * parts["returns"][k * 8 + b, 0, a] for p, a in zip(probs, branch, strict=True))
                    for k in range(2)
                ]
            )
            entropies.append(-sum(p * np.log(p) for p in probs if p > 0))
        critics = np.mean(values, axis=0)  # [2, N]
        means = critics @ support if distribution == "categorical" else critics[:, 0]
        least = critics[means.argmin()]
        bonus = -parts["temperatures"][0] * parts["log_prob"][b]
        bonus += 0.0 if decoupled else parts["temperatures"][1] * np.mean(entropies)
        reward, discount = parts["reward"][b, 0] / scale, parts["discount"][b, 0]
        expected = (
            projected(least, reward + discount * bonus, discount, support)
            if distribution == "categorical"
            else reward + discount * (bonus + least)
        )
        np.testing.assert_allclose(target[b, 0], expected, rtol=1e-4, atol=1e-5)


def test_terminal_target_is_the_reward_alone() -> None:
    """Whatever critics and entropy say; an interrupted end, the control, has both in its target."""
    made = filled(CONTINUOUS, distribution="none", **PLAIN)
    target, parts = soft_target(made, made.sample())
    over = parts["discount"][:, 0] == 0.0
    alone = parts["reward"][:, 0] / made.optimizer.reward_scale.scale.item()
    np.testing.assert_allclose(target[over, 0, 0], alone[over], rtol=1e-6)
    assert not np.isclose(target[~over, 0, 0], alone[~over]).any()


def test_illegal_actions_do_not_count() -> None:
    """Values of illegal next actions may be anything; those of legal ones, the control, may not."""
    made = filled(KINDS["discrete"], distribution="none", **PLAIN)
    optimizer, transitions = made.optimizer, transitions_of(made, made.sample())
    with torch.no_grad():
        choice = optimizer.actor.choice(transitions.encode_next(optimizer.actor), transitions.next_legal)
        action, log_prob = choice.sample()
        features = optimizer.target.features(transitions.encode_next(optimizer.target), action)
        head, targets = optimizer.target.head, []
        for where in (torch.zeros_like(transitions.next_legal), 1 - transitions.next_legal, transitions.next_legal):
            returns = head(features) + 1e3 * where.repeat(2, 1)[:, None, :, None]
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(type(head), "forward", lambda self, _, returns=returns: returns)
                targets.append(optimizer.soft_target(transitions, features, choice, log_prob))
    torch.testing.assert_close(targets[0], targets[1])
    assert not torch.allclose(targets[0], targets[2])


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_preset_updates_everything(preset: str, kind: str) -> None:
    """Critics, actor and temperatures move; statistics are finite; no step is left out."""
    made = filled(KINDS[kind], preset=preset, actor_update_interval=1, learning_rate=1e-3)
    optimizer = made.optimizer
    trained = {"actor": made.policy.actor, "critics": optimizer.twins, "temperatures": optimizer.temperatures}
    before = {n: [w.clone() for w in m.parameters() if w.requires_grad] for n, m in trained.items()}
    for _ in range(3):
        statistics = optimizer.update(made.sample(), 8)
        assert all(np.isfinite(float(value)) for value in statistics.values())
    for name, module in trained.items():
        after = [weight for weight in module.parameters() if weight.requires_grad]
        assert any(not torch.equal(one, other) for one, other in zip(before[name], after, strict=True)), name
    assert optimizer.guard.skipped == 0


def test_actor_waits_for_its_turn() -> None:
    """Every third update is one of the actor; critics learn at each."""
    made = filled(HYBRID, actor_update_interval=3, weight_normalization=False)
    actor, critic = made.policy.actor.action_model, made.optimizer.twins.head.head.linear
    moved = []
    for _ in range(6):
        before = [p.clone() for p in actor.parameters()], critic.weight.clone()
        made.optimizer.update(made.sample(), 8)
        moved.append(any(not torch.equal(a, b) for a, b in zip(before[0], actor.parameters(), strict=True)))
        assert not torch.equal(critic.weight, before[1])
    assert moved == [False, False, True] * 2


def test_losses_train_their_own_network() -> None:
    """The actor's loss leaves the critics alone, and the target network gets no gradient."""
    made = filled(HYBRID, actor_update_interval=1)
    optimizer = made.optimizer
    before = [p.clone() for p in optimizer.twins.parameters()]
    optimizer.improve_policy(transitions_of(made, made.sample()))
    assert all(torch.equal(a, b) for a, b in zip(before, optimizer.twins.parameters(), strict=True))
    assert all(p.grad is None for p in (*optimizer.target.parameters(), *optimizer.twins.parameters()))


def test_actor_climbs_to_what_the_critics_value() -> None:
    """With fixed critics the value of its actions rises; with a vanishing learning rate, the control, it does not."""
    gains = []
    for rate in (3e-3, 1e-12):
        made = filled(HYBRID, learning_rate=rate, init_entcoef=1e-6, normalization="none", weight_normalization=False)
        optimizer, transitions = made.optimizer, transitions_of(made, made.sample())

        def value(optimizer=optimizer, transitions=transitions) -> float:
            with torch.no_grad():
                choice = optimizer.actor.choice(transitions.encode(optimizer.actor), transitions.legal)
                features = optimizer.twins.features(transitions.encode(optimizer.twins), choice.mean.tanh())
                q = optimizer.twins.head.mean(optimizer.twins.head(features))[:, 0].reshape(2, 8, -1).amin(dim=0)
                return float((choice.log_policy.exp() * q).sum())

        before = value()
        for _ in range(100):
            optimizer.improve_policy(transitions)
        gains.append(value() - before)
    assert gains[0] > 0.1
    assert abs(gains[1]) < 1e-3


def test_weights_are_projected_after_each_step() -> None:
    """Rows of last layers have the norm 1; without weight normalisation, the control, they have not."""
    for projects in (True, False):
        made = filled(HYBRID, weight_normalization=projects)
        made.optimizer.update(made.sample(), 8)
        norms = made.optimizer.twins.head.head.linear.weight.norm(dim=-1)
        assert torch.allclose(norms, torch.ones_like(norms)) is projects


def test_prioritised_replay_is_told_the_errors() -> None:
    """One a transition, the mean over both critics."""
    made = filled(HYBRID, prioritized_replay=True)
    batch = made.sample()
    made.optimizer.update(batch, 8)
    assert batch[ReplayKey.ERROR].shape == (8,)
    assert (batch[ReplayKey.ERROR] > 0).all()


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_what_is_learned_does_not_depend_on_the_size_of_rewards(size: float) -> None:
    """Targets of rewards of any size are those of rewards of size 1; unscaled, the control, they are not."""
    for scaled in (True, False):
        reference, other = (filled(CONTINUOUS, scale=s, reward_scaling=scaled, **PLAIN) for s in (1.0, size))
        targets = [soft_target(made, made.sample())[0] for made in (reference, other)]
        assert np.allclose(*targets, atol=1e-4) is (scaled or size == 1.0)


def test_streams_keep_their_strengths() -> None:
    """A curious stream of small rewards counts little in what the actor climbs to."""
    made = filled(CONTINUOUS, settings={"reward_signals": {"extrinsic": {}, "rnd": {"strength": 1e-4}}})
    weights = made.optimizer.reward_scale.weights
    assert weights[0].item() == 1.0
    assert weights[1].item() < 0.05
    made.optimizer.update(made.sample(), 8)
    assert made.optimizer.guard.skipped == 0


@pytest.mark.parametrize(("ending", "largest"), [("interrupted", 100.0), ("terminated", 9.56)])
def test_returns_fit_the_atoms_where_episodes_are_interrupted(ending: str, largest: float) -> None:
    """1 a step for ever is worth 1 / (1 - 0.99), 10 steps of it 9.56: the last atom, 5, stands for that."""
    made = trainer(CONTINUOUS)
    for i in range(100):
        made.store(segment(CONTINUOUS, 10, seed=i, **{ending: True}), {"extrinsic": np.ones(10, np.float32)})
    seen = made.optimizer.reward_scale._lived.most.item()
    assert seen == pytest.approx(largest, rel=0.01)
    assert made.optimizer.reward_scale.scale.item() * 5.0 >= seen * (1 - 1e-6)


@pytest.mark.parametrize("counts", [False, True])
@pytest.mark.parametrize("preset", ["light", "xqc", "flashsac"])
def test_padding_changes_nothing_that_is_learned(monkeypatch: pytest.MonkeyPatch, preset: str, counts: bool) -> None:
    """With memory, behind the end of short episodes; where statistics count it, the control, it does."""
    if counts:
        monkeypatch.setattr(Transitions, "real", True)
        monkeypatch.setattr(Transitions, "real_rows", True)
    memory = {"hidden_units": 16, "num_layers": 1, "memory": {"memory_size": 8, "sequence_length": 8}}
    learned = []
    for padding in (0.0, 3.0):
        made = trainer(CONTINUOUS, settings={"network_settings": memory}, preset=preset, batch_size=64, n_step=2)
        for i in range(6):
            steps = segment(CONTINUOUS, 4, seed=i, terminated=True)
            steps.columns[BufferKey.MEMORY] = np.zeros((4, 8), np.float32)
            made.store(steps, made.evaluate_rewards(steps.batch()))
        made.update_buffer.generator = np.random.default_rng(0)
        batch = made.sample()
        padded = batch[BufferKey.MASKS] == 0
        assert padded.any()
        for key in (ObsUtil.get_name_at(0), ObsUtil.get_name_at_next(0), BufferKey.CONTINUOUS_ACTION):
            batch[key][padded] += padding
        torch.manual_seed(0)
        made.optimizer.update(batch, 8)
        modules = (made.policy.actor, made.optimizer.twins)
        learned.append([value.clone() for module in modules for value in module.state_dict().values()])
    same = all(torch.allclose(*pair, atol=1e-6) for pair in zip(*learned, strict=True))
    assert same is not counts


def test_masks_of_the_present_state_bind_the_actor() -> None:
    """Where one action of a branch is legal the policy has no entropy there, and its target is 0 too."""
    made = filled(KINDS["discrete"])
    batch = made.sample()
    only_first = np.zeros((8, 5), np.uint8)
    only_first[:, [0, 3]] = 1
    batch[BufferKey.ACTION_MASK] = only_first
    transitions = transitions_of(made, batch)
    choice = made.policy.actor.choice(transitions.encode(made.policy.actor), transitions.legal)
    entropies = choice.entropies(torch.zeros(8))[:, 1]
    torch.testing.assert_close(entropies, torch.zeros(8))
    torch.testing.assert_close(made.optimizer.temperatures.target_entropies(transitions.legal)[:, 1], torch.zeros(8))


def test_values_of_other_reward_signals_are_spoken_of(caplog: pytest.LogCaptureFixture) -> None:
    """They are taken up by their place; those of the same signals, the control, say nothing."""
    saved = made({"extrinsic": {}, "rnd": {}}).state_dict()
    for other in ("rnd", "curiosity"):
        made({other: {}, "extrinsic": {}}).load_state_dict(saved)
        line = "are of the reward_signals extrinsic, rnd, and those of this run are extrinsic, curiosity"
        assert (line in caplog.text) == (other == "curiosity")


@pytest.mark.parametrize("signals", [{"extrinsic": {}}, {"extrinsic": {}, "rnd": {}}])
def test_order_of_signals_that_a_checkpoint_does_not_tell_is_spoken_of(
    caplog: pytest.LogCaptureFixture, signals: dict
) -> None:
    """As of an earlier release, whose files had them in the order of the YAML; one signal, the control, has none."""
    saved = made(signals).state_dict()
    del saved["streams"]
    made(signals).load_state_dict(saved)
    assert ("does not tell the order of its reward_signals" in caplog.text) == (len(signals) > 1)


def made(signals: dict) -> FlashSACOptimizer:
    """An optimizer for these reward signals."""
    return trainer(settings={"reward_signals": signals}).optimizer
