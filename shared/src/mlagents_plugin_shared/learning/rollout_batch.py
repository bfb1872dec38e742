"""A rollout as the tensors that an on-policy optimizer computes with."""

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from mlagents.torch_utils import torch
from mlagents.trainers.buffer import AgentBuffer, BufferKey, RewardSignalKeyPrefix, RewardSignalUtil
from mlagents.trainers.policy.torch_policy import TorchPolicy
from mlagents.trainers.torch_entities.agent_action import AgentAction
from mlagents.trainers.torch_entities.utils import ModelUtils
from mlagents.trainers.trajectory import ObsUtil

from mlagents_plugin_shared.maths.losses import masked_mean


def values_key(stream: str) -> tuple[RewardSignalKeyPrefix, str]:
    """Key of the values of a reward stream; ML-Agents' `value_estimates_key` gives that of the returns (1.1.0)."""
    return RewardSignalKeyPrefix.VALUE_ESTIMATES, stream


class Steps(NamedTuple):
    """What was seen and done: B steps in sequences of length L, padded where `mask` is 0."""

    observations: list[torch.Tensor]
    actions: torch.Tensor  # [B, C + D] continuous, then discrete
    action_masks: torch.Tensor  # [B, A]
    log_probs: torch.Tensor  # [B, C + D] under the policy that acted
    memories: torch.Tensor | None  # [1, B / L, M] of the actor at the start of each sequence
    mask: torch.Tensor  # [B]
    sequence_length: int  # L; 1 without memory

    @classmethod
    def from_batch(cls, batch: AgentBuffer, policy: TorchPolicy) -> "Steps":
        """The columns of a batch as tensors.

        Args:
            batch: whole sequences.
            policy: policy of the behaviour, for the number of sensors and the length of sequences.
        """
        actions = (BufferKey.CONTINUOUS_ACTION, BufferKey.DISCRETE_ACTION)
        log_probs = (BufferKey.CONTINUOUS_LOG_PROBS, BufferKey.DISCRETE_LOG_PROBS)
        num_sensors = len(policy.behavior_spec.observation_specs)
        return cls(
            observations=[ModelUtils.list_to_tensor(rows) for rows in ObsUtil.from_buffer(batch, num_sensors)],
            actions=torch.cat([ModelUtils.list_to_tensor(batch[key]) for key in actions], dim=1),
            action_masks=ModelUtils.list_to_tensor(batch[BufferKey.ACTION_MASK]),
            log_probs=torch.cat([ModelUtils.list_to_tensor(batch[key]) for key in log_probs], dim=1),
            memories=starting_memories(batch[BufferKey.MEMORY], policy),
            mask=ModelUtils.list_to_tensor(batch[BufferKey.MASKS]),
            sequence_length=policy.sequence_length,
        )

    def agent_action(self, continuous_size: int) -> AgentAction:
        """The actions in ML-Agents' form."""
        discrete = self.actions[:, continuous_size:].long()
        return AgentAction(self.actions[:, :continuous_size], list(discrete.unbind(dim=1)))

    def log_ratio(self, log_probs: torch.Tensor) -> torch.Tensor:
        """[B] how much more likely the actions are now: log π(a | s) / μ(a | s), over all numbers and branches.

        Args:
            log_probs: [B, C + D] log-probabilities of the actions under a policy π; μ is the one that acted.
        """
        return (log_probs - self.log_probs).sum(dim=1)

    def select(self, sequences: slice | torch.Tensor) -> "Steps":
        """Some of the sequences.

        Args:
            sequences: a slice of them, or their indices.
        """
        rows = _rows(sequences, self.sequence_length)
        return self._replace(
            observations=[observation[rows] for observation in self.observations],
            actions=self.actions[rows],
            action_masks=self.action_masks[rows],
            log_probs=self.log_probs[rows],
            memories=_columns(self.memories, sequences),
            mask=self.mask[rows],
        )


