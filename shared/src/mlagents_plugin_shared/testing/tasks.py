"""The tasks; each says its best return, and what chance gets: a trainer that acts at random, but legally."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mlagents_envs.base_env import ActionSpec, ActionTuple

from mlagents_plugin_shared.testing.toy_environment import Outcome, ToyEnv


class Corridor(ToyEnv):
    """Walk right along 6 cells to the goal; +1 there, -0.05 a step, interrupted after 20 steps.

    Best return 0.8 from the left end and 0.85 from the cell after it, chance -0.6. Actions: stay, left, right. With
    `masked`, walking into the left wall is forbidden, and so is staying, which random play would do often. The
    environment parameter `start` is the cell to start from, at most 3.
    """

    action_spec = ActionSpec(0, (3,))
    observation_shapes = ((6,),)

    def __init__(self, *args: Any, masked: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.masked = masked
        self.cell = np.zeros(self.num_agents, dtype=int)
        self.age = np.zeros(self.num_agents, dtype=int)

    def begin(self, agents: np.ndarray) -> None:
        """At the start, which is the left end, or the cell after it."""
        self.cell[agents] = self.rng.integers(0, 2, len(agents)) + int(self.parameters.get("start", 0))
        self.age[agents] = 0

    def observe(self) -> list[np.ndarray]:
        """One-hot cell."""
        return [np.eye(6, dtype=np.float32)[self.cell]]

    def legal(self) -> np.ndarray | None:
        """Right always, left off the wall, staying never, if masked."""
        if not self.masked:
            return None
        return np.stack([np.zeros_like(self.cell, dtype=bool), self.cell > 0, np.ones_like(self.cell, dtype=bool)], 1)

    def act(self, action: ActionTuple) -> Outcome:
        """Moves and pays."""
        self.cell = np.clip(self.cell + np.array([0, -1, 1])[action.discrete[:, 0]], 0, 5)
        self.age += 1
        terminated = self.cell == 5
        return terminated - 0.05, terminated, ~terminated & (self.age >= 20)


class Target(ToyEnv):
    """Say the number that is shown, once an episode: reward 1 - |a - target| with a in [-1, 1]. Best return 1."""

    action_spec = ActionSpec(1, ())
    observation_shapes = ((1,),)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.target = np.zeros(self.num_agents)

    def begin(self, agents: np.ndarray) -> None:
        """A new number."""
        self.target[agents] = self.rng.uniform(-0.8, 0.8, len(agents))

    def observe(self) -> list[np.ndarray]:
        """The number."""
        return [self.target[:, None].astype(np.float32)]

    def act(self, action: ActionTuple) -> Outcome:
        """One step is an episode."""
        over = np.ones(self.num_agents, dtype=bool)
        return 1.0 - np.abs(action.continuous[:, 0] - self.target), over, ~over


class Match(ToyEnv):
    """Choose in every branch the action that is shown: reward the share that matches, once an episode. Best return 1.

    Chance is the mean of 1 / A_d over the branches: 7/18 for the default, 3/8 for branches of 3, 3, 3 and 2. With
    `continuous` the number of `Target` is to be said too, for half of the reward.
    """

    def __init__(
        self, *args: Any, branches: Sequence[int] = (3, 3, 2), continuous: bool = False, **kwargs: Any
    ) -> None:
        self.branches = tuple(branches)
        self.action_spec = ActionSpec(int(continuous), self.branches)
        self.observation_shapes = ((sum(branches) + 1,),)
        super().__init__(*args, **kwargs)
        self.shown = np.zeros((self.num_agents, len(branches)), dtype=int)
        self.target = np.zeros(self.num_agents)

    def begin(self, agents: np.ndarray) -> None:
        """New choices."""
        self.shown[agents] = self.rng.integers(0, self.branches, (len(agents), len(self.branches)))
        self.target[agents] = self.rng.uniform(-0.8, 0.8, len(agents))

    def observe(self) -> list[np.ndarray]:
        """The choices, one-hot side by side, and the number."""
        one_hot = [np.eye(size)[self.shown[:, i]] for i, size in enumerate(self.branches)]
        return [np.concatenate([*one_hot, self.target[:, None]], axis=1).astype(np.float32)]

    def act(self, action: ActionTuple) -> Outcome:
        """One step is an episode."""
        reward = (action.discrete == self.shown).mean(axis=1)
        if self.action_spec.continuous_size:
            reward = (reward + 1.0 - np.abs(action.continuous[:, 0] - self.target)) / 2
        over = np.ones(self.num_agents, dtype=bool)
        return reward, over, ~over


class Mirror(ToyEnv):
    """Say the number that is shown, or its opposite, and choose which of the two it is. Best return 1.

    Reward 1 - |a - t| beside choice 0 and 1 - |a + t| beside choice 1, with a in [-1, 1] and 0.4 <= |t| <= 0.8, once an
    episode. Neither action is right but beside the other: a critic of the choice alone holds both for equal, one of the
    number alone holds all from -|t| to |t| for equal, and whoever follows them gets 0.4 at best. Chance gets 0.31.

    With `apart`, the control, the choice that counts is that of nobody: the best return is 0.4.
    """

    action_spec = ActionSpec(1, (2,))
    observation_shapes = ((1,),)

    def __init__(self, *args: Any, apart: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.apart = apart
        self.target = np.zeros(self.num_agents)

    def begin(self, agents: np.ndarray) -> None:
        """A new number."""
        self.target[agents] = self.rng.choice([-1.0, 1.0], len(agents)) * self.rng.uniform(0.4, 0.8, len(agents))

    def observe(self) -> list[np.ndarray]:
        """The number."""
        return [self.target[:, None].astype(np.float32)]

    def act(self, action: ActionTuple) -> Outcome:
        """One step is an episode."""
        choice = self.rng.integers(0, 2, self.num_agents) if self.apart else action.discrete[:, 0]
        over = np.ones(self.num_agents, dtype=bool)
        return 1.0 - np.abs(action.continuous[:, 0] - np.where(choice == 0, 1.0, -1.0) * self.target), over, ~over


class Recall(ToyEnv):
    """Remember a sign for some steps: +1 for choosing it in the last one, -1 for the other. Best return 1.

    The sign is seen in the first step only: without memory the mean return is 0. `length` is the number of steps.
    """

    action_spec = ActionSpec(0, (2,))
    observation_shapes: Sequence[tuple[int, ...]] = ((3,),)

    def __init__(self, *args: Any, length: int = 3, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.length = length
        self.sign = np.zeros(self.num_agents, dtype=int)
        self.age = np.zeros(self.num_agents, dtype=int)

    def begin(self, agents: np.ndarray) -> None:
        """A new sign."""
        self.sign[agents] = self.rng.integers(0, 2, len(agents))
        self.age[agents] = 0

    def observe(self) -> list[np.ndarray]:
        """The sign, one-hot, in the first step; and whether the choice counts now."""
        sign = np.eye(2)[self.sign] * (self.age == 0)[:, None]
        return [np.concatenate([sign, (self.age == self.length - 1)[:, None]], axis=1).astype(np.float32)]

    def act(self, action: ActionTuple) -> Outcome:
        """Only the choice of the last step counts."""
        self.age += 1
        over = self.age == self.length
        return (
            np.where(over, np.where(action.discrete[:, 0] == self.sign, 1.0, -1.0), 0.0),
            over,
            ~over & over,
        )


class MemoryChain(Recall):
    """`Recall` over many steps, which also shows the share of them that is left, as bsuite's memory length does.

    Source: Osband et al. (2020), https://arxiv.org/abs/1908.03568.
    """

    observation_shapes = ((4,),)

    def __init__(self, *args: Any, length: int = 20, **kwargs: Any) -> None:
        super().__init__(*args, length=length, **kwargs)

    def observe(self) -> list[np.ndarray]:
        """As of `Recall`, and the share of steps that is left, from 1 down."""
        left = 1.0 - self.age[:, None] / self.length
        return [np.concatenate([*super().observe(), left], axis=1).astype(np.float32)]


class Duel(ToyEnv):
    """Two teams call a number from 0 to 2 at the same time; the higher wins, +1 against -1. The best call is 2."""

    action_spec = ActionSpec(0, (3,))
    observation_shapes = ((1,),)
    teams = 2

    def begin(self, agents: np.ndarray) -> None:
        """Every duel is the same."""

    def observe(self) -> list[np.ndarray]:
        """Nothing to see."""
        return [np.ones((2 * self.num_agents, 1), dtype=np.float32)]

    def act(self, action: ActionTuple) -> Outcome:
        """One call is an episode."""
        mine, other = np.split(action.discrete[:, 0], 2)
        won = np.sign(mine - other).astype(float)
        over = np.ones(2 * self.num_agents, dtype=bool)
        return np.concatenate([won, -won]), over, ~over


class MaskedGrid(ToyEnv):
    """Walk from one corner of 4 x 4 cells to the opposite one, by a mask that changes with every step.

    +1 at the goal, -0.05 a step, interrupted after 20 steps. Best return 0.7. Actions: left, right, up, down. At
    each step that could go right or down, one of the two is forbidden, at random, and only the mask says which; so
    are steps off the grid. A forbidden step ends the episode with -1: without the masks half of the first steps do,
    and the mean return is below -0.2. Chance, by legal steps, gets -0.8.
    """

    action_spec = ActionSpec(0, (4,))
    observation_shapes = ((16,),)
    moves = np.array([[-1, 0], [1, 0], [0, -1], [0, 1]])

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.cell = np.zeros((self.num_agents, 2), dtype=int)
        self.shut = np.zeros(self.num_agents, dtype=int)
        self.age = np.zeros(self.num_agents, dtype=int)

    def begin(self, agents: np.ndarray) -> None:
        """In the first corner."""
        self.cell[agents] = 0
        self.age[agents] = 0
        self._shut()

    def observe(self) -> list[np.ndarray]:
        """One-hot cell."""
        return [np.eye(16, dtype=np.float32)[self.cell[:, 0] + 4 * self.cell[:, 1]]]

    def legal(self) -> np.ndarray:
        """What stays on the grid and is not shut."""
        x, y = self.cell.T
        inside = (x < 3) & (y < 3)
        return np.stack(
            [x > 0, (x < 3) & ~(inside & (self.shut == 0)), y > 0, (y < 3) & ~(inside & (self.shut == 1))], 1
        )

    def act(self, action: ActionTuple) -> Outcome:
        """Moves and pays."""
        move = action.discrete[:, 0]
        fell = ~self.legal()[np.arange(self.num_agents), move]
        self.cell += np.where(fell[:, None], 0, self.moves[move])
        self.age += 1
        self._shut()
        arrived = (self.cell == 3).all(axis=1)
        return arrived - 1.0 * fell - 0.05, arrived | fell, ~arrived & ~fell & (self.age >= 20)

    def _shut(self) -> None:
        self.shut = self.rng.integers(0, 2, self.num_agents)


class _Choice(ToyEnv):
    """Choose the right action: reward 1 for it. One step is an episode. Best return 1."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.right = np.zeros(self.num_agents, dtype=int)

    def begin(self, agents: np.ndarray) -> None:
        """Another action is right."""
        self.right[agents] = self.rng.integers(0, self.action_spec.discrete_branches[0], len(agents))

    def act(self, action: ActionTuple) -> Outcome:
        """One step is an episode."""
        over = np.ones(self.num_agents, dtype=bool)
        return (action.discrete[:, 0] == self.right).astype(float), over, ~over


