"""The learner of DQN: double, dueling, n-step, for several branches and reward streams."""

from typing import Any

from mlagents.torch_utils import default_device, torch
from mlagents.trainers.buffer import AgentBuffer, BufferKey, RewardSignalUtil
from mlagents.trainers.policy.torch_policy import TorchPolicy
from mlagents.trainers.settings import TrainerSettings
from mlagents.trainers.torch_entities.networks import NetworkBody
from mlagents.trainers.torch_entities.utils import ModelUtils
from mlagents.trainers.trajectory import ObsUtil
from mlagents_envs.timers import timed

from mlagents_plugin_dqn.network import QNetwork
from mlagents_plugin_dqn.settings import DQNSettings, LossType
from mlagents_plugin_shared.buffers import ReplayKey
from mlagents_plugin_shared.exploration import greedy_actions
from mlagents_plugin_shared.losses import huber, masked_mean, td_error
from mlagents_plugin_shared.networks import chosen_values, update_target_network
from mlagents_plugin_shared.optimizers import PluginOptimizer
from mlagents_plugin_shared.reward_streams import discount_key
from mlagents_plugin_shared.targets import hold_end, n_step_target, td_target


class DQNOptimizer(PluginOptimizer):
    """Double DQN with a target network, after Mnih et al. (2015) and van Hasselt et al. (2016).

    Args:
        policy: policy whose actor is the online Q network.
        trainer_settings: settings of the behaviour.
        target: network of the same structure as the actor; becomes the target network.
    """

    hyperparameters: DQNSettings

    def __init__(self, policy: TorchPolicy, trainer_settings: TrainerSettings, target: QNetwork) -> None:
        super().__init__(policy, trainer_settings)
        self.online: QNetwork = policy.actor
        self.target = target.to(default_device()).requires_grad_(False)
        update_target_network(self.online, self.target)
        self.parameters = list(self.online.parameters())
        self.optimizer = torch.optim.Adam(self.parameters, lr=self.hyperparameters.learning_rate, eps=1e-5)
        self.updates = UpdateCount()

    @property
    def critic(self) -> QNetwork:
        """The online network."""
        return self.online

    @property
    def network_bodies(self) -> list[NetworkBody]:
        """The online network's body; the target network copies its statistics when it is updated."""
        return [self.online.network_body]

    @timed
    def update(self, batch: AgentBuffer, num_sequences: int) -> dict[str, float]:
        """One update of the online network, and of the target network when it is due.

        Args:
            batch: B steps with the rewards and discounts of every stream (`reward_streams`), next observations and
                next masks; with memory, `num_sequences` sequences.
            num_sequences: number of sequences.

        Returns:
            Statistics by TensorBoard tag.
        """
        # 1. value of the next state: chosen by the online network, judged by the target network
        v_t = self._next_values(batch)  # [B, S]

        # 2. target: the rewards, then that value
        target_t = self._targets(batch, v_t, num_sequences)  # [B, S], one for all branches

        # 3. gradient step on the TD error of the actions taken
        q_tm1 = self._chosen_values(batch)  # [B, S, D]
        error = td_error(q_tm1, target_t.unsqueeze(2).expand_as(q_tm1))
        loss = self._loss(error, batch)
        loss.backward()
        grad_norm = self.step_optimizer(self.parameters, self.hyperparameters.max_grad_norm)

        # 4. the target network follows
        self.updates.increment()
        if self.updates.count % self.hyperparameters.target_update_interval == 0:
            update_target_network(self.online, self.target, self.hyperparameters.tau)

        return {
            "Losses/Value Loss": loss.item(),
            "Policy/Q Value": q_tm1.sum(dim=1).mean().item(),
            "Policy/TD Error": error.abs().mean().item(),
            "Policy/Gradient Norm": grad_norm,
            "Policy/Epsilon": self.policy.epsilon(self.policy.get_current_step()),
            "Policy/Learning Rate": self.learning_rate(self.policy.get_current_step()),
        }

    def _chosen_values(self, batch: AgentBuffer) -> torch.Tensor:
        """[B, S, D] online values of the actions taken."""
        observations = self._tensors(ObsUtil.from_buffer(batch, self._num_sensors))
        q, _ = self.online.q_values(observations, self._memories(batch), self.policy.sequence_length)
        actions = ModelUtils.list_to_tensor(batch[BufferKey.DISCRETE_ACTION], dtype=torch.long)
        return chosen_values(q, actions, self.online.branches)

    @torch.no_grad()
    def _next_values(self, batch: AgentBuffer) -> torch.Tensor:
        """[B, S] values of the next states: the mean over the branches, Tavakoli et al. (2018), eq. 4."""
        q_t = self._next_q(self.target, batch)
        selector = self._next_q(self.online, batch) if self.hyperparameters.double else q_t
        legal = ModelUtils.list_to_tensor(batch[ReplayKey.NEXT_ACTION_MASK])
        best = greedy_actions(selector.sum(dim=1), legal, self.online.branches)
        return chosen_values(q_t, best, self.online.branches).mean(dim=2)

    def _next_q(self, network: QNetwork, batch: AgentBuffer) -> torch.Tensor:
        """[B, S, A] values of the next states."""
        next_observations = self._tensors(ObsUtil.from_buffer_next(batch, self._num_sensors))
        if not self.policy.use_recurrent:
            return network.q_values(next_observations)[0]
        # The state at s_t needs the memory of s_{t-1}: one more step, from the first observation of the sequence on.
        length = self.policy.sequence_length
        observations = self._tensors(ObsUtil.from_buffer(batch, self._num_sensors))
        unrolled = [
            torch.cat([_sequences(first, length)[:, :1], _sequences(following, length)], dim=1).flatten(0, 1)
            for first, following in zip(observations, next_observations, strict=True)
        ]
        q, _ = network.q_values(unrolled, self._memories(batch), length + 1)
        return _sequences(q, length + 1)[:, 1:].flatten(0, 1)

    def _targets(self, batch: AgentBuffer, v_t: torch.Tensor, num_sequences: int) -> torch.Tensor:
        """[B, S] targets of every reward stream."""
        r_t = self._per_stream(batch, RewardSignalUtil.rewards_key)
        discount_t = self._per_stream(batch, discount_key)
        if not self.policy.use_recurrent:  # the rewards are n-step sums already
            return td_target(r_t, discount_t, v_t)
        r_t, discount_t, v_t = (_time_major(x, num_sequences) for x in (r_t, discount_t, v_t))
        r_t, discount_t, v_t = hold_end(r_t, discount_t, v_t, _time_major(self._mask(batch), num_sequences))
        target = n_step_target(r_t, discount_t, v_t, n=self.hyperparameters.n_step)
        return target.transpose(0, 1).flatten(0, 1)

    def _loss(self, error: torch.Tensor, batch: AgentBuffer) -> torch.Tensor:
        """Mean over steps, branches and streams, padding left out."""
        values = huber(error) if self.hyperparameters.loss == LossType.HUBER else error.square()
        return masked_mean(values.mean(dim=(1, 2)), self._mask(batch))

    @property
    def _num_sensors(self) -> int:
        return len(self.policy.behavior_spec.observation_specs)

    @staticmethod
    def _mask(batch: AgentBuffer) -> torch.Tensor:
        """[B] 1 for real steps, 0 for padding."""
        return ModelUtils.list_to_tensor(batch[BufferKey.MASKS])

    @staticmethod
    def _tensors(arrays: list[Any]) -> list[torch.Tensor]:
        return [ModelUtils.list_to_tensor(array) for array in arrays]

    def _memories(self, batch: AgentBuffer) -> Any:
        """[1, sequences, M] stored recurrent state at the start of each sequence; None without memory."""
        if not self.policy.use_recurrent:
            return None
        memory = ModelUtils.list_to_tensor(batch[BufferKey.MEMORY])
        return memory[:: self.policy.sequence_length].unsqueeze(0).contiguous()

    def _per_stream(self, batch: AgentBuffer, key: Any) -> torch.Tensor:
        return torch.stack([ModelUtils.list_to_tensor(batch[key(name)]) for name in self.streams], dim=1)

    def get_modules(self) -> dict[str, Any]:
        """What a checkpoint holds besides the policy."""
        return {
            **super().get_modules(),
            "Optimizer:target_network": self.target,
            "Optimizer:updates": self.updates,
        }


class UpdateCount(torch.nn.Module):
    """Number of updates taken, kept in the checkpoint so that the target network's rhythm survives a resume."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def increment(self) -> None:
        """Counts one update."""
        self.count += 1

    def get_extra_state(self) -> int:
        """The count, for `state_dict`."""
        return self.count

    def set_extra_state(self, state: int) -> None:
        """Takes the count from a `state_dict`."""
        self.count = state


def _sequences(tensor: torch.Tensor, length: int) -> torch.Tensor:
    """[sequences * L, ...] → [sequences, L, ...]."""
    return tensor.reshape(-1, length, *tensor.shape[1:])


def _time_major(tensor: torch.Tensor, num_sequences: int) -> torch.Tensor:
    """[sequences * L, ...] → [L, sequences, ...]."""
    return tensor.reshape(num_sequences, -1, *tensor.shape[1:]).transpose(0, 1)
