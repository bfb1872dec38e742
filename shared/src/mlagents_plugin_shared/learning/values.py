"""Values of a whole rollout, computed at once at update time."""

from collections import defaultdict
from collections.abc import Callable, MutableMapping
from itertools import chain
from typing import NamedTuple

import numpy as np
from mlagents.torch_utils import torch
from mlagents.trainers.buffer import BufferKey
from mlagents.trainers.torch_entities.utils import ModelUtils

from mlagents_plugin_shared.data import RolloutBuffer
from mlagents_plugin_shared.learning.rollout_batch import even_parts

Critic = Callable[..., tuple[torch.Tensor, torch.Tensor]]
"""(observations, memories [1, B / L, M], L) → values [B, S, ...] and the memories after each sequence."""


class RolloutValues(NamedTuple):
    """Values of a rollout of N steps in K segments, for S reward streams, such as [N, S], or [N, S, A] of actions."""

    values: np.ndarray  # [N, S, ...] of the states acted in
    last_values: np.ndarray  # [K, S, ...] of the state after each segment
    memories: np.ndarray | None = None  # [N, M] the critic's memory at the start of the step's sequence


class SequenceOfSegment(NamedTuple):
    """Steps `start` up to `stop` of segment `k`."""

    k: int
    start: int
    stop: int


@torch.no_grad()
def feedforward_values(critic: Critic, rollout: RolloutBuffer, batch_size: int) -> RolloutValues:
    """Values without memory.

    Args:
        critic: the critic.
        rollout: N steps in K segments.
        batch_size: states that are valued at a time.
    """

    def values(observations: list[np.ndarray]) -> np.ndarray:
        sensors = [ModelUtils.list_to_tensor(rows) for rows in observations]
        parts = even_parts(len(sensors[0]), batch_size)
        return ModelUtils.to_numpy(torch.cat([critic([rows[i:j] for rows in sensors], None, 1)[0] for i, j in parts]))

    return RolloutValues(values(rollout.observations()), values(rollout.last_observations()))


@torch.no_grad()
def recurrent_values(
    critic: Critic, rollout: RolloutBuffer, memories: MutableMapping[str, torch.Tensor], memory_size: int
) -> RolloutValues:
    """Values with memory: the first sequences of all agents at once, then their second ones, and so on.

    Each sequence starts from the memory that the agent's last one left; an episode starts from zeros.

    Args:
        critic: the critic.
        rollout: N steps in K segments.
        memories: [M] memory of each agent whose episode goes on; brought up to date.
        memory_size: M.
    """
    observations = [ModelUtils.list_to_tensor(rows) for rows in rollout.observations()]
    agents, over = rollout.agent_ids, rollout.terminated | rollout.interrupted
    blank = torch.zeros(memory_size)
    values: dict[int, torch.Tensor] = {}
    starts = torch.zeros(rollout.num_experiences, memory_size)
    ends: list[torch.Tensor] = [blank] * len(agents)
    stops = np.cumsum(rollout.lengths)
    for group in lockstep(rollout):
        before = torch.stack([memories.get(agents[sequence.k], blank) for sequence in group])
        rows = torch.as_tensor(np.concatenate([np.arange(sequence.start, sequence.stop) for sequence in group]))
        length = group[0].stop - group[0].start
        found, after = critic([o[rows] for o in observations], before.unsqueeze(0), length)
        starts[rows] = before.repeat_interleave(length, dim=0)
        for i, sequence in enumerate(group):
            values[sequence.start] = found[i * length : (i + 1) * length]
            ends[sequence.k] = memories[agents[sequence.k]] = after[0, i]
            if over[sequence.k] and sequence.stop == stops[sequence.k]:
                del memories[agents[sequence.k]]
    last_observations = [ModelUtils.list_to_tensor(rows) for rows in rollout.last_observations()]
    last_values, _ = critic(last_observations, torch.stack(ends).unsqueeze(0), 1)
    in_order = torch.cat([values[start] for start in sorted(values)])
    return RolloutValues(*map(ModelUtils.to_numpy, (in_order, last_values, starts)))


@torch.no_grad()
def stored_state_values(network: Critic, rollout: RolloutBuffer) -> RolloutValues:
    """Values with memory, of a network that acted itself: each sequence starts from the state that was stored there.

    Sequences that are equally long are computed at once.

    Args:
        network: the network.
        rollout: N steps in K segments, with MEMORY before each step.
    """
    observations = [ModelUtils.list_to_tensor(rows) for rows in rollout.observations()]
    stored = ModelUtils.list_to_tensor(rollout[BufferKey.MEMORY])
    stops = np.cumsum(rollout.lengths)
    values: dict[int, torch.Tensor] = {}
    ends: dict[int, torch.Tensor] = {}
    groups: dict[int, list[SequenceOfSegment]] = defaultdict(list)
    for sequence in chain.from_iterable(lockstep(rollout)):
        groups[sequence.stop - sequence.start].append(sequence)
    for length, group in groups.items():
        rows = torch.as_tensor(np.concatenate([np.arange(sequence.start, sequence.stop) for sequence in group]))
        found, after = network([o[rows] for o in observations], stored[rows[::length]].unsqueeze(0), length)
        for i, sequence in enumerate(group):
            values[sequence.start] = found[i * length : (i + 1) * length]
            if sequence.stop == stops[sequence.k]:
                ends[sequence.k] = after[0, i]
    last_observations = [ModelUtils.list_to_tensor(rows) for rows in rollout.last_observations()]
    last_memories = torch.stack([ends[k] for k in sorted(ends)]).unsqueeze(0)
    last_values, _ = network(last_observations, last_memories, 1)
    in_order = torch.cat([values[start] for start in sorted(values)])
    return RolloutValues(*map(ModelUtils.to_numpy, (in_order, last_values)))


def lockstep(rollout: RolloutBuffer) -> list[list[SequenceOfSegment]]:
    """Sequences of a rollout in groups that can be computed at once: of different agents, and of one length.

    The groups are in such an order that an agent's sequences follow each other.

    Args:
        rollout: segments; those of an agent in the order of time.
    """
    groups: dict[tuple[int, int], list[SequenceOfSegment]] = defaultdict(list)
    rounds: dict[str, int] = defaultdict(int)
    start = 0
    for k, (agent, segment_length) in enumerate(zip(rollout.agent_ids, rollout.lengths.tolist(), strict=True)):
        stop = start + segment_length
        for first in range(start, stop, rollout.sequence_length):
            last = min(first + rollout.sequence_length, stop)
            groups[rounds[agent], last - first].append(SequenceOfSegment(k, first, last))
            rounds[agent] += 1
        start = stop
    return [groups[key] for key in sorted(groups)]
