"""From a player's messages to segments: ML-Agents' agent manager, on arrays."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np
from mlagents.torch_utils import torch
from mlagents.trainers.action_info import ActionInfo
from mlagents.trainers.agent_processor import AgentManager
from mlagents.trainers.behavior_id_utils import get_global_agent_id
from mlagents.trainers.buffer import AgentBufferKey, BufferKey
from mlagents.trainers.torch_entities.action_log_probs import LogProbsTuple
from mlagents.trainers.torch_entities.utils import ModelUtils
from mlagents_envs.base_env import ActionTuple, DecisionSteps, TerminalSteps

from mlagents_plugin_shared.data.open_segments import OpenSegments
from mlagents_plugin_shared.data.trajectories import SegmentSteps, SegmentTrajectory

_NO_LOG_PROBS = LogProbsTuple.empty_log_probs()


class ArrayAgentManager(AgentManager):
    """Makes the trajectories that ML-Agents' `AgentManager` makes, of all agents of a message at a time.

    Each holds a `Segment`, and its steps as tuples for whoever asks: see `SegmentSteps`. Three things differ. Of group
    mates it is only known whether they are done; `prev_action` is what the agent did before, where ML-Agents has what
    the message's first agent did; and a reset forgets agents that have no whole step yet, too.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._action_spec = self.policy.behavior_spec.action_spec
        self._segments = OpenSegments(self.policy.behavior_spec, self.policy.m_size)
        self._slots: defaultdict[int, dict[int, int]] = defaultdict(dict)
        self._names: dict[int, str] = {}
        self._groups: dict[int, int] = {}  # of slots; empty where no agent has a group

    def add_experiences(
        self,
        decision_steps: DecisionSteps,
        terminal_steps: TerminalSteps,
        worker_id: int,
        previous_action: ActionInfo,
    ) -> None:
        """Takes in a message: what the last actions brought, which episodes ended, and what agents see now.

        Args:
            decision_steps: of agents that wait for an action.
            terminal_steps: of agents whose episode has ended.
            worker_id: whose message it is.
            previous_action: what agents of this worker did last.
        """
        slots = self._slots[worker_id]
        self._report_entropy(previous_action)
        self._act(slots, previous_action)
        if len(terminal_steps):
            self._end(slots, terminal_steps)
        if len(decision_steps):
            self._go_on(slots, decision_steps, worker_id)
        self._remember_actions(slots, previous_action)

    def end_episode(self) -> None:
        """Forgets all agents, because the environment is reset."""
        for slots in self._slots.values():
            self._forget(slots, list(slots))

    def _report_entropy(self, previous_action: ActionInfo) -> None:
        entropies = previous_action.outputs.get("entropy", ())
        for entropy in ModelUtils.to_numpy(entropies).tolist() if torch.is_tensor(entropies) else entropies:
            self._stats_reporter.add_stat("Policy/Entropy", entropy)

    def _act(self, slots: dict[int, int], previous_action: ActionInfo) -> None:
        rows, known = _known(slots, previous_action.agent_ids)
        if len(known):
            action: ActionTuple = previous_action.outputs["action"]
            log_probs = previous_action.outputs.get("log_probs", _NO_LOG_PROBS)
            if not isinstance(log_probs, LogProbsTuple):
                log_probs = log_probs.to_log_probs_tuple()
            taken = {
                BufferKey.CONTINUOUS_ACTION: action.continuous,
                BufferKey.DISCRETE_ACTION: action.discrete,
                BufferKey.CONTINUOUS_LOG_PROBS: log_probs.continuous,
                BufferKey.DISCRETE_LOG_PROBS: log_probs.discrete,
            }
            there = {key: part[rows] for key, part in taken.items() if part is not None and part.size}
            self._segments.act(known, there)

    def _end(self, slots: dict[int, int], steps: TerminalSteps) -> None:
        ending = {agent: row for row, agent in enumerate(steps.agent_id.tolist()) if agent in slots}
        ended = [row for agent, row in ending.items() if self._segments.has_acted[slots[agent]]]
        known = np.array([slots[agent] for agent in steps.agent_id[ended].tolist()], np.intp)
        self._reward(steps, ended, known)
        self._segments.observe(known, [observation[ended] for observation in steps.obs], None)
        going_on = [slot for agent, slot in slots.items() if agent not in ending]
        for row, slot in zip(ended, known.tolist(), strict=True):
            interrupted = bool(steps.interrupted[row])
            self._publish(slot, going_on, terminated=not interrupted, interrupted=interrupted)
            self._stats_reporter.add_stat("Environment/Episode Length", int(self._segments.ages[slot]) - 1)
        self._forget(slots, list(ending))

    def _go_on(self, slots: dict[int, int], steps: DecisionSteps, worker_id: int) -> None:
        agents = steps.agent_id.tolist()
        for agent in agents:
            if agent not in slots:
                slots[agent] = slot = self._segments.take_slot()
                self._names[slot] = get_global_agent_id(worker_id, agent)
        known = np.array([slots[agent] for agent in agents], np.intp)
        acted = self._segments.has_acted[known]
        self._reward(steps, acted, known[acted])
        self._segments.observe(known, steps.obs, self._allowed(steps))
        self._note_groups(known, np.asarray(steps.group_id))
        for slot in known[self._segments.lengths[known] >= self._max_trajectory_length].tolist():
            self._publish(slot, slots.values())

    def _note_groups(self, slots: np.ndarray, groups: np.ndarray) -> None:
        if self._groups or groups.any():
            self._groups.update(zip(slots.tolist(), groups.tolist(), strict=True))

    def _is_group_done(self, slot: int, going_on: Iterable[int]) -> bool:
        """Whether none of these other agents, of those that have made a step, is in the group; 0 is no group."""
        group = self._groups.get(slot, 0)
        return not group or not any(
            self._groups.get(other) == group and self._segments.ages[other] for other in going_on if other != slot
        )

    def _reward(self, steps: DecisionSteps | TerminalSteps, rows: Any, slots: np.ndarray) -> None:
        brought: dict[AgentBufferKey, np.ndarray] = {
            BufferKey.ENVIRONMENT_REWARDS: steps.reward[rows],
            BufferKey.GROUP_REWARD: steps.group_reward[rows],
        }
        if self.policy.use_recurrent:
            brought[BufferKey.MEMORY] = self.policy.retrieve_previous_memories(self._names_of(slots))
        self._segments.reward(slots, brought)

    def _allowed(self, steps: DecisionSteps) -> np.ndarray:
        """[B, sum of branches], 1 = allowed, where a player's message has True for what is forbidden."""
        if not steps.action_mask:
            return np.ones((len(steps), sum(self._action_spec.discrete_branches)), np.uint8)
        return np.logical_not(np.concatenate(steps.action_mask, axis=1)).astype(np.uint8)

    def _publish(self, slot: int, going_on: Iterable[int], **how: bool) -> None:
        segment = self._segments.close(slot, self._names[slot], **how)
        trajectory = SegmentTrajectory(
            steps=SegmentSteps(segment, self._action_spec, group_is_done=self._is_group_done(slot, going_on)),
            agent_id=segment.agent_id,
            next_obs=[rows[-1] for rows in segment.observations],
            next_group_obs=[],
            behavior_id=self._behavior_id,
        )
        for queue in self._trajectory_queues:
            queue.put(trajectory)

    def _remember_actions(self, slots: dict[int, int], previous_action: ActionInfo) -> None:
        """Agents whose episode has ended are not among `slots` any more."""
        rows, known = _known(slots, previous_action.agent_ids)
        if len(known) and self._action_spec.discrete_size:
            discrete = previous_action.outputs["action"].discrete[rows]
            self.policy.save_previous_action(self._names_of(known), ActionTuple(discrete=discrete))

    def _forget(self, slots: dict[int, int], agents: list[int]) -> None:
        freed = [slots.pop(agent) for agent in agents]
        names = [self._names.pop(slot) for slot in freed]
        for slot in freed:
            self._segments.free_slot(slot)
            self._groups.pop(slot, None)
        self.policy.remove_previous_action(names)
        self.policy.remove_memories(names)

    def _names_of(self, slots: np.ndarray) -> list[str]:
        return [self._names[slot] for slot in slots.tolist()]


def _known(slots: dict[int, int], agents: Iterable[int]) -> tuple[Any, np.ndarray]:
    """Rows of the agents that have a slot, and their slots."""
    found = [slots.get(agent) for agent in agents]
    if None not in found:
        return slice(None), np.array(found, np.intp)
    rows = [row for row, slot in enumerate(found) if slot is not None]
    return rows, np.array([found[row] for row in rows], np.intp)
