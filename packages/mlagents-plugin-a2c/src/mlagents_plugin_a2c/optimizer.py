"""The learner of A2C: one synchronous policy-gradient step a rollout."""

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

import numpy as np
from mlagents.torch_utils import default_device, torch
from mlagents.trainers.buffer import AgentBuffer, BufferKey
from mlagents.trainers.policy.torch_policy import TorchPolicy
from mlagents.trainers.settings import TrainerSettings
from mlagents.trainers.torch_entities.networks import NetworkBody, ValueNetwork
from mlagents.trainers.torch_entities.utils import ModelUtils
from mlagents_envs.logging_util import get_logger
from mlagents_envs.timers import timed
from torch import nn

from mlagents_plugin_a2c.activation import use_tanh
from mlagents_plugin_a2c.initialization import initialize_critic
from mlagents_plugin_a2c.popart import PopArt
from mlagents_plugin_a2c.rmsprop import RMSpropTF
from mlagents_plugin_a2c.rollout import Rollout, Steps
from mlagents_plugin_a2c.settings import A2CSettings, Activation, OptimizerType, ValueLoss
from mlagents_plugin_a2c.values import feedforward_values, recurrent_values
from mlagents_plugin_shared.data import RolloutBuffer
from mlagents_plugin_shared.learning.optimizer import PluginOptimizer, adam
from mlagents_plugin_shared.maths.losses import entropy_loss, masked_mean, policy_gradient_loss, value_loss

logger = get_logger(__name__)

# Name of PopArt's statistics in a checkpoint.
POPART = "Optimizer:popart"
# Ratio of probabilities beyond which a step counts as one of an older policy; below are rounding errors.
STALE = 1e-3


class Losses(NamedTuple):
    """Terms of the loss, and what is only reported; of a part of the rollout they are shares of the whole."""

    policy: torch.Tensor
    value: torch.Tensor
    entropy: torch.Tensor
    staleness: torch.Tensor
    stale_steps: torch.Tensor


