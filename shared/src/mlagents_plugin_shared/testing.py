"""Toy tasks and in-process training, for the tests of trainer plugins.

`train` runs ML-Agents' own trainer controller, agent managers and self-play on a task of a few lines, without gRPC
and without a player: a run takes seconds. The tasks are small enough that a correct trainer solves them, and each
asks for one ability: masks, branches, memory, continuous actions, an opponent.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mlagents.plugins.trainer_type import register_trainer_plugins
from mlagents.trainers.environment_parameter_manager import EnvironmentParameterManager
from mlagents.trainers.settings import TrainerSettings
from mlagents.trainers.simple_env_manager import SimpleEnvManager
from mlagents.trainers.trainer import Trainer, TrainerFactory
from mlagents.trainers.trainer_controller import TrainerController
from mlagents.trainers.training_status import GlobalTrainingStatus
from mlagents_envs.base_env import (
    ActionSpec,
    ActionTuple,
    BaseEnv,
    BehaviorSpec,
    DecisionSteps,
    DimensionProperty,
    ObservationSpec,
    ObservationType,
    TerminalSteps,
)
from mlagents_envs.exception import UnityCommunicatorStoppedException
from mlagents_envs.side_channel.environment_parameters_channel import EnvironmentParametersChannel

BEHAVIOR = "Toy"
"""Name of every task's behaviour."""

Outcome = tuple[np.ndarray, np.ndarray, np.ndarray]
"""[agents] rewards, [agents] terminated and [agents] interrupted: what an action led to."""


class ToyEnv(BaseEnv):
    """Base of a task: agents in lockstep, as a few operations on arrays.

    A task sets `action_spec` and `observation_shapes` and writes `begin`, `observe` and `act`, and `legal` if it
    masks actions. With several teams the arrays hold the agents of team 0, then those of team 1.

    Attributes:
        returns: return of every finished episode, in order, over all agents.
        illegal_actions: how many actions were taken that `legal` forbids.

    Args:
        num_agents: agents a team.
        seed: of the task's random generator `rng`.
        max_steps: steps after which the task ends the run, as a closed player would; None never does.
    """

    action_spec: ActionSpec
    observation_shapes: Sequence[tuple[int, ...]]
    teams = 1

    def __init__(self, num_agents: int = 4, *, seed: int = 0, max_steps: int | None = None) -> None:
        self.num_agents = num_agents
        self.rng = np.random.default_rng(seed)
        self.returns: list[float] = []
        self.illegal_actions = 0
        self._steps_left = max_steps
        self._names = [f"{BEHAVIOR}?team={team}" for team in range(self.teams)]
        self._actions: dict[str, ActionTuple] = {}
        self._results: dict[str, tuple[DecisionSteps, TerminalSteps]] = {}

    @abstractmethod
    def begin(self, agents: np.ndarray) -> None:
        """Starts a new episode for some agents.

        Args:
            agents: indices.
        """

    @abstractmethod
    def observe(self) -> list[np.ndarray]:
        """One array [agents, ...] a sensor."""

    @abstractmethod
    def act(self, action: ActionTuple) -> Outcome:
        """Acts for all agents.

        Args:
            action: [agents, C] continuous and [agents, D] discrete.

        Returns:
            [agents] rewards, [agents] terminated, [agents] interrupted.
        """

    def legal(self) -> np.ndarray | None:
        """[agents, A] bool, which actions are legal now; None if all are."""
        return None

    @property
    def behavior_specs(self) -> Mapping[str, BehaviorSpec]:
        """One behaviour a team."""
        specs = [
            ObservationSpec(shape, _dimension_properties(shape), ObservationType.DEFAULT, f"obs_{i}")
            for i, shape in enumerate(self.observation_shapes)
        ]
        return {name: BehaviorSpec(specs, self.action_spec) for name in self._names}

    def reset(self) -> None:
        """Starts all agents anew."""
        everyone = np.arange(self.teams * self.num_agents)
        self._running_return = np.zeros(len(everyone))
        self.begin(everyone)
        self._publish(np.zeros(len(everyone)), [], everyone[:0], np.zeros(len(everyone), dtype=bool))

    def step(self) -> None:
        """Acts, ends and restarts episodes."""
        if self._steps_left is not None:
            self._steps_left -= 1
            if self._steps_left < 0:
                raise UnityCommunicatorStoppedException("the task is over")
        action = self._joint_action()
        self._count_illegal(action)
        reward, terminated, interrupted = self.act(action)
        self._running_return += reward
        ended = np.flatnonzero(terminated | interrupted)
        final = self.observe()
        self.returns += self._running_return[ended].tolist()
        self._running_return[ended] = 0.0
        if len(ended):
            self.begin(ended)
        self._publish(reward, final, ended, interrupted)

    def set_actions(self, behavior_name: str, action: ActionTuple) -> None:
        """Actions of a team."""
        self._actions[behavior_name] = action

    def set_action_for_agent(self, behavior_name: str, agent_id: int, action: ActionTuple) -> None:
        """Not used by the trainers."""
        raise ValueError("a toy task takes the actions of all agents at once")

    def get_steps(self, behavior_name: str) -> tuple[DecisionSteps, TerminalSteps]:
        """What the last step led to for a team."""
        return self._results[behavior_name]

    def close(self) -> None:
        """Nothing to close."""

    def _joint_action(self) -> ActionTuple:
        actions = [self._actions[name] for name in self._names]
        return ActionTuple(
            np.concatenate([action.continuous for action in actions]),
            np.concatenate([action.discrete for action in actions]),
        )

    def _count_illegal(self, action: ActionTuple) -> None:
        legal = self.legal()
        if legal is not None:
            offsets = np.cumsum([0, *self.action_spec.discrete_branches[:-1]])
            self.illegal_actions += int((~np.take_along_axis(legal, action.discrete + offsets, axis=1)).sum())

    def _publish(self, reward: np.ndarray, final: list[np.ndarray], ended: np.ndarray, interrupted: np.ndarray) -> None:
        observations, legal = self.observe(), self.legal()
        reward = reward.astype(np.float32)
        for team, name in enumerate(self._names):
            agents = np.arange(team * self.num_agents, (team + 1) * self.num_agents)
            over = np.intersect1d(ended, agents)
            going_on = np.where(np.isin(agents, ended), 0.0, reward[agents]).astype(np.float32)
            self._results[name] = (
                DecisionSteps(
                    [o[agents] for o in observations],
                    going_on,
                    agents,
                    self._masks(legal, agents),
                    *_no_group(agents),
                ),
                TerminalSteps([o[over] for o in final], reward[over], interrupted[over], over, *_no_group(over)),
            )

    def _masks(self, legal: np.ndarray | None, agents: np.ndarray) -> list[np.ndarray] | None:
        if not self.action_spec.discrete_size:
            return None
        if legal is None:
            legal = np.ones((self.teams * self.num_agents, sum(self.action_spec.discrete_branches)), dtype=bool)
        return np.split(~legal[agents], np.cumsum(self.action_spec.discrete_branches)[:-1], axis=1)


