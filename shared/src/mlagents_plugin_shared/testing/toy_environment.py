"""Base of the toy tasks: an environment of agents in lockstep, as a few operations on arrays."""

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence

import numpy as np
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
        parameters: values of `environment_parameters:`, as a curriculum sets them.

    Args:
        num_agents: agents a team.
        seed: of the task's random generator `rng`.
        max_steps: steps after which the task ends the run, as a closed player would; None never does.
        blank: sensors that show zeros; a control.
        hides_masks: whether the trainer is not told what is legal; a control.
        reward_scale: what the rewards that the trainer is told are multiplied by; `returns` are not.
    """

    action_spec: ActionSpec
    observation_shapes: Sequence[tuple[int, ...]]
    goal_sensors: Collection[int] = ()
    teams = 1

    def __init__(
        self,
        num_agents: int = 4,
        *,
        seed: int = 0,
        max_steps: int | None = None,
        blank: Collection[int] = (),
        hides_masks: bool = False,
        reward_scale: float = 1.0,
    ) -> None:
        self.num_agents = num_agents
        self.blank = blank
        self.hides_masks = hides_masks
        self.reward_scale = reward_scale
        self.parameters: dict[str, float] = {}
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
            ObservationSpec(shape, _dimension_properties(shape), self._observation_type(i), f"obs_{i}")
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
        final = self._shown()
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
        observations, legal = self._shown(), None if self.hides_masks else self.legal()
        reward = (reward * self.reward_scale).astype(np.float32)
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

    def _shown(self) -> list[np.ndarray]:
        return [np.zeros_like(seen) if i in self.blank else seen for i, seen in enumerate(self.observe())]

    def _observation_type(self, sensor: int) -> ObservationType:
        return ObservationType.GOAL_SIGNAL if sensor in self.goal_sensors else ObservationType.DEFAULT

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
