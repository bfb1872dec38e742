"""GridWorld: walk on a grid, seen from above, to the goal that is asked for."""

from __future__ import annotations

from functools import cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mlagents_player.canvas import BAD, GOAL, Canvas
from mlagents_player.canvas import FLOOR as WHITE
from mlagents_player.parameters import EnvironmentParameters
from mlagents_player.scenes.base import Actions, ActionSpec, BehaviorSpec, Rows, Scene
from mlagents_player.sensors import goal_signal, picture

HEIGHT, WIDTH = 64, 84
MOVES = np.array([[0, 0], [0, 1], [0, -1], [-1, 0], [1, 0]])  # none, up, down, left, right in x and z
PLUS, EX = 0, 1  # the goals, as the goal signal numbers them
FLOOR, GREEN, RED, BLUE, OUTSIDE = range(5)
COLORS = np.array([(30, 30, 30), (96, 212, 0), (224, 49, 49), (33, 150, 243), (100, 100, 100)], np.uint8)
BAR = 0.2  # thickness of what is seen, of a cell
MIN_SIZE, MAX_SIZE = 2, 32  # of a grid whose cells are still seen


class GridWorld(Scene):
    """Nine agents by default; ML-Agents gives 0.8 as the return to reach.

    A step costs 0.01. The last step's reward is +1 on the goal that was asked for and -1 on the other kind; it takes
    the place of that step's cost. Moves that would leave the grid are masked.

    Environment parameters, read at each episode's start: `gridSize` (5), `numPlusGoals` (1), `numExGoals` (1).
    """

    description = "walk on a grid, seen from above, to the goal that is asked for"
    behaviors: ClassVar = {
        "GridWorld": BehaviorSpec(
            [picture(3, HEIGHT, WIDTH, "CameraSensor"), goal_signal(2, "VectorSensor_size2_GoalSignal")],
            ActionSpec(0, (len(MOVES),)),
        )
    }
    parameter_names = ("gridSize", "numPlusGoals", "numExGoals")
    areas = 9
    max_step = 100
    view = (0, -1.6, 10, 10)
    action_names = (("stay", "up", "down", "left", "right"),)
    pace = 0.25

    def __init__(self, num_areas: int, rng: np.random.Generator, parameters: EnvironmentParameters) -> None:
        super().__init__(num_areas, rng, parameters)
        self.size = np.full(self.num_agents, MIN_SIZE)
        self.position = np.zeros((self.num_agents, 2), np.int64)
        self.cells = np.full((self.num_agents, MAX_SIZE, MAX_SIZE), FLOOR, np.uint8)
        self.wanted = np.zeros(self.num_agents, np.int64)

    def reset(self, agents: Rows) -> None:
        """Place the goals, then the agent, on cells of their own, and choose what to ask for."""
        count = len(agents)
        self.size[agents] = np.clip(self.parameters.draw("gridSize", 5, count), MIN_SIZE, MAX_SIZE).astype(int)
        plus = self.parameters.draw("numPlusGoals", 1, count).astype(int)
        ex = self.parameters.draw("numExGoals", 1, count).astype(int)
        self.cells[agents] = FLOOR
        for agent, green, red in zip(agents, plus, ex, strict=True):
            self._place(agent, max(green, 0), max(red, 0))
        self.wanted[agents] = self.rng.integers(2, size=count)

    def _place(self, agent: int, plus: int, ex: int) -> None:
        size = self.size[agent]
        plus = min(plus, size**2 - 1)
        ex = min(ex, size**2 - 1 - plus)  # one cell is the agent's
        cells = np.stack(np.divmod(self.rng.choice(size**2, plus + ex + 1, replace=False), size))
        self.cells[agent, cells[0, :plus], cells[1, :plus]] = GREEN
        self.cells[agent, cells[0, plus:-1], cells[1, plus:-1]] = RED
        self.position[agent] = cells[:, -1]

    def observe(self, behavior: str, agents: Rows) -> list[NDArray[np.generic]]:
        """The grid from above, and one-hot which goal is asked for."""
        seen = np.empty((len(agents), HEIGHT, WIDTH, 3), np.uint8)
        for size in np.unique(self.size[agents]):
            chosen = np.flatnonzero(self.size[agents] == size)
            seen[chosen] = COLORS[self._look(agents[chosen], int(size))]
        return [seen.transpose(0, 3, 1, 2), np.eye(2, dtype=np.float32)[self.wanted[agents]]]

    def _look(self, agents: Rows, size: int) -> NDArray[np.uint8]:
        """[agents, height, width] numbers of colours, of grids of one size."""
        x, z, shapes = camera(size)
        content = self.cells[agents][:, x, z]
        here = (self.position[agents, 0, None, None] == x) & (self.position[agents, 1, None, None] == z)
        content[here] = BLUE
        drawn = np.take_along_axis(shapes[None], content[:, None].astype(np.intp), axis=1)[:, 0]
        return np.where(shapes[OUTSIDE], OUTSIDE, np.where(drawn, content, FLOOR)).astype(np.uint8)

    def action_mask(self, behavior: str, agents: Rows) -> NDArray[np.bool_]:
        """Moves that would leave the grid."""
        target = self.position[agents][:, None] + MOVES
        return ((target < 0) | (target >= self.size[agents, None, None])).any(axis=2)

    def act(self, agents: Rows, actions: Actions) -> None:
        """Move, pay 0.01, and end the episode on a goal."""
        self.add_reward(agents, -0.01)
        target = self.position[agents] + MOVES[actions.discrete[:, 0]]
        inside = ((target >= 0) & (target < self.size[agents, None])).all(axis=1)
        self.position[agents[inside]] = target[inside]
        x, z = self.position[agents].T
        content = self.cells[agents, x, z]
        for goal, color in ((PLUS, GREEN), (EX, RED)):
            arrived = agents[content == color]
            self.set_reward(arrived, np.where(self.wanted[arrived] == goal, 1.0, -1.0))
            self.end_episode(arrived)

    def draw(self, canvas: Canvas, area: int) -> None:
        """The grid, and below it the goal that is asked for."""
        size = self.size[area]
        unit = 10 / size

        def middle(x: float, z: float) -> tuple[float, float]:
            return unit * (x + 0.5), unit * (z + 0.5)

        for x, z in np.ndindex(size, size):
            canvas.box(middle(x, z), (0.94 * unit, 0.94 * unit), WHITE)
            self._draw_goal(canvas, middle(x, z), int(self.cells[area, x, z]), unit)
        canvas.agent(middle(*self.position[area]), 0, half=0.3 * unit)
        canvas.text((3.6, -0.9), "go to", 0.8)
        self._draw_goal(canvas, (6, -0.9), (GREEN, RED)[self.wanted[area]], 1.6)

    def _draw_goal(self, canvas: Canvas, middle: tuple[float, float], kind: int, unit: float) -> None:
        for yaw in {GREEN: (0, 90), RED: (45, 135)}.get(kind, ()):
            canvas.box(middle, (0.7 * unit, 0.2 * unit), (GOAL, BAD)[kind == RED], yaw)


