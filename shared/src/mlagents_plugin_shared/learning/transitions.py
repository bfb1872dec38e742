"""A batch of a replay as tensors: what an off-policy algorithm learns from, whatever the batch was made of.

`add_window_rewards` or `add_sequence_rewards` give a batch, when it is drawn, the rewards of every stream (extrinsic,
curiosity, …): each has its own discount factor, and intrinsic ones depend on networks that learn. Here alone n steps
are summed. Under `RewardSignalUtil.rewards_key(name)` a batch then holds what the stream adds up to, and under
`discount_key(name)` what the value after it is multiplied by: 0 where the episode terminated.

`Transitions.from_batch` hides the rest. With memory a batch holds padded sequences, with burn-in before and the
recurrent state at their start; a prioritised replay gives weights, and asks for errors; demonstrations may be among the
transitions. An algorithm sees B transitions.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from mlagents.torch_utils import torch
from mlagents.trainers.buffer import AgentBuffer, BufferKey, RewardSignalUtil
from mlagents.trainers.policy.torch_policy import TorchPolicy
from mlagents.trainers.torch_entities.components.reward_providers import BaseRewardProvider
from mlagents.trainers.torch_entities.utils import ModelUtils
from mlagents.trainers.trajectory import ObsUtil

from mlagents_plugin_shared.data import Batch, ReplayKey
from mlagents_plugin_shared.maths.losses import masked_mean, max_mean_priority
from mlagents_plugin_shared.maths.targets import n_step_return, n_step_windows

RewardSignals = dict[str, BaseRewardProvider]
"""ML-Agents' reward signals by the name of their stream."""


def discount_key(name: str) -> tuple[str, str]:
    """Key of the discounts of a reward stream in a batch."""
    return "discounts", name


def add_window_rewards(batch: Batch, window: Batch, signals: RewardSignals) -> None:
    """Adds each stream's n-step reward sum, and the discount of the value after it.

    Args:
        batch: B windows, drawn by `ReplayBuffer.sample_n_step`.
        window: the B * n single steps of these windows, in order.
        signals: reward streams by name.
    """
    horizon = _on_cpu(batch[ReplayKey.HORIZON])
    done = _on_cpu(batch[BufferKey.DONE])
    for name, signal in signals.items():
        rewards = _on_cpu(_evaluate(signal, window).reshape(batch[ReplayKey.WINDOW].shape))
        ended = torch.zeros_like(done) if signal.ignore_done else done
        reward, discount = n_step_return(rewards, horizon, ended, signal.gamma)
        batch[RewardSignalUtil.rewards_key(name)] = reward.numpy()
        batch[discount_key(name)] = discount.numpy()


def add_sequence_rewards(batch: Batch, num_sequences: int, signals: RewardSignals, n: int) -> None:
    """Adds each stream's n-step reward sum of every step of sequences, the discount of the value after it, and HORIZON.

    A window ends where its sequence does.

    Args:
        batch: Q sequences of T steps, drawn by `ReplayBuffer.sample_mini_batch`.
        num_sequences: Q.
        signals: reward streams by name.
        n: most steps of a window, >= 1.
    """

    def time_major(column: np.ndarray) -> torch.Tensor:
        """[Q * T] → [T, Q]."""
        return _on_cpu(column).reshape(num_sequences, -1).T

    for name, signal in signals.items():
        goes_on = np.ones_like(batch[BufferKey.DONE]) if signal.ignore_done else ~batch[BufferKey.DONE]
        rewards, discounts = _evaluate(signal, batch), (signal.gamma * goes_on).astype(np.float32)
        columns = n_step_windows(*map(time_major, (rewards, discounts, batch[BufferKey.MASKS])), n=n)
        reward, discount, horizon = (column.T.flatten().numpy() for column in columns)
        batch[RewardSignalUtil.rewards_key(name)] = reward
        batch[discount_key(name)] = discount
        batch[ReplayKey.HORIZON] = horizon


