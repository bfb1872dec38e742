"""The toy tasks against what their docstrings promise, without a trainer."""

import numpy as np
import pytest
from mlagents_envs.base_env import ActionSpec, ActionTuple, BehaviorSpec, DecisionSteps

from mlagents_plugin_shared.testing import (
    SENSORS,
    Corridor,
    Crowd,
    Goal,
    MaskedGrid,
    Match,
    MemoryChain,
    Mirror,
    Picture,
    Recall,
    ToyEnv,
    illegal_choices,
    masked_decisions,
    model_inputs,
)

NAME = "Toy?team=0"


def play(env: ToyEnv, choose, steps: int = 300) -> float:
    """Mean return of the episodes of some steps."""
    env.reset()
    for _ in range(steps):
        decisions, _ = env.get_steps(NAME)
        actions = choose(decisions).astype(np.int32)
        env.set_actions(NAME, ActionTuple(np.zeros((len(decisions), 0), np.float32), actions))
        env.step()
    return float(np.mean(env.returns))


def choose_at_random(decisions: DecisionSteps, rng: np.random.Generator | None = None) -> np.ndarray:
    """[B, D] legal actions."""
    rng = rng or np.random.default_rng()
    draws = [np.where(mask, -1.0, rng.random(mask.shape)) for mask in decisions.action_mask]
    return np.stack([draw.argmax(axis=1) for draw in draws], axis=1)


@pytest.mark.parametrize(
    ("env", "chance"),
    [
        (Corridor(100), -0.6),
        (MaskedGrid(100), -0.8),
        (Match(100), 7 / 18),
        (Match(100, branches=(3, 3, 3, 2)), 3 / 8),
        (Recall(100), 0.0),
        (MemoryChain(1000, length=20), 0.0),
        (Picture(100, size=6), 1 / 3),
        (Crowd(100), 1 / 2),
        (Goal(100), 1 / 3),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, ToyEnv) else "",
)
def test_chance_gets_what_the_task_says(env: ToyEnv, chance: float) -> None:
    """Random legal actions: the return in the docstring, and nothing illegal."""
    rng = np.random.default_rng(0)
    assert play(env, lambda decisions: choose_at_random(decisions, rng)) == pytest.approx(chance, abs=0.05)
    assert env.illegal_actions == 0


def solve_grid(decisions: DecisionSteps) -> np.ndarray:
    """Right or down, whichever is legal."""
    return np.where(decisions.action_mask[0][:, 1:2], 3, 1)


def test_masked_grid_is_solved_by_its_masks_only() -> None:
    """Six steps to the goal, 1 - 6 · 0.05 = 0.7; with the masks kept back the same choice falls."""
    assert play(MaskedGrid(50), solve_grid) == pytest.approx(0.7)
    env = MaskedGrid(50, hides_masks=True)
    assert play(env, solve_grid) < -0.2
    assert env.illegal_actions > 0


@pytest.mark.parametrize(
    ("env", "solve"),
    [
        (Picture(50, size=6), lambda obs: obs[0][:, 0].reshape(-1, 6, 3, 2).mean(axis=(1, 3)).argmax(axis=1)),
        (Crowd(50), lambda obs: (obs[0][:, :, 1:2] * obs[0][:, :, 2:]).sum(axis=1).argmax(axis=1)),
        (Goal(50), lambda obs: (obs[0].argmax(axis=1) + obs[1].argmax(axis=1)) % 3),
    ],
    ids=["Picture", "Crowd", "Goal"],
)
def test_task_is_solved_by_what_it_shows(env: ToyEnv, solve) -> None:
    """The answer is in the observations: return 1."""
    assert play(env, lambda decisions: solve(decisions.obs)[:, None], steps=20) > 0.98


def say(env: Mirror, choose, steps: int = 30) -> float:
    """Mean return; `choose` gives [B] numbers and [B] choices for [B] numbers that are shown."""
    env.reset()
    for _ in range(steps):
        numbers, choices = choose(env.get_steps(NAME)[0].obs[0][:, 0])
        env.set_actions(NAME, ActionTuple(numbers[:, None], choices[:, None].astype(np.int32)))
        env.step()
    return float(np.mean(env.returns))


def test_mirror_is_solved_where_both_actions_fit() -> None:
    """Either way: 1; chance 0.31; each action of the other way, 1 - 2|t|, with |t| 0.6 in the mean."""
    rng = np.random.default_rng(0)
    zeros, ones = lambda t: np.zeros(len(t), int), lambda t: np.ones(len(t), int)
    assert say(Mirror(100), lambda t: (t, zeros(t))) == pytest.approx(1.0)
    assert say(Mirror(100), lambda t: (-t, ones(t))) == pytest.approx(1.0)
    assert say(Mirror(100), lambda t: (t, ones(t))) == pytest.approx(-0.2, abs=0.02)
    chance = say(Mirror(100), lambda t: (rng.uniform(-1, 1, len(t)), rng.integers(0, 2, len(t))))
    assert chance == pytest.approx(0.31, abs=0.03)


