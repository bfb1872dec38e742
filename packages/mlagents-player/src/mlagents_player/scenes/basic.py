"""Basic: a line of twenty places with a small goal on the left and a large one on the right."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mlagents_player.canvas import AGENT, FLOOR, GOAL, Canvas
from mlagents_player.parameters import EnvironmentParameters
from mlagents_player.scenes.base import Actions, ActionSpec, BehaviorSpec, Rows, Scene, vector_observation

START, SMALL_GOAL, LARGE_GOAL, EXTENT = 10, 7, 17, 20
FAINT_GOAL = (178, 223, 188)
MOVES = np.array([0, -1, 1])  # stay, left, right


class Basic(Scene):
    """One agent on a line; 0.93 is the best return (seven moves right), 0.07 that of the small goal."""

    description = "walk along a line to the larger of two goals"
    behaviors: ClassVar = {"Basic": BehaviorSpec([vector_observation(EXTENT, "Basic")], ActionSpec(0, (3,)))}
    parameter_names = ()
    reloads = True
    view = (-0.5, -1.5, EXTENT - 0.5, 1.5)
    action_names = (("stay", "left", "right"),)
    pace = 0.25

    def __init__(self, num_areas: int, rng: np.random.Generator, parameters: EnvironmentParameters) -> None:
        super().__init__(num_areas, rng, parameters)
        self.position: NDArray[np.int32] = np.full(self.num_agents, START, np.int32)

    def reset(self, agents: Rows) -> None:
        """Back to the middle; in Unity this loads the scene anew."""
        self.position[agents] = START

    def observe(self, behavior: str, agents: Rows) -> list[NDArray[np.float32]]:
        """One-hot of the position."""
        return [np.eye(EXTENT, dtype=np.float32)[self.position[agents]]]

    def act(self, agents: Rows, actions: Actions) -> None:
        """Move, pay 0.01, and end the episode on a goal."""
        moved = np.clip(self.position[agents] + MOVES[actions.discrete[:, 0]], 0, EXTENT)
        self.position[agents] = moved
        self.add_reward(agents, -0.01)
        for goal, reward in ((SMALL_GOAL, 0.1), (LARGE_GOAL, 1.0)):
            arrived = agents[moved == goal]
            self.add_reward(arrived, reward)
            self.end_episode(arrived)

    def draw(self, canvas: Canvas, area: int) -> None:
        """A line of places with the two goals."""
        for place in range(EXTENT):
            color = {SMALL_GOAL: FAINT_GOAL, LARGE_GOAL: GOAL}.get(place, FLOOR)
            canvas.box((place, 0), (0.9, 0.9), color)
        canvas.text((SMALL_GOAL, 0), "0.1", 0.35)
        canvas.text((LARGE_GOAL, 0), "1", 0.5)
        canvas.disc((self.position[area], 0), 0.33, AGENT, height=0.3)

    def restore(self, agents: Rows, observations: list[NDArray[np.float32]], start: bool) -> None:
        """Read the position off the one-hot vector."""
        self.position[agents] = observations[0].argmax(axis=1)
