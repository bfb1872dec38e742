"""Trainer of on-policy algorithms: rollouts whose values and advantages are computed in one pass."""

from typing import Any

import numpy as np
from mlagents.trainers.buffer import BufferKey, RewardSignalUtil
from mlagents.trainers.trainer.on_policy_trainer import OnPolicyTrainer
from mlagents_envs.timers import timed

from mlagents_plugin_shared.buffers import Batch, RolloutBuffer
from mlagents_plugin_shared.targets import gae
from mlagents_plugin_shared.trainers.intake import IntakeTrainer
from mlagents_plugin_shared.trajectories import Segment


class RolloutTrainer(IntakeTrainer, OnPolicyTrainer):
    """On-policy trainer on an array-backed rollout.

    As soon as `buffer_size` agent steps are in, values, returns and advantages of the whole rollout are computed and
    the optimizer gets all of it in one batch: how it is split is the algorithm's business.
    A plugin writes `create_policy` and `create_optimizer`; its optimizer has `rollout_values`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        memory = self.trainer_settings.network_settings.memory
        self.update_buffer = RolloutBuffer(sequence_length=memory.sequence_length if memory else 1)

    def _store(self, segment: Segment, rewards: dict[str, np.ndarray]) -> None:
        for name, stream in rewards.items():
            segment.columns[RewardSignalUtil.rewards_key(name)] = np.asarray(stream, dtype=np.float32)
        self.update_buffer.add(segment)

    def _is_ready_update(self) -> bool:
        return self.update_buffer.num_experiences >= self.hyperparameters.buffer_size

    @timed
    def _update_policy(self) -> bool:
        """Learns from the rollout and empties it."""
        self.cumulative_returns_since_policy_update.clear()
        self._add_advantages(self.update_buffer)
        batch = self._padded_batch()
        num_sequences = batch.num_experiences // self.policy.sequence_length
        stats = self.optimizer.update(batch, num_sequences)
        stats.update(self.optimizer.update_reward_signals(batch))
        if self.optimizer.bc_module:
            stats.update(self.optimizer.bc_module.update())
        self._report({name: [value] for name, value in stats.items()})
        self._clear_update_buffer()
        return True

    def _padded_batch(self) -> Batch:
        """The whole rollout; with memory as sequences, the last of each segment padded under MASKS = 0."""
        everything = self.update_buffer.num_experiences * self.policy.sequence_length
        return next(iter(self.update_buffer.mini_batches(everything)))

    def _add_advantages(self, rollout: RolloutBuffer) -> None:
        """Adds each stream's returns, and the advantages averaged over the streams as in ML-Agents' PPO."""
        values, last_values = self.optimizer.rollout_values(rollout)
        advantages: list[np.ndarray] = []
        for name in self.optimizer.reward_signals:
            advantage = self._stream_advantages(rollout, name, values[name], last_values[name])
            rollout[RewardSignalUtil.returns_key(name)] = advantage + values[name]
            advantages.append(advantage)
            title = self.optimizer.reward_signals[name].name.capitalize()
            self._stats_reporter.add_stat(f"Policy/{title} Value Estimate", float(values[name].mean()))
        rollout[BufferKey.ADVANTAGES] = np.mean(advantages, axis=0)

    def _stream_advantages(
        self, rollout: RolloutBuffer, name: str, values: np.ndarray, last_values: np.ndarray
    ) -> np.ndarray:
        """GAE of one reward stream over all segments side by side, [N]."""
        signal = self.optimizer.reward_signals[name]
        rewards = rollout[RewardSignalUtil.rewards_key(name)]
        steps = rollout.stream_steps(rewards, values, last_values, signal.gamma, ignore_done=signal.ignore_done)
        return rollout.unpad_time_major(gae(*steps, lambda_=self.hyperparameters.lambd).numpy())
