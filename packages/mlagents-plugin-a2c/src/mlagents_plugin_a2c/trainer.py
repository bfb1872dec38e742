"""The trainer of A2C: wiring of settings, policy and optimizer."""

from functools import partial

from mlagents.trainers.behavior_id_utils import BehaviorIdentifiers
from mlagents.trainers.policy.torch_policy import TorchPolicy
from mlagents_envs.base_env import BehaviorSpec

from mlagents_plugin_a2c.optimizer import A2COptimizer
from mlagents_plugin_a2c.settings import A2CSettings, Activation
from mlagents_plugin_shared.acting.actor_policy import actor_policy
from mlagents_plugin_shared.acting.state_dependent_noise import StateDependentPolicy
from mlagents_plugin_shared.learning.activation import use_tanh
from mlagents_plugin_shared.learning.initialization import initialize_actor
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
        settings = self.hyperparameters
        create = partial(
            actor_policy,
            seed=self.seed,
            behavior_spec=behavior_spec,
            trainer_settings=self.trainer_settings,
            shared_critic=settings.shared_critic,
            conditional_sigma=settings.conditional_sigma,
            tanh_squash=settings.tanh_squash,
        )
        if settings.use_sde and behavior_spec.action_spec.continuous_size:
            policy: TorchPolicy = create(
                StateDependentPolicy, sample_freq=settings.sde_sample_freq, log_std_init=settings.log_std_init
            )
            self.give_stream(policy, parsed_behavior_id)
        else:
            policy = create(TorchPolicy)
        if settings.activation is Activation.TANH:
            use_tanh(policy.actor.network_body)
        if settings.orthogonal_init:
            initialize_actor(policy.actor)
        return policy

    def create_optimizer(self) -> A2COptimizer:
        """Creates the learner of this trainer's policy."""
        return A2COptimizer(self.policy, self.trainer_settings)
