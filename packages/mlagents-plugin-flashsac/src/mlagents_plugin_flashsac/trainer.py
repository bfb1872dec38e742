"""The trainer of FlashSAC: wiring of settings, policy and optimizer."""

from collections.abc import Callable
from functools import partial

import numpy as np
from mlagents.torch_utils import default_device, torch
from mlagents.trainers.behavior_id_utils import BehaviorIdentifiers
from mlagents_envs.base_env import BehaviorSpec

from mlagents_plugin_flashsac.optimizer import FlashSACOptimizer
from mlagents_plugin_flashsac.settings import Distribution, FlashSACSettings
from mlagents_plugin_shared.acting.noise_policy import NoisePolicy
from mlagents_plugin_shared.acting.soft_actor import SoftActor
from mlagents_plugin_shared.data.trajectories import Segment
from mlagents_plugin_shared.learning.return_heads import CategoricalReturn, MeanReturn, ReturnHead
from mlagents_plugin_shared.learning.trunk import TrunkStyle
from mlagents_plugin_shared.learning.twin_critic import ObservationBody, TwinCritic
from mlagents_plugin_shared.run import ReplayTrainer

TRAINER_NAME = "flashsac"


class FlashSACTrainer(ReplayTrainer):
    """Trains a behaviour with continuous, discrete or hybrid actions by FlashSAC."""

    hyperparameters: FlashSACSettings
    optimizer: FlashSACOptimizer

    @staticmethod
    def get_trainer_name() -> str:
        """Name for `trainer_type:` in the YAML."""
        return TRAINER_NAME

    def create_policy(self, parsed_behavior_id: BehaviorIdentifiers, behavior_spec: BehaviorSpec) -> NoisePolicy:
        """Creates a policy for a behaviour."""
        network_settings = self.trainer_settings.network_settings
        policy = NoisePolicy(
            explores=self.is_training and not network_settings.deterministic,
            repeat=self.hyperparameters.noise_repeat,
            seed=self.seed,
            behavior_spec=behavior_spec,
            network_settings=network_settings,
            actor_cls=SoftActor,
            actor_kwargs={"style": self._style()},
        )
        self.give_stream(policy, parsed_behavior_id)
        return policy

    def create_optimizer(self) -> FlashSACOptimizer:
        """Creates the learner of this trainer's policy."""
        settings, network_settings = self.hyperparameters, self.trainer_settings.network_settings
        actor = self.policy.actor
        shares = settings.shared_encoder or network_settings.memory is not None
        specs = self.policy.behavior_spec.observation_specs
        critic = TwinCritic(
            actor.network_body if shares else ObservationBody(specs, network_settings),
            actor.action_spec.continuous_size,
            actor.branches,
            len(self.trainer_settings.reward_signals),
            hidden_size=max(1, round(settings.critic_width * network_settings.hidden_units)),
            num_layers=network_settings.num_layers,
            style=self._style(),
            create_head=self._head(),
        )
        return FlashSACOptimizer(self.policy, self.trainer_settings, critic.to(default_device()))

    def _style(self) -> TrunkStyle:
        return TrunkStyle(self.hyperparameters.residual, self.hyperparameters.normalization)

    def _head(self) -> Callable[..., ReturnHead]:
        """What makes the kind of head that the settings ask for."""
        settings = self.hyperparameters
        if settings.distribution is Distribution.NONE:
            return partial(MeanReturn, penalty=torch.square)
        return partial(CategoricalReturn, num_atoms=settings.num_atoms, v_min=settings.v_min, v_max=settings.v_max)

    def store(self, segment: Segment, rewards: dict[str, np.ndarray]) -> None:
        """Takes a segment into the replay, and its rewards into their scale."""
        self.optimizer.reward_scale.add(
            segment.agent_id, rewards, terminated=segment.terminated, interrupted=segment.interrupted
        )
        super().store(segment, rewards)

    def add_demonstration(self, segment: Segment) -> None:
        """The same of a demonstrated episode."""
        self.optimizer.reward_scale.add_demonstration(self.evaluate_rewards(segment.batch()))
        super().add_demonstration(segment)

    def forget_episode(self, agent_id: str) -> None:
        """Drops what is known of an agent's episode, which was cut."""
        super().forget_episode(agent_id)
        self.optimizer.reward_scale.forget(agent_id)

    def forget_episodes(self) -> None:
        """The same of all agents, because the environment is reset."""
        super().forget_episodes()
        self.optimizer.reward_scale.clear()