@cache
def camera(size: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.bool_]]:
    """What the camera above a grid has in each of its pixels; the grid is as high as the picture.

    The shapes are those of Unity's prefabs: two bars as long as a cell, upright or at 45 degrees, and a hollow square.

    Returns:
        [height, width] x and z of the cell, and [colours, height, width] whether the shape of each colour in its
        cell covers the pixel; `OUTSIDE` covers what is beyond the grid.
    """
    cell = HEIGHT / size
    across = (np.arange(WIDTH) + 0.5 - (WIDTH - HEIGHT) / 2) / cell
    up = (HEIGHT - np.arange(HEIGHT) - 0.5) / cell
    x, z = np.meshgrid(across, up)
    u, v = x % 1 - 0.5, z % 1 - 0.5  # -0.5 to 0.5 within the cell
    shapes = np.zeros((len(COLORS), HEIGHT, WIDTH), bool)
    shapes[GREEN] = _cross(u, v)
    shapes[RED] = _cross((u + v) / np.sqrt(2), (u - v) / np.sqrt(2))
    shapes[BLUE] = np.maximum(np.abs(u), np.abs(v)) > 0.5 - BAR
    shapes[OUTSIDE] = (x < 0) | (x >= size)
    return np.clip(x, 0, size - 1).astype(np.intp), z.astype(np.intp), shapes


def _cross(u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.bool_]:
    u, v = np.abs(u), np.abs(v)
    return (np.minimum(u, v) < BAR / 2) & (np.maximum(u, v) < 0.5)
