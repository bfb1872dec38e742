"""Hallway: remember the symbol in the middle of a corridor and go to the goal of its kind."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mlagents_player.canvas import FLOOR, GOAL, MOVABLE, Canvas
from mlagents_player.canvas import WALL as WALL_COLOR
from mlagents_player.parameters import EnvironmentParameters
from mlagents_player.plane import AWAY, SOLVER_ITERATIONS, STEP, Bodies, Boxes, collide, forward, overlap
from mlagents_player.scenes.base import Actions, ActionSpec, Aggregation, BehaviorSpec, Rows, Scene
from mlagents_player.sensors import RaySensor, Stack, stacked

RUN_SPEED = 1.5  # m/s added in a step
TURN = 150.0 * STEP  # degrees a step
DRAG, MASS = 2.0, 25.0
FRICTION = 0.6 * 2 * 9.81  # m/s²: Unity's default material under twice the usual gravity
LOW, HIGH = np.array([-9.5, -24.75]), np.array([9.5, 24.75])  # inner faces of the walls
START = -15.0  # z around which agents start
GOAL_X, GOAL_Z = 7.0, 22.29
AHEAD = np.array([0, 1, -1, 0, 0])
TURNS = np.array([0, 0, 0, 1, -1])
O, X = 0, 1  # noqa: E741 - what the symbols look like
O_GOAL, X_GOAL, O_SYMBOL, X_SYMBOL, WALL = range(5)  # tags
SENSOR = RaySensor(tags=5, rays_per_direction=2, max_degrees=70, length=12)
DEPTH = 3
WALLS = Boxes.fixed((-9.75, 0, 0.5, 50), (9.75, 0, 0.5, 50), (0, -25, 20, 0.5), (0, 25, 20, 0.5))
TAGS = (O_GOAL, X_GOAL, O_SYMBOL, X_SYMBOL, WALL, WALL, WALL, WALL)


class Hallway(Scene):
    """15 agents by default; ML-Agents gives 0.7 as the return to reach, and recommends memory.

    +1 on the goal that is like the symbol, -0.1 on the other one; in place of the step's cost, 1/3000.
    Statistics `Goal/Correct` and `Goal/Wrong` count both.
    """

    description = "remember a symbol and go to the goal of its kind"
    behaviors: ClassVar = {
        "Hallway": BehaviorSpec(
            [stacked(DEPTH, SENSOR.size, "RayPerceptionSensor"), stacked(DEPTH, 1, "VectorSensor_size1")],
            ActionSpec(0, (len(AHEAD),)),
        )
    }
    parameter_names = ()
    areas = 15
    decision_period = 6
    max_step = 3000
    view = (-25, -10, 25, 10)
    close_up = 12.0
    action_names = (("", "ahead", "back", "turn right", "turn left"),)

    def __init__(self, num_areas: int, rng: np.random.Generator, parameters: EnvironmentParameters) -> None:
        super().__init__(num_areas, rng, parameters)
        self.agent = Bodies.at_rest(self.num_agents, 1.0, MASS, DRAG)
        self.symbol = Bodies.fixed(self.num_agents, (0, 0, 4, 1))
        self.kind = np.zeros(self.num_agents, np.int64)
        self.goals = [Bodies.fixed(self.num_agents, (0, GOAL_Z, 4, 4)) for _ in (O, X)]
        self.stacks = [Stack(self.num_agents, size, DEPTH) for size in (SENSOR.size, 1)]

    def reset(self, agents: Rows) -> None:
        """Choose a symbol, place it and the agent at random, and swap the goals or not."""
        count = len(agents)
        self.kind[agents] = self.rng.integers(2, size=count)
        x = np.where(self.kind[agents] == O, self.rng.uniform(-3, 3, count), 0.0)  # Unity moves only the O sideways
        self.symbol.position[agents] = np.stack([x, self.rng.uniform(-5, 5, count)], axis=1)
        start = self.rng.uniform((-3, START - 5), (3, START + 5), (count, 2))
        self.agent.position[agents] = start
        self.agent.velocity[agents] = 0
        self.agent.yaw[agents] = self.rng.uniform(0, 360, count)
        side = np.where(self.rng.random(count) < 0.5, -GOAL_X, GOAL_X)
        for goal, sign in zip(self.goals, (1, -1), strict=True):
            goal.position[agents, 0] = sign * side
        for stack in self.stacks:
            stack.clear(agents)
        for name in ("Correct", "Wrong"):
            self.add_statistic(f"Goal/{name}", 0, Aggregation.SUM)

    def observe(self, behavior: str, agents: Rows) -> list[NDArray[np.float32]]:
        """What rays hit, then how much of the time is gone, each as in the last three decisions."""
        symbol = self.symbol.boxes.rows(agents)
        symbols = [
            replace(symbol, centre=np.where((self.kind[agents] == kind)[:, None, None], symbol.centre, AWAY))
            for kind in (O, X)
        ]
        there = Boxes.joined(*(goal.boxes.rows(agents) for goal in self.goals), *symbols, WALLS)
        rays = SENSOR.read(self.agent.position[agents], self.agent.yaw[agents], [(TAGS, there)])
        time = (self.step_count[agents, None] / self.max_step).astype(np.float32)
        return [stack.push(agents, seen) for stack, seen in zip(self.stacks, (rays, time), strict=True)]

    def act(self, agents: Rows, actions: Actions) -> None:
        """Pay for the time, then turn or run."""
        self.add_reward(agents, -1 / self.max_step)
        chosen = actions.discrete[:, 0]
        self.agent.yaw[agents] += TURN * TURNS[chosen]
        self.agent.velocity[agents] += RUN_SPEED * AHEAD[chosen, None] * forward(self.agent.yaw[agents])

    def focus(self, area: int) -> tuple[float, float]:
        """The agent, as the corridor lies."""
        x, z = self.agent.position[area]
        return float(z), -float(x)

    def draw(self, canvas: Canvas, area: int) -> None:
        """The corridor, lying on its side: the agent starts on the left, the goals are on the right."""
        canvas.box((0, 0), (50, 20), WALL_COLOR)
        canvas.box((0, 0), (49.5, 19), FLOOR)
        for goal, letter in zip(self.goals, "OX", strict=True):
            x, z = goal.position[area]
            canvas.box((z, -x), (4, 4), GOAL)
            canvas.text((z, -x), letter, 2.5)
        x, z = self.symbol.position[area]
        canvas.box((z, -x), (1, 4), MOVABLE, height=2)
        canvas.text((z, -x + 3.5), "OX"[self.kind[area]], 2.5, MOVABLE)
        x, z = self.agent.position[area]
        canvas.agent((z, -x), self.agent.yaw[area] + 90, half=0.7)

    def simulate(self) -> None:
        """Run and collide; touching a goal ends the episode."""
        self.agent.slide(FRICTION)
        for _ in range(SOLVER_ITERATIONS):
            touched = collide(self.agent, self.symbol)
            self.agent.keep_within(LOW, HIGH)
            if not touched:
                break
        for kind, goal in enumerate(self.goals):
            arrived, _, _ = overlap(self.agent, goal)
            correct = self.kind[arrived] == kind
            self.set_reward(arrived, np.where(correct, 1.0, -0.1))
            self.end_episode(arrived)
            for is_correct in correct:
                self.add_statistic(f"Goal/{'Correct' if is_correct else 'Wrong'}", 1, Aggregation.SUM)