class Encoder(Protocol):
    """A network that reads observations, one after the other where it has memory."""

    def encode(
        self,
        observations: list[torch.Tensor],
        memories: torch.Tensor | None = None,
        sequence_length: int = 1,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """[R, ...] observations of R / `sequence_length` sequences, and their [1, R / L, M] memories → [R, E]."""


@dataclass(frozen=True)
class Sequences:
    """How the B transitions lie in Q sequences of `length` rows, R = Q length rows together.

    Attributes:
        length: rows of a sequence, burn-in included.
        memories: [1, Q, M] recurrent state at the start of each sequence.
        rows: [B] those of the R rows that are learned from: all but burn-in.
        mask: [B] 1 for real transitions, 0 for padding.
        row_mask: [R] the same of all rows, 0 for burn-in too.
        last: [B] which of the B transitions is the last of the n-step window that begins at each.
    """

    length: int
    memories: torch.Tensor
    rows: torch.Tensor
    mask: torch.Tensor
    row_mask: torch.Tensor
    last: torch.Tensor

    @classmethod
    def from_batch(cls, batch: AgentBuffer, num_sequences: int, learned: int) -> "Sequences":
        """The sequences of a batch, of which `learned` steps are learned from: the drawn one and those after it."""
        mask = ModelUtils.list_to_tensor(batch[BufferKey.MASKS]).reshape(num_sequences, -1)
        length = mask.shape[1]
        start = length * torch.arange(num_sequences, device=mask.device).unsqueeze(1)
        drawn = start + mask.argmax(dim=1, keepdim=True)
        rows = (drawn + torch.arange(learned, device=mask.device)).flatten()
        horizon = torch.as_tensor(batch[ReplayKey.HORIZON], dtype=torch.int64)[rows]
        return cls(
            length=length,
            memories=ModelUtils.list_to_tensor(batch[BufferKey.MEMORY])[::length].unsqueeze(0).contiguous(),
            rows=rows,
            mask=mask.flatten()[rows],
            row_mask=mask.flatten(),
            last=torch.arange(len(rows), device=mask.device) + horizon - 1,
        )


@dataclass(frozen=True)
class Transitions:
    """B transitions: what was observed and done, what came of it in n steps, and where it led.

    Attributes:
        observations: one tensor [R, ...] a sensor, for `encode`; R = B without memory.
        next_observations: the same after the transitions, of n steps without memory, for `encode_next`.
        discrete_action: [B, D] actions taken, integers.
        continuous_action: [B, C] actions taken.
        legal: [B, A] 1 where an action could be taken; the branches side by side.
        next_legal: [B, A] the same where the transitions led; with memory after one step.
        reward: [B, S] reward sums of n steps, one a reward stream.
        discount: [B, S] what the value after them counts, 0 where the episode terminated.
        weight: [B] importance weights; None where the replay is uniform.
        demonstrated: [B] 1 for a demonstrator's, 0 for the agent's own; None without demonstrations.
        sequences: how they lie in sequences; None without memory.
        batch: what they were made of.
    """

    observations: list[torch.Tensor]
    next_observations: list[torch.Tensor]
    discrete_action: torch.Tensor
    continuous_action: torch.Tensor
    legal: torch.Tensor
    next_legal: torch.Tensor
    reward: torch.Tensor
    discount: torch.Tensor
    weight: torch.Tensor | None
    demonstrated: torch.Tensor | None
    sequences: Sequences | None
    batch: AgentBuffer

    @classmethod
    def from_batch(
        cls, batch: AgentBuffer, num_sequences: int, policy: TorchPolicy, streams: list[str]
    ) -> "Transitions":
        """The transitions of a batch that `ReplayTrainer.sample` gave.

        Args:
            batch: from a replay, with the rewards and discounts of every stream, see `add_window_rewards`.
            num_sequences: number of sequences in it, where the policy has memory.
            policy: tells the sensors, and how many steps of a sequence are learned from.
            streams: names of the reward streams.
        """
        sensors = len(policy.behavior_spec.observation_specs)
        sequences = None
        if policy.use_recurrent:
            sequences = Sequences.from_batch(batch, num_sequences, policy.sequence_length)
        size = batch.num_experiences if sequences is None else len(sequences.rows)

        def column(key: Any, dtype: torch.dtype = torch.float32) -> torch.Tensor:
            if key not in batch:  # the behaviour has no such actions
                return torch.zeros(size, 0, dtype=dtype)
            values = ModelUtils.list_to_tensor(batch[key], dtype)
            return values if sequences is None else values[sequences.rows]

        def per_stream(key: Any) -> torch.Tensor:
            return torch.stack([column(key(name)) for name in streams], dim=1)

        return cls(
            observations=[ModelUtils.list_to_tensor(each) for each in ObsUtil.from_buffer(batch, sensors)],
            next_observations=[ModelUtils.list_to_tensor(each) for each in ObsUtil.from_buffer_next(batch, sensors)],
            discrete_action=column(BufferKey.DISCRETE_ACTION, torch.int64),
            continuous_action=column(BufferKey.CONTINUOUS_ACTION),
            legal=column(BufferKey.ACTION_MASK),
            next_legal=column(ReplayKey.NEXT_ACTION_MASK),
            reward=per_stream(RewardSignalUtil.rewards_key),
            discount=per_stream(discount_key),
            weight=_weights(batch, sequences),
            demonstrated=column(ReplayKey.DEMONSTRATION) if ReplayKey.DEMONSTRATION in batch else None,
            sequences=sequences,
            batch=batch,
        )

    @property
    def real(self) -> torch.Tensor | bool:
        """[B] 1 for real transitions, 0 for padding; True without memory, where all are real."""
        return True if self.sequences is None else self.sequences.mask

    @property
    def real_rows(self) -> torch.Tensor | bool:
        """[R] the same of all rows, 0 for burn-in too."""
        return True if self.sequences is None else self.sequences.row_mask

    def encode(self, network: Encoder, *, training: bool = False) -> torch.Tensor:
        """[B, E] encodings of the states that were acted in.

        Args:
            network: reads the observations.
            training: it is told so, and of which rows statistics of the batch may be made.
        """
        options: dict[str, Any] = {"training": self.real_rows} if training else {}
        if self.sequences is None:
            return network.encode(self.observations, **options)[0]
        encoding, _ = network.encode(self.observations, self.sequences.memories, self.sequences.length, **options)
        return encoding[self.sequences.rows]

    @torch.no_grad()
    def encode_next(self, network: Encoder) -> torch.Tensor:
        """[B, E] encodings of the next states, without gradient; with memory of one step later, see `bootstrap`."""
        if self.sequences is None:
            return network.encode(self.next_observations)[0]
        # The state at s_t needs the memory of s_{t-1}: one more step, from the first observation of the sequence on.
        length = self.sequences.length
        unrolled = [
            torch.cat([_split(first, length)[:, :1], _split(following, length)], dim=1).flatten(0, 1)
            for first, following in zip(self.observations, self.next_observations, strict=True)
        ]
        encoding, _ = network.encode(unrolled, self.sequences.memories, length + 1)
        return _split(encoding, length + 1)[:, 1:].flatten(0, 1)[self.sequences.rows]

    def bootstrap(self, next_values: torch.Tensor) -> torch.Tensor:
        """[B, ...] what was worked out of `encode_next` → [B, ...] the one that `reward` and `discount` lead up to."""
        return next_values if self.sequences is None else next_values[self.sequences.last]

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """[B] values → [] their mean over the real transitions.

        Raises:
            ValueError: they are not [B].
        """
        _check_one_each(values)
        return masked_mean(values, None if self.sequences is None else self.sequences.mask)

    def weighted_mean(self, errors: torch.Tensor) -> torch.Tensor:
        """[B] errors → [] the loss: their mean, each by the importance weight of its transition.

        Raises:
            ValueError: they are not [B]; `[B, 1]` times the [B] weights would be [B, B].
        """
        _check_one_each(errors)
        return self.mean(errors if self.weight is None else errors * self.weight)

    def record_errors(self, error: torch.Tensor) -> None:
        """Notes in the batch, as ERROR, by what its transitions are to be drawn next; nothing where that is at random.

        Args:
            error: [B] absolute TD errors.
        """
        if self.weight is not None:
            self.batch[ReplayKey.ERROR] = self.priorities(error)

    def priorities(self, error: torch.Tensor) -> np.ndarray:
        """[B] absolute TD errors, as an array; with memory one number a sequence, see `max_mean_priority`."""
        if self.sequences is not None:
            learned = len(error) // self.sequences.memories.shape[1]
            error = max_mean_priority(_split(error, learned).T, _split(self.sequences.mask, learned).T)
        return ModelUtils.to_numpy(error)


def _check_one_each(values: torch.Tensor) -> None:
    if values.dim() != 1:
        raise ValueError(
            f"one number a transition is expected, [B], but the shape is {list(values.shape)}: "
            "take the mean over streams and branches first, such as error.mean(dim=(1, 2))"
        )


def _weights(batch: AgentBuffer, sequences: Sequences | None) -> torch.Tensor | None:
    """[B] importance weights of the transitions; those of a sequence have one in common."""
    if ReplayKey.WEIGHT not in batch:
        return None
    weight = ModelUtils.list_to_tensor(batch[ReplayKey.WEIGHT])
    return weight if sequences is None else weight.repeat_interleave(len(sequences.rows) // len(weight))


def _split(tensor: torch.Tensor, length: int) -> torch.Tensor:
    """[Q * L, ...] → [Q, L, ...]."""
    return tensor.reshape(len(tensor) // length, length, *tensor.shape[1:])  # not -1: a sensor may be empty


def _on_cpu(array: np.ndarray) -> torch.Tensor:
    """A view of the array; with CUDA, torch's default device would take a copy to the GPU and back."""
    return torch.as_tensor(array, device="cpu")


def _evaluate(signal: BaseRewardProvider, batch: Batch) -> np.ndarray:
    return np.asarray(signal.evaluate(batch) * signal.strength, dtype=np.float32)
