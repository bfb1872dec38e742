"""Segments from a player's messages, beside those of ML-Agents' own agent manager."""

import copy
import pickle
from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlagents.torch_utils import torch
from mlagents.trainers.action_info import ActionInfo
from mlagents.trainers.agent_processor import AgentManager
from mlagents.trainers.buffer import BufferKey
from mlagents.trainers.policy import Policy
from mlagents.trainers.settings import NetworkSettings
from mlagents.trainers.stats import StatsReporter
from mlagents.trainers.torch_entities.action_log_probs import ActionLogProbs, LogProbsTuple
from mlagents.trainers.trajectory import Trajectory
from mlagents_envs.base_env import (
    ActionSpec,
    BehaviorSpec,
    DecisionSteps,
    TerminalSteps,
)

from fakes import CONTINUOUS, DISCRETE, HYBRID
from mlagents_plugin_shared.data.trajectories import Segment, SegmentSteps, trajectory_to_segment
from mlagents_plugin_shared.run.agent_manager import ArrayAgentManager
from twins import Case

MEMORY = 6


class Remembering(Policy):
    """ML-Agents' book-keeping of agents, without a network."""

    def __init__(self, spec: BehaviorSpec, *, memory: bool) -> None:
        memory_settings = NetworkSettings.MemorySettings(memory_size=MEMORY) if memory else None
        super().__init__(0, spec, NetworkSettings(memory=memory_settings))

    def increment_step(self, n_steps: int) -> None:
        """Nothing counts."""

    def get_current_step(self) -> int:
        """Always the first."""
        return 0

    def load_weights(self, values: list) -> None:
        """There are none."""

    def get_weights(self) -> list:
        """There are none."""
        return []

    def init_load_weights(self) -> None:
        """There are none."""


class Statistics(StatsReporter):
    """Keeps what is reported, in order."""

    def __init__(self) -> None:
        super().__init__("Behavior")
        self.kept: list[tuple[str, float]] = []

    def add_stat(self, key: str, value: float, *arguments: Any) -> None:
        """Keeps a number."""
        self.kept.append((key, float(value)))


class Messages:
    """What players say and what their agents do, at random: agents come, wait, end and come again by the same id."""

    def __init__(self, spec: BehaviorSpec, rng: np.random.Generator) -> None:
        self.spec, self.rng = spec, rng
        self.lives: defaultdict[int, set[int]] = defaultdict(set)  # by worker: agents that have acted
        self.last: dict[int, DecisionSteps] = {}

    def next(self, worker: int, agents: int) -> tuple[DecisionSteps, TerminalSteps, int, ActionInfo]:
        """A message of a worker, and what was done on its last one."""
        rng, lives = self.rng, self.lives[worker]
        acted = self.last[worker].agent_id.tolist() if worker in self.last else []
        lives.update(acted)
        ended = np.array([agent for agent in sorted(lives) if rng.random() < 0.15], np.int32)
        rng.shuffle(ended)
        lives.difference_update(ended.tolist())
        seen = np.array([agent for agent in range(agents) if rng.random() < 0.8], np.int32)
        rng.shuffle(seen)
        action = self._action(worker, acted)
        self.last[worker] = self._decisions(seen)
        return self.last[worker], self._terminals(ended), worker, action

    def _groups(self, agents: np.ndarray) -> np.ndarray:
        return agents % 3  # 0 is no group

    def _observations(self, count: int) -> list[np.ndarray]:
        return [self.rng.random((count, *each.shape), dtype=np.float32) for each in self.spec.observation_specs]

    def _numbers(self, count: int) -> np.ndarray:
        return self.rng.normal(size=count).astype(np.float32)

    def _decisions(self, agents: np.ndarray) -> DecisionSteps:
        count = len(agents)
        masks = None
        if self.spec.action_spec.discrete_size and self.rng.random() < 0.7:
            masks = [self.rng.random((count, size)) < 0.5 for size in self.spec.action_spec.discrete_branches]
        return DecisionSteps(
            self._observations(count), self._numbers(count), agents, masks, self._groups(agents), self._numbers(count)
        )

    def _terminals(self, agents: np.ndarray) -> TerminalSteps:
        count = len(agents)
        interrupted = self.rng.random(count) < 0.5
        groups = self._groups(agents)
        return TerminalSteps(
            self._observations(count), self._numbers(count), interrupted, agents, groups, self._numbers(count)
        )

    def _action(self, worker: int, agents: list[int]) -> ActionInfo:
        if not agents:
            return ActionInfo.empty()
        action_spec, count = self.spec.action_spec, len(agents)
        action = action_spec.random_action(count)
        discrete = [torch.randn(count) for _ in action_spec.discrete_branches]
        log_probs = ActionLogProbs(
            torch.randn(count, action_spec.continuous_size) if action_spec.continuous_size else None,
            discrete or None,
            None,
        )
        outputs = {"action": action, "log_probs": log_probs, "entropy": torch.randn(count)}
        return ActionInfo(action, action, outputs, agents)


