"""The scene FoodCollector, in this process."""

import numpy as np
import pytest

from mlagents_player import Actions
from mlagents_player.parameters import EnvironmentParameters, constant
from mlagents_player.scenes.food_collector import (
    FIELD,
    FROZEN_TIME,
    SEES_AGENT,
    SEES_BAD_FOOD,
    SEES_FOOD,
    SEES_FROZEN,
    SEES_WALL,
    FoodCollector,
)

FIRST = np.array([0])
FAR = 49.0


def meadow() -> FoodCollector:
    """The first agent in the middle, looking along z; everything else in a corner."""
    scene = FoodCollector(1, np.random.default_rng(0), EnvironmentParameters())
    scene.reset(np.arange(5))
    scene.food[:] = FAR
    scene.position[:] = -FAR
    scene.position[0], scene.yaw[:] = 0, 0
    return scene


def act(scene: FoodCollector, *moves: float, shoot: int = 0) -> None:
    scene.act(FIRST, Actions(np.float32([moves or (0, 0, 0)]), np.int32([[shoot]])))


@pytest.mark.parametrize(("food", "reward"), [(0, 1), (25, -1)])
def test_food_is_eaten_and_appears_elsewhere(food: int, reward: float) -> None:
    """Good food gives 1 and bad food -1; there is as much as before."""
    scene = meadow()
    scene.food[0, food] = 0.5, 0.5
    scene.simulate()
    assert scene.rewards.tolist() == [reward, 0, 0, 0, 0]
    assert np.linalg.norm(scene.food[0, food]) > 1.5
    assert not scene.ended.any()


def test_continuous_moves_are_clipped_and_turn_with_the_agent() -> None:
    """Ahead and to the right at up to 2 m/s a step, less the drag; a positive turn goes left, 6 degrees a step."""
    scene = meadow()
    act(scene, 5.0, -0.5, 1.0)
    scene.simulate()
    assert scene.velocity[0] == pytest.approx([-0.92, 1.84])
    assert scene.yaw[0] == pytest.approx(-6)


@pytest.mark.parametrize(
    ("speed", "shoot", "expected"),
    [
        (4.9, 0, 4.9 + 2),  # below 5 m/s, whatever the push adds
        (6.0, 0, 0.95 * 6 + 2),  # above, the speed before the push is slowed down
        (6.0, 1, 0.75 * 6 + 1),  # the laser brakes it below 5 m/s first, and halves the push
        (8.0, 1, 0.95 * 0.75 * 8 + 1),
    ],
)
def test_push_comes_after_what_changes_the_speed(speed: float, shoot: int, expected: float) -> None:
    """As Unity's forces, which act in the next simulation; until then the agent observes the speed without it."""
    scene = meadow()
    scene.velocity[0] = 0, speed
    act(scene, 1, 0, 0, shoot=shoot)
    push = 2 - shoot
    assert scene.observe("FoodCollector", FIRST)[1][0, 1] == pytest.approx(expected - push)
    scene.simulate()
    assert scene.velocity[0, 1] == pytest.approx(0.92 * expected)


def test_laser_freezes_and_thaws() -> None:
    """Who is 20 m ahead is frozen for 4 s and cannot move; who is behind is not."""
    scene = meadow()
    scene.position[1:3] = [[0, 20], [0, -5]]
    act(scene, shoot=1)
    assert (scene.frozen > 0).tolist() == [False, True, False, False, False]
    assert scene.shoots.tolist() == [True, False, False, False, False]
    moved = Actions(np.float32([[1, 0, 0]]), np.int32([[0]]))
    scene.act(np.array([1]), moved)
    assert not scene.push[1].any()
    for _ in range(200):
        scene.act(np.array([1]), moved)
    assert scene.push[1].any()


@pytest.mark.parametrize(
    ("place", "is_frozen"),
    [((0, 27.4), True), ((0, 27.6), False), ((2.4, 10), True), ((2.6, 10), False), ((0, 2.4), False)],
)
def test_laser_reaches_as_far_as_its_ball(place: tuple[float, float], is_frozen: bool) -> None:
    """A ball of 2 m flies 25 m and meets the face of a cube half a metre before its middle, but not at the start."""
    scene = meadow()
    scene.position[1] = place
    act(scene, shoot=1)
    assert (scene.frozen[1] > 0) == is_frozen


def test_laser_stops_at_what_it_meets_first() -> None:
    """An agent, one that is frozen already and whose time is not renewed, food, or the wall, is all that it meets."""
    scene = meadow()
    scene.position[1:3] = [[0, 10], [0, 20]]
    act(scene, shoot=1)
    assert (scene.frozen > 0).tolist() == [False, True, False, False, False]
    scene.frozen[1] = 1.0
    act(scene, shoot=1)
    assert scene.frozen.tolist() == [0, 1.0, 0, 0, 0]
    scene.position[1], scene.food[0, 30] = -FAR, (0, 12)
    act(scene, shoot=1)
    assert scene.frozen[2] == 0
    scene.food[0, 30] = FAR
    act(scene, shoot=1)
    assert scene.frozen[2] == FROZEN_TIME
    scene.frozen[:], scene.position[0], scene.position[2] = 0, (0, FIELD - 5), (0, FIELD + 5)
    act(scene, shoot=1)
    assert scene.frozen[2] == 0


def test_laser_length_is_only_drawn() -> None:
    """A short or a long one freezes at the same distances."""
    for length in (0.2, 7.0):
        scene = meadow()
        scene.parameters.set("laser_length", constant(length))
        scene.reset(np.arange(5))
        scene.food[:], scene.position[:], scene.yaw[:] = FAR, -FAR, 0
        scene.position[:3] = [[0, 0], [0, 20], [20, 40]]
        act(scene, shoot=1)
        assert (scene.frozen > 0).tolist() == [False, True, False, False, False]


def test_grid_shows_what_is_around() -> None:
    """Ahead is up and right is right, after any turn; each kind has its own channel."""
    scene = meadow()
    scene.food[0, 0], scene.food[0, 25] = (0.5, 10.5), (5.5, 0.5)
    scene.position[1:3] = [[-3.5, -7.5], [0.5, 3.5]]
    scene.frozen[2] = 1
    for yaw in (0, 90):
        scene.yaw[0] = yaw
        if yaw == 90:  # turn the world with the agent
            for things in (scene.food, scene.position):
                things[..., :] = np.stack([things[..., 1], -things[..., 0]], axis=-1)
        grid, _ = scene.observe("FoodCollector", FIRST)
        places = {SEES_FOOD: (9, 20), SEES_BAD_FOOD: (19, 25), SEES_AGENT: (27, 16), SEES_FROZEN: (16, 20)}
        for kind, (row, column) in places.items():
            assert grid[0, kind, row, column] == 255
        assert grid[0, SEES_FOOD].sum() == 255
        assert not grid[0, SEES_WALL].any()


def test_grid_shows_walls() -> None:
    """What lies beyond the field, here 10 m ahead."""
    scene = meadow()
    scene.position[0] = 0, FIELD - 10
    wall = scene.observe("FoodCollector", FIRST)[0][0, SEES_WALL]
    assert wall[:10].all()
    assert not wall[10:].any()


def test_vector_holds_local_speed_and_flags() -> None:
    """Speed to the right and ahead, frozen, shooting."""
    scene = meadow()
    scene.yaw[0], scene.velocity[0] = 90, (3, -1)
    scene.frozen[0] = 1
    assert scene.observe("FoodCollector", FIRST)[1][0] == pytest.approx([1, 3, 1, 0])
