"""The scene PushBlock, in this process."""

import numpy as np
import pytest

from mlagents_player import parameters
from mlagents_player.parameters import EnvironmentParameters
from mlagents_player.scenes.pushblock import EDGE, GOAL_EDGE, PushBlock
from player_testing import InProcess, discrete

NOTHING, AHEAD, BACK, TURN_RIGHT, TURN_LEFT, LEFT, RIGHT = range(7)


def pushing(action: int = AHEAD, block: tuple[float, float] = (0, -2), **options: object) -> InProcess:
    """An agent in the middle that looks at the goal, with the block between."""
    run = InProcess(PushBlock, discrete(action), **options)
    run.scene.agent.position[:] = 0, 2
    run.scene.agent.yaw[:] = 180
    run.scene.block.position[:] = block
    return run


def test_pushblock_goal_gives_five() -> None:
    """The block slides to the goal; 5 minus 1/5000 for each step, in a terminal step of the task's own making."""
    run = pushing()
    while not run.messages or not run.messages[-1][0]:
        run.run(1)
    steps = run.academy._step_count - 1
    total = sum(b.rewards[0] for e, g in run.messages for b in e + g)
    assert total == pytest.approx(5 - steps / 5000, abs=1e-5)
    assert not run.messages[-1][0][0].interrupted[0]
    assert steps < 60


def test_pushblock_agent_pushes_and_never_enters_the_block() -> None:
    """While it pushes, agent and block go at one speed and keep one metre and a half between their middles."""
    run = pushing(block=(0, 0))
    for _ in range(12):
        run.run(1)
        gap = run.scene.agent.position[0, 1] - run.scene.block.position[0, 1]
        assert gap >= 1.5 - 0.02
    assert run.scene.agent.velocity[0, 1] == pytest.approx(run.scene.block.velocity[0, 1], abs=0.3)
    assert run.scene.block.velocity[0, 1] < -1


@pytest.mark.parametrize(
    ("action", "moved"), [(AHEAD, (0, -1)), (BACK, (0, 1)), (LEFT, (0.75, 0)), (RIGHT, (-0.75, 0)), (NOTHING, (0, 0))]
)
def test_pushblock_moves(action: int, moved: tuple[float, float]) -> None:
    """The first step adds 3 m/s, three quarters of it sideways, less drag of 8 percent and friction of 0.147."""
    run = pushing(action, block=(8, 8)).run(1)
    size = np.hypot(*moved) * 3 * 0.92
    expected = np.array(moved) / max(np.hypot(*moved), 1e-9) * max(size - 0.3 * 2.5 * 9.81 * 0.02, 0)
    assert run.scene.agent.velocity[0] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("action", "turned"), [(TURN_RIGHT, 4), (TURN_LEFT, -4)])
def test_pushblock_turns_four_degrees_a_step(action: int, turned: float) -> None:
    """200 degrees a second, clockwise first."""
    assert pushing(action).run(5).scene.agent.yaw[0] == pytest.approx(180 + 5 * turned)


def test_pushblock_timeout() -> None:
    """5000 steps cost 1 in all and are interrupted, and nobody leaves the floor."""
    run = pushing(BACK).run(5001)
    total = sum(b.rewards[0] for e, g in run.messages for b in e + g)
    assert total == pytest.approx(-1, abs=1e-3)
    assert run.messages[-1][0][0].interrupted[0]


def test_pushblock_rays_see_block_goal_and_wall() -> None:
    """The lower rays meet the block at 2.5 m; the upper ones look over it at the goal."""
    upper, lower = (o[0].reshape(3, 7, 5)[-1] for o in pushing().scene.observe("PushBlock", np.array([0])))
    assert lower[0] == pytest.approx([1, 0, 0, 0, (4 - 1 - 0.5) / 12])
    assert upper[0] == pytest.approx([0, 1, 0, 0, (2 - GOAL_EDGE - 0.5) / 12], abs=1e-5)


def test_pushblock_starts_apart() -> None:
    """Over many episodes block and agent start within 6.25 m, off the goal and off each other."""
    scene = InProcess(PushBlock, discrete(NOTHING), areas=200).scene
    apart = np.abs(scene.agent.position - scene.block.position).max(axis=1)
    assert (apart >= 2.5 + 1.0).all()
    for body in (scene.agent, scene.block):
        assert (np.abs(body.position) <= 6.25).all()
        assert (body.position[:, 1] >= GOAL_EDGE + 2.5).all()


def test_pushblock_parameters() -> None:
    """Scale changes the block's sides, drag and friction how far it slides."""
    given = EnvironmentParameters()
    given.set("block_scale", parameters.constant(4))
    assert (InProcess(PushBlock, discrete(AHEAD), parameters=given).scene.block.half == 2).all()
    speeds = []
    for name, value in (("block_drag", 0.5), ("block_drag", 20), ("dynamic_friction", 1)):
        given = EnvironmentParameters()
        given.set(name, parameters.constant(value))
        run = pushing(NOTHING, parameters=given)
        run.scene.reset(np.array([0]))
        run.scene.block.velocity[0] = 5, 0
        run.scene.simulate()
        speeds.append(run.scene.block.velocity[0, 0])
    friction = 2.5 * 9.81 * 0.02
    assert speeds == pytest.approx([5 * 0.99 - 0.3 * friction, 5 * 0.6 - 0.3 * friction, 5 * 0.99 - 0.8 * friction])


def test_pushblock_block_stays_on_the_floor() -> None:
    """Pushed into a corner by force, both stay within the walls."""
    run = pushing(AHEAD, block=(0, 8))
    run.scene.agent.position[:] = 0, 5
    run.scene.agent.yaw[:] = 20
    run.run(100)
    for body in (run.scene.agent, run.scene.block):
        assert (np.abs(body.position) + body.extent <= EDGE + 1e-9).all()