def take(manager: AgentManager) -> list[Trajectory]:
    """What waits in a manager's queue."""
    taken = []
    while not manager.trajectory_queue.empty():
        taken.append(manager.trajectory_queue.get_nowait())
    return taken


def assert_same(ours: Segment, theirs: Segment) -> None:
    """Everything but the previous actions, which are not the agent's own in ML-Agents."""
    assert (ours.agent_id, ours.terminated, ours.interrupted) == (
        theirs.agent_id,
        theirs.terminated,
        theirs.interrupted,
    )
    for a, b in zip(ours.observations, theirs.observations, strict=True):
        np.testing.assert_array_equal(a, b)
    assert list(ours.columns) == list(theirs.columns)
    for key in set(ours.columns) - {BufferKey.PREV_ACTION}:
        assert ours.columns[key].dtype == theirs.columns[key].dtype, key
        np.testing.assert_array_equal(ours.columns[key], theirs.columns[key], str(key))


def forget_the_rest(manager: AgentManager) -> None:
    """ML-Agents forgets only agents with a whole step in an open segment."""
    policy = manager.policy
    kept = (manager._last_step_result, manager._last_take_action_outputs, policy.memory_dict, manager._group_status)
    for each in (*kept, policy.previous_memory_dict, policy.previous_action_dict, manager._episode_steps):
        each.clear()


def managers(spec: BehaviorSpec, horizon: int, *, memory: bool) -> tuple[AgentManager, AgentManager]:
    """Ours and ML-Agents'."""
    kinds = (ArrayAgentManager, AgentManager)
    return tuple(  # type: ignore[return-value]
        kind(Remembering(spec, memory=memory), "Behavior?team=0", Statistics(), horizon, threaded=False)
        for kind in kinds
    )


