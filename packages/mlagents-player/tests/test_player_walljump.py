"""The scene WallJump, in this process."""

from collections.abc import Callable

import numpy as np
import pytest

from mlagents_player import Actions, parameters
from mlagents_player.parameters import EnvironmentParameters
from mlagents_player.scenes.walljump import BIG, SMALL, WallJump

ONE = np.array([0])
FAR_WALL = -1.98 + 0.75
WAIT, RUN, JUMP, RUN_AND_JUMP = (0, 0, 0, 0), (1, 0, 0, 0), (0, 0, 0, 1), (1, 0, 0, 1)


def scene_with(wall: float, block: tuple[float, float] = (-8, -9), yaw: float = 0.0) -> WallJump:
    """An agent at its start that looks at the wall, of a height above the floor's middle as Unity counts it."""
    scene = WallJump(1, np.random.default_rng(0), EnvironmentParameters())
    scene.reset(ONE)
    scene.wall_top[:] = wall / 2
    scene.agent.position[:], scene.agent.yaw[:] = (0, -12), yaw
    scene.block.position[:] = block
    return scene


def play(scene: WallJump, action: Callable[[int], tuple[int, ...]], steps: int) -> np.ndarray:
    """[steps, 3] z and height of the agent and z of the block, until the end of the episode."""
    seen = []
    for step in range(steps):
        scene.act(ONE, Actions(np.zeros((1, 0), np.float32), np.int32([action(step)])))
        if not scene.ended[0]:
            scene.simulate()
        seen.append([scene.agent.position[0, 1], scene.height[0], scene.block.position[0, 1]])
        if scene.ended[0]:
            break
    return np.array(seen)


def test_walljump_agent_lands_and_stands() -> None:
    """It falls from 1 to the height of the floor and half of itself, 0.95."""
    assert play(scene_with(8), lambda _: WAIT, 20)[-1, 1] == pytest.approx(0.95, abs=0.02)


def test_walljump_jump_rises_below_its_target() -> None:
    """0.2 s of pull towards 2.75 m end just below it, and the fall takes as long again."""
    heights = play(scene_with(8), lambda step: JUMP if step == 5 else WAIT, 40)[:, 1]
    assert 2.4 < heights.max() - 0.95 < 2.75
    assert heights[-1] == pytest.approx(0.95, abs=0.02)


def test_walljump_push_comes_on_top_of_the_jump() -> None:
    """The jump pulls by 10 m/s towards a point 1 m ahead and 2.75 m up; then the push adds 3 m/s ahead."""
    scene = scene_with(0)
    play(scene, lambda _: WAIT, 50)
    scene.agent.velocity[:] = scene.climb[:] = 0
    scene.act(ONE, Actions(np.zeros((1, 0), np.float32), np.int32([RUN_AND_JUMP])))
    pull = 10 / np.hypot(1, 2.75)
    assert scene.agent.velocity[0] == pytest.approx([0, pull + 3])
    assert scene.climb[0] == pytest.approx(2.75 * pull)


def test_walljump_small_wall_can_be_jumped_over() -> None:
    """A wall of 4 reaches 2 m; who runs and jumps comes over it."""
    assert play(scene_with(4), lambda _: RUN_AND_JUMP, 90)[:, 0].max() > FAR_WALL


def test_walljump_big_wall_needs_the_block() -> None:
    """A wall of 8 reaches 4 m: too high from the floor, low enough from the block before it."""
    assert play(scene_with(8), lambda _: RUN_AND_JUMP, 200)[:, 0].max() < -2.7
    with_block = play(scene_with(8, block=(0, -4.3)), lambda step: RUN_AND_JUMP if step > 20 else RUN, 200)
    assert with_block[:, 0].max() > FAR_WALL


def test_walljump_block_is_pushed_up_to_the_wall() -> None:
    """Its middle stops half of itself before the wall."""
    assert play(scene_with(8, block=(0, -8)), lambda _: RUN, 60)[-1, 2] == pytest.approx(-2.73 - 1.5, abs=0.05)


def test_walljump_goal_and_time() -> None:
    """Standing on the goal sets the reward to 1; before, each step costs 0.0005."""
    scene = scene_with(0)
    play(scene, lambda _: WAIT, 10)
    assert scene.rewards[0] == pytest.approx(-0.005)
    scene.agent.position[:] = 6.37, 2.93
    play(scene, lambda _: WAIT, 1)
    assert scene.ended[0]
    assert scene.rewards[0] == 1


def test_walljump_jumping_through_the_goal_does_not_count() -> None:
    """The goal wants an agent that stands."""
    scene = scene_with(0)
    scene.agent.position[:], scene.height[:] = (6.37, 2.93), 4.0
    play(scene, lambda _: WAIT, 1)
    assert not scene.ended[0]


@pytest.mark.parametrize("who", ["agent", "block"])
def test_walljump_falling_off_loses(who: str) -> None:
    """Who is no longer above the floor, or has pushed the block off it, gets -1."""
    scene = scene_with(0)
    getattr(scene, who).position[:] = 0, -15.1
    play(scene, lambda _: WAIT, 1)
    assert scene.ended[0]
    assert scene.rewards[0] == -1


def test_walljump_behaviors_follow_the_wall() -> None:
    """No wall and small walls are SmallWallJump, two times in five; big ones BigWallJump."""
    scene = WallJump(1000, np.random.default_rng(0), EnvironmentParameters())
    scene.reset(np.arange(1000))
    assert set(scene.wall_top[scene.behavior_index == SMALL]) == {0, 2}
    assert set(scene.wall_top[scene.behavior_index == BIG]) == {4}
    assert np.mean(scene.behavior_index == BIG) == pytest.approx(0.6, abs=0.05)


def test_walljump_parameters() -> None:
    """Heights of the three walls."""
    given = EnvironmentParameters()
    for name, height in (("no", 1), ("small", 3), ("big", 6)):
        given.set(f"{name}_wall_height", parameters.constant(height))
    scene = WallJump(100, np.random.default_rng(0), given)
    scene.reset(np.arange(100))
    assert set(scene.wall_top) == {0.5, 1.5, 3}


def test_walljump_observations() -> None:
    """Place in twentieths from the floor's middle and whether it stands; the upper rays look over the block."""
    scene = scene_with(8, block=(0, -8))
    play(scene, lambda _: WAIT, 10)
    upper, lower, vector = scene.observe("BigWallJump", ONE)
    assert vector[0, -4:] == pytest.approx([0, 0.95 / 20, -8 / 20, 1], abs=1e-3)
    assert lower[0].reshape(6, 7, 5)[-1, 0] == pytest.approx([0, 0, 1, 0, (4 - 1.5 - 0.5) / 20])
    assert upper[0].reshape(6, 7, 5)[-1, 0] == pytest.approx([0, 0, 0, 1, 1])  # from afar it passes above the wall
    scene.agent.position[:] = 0, -10.5
    assert scene.observe("BigWallJump", ONE)[0][0].reshape(6, 7, 5)[-1, 0, 0] == 1
