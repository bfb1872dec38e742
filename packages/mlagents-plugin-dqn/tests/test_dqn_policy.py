"""Acting: masks, branches, one draw an agent, memory, and the exploration schedule."""

import numpy as np
import pytest
from mlagents.torch_utils import torch
from mlagents.trainers.exception import TrainerConfigError

from dqn_testing import behavior_spec, decision_steps, random_legal, trainer
from mlagents_plugin_shared.testing import TEAM

OFFSETS = np.array([0, 3])


def is_legal(actions: np.ndarray, legal: np.ndarray) -> np.ndarray:
    """[B, D] whether each action is legal."""
    return np.take_along_axis(legal, actions + OFFSETS, axis=1)


def act(dqn, steps) -> np.ndarray:
    """[B, D] actions."""
    return dqn.policy.get_action(steps).env_action.discrete


@pytest.mark.parametrize("epsilon", [0.0, 0.5, 1.0])
def test_policy_never_chooses_a_masked_action(epsilon: float) -> None:
    """Greedy or random, every action of 5,000 masked decisions is legal."""
    dqn = trainer(exploration_schedule="constant", exploration_initial_eps=epsilon)
    legal = random_legal(5000)
    assert is_legal(act(dqn, decision_steps(dqn.policy.behavior_spec, 5000, legal)), legal).all()


def test_policy_would_choose_masked_actions_without_the_mask() -> None:
    """The control: with the mask left out the same decisions hold illegal actions."""
    dqn = trainer(exploration_schedule="constant", exploration_initial_eps=0.0)
    assert not is_legal(act(dqn, decision_steps(dqn.policy.behavior_spec, 5000)), random_legal(5000)).all()


@pytest.mark.parametrize("count", [1, 12, 100])
def test_policy_acts_for_every_agent_and_branch(count: int) -> None:
    """[agents, branches], with two sensors: the shape does not depend on their number."""
    dqn = trainer(
        behavior_spec((3, 3, 3, 2), ((4,), (3,))),
        exploration_schedule="constant",
        exploration_initial_eps=1.0,
    )
    actions = act(dqn, decision_steps(dqn.policy.behavior_spec, count))
    assert actions.shape == (count, 4)
    assert actions.dtype == np.int32


def test_policy_draws_epsilon_for_each_agent() -> None:
    """At epsilon ½ some agents explore and some do not: 1 - ½·5/6 = 58 % of 4,000 act greedily."""
    dqn = trainer(exploration_schedule="constant", exploration_initial_eps=0.5)
    steps = decision_steps(dqn.policy.behavior_spec, 4000)
    explored = act(dqn, steps)
    dqn.policy.epsilon = lambda step: 0.0
    share = (explored == act(dqn, steps)).all(axis=1).mean()
    assert share == pytest.approx(1 - 0.5 * 5 / 6, abs=0.03)


REPEATING = {"exploration_repeat": 16, "exploration_schedule": "constant"}


def play(dqn, decisions: int, count: int = 300, legal: np.ndarray | None = None) -> np.ndarray:
    """[decisions, count, D] actions of the same agents in one state, whose greedy action is one and the same."""
    steps = decision_steps(dqn.policy.behavior_spec, count, legal)
    return np.stack([act(dqn, steps) for _ in range(decisions)])


def test_random_actions_are_repeated() -> None:
    """At epsilon 1 the next action differs once a length of mean 2.13 is over, and then in 5 of 6: 39 %, not 83 %."""
    actions = play(trainer(exploration_initial_eps=1.0, **REPEATING), 60)
    lengths = 1 / np.arange(1, 17)
    mean = lengths.sum() / (lengths**2).sum()
    changed = (actions[1:] != actions[:-1]).any(axis=2).mean()
    assert changed == pytest.approx(5 / 6 / mean, abs=0.02)
    single = play(trainer(exploration_initial_eps=1.0, exploration_schedule="constant"), 60)
    assert (single[1:] != single[:-1]).any(axis=2).mean() == pytest.approx(5 / 6, abs=0.02)


def test_epsilon_is_the_probability_to_start_to_repeat() -> None:
    """Of decisions that nothing is repeated at, a tenth start: εm / (1 - ε + εm) of all are random, with m = 2.13."""
    dqn = trainer(exploration_initial_eps=0.1, **REPEATING)
    actions = play(dqn, 200)
    dqn.policy.epsilon = lambda step: 0.0
    greedy = play(dqn, 20)[-1]
    lengths = 1 / np.arange(1, 17)
    mean = lengths.sum() / (lengths**2).sum()
    random = (actions != greedy).any(axis=2).mean() * 6 / 5  # a random action is the greedy one in 1 of 6
    assert random == pytest.approx(0.1 * mean / (0.9 + 0.1 * mean), abs=0.02)