class A2COptimizer(PluginOptimizer):
    """Advantage actor-critic, after Mnih et al. (2016), https://arxiv.org/abs/1602.01783, in its synchronous form.

    Args:
        policy: policy that acts and learns.
        trainer_settings: settings of the behaviour.
    """

    hyperparameters: A2CSettings

    def __init__(self, policy: TorchPolicy, trainer_settings: TrainerSettings) -> None:
        super().__init__(policy, trainer_settings)
        self._critic = policy.actor if self.hyperparameters.shared_critic else self._create_critic()
        # Heads by name, so that the moments in a checkpoint find theirs where reward streams have changed places.
        self.parameters = self._trained(by_head=True)
        self.descent = self.add_descent(self._create_optimizer(), max_grad_norm=self.hyperparameters.max_grad_norm)
        self.beta = self.schedule(self.hyperparameters.beta_schedule, self.hyperparameters.beta, 1e-5)
        self.popart = PopArt(self._critic.value_heads.value_heads).to(default_device())

    def _trained(self, *, by_head: bool) -> list[nn.Parameter]:
        """All parameters that are trained, value heads by their names or in the order of the streams."""
        modules = [self.policy.actor] if self._critic is self.policy.actor else [self.policy.actor, self._critic]
        named = [list(module.named_parameters()) for module in modules]
        parts = [sorted(part, key=_head_of) for part in named] if by_head else named
        return [parameter for part in parts for _, parameter in part if parameter.requires_grad]

    def _create_critic(self) -> ValueNetwork:
        specs = self.policy.behavior_spec.observation_specs
        critic = ValueNetwork(self.streams, specs, self.trainer_settings.network_settings)
        if self.hyperparameters.activation is Activation.TANH:
            use_tanh(critic.network_body)
        if self.hyperparameters.orthogonal_init:
            initialize_critic(critic)
        return critic.to(default_device())

    def _create_optimizer(self) -> torch.optim.Optimizer:
        learning_rate = self.hyperparameters.learning_rate
        match self.hyperparameters.optimizer:
            case OptimizerType.ADAM:
                return adam(self.parameters, learning_rate)
            case OptimizerType.RMSPROP_TF:
                return RMSpropTF(self.parameters, lr=learning_rate)
            case _:
                return torch.optim.RMSprop(self.parameters, lr=learning_rate, alpha=0.99, eps=1e-5, foreach=True)

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
        rollout = Rollout.from_batch(batch, self.policy, self.streams)
        mask = rollout.steps.mask

        # 1. returns and advantages of comparable size, whatever the scale of the rewards
        if self.hyperparameters.normalize_returns:
            self.popart.update(rollout.returns, mask)
            rollout = rollout._replace(
                returns=self.popart.normalize(rollout.returns), advantage=rollout.advantage / self.popart.sigma.mean()
            )
        if self.hyperparameters.normalize_advantage:
            rollout = rollout._replace(advantage=normalize(rollout.advantage, mask))

        # 2. one step down the gradient of  L = L_policy + c_v L_value + β L_entropy,  summed over parts of the rollout
        terms: list[torch.Tensor] = []
        grad_norm = self.descent.step(self._loss_of_parts(rollout, beta, terms))

        policy, value, _, staleness, stale_steps = sum(terms).tolist()
        return {
            "Losses/Policy Loss": abs(policy),  # the size, as ML-Agents' PPO reports it
            "Losses/Value Loss": value,
            "Policy/Gradient Norm": grad_norm,
            "Policy/Staleness": staleness,
            "Policy/Stale Steps": stale_steps,
            "Policy/Beta": beta,
            "Policy/Learning Rate": self.learning_rate(step),
        }

    def _loss_of_parts(self, rollout: Rollout, beta: float, terms: list[torch.Tensor]) -> Iterator[torch.Tensor]:
        """[] loss of each part of a rollout; its terms are added to `terms`."""
        for part in rollout.parts(self.hyperparameters.batch_size, self.policy.sequence_length):
            losses = self._losses(part, total=rollout.steps.mask.sum().item())
            terms.append(torch.stack(losses).detach())
            yield losses.policy + self.hyperparameters.value_coefficient * losses.value + beta * losses.entropy

    def _losses(self, part: Rollout, total: float) -> Losses:
        """Losses of a part, as shares of the means over all `total` real steps."""
        mask = part.steps.mask
        log_probs, entropy = self._evaluate(part.steps)
        values, _ = self._critic_outputs(part.steps.observations, part.critic_memories, self.policy.sequence_length)
        delta = 1.0 if self.hyperparameters.value_loss == ValueLoss.HUBER else None
        value_losses = [
            value_loss(v, g, mask, delta=delta, total=total)
            for v, g in zip(values.unbind(dim=1), part.returns.unbind(dim=1), strict=True)
        ]
        with torch.no_grad():
            change = (log_probs - part.steps.log_probs).sum(dim=1).abs()
        return Losses(
            policy_gradient_loss(log_probs, part.advantage, mask, total=total),
            torch.stack(value_losses).mean(),
            entropy_loss(entropy, mask, total=total),
            masked_mean(change, mask, total=total),
            masked_mean((change > STALE).float(), mask, total=total),
        )

    def _evaluate(self, steps: Steps) -> tuple[torch.Tensor, torch.Tensor]:
        """[B, C + D] log-probabilities of the actions under the policy as it is, and its [B] entropy."""
        stats = self.policy.actor.get_stats(
            steps.observations,
            steps.agent_action(self.policy.behavior_spec.action_spec.continuous_size),
            masks=steps.action_masks,
            memories=steps.memories,
            sequence_length=self.policy.sequence_length,
        )
        return stats["log_probs"].flatten(), stats["entropy"]

    def _critic_outputs(
        self, observations: list[torch.Tensor], memories: torch.Tensor | None, length: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """[B, S] outputs of the value heads, in units of PopArt, and the critic's memories."""
        outputs, memories = self._critic.critic_pass(observations, memories, sequence_length=length)
        return torch.stack([outputs[name] for name in self.streams], dim=1), memories

    def _critic_values(self, *arguments: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """[B, S] values, and the critic's memories."""
        outputs, memories = self._critic_outputs(*arguments)
        return self.popart.denormalize(outputs), memories

    def rollout_values(self, rollout: RolloutBuffer) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Values of a rollout's states, and of the state after each segment.

        Args:
            rollout: N steps in K segments; with memory its CRITIC_MEMORY is filled in.

        Returns:
            [N] and [K] values by reward stream; terminal states have a value too, which their discount of 0 hides.
        """
        if self.policy.use_recurrent:
            found = recurrent_values(self._critic_values, rollout, self.critic_memory_dict, self._critic.memory_size)
            rollout[BufferKey.CRITIC_MEMORY] = found.memories
        else:
            found = feedforward_values(self._critic_values, rollout, self.hyperparameters.batch_size)
        return self._by_stream(found.values), self._by_stream(found.last_values)

    def _by_stream(self, values: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(self.streams, values.T, strict=True))

    @torch.no_grad()
    def importance_ratio(self, rollout: RolloutBuffer) -> np.ndarray:
        """How much more likely the policy as it is takes each action than the one that took it.

        ρ = π(a | s) / μ(a | s),   the product over all branches and numbers of an action

        Args:
            rollout: N steps.

        Returns:
            [N] ratios.
        """
        steps = Steps.from_batch(rollout.sequences(), self.policy)
        log_probs, _ = self._evaluate(steps)
        ratio = (log_probs - steps.log_probs).sum(dim=1).exp()
        return ModelUtils.to_numpy(ratio[steps.mask.bool()])

    def on_loaded(self, whole: Collection[str]) -> None:
        """Values stay what they were where `normalize_returns` is not as it was, or the reward streams are not.

        Switched off, its units are folded into the value heads; switched on, statistics begin with the next rollout and
        keep the values. Either way the loss, and so every gradient, is in other units from then on: moments begin anew.
        """
        if self.popart.was_of_0_1:  # which had heads in the order of the streams
            moments = [self.descent.optimizer.state.pop(parameter, {}) for parameter in self.parameters]
            of_0_1 = zip(self._trained(by_head=False), moments, strict=True)
            self.descent.optimizer.state.update({parameter: found for parameter, found in of_0_1 if found})
        normalizes = self.hyperparameters.normalize_returns
        in_other_units = not self.popart.rollouts.all() if normalizes else self.popart.fold()
        if (in_other_units or POPART not in whole) and self.descent.optimizer.state:
            self.descent.optimizer.state.clear()
            logger.warning(
                "The checkpoint's gradients were in other units (another normalize_returns, reward_signals or "
                "trainer_type): values stay what they were, and the moments of the optimizer begin anew."
            )

    def get_modules(self) -> dict[str, Any]:
        """What a checkpoint holds besides the policy, which has the critic where it is shared.

        Listed a second time, a critic of its own in the checkpoint would be loaded over the policy's body.
        """
        critic = {} if self._critic is self.policy.actor else {"Optimizer:critic": self._critic}
        return {**super().get_modules(), **critic, POPART: self.popart}


def _head_of(named: tuple[str, nn.Parameter]) -> str:
    """Path of the value head that a parameter belongs to; empty for all that comes before the heads."""
    path = named[0].rpartition(".")[0]
    return path if "value_heads" in path else ""


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
