"""WallJump: jump over a wall to the goal, with the help of a block where the wall is too high."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mlagents_player.canvas import AGENT, FAINT, FLOOR, MOVABLE, Canvas
from mlagents_player.canvas import GOAL as GOAL_COLOR
from mlagents_player.canvas import WALL as WALL_COLOR
from mlagents_player.parameters import EnvironmentParameters
from mlagents_player.plane import (
    SOLVER_ITERATIONS,
    STEP,
    Bodies,
    Boxes,
    Floats,
    Tall,
    collide,
    forward,
    overlap,
    right,
)
from mlagents_player.scenes.base import Actions, ActionSpec, BehaviorSpec, Rows, Scene
from mlagents_player.sensors import RaySensor, Stack, stacked

RUN_SPEED = 3.0  # m/s added in a step
TURN = 300.0 * STEP  # degrees a step
GRAVITY, FALLING = 2.75 * 9.81, 111.0  # m/s²; the second is the script's own, to make jumps less floaty
DRAG, MASS = 2.0, 25.0
FRICTION = 0.6 * GRAVITY
JUMP_TIME, JUMP_HEIGHT, JUMP_PULL, JUMP_CHANGE = 0.2, 2.75, 777.0 * STEP, 10.0
HALF = 0.5  # of the agent, m
FOOT = 0.475  # half of the box with which the script looks for ground
GROUND_TOP = 0.45
GROUND = (0.0, -4.0, 21.0, 21.0)  # x, z and sizes
WALL = (0.0, -1.98, 20.0, 1.5)
GOAL = (6.37, 2.93, 4.0, 4.0)
WALL_BOX, GOAL_BOX = Boxes.fixed(WALL), Boxes.fixed(GOAL)
GOAL_HEIGHTS = (0.49, 5.49)
BLOCK_HEIGHTS = (0.5, 2.5)
SPAWN_Z, SPAWN = -6.27, np.array([8.1, 3.5])
START_Z, START_WIDTH, START_HEIGHT = -12.0, 18.0, 1.0
ORIGIN = np.array([0.0, 0.0, -4.0])  # of the ground
REACH = 20.0  # m, by which observations are divided
SMALL_WALL = 1  # of five configurations: 0 has no wall, the others have big ones
SMALL, BIG = 0, 1  # behaviours
WALL_TAG, GOAL_TAG, BLOCK_TAG = range(3)
SENSOR = RaySensor(tags=3, rays_per_direction=3, max_degrees=90, length=20)
UPPER_START, UPPER_RISE = 2.5, 2.5 / 20  # of the rays that look over the block
DEPTH = 6
PROFILE = 12.5  # x of the floor as the side view draws it


class WallJump(Scene):
    """24 agents by default; ML-Agents gives 0.8 as the return to reach with either behaviour.

    Each episode has no wall, a small one (both `SmallWallJump`) or, three times in five, a big one (`BigWallJump`).
    Each step costs 0.0005; +1 on the goal and -1 off the floor take the place of the last steps' cost.

    Environment parameters, read at each episode's start: `no_wall_height` (0), `small_wall_height` (4) and
    `big_wall_height` (8). Half of each lies below the floor, as in Unity.
    """

    description = "jump over a wall to the goal, from a block if it is high"
    behaviors: ClassVar = {
        name: BehaviorSpec(
            [
                stacked(DEPTH, SENSOR.size, "OffsetRayPerceptionSensor"),
                stacked(DEPTH, SENSOR.size, "RayPerceptionSensor"),
                stacked(DEPTH, 4, "VectorSensor_size4"),
            ],
            ActionSpec(0, (3, 3, 3, 2)),
        )
        for name in ("SmallWallJump", "BigWallJump")
    }
    parameter_names = ("no_wall_height", "small_wall_height", "big_wall_height")
    areas = 24
    decision_period = 5
    max_step = 2000
    view = (-10.5, -14.5, 19.5, 6.5)
    action_names = (("", "ahead", "back"), ("", "turn left", "turn right"), ("", "left", "right"), ("", "jump"))

    def __init__(self, num_areas: int, rng: np.random.Generator, parameters: EnvironmentParameters) -> None:
        super().__init__(num_areas, rng, parameters)
        count = self.num_agents
        self.agent = Bodies.at_rest(count, 2 * HALF, MASS, DRAG)
        self.agent.yaw[:] = 180
        self.height = np.full(count, START_HEIGHT)
        self.climb = np.zeros(count)  # upward velocity, m/s
        self.jumping = np.zeros(count)  # s left of a jump
        self.jumped_from = np.zeros(count)
        self.near_ground = np.zeros(count, bool)
        self.block = Bodies.at_rest(count, 3.0, 10.0, 1.0)
        self.ground, self.wall = Bodies.fixed(count, GROUND), Bodies.fixed(count, WALL)
        self.wall_top = np.zeros(count)
        self.stacks = [Stack(count, size, DEPTH) for size in (SENSOR.size, SENSOR.size, 4)]

    def reset(self, agents: Rows) -> None:
        """Place block and agent at random and choose a wall, and with it the behaviour."""
        count = len(agents)
        self.block.position[agents] = [0, SPAWN_Z] + SPAWN * self.rng.uniform(-1, 1, (count, 2))
        self.block.velocity[agents] = 0
        start = START_WIDTH * self.rng.uniform(-0.5, 0.5, count)
        self.agent.position[agents] = np.stack([start, np.full(count, START_Z)], axis=1)
        self.agent.velocity[agents] = 0
        self.height[agents], self.climb[agents], self.jumping[agents] = START_HEIGHT, 0, 0
        chosen = self.rng.integers(5, size=count)
        heights = [
            self.parameters.draw(f"{name}_wall_height", default, count)
            for name, default in (("no", 0.0), ("small", 4.0), ("big", 8.0))
        ]
        self.wall_top[agents] = np.choose(np.minimum(chosen, 2), heights) / 2
        self.behavior_index[agents] = np.where(chosen <= SMALL_WALL, SMALL, BIG)
        for stack in self.stacks:
            stack.clear(agents)

    def observe(self, behavior: str, agents: Rows) -> list[NDArray[np.float32]]:
        """What rays above the block hit, what rays ahead hit, and where the agent is and whether it stands."""
        x, z = self.agent.position[agents].T
        place = (np.stack([x, self.height[agents], z], axis=1) - ORIGIN) / REACH
        seen = [
            self._look(agents, UPPER_START, UPPER_RISE),
            self._look(agents, 0.0, 0.0),
            np.column_stack([place, self._stands()[agents]]).astype(np.float32),
        ]
        return [stack.push(agents, new) for stack, new in zip(self.stacks, seen, strict=True)]

    def _look(self, agents: Rows, above: float, rise: float) -> NDArray[np.float32]:
        solids = Boxes.joined(WALL_BOX, GOAL_BOX, self.block.boxes.rows(agents))
        bottom, top = np.tile(np.transpose([GOAL_HEIGHTS, GOAL_HEIGHTS, BLOCK_HEIGHTS])[:, None], (1, len(agents), 1))
        bottom[:, WALL_TAG], top[:, WALL_TAG] = -self.wall_top[agents], self.wall_top[agents]
        return SENSOR.read(
            self.agent.position[agents],
            self.agent.yaw[agents],
            [((WALL_TAG, GOAL_TAG, BLOCK_TAG), Tall(solids, bottom, top, self.height[agents] + above, rise))],
        )

    def act(self, agents: Rows, actions: Actions) -> None:
        """Pay for the time, turn, run and jump; who falls off the floor, or drops the block off it, loses."""
        self.add_reward(agents, -0.0005)
        ahead, turn, aside, jump = actions.discrete.T
        self.near_ground = self._near_ground()
        stands, near_ground = self._stands()[agents], self.near_ground[agents]
        yaw = self.agent.yaw[agents]
        way = np.choose(ahead, [0, 1, -1])[:, None] * forward(yaw)
        way = np.where(aside[:, None] == 0, way, np.choose(aside, [0, -0.6, 0.6])[:, None] * right(yaw))
        way *= np.where(near_ground, 1.0, 0.5)[:, None]
        self.agent.yaw[agents] = yaw + TURN * np.choose(turn, [0, -1, 1])
        begins = agents[(jump == 1) & (self.jumping[agents] <= 0) & stands]
        self.jumping[begins], self.jumped_from[begins] = JUMP_TIME, self.height[begins]
        self._jump(agents, way)
        self.agent.velocity[agents] += RUN_SPEED * way  # after the jump: Unity's forces act in the next simulation
        self.climb[agents] -= STEP * FALLING * ((self.jumping[agents] <= 0) & ~near_ground)
        self.jumping[agents] -= STEP
        self._lose(agents)

    def _jump(self, agents: Rows, way: Floats) -> None:
        """Pull jumping agents towards a point above where they jumped, by a limited change of velocity."""
        jumps = self.jumping[agents] > 0
        agents, way = agents[jumps], way[jumps]
        up = self.jumped_from[agents] + JUMP_HEIGHT - self.height[agents]
        velocity = np.column_stack([self.agent.velocity[agents], self.climb[agents]])
        change = JUMP_PULL * np.column_stack([way, up]) - velocity
        size = np.linalg.norm(change, axis=1, keepdims=True)
        velocity += change * np.minimum(1, JUMP_CHANGE / np.maximum(size, 1e-12))
        self.agent.velocity[agents], self.climb[agents] = velocity[:, :2], velocity[:, 2]

    def _lose(self, agents: Rows) -> None:
        lost = ~(_within(GROUND, self.agent.position[agents]) & (self.height[agents] > 0))
        lost |= ~_within(GROUND, self.block.position[agents])
        self.set_reward(agents[lost], -1.0)
        self.end_episode(agents[lost])

    def simulate(self) -> None:
        """Fall, slide and collide; an agent that stands on the goal has won."""
        self.agent.slide(FRICTION * self.near_ground)
        self.block.slide()
        self.climb = (self.climb - STEP * GRAVITY) * (1 - DRAG * STEP)
        self.height += STEP * self.climb
        walled = self.wall_top > BLOCK_HEIGHTS[0]
        beside_wall = self._land(self.wall, -self.wall_top, self.wall_top)
        beside_block = self._land(self.block, *BLOCK_HEIGHTS)
        for _ in range(SOLVER_ITERATIONS):
            touched = collide(self.block, self.wall, walled)
            touched |= collide(self.agent, self.block, beside_block)
            touched |= collide(self.agent, self.wall, beside_wall)
            if not touched:
                break
        self._land(self.ground, -GROUND_TOP, GROUND_TOP)
        self._win()

    def _win(self) -> None:
        on_goal = _within(GOAL, self.agent.position, HALF) & ~self.ended
        if on_goal.any():
            arrived = np.flatnonzero(on_goal & self._stands())
            self.set_reward(arrived, 1.0)
            self.end_episode(arrived)

    def _land(self, solid: Bodies, bottom: float | Floats, top: float | Floats) -> NDArray[np.bool_]:
        """Lift agents that are deeper beside than above a solid onto it; [n] who is beside it instead."""
        low, high = self.height - HALF, self.height + HALF
        rows, depth, _ = overlap(self.agent, solid, (low < top) & (high > bottom))
        sunk = (top - low)[rows]
        lifted = sunk <= depth
        on_top = rows[lifted]
        self.height[on_top] += sunk[lifted]
        self.climb[on_top] = np.maximum(self.climb[on_top], 0)
        beside = np.zeros(self.num_agents, bool)
        beside[rows[~lifted]] = True
        return beside

    def draw(self, canvas: Canvas, area: int) -> None:
        """The floor from above, and beside it everything from the side."""
        canvas.box(GROUND[:2], GROUND[2:], FLOOR)
        canvas.box(GOAL[:2], GOAL[2:], GOAL_COLOR)
        wall, block = self.wall_top[area], self.block.position[area]
        if wall > GROUND_TOP:
            canvas.box(WALL[:2], WALL[2:], WALL_COLOR, height=wall - GROUND_TOP)
        canvas.box(block, (3, 3), MOVABLE, height=2)
        canvas.agent(self.agent.position[area], self.agent.yaw[area])
        canvas.box((PROFILE - 0.25, GROUND[1]), (0.5, GROUND[3]), FAINT)
        for z, depth, low, high, color in (
            (GOAL[1], GOAL[3], GROUND_TOP, GROUND_TOP + 0.3, GOAL_COLOR),
            (WALL[1], WALL[3], GROUND_TOP, wall, WALL_COLOR),
            (block[1], 3, *BLOCK_HEIGHTS, MOVABLE),
            (self.agent.position[area, 1], 1, self.height[area] - HALF, self.height[area] + HALF, AGENT),
        ):
            if high > low:
                canvas.box((PROFILE + (low + high) / 2 - GROUND_TOP, z), (high - low, depth), color)

    def _stands(self) -> NDArray[np.bool_]:
        """[n] whether a ray of 1 m from just below the agent's middle hits something to stand on."""
        return self._is_over(0.0, self.height - 1.05, self.height - 0.05)

    def _near_ground(self) -> NDArray[np.bool_]:
        """[n] whether the agent's box, a little narrower and 0.05 lower, holds something to stand on."""
        return self._is_over(FOOT, self.height - 0.05 - HALF, np.full(self.num_agents, np.inf))

    def _is_over(self, around: float, least: Floats, most: Floats) -> NDArray[np.bool_]:
        """[n] whether there is a top between two heights below the agent's middle, or `around` m from it."""
        solids = Bodies.joined(self.ground, self.wall, self.block)
        feet = Bodies.joined(self.agent, self.agent, self.agent)
        feet.half[:] = around
        top = np.repeat([[GROUND_TOP], [0.0], [BLOCK_HEIGHTS[1]]], self.num_agents, axis=1)
        top[1] = self.wall_top
        over, _, _ = overlap(feet, solids, ((least <= top) & (top <= most)).ravel())
        found = np.zeros(self.num_agents, bool)
        found[over % self.num_agents] = True
        return found


def _within(box: tuple[float, float, float, float], position: Floats, around: float = 0.0) -> NDArray[np.bool_]:
    """[n] whether points, or squares `around` them, are at least in part inside a box."""
    x, z, *sizes = box
    return (np.abs(position - [x, z]) < np.array(sizes) / 2 + around).all(axis=1)
