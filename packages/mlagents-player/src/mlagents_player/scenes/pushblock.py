"""PushBlock: push a block onto the goal along one side of the floor."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mlagents_player.canvas import FLOOR, MOVABLE, Canvas
from mlagents_player.canvas import GOAL as GOAL_COLOR
from mlagents_player.canvas import WALL as WALL_COLOR
from mlagents_player.parameters import EnvironmentParameters
from mlagents_player.plane import SOLVER_ITERATIONS, STEP, Bodies, Boxes, Floats, collide, forward, right
from mlagents_player.scenes.base import Actions, ActionSpec, BehaviorSpec, Rows, Scene
from mlagents_player.sensors import RaySensor, Stack, stacked

RUN_SPEED = 3.0  # m/s added in a step
TURN = 200.0 * STEP  # degrees a step
DRAG, MASS = 4.0, 10.0  # of the agent; the block has the same mass
GRAVITY = 2.5 * 9.81
FRICTION = 0.6  # of Unity's default material; the floor's is averaged with it
EDGE, GOAL_EDGE = 12.5, -8.35  # inner faces of the walls, and of the goal
LOW, HIGH = np.array([-EDGE, GOAL_EDGE]), np.array([EDGE, EDGE])
SPAWN, CLEARANCE = 6.25, 2.5
MAX_SCALE = 8.0
# Ahead, back, turn right, turn left, left, right: speeds along the agent's front and right, and its turn.
AHEAD = np.array([0, 1, -1, 0, 0, 0, 0])
ASIDE = np.array([0, 0, 0, 0, 0, -0.75, 0.75])
TURNS = np.array([0, 0, 0, 1, -1, 0, 0])
BLOCK, GOAL, WALL = range(3)  # tags
SENSOR = RaySensor(tags=3, rays_per_direction=3, max_degrees=90, length=12)
DEPTH = 3
GOAL_BOX = (0, -10.5, 25, 4.3)
WALLS = ((-12.75, 0, 0.5, 26), (12.75, 0, 0.5, 26), (0, 12.75, 26, 0.5), (0, -12.75, 26, 0.5))
BEYOND, TAGS_BEYOND = Boxes.fixed(GOAL_BOX, *WALLS), (GOAL, WALL, WALL, WALL, WALL)  # what is behind the block


class PushBlock(Scene):
    """32 agents by default; ML-Agents gives 4.5 as the return to reach: +5 for the goal, -1 for all 5000 steps.

    Environment parameters, read at each episode's start: `block_scale` (2), `block_drag` (0.5), `dynamic_friction`
    (0) and `static_friction` (0) of the floor.
    """

    description = "push a block onto the goal"
    behaviors: ClassVar = {
        "PushBlock": BehaviorSpec(
            [stacked(DEPTH, SENSOR.size, f"{kind}RayPerceptionSensor") for kind in ("Offset", "")],
            ActionSpec(0, (len(AHEAD),)),
        )
    }
    parameter_names = ("block_scale", "block_drag", "dynamic_friction", "static_friction")
    areas = 32
    decision_period = 5
    max_step = 5000
    view = (-13, -13, 13, 13)
    close_up = 10.0
    action_names = (("", "ahead", "back", "turn right", "turn left", "left", "right"),)

    def __init__(self, num_areas: int, rng: np.random.Generator, parameters: EnvironmentParameters) -> None:
        super().__init__(num_areas, rng, parameters)
        self.agent = Bodies.at_rest(self.num_agents, 1.0, MASS, DRAG)
        self.block = Bodies.at_rest(self.num_agents, 2.0, MASS, 0.5)
        self.block_drag = np.full(self.num_agents, 0.5)
        self.block.drag = self.block_drag
        self.friction = np.zeros((2, self.num_agents))  # static, dynamic
        self.stacks = [Stack(self.num_agents, SENSOR.size, DEPTH) for _ in range(2)]

    def reset(self, agents: Rows) -> None:
        """Place the block, then the agent, apart from one another and from the goal.

        The agent goes on looking where it looked. In Unity the whole area is turned too, which nobody in it sees.
        """
        count = len(agents)
        scale = np.clip(np.abs(self.parameters.draw("block_scale", 2.0, count)), 0.1, MAX_SCALE)
        self.block.half[agents] = scale[:, None] / 2
        self.block_drag[agents] = np.abs(self.parameters.draw("block_drag", 0.5, count))
        for row, name in enumerate(("static_friction", "dynamic_friction")):
            self.friction[row, agents] = (FRICTION + np.abs(self.parameters.draw(name, 0.0, count))) / 2
        self._spawn(self.block, self.agent, agents)
        self._spawn(self.agent, self.block, agents)
        for stack in self.stacks:
            stack.clear(agents)

    def _spawn(self, body: Bodies, other: Bodies, agents: Rows) -> None:
        """Draw positions until a square of 5 m around each holds neither the other body nor a part of the goal."""
        body.velocity[agents] = 0
        while len(agents):
            body.position[agents] = self.rng.uniform(-SPAWN, SPAWN, (len(agents), 2))
            distance = np.abs(body.position[agents] - other.position[agents])
            near_other = (distance < CLEARANCE + other.extent[agents]).all(axis=1)
            near_goal = body.position[agents, 1] - CLEARANCE < GOAL_EDGE
            agents = agents[near_other | near_goal]

    def observe(self, behavior: str, agents: Rows) -> list[NDArray[np.float32]]:
        """What rays above the block hit, then what rays on the floor hit, each as in the last three decisions."""
        position, yaw = self.agent.position[agents], self.agent.yaw[agents]
        there = Boxes.joined(self.block.boxes.rows(agents), BEYOND)
        upper = SENSOR.read(position, yaw, [(TAGS_BEYOND, BEYOND)])
        lower = SENSOR.read(position, yaw, [((BLOCK, *TAGS_BEYOND), there)])
        return [stack.push(agents, seen) for stack, seen in zip(self.stacks, (upper, lower), strict=True)]

    def act(self, agents: Rows, actions: Actions) -> None:
        """Turn or push, and pay for the time."""
        chosen = actions.discrete[:, 0]
        yaw = self.agent.yaw[agents] + TURN * TURNS[chosen]
        self.agent.yaw[agents] = yaw
        push = AHEAD[chosen, None] * forward(yaw) + ASIDE[chosen, None] * right(yaw)
        self.agent.velocity[agents] += RUN_SPEED * push
        self.add_reward(agents, -1 / self.max_step)

    def simulate(self) -> None:
        """Slide and collide; the block that touches the goal gives 5 and ends the episode."""
        for body in (self.agent, self.block):
            body.slide(GRAVITY * self._friction(body))
        scored = np.zeros(self.num_agents, bool)
        for _ in range(SOLVER_ITERATIONS):
            touched = collide(self.agent, self.block)
            self.agent.keep_within(LOW, HIGH)
            at_low, _ = self.block.keep_within(LOW, HIGH)
            scored |= at_low[:, 1]
            if not touched:
                break
        arrived = np.flatnonzero(scored)
        self.add_reward(arrived, 5.0)
        self.end_episode(arrived)

    def focus(self, area: int) -> tuple[float, float]:
        """The agent."""
        x, z = self.agent.position[area]
        return float(x), float(z)

    def draw(self, canvas: Canvas, area: int) -> None:
        """The floor with its goal, the block and the agent."""
        canvas.box((0, 0), (26, 26), WALL_COLOR)
        canvas.box((0, 0), (2 * EDGE, 2 * EDGE), FLOOR)
        canvas.box((0, (GOAL_EDGE - EDGE) / 2), (2 * EDGE, EDGE + GOAL_EDGE), GOAL_COLOR)
        canvas.box(self.block.position[area], 2 * self.block.half[area], MOVABLE, height=0.75)
        canvas.agent(self.agent.position[area], self.agent.yaw[area])

    def _friction(self, body: Bodies) -> Floats:
        """[num_agents] static while a body rests, dynamic while it moves."""
        static, dynamic = self.friction
        return np.where((body.velocity == 0).all(axis=1), static, dynamic)
