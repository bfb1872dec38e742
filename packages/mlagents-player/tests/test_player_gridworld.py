"""The scene GridWorld, in this process."""

import numpy as np
import pytest

from mlagents_player import parameters
from mlagents_player.parameters import EnvironmentParameters
from mlagents_player.scenes.gridworld import BLUE, COLORS, EX, FLOOR, GREEN, OUTSIDE, PLUS, RED, GridWorld
from player_testing import InProcess, discrete

STAY, UP, DOWN, LEFT, RIGHT = range(5)


def grid(action: int, wanted: int = PLUS) -> InProcess:
    """An agent at (2, 2) of 5 x 5 with the plus two cells above it and the ex two cells below."""
    run = InProcess(GridWorld, discrete(action))
    run.scene.cells[0] = FLOOR
    run.scene.cells[0, 2, 4], run.scene.cells[0, 2, 0] = GREEN, RED
    run.scene.position[0] = 2, 2
    run.scene.wanted[0] = wanted
    return run


@pytest.mark.parametrize(("action", "wanted", "last"), [(UP, PLUS, 1), (UP, EX, -1), (DOWN, PLUS, -1), (DOWN, EX, 1)])
def test_gridworld_goals(action: int, wanted: int, last: float) -> None:
    """A step costs 0.01, and the one on a goal gives 1 or -1 in place of its cost."""
    run = grid(action, wanted).run(3)
    assert run.messages[1][1][0].rewards[0] == pytest.approx(-0.01)
    (terminal,), _ = run.messages[2]
    assert terminal.rewards[0] == last
    assert not terminal.interrupted[0]


def test_gridworld_timeout_is_minus_one() -> None:
    """100 steps without a goal cost 1 in all and are interrupted."""
    run = grid(STAY).run(101)
    assert sum(b.rewards[0] for e, g in run.messages for b in e + g) == pytest.approx(-1, abs=1e-5)
    assert run.messages[-1][0][0].interrupted[0]


@pytest.mark.parametrize(
    ("position", "masked"),
    [((0, 2), {LEFT}), ((4, 2), {RIGHT}), ((2, 0), {DOWN}), ((2, 4), {UP}), ((0, 0), {LEFT, DOWN}), ((2, 2), set())],
)
def test_gridworld_masks_moves_off_the_grid(position: tuple[int, int], masked: set[int]) -> None:
    """Exactly the moves over the edge are forbidden, and staying never is."""
    run = grid(STAY)
    run.scene.position[0] = position
    mask = run.scene.action_mask("GridWorld", np.array([0]))[0]
    assert set(np.flatnonzero(mask)) == masked


def test_gridworld_picture_shows_cells() -> None:
    """A plus and an ex are seen in the middle of their cells, the agent on the edge of its own; up is z."""
    run = grid(STAY)
    image, goal = run.scene.observe("GridWorld", np.array([0]))
    assert image.shape == (1, 3, 64, 84)
    assert image.dtype == np.uint8

    def pixel(x: float, z: float) -> list[int]:
        return image[0, :, int(64 - 12.8 * (z + 0.5)), int(10 + 12.8 * (x + 0.5))].tolist()

    expected = {(2, 2): FLOOR, (2.4, 2): BLUE, (2, 4): GREEN, (2.4, 4): GREEN, (2.4, 4.4): FLOOR}
    expected |= {(2, 0): RED, (2.25, 0.25): RED, (2.4, 0): FLOOR, (0, 0): FLOOR, (4, 3): FLOOR}
    assert {place: pixel(*place) for place in expected} == {p: COLORS[c].tolist() for p, c in expected.items()}
    assert image[0, :, 30, 5].tolist() == COLORS[OUTSIDE].tolist()
    assert goal.tolist() == [[1, 0]]


def test_gridworld_goal_is_not_in_the_picture() -> None:
    """Which goal is asked for changes the goal signal alone."""
    (plus, _), (ex, signal) = (grid(STAY, wanted).scene.observe("GridWorld", np.array([0])) for wanted in (PLUS, EX))
    assert np.array_equal(plus, ex)
    assert signal.tolist() == [[0, 1]]


def test_gridworld_parameters() -> None:
    """Size and numbers of goals, from the next episode on, each on a cell of its own."""
    given = EnvironmentParameters()
    for name, value in (("gridSize", 7), ("numPlusGoals", 3), ("numExGoals", 2)):
        given.set(name, parameters.constant(value))
    scene = InProcess(GridWorld, discrete(STAY), areas=4, parameters=given).scene
    assert (scene.size == 7).all()
    assert ((scene.cells == GREEN).sum(axis=(1, 2)) == 3).all()
    assert ((scene.cells == RED).sum(axis=(1, 2)) == 2).all()
    rows = np.arange(4)
    assert (scene.cells[rows, scene.position[:, 0], scene.position[:, 1]] == FLOOR).all()


def test_gridworld_with_more_goals_than_cells() -> None:
    """As many as there is room for; the agent keeps its cell."""
    given = EnvironmentParameters()
    given.set("gridSize", parameters.constant(2))
    given.set("numPlusGoals", parameters.constant(9))
    scene = InProcess(GridWorld, discrete(STAY), parameters=given).scene
    assert (scene.cells == GREEN).sum() == 3