@settings(max_examples=80, deadline=None)
@given(
    action_spec=st.sampled_from([DISCRETE, CONTINUOUS, HYBRID]),
    shapes=st.lists(st.sampled_from([(3,), (2, 4), (3, 20, 20)]), min_size=1, max_size=2),
    agents=st.integers(1, 20),
    horizon=st.sampled_from([1, 2, 5, 40]),
    workers=st.integers(1, 2),
    memory=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_segments_are_those_of_ml_agents(action_spec, shapes, agents, horizon, workers, memory, seed):
    """Whoever comes, waits, ends or comes again: the same steps, in the same order, and the same statistics."""
    spec = Case(action_spec, tuple(shapes)).behavior_spec()
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    messages, (ours, theirs) = Messages(spec, rng), managers(spec, horizon, memory=memory)
    whole = 0
    for step in range(60):
        if step == 40:
            ours.end_episode()
            theirs.end_episode()
            forget_the_rest(theirs)
            messages = Messages(spec, rng)
        message = messages.next(step % workers, agents)
        names = [f"agent_{step % workers}-{agent}" for agent in message[0].agent_id]
        memories = rng.random((len(names), MEMORY), dtype=np.float32)
        for manager in (ours, theirs):
            manager.add_experiences(*message)
            manager.policy.save_memories(names, memories)
        for a, b in zip(take(ours), take(theirs), strict=True):
            assert_same(trajectory_to_segment(a, action_spec), trajectory_to_segment(b, action_spec))
            assert a.all_group_dones_reached == b.all_group_dones_reached
            whole += len(a.steps)
    assert ours._stats_reporter.kept == theirs._stats_reporter.kept
    assert ours.policy.previous_memory_dict.keys() == theirs.policy.previous_memory_dict.keys()
    assert whole > 0


@settings(max_examples=30, deadline=None)
@given(action_spec=st.sampled_from([DISCRETE, HYBRID]), horizon=st.sampled_from([1, 3, 50]), seed=st.integers(0, 1000))
def test_previous_actions_are_the_agents_own(action_spec, horizon, seed):
    """From one segment of an episode to the next, and zeros where an episode begins."""
    spec = Case(action_spec, ((3,),)).behavior_spec()
    messages, (ours, _) = Messages(spec, np.random.default_rng(seed)), managers(spec, horizon, memory=False)
    last: dict[str, np.ndarray] = {}
    for _ in range(60):
        ours.add_experiences(*messages.next(0, 6))
        for trajectory in take(ours):
            segment = trajectory_to_segment(trajectory, action_spec)
            actions = segment.columns[BufferKey.DISCRETE_ACTION]
            before = last.pop(segment.agent_id, np.zeros(action_spec.discrete_size, np.int32))
            expected = np.concatenate([before[None], actions[:-1]])
            np.testing.assert_array_equal(segment.columns[BufferKey.PREV_ACTION], expected)
            if not (segment.terminated or segment.interrupted):
                last[segment.agent_id] = actions[-1]


@pytest.mark.parametrize("action_spec", [DISCRETE, CONTINUOUS, HYBRID], ids=["discrete", "continuous", "hybrid"])
def test_steps_are_tuples_for_whoever_asks(action_spec: ActionSpec) -> None:
    """A trainer that reads ML-Agents' own tuples finds the numbers of the segment in them."""
    spec = Case(
        action_spec,
        (
            (3,),
            (2, 2),
        ),
    ).behavior_spec()
    messages, (ours, _) = Messages(spec, np.random.default_rng(1)), managers(spec, 50, memory=True)
    for _ in range(60):
        ours.add_experiences(*messages.next(0, 3))
    for trajectory in take(ours):
        segment = trajectory_to_segment(trajectory, action_spec)
        as_tuples = Trajectory(list(trajectory.steps), *trajectory[1:])
        again = trajectory_to_segment(as_tuples, action_spec)
        assert_same(again, segment)
        np.testing.assert_array_equal(again.columns[BufferKey.PREV_ACTION], segment.columns[BufferKey.PREV_ACTION])
        assert trajectory.done_reached == (segment.terminated or segment.interrupted)
        assert trajectory.interrupted == segment.interrupted
        assert type(pickle.loads(pickle.dumps(trajectory))) is type(trajectory)
        assert trajectory._replace(steps=list(trajectory.steps)).all_group_dones_reached
        assert trajectory.to_agentbuffer().num_experiences == len(segment)
        assert isinstance(trajectory.steps, SegmentSteps)
        with pytest.raises(IndexError, match="step"):
            trajectory.steps[len(segment)]


def test_policy_without_log_probabilities() -> None:
    """As ML-Agents has it: columns without width."""
    spec = Case(DISCRETE, ((3,),)).behavior_spec()
    _, (ours, theirs) = None, managers(spec, 2, memory=False)
    messages = Messages(spec, np.random.default_rng(0))
    for _ in range(20):
        decisions, terminals, worker, action = messages.next(0, 3)
        action.outputs.pop("log_probs", None)
        action.outputs.pop("entropy", None)
        for manager in (ours, theirs):
            manager.add_experiences(decisions, terminals, worker, action)
    pairs = list(zip(take(ours), take(theirs), strict=True))
    assert pairs
    for a, b in pairs:
        assert_same(trajectory_to_segment(a, DISCRETE), trajectory_to_segment(b, DISCRETE))


def decisions(spec: BehaviorSpec, agents: list[int]) -> DecisionSteps:
    """Of agents that see zeros."""
    zeros, count = np.zeros(len(agents), np.int32), len(agents)
    observations = [np.zeros((count, *each.shape), np.float32) for each in spec.observation_specs]
    return DecisionSteps(observations, np.zeros(count, np.float32), np.array(agents), None, zeros, zeros)


def terminals(spec: BehaviorSpec, agents: list[int]) -> TerminalSteps:
    """Of agents that see zeros."""
    steps, ended = decisions(spec, agents), np.zeros(len(agents), bool)
    return TerminalSteps(steps.obs, steps.reward, ended, steps.agent_id, steps.group_id, steps.group_reward)


def acting(spec: BehaviorSpec, agents: list[int], likely: float | None) -> ActionInfo:
    """Random actions, all with one log-probability, or without any."""
    action, continuous = spec.action_spec.random_action(len(agents)), np.zeros((len(agents), 0), np.float32)
    discrete = np.full((len(agents), spec.action_spec.discrete_size), likely, np.float32)
    outputs = {} if likely is None else {"log_probs": LogProbsTuple(continuous, discrete)}
    return ActionInfo(action, action, {"action": action, **outputs}, agents)


def test_log_probabilities_that_come_and_go_are_not_made_up() -> None:
    """A step without any has NaN, and not what lay there of another episode or of another agent."""
    spec = Case(DISCRETE, ((3,),)).behavior_spec()
    ours, _ = managers(spec, 50, memory=False)
    told = [None, -1.0, -2.0, None, -3.0]
    found = []
    for episode in (told, told[::-1]):
        ours.add_experiences(decisions(spec, [1]), terminals(spec, []), 0, ActionInfo.empty())
        for likely in episode[:-1]:
            ours.add_experiences(decisions(spec, [1]), terminals(spec, []), 0, acting(spec, [1], likely))
        ours.add_experiences(decisions(spec, []), terminals(spec, [1]), 0, acting(spec, [1], episode[-1]))
        (trajectory,) = take(ours)
        found.append(trajectory.steps.segment.columns[BufferKey.DISCRETE_LOG_PROBS][:, 0].tolist())
    nan = np.nan
    np.testing.assert_array_equal(found, [[nan, -1.0, -2.0, nan, -3.0], [-3.0, nan, -2.0, -1.0, nan]])


def test_agent_that_ends_twice_in_a_message_ends_once() -> None:
    """As ML-Agents has it, which goes by the last of the two."""
    spec = Case(HYBRID, ((3,),)).behavior_spec()
    pair = managers(spec, 50, memory=False)
    action = acting(spec, [1, 2], None)
    for manager in pair:
        manager.add_experiences(decisions(spec, [1, 2]), terminals(spec, []), 0, ActionInfo.empty())
        manager.add_experiences(decisions(spec, [2]), terminals(spec, [1, 1]), 0, action)
    (ours,), (theirs,) = map(take, pair)
    assert_same(trajectory_to_segment(ours, HYBRID), trajectory_to_segment(theirs, HYBRID))


def test_segments_share_no_memory_with_those_that_grow() -> None:
    """Whoever writes into a segment spoils neither the agent's next one nor anybody else's."""
    spec = Case(
        HYBRID,
        (
            (3,),
            (3, 20, 20),
        ),
    ).behavior_spec()
    found: list[list[Segment]] = [[], []]
    for segments, writes in zip(found, (False, True), strict=True):
        messages, (ours, _) = Messages(spec, np.random.default_rng(0)), managers(spec, 3, memory=True)
        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002 - ML-Agents draws random actions by it
        for _ in range(40):
            ours.add_experiences(*messages.next(0, 4))
            for trajectory in take(ours):
                segment = trajectory.steps.segment
                segments.append(copy.deepcopy(segment))
                for rows in (*segment.observations, *segment.columns.values()) if writes else ():
                    rows[:] = 0
    assert found[0]
    for first, second in zip(*found, strict=True):
        assert_same(first, second)
        np.testing.assert_array_equal(first.columns[BufferKey.PREV_ACTION], second.columns[BufferKey.PREV_ACTION])
