"""The trainer of PQN: wiring of settings, policy and optimizer."""

from functools import partial

from mlagents.trainers.behavior_id_utils import BehaviorIdentifiers
from mlagents_envs.base_env import BehaviorSpec

from mlagents_plugin_pqn.optimizer import PQNOptimizer
from mlagents_plugin_pqn.settings import PQNSettings
from mlagents_plugin_shared.acting.q_policy import QPolicy
from mlagents_plugin_shared.learning.initialization import initialize_memory
from mlagents_plugin_shared.learning.return_heads import MeanReturn
from mlagents_plugin_shared.run import RolloutTrainer
from mlagents_plugin_shared.run.q_learning import q_policy

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
        head = partial(MeanReturn, noisy=self.hyperparameters.noisy)
        layer_norm = self.hyperparameters.layer_norm
        policy = q_policy(self, parsed_behavior_id, behavior_spec, head, layer_norm=layer_norm)
        if self.hyperparameters.chrono_init and policy.use_recurrent:
            initialize_memory(policy.actor.network_body, policy.sequence_length)
        return policy

    def create_optimizer(self) -> PQNOptimizer:
        """Creates the learner of this trainer's policy."""
        return PQNOptimizer(self.policy, self.trainer_settings)
