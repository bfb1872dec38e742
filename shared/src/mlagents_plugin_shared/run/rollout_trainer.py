"""Trainer of on-policy algorithms: rollouts whose values and advantages are computed in one pass."""

from typing import Any

import numpy as np
from mlagents.torch_utils import default_device
from mlagents.trainers.behavior_id_utils import BehaviorIdentifiers
from mlagents.trainers.buffer import BufferKey, RewardSignalUtil
from mlagents.trainers.policy.torch_policy import TorchPolicy
from mlagents.trainers.trainer.on_policy_trainer import OnPolicyTrainer
from mlagents_envs.base_env import BehaviorSpec
from mlagents_envs.timers import timed

from mlagents_plugin_shared.acting.actor_policy import actor_policy
from mlagents_plugin_shared.data import RolloutBuffer
from mlagents_plugin_shared.data.trajectories import Segment
from mlagents_plugin_shared.learning.networks import update_normalization
from mlagents_plugin_shared.learning.rollout_batch import values_key
from mlagents_plugin_shared.run.parts import Part, Stateful
from mlagents_plugin_shared.run.plugin_trainer import PluginTrainer


class RolloutTrainer(PluginTrainer, OnPolicyTrainer):
    """On-policy trainer on an array-backed rollout.

    Taking in a trajectory only appends arrays. As soon as `buffer_size` agent steps are in, values, returns and
    advantages of the whole rollout are computed and the optimizer gets all of it in one batch: how it is split is the
    algorithm's business. Observation normalisation follows after the update, so that a rollout is learnt from with
    the same networks that acted in it.

    A plugin writes `create_optimizer`, and `create_policy` where the network of ML-Agents' PPO is not what it needs.
    Its optimizer has two methods that are called before each `update`; an `ActorCriticOptimizer` has them already:

    | call | gives |
    |---|---|
    | `rollout_values(rollout)` | values of the N steps and of the K states after segments, by reward stream |
    | `targets(rollout, steps)` | [T, K] returns and advantages of one reward stream, whose `StreamSteps` are given |

    Attributes:
        normalizes_on_arrival: observation normalisation follows each trajectory instead, as in ML-Agents' PPO. For
            rollouts of thousands of steps, the first of which would be learnt from without normalisation.
    """

    normalizes_on_arrival = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        memory = self.trainer_settings.network_settings.memory
        self.update_buffer = RolloutBuffer(sequence_length=memory.sequence_length if memory else 1)

    def store(self, segment: Segment, rewards: dict[str, np.ndarray]) -> None:
        for name, stream in rewards.items():
            segment.columns[RewardSignalUtil.rewards_key(name)] = np.asarray(stream, dtype=np.float32)
        self.update_buffer.add(segment)

    def create_policy(self, parsed_behavior_id: BehaviorIdentifiers, behavior_spec: BehaviorSpec) -> TorchPolicy:
        """Creates a policy with the network of ML-Agents' PPO; value heads are in it where `shared_critic` is set.

        Args:
            parsed_behavior_id: behaviour and team that it is for.
            behavior_spec: observations and actions of the behaviour.
        """
        shared = getattr(self.hyperparameters, "shared_critic", False)
        return actor_policy(TorchPolicy, self.seed, behavior_spec, self.trainer_settings, shared_critic=shared)

    def prepare(self) -> None:
        """Gives the optimizer a stream of chance; a rollout makes its arrays with the first segment."""
        self.optimizer.shuffle_seed = self.stream_seed("shuffle")

    def update_normalization(self, segment: Segment) -> None:
        """Waits for the update, unless `normalizes_on_arrival`."""
        if self.normalizes_on_arrival:
            super().update_normalization(segment)

    def _is_ready_update(self) -> bool:
        # A run that is shorter than a rollout learns from what it has.
        return self.update_buffer.num_experiences >= min(self.hyperparameters.buffer_size, self.get_max_steps)

    @timed
    def _update_policy(self) -> bool:
        """Learns from the rollout and empties it."""
        self.cumulative_returns_since_policy_update.clear()
        self.add_advantages(self.update_buffer)
        batch = self.update_buffer.sequences()
        num_sequences = batch.num_experiences // self.policy.sequence_length
        stats = dict(self._update(batch, num_sequences))
        stats.update(self.optimizer.update_reward_signals(batch))
        if self.optimizer.bc_module:
            stats.update(self.optimizer.bc_module.update())
        if self._follows_normalization and not self.normalizes_on_arrival:
            for body in self.optimizer.network_bodies:
                update_normalization(body, self.update_buffer.observations())
        self.report({name: [value] for name, value in stats.items()})
        self._clear_update_buffer()
        return True

    def add_advantages(self, rollout: RolloutBuffer) -> None:
        """Adds each stream's values and returns, and the advantages averaged over the streams as in ML-Agents' PPO.

        Args:
            rollout: the K segments; gets [N] columns.
        """
        values, last_values = self.optimizer.rollout_values(rollout)
        advantages: list[np.ndarray] = []
        for name, signal in self.optimizer.reward_signals.items():
            rewards = rollout[RewardSignalUtil.rewards_key(name)]
            steps = rollout.stream_steps(
                rewards, values[name], last_values[name], signal.gamma, ignore_done=signal.ignore_done
            )
            targets = self.optimizer.targets(rollout, steps)
            returns, advantage = (rollout.unpad_time_major(target.numpy()) for target in targets)
            rollout[values_key(name)] = values[name]
            rollout[RewardSignalUtil.returns_key(name)] = returns
            advantages.append(advantage)
            title = signal.name.capitalize()
            self._stats_reporter.add_stat(f"Policy/{title} Value Estimate", float(values[name].mean()))
        rollout[BufferKey.ADVANTAGES] = np.mean(advantages, axis=0)

    def forget_episodes(self) -> None:
        """Drops what is known of all running episodes, because the environment is reset."""
        super().forget_episodes()
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