class Rollout(NamedTuple):
    """Steps, and what is learnt from them."""

    steps: Steps
    critic_memories: torch.Tensor | None  # [1, B / L, M] of the critic at the start of each sequence, if any
    advantage: torch.Tensor  # [B]
    returns: torch.Tensor  # [B, S] of each reward stream
    values: torch.Tensor  # [B, S] of the critic before it learned from this rollout
    total: float | None = None  # what sums over real steps are divided by; None is their own number

    @classmethod
    def from_batch(cls, batch: AgentBuffer, policy: TorchPolicy, streams: list[str]) -> "Rollout":
        """The columns of a batch as tensors.

        Args:
            batch: whole sequences with advantages, and with returns and values of every stream.
            policy: policy of the behaviour.
            streams: names of the reward streams.
        """
        return cls(
            steps=Steps.from_batch(batch, policy),
            critic_memories=starting_memories(batch[BufferKey.CRITIC_MEMORY], policy),
            advantage=ModelUtils.list_to_tensor(batch[BufferKey.ADVANTAGES]),
            returns=_by_stream(batch, [RewardSignalUtil.returns_key(name) for name in streams]),
            values=_by_stream(batch, [values_key(name) for name in streams]),
        )

    @property
    def mask(self) -> torch.Tensor:
        """[B] 1 for real steps, 0 for padding."""
        return self.steps.mask

    def normalize_advantage(self) -> "Rollout":
        """Advantages of mean 0 and deviation 1 over the real steps; all 0 where they were all equal."""
        centred = self.advantage - masked_mean(self.advantage, self.mask)
        deviation = masked_mean(centred.square(), self.mask).sqrt()
        return self._replace(advantage=centred / (deviation + 1e-8))

    def parts(self, batch_size: int) -> Iterator["Rollout"]:
        """Parts for one gradient: the losses of all of them add up to the loss of the whole.

        Each has the number of real steps of the whole as its `total`.

        Args:
            batch_size: steps of a part; it has up to twice as many where they would leave a rest.
        """
        whole = self._replace(total=self.mask.sum().item())
        for start, stop in self._bounds(batch_size):
            yield whole.select(slice(start, stop))

    def minibatches(self, batch_size: int, generator: np.random.Generator) -> Iterator["Rollout"]:
        """All sequences once, shuffled, in minibatches for a gradient step each.

        Args:
            batch_size: steps of a minibatch; it has up to twice as many where they would leave a rest.
            generator: shuffles the sequences.
        """
        order = generator.permutation(len(self.advantage) // self.steps.sequence_length)
        shuffled = torch.as_tensor(order, device=self.advantage.device)
        for start, stop in self._bounds(batch_size):
            yield self.select(shuffled[start:stop])

    def _bounds(self, batch_size: int) -> Iterator[tuple[int, int]]:
        length = self.steps.sequence_length
        return even_parts(len(self.advantage) // length, max(batch_size // length, 1))

    def select(self, sequences: slice | torch.Tensor) -> "Rollout":
        """Some of the sequences.

        Args:
            sequences: a slice of them, or their indices.
        """
        rows = _rows(sequences, self.steps.sequence_length)
        return self._replace(
            steps=self.steps.select(sequences),
            critic_memories=_columns(self.critic_memories, sequences),
            advantage=self.advantage[rows],
            returns=self.returns[rows],
            values=self.values[rows],
        )


def even_parts(count: int, least: int) -> Iterator[tuple[int, int]]:
    """Start and stop of parts that are alike in length: at least `least`, if there are so many, and less than twice.

    A rollout is seldom as long as `buffer_size` says: cut into parts of one length it would leave a small rest, which
    takes nearly as much time as the others.

    Args:
        count: how many there are to divide.
        least: of a part.
    """
    bounds = np.linspace(0, count, max(count // least, 1) + 1).astype(int).tolist()
    return itertools.pairwise(bounds)


def starting_memories(memories: np.ndarray, policy: TorchPolicy) -> torch.Tensor | None:
    """[1, sequences, M] memory at the start of each sequence; None without memory.

    Args:
        memories: [B, M] memory before each step; empty where there is no critic that has one of its own.
        policy: policy of the behaviour.
    """
    if not policy.use_recurrent or not len(memories):
        return None
    return ModelUtils.list_to_tensor(memories[:: policy.sequence_length]).unsqueeze(0)


def _by_stream(batch: AgentBuffer, keys: list[Any]) -> torch.Tensor:
    return torch.stack([ModelUtils.list_to_tensor(batch[key]) for key in keys], dim=1)


def _rows(sequences: slice | torch.Tensor, length: int) -> slice | torch.Tensor:
    """The steps of sequences; those of a slice are a view."""
    if isinstance(sequences, slice):
        return slice(sequences.start * length, sequences.stop * length)
    within = torch.arange(length, device=sequences.device)
    return (sequences.unsqueeze(1) * length + within).flatten()


def _columns(memories: torch.Tensor | None, sequences: slice | torch.Tensor) -> torch.Tensor | None:
    return None if memories is None else memories[:, sequences]
