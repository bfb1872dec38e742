"""The scene Basic, in this process."""

import numpy as np
import pytest

from mlagents_player.scenes.basic import Basic
from player_testing import InProcess, discrete

STAY, LEFT, RIGHT = 0, 1, 2


def test_basic_optimal_return() -> None:
    """Seven moves right: 7 x -0.01 + 1 = 0.93, in a terminal step that comes alone."""
    run = InProcess(Basic, discrete(RIGHT)).run(8)
    rewards = [batch.rewards[0] for ended, going in run.messages for batch in ended + going]
    assert sum(rewards) == pytest.approx(0.93)
    ended, going = run.messages[-1]
    assert len(ended) == 1
    assert not going
    assert ended[0].rewards[0] == pytest.approx(0.99)
    assert ended[0].observations[0].argmax() == 17


def test_basic_small_goal_return() -> None:
    """Three moves left: 3 x -0.01 + 0.1 = 0.07."""
    run = InProcess(Basic, discrete(LEFT)).run(4)
    assert sum(b.rewards[0] for e, g in run.messages for b in e + g) == pytest.approx(0.07)
    assert len(run.messages[-1][0]) == 1


def test_basic_staying_costs_and_never_ends() -> None:
    """Without a step limit an agent that stays pays 0.01 a decision for ever."""
    run = InProcess(Basic, discrete(STAY)).run(500)
    assert not any(ended for ended, _ in run.messages)
    assert sum(going[0].rewards[0] for _, going in run.messages) == pytest.approx(-4.99, abs=1e-3)


def test_basic_agent_gets_a_new_id_each_episode() -> None:
    """The scene reloads: the terminal has the old id, the next message a decision with a new one."""
    run = InProcess(Basic, discrete(RIGHT)).run(30)
    terminal = next(k for k, (ended, _) in enumerate(run.messages) if ended)
    old, new = run.messages[terminal][0][0].ids[0], run.messages[terminal + 1][1][0].ids[0]
    assert old == run.messages[0][1][0].ids[0]
    assert new != old
    assert run.messages[terminal + 1][1][0].rewards[0] == 0
    assert run.messages[terminal + 1][1][0].observations[0].argmax() == 10


def test_basic_areas_are_independent_agents() -> None:
    """With three areas each agent moves by its own action."""

    def policy(infos):
        actions = discrete(STAY)(infos)
        actions.discrete[:, 0] = [STAY, LEFT, RIGHT][: len(infos.ids)]
        return actions

    run = InProcess(Basic, policy, areas=3).run(2)
    assert np.array_equal(run.messages[1][1][0].observations[0].argmax(axis=1), [10, 9, 11])
