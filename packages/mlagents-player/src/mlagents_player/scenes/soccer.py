"""SoccerTwos: two teams of two push a ball into one another's goal."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mlagents_player.canvas import AGENT, INK, RIVAL, Canvas
from mlagents_player.canvas import WALL as WALL_COLOR
from mlagents_player.parameters import EnvironmentParameters
from mlagents_player.plane import STEP, Boxes, Discs, forward, part_discs, right
from mlagents_player.scenes.base import Actions, ActionSpec, BehaviorSpec, Rows, Scene
from mlagents_player.sensors import RaySensor, Stack, stacked

PLAYERS, BALL = 4, 4  # of an area: the first two are blue, then two are purple; the ball comes last
RUN_SPEED, AHEAD, ASIDE = 2.0, 1.3, 0.3  # m/s added in a step, and its parts
TURN = 100.0 * STEP  # degrees a step
DRAG = np.array([4.0] * PLAYERS + [0.5])
MASS = np.array([10.0] * PLAYERS + [15.0])
BOUNCE = np.zeros((PLAYERS + 1, PLAYERS + 1))
BOUNCE[BALL], BOUNCE[:, BALL], WALL_BOUNCE = 0.5, 0.5, 0.6
KICK = 2000.0 * STEP / MASS[BALL]  # m/s
FIELD = np.array([15.0, 7.5])  # half of its length and width, m
MOUTH = 3.0  # half of a goal's width, m
RADIUS, BALL_SCALE = 0.5, 7.5
TOUCH_REWARD = 0.2  # times `ball_touch`
SIDE = np.array([-1, -1, 1, 1])  # which goal each player defends
START_X, START_Z = 5.0, np.array([-2.5, 2.5, -2.5, 2.5])
BALL_TAG, OWN_GOAL, OTHER_GOAL, WALL, MATE, OPPONENT = range(6)
FRONT = RaySensor(tags=6, rays_per_direction=5, max_degrees=60, length=20)
BACK = RaySensor(tags=6, rays_per_direction=1, max_degrees=45, length=20, facing=180)
DEPTH = 3
PITCH, LINE = (178, 223, 188), (235, 251, 238)
WALLS = Boxes.fixed(
    *((0.0, side * (FIELD[1] + 0.5), 32.0, 1.0) for side in (-1, 1)),
    *((x * (FIELD[0] + 0.5), z * (FIELD[1] + MOUTH) / 2, 1.0, FIELD[1] - MOUTH) for x in (-1, 1) for z in (-1, 1)),
)
GOALS = {side: Boxes.fixed((side * (FIELD[0] + 0.5), 0.0, 1.0, 2 * MOUTH)) for side in (-1, 1)}


class SoccerTwos(Scene):
    """Eight fields by default, each with two teams of two; a team is a group.

    A goal ends the episode with the group reward 1 - time / 5000 for one team and -1 for the other. Rewards, actions,
    sensors and kicks are Unity's; the field's size and the weights are not published and are this scene's own.

    Environment parameters, read at each episode's start: `ball_scale` (7.5), and `ball_touch` (0), of which a player
    who touches the ball has a fifth as a reward.
    """

    description = "two teams of two play football against one another"
    behaviors: ClassVar = {
        f"SoccerTwos?team={team}": BehaviorSpec(
            [
                stacked(DEPTH, FRONT.size, "RayPerceptionSensor"),
                stacked(DEPTH, BACK.size, "RayPerceptionSensorReverse"),
            ],
            ActionSpec(0, (3, 3, 3)),
        )
        for team in (0, 1)
    }
    parameter_names = ("ball_scale", "ball_touch")
    areas = 8
    agents_per_area = PLAYERS
    decision_period = 5
    max_step = 5000
    view = (-16.5, -8, 16.5, 8)
    close_up = 8.0
    action_names = (("", "ahead", "back"), ("", "right", "left"), ("", "turn left", "turn right"))

    def __init__(self, num_areas: int, rng: np.random.Generator, parameters: EnvironmentParameters) -> None:
        super().__init__(num_areas, rng, parameters)
        self.position = np.zeros((num_areas, PLAYERS + 1, 2))
        self.velocity = np.zeros((num_areas, PLAYERS + 1, 2))
        self.radius = np.full((num_areas, PLAYERS + 1), RADIUS)
        self.yaw = np.zeros((num_areas, PLAYERS))
        self.kicks = np.zeros((num_areas, PLAYERS), bool)
        self.touched = np.zeros((num_areas, PLAYERS), bool)
        self.ball_touch = np.zeros((num_areas, PLAYERS))
        team = np.arange(self.num_agents) % PLAYERS // 2
        self.behavior_index[:] = team
        self.group_ids[:] = 1 + 2 * (np.arange(self.num_agents) // PLAYERS) + team
        self.stacks = [Stack(self.num_agents, sensor.size, DEPTH) for sensor in (FRONT, BACK)]

    def reset(self, agents: Rows) -> None:
        """Kick off: players on their halves, looking at the other goal, the ball near the middle."""
        areas = np.unique(agents // PLAYERS)
        count = len(areas)
        shift = self.rng.uniform(-5, 5, (count, PLAYERS))
        self.position[areas, :PLAYERS, 0] = START_X * SIDE + shift
        self.position[areas, :PLAYERS, 1] = START_Z
        self.position[areas, BALL] = self.rng.uniform(-2.5, 2.5, (count, 2))
        self.velocity[areas] = 0
        self.yaw[areas] = -SIDE * self.rng.uniform(80, 100, (count, PLAYERS))
        scale = np.clip(self.parameters.draw("ball_scale", BALL_SCALE, count), 1, 20)
        self.radius[areas, BALL] = RADIUS * scale / BALL_SCALE
        self.ball_touch[areas] = self.parameters.draw("ball_touch", 0.0, count * PLAYERS).reshape(count, PLAYERS)
        self.kicks[areas] = self.touched[areas] = False
        for stack in self.stacks:
            stack.clear(agents)

    def observe(self, behavior: str, agents: Rows) -> list[NDArray[np.float32]]:
        """What rays to the front hit, then what rays to the back hit, each as in the last three decisions."""
        seen = np.zeros((len(agents), FRONT.size), np.float32), np.zeros((len(agents), BACK.size), np.float32)
        for player in np.unique(agents % PLAYERS):
            rows = np.flatnonzero(agents % PLAYERS == player)
            areas = agents[rows] // PLAYERS
            for sensor, values in zip((FRONT, BACK), seen, strict=True):
                values[rows] = sensor.read(
                    self.position[areas, player], self.yaw[areas, player], self._targets(areas, int(player))
                )
        return [stack.push(agents, values) for stack, values in zip(self.stacks, seen, strict=True)]

    def _targets(self, areas: Rows, player: int) -> list[tuple[int, Boxes | Discs]]:
        """What one player of each area can see."""
        side = int(SIDE[player])
        others = np.flatnonzero(side != SIDE)
        return [
            (BALL_TAG, Discs(self.position[areas, BALL, None], RADIUS)),
            (OWN_GOAL, GOALS[side]),
            (OTHER_GOAL, GOALS[-side]),
            (WALL, WALLS),
            (MATE, Discs(self.position[areas, player ^ 1, None], RADIUS)),
            (OPPONENT, Discs(self.position[areas][:, others], RADIUS)),
        ]

    def act(self, agents: Rows, actions: Actions) -> None:
        """Turn and run; who runs ahead kicks what they touch."""
        area, player = np.divmod(agents, PLAYERS)
        ahead, aside, turn = actions.discrete.T
        self.yaw[area, player] += TURN * np.choose(turn, [0, -1, 1])
        yaw = self.yaw[area, player]
        way = AHEAD * np.choose(ahead, [0, 1, -1])[:, None] * forward(yaw)
        way = np.where(aside[:, None] == 0, way, ASIDE * np.choose(aside, [0, 1, -1])[:, None] * right(yaw))
        self.velocity[area, player] += RUN_SPEED * way
        self.kicks[area, player] = ahead == 1

    def simulate(self) -> None:
        """Run, bounce and kick; a goal rewards the teams and ends the episode of all four."""
        self.velocity *= (1 - DRAG * STEP)[:, None]
        self.position += STEP * self.velocity
        touch = part_discs(self.position, self.velocity, self.radius, MASS, BOUNCE)[:, :PLAYERS, BALL]
        begun = touch & ~self.touched
        self.add_reward(np.arange(self.num_agents), TOUCH_REWARD * (self.ball_touch * begun).ravel())
        self._kick(begun & self.kicks)
        self.touched = touch
        self._bounce_off_walls()
        scored = np.sign(self.position[:, BALL, 0]) * (np.abs(self.position[:, BALL, 0]) > FIELD[0])
        for side in (-1, 1):
            for area in np.flatnonzero(scored == side):
                agents = area * PLAYERS + np.arange(PLAYERS)
                time = self.step_count[agents[0]] / self.max_step
                self.group_rewards[agents] += np.where(side == SIDE, -1.0, 1 - time)
                self.end_episode(agents)

    def focus(self, area: int) -> tuple[float, float]:
        """The first blue player."""
        x, z = self.position[area, 0]
        return float(x), float(z)

    def draw(self, canvas: Canvas, area: int) -> None:
        """The field with its goals, players in their teams' colours and the ball."""
        canvas.box((0, 0), 2 * (FIELD + 0.4), WALL_COLOR)
        canvas.box((0, 0), 2 * FIELD, PITCH)
        for side, color in ((-1, AGENT), (1, RIVAL)):
            canvas.box((side * (FIELD[0] + 0.6), 0), (1.2, 2 * MOUTH), (*color, 150))
        canvas.line([(0, -FIELD[1]), (0, FIELD[1])], LINE)
        canvas.disc((0, 0), 2.5, LINE)
        canvas.disc((0, 0), 2.4, PITCH)
        for player in range(PLAYERS):
            color = AGENT if SIDE[player] < 0 else RIVAL
            canvas.agent(self.position[area, player], self.yaw[area, player], color)
        canvas.disc(self.position[area, BALL], self.radius[area, BALL], INK, height=0.5)
        canvas.disc(self.position[area, BALL], 0.85 * self.radius[area, BALL], (255, 255, 255))

    def _kick(self, kicked: NDArray[np.bool_]) -> None:
        area, player = np.nonzero(kicked)
        way = self.position[area, BALL] - self.position[area, player]
        way /= np.maximum(np.hypot(*way.T), 1e-9)[:, None]
        np.add.at(self.velocity[:, BALL], area, KICK * way)

    def _bounce_off_walls(self) -> None:
        """Players stop and the ball bounces at the walls; the ball may enter the goals."""
        limit = FIELD - self.radius[..., None]
        in_mouth = np.abs(self.position[:, BALL, 1]) < MOUTH
        limit[in_mouth, BALL, 0] = np.inf
        beyond = np.abs(self.position) > limit
        outward = beyond & (self.velocity * self.position > 0)
        self.position = np.clip(self.position, -limit, limit)
        kept = np.zeros(PLAYERS + 1)
        kept[BALL] = -WALL_BOUNCE
        self.velocity = np.where(outward, kept[:, None] * self.velocity, self.velocity)
