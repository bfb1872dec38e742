"""The learner of DQN and its extensions, for several branches and reward streams."""

from typing import Any

from mlagents.torch_utils import torch
from mlagents.trainers.buffer import AgentBuffer
from mlagents.trainers.policy.torch_policy import TorchPolicy
from mlagents.trainers.settings import TrainerSettings
from mlagents_envs.logging_util import get_logger
from mlagents_envs.timers import timed

from mlagents_plugin_dqn.settings import DQNSettings, OptimizerType
from mlagents_plugin_shared.learning.networks import resample_noise, update_target_network
from mlagents_plugin_shared.learning.optimizer import PluginOptimizer, Statistics, adam
from mlagents_plugin_shared.learning.q_network import QNetwork
from mlagents_plugin_shared.learning.rmsprop import RMSpropTF
from mlagents_plugin_shared.learning.transitions import Transitions
from mlagents_plugin_shared.maths.branches import chosen_values, soft_policy
from mlagents_plugin_shared.maths.losses import large_margin_error
from mlagents_plugin_shared.maths.munchausen import munchausen_bonus, policy_entropy, policy_mean, soft_reward
from mlagents_plugin_shared.maths.targets import double_q_value

logger = get_logger(__name__)

# Updates between two measurements of how far the target network is behind.
DRIFT_INTERVAL = 100


