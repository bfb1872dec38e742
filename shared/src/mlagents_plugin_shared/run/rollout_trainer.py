"""Trainer of on-policy algorithms: rollouts whose values and advantages are computed in one pass."""

from typing import Any

import numpy as np
from mlagents.torch_utils import default_device, torch
from mlagents.trainers.buffer import BufferKey, RewardSignalUtil
from mlagents.trainers.trainer.on_policy_trainer import OnPolicyTrainer
from mlagents_envs.timers import timed

from mlagents_plugin_shared.data import RolloutBuffer
from mlagents_plugin_shared.data.rollout import StreamSteps
from mlagents_plugin_shared.data.trajectories import Segment
from mlagents_plugin_shared.learning.networks import update_normalization
from mlagents_plugin_shared.maths.targets import gae
from mlagents_plugin_shared.run.parts import Part, Stateful
from mlagents_plugin_shared.run.plugin_trainer import PluginTrainer


class RolloutTrainer(PluginTrainer, OnPolicyTrainer):
    """On-policy trainer on an array-backed rollout.

    Taking in a trajectory only appends arrays. As soon as `buffer_size` agent steps are in, values, returns and
    advantages of the whole rollout are computed and the optimizer gets all of it in one batch: how it is split is the
    algorithm's business. Observation normalisation follows after the update, so that a rollout is learnt from with
    the same networks that acted in it.
    A plugin writes `create_policy` and `create_optimizer`; its optimizer has `rollout_values`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        memory = self.trainer_settings.network_settings.memory
        self.update_buffer = RolloutBuffer(sequence_length=memory.sequence_length if memory else 1)

    def store(self, segment: Segment, rewards: dict[str, np.ndarray]) -> None:
        for name, stream in rewards.items():
            segment.columns[RewardSignalUtil.rewards_key(name)] = np.asarray(stream, dtype=np.float32)
        self.update_buffer.add(segment)

    def prepare(self) -> None:
        """Nothing: a rollout makes its arrays with the first segment."""

    def update_normalization(self, segment: Segment) -> None:
        """Waits for the update."""

    def _is_ready_update(self) -> bool:
        # A run that is shorter than a rollout learns from what it has.
        return self.update_buffer.num_experiences >= min(self.hyperparameters.buffer_size, self.get_max_steps)

    @timed
    def _update_policy(self) -> bool:
        """Learns from the rollout and empties it."""
        self.cumulative_returns_since_policy_update.clear()
        self._add_advantages(self.update_buffer)
        batch = self.update_buffer.sequences()
        num_sequences = batch.num_experiences // self.policy.sequence_length
        stats = self.optimizer.update(batch, num_sequences)
        stats.update(self.optimizer.update_reward_signals(batch))
        if self.optimizer.bc_module:
            stats.update(self.optimizer.bc_module.update())
        if self.policy.normalize:
            for body in self.optimizer.network_bodies:
                update_normalization(body, self.update_buffer.observations())
        self.report({name: [value] for name, value in stats.items()})
        self._clear_update_buffer()
        return True

    def _add_advantages(self, rollout: RolloutBuffer) -> None:
        """Adds each stream's returns, and the advantages averaged over the streams as in ML-Agents' PPO."""
        values, last_values = self.optimizer.rollout_values(rollout)
        advantages: list[np.ndarray] = []
        for name, signal in self.optimizer.reward_signals.items():
            rewards = rollout[RewardSignalUtil.rewards_key(name)]
            steps = rollout.stream_steps(
                rewards, values[name], last_values[name], signal.gamma, ignore_done=signal.ignore_done
            )
            returns, advantage = (rollout.unpad_time_major(target.numpy()) for target in self.targets(rollout, steps))
            rollout[RewardSignalUtil.returns_key(name)] = returns
            advantages.append(advantage)
            title = signal.name.capitalize()
            self._stats_reporter.add_stat(f"Policy/{title} Value Estimate", float(values[name].mean()))
        rollout[BufferKey.ADVANTAGES] = np.mean(advantages, axis=0)

    def targets(self, rollout: RolloutBuffer, steps: StreamSteps) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns and advantages of one reward stream, of all segments side by side: λ-returns and GAE.

        Args:
            rollout: the K segments.
            steps: [T, K] rewards, discounts and values.

        Returns:
            [T, K] returns and [T, K] advantages.
        """
        advantage = gae(*steps, lambda_=self.hyperparameters.lambd)
        return advantage + steps.v_tm1, advantage

    def end_episode(self) -> None:
        """Ends all episodes, because the environment is reset."""
        super().end_episode()
        self._end_all()

    def _end_all(self) -> None:
        """What the critic remembers is of use for the segments that wait in the rollout, and then no more."""
        self.update_buffer.end_episodes()
        memories = self.optimizer.critic_memory_dict
        for agent_id in memories.keys() - set(self.update_buffer.agent_ids):
            del memories[agent_id]

    def forget_episode(self, agent_id: str) -> None:
        super().forget_episode(agent_id)
        if not self.update_buffer.end_episodes(agent_id):
            self.optimizer.critic_memory_dict.pop(agent_id, None)

    def parts(self) -> dict[str, Stateful]:
        """Adds the open rollout, and what a recurrent critic remembers."""
        return {**super().parts(), "rollout": Part(self._rollout_state, self._load_rollout_state)}

    def _rollout_state(self) -> dict[str, Any]:
        return {
            "rollout": self.update_buffer.state_dict(),
            "critic_memories": dict(self.optimizer.critic_memory_dict),
        }

    def _load_rollout_state(self, state: dict[str, Any]) -> None:
        if self.model_saver.fits:  # else other networks acted in it
            self.update_buffer.load_state_dict(state["rollout"])
            memories = {agent_id: memory.to(default_device()) for agent_id, memory in state["critic_memories"].items()}
            self.optimizer.critic_memory_dict.update(memories)
            self._end_all()
