"""The learner of A2C: one synchronous policy-gradient step a rollout."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from mlagents.torch_utils import default_device, torch
from mlagents.trainers.buffer import AgentBuffer, BufferKey, RewardSignalUtil
from mlagents.trainers.policy.torch_policy import TorchPolicy
from mlagents.trainers.settings import TrainerSettings
from mlagents.trainers.torch_entities.agent_action import AgentAction
from mlagents.trainers.torch_entities.networks import NetworkBody, ValueNetwork
from mlagents.trainers.torch_entities.utils import ModelUtils
from mlagents.trainers.trajectory import ObsUtil
from mlagents_envs.timers import timed

from mlagents_plugin_a2c.settings import A2CSettings, OptimizerType
from mlagents_plugin_shared.buffers import Batch, RolloutBuffer
from mlagents_plugin_shared.losses import entropy_loss, masked_mean, policy_gradient_loss, value_loss
from mlagents_plugin_shared.optimizers import PluginOptimizer

StreamValues = dict[str, np.ndarray]


class Rollout(NamedTuple):
    """Tensors of a rollout, or of a part of it: B steps in sequences of length L, padded where `mask` is 0."""

    observations: list[torch.Tensor]
    actions: torch.Tensor  # [B, C + D] continuous, then discrete
    action_masks: torch.Tensor  # [B, A]
    memories: torch.Tensor | None  # [1, B / L, M] of the actor at the start of each sequence
    critic_memories: torch.Tensor | None  # the same of the critic
    advantage: torch.Tensor  # [B]
    returns: torch.Tensor  # [B, S] of each reward stream
    mask: torch.Tensor  # [B]

    def part(self, start: int, stop: int, length: int) -> "Rollout":
        """The sequences from `start` up to `stop`."""

        def cut(field: Any) -> Any:
            return field[start * length : stop * length]

        return Rollout(
            [cut(observation) for observation in self.observations],
            *(cut(field) for field in (self.actions, self.action_masks)),
            *(field if field is None else field[:, start:stop] for field in (self.memories, self.critic_memories)),
            *(cut(field) for field in (self.advantage, self.returns, self.mask)),
        )


class A2COptimizer(PluginOptimizer):
    """Advantage actor-critic, after Mnih et al. (2016), in its synchronous form.

    Args:
        policy: policy that acts and learns.
        trainer_settings: settings of the behaviour.
    """

    hyperparameters: A2CSettings

    def __init__(self, policy: TorchPolicy, trainer_settings: TrainerSettings) -> None:
        super().__init__(policy, trainer_settings)
        self._critic = policy.actor if self.hyperparameters.shared_critic else self._create_critic()
        modules = [policy.actor] if self._critic is policy.actor else [policy.actor, self._critic]
        self.parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
        self.optimizer = self._create_optimizer()
        self.beta = self.schedule(self.hyperparameters.beta_schedule, self.hyperparameters.beta, 1e-5)

    def _create_critic(self) -> ValueNetwork:
        specs = self.policy.behavior_spec.observation_specs
        return ValueNetwork(self.streams, specs, self.trainer_settings.network_settings).to(default_device())

    def _create_optimizer(self) -> torch.optim.Optimizer:
        learning_rate = self.hyperparameters.learning_rate
        if self.hyperparameters.optimizer == OptimizerType.ADAM:
            return torch.optim.Adam(self.parameters, lr=learning_rate)
        return torch.optim.RMSprop(self.parameters, lr=learning_rate, alpha=0.99, eps=1e-5)

    @property
    def critic(self) -> Any:
        """The network with `critic_pass`: the actor itself where `shared_critic` is set."""
        return self._critic

    @property
    def network_bodies(self) -> list[NetworkBody]:
        """Bodies of actor and critic; one where they share it."""
        bodies = [self.policy.actor.network_body, self._critic.network_body]
        return bodies[:1] if bodies[0] is bodies[1] else bodies

    @timed
    def update(self, batch: AgentBuffer, num_sequences: int) -> dict[str, float]:
        """One gradient step on a whole rollout.

        Args:
            batch: the rollout with its advantages and the returns of every stream; with memory, `num_sequences`
                padded sequences.
            num_sequences: number of sequences.

        Returns:
            Statistics by TensorBoard tag.
        """
        step = self.policy.get_current_step()
        beta = self.beta(step)
        rollout = self._tensors(batch)

        # 1. advantages of comparable size, whatever the scale of the rewards
        if self.hyperparameters.normalize_advantage:
            rollout = rollout._replace(advantage=normalize(rollout.advantage, rollout.mask))

        # 2. gradient of  L = L_policy + c_v L_value + β L_entropy,  summed over parts of the rollout
        losses = np.zeros(3)
        for part in self._parts(rollout, num_sequences):
            policy, value, entropy = self._losses(part, total=rollout.mask.sum().item())
            (policy + self.hyperparameters.value_coefficient * value + beta * entropy).backward()
            losses += [policy.item(), value.item(), entropy.item()]

        # 3. one step for all of it
        grad_norm = self.step_optimizer(self.parameters, self.hyperparameters.max_grad_norm)

        return {
            "Losses/Policy Loss": abs(losses[0]),  # the size, as ML-Agents' PPO reports it
            "Losses/Value Loss": losses[1],
            "Policy/Gradient Norm": grad_norm,
            "Policy/Beta": beta,
            "Policy/Learning Rate": self.learning_rate(step),
        }

    def _losses(self, part: Rollout, total: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Policy, value and entropy loss of a part, as shares of the means over all `total` real steps."""
        length = self.policy.sequence_length
        stats = self.policy.actor.get_stats(
            part.observations,
            self._agent_action(part.actions),
            masks=part.action_masks,
            memories=part.memories,
            sequence_length=length,
        )
        values, _ = self.critic.critic_pass(part.observations, part.critic_memories, sequence_length=length)
        value_losses = [
            value_loss(values[name], part.returns[:, i], part.mask, total=total) for i, name in enumerate(self.streams)
        ]
        return (
            policy_gradient_loss(stats["log_probs"].flatten(), part.advantage, part.mask, total=total),
            torch.stack(value_losses).mean(),
            entropy_loss(stats["entropy"], part.mask, total=total),
        )

    def _parts(self, rollout: Rollout, num_sequences: int) -> Iterator[Rollout]:
        """Parts of about `batch_size` steps, of whole sequences."""
        length = self.policy.sequence_length
        size = max(self.hyperparameters.batch_size // length, 1)
        for start in range(0, num_sequences, size):
            yield rollout.part(start, start + size, length)

    def _tensors(self, batch: AgentBuffer) -> Rollout:
        columns = (BufferKey.CONTINUOUS_ACTION, BufferKey.DISCRETE_ACTION)
        returns = [ModelUtils.list_to_tensor(batch[RewardSignalUtil.returns_key(name)]) for name in self.streams]
        num_sensors = len(self.policy.behavior_spec.observation_specs)
        return Rollout(
            observations=[ModelUtils.list_to_tensor(o) for o in ObsUtil.from_buffer(batch, num_sensors)],
            actions=torch.cat([ModelUtils.list_to_tensor(batch[key]) for key in columns], dim=1),
            action_masks=ModelUtils.list_to_tensor(batch[BufferKey.ACTION_MASK]),
            memories=self._memories(batch[BufferKey.MEMORY]),
            critic_memories=self._memories(batch[BufferKey.CRITIC_MEMORY]),
            advantage=ModelUtils.list_to_tensor(batch[BufferKey.ADVANTAGES]),
            returns=torch.stack(returns, dim=1),
            mask=ModelUtils.list_to_tensor(batch[BufferKey.MASKS]),
        )

    def _memories(self, memories: np.ndarray) -> torch.Tensor | None:
        """[1, sequences, M] memory at the start of each sequence; None without memory."""
        if not self.policy.use_recurrent:
            return None
        return ModelUtils.list_to_tensor(memories[:: self.policy.sequence_length]).unsqueeze(0)

    def _agent_action(self, actions: torch.Tensor) -> AgentAction:
        """[B, C + D] → ML-Agents' form."""
        size = self.policy.behavior_spec.action_spec.continuous_size
        return AgentAction(actions[:, :size], list(actions[:, size:].long().unbind(dim=1)))

    def rollout_values(self, rollout: RolloutBuffer) -> tuple[StreamValues, StreamValues]:
        """Values of a rollout's states, and of the state after each segment.

        Args:
            rollout: N steps in K segments; with memory its CRITIC_MEMORY is filled in.

        Returns:
            [N] and [K] values by reward stream; terminal states have a value too, which their discount of 0 hides.
        """
        if self.policy.use_recurrent:
            return self._recurrent_values(rollout)
        return self._values(rollout.observations()), self._values(rollout.last_observations())

    @torch.no_grad()
    def _values(self, observations: list[np.ndarray]) -> StreamValues:
        values, _ = self.critic.critic_pass([ModelUtils.list_to_tensor(o) for o in observations])
        return {name: ModelUtils.to_numpy(value) for name, value in values.items()}

    def _recurrent_values(self, rollout: RolloutBuffer) -> tuple[StreamValues, StreamValues]:
        """One segment after the other: each starts from the critic's memory at the end of the agent's last one."""
        segments = [self._segment_values(rollout, k) for k in range(len(rollout.lengths))]
        values, last_values, memories = zip(*segments, strict=True)
        rollout[BufferKey.CRITIC_MEMORY] = np.concatenate(memories)
        return (
            {name: np.concatenate([value[name] for value in values]) for name in self.streams},
            {name: np.concatenate([value[name] for value in last_values]) for name in self.streams},
        )

    def _segment_values(self, rollout: RolloutBuffer, k: int) -> tuple[StreamValues, StreamValues, np.ndarray]:
        """Values of a segment's T states, [1] of the state after it, and the critic's memory before each step."""
        stop = int(np.sum(rollout.lengths[: k + 1]))
        start = stop - int(rollout.lengths[k])
        batch = Batch({ObsUtil.get_name_at(i): o[start:stop] for i, o in enumerate(rollout.observations())})
        next_obs = [observation[k] for observation in rollout.last_observations()]
        agent_id = rollout.agent_ids[k]
        values, last_values, memories = self.get_trajectory_value_estimates(batch, next_obs, False, agent_id)
        if rollout.terminated[k] or rollout.interrupted[k]:
            del self.critic_memory_dict[agent_id]
        return values, last_values, np.asarray(memories, dtype=np.float32)

    def get_modules(self) -> dict[str, Any]:
        """What a checkpoint holds besides the policy."""
        return {**super().get_modules(), "Optimizer:critic": self._critic}


def normalize(advantage: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Advantages of mean 0 and deviation 1 over the real steps.

    Args:
        advantage: [B] advantages.
        mask: [B] 1 for real steps, 0 for padding.

    Returns:
        [B] advantages; all 0 where they were all equal.
    """
    centred = advantage - masked_mean(advantage, mask)
    return centred / (masked_mean(centred.square(), mask).sqrt() + 1e-8)
