"""The learner of DQN and its extensions, for several branches and reward streams."""

from collections.abc import Collection
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
from mlagents_plugin_dqn.settings import DQNSettings, OptimizerType
from mlagents_plugin_shared.data import ReplayKey
from mlagents_plugin_shared.learning.networks import resample_noise, update_target_network
from mlagents_plugin_shared.learning.optimizer import PluginOptimizer, Statistics, adam
from mlagents_plugin_shared.learning.reward_streams import discount_key
from mlagents_plugin_shared.maths.branches import chosen_values, soft_policy
from mlagents_plugin_shared.maths.losses import large_margin_error, masked_mean, max_mean_priority, td_error
from mlagents_plugin_shared.maths.munchausen import munchausen_bonus, policy_entropy, policy_mean
from mlagents_plugin_shared.maths.targets import double_q_value, n_step_windows

# Name of the target network in a checkpoint.
_TARGET = "Optimizer:target_network"
# Updates between two measurements of how far the target network is behind.
DRIFT_INTERVAL = 100


class DQNOptimizer(PluginOptimizer):
    """Q-learning with a target network, after Mnih et al. (2015), and the extensions that the settings ask for.

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
        self.target.train(self.online.training)  # --deterministic: without noise, as the online network
        update_target_network(self.online, self.target)
        self.branches = self.online.branches
        self.parameters = list(self.online.parameters())
        self.descent = self.add_descent(self._create_optimizer(), max_grad_norm=self.hyperparameters.max_grad_norm)
        self.updates = 0

    def _create_optimizer(self) -> torch.optim.Optimizer:
        learning_rate = self.hyperparameters.learning_rate
        if self.hyperparameters.optimizer is OptimizerType.RMSPROP:  # as in Mnih et al. (2015)
            return torch.optim.RMSprop(
                self.parameters, lr=learning_rate, alpha=0.95, eps=0.01, centered=True, foreach=True
            )
        return adam(self.parameters, learning_rate, eps=1e-5)

    @property
    def critic(self) -> QNetwork:
        """The online network."""
        return self.online

    @property
    def network_bodies(self) -> list[NetworkBody]:
        """The online network's body; the target network copies its statistics when it is updated."""
        return [self.online.network_body]

    @timed
    def update(self, batch: AgentBuffer, num_sequences: int) -> Statistics:
        """One update of the online network, and of the target network when it is due.

        Args:
            batch: B steps with the rewards and discounts of every stream (`reward_streams`), next observations and
                next masks; with memory, `num_sequences` sequences, burn-in included. Where it has WEIGHT, the new
                errors are added as ERROR.
            num_sequences: number of sequences.

        Returns:
            Statistics by TensorBoard tag.
        """
        rows, mask = self._learned(batch, num_sequences)
        if self.hyperparameters.noisy:
            resample_noise(self.online)
            resample_noise(self.target)

        # 1. return of the actions taken
        actions = self._column(batch, BufferKey.DISCRETE_ACTION, rows).long()
        numbers, taus = self.online.head.learn(self._encode(self.online, batch)[rows])  # [B, S, A, N]
        chosen_tm1 = chosen_values(numbers, actions, self.branches)  # [B, S, D, N]

        # 2. target: the rewards, then the return of the next state, one for all branches
        r_t, discount_t, numbers_t = self._bootstrap(batch, rows, mask, num_sequences)  # [B, S], [B, S], [B, S, N]
        target_t = self.target.head.target(numbers_t, r_t, discount_t)  # [B, S, N]
        target_t = target_t.unsqueeze(2).expand(-1, -1, len(self.branches), -1)  # [B, S, D, N]

        # 3. gradient step on the distance between them, and on the lead that demonstrated actions lack
        distance = self.online.head.distance(chosen_tm1, taus, target_t)  # [B, S, D]
        loss = masked_mean(self._weigh(distance.mean(dim=(1, 2)), batch), mask)
        margin_loss = self._margin_loss(numbers, actions, batch, rows, mask)
        grad_norm = self.descent.step(loss + self.hyperparameters.demo_margin_weight * margin_loss)

        # 4. the target network follows
        self.updates += 1
        drift = self._drift()
        if self.updates % self.hyperparameters.target_update_interval == 0:
            update_target_network(self.online, self.target, self.hyperparameters.tau)

        with torch.no_grad():
            q_tm1 = self.online.head.expectation(chosen_tm1)  # [B, S, D]
            error = td_error(q_tm1, self.target.head.mean(target_t)).abs().mean(dim=(1, 2))
            if ReplayKey.WEIGHT in batch:
                batch[ReplayKey.ERROR] = self._priorities(error, mask, num_sequences)
            return {
                "Losses/Value Loss": loss.detach(),
                "Policy/Q Value": masked_mean(q_tm1.sum(dim=1).mean(dim=1), mask),
                "Policy/TD Error": masked_mean(error, mask),
                "Policy/Gradient Norm": grad_norm,
                "Policy/Epsilon": self.policy.epsilon(self.policy.get_current_step()),
                "Policy/Learning Rate": self.learning_rate(self.policy.get_current_step()),
                **({"Losses/Margin Loss": margin_loss.detach()} if ReplayKey.DEMONSTRATION in batch else {}),
                **drift,
            }

    @torch.no_grad()
    def _bootstrap(
        self, batch: AgentBuffer, rows: Any, mask: torch.Tensor | None, num_sequences: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """[B, S] rewards, [B, S] discounts, and the [B, S, N] numbers of the return that follows."""
        r_t = self._per_stream(batch, RewardSignalUtil.rewards_key, rows)
        discount_t = self._per_stream(batch, discount_key, rows)
        numbers_t = self.target.head(self._encode_next(self.target, batch)[rows])  # [B, S, A, N]
        legal_t = self._column(batch, ReplayKey.NEXT_ACTION_MASK, rows)
        if self.hyperparameters.munchausen:
            log_policy_t = self._log_policy(numbers_t, legal_t)
            v_t = policy_mean(numbers_t, log_policy_t, self.branches).mean(dim=2)
            entropy_t = policy_entropy(log_policy_t, self.branches).mean(dim=1)
        else:
            scores_t = self._next_scores(batch, rows, numbers_t)
            v_t = double_q_value(numbers_t, scores_t, legal_t, self.branches)
            entropy_t = v_t.new_zeros(len(v_t))
        if self.policy.use_recurrent:  # feed-forward, the rewards are n-step sums already
            r_t, discount_t, last = self._windows(r_t, discount_t, mask, num_sequences)
            v_t, entropy_t = v_t[last], entropy_t[last]
        if self.hyperparameters.munchausen:
            soft_t = discount_t * self.hyperparameters.munchausen_temperature * entropy_t.unsqueeze(1)
            r_t = r_t + (self._bonus(batch, rows) + soft_t) / len(self.streams)
        return r_t, discount_t, v_t

    def _next_scores(self, batch: AgentBuffer, rows: Any, numbers_t: torch.Tensor) -> torch.Tensor:
        """[B, A] by which the next action is chosen: the online network's in double DQN."""
        if self.hyperparameters.double:
            return self.online.total(self.online.head(self._encode_next(self.online, batch)[rows]))
        return self.target.total(numbers_t)

    def _bonus(self, batch: AgentBuffer, rows: Any) -> torch.Tensor:
        """[B, 1] the Munchausen bonus of the actions taken: the mean over the branches."""
        numbers_tm1 = self.target.head(self._encode(self.target, batch)[rows])
        log_policy_tm1 = self._log_policy(numbers_tm1, self._column(batch, BufferKey.ACTION_MASK, rows))
        bonus = munchausen_bonus(
            log_policy_tm1,
            self._column(batch, BufferKey.DISCRETE_ACTION, rows).long(),
            self.branches,
            alpha=self.hyperparameters.munchausen_alpha,
            temperature=self.hyperparameters.munchausen_temperature,
        )
        return bonus.mean(dim=1, keepdim=True)

    def _log_policy(self, numbers: torch.Tensor, legal: torch.Tensor) -> torch.Tensor:
        """[B, A] log-probabilities of the soft policy of a state's returns."""
        return soft_policy(
            self.target.total(numbers), legal, self.branches, self.hyperparameters.munchausen_temperature
        )

    def _weigh(self, distance: torch.Tensor, batch: AgentBuffer) -> torch.Tensor:
        """[B] distances, by the importance weights of their transitions or sequences if the replay is prioritised."""
        if ReplayKey.WEIGHT not in batch:
            return distance
        weight = ModelUtils.list_to_tensor(batch[ReplayKey.WEIGHT])
        return distance * weight.repeat_interleave(len(distance) // len(weight))

    def _margin_loss(
        self, numbers: torch.Tensor, actions: torch.Tensor, batch: AgentBuffer, rows: Any, mask: torch.Tensor | None
    ) -> torch.Tensor:
        """[] mean of what demonstrated actions lack to lead by the margin; the agent's own rows count 0 in it."""
        if ReplayKey.DEMONSTRATION not in batch:
            return numbers.new_zeros(())
        scores = self.online.head.expectation(numbers).sum(dim=1)
        legal = self._column(batch, BufferKey.ACTION_MASK, rows)
        error = large_margin_error(scores, actions, legal, self.branches, margin=self.hyperparameters.demo_margin)
        demonstrated = self._column(batch, ReplayKey.DEMONSTRATION, rows)
        return masked_mean(self._weigh(demonstrated * error.mean(dim=1), batch), mask)

    def _priorities(self, error: torch.Tensor, mask: torch.Tensor | None, num_sequences: int) -> Any:
        """[B] errors, or one priority a sequence, as an array."""
        if self.policy.use_recurrent:
            error = max_mean_priority(_time_major(error, num_sequences), _time_major(mask, num_sequences))
        return ModelUtils.to_numpy(error)

    def _drift(self) -> Statistics:
        """How far the online network's weights are from the target network's, in parts of their size; now and then."""
        if self.updates % DRIFT_INTERVAL:
            return {}
        online = torch.nn.utils.parameters_to_vector(self.parameters).detach()
        behind = online - torch.nn.utils.parameters_to_vector(self.target.parameters())
        return {"Policy/Target Drift": behind.norm() / online.norm()}

    # Sequences

    def _learned(self, batch: AgentBuffer, num_sequences: int) -> tuple[Any, torch.Tensor | None]:
        """Rows of the batch that are learned from: all, or sequences without burn-in and the [B] mask of their ends."""
        if not self.policy.use_recurrent:
            return slice(None), None
        mask = ModelUtils.list_to_tensor(batch[BufferKey.MASKS])
        length = self.policy.sequence_length
        if len(mask) == num_sequences * length:
            return slice(None), mask
        learns = mask.reshape(num_sequences, -1)
        first = learns.argmax(dim=1, keepdim=True)
        step = first + torch.arange(length, device=mask.device)
        rows = step + learns.shape[1] * torch.arange(num_sequences, device=mask.device).unsqueeze(1)
        return rows.flatten(), mask[rows.flatten()]

    def _windows(
        self, r_t: torch.Tensor, discount_t: torch.Tensor, mask: torch.Tensor | None, num_sequences: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """n-step reward sums and discounts, [B, S], and the row after which each bootstraps, [B]."""
        columns = (_time_major(column, num_sequences) for column in (r_t, discount_t, mask))
        r_t, discount_t, last = n_step_windows(*columns, n=self.hyperparameters.n_step)
        starts = len(last) * torch.arange(num_sequences, device=last.device)
        return tuple(column.transpose(0, 1).flatten(0, 1) for column in (r_t, discount_t, last + starts))

    def _encode(self, network: QNetwork, batch: AgentBuffer) -> torch.Tensor:
        """[B, E] encodings of the states that were acted in."""
        observations = self._tensors(ObsUtil.from_buffer(batch, self._num_sensors))
        return network.encode(observations, *self._memories(batch))[0]

    @torch.no_grad()
    def _encode_next(self, network: QNetwork, batch: AgentBuffer) -> torch.Tensor:
        """[B, E] encodings of the next states."""
        next_observations = self._tensors(ObsUtil.from_buffer_next(batch, self._num_sensors))
        if not self.policy.use_recurrent:
            return network.encode(next_observations)[0]
        # The state at s_t needs the memory of s_{t-1}: one more step, from the first observation of the sequence on.
        memories, length = self._memories(batch)
        observations = self._tensors(ObsUtil.from_buffer(batch, self._num_sensors))
        unrolled = [
            torch.cat([_sequences(first, length)[:, :1], _sequences(following, length)], dim=1).flatten(0, 1)
            for first, following in zip(observations, next_observations, strict=True)
        ]
        encoding, _ = network.encode(unrolled, memories, length + 1)
        return _sequences(encoding, length + 1)[:, 1:].flatten(0, 1)

    def _memories(self, batch: AgentBuffer) -> tuple[Any, int]:
        """[1, sequences, M] stored recurrent state at the start of each sequence, and their length; None without."""
        if not self.policy.use_recurrent:
            return None, 1
        length = self.hyperparameters.burn_in + self.policy.sequence_length
        memory = ModelUtils.list_to_tensor(batch[BufferKey.MEMORY])
        return memory[::length].unsqueeze(0).contiguous(), length

    @property
    def _num_sensors(self) -> int:
        return len(self.policy.behavior_spec.observation_specs)

    @staticmethod
    def _tensors(arrays: list[Any]) -> list[torch.Tensor]:
        return [ModelUtils.list_to_tensor(array) for array in arrays]

    @staticmethod
    def _column(batch: AgentBuffer, key: Any, rows: Any) -> torch.Tensor:
        return ModelUtils.list_to_tensor(batch[key])[rows]

    def _per_stream(self, batch: AgentBuffer, key: Any, rows: Any) -> torch.Tensor:
        return torch.stack([self._column(batch, key(name), rows) for name in self.streams], dim=1)

    def on_loaded(self, whole: Collection[str]) -> None:
        """The target network follows the online network, unless both are what was saved."""
        if not {"Policy", _TARGET} <= set(whole):
            update_target_network(self.online, self.target)

    def get_modules(self) -> dict[str, Any]:
        """What a checkpoint holds besides the policy."""
        return {**super().get_modules(), _TARGET: self.target}

    def state_dict(self) -> dict[str, Any]:
        """Adds the number of updates, by which the target network follows."""
        return {**super().state_dict(), "updates": self.updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up what `state_dict` gave."""
        super().load_state_dict(state)
        self.updates = state["updates"]


def _sequences(tensor: torch.Tensor, length: int) -> torch.Tensor:
    """[sequences * L, ...] → [sequences, L, ...]."""
    return tensor.reshape(-1, length, *tensor.shape[1:])


def _time_major(tensor: torch.Tensor, num_sequences: int) -> torch.Tensor:
    """[sequences * L, ...] → [L, sequences, ...]."""
    return tensor.reshape(num_sequences, -1, *tensor.shape[1:]).transpose(0, 1)