def _no_group(agents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(len(agents), dtype=np.int32), np.zeros(len(agents), dtype=np.float32)


def _dimension_properties(shape: tuple[int, ...]) -> tuple[DimensionProperty, ...]:
    if len(shape) == 3:
        return (DimensionProperty.NONE, *[DimensionProperty.TRANSLATIONAL_EQUIVARIANCE] * 2)
    if len(shape) == 2:
        return (DimensionProperty.VARIABLE_SIZE, DimensionProperty.NONE)
    return (DimensionProperty.NONE,)


class Corridor(ToyEnv):
    """Walk right along 6 cells to the goal; +1 there, -0.05 a step, interrupted after 20 steps. Best return 0.8.

    Actions: stay, left, right. With `masked`, walking into the left wall is forbidden, and so is staying, which
    random play would do often.
    """

    action_spec = ActionSpec(0, (3,))
    observation_shapes = ((6,),)

    def __init__(self, *args: Any, masked: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.masked = masked
        self.cell = np.zeros(self.num_agents, dtype=int)
        self.age = np.zeros(self.num_agents, dtype=int)

    def begin(self, agents: np.ndarray) -> None:
        """At the left end or the cell after it."""
        self.cell[agents] = self.rng.integers(0, 2, len(agents))
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

    Branches of 3, 3 and 2; with `continuous` the number of `Target` is to be said too, for half of the reward.
    """

    def __init__(self, *args: Any, continuous: bool = False, **kwargs: Any) -> None:
        self.action_spec = ActionSpec(int(continuous), (3, 3, 2))
        self.observation_shapes = ((9,),)
        super().__init__(*args, **kwargs)
        self.shown = np.zeros((self.num_agents, 3), dtype=int)
        self.target = np.zeros(self.num_agents)

    def begin(self, agents: np.ndarray) -> None:
        """New choices."""
        self.shown[agents] = self.rng.integers(0, self.action_spec.discrete_branches, (len(agents), 3))
        self.target[agents] = self.rng.uniform(-0.8, 0.8, len(agents))

    def observe(self) -> list[np.ndarray]:
        """The choices, one-hot side by side, and the number."""
        one_hot = [np.eye(size)[self.shown[:, i]] for i, size in enumerate(self.action_spec.discrete_branches)]
        return [np.concatenate([*one_hot, self.target[:, None]], axis=1).astype(np.float32)]

    def act(self, action: ActionTuple) -> Outcome:
        """One step is an episode."""
        reward = (action.discrete == self.shown).mean(axis=1)
        if self.action_spec.continuous_size:
            reward = (reward + 1.0 - np.abs(action.continuous[:, 0] - self.target)) / 2
        over = np.ones(self.num_agents, dtype=bool)
        return reward, over, ~over


class Recall(ToyEnv):
    """Remember a sign for 3 steps: +1 for choosing it in the last one, -1 for the other. Best return 1.

    The sign is seen in the first step only: without memory the mean return is 0.
    """

    action_spec = ActionSpec(0, (2,))
    observation_shapes = ((3,),)
    length = 3

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
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


def train(
    env: ToyEnv,
    config: Mapping[str, Any],
    results: Path,
    *,
    seed: int = 0,
    resume: bool = False,
    inference: bool = False,
) -> Trainer:
    """Trains a task to `max_steps` of its configuration, as `mlagents-learn` would.

    Args:
        env: the task.
        config: what stands below the behaviour's name in a YAML.
        results: folder of the run.
        seed: of trainer and policy.
        resume: go on from the checkpoint in `results`.
        inference: act without learning; the task then needs `max_steps`.

    Returns:
        The trainer at the end of the run.
    """
    register_trainer_plugins()
    if not resume:
        GlobalTrainingStatus.saved_state.clear()
    factory = TrainerFactory(
        {BEHAVIOR: TrainerSettings.structure(config, TrainerSettings)},
        output_path=str(results),
        train_model=not inference,
        load_model=resume,
        seed=seed,
        param_manager=EnvironmentParameterManager(),
    )
    controller = TrainerController(factory, str(results), "toy", EnvironmentParameterManager(), not inference, seed)
    controller.start_learning(SimpleEnvManager(env, EnvironmentParametersChannel()))
    return controller.trainers[BEHAVIOR]
