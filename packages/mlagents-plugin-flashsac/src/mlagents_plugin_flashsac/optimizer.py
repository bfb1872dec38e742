"""The learner of FlashSAC: soft actor-critic with two critics, for continuous, discrete and hybrid actions."""

import math
from typing import Any

from mlagents.torch_utils import default_device, torch
from mlagents.trainers.buffer import AgentBuffer
from mlagents.trainers.settings import TrainerSettings
from mlagents_envs.timers import timed
from torch import nn

from mlagents_plugin_flashsac.settings import FlashSACSettings
from mlagents_plugin_shared.acting.noise_policy import NoisePolicy
from mlagents_plugin_shared.acting.soft_actor import ActionChoice
from mlagents_plugin_shared.learning.networks import update_target_network
from mlagents_plugin_shared.learning.optimizer import PluginOptimizer, Statistics, adam
from mlagents_plugin_shared.learning.reward_scale import RewardScale
from mlagents_plugin_shared.learning.transitions import Transitions
from mlagents_plugin_shared.learning.trunk import Normalization, project_weights
from mlagents_plugin_shared.learning.twin_critic import TWINS, TwinCritic
from mlagents_plugin_shared.maths.branches import chosen_values, legal_or_all
from mlagents_plugin_shared.maths.munchausen import policy_mean
from mlagents_plugin_shared.maths.squashing import deviation_entropy
from mlagents_plugin_shared.maths.targets import least_value

LOG_TEMPERATURE = (-12.0, 3.0)
"""Bounds of the logarithms of the temperatures."""


class Temperatures(nn.Module):
    """What a nat of entropy counts: one number for continuous actions and one for discrete ones.

    Args:
        initial: both at first.
    """

    def __init__(self, initial: float) -> None:
        super().__init__()
        self.logarithm = nn.Parameter(torch.full((2,), math.log(initial)))

    def forward(self) -> torch.Tensor:
        """[2] temperatures, of continuous and of discrete actions."""
        return self.logarithm.exp()


