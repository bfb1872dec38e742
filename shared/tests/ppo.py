"""A PPO on the shared bases, as an author would write it: settings, optimizer and trainer."""

import attr
from mlagents.trainers.ppo.optimizer_torch import PPOSettings

from mlagents_plugin_shared.learning.actor_critic import ActorCriticOptimizer
from mlagents_plugin_shared.learning.optimizer import adam
from mlagents_plugin_shared.learning.rollout_batch import Rollout
from mlagents_plugin_shared.learning.statistics import mean_terms
from mlagents_plugin_shared.maths.losses import (
    clipped_surrogate_loss,
    clipped_value_loss,
    entropy_loss,
    mean_over_streams,
)
from mlagents_plugin_shared.run import RolloutTrainer
from mlagents_plugin_shared.run.settings import CheckedSettings

value_loss = mean_over_streams(clipped_value_loss)


@attr.s(auto_attribs=True)
class TinyPPOSettings(CheckedSettings, PPOSettings):
    """Hyperparameters of ML-Agents' PPO."""


class TinyPPO(ActorCriticOptimizer):
    """Proximal policy optimisation, after Schulman et al. (2017), https://arxiv.org/abs/1707.06347."""

    def __init__(self, policy, trainer_settings) -> None:
        super().__init__(policy, trainer_settings)
        settings = self.hyperparameters
        self.descent = self.add_descent(adam(self.parameters, settings.learning_rate))
        self.epsilon = self.schedule(settings.epsilon_schedule, settings.epsilon, 0.1)
        self.beta = self.schedule(settings.beta_schedule, settings.beta, 1e-5)

    def update(self, batch, num_sequences: int) -> dict[str, float]:
        """Several epochs of minibatches of one rollout."""
        step, terms, shuffler = self.policy.get_current_step(), [], self.shuffler()
        rollout = Rollout.from_batch(batch, self.policy, self.streams).normalize_advantage()
        for _ in range(self.hyperparameters.num_epoch):
            for part in rollout.minibatches(self.hyperparameters.batch_size, shuffler):
                log_probs, entropy = self.evaluate(part.steps)
                values, epsilon = self.critic_values(part), self.epsilon(step)
                policy = clipped_surrogate_loss(
                    log_probs, part.steps.log_probs, part.advantage, part.mask, epsilon=epsilon
                )
                value = value_loss(values, part.values, part.returns, mask=part.mask, epsilon=epsilon)
                self.descent.step(policy + 0.5 * value + self.beta(step) * entropy_loss(entropy, part.mask))
                terms.append({"Losses/Policy Loss": policy, "Losses/Value Loss": value})
        return mean_terms(terms)


class TinyPPOTrainer(RolloutTrainer):
    """Trains by it."""

    @staticmethod
    def get_trainer_name() -> str:
        """Its `trainer_type`."""
        return "tiny_ppo"

    def create_optimizer(self) -> TinyPPO:
        """The learner of this trainer's policy."""
        return TinyPPO(self.policy, self.trainer_settings)
