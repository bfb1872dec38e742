"""The actor of soft actor-critic: squashed normal, discrete or hybrid actions, also in the form that Unity plays."""

from dataclasses import dataclass
from typing import Any

from mlagents.torch_utils import torch
from mlagents.trainers.settings import NetworkSettings
from mlagents.trainers.torch_entities.distributions import GaussianDistribution
from mlagents.trainers.torch_entities.networks import SimpleActor
from mlagents_envs.base_env import ActionSpec, ObservationSpec

from mlagents_plugin_shared.acting.squashed_gaussian import SquashedGaussianInstance
from mlagents_plugin_shared.learning.trunk import TrunkBody, TrunkStyle, project_weights
from mlagents_plugin_shared.maths.branches import soft_policy
from mlagents_plugin_shared.maths.munchausen import policy_entropy
from mlagents_plugin_shared.maths.squashing import squashed_log_prob

LOG_STD = (-5.0, 2.0)
"""Bounds of log σ: below, actions would all be one; above, tanh would leave only ±1 of them."""


@dataclass(frozen=True)
class ActionChoice:
    """What a policy may do in B states: C continuous actions tanh(u), u ~ N(μ, σ²), and D branches of discrete ones.

    Without discrete actions there is one branch of one action, which is certain.

    Attributes:
        mean: [B, C] μ.
        log_std: [B, C] log σ.
        log_policy: [B, A] log-probabilities of discrete actions, the branches side by side; see `soft_policy`.
        branches: sizes A_d.
    """

    mean: torch.Tensor
    log_std: torch.Tensor
    log_policy: torch.Tensor
    branches: list[int]

    def sample(self, noise: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """[B, C] continuous actions, through which a gradient flows, and [B] their log-probabilities.

        Args:
            noise: [B, C] standard normal numbers; default drawn from torch's own generator.
        """
        noise = torch.randn_like(self.mean) if noise is None else noise
        u = self.mean + self.log_std.exp() * noise
        return u.tanh(), squashed_log_prob(u, self.mean, self.log_std).sum(dim=1)

    def entropies(self, log_prob: torch.Tensor) -> torch.Tensor:
        """[B, 2] entropy of continuous actions, as a sample has it, and of discrete ones, the mean over branches.

        Args:
            log_prob: [B] log-probabilities of the sample.
        """
        return torch.stack([-log_prob, policy_entropy(self.log_policy, self.branches).mean(dim=1)], dim=1)


class BoundedGaussian(GaussianDistribution):
    """Last layer of continuous actions, squashed by tanh; log σ depends on the state and is bounded smoothly.

    log σ = low + (high - low) (1 + tanh x) / 2
    """

    def parameters_of(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """[B, E] encodings → [B, C] μ and log σ."""
        low, high = LOG_STD
        return self.mu(inputs), low + 0.5 * (high - low) * (1.0 + torch.tanh(self.log_sigma(inputs)))

    def forward(self, inputs: torch.Tensor) -> SquashedGaussianInstance:
        """[B, E] encodings → distributions of [B, C] actions, as the exported model draws them."""
        mean, log_std = self.parameters_of(inputs)
        return SquashedGaussianInstance(mean, log_std.exp())


class SoftActor(SimpleActor):
    """ML-Agents' actor with the hidden layers of a `Trunk` and actions in [-1, 1].

    Environment, replay and exported model have the same actions, tanh(u): ML-Agents' clipping to ±3 and division by 3
    does not take place.

    Args:
        observation_specs: sensors of the behaviour.
        network_settings: `network_settings:` of the YAML.
        action_spec: actions of the behaviour.
        style: of the hidden layers.
    """

    def __init__(
        self,
        observation_specs: list[ObservationSpec],
        network_settings: NetworkSettings,
        action_spec: ActionSpec,
        style: TrunkStyle,
    ) -> None:
        super().__init__(observation_specs, network_settings, action_spec, conditional_sigma=True, tanh_squash=True)
        self.network_body = TrunkBody(observation_specs, network_settings, style)
        self.branches = list(action_spec.discrete_branches) or [1]
        if action_spec.continuous_size:
            self.action_model._continuous_distribution = BoundedGaussian(
                self.encoding_size, action_spec.continuous_size, conditional_sigma=True, tanh_squash=True
            )

    def project(self) -> None:
        """Normalises the weights of hidden and last layers, not of encoders and memory: see `project_weights`."""
        self.network_body.project()
        if not self.network_body.use_lstm:  # its features are small: last layers of norm 1 could not make a policy sure
            project_weights(self.action_model)

    def encode(self, *arguments: Any, **options: Any) -> tuple[torch.Tensor, torch.Tensor | None]:
        """[R, ...] observations → [R, E] encodings and memories, as `TrunkBody.encode`."""
        return self.network_body.encode(*arguments, **options)

    def choice(self, encoding: torch.Tensor, legal: torch.Tensor) -> ActionChoice:
        """What may be done.

        Args:
            encoding: [B, E] from `encode`.
            legal: [B, A] 1.0 where a discrete action is legal; of any width without discrete actions.
        """
        continuous, discrete = self.action_model._continuous_distribution, self.action_model._discrete_distribution
        nothing = encoding.new_zeros(len(encoding), 0)
        mean, log_std = (nothing, nothing) if continuous is None else continuous.parameters_of(encoding)
        if discrete is None:
            return ActionChoice(mean, log_std, encoding.new_zeros(len(encoding), 1), self.branches)
        logits = torch.cat([branch(encoding) for branch in discrete.branches], dim=1)
        return ActionChoice(mean, log_std, soft_policy(logits, legal, self.branches, 1.0), self.branches)
