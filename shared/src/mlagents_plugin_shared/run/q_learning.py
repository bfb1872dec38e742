"""What trainers of Q networks repeat: the policy that `ExplorationSettings` describe, and networks as its own."""

from collections.abc import Callable
from typing import Any

from mlagents.trainers.behavior_id_utils import BehaviorIdentifiers
from mlagents_envs.base_env import BehaviorSpec

from mlagents_plugin_shared.acting.q_policy import QPolicy, require_discrete_actions
from mlagents_plugin_shared.learning.q_network import QNetwork
from mlagents_plugin_shared.learning.return_heads import ReturnHead
from mlagents_plugin_shared.run.exploration_settings import ExplorationSettings
from mlagents_plugin_shared.run.plugin_trainer import PluginTrainer


def q_policy(
    trainer: PluginTrainer,
    parsed_behavior_id: BehaviorIdentifiers,
    behavior_spec: BehaviorSpec,
    create_head: Callable[..., ReturnHead],
    **options: Any,
) -> QPolicy:
    """A policy for discrete actions, with a stream of chance of its own: what `create_policy` of a Q-learner gives.

    It explores as the settings say, and not at all in inference or where the YAML says `deterministic`.

    Args:
        trainer: whose hyperparameters are `ExplorationSettings`.
        parsed_behavior_id: behaviour and team that it is for.
        behavior_spec: observations and actions of the behaviour.
        create_head: makes the head of the network, see `QNetwork`.
        **options: more arguments of `QNetwork`, such as `layer_norm`.

    Raises:
        TrainerConfigError: the behaviour has continuous actions, no discrete ones, or a branch of one action.
    """
    require_discrete_actions(behavior_spec.action_spec, trainer.brain_name, trainer.get_trainer_name())
    settings: ExplorationSettings = trainer.trainer_settings.hyperparameters
    network_settings = trainer.trainer_settings.network_settings
    policy = QPolicy(
        explores=trainer.is_training and not network_settings.deterministic,
        epsilon=settings.epsilon(trainer.trainer_settings.max_steps),
        repeat=settings.exploration_repeat,
        seed=trainer.seed,
        behavior_spec=behavior_spec,
        network_settings=network_settings,
        actor_cls=QNetwork,
        actor_kwargs=_arguments(trainer, create_head, options),
    )
    trainer.give_stream(policy, parsed_behavior_id)
    return policy


def q_network(
    trainer: PluginTrainer, behavior_spec: BehaviorSpec, create_head: Callable[..., ReturnHead], **options: Any
) -> QNetwork:
    """A network as that of `q_policy`, with weights of its own, such as a target network.

    Args:
        trainer: whose hyperparameters are `ExplorationSettings`.
        behavior_spec: observations and actions of the behaviour.
        create_head: makes the head.
        **options: more arguments of `QNetwork`.
    """
    network_settings = trainer.trainer_settings.network_settings
    arguments = _arguments(trainer, create_head, options)
    return QNetwork(behavior_spec.observation_specs, network_settings, behavior_spec.action_spec, **arguments)


def _arguments(
    trainer: PluginTrainer, create_head: Callable[..., ReturnHead], options: dict[str, Any]
) -> dict[str, Any]:
    """What a `QNetwork` is made with, beside sensors, settings and actions."""
    return {
        "num_streams": len(trainer.trainer_settings.reward_signals),
        "create_head": create_head,
        "export_epsilon": trainer.trainer_settings.hyperparameters.model_epsilon,
        **options,
    }
