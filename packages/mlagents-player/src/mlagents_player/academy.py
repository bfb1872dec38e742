"""The engine loop that all scenes share: decisions, actions, rewards and ends, in Unity's order."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlagents_player.errors import PlayerError, blaming
from mlagents_player.scenes.base import Actions, Rows, Scene

log = logging.getLogger(__name__)

ILLEGAL_ACTION = "the nearest legal one is taken, 0 for NaN. This is logged once."
NOBODY: Rows = np.zeros(0, np.intp)
PICTURE_RANK = 4  # agents, channels, height, width


@dataclass
class AgentInfos:
    """What the trainer is told of some agents of one behaviour, one row an agent.

    Attributes:
        ids: [agents] episode ids.
        rewards: [agents] float32, given since each agent's last decision.
        observations: One array [agents, *shape] for each observation: uint8 for pictures that are sent as PNG,
            floats for all others.
        done: These are terminal steps.
        interrupted: [agents] the episode ended by `max_step` or an interruption; False unless `done`.
        masks: [agents, sum of branch sizes], True where forbidden; None if nothing is.
        group_ids: [agents] the group of each agent; 0 is none.
        group_rewards: [agents] float32.
    """

    ids: NDArray[np.int32]
    rewards: NDArray[np.float32]
    observations: list[NDArray[Any]]
    done: bool
    interrupted: NDArray[np.bool_]
    masks: NDArray[np.bool_] | None = None
    group_ids: NDArray[np.int32] | None = None
    group_rewards: NDArray[np.float32] | None = None


@dataclass
class Reply:
    """The trainer's answer: actions by behaviour, or a reset of everything."""

    actions: dict[str, Actions] = field(default_factory=dict)
    reset: bool = False


Decide = Callable[[dict[str, list[AgentInfos]]], Reply]
"""Asks the trainer: infos by behaviour, terminals before decisions, to its reply."""


