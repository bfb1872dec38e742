"""Toy tasks that ask for a kind of observation; each can hide what is to be seen, for a control that must fail."""

from typing import Any

import numpy as np
from mlagents_envs.base_env import ActionSpec, ActionTuple

from mlagents_plugin_shared.testing import Outcome, ToyEnv


class _Choice(ToyEnv):
    """Choose the action that is shown; reward 1 if it is right. One step is an episode."""

    def __init__(self, *args: Any, hidden: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.hidden = hidden
        self.right = np.zeros(self.num_agents, dtype=int)

    def begin(self, agents: np.ndarray) -> None:
        self.right[agents] = self.rng.integers(0, self.action_spec.discrete_branches[0], len(agents))

    def act(self, action: ActionTuple) -> Outcome:
        over = np.ones(self.num_agents, dtype=bool)
        return (action.discrete[:, 0] == self.right).astype(float), over, ~over


class Picture(_Choice):
    """A picture of 20x20, one of its three thirds brighter than the noise."""

    action_spec = ActionSpec(0, (3,))
    observation_shapes = ((1, 20, 20),)

    def observe(self) -> list[np.ndarray]:
        picture = self.rng.random((self.num_agents, 1, 20, 20)).astype(np.float32) / 2
        for agent, third in enumerate(self.right):
            picture[agent, :, :, 7 * third : 7 * third + 6] += 0.0 if self.hidden else 0.5
        return [picture]


class Crowd(_Choice):
    """Up to five entities in any order; all are alike but one, which has a colour: choose that."""

    action_spec = ActionSpec(0, (2,))
    observation_shapes = ((5, 3), (1,))

    def observe(self) -> list[np.ndarray]:
        crowd = np.zeros((self.num_agents, 5, 3), np.float32)
        for agent, colour in enumerate(self.right):
            size = self.rng.integers(1, 6)
            crowd[agent, :size, 2] = 1
            crowd[agent, self.rng.integers(size), colour] = 0 if self.hidden else 1
        return [crowd, np.ones((self.num_agents, 1), np.float32)]
