"""Rewards and discounts of each reward stream (extrinsic, curiosity, …) for batches from a replay buffer.

Every stream has its own discount factor, and intrinsic ones depend on networks that learn, so that rewards are
evaluated when a batch is drawn. Under `RewardSignalUtil.rewards_key(name)` a batch then holds what the stream adds up
to in n steps, and under `discount_key(name)` what the value after them is multiplied by: 0 where the episode
terminated.
"""

import numpy as np
from mlagents.torch_utils import torch
from mlagents.trainers.buffer import BufferKey, RewardSignalUtil
from mlagents.trainers.torch_entities.components.reward_providers import BaseRewardProvider

from mlagents_plugin_shared.data import Batch, ReplayKey
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


def _on_cpu(array: np.ndarray) -> torch.Tensor:
    """A view of the array; with CUDA, torch's default device would take a copy to the GPU and back."""
    return torch.as_tensor(array, device="cpu")


def _evaluate(signal: BaseRewardProvider, batch: Batch) -> np.ndarray:
    return np.asarray(signal.evaluate(batch) * signal.strength, dtype=np.float32)
