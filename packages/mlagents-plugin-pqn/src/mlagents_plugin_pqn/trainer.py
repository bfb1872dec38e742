"""The trainer of PQN: wiring of settings, policy and optimizer."""

from functools import partial

from mlagents.trainers.behavior_id_utils import BehaviorIdentifiers
from mlagents_envs.base_env import BehaviorSpec

from mlagents_plugin_pqn.optimizer import PQNOptimizer
from mlagents_plugin_pqn.settings import PQNSettings
from mlagents_plugin_shared.acting.q_policy import QPolicy, require_discrete_actions
from mlagents_plugin_shared.learning.initialization import initialize_memory
from mlagents_plugin_shared.learning.q_network import QNetwork
from mlagents_plugin_shared.learning.return_heads import MeanReturn
from mlagents_plugin_shared.run import RolloutTrainer

TRAINER_NAME = "pqn"


class PQNTrainer(RolloutTrainer):
    """Trains a behaviour with discrete actions by PQN."""

    hyperparameters: PQNSettings

    @staticmethod
    def get_trainer_name() -> str:
        """Name for `trainer_type:` in the YAML."""
        return TRAINER_NAME

    def create_policy(self, parsed_behavior_id: BehaviorIdentifiers, behavior_spec: BehaviorSpec) -> QPolicy:
        """Creates a policy for a behaviour.

        Raises:
            TrainerConfigError: the behaviour has continuous actions.
        """
        require_discrete_actions(behavior_spec.action_spec, self.brain_name, TRAINER_NAME)
        policy = QPolicy(
            explores=self.is_training and not self.trainer_settings.network_settings.deterministic,
            epsilon=self.hyperparameters.epsilon(self.trainer_settings.max_steps),
            repeat=self.hyperparameters.exploration_repeat,
            seed=self.seed,
            behavior_spec=behavior_spec,
            network_settings=self.trainer_settings.network_settings,
            actor_cls=QNetwork,
            actor_kwargs={
                "num_streams": len(self.trainer_settings.reward_signals),
                "create_head": partial(MeanReturn, noisy=self.hyperparameters.noisy),
                "layer_norm": self.hyperparameters.layer_norm,
                "export_epsilon": self.hyperparameters.model_epsilon,
            },
        )
        if self.hyperparameters.chrono_init and policy.use_recurrent:
            initialize_memory(policy.actor.network_body, policy.sequence_length)
        self.give_stream(policy, parsed_behavior_id)
        return policy

    def create_optimizer(self) -> PQNOptimizer:
        """Creates the learner of this trainer's policy."""
        return PQNOptimizer(self.policy, self.trainer_settings)