def test_repeated_action_that_becomes_illegal_ends() -> None:
    """The agent then draws anew, and where it is not to explore acts greedily from there on."""
    dqn = trainer(exploration_initial_eps=1.0, **REPEATING)
    play(dqn, 1)
    dqn.policy.agents["repeats_left"][:] = 1000
    before = play(dqn, 2)
    np.testing.assert_array_equal(before[0], before[1])
    dqn.policy.epsilon = lambda step: 0.0
    legal = np.array([[True, True, False, True, True]]).repeat(300, axis=0)
    stopped = before[0][:, 0] == 2
    assert 0 < stopped.sum() < 300
    during, after = play(dqn, 1, legal=legal)[0], play(dqn, 1)[0]
    assert is_legal(during, legal).all()
    for actions in (during, after):
        np.testing.assert_array_equal(actions[~stopped], before[0][~stopped])
    assert (dqn.policy.agents["repeats_left"] > 0).numpy().sum() == (~stopped).sum()


def test_repetition_ends_with_the_episode() -> None:
    """A new episode explores anew."""
    dqn = trainer(exploration_initial_eps=1.0, **REPEATING)
    play(dqn, 1)
    dqn.policy.agents["repeats_left"][:] = 1000
    dqn.policy.remove_memories(dqn.policy.agents.state_dict()["agents"])
    play(dqn, 1)
    assert dqn.policy.agents["repeats_left"].max() < 16


def test_who_does_not_explore_repeats_nothing() -> None:
    """`--deterministic` and `--inference` act greedily."""
    settings = {"network_settings": {"hidden_units": 16, "deterministic": True}}
    assert trainer(settings=settings, exploration_repeat=16).policy.repetition is None
    assert trainer().policy.repetition is None


def test_epsilon_falls_over_its_own_steps() -> None:
    """From 0.8 to 0.05 over exploration_steps, wherever max_steps and 20,000 lie."""
    dqn = trainer(exploration_initial_eps=0.8, exploration_final_eps=0.05, exploration_steps=100_000)
    values = [dqn.policy.epsilon(step) for step in (0, 20_000, 50_000, 100_000, 400_000)]
    assert values == pytest.approx([0.8, 0.65, 0.425, 0.05, 0.05])


def test_epsilon_falls_over_a_fifth_of_the_run_by_default() -> None:
    """max_steps 1,000: half-way at 100, at the end from 200 on."""
    dqn = trainer(settings={"max_steps": 1000}, exploration_initial_eps=1.0, exploration_final_eps=0.0)
    assert [dqn.policy.epsilon(step) for step in (0, 100, 200, 900)] == pytest.approx([1.0, 0.5, 0.0, 0.0])


def test_deterministic_policy_does_not_explore() -> None:
    """--deterministic and --inference act greedily."""
    settings = {"network_settings": {"hidden_units": 16, "deterministic": True}}
    assert trainer(settings=settings, exploration_initial_eps=1.0).policy.epsilon(0) == 0.0


def test_policy_carries_memory() -> None:
    """The state after one decision is stored and changes the next one."""
    memory = {"network_settings": {"hidden_units": 16, "memory": {"memory_size": 8, "sequence_length": 4}}}
    dqn = trainer(settings=memory)
    steps = decision_steps(dqn.policy.behavior_spec, 3)
    run_out = dqn.policy.evaluate(steps, ["a", "b", "c"])
    assert run_out["memory_out"].shape == (3, 8)
    assert np.abs(run_out["memory_out"]).max() > 0
    dqn.policy.save_memories(["a", "b", "c"], run_out["memory_out"])
    again = dqn.policy.evaluate(steps, ["a", "b", "c"])["memory_out"]
    assert not np.allclose(again, run_out["memory_out"])


def test_weights_carry_the_exploration_step() -> None:
    """Self-play acts with copies of the policy; they explore as much as the learner at that step."""
    dqn = trainer(exploration_steps=100, exploration_initial_eps=1.0, exploration_final_eps=0.0)
    copy = dqn.create_policy(TEAM, dqn.policy.behavior_spec)
    dqn.policy.increment_step(50)
    copy.load_weights(dqn.policy.get_weights())
    assert copy.epsilon(copy.get_current_step()) == pytest.approx(0.5)
    for mine, other in zip(copy.actor.state_dict().values(), dqn.policy.actor.state_dict().values(), strict=True):
        torch.testing.assert_close(mine, other)


@pytest.mark.parametrize("branches", [(), (3,)])
def test_continuous_actions_are_refused(branches: tuple) -> None:
    """Continuous and hybrid behaviours get one line that names the behaviour and what to use."""
    with pytest.raises(TrainerConfigError, match=r"Behavior Toy has 2 continuous actions.*use trainer_type"):
        trainer(behavior_spec(branches, continuous=2))
