"""The trainer of A2C: wiring of settings, policy and optimizer."""

from typing import Any

from mlagents.torch_utils import torch
from mlagents.trainers.behavior_id_utils import BehaviorIdentifiers
from mlagents.trainers.policy.torch_policy import TorchPolicy
from mlagents.trainers.torch_entities.networks import SharedActorCritic, SimpleActor
from mlagents_envs.base_env import BehaviorSpec

from mlagents_plugin_a2c.activation import use_tanh
from mlagents_plugin_a2c.exploration import StateDependentPolicy
from mlagents_plugin_a2c.initialization import initialize_actor
from mlagents_plugin_a2c.optimizer import A2COptimizer
from mlagents_plugin_a2c.settings import A2CSettings, Activation, OffPolicyCorrection
from mlagents_plugin_a2c.squashing import squash
from mlagents_plugin_shared.data import RolloutBuffer, StreamSteps
from mlagents_plugin_shared.maths.targets import vtrace
from mlagents_plugin_shared.run import RolloutTrainer

TRAINER_NAME = "a2c"


class A2CTrainer(RolloutTrainer):
    """Trains a behaviour with continuous, discrete or hybrid actions by A2C."""

    hyperparameters: A2CSettings

    @staticmethod
    def get_trainer_name() -> str:
        """Name for `trainer_type:` in the YAML."""
        return TRAINER_NAME

    def create_policy(self, parsed_behavior_id: BehaviorIdentifiers, behavior_spec: BehaviorSpec) -> TorchPolicy:
        """Creates a policy for a behaviour, with the network of ML-Agents' PPO."""
        hyperparameters = self.hyperparameters
        actor_kwargs: dict[str, Any] = {
            "conditional_sigma": hyperparameters.conditional_sigma,
            "tanh_squash": hyperparameters.tanh_squash,
        }
        if hyperparameters.shared_critic:
            actor_kwargs["stream_names"] = [signal.value for signal in self.trainer_settings.reward_signals]
        arguments = (
            self.seed,
            behavior_spec,
            self.trainer_settings.network_settings,
            SharedActorCritic if hyperparameters.shared_critic else SimpleActor,
            actor_kwargs,
        )
        if hyperparameters.use_sde and behavior_spec.action_spec.continuous_size:
            policy: TorchPolicy = StateDependentPolicy(
                *arguments, sample_freq=hyperparameters.sde_sample_freq, log_std_init=hyperparameters.log_std_init
            )
            self.give_stream(policy, parsed_behavior_id)
        else:
            policy = TorchPolicy(*arguments)
        if hyperparameters.activation is Activation.TANH:
            use_tanh(policy.actor.network_body)
        if hyperparameters.tanh_squash:
            squash(policy.actor, conditional_sigma=hyperparameters.conditional_sigma)
        if hyperparameters.orthogonal_init:
            initialize_actor(policy.actor)
        return policy

    def create_optimizer(self) -> A2COptimizer:
        """Creates the learner of this trainer's policy."""
        return A2COptimizer(self.policy, self.trainer_settings)

    def targets(self, rollout: RolloutBuffer, steps: StreamSteps) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns and advantages of a reward stream; by V-trace if steps of an older policy are corrected for."""
        if self.hyperparameters.off_policy_correction == OffPolicyCorrection.NONE:
            return super().targets(rollout, steps)
        ratio = rollout.pad_time_major(self.optimizer.importance_ratio(rollout))
        return vtrace(*steps, torch.from_numpy(ratio), lambda_=self.hyperparameters.lambd)
