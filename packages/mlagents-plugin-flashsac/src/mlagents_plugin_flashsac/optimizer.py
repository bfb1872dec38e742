"""The learner of FlashSAC: soft actor-critic with two critics, for continuous, discrete and hybrid actions."""

from typing import Any

from mlagents.torch_utils import default_device, torch
from mlagents.trainers.buffer import AgentBuffer
from mlagents.trainers.settings import TrainerSettings
from mlagents_envs.timers import timed

from mlagents_plugin_flashsac.settings import FlashSACSettings
from mlagents_plugin_shared.acting.noise_policy import NoisePolicy
from mlagents_plugin_shared.acting.soft_actor import ActionChoice
from mlagents_plugin_shared.learning.networks import update_target_network
from mlagents_plugin_shared.learning.optimizer import Descent, PluginOptimizer, Statistics, adam
from mlagents_plugin_shared.learning.reward_scale import RewardScale
from mlagents_plugin_shared.learning.temperature import Temperatures
from mlagents_plugin_shared.learning.transitions import Transitions
from mlagents_plugin_shared.learning.trunk import Normalization
from mlagents_plugin_shared.learning.twin_critic import TWINS, TwinCritic, of_twins
from mlagents_plugin_shared.maths.munchausen import policy_mean
from mlagents_plugin_shared.maths.squashing import deviation_entropy
from mlagents_plugin_shared.maths.targets import least_value


