"""The base class of a scene: the part of a Unity project that a player simulates.

A scene holds the state of all its agents in arrays, one row an agent, and answers a handful of calls.
Every call names the agents it is for by their rows, so that NumPy does the work without a loop over agents.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import numpy as np
from mlagents_envs.base_env import (
    ActionSpec,
    BehaviorSpec,
    DimensionProperty,
    ObservationSpec,
    ObservationType,
)
from numpy.typing import NDArray

from mlagents_player.canvas import WIDE, Canvas, beside
from mlagents_player.parameters import EnvironmentParameters

Rows = NDArray[np.intp]
"""Numbers of agents, i.e. rows of a scene's arrays."""

__all__ = [
    "ActionSpec",
    "Actions",
    "Aggregation",
    "BehaviorSpec",
    "Rows",
    "Scene",
    "base_name",
    "team",
    "vector_observation",
]


class Aggregation(IntEnum):
    """How the trainer joins the values of one statistic between two summaries."""

    AVERAGE = 0
    MOST_RECENT = 1
    SUM = 2
    HISTOGRAM = 3


@dataclass
class Actions:
    """Actions of some agents, one row an agent.

    With several behaviours the arrays are as wide as the widest of them; what an agent's own behaviour
    does not use is 0.

    Attributes:
        continuous: [agents, continuous actions] float32; finite, not clamped: clamp in `Scene.act`.
        discrete: [agents, branches] int32, each inside its branch.
    """

    continuous: NDArray[np.float32]
    discrete: NDArray[np.int32]

    @classmethod
    def zeros(cls, agents: int, continuous: int, branches: int) -> Actions:
        """The actions of agents which have not decided yet: all 0, as in Unity."""
        return cls(np.zeros((agents, continuous), np.float32), np.zeros((agents, branches), np.int32))

    def __getitem__(self, rows: Rows) -> Actions:
        return Actions(self.continuous[rows], self.discrete[rows])

    def __setitem__(self, rows: Rows, values: Actions) -> None:
        self.continuous[rows, : values.continuous.shape[1]] = values.continuous
        self.discrete[rows, : values.discrete.shape[1]] = values.discrete


def vector_observation(size: int, name: str | None = None) -> ObservationSpec:
    """Specification of an ordinary vector of `size` floats; by default with the name that Unity gives it."""
    return ObservationSpec(
        (size,), (DimensionProperty.NONE,), ObservationType.DEFAULT, name or f"VectorSensor_size{size}"
    )


