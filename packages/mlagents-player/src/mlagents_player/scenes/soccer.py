"""SoccerTwos: two teams of two push a ball into one another's goal."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mlagents_player.canvas import AGENT, INK, RIVAL, Canvas
from mlagents_player.canvas import WALL as WALL_COLOR
from mlagents_player.parameters import EnvironmentParameters
from mlagents_player.plane import STEP, Boxes, Discs, Floats, forward, part_discs, right
from mlagents_player.scenes.base import Actions, ActionSpec, BehaviorSpec, Rows, Scene
from mlagents_player.sensors import RaySensor, Stack, stacked

PLAYERS, BALL = 4, 4  # of an area: the first two are blue, then two are purple; the ball comes last
RUN_SPEED, AHEAD, ASIDE = 2.0, 1.0, 0.3  # m/s added in a step, and its parts for players of the position Generic
TURN = 100.0 * STEP  # degrees a step
DRAG = np.array([3.0] * PLAYERS + [1.0])
MASS = np.array([50.0] * PLAYERS + [3.0])
BOUNCE = np.zeros((PLAYERS + 1, PLAYERS + 1))
BOUNCE[BALL] = BOUNCE[:, BALL] = 0.8
WALL_BOUNCE = BOUNCE[BALL] * (np.arange(PLAYERS + 1) == BALL)
SLOW = 2.0  # m/s, up to which nothing bounces: Unity's bounce threshold
KICK = 2000.0 * STEP / MASS[BALL]  # m/s
RADIUS, BALL_RADIUS, BALL_SCALE = 0.5, 41.61146 * 0.015, 7.5
HEIGHT = 0.5  # of the middle of players and ball above the floor, m; the rays are as much higher
FIELD = np.array([15.5, 7.508])  # half of its length, up to the goals, and of its width, m
MOUTH, GOAL_BACK = 4.15, 17.37  # half of a goal's width, and how far its back is from the middle, m
POST = np.array([FIELD[0], MOUTH])  # where a corner's wall and the goal's net meet
CORNER_YAW = 60.0  # degrees, of the walls across the corners
TOUCH_REWARD = 0.2  # times `ball_touch`
SIDE = np.array([-1, -1, 1, 1])  # which goal each player defends
START_X, START_Z = 8.19, np.array([1.2, -1.2, 1.2, -1.2])
BALL_TAG, OWN_GOAL, OTHER_GOAL, WALL, MATE, OPPONENT = range(6)
FRONT = RaySensor(tags=6, rays_per_direction=5, max_degrees=60, length=20)
BACK = RaySensor(tags=6, rays_per_direction=1, max_degrees=45, length=20, facing=180)
DEPTH = 3
PITCH, LINE = (178, 223, 188), (235, 251, 238)
WALLS = Boxes.fixed(
    *((0.0, side * 7.738, 31.0, 0.46) for side in (-1, 1)),
    *((x * 14.46, z * 6.41, 4.8, 0.46) for x in (-1, 1) for z in (-1, 1)),
)
WALLS.yaw[0, 2:] = CORNER_YAW * np.array([1, -1, -1, 1])
FLOOR = (16.5, 0.0, 2.0, 8.5)  # of the goal at positive x, as its nets: x, z and sizes
NETS = ((16.5, -4.2, 2.0, 0.1), (16.5, 4.2, 2.0, 0.1), (17.435, 0.0, 0.13, 8.3))
GOALS = {side: Boxes.fixed(*((side * x, z, depth, width) for x, z, depth, width in NETS)) for side in (-1, 1)}


class SoccerTwos(Scene):
    """Eight fields by default, each with two teams of two; a team is a group.

    A goal ends the episode with the group reward 1 - time / 5000 for one team and -1 for the other; the ball scores
    when it touches the goal's floor or nets.

    Environment parameters, read at each episode's start: `ball_scale` (7.5), and `ball_touch` (0), of which a player
    who touches the ball has a fifth as a reward.

    Source: AgentSoccer.cs, SoccerEnvController.cs, SoccerFieldTwos.prefab and Bouncy.physicMaterial of ML-Agents'
    Unity project (a66ffbf0): rewards, actions, sensors, walls, goals, weights, drag, bounce, kicks and places to start.

    Not taken over: the ball's spin and its friction with floor, walls and players, so that it slides where Unity's
    rolls; the 3 cm by which Unity's goals differ. `ball_scale` is in ML-Agents' documentation; Unity's scripts do not
    read it any more.
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
    view = (-17.6, -8, 17.6, 8)
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
        self.radius[areas, BALL] = BALL_RADIUS * scale / BALL_SCALE
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
            (BALL_TAG, Discs(self.position[areas, BALL, None], _seen(self.radius[areas, BALL, None]))),
            (OWN_GOAL, GOALS[side]),
            (OTHER_GOAL, GOALS[-side]),
            (WALL, WALLS),
            (MATE, Discs(self.position[areas, player ^ 1, None], _seen(RADIUS))),
            (OPPONENT, Discs(self.position[areas][:, others], _seen(RADIUS))),
        ]

    def act(self, agents: Rows, actions: Actions) -> None:
        """Run and turn, the way to run being that from before the turn; who runs ahead kicks what they touch."""
        area, player = np.divmod(agents, PLAYERS)
        ahead, aside, turn = actions.discrete.T
        yaw = self.yaw[area, player]
        self.yaw[area, player] = yaw + TURN * np.choose(turn, [0, -1, 1])
        way = AHEAD * np.choose(ahead, [0, 1, -1])[:, None] * forward(yaw)
        way = np.where(aside[:, None] == 0, way, ASIDE * np.choose(aside, [0, 1, -1])[:, None] * right(yaw))
        self.velocity[area, player] += RUN_SPEED * way
        self.kicks[area, player] = ahead == 1

    def simulate(self) -> None:
        """Run, bounce and kick; a goal rewards the teams and ends the episode of all four."""
        self.velocity *= (1 - DRAG * STEP)[:, None]
        self.position += STEP * self.velocity
        touch = part_discs(self.position, self.velocity, self.radius, MASS, BOUNCE, SLOW)[:, :PLAYERS, BALL]
        begun = touch & ~self.touched
        self.add_reward(np.arange(self.num_agents), TOUCH_REWARD * (self.ball_touch * begun).ravel())
        self._kick(begun & self.kicks)
        self.touched = touch
        scored = self._scored()
        self._bounce_off_walls()
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
        for side, color in ((-1, AGENT), (1, RIVAL)):
            canvas.box((side * (FIELD[0] + GOAL_BACK) / 2, 0), (GOAL_BACK - FIELD[0], 2 * MOUTH), (*color, 150))
        corner = float(POST[0] - (FIELD[1] - MOUTH) / np.sqrt(3))  # x at which the walls across the corners begin
        upper = np.array([(-FIELD[0], MOUTH), (-corner, FIELD[1]), (corner, FIELD[1]), (FIELD[0], MOUTH)])
        canvas.polygon([*upper, *-upper], PITCH)
        for walls in (upper, -upper):
            canvas.line(walls, WALL_COLOR, 0.4)
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

    def _scored(self) -> NDArray[np.float64]:
        """[areas] 1 or -1 where the ball touches the goal at positive or negative x, else 0."""
        side = np.sign(self.position[:, BALL, 0])
        place = self.position[:, BALL] * np.stack([side, np.ones_like(side)], axis=1)
        radius = self.radius[:, BALL]
        on_floor = _gap(place, FLOOR) < np.sqrt(np.maximum(radius**2 - HEIGHT**2, 0))
        in_net = np.any([_gap(place, net) < radius for net in NETS], axis=0)
        return np.where(on_floor | in_net, side, 0)

    def _bounce_off_walls(self) -> None:
        """Players stop and the ball bounces, at walls and in goals; all as if x and z were positive."""
        mirror = np.copysign(1.0, self.position)
        place, velocity = mirror * self.position, mirror * self.velocity
        for wall in (_side, _end, _back):
            depth, outward = wall(place, self.radius)
            met = depth > 0
            place -= np.where(met, depth, 0)[..., None] * outward
            speed = np.maximum(np.sum(velocity * outward, axis=-1), 0) * met
            velocity -= (speed * (1 + WALL_BOUNCE * (speed > SLOW)))[..., None] * outward
        self.position, self.velocity = mirror * place, mirror * velocity


