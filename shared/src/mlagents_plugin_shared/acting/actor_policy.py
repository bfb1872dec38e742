"""Policies with the networks of ML-Agents' PPO."""

from typing import Any, TypeVar

from mlagents.trainers.policy.torch_policy import TorchPolicy
from mlagents.trainers.settings import TrainerSettings
from mlagents.trainers.torch_entities.networks import SharedActorCritic, SimpleActor
from mlagents_envs.base_env import BehaviorSpec

from mlagents_plugin_shared.acting.squashed_gaussian import squash

AnyPolicy = TypeVar("AnyPolicy", bound=TorchPolicy)
"""The class of policy that is asked for."""


def actor_policy(
    policy_class: type[AnyPolicy],
    seed: int,
    behavior_spec: BehaviorSpec,
    trainer_settings: TrainerSettings,
    *,
    shared_critic: bool,
    conditional_sigma: bool = False,
    tanh_squash: bool = False,
    **policy_arguments: Any,
) -> AnyPolicy:
    """A policy for continuous, discrete and hybrid actions.

    Args:
        policy_class: `TorchPolicy`, or one that explores in another way.
        seed: of the run.
        behavior_spec: observations and actions of the behaviour.
        trainer_settings: settings of the behaviour, for the network and the reward streams.
        shared_critic: the actor's body has value heads too.
        conditional_sigma: the deviation of continuous actions depends on the state.
        tanh_squash: continuous actions are squashed by tanh instead of clipped.
        **policy_arguments: of `policy_class` beside those of `TorchPolicy`.
    """
    actor_arguments: dict[str, Any] = {"conditional_sigma": conditional_sigma, "tanh_squash": tanh_squash}
    if shared_critic:
        actor_arguments["stream_names"] = [signal.value for signal in trainer_settings.reward_signals]
    policy = policy_class(
        seed,
        behavior_spec,
        trainer_settings.network_settings,
        SharedActorCritic if shared_critic else SimpleActor,
        actor_arguments,
        **policy_arguments,
    )
    if tanh_squash:
        squash(policy.actor, conditional_sigma=conditional_sigma)
    return policy
