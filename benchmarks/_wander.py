"""A task without a purpose but to meet every case: agents that come, ask now and then, end and are cut off."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from mlagents.trainers.demo_loader import write_demo
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
from mlagents_envs.communicator_objects.agent_info_action_pair_pb2 import AgentInfoActionPairProto
from mlagents_envs.communicator_objects.brain_parameters_pb2 import BrainParametersProto
from mlagents_envs.communicator_objects.demonstration_meta_pb2 import DemonstrationMetaProto

BEHAVIOR = "Wander"
LONGEST_EPISODE = 10
DIMENSIONS = {1: "NONE", 2: "VARIABLE_SIZE NONE", 3: "NONE TRANSLATIONAL_EQUIVARIANCE TRANSLATIONAL_EQUIVARIANCE"}


class Wander(BaseEnv):
    """Agents that are pushed about at random, push back, and are best off at 0.

    As in Unity every episode has an agent id of its own, an agent asks for a decision now and then, episodes terminate
    (beyond 1.5) or are interrupted (after 10 steps), and what is forbidden changes with every decision. It imports
    nothing of this repository, so that it is the same task for every version of it.

    Attributes:
        actions: digest of all actions that were taken.

    Args:
        seed: of all its chance.
        branches: sizes of the discrete branches.
        continuous: number of continuous actions.
        shapes: of the sensors: a vector, entities [count, size], or a picture [1, height, width].
        masked: whether actions are forbidden.
        teams: number of teams.
        agents: agents of a team.
    """

    def __init__(
        self,
        seed: int,
        *,
        branches: Sequence[int] = (3,),
        continuous: int = 0,
        shapes: Sequence[tuple[int, ...]] = ((4,),),
        masked: bool = False,
        teams: int = 1,
        agents: int = 6,
    ) -> None:
        self.rng = np.random.default_rng(seed)
        self.actions = hashlib.sha256()
        self._masked = masked
        self._branches = tuple(branches)
        action_spec = ActionSpec(continuous, self._branches)
        self._spec = BehaviorSpec([_sensor(i, shape) for i, shape in enumerate(shapes)], action_spec)
        self._team = np.repeat(np.arange(teams), agents)
        self._names = [f"{BEHAVIOR}?team={team}" for team in range(teams)]
        self.reset()

    @property
    def behavior_specs(self) -> Mapping[str, BehaviorSpec]:
        """One behaviour a team."""
        return dict.fromkeys(self._names, self._spec)

    def reset(self) -> None:
        """Begins all episodes anew; everybody is asked."""
        count = len(self._team)
        self._ids = np.arange(count, dtype=np.int32)
        self._position = self.rng.normal(size=(count, 4)) * 0.5
        self._age = np.zeros(count, int)
        self._reward = np.zeros(count)
        self._asked = np.ones(count, bool)
        self._ended = {name: TerminalSteps.empty(self._spec) for name in self._names}
        self._draw_masks()

    def set_actions(self, behavior_name: str, action: ActionTuple) -> None:
        """Pushes those who were asked; where nobody was ML-Agents gives an empty list."""
        if not action:
            return
        self.actions.update(np.float32(action.continuous).tobytes() + np.int32(action.discrete).tobytes())
        push = np.clip(action.continuous, -1.0, 1.0).sum(axis=1) * 0.3
        for branch, size in enumerate(self._branches):
            push = push + (action.discrete[:, branch] - (size - 1) / 2) * 0.3
        self._position[self._asked_of(behavior_name), 0] += push

    def set_action_for_agent(self, behavior_name: str, agent_id: int, action: ActionTuple) -> None:
        """Of one agent, which ML-Agents' trainers never do: they set those of all at once."""
        raise TypeError("set the actions of all agents of a behaviour at once, with set_actions")

    def step(self) -> None:
        """Moves, pays, ends and begins episodes, and chooses who is asked next."""
        count = len(self._team)
        self._position = 0.9 * self._position + self.rng.normal(size=(count, 4)) * 0.2
        self._age += 1
        self._reward += 0.5 - np.abs(self._position[:, 0])
        terminated = np.abs(self._position[:, 0]) > 1.5
        ended = terminated | (self._age >= LONGEST_EPISODE)
        for team, name in enumerate(self._names):
            rows = np.flatnonzero(ended & (self._team == team))
            self._ended[name] = TerminalSteps(
                self._seen(rows), np.float32(self._reward[rows]), ~terminated[rows], self._ids[rows], *_no_group(rows)
            )
        self._ids[ended] = self._ids.max() + 1 + np.arange(ended.sum())
        self._position[ended] = self.rng.normal(size=(ended.sum(), 4)) * 0.5
        self._age[ended], self._reward[ended] = 0, 0.0
        self._asked = ended | (self.rng.random(count) < 0.75)
        self._draw_masks()

    def get_steps(self, behavior_name: str) -> tuple[DecisionSteps, TerminalSteps]:
        """Who is asked now, and whose episode has ended."""
        rows = self._asked_of(behavior_name)
        reward, self._reward[rows] = np.float32(self._reward[rows]), 0.0
        masks = np.split(self._forbidden[rows], np.cumsum(self._branches)[:-1], axis=1) if self._branches else None
        steps = DecisionSteps(self._seen(rows), reward, self._ids[rows], masks, *_no_group(rows))
        return steps, self._ended[behavior_name]

    def close(self) -> None:
        """Nothing to close."""

    def _asked_of(self, name: str) -> np.ndarray:
        return np.flatnonzero(self._asked & (self._team == self._names.index(name)))

    def _draw_masks(self) -> None:
        """In every branch at least one action stays legal."""
        self._forbidden = np.zeros((len(self._team), sum(self._branches)), bool)
        if self._masked:
            self._forbidden = self.rng.random(self._forbidden.shape) < 0.5
            for start, size in zip(np.cumsum([0, *self._branches[:-1]]), self._branches, strict=True):
                legal = start + self.rng.integers(0, size, len(self._team))
                self._forbidden[np.arange(len(self._team)), legal] = False

    def _seen(self, rows: np.ndarray) -> list[np.ndarray]:
        """[rows, *shape] for each sensor: the position, over and over, between 0 and 1 in a picture."""
        position = self._position[rows]
        seen = [np.resize(position, (len(rows), *spec.shape)) for spec in self._spec.observation_specs]
        return [(1 / (1 + np.exp(-values)) if values.ndim == 4 else values).astype(np.float32) for values in seen]


