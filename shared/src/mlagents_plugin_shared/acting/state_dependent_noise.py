"""Exploration of continuous actions by a noise that is a function of the state."""

from collections.abc import Callable
from functools import partial
from typing import Any

from mlagents.torch_utils import torch
from mlagents.trainers.torch_entities.distributions import GaussianDistInstance, GaussianDistribution
from mlagents_envs.base_env import DecisionSteps
from torch import nn

from mlagents_plugin_shared.acting.exploring import AgentTable, ExploringPolicy

MIN_VARIANCE = 1e-8
"""Variance in a state whose features are all 0; only there does it count."""


class StateDependentNoise(GaussianDistInstance):
    """A normal distribution whose samples, where agents act, have a noise that is a function of the state.

    Args:
        mean: [B, C] greedy actions.
        std: [B, C] deviations of the noise, over all the noise functions that could have been drawn.
        noise: gives the [B, C] noise of the functions of those who act; None if nobody does.
    """

    def __init__(self, mean: torch.Tensor, std: torch.Tensor, noise: Callable[[], torch.Tensor] | None) -> None:
        super().__init__(mean, std)
        self._noise = noise

    def sample(self) -> torch.Tensor:
        """[B, C] actions; those that a gradient flows through, as in cloning, are drawn independently."""
        if self._noise is None or torch.is_grad_enabled():
            return super().sample()
        return self.mean + self._noise()

    def exported_model_output(self) -> torch.Tensor:
        """[B, C] actions of an exported model, which remembers no noise function from one decision to the next."""
        return super().sample()


class StateDependentGaussian(GaussianDistribution):
    """The layer before it: generalised state-dependent exploration (gSDE).

    a = μ(s) + θᵀ f(s),   θ ~ N(0, σ²),   so that   a ~ N(μ(s), Σ_h σ_h² f_h(s)²)

    f are the features of the last hidden layer and σ is learned. θ is drawn for each agent and kept for some decisions:
    in one state the same action follows, and the noise is as smooth as the features.

    Source: Raffin et al. (2021), https://arxiv.org/abs/2005.05719, equations 4 to 6.

    Attributes:
        functions: gives the [B, H, C] θ of the agents that act, in units of σ; None while nobody acts.

    Args:
        hidden_size: H, number of features.
        num_outputs: C, numbers of an action.
        log_std_init: of log σ.
    """

    def __init__(self, hidden_size: int, num_outputs: int, *, log_std_init: float) -> None:
        super().__init__(hidden_size, num_outputs)
        self.log_sigma = nn.Parameter(torch.full((hidden_size, num_outputs), log_std_init))
        self.functions: Callable[[], torch.Tensor] | None = None

    def forward(self, inputs: torch.Tensor) -> GaussianDistInstance:
        """[B, H] features → distributions of [B, C] actions."""
        features = inputs.detach()  # σ does not shape them
        variance = features.square() @ self.log_sigma.exp().square()
        noise = self.functions and partial(self._noise, features, self.functions)
        return StateDependentNoise(self.mu(inputs), (variance + MIN_VARIANCE).sqrt(), noise)

    def _noise(self, features: torch.Tensor, functions: Callable[[], torch.Tensor]) -> torch.Tensor:
        theta = functions().to(features.device) * self.log_sigma.exp()
        return torch.einsum("bh,bhc->bc", features, theta)


class StateDependentPolicy(ExploringPolicy):
    """Policy of continuous or hybrid actions whose agents keep a noise function each.

    It is kept for `sample_freq` of the agent's own decisions or until its episode ends, whoever asks in between.

    Args:
        *args: arguments of `ExploringPolicy`; the actor is ML-Agents' own.
        sample_freq: decisions for which a noise function is kept.
        log_std_init: log σ of the first policy, for each feature.
        **kwargs: more of them.
    """

    def __init__(self, *args: Any, sample_freq: int, log_std_init: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sample_freq = sample_freq
        model, size = self.actor.action_model, self.actor.action_spec.continuous_size
        self._layer = StateDependentGaussian(model.encoding_size, size, log_std_init=log_std_init)
        model._continuous_distribution = self._layer
        shape = self._layer.log_sigma.shape
        self.agents = AgentTable(theta=torch.zeros(shape, device="cpu"), age=torch.tensor(0, device="cpu"))

    def evaluate(self, decision_requests: DecisionSteps, global_agent_ids: list[str]) -> dict[str, Any]:
        """Chooses an action for every agent that requests a decision, by its own noise function."""
        self._layer.functions = partial(self._functions, global_agent_ids)
        try:
            return super().evaluate(decision_requests, global_agent_ids)
        finally:
            self._layer.functions = None

    def _functions(self, agent_ids: list[str]) -> torch.Tensor:
        """[B, H, C] θ of agents, in units of σ, for one decision more; drawn anew for those whose time is over."""
        rows = self.agents.rows(agent_ids)
        theta, age = self.agents["theta"], self.agents["age"]
        due = rows[age[rows] % self.sample_freq == 0]
        theta[due] = torch.randn(len(due), *theta.shape[1:], generator=self.generator, device="cpu")
        age[rows] += 1
        return theta[rows]
