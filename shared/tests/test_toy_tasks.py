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