def _sensor(index: int, shape: tuple[int, ...]) -> ObservationSpec:
    dimensions = tuple(DimensionProperty[name] for name in DIMENSIONS[len(shape)].split())
    return ObservationSpec(shape, dimensions, ObservationType.DEFAULT, f"sensor_{index}")


def _no_group(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(len(rows), np.int32), np.zeros(len(rows), np.float32)


def record(path: Path, *, decisions: int, branches: Sequence[int] = (3,)) -> str:
    """Writes the `.demo` file of an agent that walks back to 0.

    Args:
        path: of the file.
        decisions: after how many the recording ends.
        branches: sizes of the discrete branches.

    Returns:
        The path, as settings take it.
    """
    env = Wander(0, branches=branches, agents=1)
    (name,) = env.behavior_specs
    pairs: list[AgentInfoActionPairProto] = []
    episode, choices = 0, [0] * len(branches)
    while len(pairs) < decisions:
        steps, ends = env.get_steps(name)
        for i in range(len(ends)):  # the end of an episode repeats the last actions
            pairs.append(_pair(ends.obs[0][i], ends.reward[i], episode, choices, interrupted=ends.interrupted[i]))
            episode += 1
        for i in range(len(steps)):
            choices = [0 if steps.obs[0][i][0] > 0 else size - 1 for size in branches]
            pairs.append(_pair(steps.obs[0][i], steps.reward[i], episode, choices))
            env.set_actions(name, ActionTuple(np.zeros((1, 0)), np.array([choices], np.int32)))
        env.step()
    brain = BrainParametersProto(brain_name=BEHAVIOR)
    brain.action_spec.num_discrete_actions = len(branches)
    brain.action_spec.discrete_branch_sizes.extend(branches)
    write_demo(str(path), DemonstrationMetaProto(api_version=1, number_steps=len(pairs)), brain, pairs)
    return str(path)


def _pair(
    seen: np.ndarray, reward: float, episode: int, choices: Sequence[int], interrupted: bool | None = None
) -> AgentInfoActionPairProto:
    pair = AgentInfoActionPairProto()
    pair.agent_info.reward, pair.agent_info.id = reward, episode
    pair.agent_info.done, pair.agent_info.max_step_reached = interrupted is not None, bool(interrupted)
    pair.agent_info.observations.add(shape=seen.shape).float_data.data.extend(seen.tolist())
    pair.action_info.discrete_actions.extend(choices)
    return pair