class DQNOptimizer(PluginOptimizer):
    """Q-learning with a target network, after Mnih et al. (2015), and the extensions that the settings ask for.

    Shapes: B transitions, S reward streams, A actions of D branches side by side, and N numbers that tell a return.

    Args:
        policy: policy whose actor is the online Q network.
        trainer_settings: settings of the behaviour.
        target: network of the same structure as the actor; becomes the target network.
    """

    hyperparameters: DQNSettings

    def __init__(self, policy: TorchPolicy, trainer_settings: TrainerSettings, target: QNetwork) -> None:
        super().__init__(policy, trainer_settings)
        self.online: QNetwork = policy.actor
        self.target = self.add_target_network(self.online, target)
        self.branches = self.online.branches
        self.parameters = list(self.online.parameters())
        self.descent = self.add_descent(self._create_optimizer(), max_grad_norm=self.hyperparameters.max_grad_norm)
        self.updates = 0

    def _create_optimizer(self) -> torch.optim.Optimizer:
        learning_rate = self.hyperparameters.learning_rate
        if self.hyperparameters.optimizer is OptimizerType.RMSPROP:  # as in Mnih et al. (2015), extended data table 1
            return RMSpropTF(self.parameters, learning_rate, alpha=0.95, eps=0.01, centered=True, initial_square=0.0)
        return adam(self.parameters, learning_rate, eps=1e-5)

    @timed
    def update(self, batch: AgentBuffer, num_sequences: int) -> Statistics:
        """One update of the online network, and of the target network when it is due.

        Args:
            batch: from `ReplayTrainer.sample`; a prioritised one gets its new errors, see `Transitions.record_errors`.
            num_sequences: number of sequences in it, with memory.

        Returns:
            Statistics by TensorBoard tag.
        """
        transitions = Transitions.from_batch(batch, num_sequences, self.policy, self.streams)
        self._begin()

        # 1. predicted return of the actions taken
        predictions, taus = self.online.head.predict(transitions.encode(self.online))  # [B, S, A, N]
        prediction_tm1 = chosen_values(predictions, transitions.discrete_action, self.branches)  # [B, S, D, N]

        # 2. its target: the rewards and the return of the next state
        target_t = self.target_return(transitions)  # [B, S, D, N]

        # 3. gradient step on the error between them, and on the lead that demonstrated actions lack
        error = self.online.head.error(prediction_tm1, taus, target_t)  # [B, S, D]
        loss = transitions.weighted_mean(error.mean(dim=(1, 2)))
        margin_loss = self._margin_loss(predictions, transitions)
        grad_norm = self.descent.step(loss + self.hyperparameters.demo_margin_weight * margin_loss)
        statistics = self._report(transitions, prediction_tm1, target_t, loss, margin_loss, grad_norm)

        # 4. the target network follows
        if self.updates % self.hyperparameters.target_update_interval == 0:
            update_target_network(self.online, self.target, self.hyperparameters.tau)
        return statistics

    @torch.no_grad()
    def td_errors(self, batch: AgentBuffer, num_sequences: int) -> torch.Tensor:
        """[B] mean distances of predictions from their targets, the priorities of prioritised replay."""
        transitions = Transitions.from_batch(batch, num_sequences, self.policy, self.streams)
        predictions, _ = self.online.head.predict(transitions.encode(self.online))
        prediction_tm1 = chosen_values(predictions, transitions.discrete_action, self.branches)
        return self._td_error(prediction_tm1, self.target_return(transitions))

    def _td_error(self, prediction_tm1: torch.Tensor, target_t: torch.Tensor) -> torch.Tensor:
        """[B] mean over streams and branches of |δ|, from [B, S, D, N] predictions and targets."""
        return self.online.head.td_error(prediction_tm1, target_t).abs().mean(dim=(1, 2))

    @torch.no_grad()
    def target_return(self, transitions: Transitions) -> torch.Tensor:
        """[B, S, D, N] the return that predictions are trained towards, one for all branches."""
        target = self._munchausen_target if self.hyperparameters.munchausen else self._q_learning_target
        return target(transitions).unsqueeze(2).expand(-1, -1, len(self.branches), -1)

    def _q_learning_target(self, transitions: Transitions) -> torch.Tensor:
        """[B, S, N] r + γ Z'(s', argmax_a Q(s', a)): the online network prefers, the target network values it.

        Source: van Hasselt et al. (2016), eq. 4. Without `double` the target network prefers too: Mnih et al. (2015).
        """
        return_t = self.target.head(transitions.encode_next(self.target))  # [B, S, A, N]
        q_t = self.target.summed_q(return_t)  # [B, A]
        if self.hyperparameters.double:
            q_t = self.online.summed_q(self.online.head(transitions.encode_next(self.online)))
        best_t = double_q_value(return_t, q_t, transitions.next_legal, self.branches)
        return self.target.head.target(transitions.bootstrap(best_t), transitions.reward, transitions.discount)

    def _munchausen_target(self, transitions: Transitions) -> torch.Tensor:
        """[B, S, N] r + α [τ ln π(a | s)] + γ Σ_a' π(a' | s') (Z'(s', a') - τ ln π(a' | s')),   π = softmax(Q' / τ).

        Source: Vieillard et al. (2020), eq. 1.
        """
        alpha, tau = self.hyperparameters.munchausen_alpha, self.hyperparameters.munchausen_temperature
        _, log_policy_tm1 = self._soft_policy(transitions.encode(self.target), transitions.legal)
        return_t, log_policy_t = self._soft_policy(transitions.encode_next(self.target), transitions.next_legal)
        actions, branches = transitions.discrete_action, self.branches
        bonus_tm1 = munchausen_bonus(log_policy_tm1, actions, branches, alpha=alpha, temperature=tau)
        entropy_t = transitions.bootstrap(policy_entropy(log_policy_t, branches))
        r_t = soft_reward(transitions.reward, transitions.discount, bonus_tm1, entropy_t, temperature=tau)
        mean_t = transitions.bootstrap(policy_mean(return_t, log_policy_t, branches).mean(dim=2))
        return self.target.head.target(mean_t, r_t, transitions.discount)

    def _soft_policy(self, encoding: torch.Tensor, legal: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The target network's [B, S, A, N] returns of encoded states, and [B, A] ln π of its policy there."""
        returns = self.target.head(encoding)
        temperature = self.hyperparameters.munchausen_temperature
        return returns, soft_policy(self.target.summed_q(returns), legal, self.branches, temperature)

    def _margin_loss(self, predictions: torch.Tensor, transitions: Transitions) -> torch.Tensor:
        """[] mean of what demonstrated actions lack to lead by the margin; the agent's own count 0 in it.

        Source: Hester et al. (2018), section 4.
        """
        if transitions.demonstrated is None:
            return predictions.new_zeros(())
        error = large_margin_error(
            self.online.head.predicted_mean(predictions).sum(dim=1),
            transitions.discrete_action,
            transitions.legal,
            self.branches,
            margin=self.hyperparameters.demo_margin,
        )
        return transitions.weighted_mean(transitions.demonstrated * error.mean(dim=1))

    def _begin(self) -> None:
        """Counts the update, and draws noise for it: the target network has its own."""
        self.updates += 1
        if self.hyperparameters.noisy:
            resample_noise(self.online)
            resample_noise(self.target)

    @torch.no_grad()
    def _report(
        self,
        transitions: Transitions,
        prediction_tm1: torch.Tensor,
        target_t: torch.Tensor,
        loss: torch.Tensor,
        margin_loss: torch.Tensor,
        grad_norm: float,
    ) -> Statistics:
        """What others are told of an update: the replay its errors, and TensorBoard these statistics."""
        q_tm1 = self.online.head.predicted_mean(prediction_tm1)  # [B, S, D]
        error = self._td_error(prediction_tm1, target_t)
        transitions.record_errors(error)
        step = self.policy.get_current_step()
        return {
            "Losses/Value Loss": loss.detach(),
            "Policy/Q Value": transitions.mean(q_tm1.sum(dim=1).mean(dim=1)),
            "Policy/TD Error": transitions.mean(error),
            "Policy/Gradient Norm": grad_norm,
            "Policy/Epsilon": self.policy.epsilon(step),
            "Policy/Learning Rate": self.learning_rate(step),
            **({"Losses/Margin Loss": margin_loss.detach()} if transitions.demonstrated is not None else {}),
            **self._drift(),
        }

    def _drift(self) -> Statistics:
        """How far the online network's weights are from the target network's, in parts of their size; now and then."""
        if self.updates % DRIFT_INTERVAL:
            return {}
        online = torch.nn.utils.parameters_to_vector(self.parameters).detach()
        behind = online - torch.nn.utils.parameters_to_vector(self.target.parameters())
        return {"Policy/Target Drift": behind.norm() / online.norm()}

    def state_dict(self) -> dict[str, Any]:
        """Adds the number of updates, by which the target network follows, and the scale of the values."""
        scale = {"value_rescaling": True} if self.hyperparameters.value_rescaling else {}
        return {**super().state_dict(), "updates": self.updates, **scale}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up what `state_dict` gave."""
        super().load_state_dict(state)
        self.updates = state["updates"]

    def begin_from(self, state: dict[str, Any]) -> None:
        """Says too where the values are in another scale, and drops the moments, which are of the former one."""
        super().begin_from(state)
        if state.get("value_rescaling", False) != self.hyperparameters.value_rescaling:
            self.descent.optimizer.state.clear()
            logger.warning(
                "The checkpoint's values are in another scale (another value_rescaling): what it has learned of them "
                "is wrong at first, and the moments of the optimizer begin anew."
            )
