"""3DBallHard: 3DBall whose agents do not see how fast the ball moves."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mlagents_player.parameters import EnvironmentParameters
from mlagents_player.scenes.ball3d import Ball3D
from mlagents_player.scenes.base import ActionSpec, BehaviorSpec, Rows
from mlagents_player.sensors import Stack, stacked

DEPTH = 9
POSITION, ROTATION = slice(2, 5), slice(0, 2)  # in 3DBall's observation


class Ball3DHard(Ball3D):
    """3DBall in which speed shows only in the last nine positions and rotations.

    Environment parameters: `gravity`. `scale` acts only if it is set before the first episode, because the script
    of this scene reads it once.
    """

    description = "3DBall without velocities: nine stacked positions and rotations"
    behaviors: ClassVar = {
        "3DBallHard": BehaviorSpec(
            [stacked(DEPTH, 3, "PositionDelta"), stacked(DEPTH, 2, "Rotation")], ActionSpec(2, ())
        )
    }
    components = ()

    def __init__(self, num_areas: int, rng: np.random.Generator, parameters: EnvironmentParameters) -> None:
        super().__init__(num_areas, rng, parameters)
        self.stacks = [Stack(self.num_agents, size, DEPTH) for size in (3, 2)]
        self.sized = np.zeros(self.num_agents, bool)

    def reset(self, agents: Rows) -> None:
        """As 3DBall, but a ball keeps the size of its first episode."""
        radius = np.where(self.sized[agents], self.balls.radius[agents], np.nan)
        super().reset(agents)
        self.balls.radius[agents] = np.where(np.isnan(radius), self.balls.radius[agents], radius)
        self.sized[agents] = True
        for stack in self.stacks:
            stack.clear(agents)

    def observe(self, behavior: str, agents: Rows) -> list[NDArray[np.float32]]:
        """The last nine positions of the ball, then the last nine rotations of the platform."""
        (seen,) = super().observe(behavior, agents)
        return [
            stack.push(agents, seen[:, part]) for stack, part in zip(self.stacks, (POSITION, ROTATION), strict=True)
        ]

    def restore(self, agents: Rows, observations: list[NDArray[np.float32]], start: bool) -> None:
        """There are no recordings of this scene to compare with."""
        raise NotImplementedError
