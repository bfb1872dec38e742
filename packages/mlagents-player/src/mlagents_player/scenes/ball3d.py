"""3DBall: platforms that turn so that a ball stays on their heads."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mlagents_player.canvas import Canvas
from mlagents_player.parameters import EnvironmentParameters
from mlagents_player.perspective import draw_ball, draw_box, draw_shadow
from mlagents_player.physics import HALF_SIDE, Balls, Floats, axis_rotation, matrices, multiply
from mlagents_player.scenes.base import Actions, ActionSpec, BehaviorSpec, Rows, Scene, vector_observation

MAX_TURN = 2.0  # degrees an academy step about each axis
MAX_TILT = 0.25  # of a quaternion's component, about 29 degrees
START_TILT, START_OFFSET, START_HEIGHT = 10.0, 1.5, 4.0
MIN_SCALE = 0.01  # a ball of no size has no inertia to divide by
SIDE, DEPTH = 3.0, -2.0  # the ball is lost beyond these
X, Y, Z = 0, 1, 2


class Ball3D(Scene):
    """Twelve platforms by default; 100 is the best return, 0.1 a decision over 1000 decisions.

    Environment parameters: `scale` (1) of the ball, read at each episode's start, and `gravity` (9.81), which
    acts at once. `mass` (1) may be set too and changes nothing, as in any rigid-body engine: all that the
    ball feels is its weight and an immovable platform.
    """

    description = "keep a ball on a platform by tilting it"
    behaviors: ClassVar = {"3DBall": BehaviorSpec([vector_observation(8)], ActionSpec(2, ()))}
    components = (
        "rotation z",
        "rotation x",
        *(f"{kind} {axis}" for kind in ("position", "velocity") for axis in "xyz"),
    )
    parameter_names = ("gravity", "mass", "scale")
    areas = 12
    decision_period = 5
    max_step = 5000
    view = (-5.5, -5, 5.5, 5.5)

    def __init__(self, num_areas: int, rng: np.random.Generator, parameters: EnvironmentParameters) -> None:
        super().__init__(num_areas, rng, parameters)
        self.rotation: NDArray[np.float64] = np.zeros((self.num_agents, 4))
        self.balls = Balls(self.num_agents)

    def reset(self, agents: Rows) -> None:
        """Tilt the platform at random and drop the ball on it; the ball keeps its spin, as in Unity."""
        count = len(agents)
        tilt_x, tilt_z = self.rng.uniform(-START_TILT, START_TILT, (2, count))
        self.rotation[agents] = multiply(axis_rotation(X, tilt_x), axis_rotation(Z, tilt_z))
        position = self.rng.uniform(-START_OFFSET, START_OFFSET, (count, 3))
        position[:, Y] = START_HEIGHT
        self.balls.position[agents] = position
        self.balls.velocity[agents] = 0
        scale = np.abs(self.parameters.draw("scale", 1.0, count))
        self.balls.radius[agents] = 0.5 * np.maximum(scale, MIN_SCALE)

    def observe(self, behavior: str, agents: Rows) -> list[NDArray[np.float32]]:
        """Platform's quaternion z and x, ball's position relative to the platform, ball's velocity."""
        tilt = self.rotation[agents][:, [3, 1]]
        observation = np.hstack([tilt, self.balls.position[agents], self.balls.velocity[agents]])
        return [observation.astype(np.float32)]

    def act(self, agents: Rows, actions: Actions) -> None:
        """Turn the platforms about z, then x; a lost ball costs 1 and ends the episode."""
        turn_z, turn_x = MAX_TURN * np.clip(actions.continuous, -1, 1).T.astype(np.float64)
        self.rotation[agents] = turn(turn(self.rotation[agents], Z, turn_z), X, turn_x)
        x, y, z = self.balls.position[agents].T
        lost = (y < DEPTH) | (np.abs(x) > SIDE) | (np.abs(z) > SIDE)
        self.set_reward(agents, np.where(lost, -1.0, 0.1))
        self.end_episode(agents[lost])

    def simulate(self) -> None:
        """Let the balls fall, touch and roll."""
        self.balls.step(self.rotation)

    def parameters_changed(self, names: set[str]) -> None:
        """A new gravity acts at once; one with a sampler is drawn once, when it arrives."""
        if "gravity" in names:
            self.balls.gravity = self.parameters.get("gravity", self.balls.gravity)

    def draw(self, canvas: Canvas, area: int) -> None:
        """The platform and its ball in perspective."""
        turned = matrices(self.rotation[area : area + 1])[0]
        position, radius = self.balls.position[area], float(self.balls.radius[area])
        draw_box(canvas, turned, HALF_SIDE)
        draw_shadow(canvas, turned, HALF_SIDE, position, radius)
        draw_ball(canvas, position, radius)

    def restore(self, agents: Rows, observations: list[NDArray[np.float32]], start: bool) -> None:
        """Take rotation, position and velocity as observed.

        A ball's spin and the platform's turn about y are not observed: they are those of a reset at an
        episode's start, and later what the simulation says.
        """
        seen = observations[0].astype(np.float64)
        z, x = seen[:, 0], seen[:, 1]
        if start:
            self.rotation[agents] = reset_rotation(x, z)
            self.balls.spin[agents] = 0
        y = self.rotation[agents, 1 + Y]
        w = np.sqrt(1 - x * x - y * y - z * z)
        self.rotation[agents] = np.stack([w, x, y, z], axis=1)
        self.balls.position[agents] = seen[:, 2:5]
        self.balls.velocity[agents] = seen[:, 5:8]


def turn(rotation: Floats, axis: int, degrees: Floats) -> Floats:
    """Turn platforms about their own axis, unless that would take them further beyond the largest tilt."""
    tilt = rotation[:, 1 + axis]
    allowed = np.where(degrees > 0, tilt < MAX_TILT, tilt > -MAX_TILT)
    return multiply(rotation, axis_rotation(axis, np.where(allowed, degrees, 0)))


def reset_rotation(x: Floats, z: Floats) -> Floats:
    """The rotation about x, then z, whose quaternion has these components.

    (cos a, sin a, 0, 0) (cos b, 0, 0, sin b) = (cos a cos b, sin a cos b, -sin a sin b, cos a sin b),
    so y = -x z / w, and w² is the larger root of w⁴ - (1 - x² - z²) w² + x² z² = 0.
    """
    rest = 1 - x * x - z * z
    w = np.sqrt((rest + np.sqrt(rest * rest - 4 * x * x * z * z)) / 2)
    return np.stack([w, x, -x * z / w, z], axis=1)
