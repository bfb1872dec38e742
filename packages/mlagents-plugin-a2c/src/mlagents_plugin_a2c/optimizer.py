"""The learner of A2C: one synchronous policy-gradient step a rollout."""

from functools import partial

from mlagents.torch_utils import torch
from mlagents.trainers.buffer import AgentBuffer
from mlagents.trainers.policy.torch_policy import TorchPolicy
from mlagents.trainers.settings import TrainerSettings
from mlagents_envs.timers import timed

from mlagents_plugin_a2c.settings import A2CSettings, Activation, OffPolicyCorrection, OptimizerType, ValueLoss
from mlagents_plugin_shared.data import RolloutBuffer, StreamSteps
from mlagents_plugin_shared.learning.actor_critic import ActorCriticOptimizer
from mlagents_plugin_shared.learning.optimizer import Statistics, adam
from mlagents_plugin_shared.learning.rmsprop import RMSpropTF
from mlagents_plugin_shared.learning.rollout_batch import Rollout
from mlagents_plugin_shared.learning.statistics import Terms, sum_terms
from mlagents_plugin_shared.maths.losses import (
    entropy_loss,
    masked_mean,
    mean_over_streams,
    policy_gradient_loss,
    value_loss,
)
from mlagents_plugin_shared.maths.targets import vtrace

# Ratio of probabilities beyond which a step counts as one of an older policy; below are rounding errors.
STALE = 1e-3


class A2COptimizer(ActorCriticOptimizer):
    """Advantage actor-critic, after Mnih et al. (2016), https://arxiv.org/abs/1602.01783, in its synchronous form.

    Args:
        policy: policy that acts and learns.
        trainer_settings: settings of the behaviour.
    """

    hyperparameters: A2CSettings

    def __init__(self, policy: TorchPolicy, trainer_settings: TrainerSettings) -> None:
        settings: A2CSettings = trainer_settings.hyperparameters
        super().__init__(
            policy,
            trainer_settings,
            tanh=settings.activation is Activation.TANH,
            orthogonal_init=settings.orthogonal_init,
            normalize_returns=settings.normalize_returns,
        )
        self.descent = self.add_descent(self._create_torch_optimizer(), max_grad_norm=settings.max_grad_norm)
        self.beta = self.schedule(settings.beta_schedule, settings.beta, min(settings.beta, 1e-5))
        delta = 1.0 if settings.value_loss is ValueLoss.HUBER else None
        self.value_loss = mean_over_streams(partial(value_loss, delta=delta))

    def _create_torch_optimizer(self) -> torch.optim.Optimizer:
        learning_rate = self.hyperparameters.learning_rate
        match self.hyperparameters.optimizer:
            case OptimizerType.ADAM:
                return adam(self.parameters, learning_rate)
            case OptimizerType.RMSPROP_TF:
                return RMSpropTF(self.parameters, lr=learning_rate)
            case _:
                return torch.optim.RMSprop(self.parameters, lr=learning_rate, alpha=0.99, eps=1e-5, foreach=True)

    @timed
    def update(self, batch: AgentBuffer, num_sequences: int) -> Statistics:
        """One gradient step on a whole rollout.

        Args:
            batch: the rollout with its advantages, and the returns and values of every stream; with memory,
                `num_sequences` padded sequences.
            num_sequences: number of sequences.

        Returns:
            Statistics by TensorBoard tag.
        """
        rollout = Rollout.from_batch(batch, self.policy, self.streams)

        # 1. returns and advantages of comparable size, whatever the scale of the rewards
        if self.normalizes_returns:
            rollout = self.normalize_returns(rollout)
        if self.hyperparameters.normalize_advantage:
            rollout = rollout.normalize_advantage()

        # 2. one step down the gradient of the loss, summed over parts of the rollout
        terms: list[Terms] = []
        grad_norm = self.descent.step(self.loss(part, terms) for part in rollout.parts(self.hyperparameters.batch_size))
        return self.statistics(terms, grad_norm)

    def loss(self, rollout: Rollout, terms: list[Terms]) -> torch.Tensor:
        """[] L = L_policy + c_v L_value + β L_entropy.

        Args:
            rollout: the rollout, or a part of it whose losses are shares of the whole.
            terms: takes in what `statistics` reports.
        """
        log_probs, entropy = self.evaluate(rollout.steps)
        values = self.critic_values(rollout)
        over = {"mask": rollout.mask, "total": rollout.total}

        policy_loss = policy_gradient_loss(log_probs, rollout.advantage, **over)
        critic_loss = self.value_loss(values, rollout.returns, **over)
        bonus = entropy_loss(entropy, **over)

        terms.append({"policy": policy_loss, "value": critic_loss, **staleness(rollout, log_probs.detach())})
        return policy_loss + self.hyperparameters.value_coefficient * critic_loss + self.current_beta * bonus

    @property
    def current_beta(self) -> float:
        """Weight of the entropy bonus at the policy's step."""
        return self.beta(self.policy.get_current_step())

    def targets(self, rollout: RolloutBuffer, steps: StreamSteps) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns and advantages of a reward stream; by V-trace if steps of an older policy are corrected for."""
        if self.hyperparameters.off_policy_correction is OffPolicyCorrection.NONE:
            return super().targets(rollout, steps)
        ratio = rollout.pad_time_major(self.importance_ratio(rollout))
        return vtrace(*steps, torch.from_numpy(ratio), lambda_=self.hyperparameters.lambd)

    def statistics(self, terms: list[Terms], grad_norm: float) -> Statistics:
        """What an update reports, by TensorBoard tag."""
        sums = sum_terms(terms)
        return {
            "Losses/Policy Loss": abs(sums["policy"]),  # the size, as ML-Agents' PPO reports it
            "Losses/Value Loss": sums["value"],
            "Policy/Gradient Norm": grad_norm,
            "Policy/Staleness": sums["staleness"],
            "Policy/Stale Steps": sums["stale_steps"],
            "Policy/Beta": self.current_beta,
            "Policy/Learning Rate": self.learning_rate(self.policy.get_current_step()),
        }


def staleness(rollout: Rollout, log_probs: torch.Tensor) -> Terms:
    """How much of a rollout an older policy did: change of the log-probabilities, and share of steps that have one.

    Args:
        rollout: the rollout, or a part of it.
        log_probs: [B, C + D] log-probabilities of its actions under the policy as it is.
    """
    change = rollout.steps.log_ratio(log_probs).abs()
    mean = partial(masked_mean, mask=rollout.mask, total=rollout.total)
    return {"staleness": mean(change), "stale_steps": mean((change > STALE).float())}
