"""Values of a rollout: all agents at once are each agent on its own."""

import itertools

import numpy as np
import pytest
from mlagents.torch_utils import torch
from mlagents.trainers.buffer import BufferKey

from mlagents_plugin_shared.learning.values import lockstep, stored_state_values
from rollouts import MEMORY, segment, trainer

# Agent, length and end of each segment; sequences have 4 steps.
SEGMENTS = [("a", 7, False), ("b", 4, True), ("a", 5, True), ("b", 9, False), ("a", 3, False), ("c", 1, False)]


def filled(owner, parts=SEGMENTS):
    """The segments, with an observation all their own."""
    for seed, (agent_id, length, terminated) in enumerate(parts):
        piece = segment(owner, length, seed=seed, terminated=terminated, agent_id=agent_id)
        owner.store(piece, {"extrinsic": np.zeros(length)})
    return owner.update_buffer


def step_by_step(owner, rollout) -> tuple[np.ndarray, np.ndarray]:
    """Values and last values, one step of one agent after the other."""
    values, last_values, memories = [], [], {}
    ends = np.cumsum(rollout.lengths)
    for k, agent in enumerate(rollout.agent_ids):
        memory = memories.get(agent, torch.zeros(1, 1, MEMORY["memory_size"]))
        rows = [*rollout.observations()[0][ends[k] - rollout.lengths[k] : ends[k]], rollout.last_observations()[0][k]]
        for row in rows:
            kept = memory
            with torch.no_grad():
                value, memory = owner.optimizer.critic.critic_pass([torch.as_tensor(row)[None]], memory)
            values.append(value["extrinsic"].item())
        last_values.append(values.pop())
        memories[agent] = torch.zeros_like(kept) if rollout.terminated[k] or rollout.interrupted[k] else kept
    return np.array(values), np.array(last_values)


@pytest.mark.parametrize("shared_critic", [True, False])
def test_recurrent_values_equal_step_by_step(shared_critic: bool) -> None:
    """Also through the end of a segment within a sequence, and in the next rollout; episodes start from zeros."""
    owner = trainer(memory=MEMORY, shared_critic=shared_critic)
    for parts in (SEGMENTS, SEGMENTS[:2]):
        rollout = filled(owner, parts)
        expected = step_by_step(owner, rollout)
        for found, value in zip(owner.optimizer.rollout_values(rollout), expected, strict=True):
            np.testing.assert_allclose(found["extrinsic"], value, atol=1e-6)
        rollout.clear()
        owner.optimizer.critic_memory_dict.clear()


def test_critic_memory_runs_on_into_the_next_rollout() -> None:
    """Two rollouts of one segment have the values of one rollout of two."""
    together, apart = trainer(memory=MEMORY), trainer(memory=MEMORY)
    parts = [("a", 6, False), ("a", 5, False)]
    expected, _ = together.optimizer.rollout_values(filled(together, parts))
    found = []
    for seed, (agent_id, length, terminated) in enumerate(parts):
        piece = segment(apart, length, seed=seed, terminated=terminated, agent_id=agent_id)
        apart.store(piece, {"extrinsic": np.zeros(length)})
        found.append(apart.optimizer.rollout_values(apart.update_buffer)[0]["extrinsic"])
        apart.update_buffer.clear()
    np.testing.assert_allclose(np.concatenate(found), expected["extrinsic"], atol=1e-6)


def test_critic_memory_is_that_at_the_start_of_each_sequence() -> None:
    """Zeros for the first sequence of an episode, something else for the second; ended episodes are forgotten."""
    owner = trainer(memory=MEMORY)
    rollout = filled(owner)
    owner.optimizer.rollout_values(rollout)
    memory = rollout[BufferKey.CRITIC_MEMORY]
    starts = np.cumsum(rollout.lengths) - rollout.lengths
    assert not memory[starts[[0, 1, 3, 4, 5]]].any()  # of new episodes
    assert memory[starts[2]].any()  # of the agent's second segment
    assert memory[starts[0] + 4].any()
    assert set(owner.optimizer.critic_memory_dict) == {"a", "b", "c"}
    rollout.clear()
    owner.optimizer.rollout_values(filled(owner, [("c", 2, True)]))
    assert set(owner.optimizer.critic_memory_dict) == {"a", "b"}
    owner.end_episode()
    assert not owner.optimizer.critic_memory_dict


