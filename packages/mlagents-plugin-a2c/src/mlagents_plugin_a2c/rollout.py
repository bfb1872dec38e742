"""A rollout as the tensors that the optimizer computes with."""

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from mlagents.torch_utils import torch
from mlagents.trainers.buffer import AgentBuffer, BufferKey, RewardSignalUtil
from mlagents.trainers.policy.torch_policy import TorchPolicy
from mlagents.trainers.torch_entities.agent_action import AgentAction
from mlagents.trainers.torch_entities.utils import ModelUtils
from mlagents.trainers.trajectory import ObsUtil


class Steps(NamedTuple):
    """What was seen and done: B steps in sequences of length L, padded where `mask` is 0."""

    observations: list[torch.Tensor]
    actions: torch.Tensor  # [B, C + D] continuous, then discrete
    action_masks: torch.Tensor  # [B, A]
    log_probs: torch.Tensor  # [B, C + D] under the policy that acted
    memories: torch.Tensor | None  # [1, B / L, M] of the actor at the start of each sequence
    mask: torch.Tensor  # [B]

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
        )

    def agent_action(self, continuous_size: int) -> AgentAction:
        """The actions in ML-Agents' form."""
        discrete = self.actions[:, continuous_size:].long()
        return AgentAction(self.actions[:, :continuous_size], list(discrete.unbind(dim=1)))

    def part(self, start: int, stop: int, length: int) -> "Steps":
        """The sequences from `start` up to `stop`."""
        steps = slice(start * length, stop * length)
        return Steps(
            [rows[steps] for rows in self.observations],
            self.actions[steps],
            self.action_masks[steps],
            self.log_probs[steps],
            _columns(self.memories, start, stop),
            self.mask[steps],
        )


class Rollout(NamedTuple):
    """Steps, and what is learnt from them."""

    steps: Steps
    critic_memories: torch.Tensor | None  # [1, B / L, M] of the critic at the start of each sequence
    advantage: torch.Tensor  # [B]
    returns: torch.Tensor  # [B, S] of each reward stream

    @classmethod
    def from_batch(cls, batch: AgentBuffer, policy: TorchPolicy, streams: list[str]) -> "Rollout":
        """The columns of a batch as tensors.

        Args:
            batch: whole sequences with advantages and the returns of every stream.
            policy: policy of the behaviour.
            streams: names of the reward streams.
        """
        returns = [ModelUtils.list_to_tensor(batch[RewardSignalUtil.returns_key(name)]) for name in streams]
        return cls(
            steps=Steps.from_batch(batch, policy),
            critic_memories=starting_memories(batch[BufferKey.CRITIC_MEMORY], policy),
            advantage=ModelUtils.list_to_tensor(batch[BufferKey.ADVANTAGES]),
            returns=torch.stack(returns, dim=1),
        )

    def parts(self, batch_size: int, length: int) -> Iterator["Rollout"]:
        """Parts of about `batch_size` steps, of whole sequences of `length`."""
        for start, stop in even_parts(len(self.advantage) // length, max(batch_size // length, 1)):
            yield Rollout(
                self.steps.part(start, stop, length),
                _columns(self.critic_memories, start, stop),
                self.advantage[start * length : stop * length],
                self.returns[start * length : stop * length],
            )


def even_parts(count: int, least: int) -> Iterator[tuple[int, int]]:
    """Start and stop of parts that are alike in length: at least `least`, if there are so many, and less than twice.

    A rollout is seldom as long as `buffer_size` says: cut into parts of one length it would leave a small rest, which
    takes nearly as much time as the others.
    """
    bounds = np.linspace(0, count, max(count // least, 1) + 1).astype(int).tolist()
    return itertools.pairwise(bounds)


def starting_memories(memories: np.ndarray, policy: TorchPolicy) -> torch.Tensor | None:
    """[1, sequences, M] memory at the start of each sequence; None without memory.

    Args:
        memories: [B, M] memory before each step.
        policy: policy of the behaviour.
    """
    if not policy.use_recurrent:
        return None
    return ModelUtils.list_to_tensor(memories[:: policy.sequence_length]).unsqueeze(0)


def _columns(memories: Any, start: int, stop: int) -> Any:
    return None if memories is None else memories[:, start:stop]
