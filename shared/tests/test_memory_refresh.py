"""Recurrent states that are computed anew along the episodes of a replay."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlagents.torch_utils import torch
from mlagents.trainers.buffer import BufferKey
from mlagents.trainers.settings import NetworkSettings
from mlagents.trainers.torch_entities.networks import NetworkBody
from mlagents.trainers.trajectory import ObsUtil

from fakes import CONTINUOUS, DISCRETE, trajectory
from mlagents_plugin_shared.data import ReplayBuffer, ReplayKey
from mlagents_plugin_shared.data.trajectories import Segment, trajectory_to_segment
from mlagents_plugin_shared.run.memory_refresh import MemoryRefresh
from twins import Case

MEMORY = 4


def following(observations: list[np.ndarray], memories: np.ndarray) -> np.ndarray:
    """A state that tells where it came from."""
    return np.tanh(observations[0][:, :MEMORY] + 0.5 * memories)


def episodes(rng: np.random.Generator, action_spec: Any, count: int) -> list[Segment]:
    """Segments of three agents in turn, each of which goes on from the agent's last one unless that has ended."""
    made: list[Segment] = []
    ends: dict[str, np.ndarray | None] = {}
    for i in range(count):
        agent = f"agent_{i % 3}"
        done = rng.random() < 0.3
        length = int(rng.integers(1, 7))
        fake = trajectory(action_spec, length, agent_id=agent, done=done, memory=MEMORY, seed=int(rng.integers(10**6)))
        segment = trajectory_to_segment(fake, action_spec)
        if ends.get(agent) is not None:
            segment.observations[0][0] = ends[agent]
        ends[agent] = None if done else segment.observations[0][-1]
        made.append(segment)
    return made


def test_refresh_by_hand() -> None:
    """Two segments of an episode, in order, from the state that is stored with its first step."""
    first, second = (
        trajectory_to_segment(trajectory(CONTINUOUS, 2, memory=MEMORY, seed=i), CONTINUOUS) for i in (0, 1)
    )
    second.observations[0][0] = first.observations[0][-1]
    replay = ReplayBuffer(8)
    replay.add(first)
    replay.add(second)
    replay.refresh_memories(following)
    seen = np.concatenate([first.observations[0][:-1], second.observations[0][:-1]])
    expected = [first.columns[BufferKey.MEMORY][0]]
    for row in seen[:-1]:
        expected.append(following([row[None]], expected[-1][None])[0])
    np.testing.assert_array_equal(replay[BufferKey.MEMORY][:], np.array(expected))


@settings(max_examples=60, deadline=None)
@given(
    action_spec=st.sampled_from([DISCRETE, CONTINUOUS]), capacity=st.integers(3, 60), count=st.integers(1, 20),
    seed=st.integers(0, 1000),
)  # fmt: skip
def test_refresh_is_a_slow_loop_over_transitions(action_spec, capacity, count, seed) -> None:
    """Whatever was overwritten: each state is that after the transition before, or the stored one without it."""
    replay = ReplayBuffer(capacity)
    for segment in episodes(np.random.default_rng(seed), action_spec, count):
        replay.add(segment)
    ring = replay._ring
    rows = ring.live_rows()
    expected = ring.columns[BufferKey.MEMORY].copy()
    for row in rows:  # oldest first
        before, linked = (found[0] for found in ring.preceding(np.array([row])))
        if linked:
            seen = ring.observations[0].take(np.array([before]))
            expected[row] = following([seen], expected[[before]])[0]
    replay.refresh_memories(following)
    np.testing.assert_array_equal(ring.columns[BufferKey.MEMORY][rows], expected[rows])


def test_refresh_without_memory_does_nothing() -> None:
    """A replay without recurrent states has none to compute, and an empty one neither."""
    replay = ReplayBuffer(8)
    replay.refresh_memories(following)
    replay.add(trajectory_to_segment(trajectory(DISCRETE, 4), DISCRETE))
    replay.refresh_memories(following)
    assert replay.memories is None


def recurrent_body() -> NetworkBody:
    """A network with memory, as it starts."""
    torch.manual_seed(0)
    memory = NetworkSettings.MemorySettings(sequence_length=4, memory_size=MEMORY)
    return NetworkBody(Case(DISCRETE).behavior_spec().observation_specs, NetworkSettings(hidden_units=8, memory=memory))


def demonstrated() -> ReplayBuffer:
    """Two whole episodes of seven steps, without states, as demonstrations have none."""
    replay = ReplayBuffer(14)
    for seed in range(2):
        segment = trajectory_to_segment(trajectory(DISCRETE, 7, done=True, memory=MEMORY, seed=seed), DISCRETE)
        segment.columns[BufferKey.MEMORY][:] = 0.0
        replay.add(segment)
    return replay


def test_states_are_those_of_the_network_from_the_start_of_each_episode() -> None:
    """As an unrolled network has them before each step."""
    body, replay = recurrent_body(), demonstrated()
    MemoryRefresh(body, replay, None, 10).refresh()
    observations = torch.as_tensor(replay[ObsUtil.get_name_at(0)][:])
    for episode in (slice(0, 7), slice(7, 14)):
        state = torch.zeros(1, 1, MEMORY)
        for step in range(episode.start, episode.stop):
            stored = torch.as_tensor(replay[BufferKey.MEMORY][step])
            torch.testing.assert_close(stored, state[0, 0])
            with torch.no_grad():
                _, state = body([observations[step : step + 1]], memories=state, sequence_length=1)


def test_states_follow_the_network_every_interval() -> None:
    """Three updates of another network leave them, and the fourth makes them those of it; a resume keeps the count."""
    body, replay = recurrent_body(), demonstrated()
    refresh = MemoryRefresh(body, replay, None, 4)
    refresh.refresh()
    former = replay.memories.copy()
    with torch.no_grad():
        for parameter in body.parameters():
            parameter.add_(0.1)
    for _ in range(3):
        refresh.count()
    np.testing.assert_array_equal(replay.memories, former)
    other = demonstrated()
    resumed = MemoryRefresh(body, other, None, 4)
    resumed.load_state_dict(refresh.state_dict())
    np.testing.assert_array_equal(other.memories, former)
    for each in (refresh, resumed):
        each.count()
    assert np.abs(replay.memories - former).max() > 1e-3
    np.testing.assert_array_equal(other.memories, replay.memories)


@pytest.mark.parametrize("refreshes", [False, True])
def test_the_agents_own_states_are_refreshed_if_asked_for(refreshes: bool) -> None:
    """Without it they are those with which the agent acted."""
    replay = demonstrated()
    replay.memories[:] = 0.5
    MemoryRefresh(recurrent_body(), None, replay if refreshes else None, 4).refresh()
    assert (replay.memories == 0.5).all() != refreshes
    assert len(replay.sample_mini_batch(4, 2)[ReplayKey.SERIAL]) == 2


def test_a_run_begins_with_the_states_of_its_replay() -> None:
    """A resumed one goes on with those that were saved; those of demonstrations, which have none, are computed."""
    shown, replay = demonstrated(), demonstrated()
    for each in (shown, replay):
        each.memories[:] = 0.5
    MemoryRefresh(recurrent_body(), shown, replay, 4).begin()
    assert (replay.memories == 0.5).all()
    assert not (shown.memories == 0.5).all()
