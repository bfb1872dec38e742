"""Sorter: touch numbered tiles in ascending order; how many there are changes from episode to episode."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mlagents_player.canvas import FLOOR, GOAL, MOVABLE, WALL, Canvas
from mlagents_player.parameters import EnvironmentParameters
from mlagents_player.plane import STEP, Bodies, forward, right, to_local
from mlagents_player.scenes.base import Actions, ActionSpec, BehaviorSpec, Rows, Scene, vector_observation
from mlagents_player.sensors import entities

TILES = 20  # numbers, and places around the arena
TURN = 200.0 * STEP  # degrees a step
RUN_SPEED, DRAG, MASS = 2.0, 4.0, 10.0  # the first in m/s added in a step
FRICTION = 0.6 * 2.5 * 9.81  # m/s²: Unity's default material under two and a half times the usual gravity
HALF = 0.5  # of the agent, m
FACE, HALF_WIDTH = 19.74, 1.75  # how far a tile is from the middle, and half of its width, m
REACH = 20.0  # m, by which observations are divided
SIZE = TILES + 3
DEFAULT_TILES = 2


class Sorter(Scene):
    """16 agents by default; the best return is the number of tiles.

    1 for the next tile and -1 for a wrong one, which also ends the episode, as the last tile does; a step costs
    1/5000. Each tile is one entity: one-hot its number, where it is seen from the agent, whether it was touched.

    Environment parameter, read at each episode's start: `num_tiles` (2), the most that an episode can have.

    Source: SorterAgent.cs, Area.prefab and Sorter.unity of ML-Agents' Unity project (a66ffbf0): actions, rewards,
    weight, drag, gravity and the places of the tiles. The wall between them is a ring here, and there its own mesh.
    """

    description = "touch a varying number of tiles in ascending order"
    behaviors: ClassVar = {
        "Sorter": BehaviorSpec([entities(TILES, SIZE, "BufferSensor"), vector_observation(4)], ActionSpec(0, (3, 3, 3)))
    }
    parameter_names = ("num_tiles",)
    areas = 16
    decision_period = 5
    max_step = 5000
    view = (-21, -21, 21, 21)
    close_up = 16.0
    action_names = (("", "ahead", "back"), ("", "right", "left"), ("", "turn left", "turn right"))

    def __init__(self, num_areas: int, rng: np.random.Generator, parameters: EnvironmentParameters) -> None:
        super().__init__(num_areas, rng, parameters)
        self.agent = Bodies.at_rest(self.num_agents, 2 * HALF, MASS, DRAG)
        self.count = np.ones(self.num_agents, np.int64)
        self.number = np.zeros((self.num_agents, TILES), np.int64)  # ascending; only the first `count` are there
        self.angle = np.zeros((self.num_agents, TILES))
        self.visited = np.zeros(self.num_agents, np.int64)  # always the first ones
        self.touched = np.zeros((self.num_agents, TILES), bool)

    def reset(self, agents: Rows) -> None:
        """Draw how many tiles there are, their numbers and their places; the agent starts in the middle."""
        count = len(agents)
        most = np.clip(self.parameters.draw("num_tiles", DEFAULT_TILES, count), 1, TILES).astype(int)
        self.count[agents] = self.rng.integers(1, most + 1)
        order = self.rng.random((count, TILES)).argsort(axis=1)
        shown = np.arange(TILES) < self.count[agents, None]
        self.number[agents] = np.sort(np.where(shown, order, TILES), axis=1) % TILES
        self.angle[agents] = self.rng.random((count, TILES)).argsort(axis=1) * 360 / TILES
        self.agent.position[agents] = 0
        self.agent.velocity[agents] = 0
        self.visited[agents] = 0
        self.touched[agents] = False

    def observe(self, behavior: str, agents: Rows) -> list[NDArray[np.float32]]:
        """The tiles, then where the agent is and looks."""
        position, ahead = self.agent.position[agents], forward(self.agent.yaw[agents])
        shown = np.arange(TILES) < self.count[agents, None]
        tiles = np.zeros((len(agents), TILES, SIZE), np.float32)
        tiles[..., :TILES] = np.eye(TILES)[self.number[agents]]
        tiles[..., TILES : TILES + 2] = (FACE * forward(self.angle[agents]) - position[:, None]) / REACH
        tiles[..., -1] = np.arange(TILES) < self.visited[agents, None]
        return [tiles * shown[..., None], np.hstack([position / REACH, ahead]).astype(np.float32)]

    def act(self, agents: Rows, actions: Actions) -> None:
        """Run and turn, the way to run being that from before the turn, and pay for the time."""
        ahead, aside, turn = actions.discrete.T
        yaw = self.agent.yaw[agents]
        self.agent.yaw[agents] = yaw + TURN * np.choose(turn, [0, -1, 1])
        way = np.choose(ahead, [0, 1, -1])[:, None] * forward(yaw)
        way = np.where(aside[:, None] == 0, way, np.choose(aside, [0, 1, -1])[:, None] * right(yaw))
        self.agent.velocity[agents] += RUN_SPEED * way
        self.add_reward(agents, -1 / self.max_step)

    def simulate(self) -> None:
        """Run as far as the ring of tiles; each new touch of a tile that was not visited counts."""
        self.agent.slide(FRICTION)
        self._stop_at_ring()
        place = to_local(self.agent.position[:, None], self.angle)
        shown = np.arange(TILES) < self.count[:, None]
        touch = (place[..., 1] >= FACE - HALF - 0.01) & (np.abs(place[..., 0]) < HALF_WIDTH + HALF) & shown
        entered = touch & ~self.touched & (np.arange(TILES) >= self.visited[:, None])
        self.touched = touch
        rows = np.flatnonzero(entered.any(axis=1))
        right_one = entered[rows].argmax(axis=1) == self.visited[rows]
        self.add_reward(rows, np.where(right_one, 1.0, -1.0))
        self.visited[rows] += right_one
        self.end_episode(rows[~right_one | (self.visited[rows] == self.count[rows])])

    def focus(self, area: int) -> tuple[float, float]:
        """The agent."""
        x, z = self.agent.position[area]
        return float(x), float(z)

    def draw(self, canvas: Canvas, area: int) -> None:
        """The arena with its tiles; those that were visited are green."""
        canvas.disc((0, 0), FACE + 1.6, WALL)
        canvas.disc((0, 0), FACE, FLOOR)
        for tile in range(self.count[area]):
            angle = self.angle[area, tile]
            middle = (FACE + 0.76) * forward(angle)
            canvas.box(middle, (2 * HALF_WIDTH, 1.52), GOAL if tile < self.visited[area] else MOVABLE, angle)
            canvas.text((FACE - 1.8) * forward(angle), str(self.number[area, tile] + 1), 2.4)
        canvas.agent(self.agent.position[area], self.agent.yaw[area], half=0.8)

    def _stop_at_ring(self) -> None:
        distance = np.hypot(*self.agent.position.T)
        outward = self.agent.position / np.maximum(distance, 1e-9)[:, None]
        beyond = np.maximum(distance - (FACE - HALF), 0)
        self.agent.position -= beyond[:, None] * outward
        speed = np.sum(self.agent.velocity * outward, axis=1)
        self.agent.velocity -= np.where(beyond > 0, np.maximum(speed, 0), 0)[:, None] * outward