class Scene:
    """Everything of an environment that is not ML-Agents: state, physics, rewards, ends of episodes.

    Subclass it, set the class attributes, write `reset`, `observe` and `act`, and register the class as an
    entry point of the group `mlagents_player.scenes`. The academy calls, in every academy step of 0.02 s:
    `observe` and `action_mask` for the agents that are due to decide, `act` for the agents that act, then
    `simulate`; an agent whose episode ended in `act` or `simulate` is observed once more for its terminal
    step and then `reset`.

    Attributes:
        behaviors: Behaviour name to its observations and actions.
        description: One line for `mlagents-player list`.
        parameter_names: The environment parameters that there are, so that a misspelt one is an error; None: any.
        areas: Training areas in the scene as it is published.
        agents_per_area: Agents in each area.
        components: What the numbers of the first observation are called; may be left empty.
        decision_period: Academy steps from one decision to the next.
        max_step: Academy steps after which an episode is interrupted; 0 is never.
        reloads: The scene is loaded anew at an episode's end, as Basic does: the agent comes back with a new
            id one academy step later. Otherwise agents keep their ids for life.
        view: What a picture shows: least x and z, largest x and z, m.
        close_up: Where agents are small in it, the side of a square around one of them, m: a second picture shows it
            beside the first; 0 for none.
        action_names: What a film calls the discrete actions, branch by branch; one that does nothing may be "".
        pace: Seconds that a film shows an academy step for.
        rewards: [num_agents] reward since each agent's last decision.
        group_rewards: [num_agents] the same of the group that the agent is in.
        group_ids: [num_agents] number of each agent's group; 0 is none.
        behavior_index: [num_agents] which of `behaviors` each agent has; set it in `reset`.
        active: [num_agents] who takes part. Clear it for somebody who leaves, which ends their episode; set it for
            somebody who comes (back), who begins one under a new id.
        step_count: [num_agents] academy steps of each agent's episode so far.
    """

    behaviors: ClassVar[dict[str, BehaviorSpec]]
    description: ClassVar[str] = ""
    components: ClassVar[tuple[str, ...]] = ()
    parameter_names: ClassVar[tuple[str, ...] | None] = None
    areas: ClassVar[int] = 1
    agents_per_area: ClassVar[int] = 1
    decision_period: ClassVar[int] = 1
    max_step: ClassVar[int] = 0
    reloads: ClassVar[bool] = False
    view: ClassVar[tuple[float, float, float, float]] = (-10.0, -10.0, 10.0, 10.0)
    close_up: ClassVar[float] = 0.0
    action_names: ClassVar[tuple[tuple[str, ...], ...]] = ()
    pace: ClassVar[float] = 0.02

    def __init__(self, num_areas: int, rng: np.random.Generator, parameters: EnvironmentParameters) -> None:
        """Lay out the arrays; the first `reset` follows before anything is observed.

        Args:
            num_areas: Training areas to hold, >= 1.
            rng: The only source of chance, seeded by the trainer.
            parameters: Environment parameters that the trainer sets, also during a run.
        """
        self.rng = rng
        self.parameters = parameters
        self.num_agents = num_areas * self.agents_per_area
        self.rewards: NDArray[np.float32] = np.zeros(self.num_agents, np.float32)
        self.group_rewards: NDArray[np.float32] = np.zeros(self.num_agents, np.float32)
        self.group_ids: NDArray[np.int32] = np.zeros(self.num_agents, np.int32)
        self.behavior_index: NDArray[np.int32] = np.zeros(self.num_agents, np.int32)
        self.step_count: NDArray[np.int64] = np.zeros(self.num_agents, np.int64)
        self.statistics: list[tuple[str, float, Aggregation]] = []
        self.messages: list[tuple[UUID, bytes]] = []
        self.active: NDArray[np.bool_] = np.ones(self.num_agents, bool)
        self.ended: NDArray[np.bool_] = np.zeros(self.num_agents, bool)
        self.interrupted: NDArray[np.bool_] = np.zeros(self.num_agents, bool)

    def reset(self, agents: Rows) -> None:
        """Begin a new episode for these agents (Unity's `OnEpisodeBegin`)."""
        raise NotImplementedError

    def observe(self, behavior: str, agents: Rows) -> list[NDArray[Any]]:
        """Observe: one array [agents, *shape] for each observation of the behaviour, in its order.

        An array of uint8 is a picture [agents, channels, height, width] and travels as PNG; anything else is sent
        as float32 and must be finite.
        """
        raise NotImplementedError

    def act(self, agents: Rows, actions: Actions) -> None:
        """Apply an action to each of these agents, reward them and end episodes (`OnActionReceived`).

        Actions repeat until the next decision; agents that have not decided since their reset act with 0.
        """
        raise NotImplementedError

    def simulate(self) -> None:
        """Advance the physics by 0.02 s; collisions may reward agents and end episodes."""

    def action_mask(self, behavior: str, agents: Rows) -> NDArray[np.bool_] | None:
        """[agents, sum of branch sizes], True where a discrete action is forbidden; None: all allowed."""
        return None

    def decisions_due(self, step: int) -> NDArray[np.bool_]:
        """Which agents decide in this academy step (Unity's `DecisionRequester`): [num_agents]."""
        return np.full(self.num_agents, step % self.decision_period == 0)

    def parameters_changed(self, names: set[str]) -> None:
        """The trainer has just set these environment parameters; for those that act at once."""

    def message_received(self, channel: UUID, payload: bytes) -> None:
        """The trainer has sent bytes on a side channel of somebody's own."""

    def send_message(self, channel: UUID, payload: bytes) -> None:
        """Send the trainer bytes on a side channel of one's own, with the next exchange."""
        self.messages.append((channel, payload))

    def close(self) -> None:
        """Let go of what is held open, as windows and files; a player's process just ends."""

    def restore(self, agents: Rows, observations: list[NDArray[np.float32]], start: bool) -> None:
        """Put agents into the state that was observed; needed only to compare with a recording.

        Args:
            agents: Whose state to set.
            observations: As `observe` returns them.
            start: This is the first observation of an episode, so what is not observed is as after `reset`;
                otherwise it stays as it is.
        """
        raise NotImplementedError

    def draw(self, canvas: Canvas, area: int) -> None:
        """Draw one training area from above; only for films of a scene."""
        raise NotImplementedError

    def focus(self, area: int) -> tuple[float, float]:
        """The place (x, z) around which the second picture of an area is taken; only for a scene with a `close_up`."""
        raise NotImplementedError

    def picture(self, area: int) -> NDArray[np.uint8]:
        """[height, width, 3] what one training area looks like; with a `close_up`, two pictures side by side."""
        if not self.close_up:
            canvas = Canvas(self.view)
            self.draw(canvas, area)
            return canvas.picture()
        left, bottom, right, top = self.view
        x, z = self.focus(area)
        near = (x - self.close_up / 2, z - self.close_up / 2, x + self.close_up / 2, z + self.close_up / 2)
        longer = max(right - left, top - bottom)
        overview = Canvas(self.view, round(WIDE * longer / (right - left + top - bottom)))
        self.draw(overview, area)
        overview.frame(near)
        whole = overview.picture()
        close = Canvas(near, len(whole))
        self.draw(close, area)
        return beside(whole, close.picture())

    def add_reward(self, agents: Rows, reward: float | NDArray[np.float32]) -> None:
        """Add to the reward of the current decision (Unity's `AddReward`)."""
        self.rewards[agents] += reward

    def set_reward(self, agents: Rows, reward: float | NDArray[np.float32]) -> None:
        """Replace the reward of the current decision (`SetReward`): the window is since the last decision."""
        self.rewards[agents] = reward

    def add_statistic(self, name: str, value: float, aggregation: Aggregation = Aggregation.AVERAGE) -> None:
        """Give the trainer a number to write beside its own (Unity's `StatsRecorder.Add`)."""
        self.statistics.append((name, value, aggregation))

    def end_episode(self, agents: Rows, interrupted: bool = False) -> None:
        """End the episodes of these agents when the current `act` or `simulate` returns.

        Args:
            agents: Whose episodes end.
            interrupted: The end is not of the task's making, so a trainer should bootstrap from the last
                observation (Unity's `EpisodeInterrupted`; sent as `max_step_reached`).
        """
        self.ended[agents] = True
        self.interrupted[agents] = interrupted


def base_name(behavior: str) -> str:
    """A behaviour's name without its team: `SoccerTwos` of `SoccerTwos?team=1`, as the YAML and the models have it."""
    return behavior.partition("?")[0]


def team(behavior: str) -> int:
    """Number of the team in a behaviour's full name, as in `SoccerTwos?team=1`; 0 where none is named."""
    (number,) = parse_qs(urlsplit(behavior).query).get("team", ["0"])
    return int(number)