class FlashSACOptimizer(PluginOptimizer):
    """Soft actor-critic, after Haarnoja et al. (2018b), and what FlashSAC, XQC and CrossQ changed in it.

    Shapes: B transitions, S reward streams, C continuous actions, A discrete actions of D branches side by side, N
    numbers that tell a return. Two critics are 2B rows, see `TwinLayers`. Where there is one number for each kind of
    action, continuous ones are first.

    Args:
        policy: policy whose actor is trained.
        trainer_settings: settings of the behaviour.
        critic: the two critics.
    """

    hyperparameters: FlashSACSettings
    policy: NoisePolicy

    def __init__(self, policy: NoisePolicy, trainer_settings: TrainerSettings, critic: TwinCritic) -> None:
        super().__init__(policy, trainer_settings)
        settings = self.hyperparameters
        self.actor = policy.actor
        self.twins = critic
        self.temperatures = Temperatures(settings.init_entcoef).to(default_device())
        self.shares_encoder = critic.encoder is self.actor.network_body
        self.joint = settings.normalization is Normalization.BATCH
        gammas = {name: signal.gamma for name, signal in self.reward_signals.items()}
        self.reward_scale = RewardScale(gammas, settings.v_max)
        self.updates = 0
        self._project(critic, self.actor)
        self.target = self.add_target_network(critic) if settings.target_network else critic
        schedule = self.schedule(settings.learning_rate_schedule, settings.learning_rate, settings.final_learning_rate)
        actor = self.actor.action_model if self.shares_encoder else self.actor
        self.value_descent, self.policy_descent, self.entropy_descent = (
            self.add_descent(
                adam([weight for weight in module.parameters() if weight.requires_grad], settings.learning_rate),
                name,
                learning_rate=schedule,
                max_grad_norm=settings.max_grad_norm,
            )
            for name, module in (
                ("value_optimizer", critic),
                ("policy_optimizer", actor),
                ("entropy_optimizer", self.temperatures),
            )
        )

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
        taken = self._discrete_action(transitions).repeat(TWINS, 1)
        prediction_tm1 = chosen_values(predictions, taken, self.actor.branches)  # [2B, S, D, N]
        target_t = self.soft_target(transitions, features_t, choice_t, log_prob_t)  # [B, S, N]
        target_t = target_t.unsqueeze(2).repeat(TWINS, 1, len(self.actor.branches), 1)

        # 3. gradient step of both critics on the error between them
        error = self.twins.head.error(prediction_tm1, None, target_t).mean(dim=(1, 2))  # [2B]
        loss = transitions.weighted_mean(error.reshape(TWINS, -1).sum(dim=0))
        grad_norm = self.value_descent.step(loss)
        self._project(self.twins)
        statistics = self._report(transitions, prediction_tm1, target_t, loss, grad_norm)

        # 4. actor and temperatures
        if self.updates % self.hyperparameters.actor_update_interval == 0:
            statistics.update(self._improve_policy(transitions))

        # 5. the target network follows
        if self.target is not self.twins:
            update_target_network(self.twins, self.target, self.hyperparameters.tau)
        return statistics

    def _features(self, transitions: Transitions, action_t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """[2, B, H] what the critics make of the transitions, and [2, B, H] their targets of the next states.

        Only the first gets a gradient. With batch normalisation either network sees both at once, since the actions of
        the policy are not spread as those of the replay are: Bhatt et al. (2024), section 3.1,
        https://arxiv.org/abs/1902.05605.
        """
        if self.joint:
            features_tm1, features_t = self._joint_features(self.twins, transitions, action_t)
            if self.target is not self.twins:
                with torch.no_grad():
                    _, features_t = self._joint_features(self.target, transitions, action_t)
            return features_tm1, features_t.detach()
        features_tm1 = self.twins.features(transitions.encode(self.twins), transitions.continuous_action)
        with torch.no_grad():
            return features_tm1, self.target.features(transitions.encode_next(self.target), action_t)

    def _joint_features(
        self, critic: TwinCritic, transitions: Transitions, action_t: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        encoding_tm1 = transitions.encode(critic, training=critic is self.twins)
        encodings = torch.cat([encoding_tm1, transitions.encode_next(critic)])
        actions = torch.cat([transitions.continuous_action, action_t])
        features_tm1, features_t = critic.features(encodings, actions, training=True).chunk(2, dim=1)
        return features_tm1, features_t

    @torch.no_grad()
    def soft_target(
        self, transitions: Transitions, features_t: torch.Tensor, choice_t: ActionChoice, log_prob_t: torch.Tensor
    ) -> torch.Tensor:
        """[B, S, N] r + γ (Z'(s', a') + α H): the return of the policy, by the critic that promises less.

        a' are sampled continuous actions; over discrete ones it is the mean, and over branches too.

        Source: Haarnoja et al. (2018b), eq. 3, https://arxiv.org/abs/1812.05905; the critic as of `least_value`. Without
        the entropy of discrete actions, where decoupled: Asad et al. (2025), https://arxiv.org/abs/2509.09838.
        """
        head, branches = self.target.head, self.actor.branches
        log_policy_t = choice_t.log_policy.repeat(TWINS, 1)
        value_t = policy_mean(head(features_t), log_policy_t, branches).mean(dim=2)  # [2B, S, N]
        scores_t = head.mean(value_t) @ self._weights  # [2B]
        least_t = least_value(value_t.unflatten(0, (TWINS, -1)), scores_t.unflatten(0, (TWINS, -1)))
        bonus_t = self._entropies(choice_t, log_prob_t)
        if self.hyperparameters.decoupled_entropy:
            bonus_t[:, 1] = 0.0
        soft_t = transitions.bootstrap(bonus_t @ self.temperatures()).unsqueeze(1) * self._shares
        r_t = transitions.reward / self._scale + transitions.discount * soft_t
        return head.target(transitions.bootstrap(least_t), r_t, transitions.discount)

    def _improve_policy(self, transitions: Transitions) -> Statistics:
        """A gradient step of the actor on α log π - Q, and one of the temperatures towards the target entropies.

        Source: Haarnoja et al. (2018b), eq. 9 and 18; for discrete actions without sampling, Christodoulou (2019), eq.
        10 to 12, https://arxiv.org/abs/1910.07207.
        """
        # 1. what the policy does in the states of the batch
        encoding = transitions.encode(self.actor, training=self.joint and not self.shares_encoder)
        choice = self.actor.choice(encoding.detach() if self.shares_encoder else encoding, transitions.legal)
        action, log_prob = choice.sample()

        # 2. actor: towards what the critics value, and entropy
        with torch.no_grad():
            states = transitions.encode(self.twins)
        q = self.twins.head.mean(self.twins.head(self.twins.features(states, action)))  # [2B, S, A]
        least_q = torch.einsum("bsa,s->ba", q, self._weights).unflatten(0, (TWINS, -1)).amin(dim=0)
        value = policy_mean(least_q.unsqueeze(1), choice.log_policy, self.actor.branches).mean(dim=(1, 2))
        entropies = self._entropies(choice, log_prob)  # [B, 2]
        temperatures = self.temperatures()
        policy_loss = -transitions.mean(value + entropies @ temperatures.detach())
        self.policy_descent.step(policy_loss)
        self._project(self.actor)

        # 3. temperatures: higher where the entropy is below its target
        surplus = (entropies.detach() - self._target_entropies(transitions.legal)) @ temperatures
        self.entropy_descent.step(transitions.mean(surplus))
        with torch.no_grad():
            self.temperatures.logarithm.clamp_(*LOG_TEMPERATURE)
        return self._policy_statistics(transitions, policy_loss, entropies, temperatures)

    def _entropies(self, choice: ActionChoice, log_prob: torch.Tensor) -> torch.Tensor:
        """[B, 2] entropies: of continuous actions as the sample has it, and of discrete ones, the mean over branches."""
        return torch.stack([-log_prob, choice.discrete_entropy().mean(dim=1)], dim=1)

    def _target_entropies(self, legal: torch.Tensor) -> torch.Tensor:
        """[B, 2] what entropies are to be; that of discrete actions by how many of them are legal."""
        settings, spec = self.hyperparameters, self.actor.action_spec
        each = -1.0 if settings.target_sigma is None else deviation_entropy(settings.target_sigma)
        continuous = legal.new_full((len(legal),), each * spec.continuous_size)
        if not spec.discrete_size:
            return torch.stack([continuous, torch.zeros_like(continuous)], dim=1)
        branches = legal_or_all(legal, self.actor.branches).split(self.actor.branches, dim=1)
        most = torch.stack([branch.sum(dim=1).log() for branch in branches], dim=1).mean(dim=1)
        return torch.stack([continuous, settings.target_entropy_ratio * most], dim=1)

    def _discrete_action(self, transitions: Transitions) -> torch.Tensor:
        """[B, D] actions taken; the one there is in the branch that stands for none."""
        action = transitions.discrete_action
        return action if self.actor.action_spec.discrete_size else action.new_zeros(len(action), 1)

    @property
    def _scale(self) -> torch.Tensor:
        """[S] what rewards are divided by."""
        scale = self.reward_scale.scale
        return scale if self.hyperparameters.reward_scaling else torch.ones_like(scale)

    @property
    def _weights(self) -> torch.Tensor:
        """[S] what the returns of streams count in their sum: what the scale has changed in their relation is undone."""
        return self._scale / self._scale.max()

    @property
    def _shares(self) -> torch.Tensor:
        """[S] share of each stream in the entropy bonus, so that it counts once in the weighted sum of the streams."""
        return self._weights / self._weights.square().sum()

    def _project(self, *networks: nn.Module) -> None:
        """Normalises the weights of hidden and last layers, not of encoders, where the settings say so."""
        if self.hyperparameters.weight_normalization:
            for network in networks:
                if network is self.actor:
                    project_weights(self.actor.hidden_layers, self.actor.action_model)
                else:
                    project_weights(self.twins.trunk, self.twins.head)
                    if self.shares_encoder:
                        project_weights(self.actor.hidden_layers)

    @torch.no_grad()
    def _report(
        self,
        transitions: Transitions,
        prediction_tm1: torch.Tensor,
        target_t: torch.Tensor,
        loss: torch.Tensor,
        grad_norm: float,
    ) -> Statistics:
        """What others are told of an update of the critics: the replay its errors, and TensorBoard these statistics."""
        head = self.twins.head
        error = head.td_error(prediction_tm1, target_t).abs().mean(dim=(1, 2)).reshape(TWINS, -1).mean(dim=0)
        transitions.record_errors(error)
        q = head.predicted_mean(prediction_tm1).sum(dim=1).mean(dim=1).reshape(TWINS, -1).mean(dim=0)
        return {
            "Losses/Value Loss": loss.detach(),
            "Policy/Q Value": transitions.mean(q),
            "Policy/TD Error": transitions.mean(error),
            "Policy/Gradient Norm": grad_norm,
            "Policy/Reward Scale": self._scale.max(),
            "Policy/Learning Rate": self.value_descent.learning_rate(self.policy.get_current_step()),
        }

    @torch.no_grad()
    def _policy_statistics(
        self, transitions: Transitions, loss: torch.Tensor, entropies: torch.Tensor, temperatures: torch.Tensor
    ) -> Statistics:
        """Statistics of an update of the actor: temperatures under the tags of ML-Agents' SAC."""
        spec = self.actor.action_spec
        statistics: Statistics = {"Losses/Policy Loss": loss.detach()}
        for i, (kind, size) in enumerate((("Continuous", spec.continuous_size), ("Discrete", spec.discrete_size))):
            if size:
                statistics[f"Policy/{kind} Entropy"] = transitions.mean(entropies[:, i].detach())
                statistics[f"Policy/{kind} Entropy Coeff"] = temperatures[i].detach()
        return statistics

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