class Academy:
    """Steps a scene and asks the trainer whenever an agent is due to decide or has ended an episode.

    One `step` is one FixedUpdate of Unity, 0.02 s of simulated time.
    """

    def __init__(self, scene: Scene) -> None:
        """Begin the first episode of every agent.

        Args:
            scene: The scene to run.
        """
        self._scene = scene
        specs = [spec.action_spec for spec in scene.behaviors.values()]
        self._behaviors = list(scene.behaviors)
        self._actions = Actions.zeros(
            scene.num_agents,
            max(spec.continuous_size for spec in specs),
            max(spec.discrete_size for spec in specs),
        )
        self._ids = np.arange(scene.num_agents, dtype=np.int32)
        self._next_id = scene.num_agents
        self._absent = np.zeros(scene.num_agents, bool)
        self._took_part = scene.active.copy()
        self._terminals: dict[str, list[AgentInfos]] = {}
        self._present = np.zeros(scene.num_agents, bool)
        self._deciding: dict[str, Rows] = {}
        self._warned = False
        self.reset()

    def reset(self) -> None:
        """Reset every agent without telling the trainer of any end, as at the command RESET."""
        self._terminals = {}
        self._absent[:] = False
        self._step_count = 0
        self._begin_episodes(np.arange(self._scene.num_agents))
        self._took_part[:] = self._scene.active

    def agent(self, row: int) -> tuple[str, int]:
        """Behaviour and episode id of the agent in a row of the scene's arrays."""
        return self._behaviors[self._scene.behavior_index[row]], int(self._ids[row])

    def action(self, row: int) -> Actions:
        """What the agent in a row does until it decides again, in the numbers that its behaviour has: one row."""
        spec = self._scene.behaviors[self.agent(row)[0]].action_spec
        kept = self._actions[np.array([row])]
        return Actions(kept.continuous[:, : spec.continuous_size], kept.discrete[:, : spec.discrete_size])

    def step(self, decide: Decide) -> None:
        """One academy step: ask for decisions, act, let physics run, collect ended episodes.

        Args:
            decide: Called with the infos of one message if there are any; returns the trainer's reply.
        """
        infos = self.begin_step()
        self.end_step(decide(infos) if infos else Reply())

    def begin_step(self) -> dict[str, list[AgentInfos]]:
        """The first half of an academy step, up to what the trainer is asked.

        Returns:
            Infos by behaviour, terminals before decisions; empty where nobody is due and nobody has ended.
        """
        scene = self._scene
        self._present = self._took_part & ~self._absent
        due = np.flatnonzero(self._ask("decisions_due", self._step_count) & self._present)
        self._absent[:] = False
        self._step_count += 1
        scene.step_count += 1
        self._deciding = self._by_behavior(due)
        infos, self._terminals = self._terminals, {}
        for behavior, agents in self._deciding.items():
            infos.setdefault(behavior, []).append(self._collect(behavior, agents, done=False))
        return infos

    def end_step(self, reply: Reply) -> None:
        """The second half: take the trainer's actions and play on, or reset everything if that is the reply."""
        if reply.reset:
            self.reset()
            return
        for behavior, actions in reply.actions.items():
            self._store_actions(behavior, self._deciding.get(behavior, NOBODY), actions)
        acting = np.flatnonzero(self._present)
        self._ask("act", acting, self._actions[acting])
        self._interrupt_overdue()
        self._finish_episodes()
        self._ask("simulate")
        self._finish_episodes()

    def _by_behavior(self, agents: Rows) -> dict[str, Rows]:
        indices = self._scene.behavior_index[agents]
        groups = {name: agents[indices == k] for k, name in enumerate(self._behaviors)}
        return {name: rows for name, rows in groups.items() if len(rows)}

    def _collect(self, behavior: str, agents: Rows, done: bool) -> AgentInfos:
        """Observe agents and start a new reward window for them."""
        scene = self._scene
        infos = AgentInfos(
            ids=self._ids[agents],
            rewards=scene.rewards[agents],
            observations=self._observe(behavior, agents),
            done=done,
            interrupted=scene.interrupted[agents],
            masks=None if done else self._mask(behavior, agents),
            group_ids=scene.group_ids[agents] if scene.group_ids.any() else None,
            group_rewards=scene.group_rewards[agents] if scene.group_ids.any() else None,
        )
        scene.rewards[agents] = 0
        scene.group_rewards[agents] = 0
        return infos

    def _observe(self, behavior: str, agents: Rows) -> list[NDArray[Any]]:
        """Ask the scene and check its answer.

        Raises:
            PlayerError: an observation has not the specified shape or kind, or it, a reward or a group's reward is not
                a finite number that a float32 can hold.
        """
        observations: list[NDArray[Any]] = self._ask("observe", behavior, agents)
        wanted = [(len(agents), *spec.shape) for spec in self._scene.behaviors[behavior].observation_specs]
        if not (isinstance(observations, list | tuple) and all(map(_is_numeric, observations))):
            raise PlayerError(f"Behaviour {behavior!r} gave observations that are not a list of arrays of numbers.")
        found = [values.shape for values in observations]
        if found != wanted:
            raise PlayerError(f"Behaviour {behavior!r} gave observations of shape {found}; it specifies {wanted}.")
        if any(values.dtype == np.uint8 and values.ndim != PICTURE_RANK for values in observations):
            raise PlayerError(
                f"Behaviour {behavior!r} gave bytes (uint8) for an observation that is no picture of channels, height "
                "and width; give floats."
            )
        rewards = self._scene.rewards[agents], self._scene.group_rewards[agents]
        if not all(map(_fits_float32, (*observations, *rewards))):
            raise PlayerError(
                f"Behaviour {behavior!r} gave an observation or a reward that is NaN or infinite, or too large for a "
                "float32."
            )
        return observations

    def _mask(self, behavior: str, agents: Rows) -> NDArray[np.bool_] | None:
        """Ask the scene what is forbidden and check its answer.

        Raises:
            PlayerError: the mask has not one value for each discrete action of each agent.
        """
        mask: NDArray[np.bool_] | None = self._ask("action_mask", behavior, agents)
        wanted = (len(agents), sum(self._scene.behaviors[behavior].action_spec.discrete_branches))
        if mask is not None and (not _is_numeric(mask) or mask.shape != wanted):
            raise PlayerError(
                f"Behaviour {behavior!r} gave an action mask of shape {np.shape(mask)}; its actions want {wanted}."
            )
        return mask

    def _store_actions(self, behavior: str, agents: Rows, actions: Actions) -> None:
        """Check one behaviour's actions and keep them until the next decision.

        Raises:
            PlayerError: there is no such behaviour, or the number of rows or of actions is not what was
                asked for.
        """
        if behavior not in self._scene.behaviors:
            raise PlayerError(f"The trainer sent actions for behaviour {behavior!r}, which the scene has not.")
        spec = self._scene.behaviors[behavior].action_spec
        found = (*actions.continuous.shape, *actions.discrete.shape)
        wanted = (len(agents), spec.continuous_size, len(agents), spec.discrete_size)
        if found != wanted:
            raise PlayerError(
                f"The trainer sent actions of the wrong shape for behaviour {behavior!r}: "
                f"continuous {found[:2]}, discrete {found[2:]}; expected {wanted[:2]} and {wanted[2:]}."
            )
        self._actions[agents] = self._sane(behavior, actions, spec.discrete_branches)

    def _sane(self, behavior: str, actions: Actions, branches: tuple[int, ...]) -> Actions:
        """The nearest legal actions; the first that is not legal is logged."""
        legal = Actions(
            np.nan_to_num(actions.continuous),
            np.clip(actions.discrete, 0, np.array(branches, np.int32) - 1),
        )
        same = np.isfinite(actions.continuous).all() and np.array_equal(legal.discrete, actions.discrete)
        if not same and not self._warned:
            self._warned = True
            log.error("Behaviour %s got a NaN, infinite or out-of-range action; %s", behavior, ILLEGAL_ACTION)
        return legal

    def _interrupt_overdue(self) -> None:
        if self._scene.max_step:
            overdue = (self._scene.step_count >= self._scene.max_step) & ~self._scene.ended
            self._scene.end_episode(np.flatnonzero(overdue), interrupted=True)

    def _finish_episodes(self) -> None:
        """Queue the terminal steps of ended episodes and of who leaves; begin the next ones and those of who comes."""
        scene = self._scene
        leaving = self._took_part & ~scene.active
        coming = np.flatnonzero(scene.active & ~self._took_part)
        ended = np.flatnonzero((scene.ended & self._took_part) | leaving)
        self._took_part[:] = scene.active
        if len(ended):
            self._end_episodes(ended)
        if len(coming):
            self._renew_ids(coming)
            self._begin_episodes(coming)

    def _end_episodes(self, ended: Rows) -> None:
        for behavior, agents in self._by_behavior(ended).items():
            self._terminals.setdefault(behavior, []).append(self._collect(behavior, agents, done=True))
        if self._scene.reloads:
            self._absent[ended] = True
            self._renew_ids(ended)
        self._begin_episodes(ended[self._scene.active[ended]])

    def _renew_ids(self, agents: Rows) -> None:
        self._ids[agents] = self._next_id + np.arange(len(agents))
        self._next_id += len(agents)

    def _begin_episodes(self, agents: Rows) -> None:
        scene = self._scene
        scene.step_count[agents] = 0
        self._actions[agents] = Actions.zeros(
            len(agents), self._actions.continuous.shape[1], self._actions.discrete.shape[1]
        )
        for array in (scene.rewards, scene.group_rewards, scene.ended, scene.interrupted):
            array[agents] = 0
        self._ask("reset", agents)

    def _ask(self, method: str, *arguments: Any) -> Any:
        """Call a method of the scene, whose code may be anybody's."""
        with blaming(f"Scene {type(self._scene).__name__}", method):
            return getattr(self._scene, method)(*arguments)


def _is_numeric(values: Any) -> bool:
    return isinstance(values, np.ndarray) and values.dtype.kind in "biuf"


def _fits_float32(values: NDArray[Any]) -> bool:
    """Whether all are finite numbers as ML-Agents gets them."""
    with np.errstate(over="ignore"):
        return values.dtype == np.uint8 or bool(np.isfinite(values.astype(np.float32, copy=False)).all())
