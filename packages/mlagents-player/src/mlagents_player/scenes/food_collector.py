"""FoodCollector: collect good food and leave the bad; continuous moves together with a discrete laser."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mlagents_player.canvas import AGENT, BAD, FAINT, FLOOR, GOAL, WALL, Canvas
from mlagents_player.parameters import EnvironmentParameters
from mlagents_player.plane import STEP, Boxes, Discs, forward, right, to_local
from mlagents_player.scenes.base import Actions, ActionSpec, BehaviorSpec, Rows, Scene, vector_observation
from mlagents_player.sensors import picture

COLLECTORS, FOOD = 5, 50  # in an area; half of the food is good
FIELD = 50.0  # half of the field's side, m
SPEED, TURN = 2.0, 300.0 * STEP  # m/s and degrees a step
DRAG = 4.0  # 1/s
FAST, SLOWED = 25.0, 0.95  # beyond this squared speed it is multiplied
SHOOTING, BRAKED = 0.5, 0.75  # of the push and of the speed while the laser is on
LASER_LENGTH, LASER_RADIUS = 25.0, 2.0  # m, of the ball that is cast
BEAM = 20.0  # m that a laser is drawn long, at `laser_length` 1
FROZEN_TIME = 4.0  # s
HALF, FOOD_RADIUS = 0.5, 0.75  # of an agent at scale 1 and of food, m
TOUCH = 1.5  # m between an agent and food that it eats, at scale 1
WALLS = Boxes.fixed(
    *((side * (FIELD + 0.5), 0.0, 1.0, 2 * FIELD) for side in (-1, 1)),
    *((0.0, side * (FIELD + 0.5), 2 * FIELD, 1.0) for side in (-1, 1)),
)
GRID = 40  # cells of 1 m to a side
SEES_FOOD, SEES_BAD_FOOD, SEES_AGENT, SEES_FROZEN, SEES_WALL = range(5)
CENTRES = np.stack(np.meshgrid(*2 * [np.arange(GRID) + 0.5 - GRID / 2]), axis=-1).reshape(-1, 2)


class FoodCollector(Scene):
    """Four fields with five agents each by default; ML-Agents gives 10 as the return to reach.

    1 for good and -1 for bad food, which then appears elsewhere. A laser freezes another agent for 4 s; it is the one
    discrete action beside three continuous ones (ahead, to the right, turn to the left). Each agent sees the 40 m
    around it as a grid that turns with it, and its own speed.

    The laser is a ball of 2 m that flies 25 m ahead and stops at the first thing that it meets: another agent, which it
    freezes unless it is frozen already, food or a wall. What it touches at its start it does not meet.

    Environment parameters, read at each episode's start: `laser_length` (1), which changes how long the laser is drawn
    and nothing else, and `agent_scale` (1).

    Source: FoodCollectorAgent.cs and FoodCollectorArea.prefab of ML-Agents' Unity project (a66ffbf0): actions, laser,
    rewards, the field of 100 m and the 25 good and 25 bad pieces of food.

    Not taken over: the drag is 4 and nothing rubs, where the prefab has a drag of 0.5 and the floor's friction; agents
    and food appear anywhere, and not within 45 m of the middle; food lies still and is eaten within 1.5 m; agents do
    not bump into one another. All agents of a field act at once, so that two can freeze one another. The prefab's grid
    has its five kinds in another order, and its agents do not observe their speed.
    """

    description = "collect food with continuous moves and a discrete laser"
    behaviors: ClassVar = {
        "FoodCollector": BehaviorSpec(
            [picture(5, GRID, GRID, "GridSensor"), vector_observation(4)], ActionSpec(3, (2,))
        )
    }
    parameter_names = ("laser_length", "agent_scale")
    areas = 4
    agents_per_area = COLLECTORS
    decision_period = 5
    max_step = 5000
    view = (-51, -51, 51, 51)
    close_up = 30.0
    action_names = (("", "laser"),)

    def __init__(self, num_areas: int, rng: np.random.Generator, parameters: EnvironmentParameters) -> None:
        super().__init__(num_areas, rng, parameters)
        count = self.num_agents
        self.position, self.velocity, self.push = np.zeros((3, count, 2))  # the push is m/s in the next simulation
        self.yaw, self.frozen = np.zeros(count), np.zeros(count)  # degrees; s until the agent thaws
        self.shoots = np.zeros(count, bool)
        self.scale, self.laser = np.ones(count), np.ones(count)
        self.food = rng.uniform(-FIELD, FIELD, (num_areas, FOOD, 2))
        self.good = np.arange(FOOD) < FOOD // 2

    def reset(self, agents: Rows) -> None:
        """Place agents at random; the food stays."""
        count = len(agents)
        self.position[agents] = self.rng.uniform(-FIELD, FIELD, (count, 2))
        self.yaw[agents] = self.rng.uniform(0, 360, count)
        self.velocity[agents], self.push[agents] = 0, 0
        self.frozen[agents], self.shoots[agents] = 0, False
        self.laser[agents] = np.abs(self.parameters.draw("laser_length", 1.0, count))
        self.scale[agents] = np.abs(self.parameters.draw("agent_scale", 1.0, count))

    def observe(self, behavior: str, agents: Rows) -> list[NDArray[np.generic]]:
        """The grid, then speed to the right and ahead, whether the agent is frozen and whether it shoots."""
        speed = to_local(self.velocity[agents], self.yaw[agents])
        flags = np.stack([self.frozen[agents] > 0, self.shoots[agents]], axis=1)
        return [self._grid(agents), np.hstack([speed, flags]).astype(np.float32)]

    def _grid(self, agents: Rows) -> NDArray[np.uint8]:
        """[agents, kinds, 40, 40] with 255 where something is, ahead being up."""
        area = agents // COLLECTORS
        grid = np.zeros((len(agents), 5, GRID, GRID), np.uint8)
        self._mark(grid, agents, self.food[area], np.where(self.good, SEES_FOOD, SEES_BAD_FOOD))
        mates = area[:, None] * COLLECTORS + np.arange(COLLECTORS)
        self._mark(grid, agents, self.position[mates], np.where(self.frozen[mates] > 0, SEES_FROZEN, SEES_AGENT))
        there = self.position[agents, None] + to_local(CENTRES, -self.yaw[agents, None])
        wall = (np.abs(there) > FIELD).any(axis=-1).reshape(-1, GRID, GRID)
        grid[:, SEES_WALL] = 255 * wall[:, ::-1]
        return grid

    def _mark(self, grid: NDArray[np.uint8], agents: Rows, things: NDArray[np.float64], kind: NDArray[np.intp]) -> None:
        place = to_local(things - self.position[agents, None], self.yaw[agents, None])
        cell = np.floor(place + GRID / 2).astype(int)
        agent, thing = np.nonzero(((cell >= 0) & (cell < GRID)).all(axis=-1))
        column, row = cell[agent, thing].T
        grid[agent, np.broadcast_to(kind, cell.shape[:2])[agent, thing], GRID - 1 - row, column] = 255

    def act(self, agents: Rows, actions: Actions) -> None:
        """Push, turn and shoot, unless frozen. The push acts in the next simulation; the speed is that before it."""
        self.frozen[agents] = np.maximum(self.frozen[agents] - STEP, 0)
        free = self.frozen[agents] <= 0
        ahead, aside, turn = np.clip(actions.continuous, -1, 1).T.astype(np.float64)
        shoots = free & (actions.discrete[:, 0] == 1)
        self.shoots[agents] = shoots
        yaw = self.yaw[agents]
        way = ahead[:, None] * forward(yaw) + aside[:, None] * right(yaw)
        self.push[agents] = SPEED * way * (free * np.where(shoots, SHOOTING, 1.0))[:, None]
        self.velocity[agents] *= np.where(shoots, BRAKED, 1.0)[:, None]
        self.yaw[agents] = yaw - TURN * turn * free
        fast = np.sum(self.velocity[agents] ** 2, axis=1) > FAST
        self.velocity[agents] *= np.where(fast, SLOWED, 1.0)[:, None]
        self._shoot(agents[shoots])

    def _shoot(self, shooters: Rows) -> None:
        """Freeze what each laser meets first, if it is an agent that is not frozen."""
        area = shooters // COLLECTORS
        mates = area[:, None] * COLLECTORS + np.arange(COLLECTORS)
        others = mates[mates != shooters[:, None]].reshape(-1, COLLECTORS - 1)
        sides = np.repeat(HALF * self.scale[others, None], 2, axis=2)
        there = Boxes(self.position[others], sides, self.yaw[others]), Discs(self.food[area], FOOD_RADIUS), WALLS
        ahead = forward(self.yaw[shooters, None])
        ways = np.concatenate([shapes.cast(self.position[shooters], ahead, LASER_RADIUS) for shapes in there], axis=2)
        first = ways[:, 0].argmin(axis=1)
        met = np.flatnonzero((first < COLLECTORS - 1) & (ways.min(axis=(1, 2)) <= LASER_LENGTH))
        hit = others[met, first[met]]
        self.frozen[hit[self.frozen[hit] <= 0]] = FROZEN_TIME

    def focus(self, area: int) -> tuple[float, float]:
        """The first agent."""
        x, z = self.position[area * COLLECTORS]
        return float(x), float(z)

    def draw(self, canvas: Canvas, area: int) -> None:
        """The field with its food; who is frozen is grey."""
        canvas.box((0, 0), (2 * FIELD + 2, 2 * FIELD + 2), WALL)
        canvas.box((0, 0), (2 * FIELD, 2 * FIELD), FLOOR)
        for place, good in zip(self.food[area], self.good, strict=True):
            canvas.disc(place, 1.0, GOAL if good else BAD, height=0.8)
        for agent in area * COLLECTORS + np.arange(COLLECTORS):
            place = self.position[agent]
            if self.shoots[agent]:
                beam = BEAM * self.laser[agent] * forward(self.yaw[agent])
                canvas.line([place, place + beam], (*BAD, 120), width=1.0)
            canvas.agent(place, self.yaw[agent], FAINT if self.frozen[agent] > 0 else AGENT, half=1.6)

    def simulate(self) -> None:
        """Move, and eat what is touched."""
        self.velocity = (self.velocity + self.push) * (1 - DRAG * STEP)
        self.push[:] = 0
        self.position = np.clip(self.position + STEP * self.velocity, -FIELD, FIELD)
        places = self.position.reshape(-1, COLLECTORS, 1, 2)
        near = (
            np.sum((places - self.food[:, None]) ** 2, axis=-1) < (TOUCH * self.scale.reshape(-1, COLLECTORS, 1)) ** 2
        )
        area, agent, food = np.nonzero(near)
        np.add.at(self.rewards, area * COLLECTORS + agent, np.where(self.good[food], 1, -1))
        self.food[area, food] = self.rng.uniform(-FIELD, FIELD, (len(area), 2))