def _seen(radius: Floats | float) -> Floats:
    """What a ray's ball, which flies higher than the middle of a ball of this radius, meets of it: a smaller disc."""
    return np.sqrt((np.asarray(radius) + FRONT.radius) ** 2 - HEIGHT**2) - FRONT.radius


def _gap(place: Floats, box: tuple[float, float, float, float]) -> Floats:
    """[n] m from places [n, 2] to a box, given as x, z and sizes; 0 inside."""
    x, z, *sizes = box
    return np.hypot(*np.maximum(np.abs(place - [x, z]) - np.array(sizes) / 2, 0).T)


def _side(place: Floats, radius: Floats) -> tuple[Floats, Floats]:
    """How deep discs are in the wall along the field, and its outward normal."""
    return place[..., 1] + radius - FIELD[1], np.array([0.0, 1.0])


def _back(place: Floats, radius: Floats) -> tuple[Floats, Floats]:
    """How deep discs are in the back of the goal, and its outward normal."""
    return place[..., 0] + radius - GOAL_BACK, np.array([1.0, 0.0])


def _end(place: Floats, radius: Floats) -> tuple[Floats, Floats]:
    """How deep discs are in the wall across the corner, the goal's post or its side, and the outward normal there."""
    offset = place - POST
    wall = forward(np.array(CORNER_YAW))
    is_beside_wall = offset @ right(np.array(CORNER_YAW)) <= 0
    is_in_goal = ~is_beside_wall & (offset[..., 0] > 0)
    distance = np.hypot(*np.moveaxis(offset, -1, 0))
    depth = np.where(is_beside_wall, offset @ wall + radius, radius - distance)
    outward = np.where(is_beside_wall[..., None], wall, -offset / np.maximum(distance, 1e-9)[..., None])
    depth = np.where(is_in_goal, offset[..., 1] + radius, depth)
    return depth, np.where(is_in_goal[..., None], [0.0, 1.0], outward)