def test_lockstep_groups_are_of_one_length_and_of_different_agents() -> None:
    """Every step is in one sequence, and an agent's sequences come in order."""
    rollout = filled(trainer(memory=MEMORY))
    seen: dict[str, list[int]] = {"a": [], "b": [], "c": []}
    for group in lockstep(rollout):
        agents = [rollout.agent_ids[sequence.k] for sequence in group]
        assert len(set(agents)) == len(agents)
        assert len({sequence.stop - sequence.start for sequence in group}) == 1
        for agent, sequence in zip(agents, group, strict=True):
            seen[agent] += range(sequence.start, sequence.stop)
    assert all(steps == sorted(steps) for steps in seen.values())
    assert sorted(itertools.chain.from_iterable(seen.values())) == list(range(29))


def test_values_in_parts_equal_values_at_once() -> None:
    """batch_size bounds what is valued at a time."""
    found = []
    for batch_size in (8, 40):
        owner = trainer(batch_size=batch_size)
        found.append(np.concatenate([v["extrinsic"] for v in owner.optimizer.rollout_values(filled(owner))]))
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)


@pytest.mark.parametrize("memory", [None, MEMORY])
def test_values_build_no_graph(memory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither those of the states nor those to bootstrap from."""
    owner = trainer(memory=memory)
    critic_pass, graphs = owner.optimizer.critic.critic_pass, []

    def watched(*args, **kwargs):
        values, memories = critic_pass(*args, **kwargs)
        graphs.append(values["extrinsic"].requires_grad)
        return values, memories

    monkeypatch.setattr(owner.optimizer.critic, "critic_pass", watched)
    owner.optimizer.rollout_values(filled(owner))
    assert graphs
    assert not any(graphs)


@pytest.mark.parametrize("noticed", [True, False], ids=["noticed", "control"])
def test_episode_that_was_cut_leaves_the_critic_no_memory(noticed: bool) -> None:
    """The agent's next episode is valued from a memory of zeros, within the rollout and in the next one."""
    owner = trainer(memory=MEMORY)
    rollout = filled(owner, [("a", 4, False)])
    if noticed:
        owner.forget_episode("a")
    owner.store(segment(owner, 4, seed=9, agent_id="a"), {"extrinsic": np.zeros(4)})
    cut = owner.optimizer.rollout_values(rollout)[0]["extrinsic"][4:]
    fresh = trainer(memory=MEMORY)
    fresh.store(segment(fresh, 4, seed=9, agent_id="a"), {"extrinsic": np.zeros(4)})
    alone = fresh.optimizer.rollout_values(fresh.update_buffer)[0]["extrinsic"]
    assert np.allclose(cut, alone, atol=1e-6) == noticed
    rollout.clear()
    owner.forget_episode("a")
    assert "a" not in owner.optimizer.critic_memory_dict


def test_stored_state_values_equal_step_by_step() -> None:
    """Each sequence starts from the state that was stored there, whatever came before it; so does what follows it."""
    owner = trainer(memory=MEMORY, shared_critic=True)
    rollout = filled(owner)
    critic = owner.optimizer.critic

    def network(observations, memories, length):
        value, after = critic.critic_pass(observations, memories, sequence_length=length)
        return torch.stack([value["extrinsic"]] * 2, dim=1).unsqueeze(2), after  # [B, 2, 1]

    found = stored_state_values(network, rollout)
    expected, expected_last = [], []
    ends = np.cumsum(rollout.lengths)
    for k, (stop, length) in enumerate(zip(ends, rollout.lengths, strict=True)):
        for t in range(length):
            if t % MEMORY["sequence_length"] == 0:
                memory = torch.as_tensor(rollout[BufferKey.MEMORY][stop - length + t]).reshape(1, 1, -1)
            with torch.no_grad():
                row = torch.as_tensor(rollout.observations()[0][stop - length + t])[None]
                value, memory = critic.critic_pass([row], memory)
            expected.append(value["extrinsic"].item())
        with torch.no_grad():
            value, _ = critic.critic_pass([torch.as_tensor(rollout.last_observations()[0][k])[None]], memory)
        expected_last.append(value["extrinsic"].item())
    assert found.values.shape == (len(expected), 2, 1)
    np.testing.assert_allclose(found.values[:, 1, 0], expected, atol=1e-6)
    np.testing.assert_allclose(found.last_values[:, 0, 0], expected_last, atol=1e-6)