def test_mirror_is_not_solved_by_a_critic_of_each_action() -> None:
    """Critics of one action, the mean over the other: the choice makes no difference, and 0.4 is the best number's.

    The control, a critic of both, is greedy at 1.
    """
    target, number, choice = np.meshgrid([-0.8, -0.6, -0.4, 0.4, 0.6, 0.8], np.linspace(-1, 1, 21), [0, 1])
    env = Mirror(target.size)
    env.target = target.ravel()
    rewards, _, _ = env.act(ActionTuple(number.reshape(-1, 1), choice.reshape(-1, 1)))
    rewards = rewards.reshape(target.shape)  # [numbers, targets, choices]
    of_choice, of_number = rewards.mean(axis=0), rewards.mean(axis=2)
    np.testing.assert_allclose(of_choice[:, 0], of_choice[:, 1])
    best = np.isclose(of_number, of_number.max(axis=0))
    means = [rewards[best[:, t], t].mean() for t in range(6)]
    assert np.mean(means) == pytest.approx(0.4)
    assert rewards.max(axis=(0, 2)) == pytest.approx(np.ones(6))


def test_mirror_kept_apart_is_solved_by_nobody() -> None:
    """0.4 however the number is said, within its noise."""
    for say_it in (lambda t: t, lambda t: 0 * t, lambda t: t / 2):
        score = say(Mirror(200, apart=True), lambda t, say_it=say_it: (say_it(t), np.zeros(len(t), int)))
        assert score == pytest.approx(0.4, abs=0.04)


@pytest.mark.parametrize("length", [1, 20, 100])
def test_memory_chain_is_solved_by_who_remembers_its_first_step(length: int) -> None:
    """Return 1 after so many steps; the sign is seen in the first one only, and the last one says that it counts."""
    env = MemoryChain(50, length=length)
    env.reset()
    sign = np.zeros(50, int)
    for step in range(2 * length):
        seen = env.get_steps(NAME)[0].obs[0]
        first, last = step % length == 0, step % length == length - 1
        assert seen[:, :2].any() == first
        assert (seen[:, 2] == last).all()
        assert seen[:, 3] == pytest.approx(1 - step % length / length)
        sign = seen[:, :2].argmax(axis=1) if first else sign
        assert len(env.returns) == 50 * (step // length)
        env.set_actions(NAME, ActionTuple(discrete=sign[:, None].astype(np.int32)))
        env.step()
    assert env.returns == [1.0] * 100


def test_rewards_are_scaled_and_returns_are_not() -> None:
    """The trainer is told a thousandth, or a thousandfold."""
    told = []
    for scale in (1.0, 1e-3, 1e3):
        env = Corridor(20, reward_scale=scale)
        play(env, lambda decisions: np.full((len(decisions), 1), 2), steps=6)
        told.append(np.concatenate([steps.reward for steps in env.get_steps(NAME)]) / scale)
        assert np.mean(env.returns) == pytest.approx(0.8, abs=0.05)
    assert told[0].any()
    for other in told[1:]:
        np.testing.assert_allclose(other, told[0], rtol=1e-5)


def test_blank_sensor_shows_zeros() -> None:
    """Also in the last step of an episode; the other sensors stay."""
    env = Goal(20, blank=[1])
    play(env, choose_at_random, steps=1)
    for steps in env.get_steps(NAME):
        assert steps.obs[0].any()
        assert not steps.obs[1].any()


def test_masked_decisions_leave_one_action_or_more_in_every_branch() -> None:
    """Any number from one to all is left, about as often; whoever keeps to the masks breaks none."""
    spec = Match(branches=(3, 3, 3, 2)).behavior_specs[NAME]
    steps = masked_decisions(spec, 6000, np.random.default_rng(0), scale=1e3)
    for mask, size in zip(steps.action_mask, (3, 3, 3, 2), strict=True):
        counts = np.bincount((~mask).sum(axis=1), minlength=size + 1)
        np.testing.assert_allclose(counts / 6000, [0, *[1 / size] * size], atol=0.03)
    assert illegal_choices(steps, choose_at_random(steps)) == 0
    assert np.std(steps.obs[0]) == pytest.approx(1e3, rel=0.02)


def test_masked_decisions_leave_out_entities_but_the_first() -> None:
    """Rows of missing entities are zero and stand behind the others; without discrete actions there is no mask."""
    spec = BehaviorSpec(SENSORS["entities"], ActionSpec(2, ()))
    steps = masked_decisions(spec, 1000, np.random.default_rng(0))
    there = steps.obs[0].any(axis=2)
    np.testing.assert_allclose(there.mean(axis=0), [1.0, 0.8, 0.6, 0.4, 0.2], atol=0.05)
    assert (there[:, :-1] >= there[:, 1:]).all()
    assert steps.obs[1].all()
    assert steps.action_mask is None
    assert set(model_inputs(steps)) == {"obs_0", "obs_1"}


def test_illegal_choices_are_counted() -> None:
    """Always the first action: as many are illegal as masks forbid it."""
    spec = Match().behavior_specs[NAME]
    steps = masked_decisions(spec, 100, np.random.default_rng(0))
    inputs = model_inputs(steps)
    forbidden = (inputs["action_masks"][:, [0, 3, 6]] == 0).sum()
    assert illegal_choices(steps, np.zeros((100, 3), int)) == forbidden > 0
    assert inputs["action_masks"].dtype == np.float32
