"""Drives the replay buffer against a slow model: a list of transitions that know their successors."""

import io
from collections import deque
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from mlagents.trainers.buffer import BufferKey
from mlagents.trainers.trajectory import ObsUtil

from fakes import counting_segment, mask_of
from mlagents_plugin_shared.data import PrioritizedReplayBuffer, ReplayBuffer, ReplayKey

CAPACITY = 17
AGENTS = ("a", "b", "c")


@dataclass
class Step:
    """One transition of the model; its observation, reward and mask all follow from `count`."""

    count: int
    successor: "Step | None" = None
    end: str = ""  # "cut", "terminated" or "interrupted" where no successor is known

    @property
    def sampleable(self):
        return self.end != "cut"


class Model:
    def __init__(self):
        self.steps = deque(maxlen=CAPACITY)
        self.open = {}

    def add(self, agent, start, length, end):
        steps = [Step(start + i) for i in range(length)]
        for step, successor in pairwise(steps):
            step.successor = successor
        steps[-1].end = end
        former = self.open.pop(agent, None)
        self.steps.extend(steps)
        if former is not None and former.count + 1 == start and any(former is step for step in self.steps):
            former.successor, former.end = steps[0], ""
        if end == "cut":
            self.open[agent] = steps[-1]

    def window(self, count, n):
        """(counts of the window, next observation, mask after it, done)."""
        step = next(step for step in self.steps if step.count == count)
        counts = [step.count]
        while len(counts) < n and step.successor is not None and step.successor.sampleable:
            step = step.successor
            counts.append(step.count)
        after = step.count + 1
        mask = [1] * 4 if step.successor is None else mask_of([after])[0].tolist()
        return counts, after, mask, step.end == "terminated"

    def led_to(self, count, steps):
        """Counts of up to so many steps that led to one, oldest first."""
        step = next(step for step in self.steps if step.count == count)
        counts = []
        while len(counts) < steps:
            step = next((former for former in self.steps if former.successor is step), None)
            if step is None:
                break
            counts.append(step.count)
        return counts[::-1]


