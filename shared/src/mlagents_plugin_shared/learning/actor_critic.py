"""What every actor-critic repeats: its critic, the values of a rollout, and the policy's probabilities."""

from collections.abc import Collection
from typing import Any

import numpy as np
from mlagents.torch_utils import default_device, torch
from mlagents.trainers.buffer import BufferKey
from mlagents.trainers.policy.torch_policy import TorchPolicy
from mlagents.trainers.settings import TrainerSettings
from mlagents.trainers.torch_entities.networks import Critic, NetworkBody, ValueNetwork
from mlagents.trainers.torch_entities.utils import ModelUtils
from mlagents_envs.logging_util import get_logger
from torch import nn

from mlagents_plugin_shared.data import RolloutBuffer, StreamSteps
from mlagents_plugin_shared.learning.activation import use_tanh
from mlagents_plugin_shared.learning.initialization import initialize_critic
from mlagents_plugin_shared.learning.popart import PopArt
from mlagents_plugin_shared.learning.rollout_batch import Rollout, Steps
from mlagents_plugin_shared.learning.rollout_optimizer import RolloutOptimizer
from mlagents_plugin_shared.learning.values import feedforward_values, recurrent_values
from mlagents_plugin_shared.maths.targets import gae

logger = get_logger(__name__)

POPART = "Optimizer:popart"
"""Name of PopArt's statistics in a checkpoint."""