class FlashSACOptimizer(PluginOptimizer):
    """Soft actor-critic, after Haarnoja et al. (2018b), and what FlashSAC, XQC and CrossQ changed in it.

    Shapes: B transitions, S reward streams, C continuous actions, A discrete actions of D branches side by side, N
    numbers that tell a return. Two critics are 2B rows, see `TwinLayers`. Of two numbers, one for each kind of action,
    that of continuous ones is first.

    Args:
        policy: policy whose actor is trained.
        trainer_settings: settings of the behaviour.
        twins: the two critics; they may share the encoder of the actor, which they then train.
    """

    hyperparameters: FlashSACSettings

    def __init__(self, policy: NoisePolicy, trainer_settings: TrainerSettings, twins: TwinCritic) -> None:
        super().__init__(policy, trainer_settings)
        settings = self.hyperparameters
        self.actor, self.twins = policy.actor, twins
        self.shares_encoder = twins.encoder is self.actor.network_body
        self.joint = settings.normalization is Normalization.BATCH
        sigma = settings.target_sigma
        self.temperatures = Temperatures(
            policy.behavior_spec.action_spec,
            initial=(settings.init_entcoef, settings.discrete_init_entcoef),
            entropy_of_each=-1.0 if sigma is None else deviation_entropy(sigma),
            entropy_ratio=settings.target_entropy_ratio,
        ).to(default_device())
        largest = settings.v_max if settings.reward_scaling else None
        self.reward_scale = RewardScale.of_signals(self.reward_signals, largest)
        self.updates = 0
        if settings.weight_normalization:
            self.twins.project()
            self.actor.project()
        self.target = self.add_target_network(twins) if settings.target_network else twins
        self.value_descent = self._add_descent("value_optimizer", twins)
        actor = self.actor.action_model if self.shares_encoder else self.actor
        self.policy_descent = self._add_descent("policy_optimizer", actor, self.temperatures)

    def _add_descent(self, name: str, *networks: torch.nn.Module) -> Descent:
        settings = self.hyperparameters
        weights = [weight for network in networks for weight in network.parameters() if weight.requires_grad]
        return self.add_descent(adam(weights, settings.learning_rate), name, max_grad_norm=settings.max_grad_norm)

    @property
    def network_bodies(self) -> list[Any]:
        """Networks whose observation normalisation follows the data."""
        return [self.actor.network_body] if self.shares_encoder else [self.actor.network_body, self.twins.encoder]

    @timed
    def update(self, batch: AgentBuffer, num_sequences: int) -> Statistics:
        """One update of the critics, and of actor and temperatures when it is due.

        Args:
            batch: from `ReplayTrainer.sample`; a prioritised one gets its new errors, see `Transitions.record_errors`.
            num_sequences: number of sequences in it, with memory.

        Returns:
            Statistics by TensorBoard tag.
        """
        transitions = Transitions.from_batch(batch, num_sequences, self.policy, self.streams)
        self.updates += 1

        # 1. what the policy would do next
        choice_t = self.actor.choice(transitions.encode_next(self.actor), transitions.next_legal)
        action_t, log_prob_t = choice_t.sample()

        # 2. predicted return of the actions taken, and its target
        features_tm1, features_t = self._features(transitions, action_t)
        predictions, _ = self.twins.head.predict(features_tm1)  # [2B, S, A, N]
        prediction_tm1 = self.twins.chosen(predictions, transitions.discrete_action)  # [2B, S, D, N]
        target_t = self.soft_target(transitions, features_t, choice_t, log_prob_t)  # [B, S, N]
        target_t = target_t.unsqueeze(2).repeat(TWINS, 1, len(self.actor.branches), 1)

        # 3. gradient step of both critics on the error between them
        error = self.twins.head.error(prediction_tm1, None, target_t).mean(dim=(1, 2))  # [2B]
        loss = transitions.weighted_mean(of_twins(error).sum(dim=0))
        grad_norm = self._descend(self.value_descent, loss, self.twins)
        statistics = self._report(transitions, prediction_tm1, target_t)
        statistics.update({"Losses/Value Loss": loss.detach(), "Policy/Gradient Norm": grad_norm})

        # 4. gradient steps of actor and temperatures
        if self.updates % self.hyperparameters.actor_update_interval == 0:
            statistics.update(self.improve_policy(transitions))

        # 5. the target network follows
        if self.target is not self.twins:
            update_target_network(self.twins, self.target, self.hyperparameters.tau)
        return statistics

    def _features(self, transitions: Transitions, action_t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """[2, B, H] what critics make of the transitions, and [2, B, H] what their targets make of the next states."""
        if self.joint:
            features_tm1, features_t = self.twins.joint_features(transitions, action_t, trains_encoder=True)
            if self.target is not self.twins:
                with torch.no_grad():
                    _, features_t = self.target.joint_features(transitions, action_t, trains_encoder=False)
            return features_tm1, features_t.detach()
        features_tm1 = self.twins.features(transitions.encode(self.twins), transitions.continuous_action)
        with torch.no_grad():
            return features_tm1, self.target.features(transitions.encode_next(self.target), action_t)

    @torch.no_grad()
    def soft_target(
        self, transitions: Transitions, features_t: torch.Tensor, choice_t: ActionChoice, log_prob_t: torch.Tensor
    ) -> torch.Tensor:
        """[B, S, N] r + γ (Z'(s', a') + α H): the return of the policy, by the critic that promises less.

        a' are sampled continuous actions; over discrete ones it is the mean, and over branches too.

        Source: Haarnoja et al. (2018b), eq. 3, https://arxiv.org/abs/1812.05905; the critic, see `least_value`; without
        the entropy of discrete actions, where decoupled: Asad et al. (2025), https://arxiv.org/abs/2509.09838.
        """
        head, scale = self.target.head, self.reward_scale
        log_policy_t = choice_t.log_policy.repeat(TWINS, 1)
        value_t = policy_mean(head(features_t), log_policy_t, self.actor.branches).mean(dim=2)  # [2B, S, N]
        least_t = least_value(of_twins(value_t), of_twins(head.mean(value_t) @ scale.weights))  # [B, S, N]
        entropies_t = choice_t.entropies(log_prob_t)
        if self.hyperparameters.decoupled_entropy:
            entropies_t[:, 1] = 0.0
        soft_t = transitions.bootstrap(entropies_t @ self.temperatures()).unsqueeze(1) * scale.shares  # [B, S]
        r_t = transitions.reward / scale.scale + transitions.discount * soft_t
        return head.target(transitions.bootstrap(least_t), r_t, transitions.discount)

    def improve_policy(self, transitions: Transitions) -> Statistics:
        """A gradient step of the actor on -(Q + α H), and of the temperatures towards the target entropies.

        Neither loss has a gradient for what the other one trains: they are two steps at the price of one.

        Source: Haarnoja et al. (2018b), eq. 9 and 18; for discrete actions, without sampling, Christodoulou (2019), eq.
        10 to 12, https://arxiv.org/abs/1910.07207.
        """
        # 1. what the policy does in the states of the batch
        states = transitions.encode(self.actor, training=self.joint and not self.shares_encoder)
        choice = self.actor.choice(states.detach() if self.shares_encoder else states, transitions.legal)
        action, log_prob = choice.sample()

        # 2. actor: towards what the critics value, and entropy
        with torch.no_grad():
            states = transitions.encode(self.twins)
        q = self.twins.head.mean(self.twins.head(self.twins.features(states, action)))  # [2B, S, A]
        least_q = of_twins(torch.einsum("bsa,s->ba", q, self.reward_scale.weights)).amin(dim=0)
        value = policy_mean(least_q.unsqueeze(1), choice.log_policy, self.actor.branches).mean(dim=(1, 2))
        entropies = choice.entropies(log_prob)  # [B, 2]
        temperatures = self.temperatures().detach()
        loss = -transitions.mean(value + entropies @ temperatures)

        # 3. temperatures: up where the entropy is below its target
        entropy_loss = transitions.mean(self.temperatures.loss(entropies, transitions.legal))
        self._descend(self.policy_descent, loss + entropy_loss, self.actor)
        self.temperatures.bound()
        mean = torch.stack([transitions.mean(each) for each in entropies.detach().unbind(dim=1)])
        return {
            "Losses/Policy Loss": loss.detach(),
            **{f"Policy/{kind} Entropy": number for kind, number in self.temperatures.named(mean).items()},
            **{f"Policy/{kind} Entropy Coeff": each for kind, each in self.temperatures.named(temperatures).items()},
        }

    def _descend(self, descent: Descent, loss: torch.Tensor, network: Any) -> float:
        """A gradient step, and the projection of the network's weights after it; gives the norm of the gradient."""
        norm = descent.step(loss)
        if self.hyperparameters.weight_normalization:
            network.project()
        return norm

    @torch.no_grad()
    def _report(self, transitions: Transitions, prediction_tm1: torch.Tensor, target_t: torch.Tensor) -> Statistics:
        """What others are told of an update of the critics: the replay its errors, and TensorBoard these statistics."""
        head = self.twins.head
        error = of_twins(head.td_error(prediction_tm1, target_t).abs().mean(dim=(1, 2))).mean(dim=0)
        transitions.record_errors(error)
        q = of_twins(head.predicted_mean(prediction_tm1).sum(dim=1).mean(dim=1)).mean(dim=0)
        return {
            "Policy/Q Value": transitions.mean(q),
            "Policy/TD Error": transitions.mean(error),
            "Policy/Reward Scale": self.reward_scale.scale.max(),
            "Policy/Learning Rate": self.value_descent.learning_rate(self.policy.get_current_step()),
        }

    def get_modules(self) -> dict[str, Any]:
        """Adds the critics and the temperatures to what a checkpoint holds."""
        return {**super().get_modules(), "Optimizer:critic": self.twins, "Optimizer:temperatures": self.temperatures}

    def state_dict(self) -> dict[str, Any]:
        """Adds the number of updates and the scale of rewards."""
        return {**super().state_dict(), "updates": self.updates, "reward_scale": self.reward_scale.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up what `state_dict` gave."""
        super().load_state_dict(state)
        self.updates = state["updates"]
        self.reward_scale.load_state_dict(state["reward_scale"])
