"""3DBallDiscrete: 3DBall whose platforms turn by a whole step, or not at all."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from mlagents_player.scenes.ball3d import Ball3D
from mlagents_player.scenes.base import Actions, ActionSpec, BehaviorSpec, Rows, vector_observation

TURNS = np.array([(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)], np.float32)  # about z and x, in parts of the largest


class Ball3DDiscrete(Ball3D):
    """3DBall for learners of discrete actions: stay, or the largest turn about one axis, to one of its sides.

    Environment parameters: those of 3DBall.
    """

    description = "3DBall with five discrete actions: stay, or turn about one axis"
    behaviors: ClassVar = {"3DBallDiscrete": BehaviorSpec([vector_observation(8)], ActionSpec(0, (len(TURNS),)))}
    action_names = (("", "turn z +", "turn z -", "turn x +", "turn x -"),)

    def act(self, agents: Rows, actions: Actions) -> None:
        """As 3DBall, with the turn that each action means."""
        super().act(agents, Actions(TURNS[actions.discrete[:, 0]], actions.discrete))