class ReplayMachine(RuleBasedStateMachine):
    @staticmethod
    def make(seed=1):
        return ReplayBuffer(CAPACITY, seed=seed)

    def __init__(self):
        super().__init__()
        self.buffer = self.make()
        self.model = Model()
        self.position = {agent: 1000 * i for i, agent in enumerate(AGENTS)}

    @rule(
        agent=st.sampled_from(AGENTS),
        length=st.one_of(st.integers(1, 6), st.integers(1, 2 * CAPACITY)),
        end=st.sampled_from(["cut", "cut", "terminated", "interrupted"]),
        reset=st.integers(0, 5),
    )
    def add(self, agent, length, end, reset):
        start = self.position[agent]
        if reset == 0:  # the environment began anew without telling
            start += 7
        self.buffer.add(
            counting_segment(
                start,
                length,
                agent_id=agent,
                terminated=end == "terminated",
                interrupted=end == "interrupted",
            )
        )
        self.model.add(agent, start, length, end)
        self.position[agent] = start + length

    @rule()
    def save_and_load(self):
        file = io.BytesIO()
        self.buffer.save_to_file(file)
        loaded = self.make(seed=2)
        loaded.load_from_file(file)
        self.buffer = loaded

    @rule(keep=st.integers(0, CAPACITY))
    def truncate(self, keep):
        self.buffer.truncate(keep)
        while len(self.model.steps) > keep:
            self.model.steps.popleft()

    @precondition(lambda self: any(step.sampleable for step in self.model.steps))
    @rule(n=st.integers(1, 6))
    def sample_n_step(self, n):
        batch = self.buffer.sample_n_step(150, n)
        one_step = self.buffer.gather(batch[ReplayKey.WINDOW])
        observations = one_step[ObsUtil.get_name_at(0)].reshape(150, n)
        rewards = one_step[BufferKey.ENVIRONMENT_REWARDS].reshape(150, n)
        np.testing.assert_array_equal(observations, rewards)
        for i, count in enumerate(batch[ObsUtil.get_name_at(0)][:, 0].astype(int)):
            horizon = batch[ReplayKey.HORIZON][i]
            found = (
                observations[i, :horizon].tolist(),
                batch[ObsUtil.get_name_at_next(0)][i, 0],
                batch[ReplayKey.NEXT_ACTION_MASK][i].tolist(),
                batch[BufferKey.DONE][i],
            )
            assert found == self.model.window(count, n)
            assert (observations[i, horizon:] == observations[i, horizon - 1]).all()
            assert batch[BufferKey.ACTION_MASK][i].tolist() == mask_of([count])[0].tolist()

    @precondition(lambda self: any(step.sampleable for step in self.model.steps))
    @rule(length=st.integers(1, 5), burn_in=st.integers(0, 4))
    def sample_sequences(self, length, burn_in):
        batch = self.buffer.sample_mini_batch(20 * length, length, burn_in)
        observations = batch[ObsUtil.get_name_at(0)].reshape(20, burn_in + length)
        masks = batch[BufferKey.MASKS].reshape(20, burn_in + length)
        for sequence, mask in zip(observations, masks, strict=True):
            lead = int(mask.argmax())
            counts = self.model.window(int(sequence[lead]), length)[0]
            assert sequence[mask > 0].tolist() == counts
            assert np.flatnonzero(mask).tolist() == list(range(lead, lead + len(counts)))
            assert sequence[:lead].tolist() == self.model.led_to(counts[0], burn_in)

    @precondition(lambda self: any(step.sampleable for step in self.model.steps))
    @rule()
    def sample_reaches_everything(self):
        # At most 17 transitions: one is missed by 800 draws with probability 17 (16/17)^800 < 1e-19.
        sampled = self.buffer.sample_mini_batch(800)[ObsUtil.get_name_at(0)][:, 0]
        assert set(sampled) == {step.count for step in self.model.steps if step.sampleable}

    @invariant()
    def holds_the_same(self):
        assert self.buffer.num_experiences == sum(step.sampleable for step in self.model.steps)
        if BufferKey.ENVIRONMENT_REWARDS in self.buffer:
            rewards = np.array(self.buffer[BufferKey.ENVIRONMENT_REWARDS])
            assert rewards.tolist() == [step.count for step in self.model.steps]


class PrioritizedMachine(ReplayMachine):
    """All of the above, and priorities: each transition's own, drawn from by hand."""

    def __init__(self):
        super().__init__()
        self.priorities = {}
        self.largest = 1.0

    @staticmethod
    def make(seed=1):
        return PrioritizedReplayBuffer(CAPACITY, alpha=1.0, seed=seed)

    @precondition(lambda self: any(step.sampleable for step in self.model.steps))
    @rule(low=st.floats(0.5, 1.0), high=st.floats(1.0, 4.0))
    def judge(self, low, high):
        batch = self.buffer.sample_mini_batch(8)
        errors = np.linspace(low, high, 8)
        self.buffer.update_priorities(batch[ReplayKey.SERIAL], errors)
        self.largest = max(self.largest, high + 1e-6)
        for count, error in zip(batch[ObsUtil.get_name_at(0)][:, 0], errors, strict=True):
            self.priorities[int(count)] = error + 1e-6  # of a transition named twice the last error counts

    @invariant()
    def draws_in_proportion(self):
        sampleable = [step.count for step in self.model.steps if step.sampleable]
        if sampleable:
            for count in sampleable:
                self.priorities.setdefault(count, self.largest)
            expected = np.array([self.priorities[count] for count in sampleable])
            sampled = self.buffer.sample_mini_batch(1000)[ObsUtil.get_name_at(0)][:, 0]
            found = (sampled[:, None] == sampleable).mean(axis=0)
            np.testing.assert_allclose(found, expected / expected.sum(), atol=2.1 / 1000)


# 200 runs of 50 steps: 10,000 of them against the model.
ReplayMachine.TestCase.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)
PrioritizedMachine.TestCase.settings = settings(max_examples=50, stateful_step_count=50, deadline=None)
test_replay_buffer_agrees_with_a_list_of_transitions = ReplayMachine.TestCase
test_prioritized_buffer_agrees_with_a_list_of_transitions = PrioritizedMachine.TestCase