class Picture(_Choice):
    """Say which third of a picture is bright, from left to right; the rest is noise. Best return 1, chance 1/3.

    The picture has one channel of 8 bits, as Unity's cameras send them.
    """

    action_spec = ActionSpec(0, (3,))

    def __init__(self, *args: Any, size: int = 20, **kwargs: Any) -> None:
        self.observation_shapes = ((1, size, size),)
        super().__init__(*args, **kwargs)
        self.picture = np.zeros((self.num_agents, *self.observation_shapes[0]), np.float32)

    def begin(self, agents: np.ndarray) -> None:
        """A new picture."""
        super().begin(agents)
        size = self.picture.shape[3]
        pixels = self.rng.integers(0, 128, self.picture[agents].shape)
        pixels += 127 * (np.arange(size) * 3 // size == self.right[agents, None])[:, None, None]
        self.picture[agents] = pixels.astype(np.float32) / 255

    def observe(self) -> list[np.ndarray]:
        """The picture."""
        return [self.picture.copy()]


class Crowd(_Choice):
    """Say the colour of the marked one among 1 to 5 entities, in any order. Best return 1, chance 1/2.

    An entity is [present, marked, red, blue]; absent ones are zeros, as a BufferSensor of Unity fills up.
    """

    action_spec = ActionSpec(0, (2,))
    observation_shapes = ((5, 4), (1,))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.crowd = np.zeros((self.num_agents, 5, 4), np.float32)

    def begin(self, agents: np.ndarray) -> None:
        """A new crowd."""
        super().begin(agents)
        everyone, count = np.arange(len(agents)), self.rng.integers(1, 6, len(agents))
        marked = self.rng.integers(0, count)
        colour = self.rng.integers(0, 2, (len(agents), 5))
        colour[everyone, marked] = self.right[agents]
        crowd = np.stack([np.ones_like(colour), np.zeros_like(colour), colour == 0, colour == 1], axis=2)
        crowd[everyone, marked, 1] = 1
        self.crowd[agents] = crowd * (np.arange(5) < count[:, None])[:, :, None]

    def observe(self) -> list[np.ndarray]:
        """The crowd; and a constant, as a net needs a sensor besides."""
        return [self.crowd.copy(), np.ones((self.num_agents, 1), np.float32)]


class Goal(_Choice):
    """Say the number that is shown, or the next one if the goal signal asks for it. Best return 1, chance 1/3.

    Without the goal signal half of the answers are right, at best.
    """

    action_spec = ActionSpec(0, (3,))
    observation_shapes = ((3,), (2,))
    goal_sensors = (1,)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.goal = np.zeros(self.num_agents, dtype=int)

    def begin(self, agents: np.ndarray) -> None:
        """Another number and another goal."""
        super().begin(agents)
        self.goal[agents] = self.rng.integers(0, 2, len(agents))

    def observe(self) -> list[np.ndarray]:
        """The number that is shown and the goal, one-hot."""
        shown = (self.right - self.goal) % 3
        return [np.eye(3, dtype=np.float32)[shown], np.eye(2, dtype=np.float32)[self.goal]]