class ActorCriticOptimizer(RolloutOptimizer):
    """Base of the optimizer of an actor-critic, for a `RolloutTrainer`.

    A subclass calls `add_descent` for the `parameters` and writes `update`, on these:

    | call | gives | gradient |
    |---|---|---|
    | `Rollout.from_batch(batch, policy, streams)` | the rollout as tensors | no |
    | `normalize_returns(rollout)` | returns, values and advantages in units of PopArt | no |
    | `evaluate(steps)` | [B, C + D] log-probabilities of the actions, [B] entropies | actor |
    | `critic_values(rollout)` | [B, S] values, in PopArt's units where these are in use | critic |
    | `shuffler()` | a generator for `rollout.minibatches` | |

    The critic is the actor itself where that has value heads, as ML-Agents' `SharedActorCritic`; else one of its own.
    Of the settings it reads `lambd`, and those of `PluginOptimizer`.

    Attributes:
        parameters: all that is trained. Value heads are sorted by name, so that the moments in a checkpoint find theirs
            where reward streams have changed places.
        normalizes_returns: whether values are in units of `popart` instead of in those of the rewards.
        popart: statistics of the returns; none, and so without effect, where returns are not normalised.

    Args:
        policy: policy that acts and learns.
        trainer_settings: settings of the behaviour.
        tanh: the hidden layers of a critic of its own put out tanh instead of ML-Agents' swish.
        orthogonal_init: its weights are orthogonal.
        normalize_returns: `update` calls the method of this name.
        value_batch_size: states of a rollout that are valued at a time; default `batch_size` of the settings.
    """

    def __init__(
        self,
        policy: TorchPolicy,
        trainer_settings: TrainerSettings,
        *,
        tanh: bool = False,
        orthogonal_init: bool = False,
        normalize_returns: bool = False,
        value_batch_size: int | None = None,
    ) -> None:
        super().__init__(policy, trainer_settings, value_batch_size=value_batch_size)
        is_shared = isinstance(policy.actor, Critic)
        self._critic = policy.actor if is_shared else self._create_critic(tanh, orthogonal_init)
        self.parameters = self._trained(by_head=True)
        self.normalizes_returns = normalize_returns
        self.popart = PopArt(self._critic.value_heads.value_heads).to(default_device())

    def _create_critic(self, tanh: bool, orthogonal_init: bool) -> ValueNetwork:
        specs = self.policy.behavior_spec.observation_specs
        critic = ValueNetwork(self.streams, specs, self.trainer_settings.network_settings)
        if tanh:
            use_tanh(critic.network_body)
        if orthogonal_init:
            initialize_critic(critic)
        return critic.to(default_device())

    def _trained(self, *, by_head: bool) -> list[nn.Parameter]:
        """All parameters that are trained, value heads by their names or in the order of the streams."""
        modules = [self.policy.actor] if self._critic is self.policy.actor else [self.policy.actor, self._critic]
        named = [list(module.named_parameters()) for module in modules]
        parts = [sorted(part, key=_head_of) for part in named] if by_head else named
        return [parameter for part in parts for _, parameter in part if parameter.requires_grad]

    @property
    def critic(self) -> Any:
        """The network with `critic_pass`: the actor itself where it is shared."""
        return self._critic

    @property
    def network_bodies(self) -> list[NetworkBody]:
        """Bodies of actor and critic; one where they share it."""
        bodies = [self.policy.actor.network_body, self._critic.network_body]
        return bodies[:1] if bodies[0] is bodies[1] else bodies

    # Learning from a rollout

    def evaluate(self, steps: Steps) -> tuple[torch.Tensor, torch.Tensor]:
        """[B, C + D] log-probabilities of the actions under the policy as it is, and its [B] entropy."""
        stats = self.policy.actor.get_stats(
            steps.observations,
            steps.agent_action(self.policy.behavior_spec.action_spec.continuous_size),
            masks=steps.action_masks,
            memories=steps.memories,
            sequence_length=steps.sequence_length,
        )
        return stats["log_probs"].flatten(), stats["entropy"]

    def critic_values(self, rollout: Rollout) -> torch.Tensor:
        """[B, S] values of the states acted in, in the units of `popart`."""
        steps = rollout.steps
        return self._critic_outputs(steps.observations, rollout.critic_memories, steps.sequence_length)[0]

    def normalize_returns(self, rollout: Rollout) -> Rollout:
        """Takes a rollout's returns into the statistics of `popart`, and puts it in their units.

        Where several streams share the advantages, these are divided by the mean of the deviations, so that the
        strengths of the streams keep their proportion.

        Args:
            rollout: returns, values and advantages in units of the rewards.
        """
        self.popart.update(rollout.returns, rollout.mask)
        return rollout._replace(
            returns=self.popart.normalize(rollout.returns),
            values=self.popart.normalize(rollout.values),
            advantage=rollout.advantage / self.popart.sigma.mean(),
        )

    # What a trainer asks for before an update

    def rollout_values(self, rollout: RolloutBuffer) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Values of a rollout's states, and of the state after each segment.

        Args:
            rollout: N steps in K segments; with memory its CRITIC_MEMORY is filled in.

        Returns:
            [N] and [K] values by reward stream; terminal states have a value too, which their discount of 0 hides.
        """
        if self.policy.use_recurrent:
            found = recurrent_values(
                self._values_and_memories, rollout, self.critic_memory_dict, self._critic.memory_size
            )
            rollout[BufferKey.CRITIC_MEMORY] = found.memories
        else:
            found = feedforward_values(self._values_and_memories, rollout, self.value_batch_size)
        return self.by_stream(found.values), self.by_stream(found.last_values)

    def targets(self, rollout: RolloutBuffer, steps: StreamSteps) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns and advantages of one reward stream, of all segments side by side: λ-returns and GAE.

        Args:
            rollout: the K segments.
            steps: [T, K] rewards, discounts and values.

        Returns:
            [T, K] returns and [T, K] advantages.
        """
        advantage = gae(*steps, lambda_=self.hyperparameters.lambd)
        return advantage + steps.v_tm1, advantage

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
        log_probs, _ = self.evaluate(steps)
        ratio = steps.log_ratio(log_probs).exp()
        return ModelUtils.to_numpy(ratio[steps.mask.bool()])

    def _critic_outputs(
        self, observations: list[torch.Tensor], memories: torch.Tensor | None, length: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """[B, S] outputs of the value heads, in units of PopArt, and the critic's memories."""
        outputs, memories = self._critic.critic_pass(observations, memories, sequence_length=length)
        return torch.stack([outputs[name] for name in self.streams], dim=1), memories

    def _values_and_memories(self, *arguments: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """[B, S] values in units of the rewards, and the critic's memories."""
        outputs, memories = self._critic_outputs(*arguments)
        return self.popart.denormalize(outputs) if self.normalizes_returns else outputs, memories

    # Checkpoints

    def get_modules(self) -> dict[str, Any]:
        """What a checkpoint holds besides the policy, which has the critic where it is shared.

        Listed a second time, a critic of its own in the checkpoint would be loaded over the policy's body.
        """
        critic = {} if self._critic is self.policy.actor else {"Optimizer:critic": self._critic}
        return {**super().get_modules(), **critic, POPART: self.popart}

    def on_loaded(self, whole: Collection[str]) -> None:
        """Values stay what they were where `normalizes_returns` is not as it was, or the reward streams are not.

        Switched off, its units are folded into the value heads; switched on, statistics begin with the next rollout and
        keep the values. Either way the loss, and so every gradient, is in other units from then on: moments begin anew.

        Args:
            whole: names of what took up all that was saved of it.
        """
        super().on_loaded(whole)
        moments = [descent.optimizer.state for descent in self.descents.values()]
        if self.popart.was_of_0_1:
            for state in moments:
                self._sort_heads(state)
        in_other_units = not self.popart.rollouts.all() if self.normalizes_returns else self.popart.fold()
        if (in_other_units or POPART not in whole) and any(moments):
            for state in moments:
                state.clear()
            logger.warning(
                "The checkpoint's gradients were in other units (another normalize_returns, reward_signals or "
                "trainer_type): values stay what they were, and the moments of the optimizer begin anew."
            )

    def _sort_heads(self, state: dict[nn.Parameter, dict[str, Any]]) -> None:
        """Gives moments of 0.1, whose value heads were in the order of the streams, to the heads that they are of."""
        moments = [state.pop(parameter, {}) for parameter in self.parameters]
        of_0_1 = zip(self._trained(by_head=False), moments, strict=True)
        state.update({parameter: found for parameter, found in of_0_1 if found})


def _head_of(named: tuple[str, nn.Parameter]) -> str:
    """Path of the value head that a parameter belongs to; empty for all that comes before the heads."""
    path = named[0].rpartition(".")[0]
    return path if "value_heads" in path else ""
