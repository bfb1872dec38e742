"""Acting by a `SoftActor`, with noise that lasts for some decisions."""

from typing import Any

import numpy as np
from mlagents.torch_utils import torch
from mlagents.trainers.torch_entities.utils import ModelUtils
from mlagents_envs.base_env import ActionTuple, DecisionSteps
from mlagents_envs.timers import timed

from mlagents_plugin_shared.acting.exploring import AgentTable, ExploringPolicy
from mlagents_plugin_shared.acting.repetition import Repetition
from mlagents_plugin_shared.acting.soft_actor import SoftActor
from mlagents_plugin_shared.maths.branches import greedy_actions


class NoisePolicy(ExploringPolicy):
    """Policy of continuous, discrete or hybrid actions, each of which is a function of the state and a noise.

    Continuous: tanh(μ + σ ε) with normal ε. Discrete: the legal action with the largest log π(a | s) + g_a with Gumbel
    g, which is one drawn from π. An agent keeps its ε and g for n of its own decisions, n ~ zeta(2) up to `repeat`, or
    until its episode ends: what it does is drawn from π at each of them, but not independently.

    Source: FlashSAC for continuous actions; Dabney et al. (2021), https://arxiv.org/abs/2006.01782, for the law;
    Gumbel (1954) for discrete ones.

    Args:
        explores: whether there is noise at all; otherwise actions are greedy.
        repeat: most decisions for which noise is kept; 1 draws anew at each.
        **kwargs: arguments of `ExploringPolicy`; the actor is a `SoftActor`.
    """

    actor: SoftActor

    def __init__(self, *, explores: bool, repeat: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.explores = explores
        spec = self.behavior_spec.action_spec
        self._sizes = [spec.continuous_size, sum(spec.discrete_branches)]
        if explores:
            self.agents = AgentTable(**Repetition.columns(torch.zeros(sum(self._sizes), device="cpu")))
        self.repetition = Repetition(self.agents, repeat)

    @timed
    def evaluate(self, decision_requests: DecisionSteps, global_agent_ids: list[str]) -> dict[str, Any]:
        """Chooses an action for every agent that requests a decision.

        Args:
            decision_requests: observations and masks of B agents.
            global_agent_ids: their ids.

        Returns:
            `action` and `env_action` ([B, C] continuous, [B, D] discrete), and `memory_out` ([B, M]) where there is
            memory.

        Raises:
            UnityTrainerException: an agent may take no action of a branch.
        """
        discrete = self._sizes[1] > 0
        self.check_masks(decision_requests, global_agent_ids)
        legal = self._extract_masks(decision_requests) if discrete else np.zeros((len(decision_requests), 0))
        legal = torch.as_tensor(legal, dtype=torch.float32)
        memories = torch.as_tensor(self.retrieve_memories(global_agent_ids)).unsqueeze(0)
        with torch.no_grad():
            observations = [torch.as_tensor(seen) for seen in decision_requests.obs]
            encoding, memories = self.actor.encode(observations, memories if self.use_recurrent else None)
            choice = self.actor.choice(encoding, legal)
            normal, gumbel = self._noise(global_agent_ids).to(encoding.device).split(self._sizes, dim=1)
            taken = ActionTuple(continuous=ModelUtils.to_numpy((choice.mean + choice.log_std.exp() * normal).tanh()))
            if discrete:
                best = greedy_actions(choice.log_policy + gumbel, legal, choice.branches)
                taken.add_discrete(ModelUtils.to_numpy(best).astype(np.int32))
        run_out: dict[str, Any] = {"action": taken, "env_action": taken}
        if self.use_recurrent:
            run_out["memory_out"] = ModelUtils.to_numpy(memories).squeeze(0)
        return run_out

    def _noise(self, global_agent_ids: list[str]) -> torch.Tensor:
        """[B, C + A] noise of agents for one decision more: normal, then Gumbel; drawn anew where the last is over."""
        if not self.explores:
            return torch.zeros(len(global_agent_ids), sum(self._sizes), device="cpu")
        rows = self.agents.rows(global_agent_ids)
        new = rows[self.repetition.is_over(rows)]
        self.repetition.start(new, self._draw(len(new)), self.generator)
        return self.repetition.take(rows)

    def _draw(self, count: int) -> torch.Tensor:
        normal = torch.randn(count, self._sizes[0], generator=self.generator, device="cpu")
        exponential = torch.empty(count, self._sizes[1], device="cpu").exponential_(generator=self.generator)
        return torch.cat([normal, -exponential.log()], dim=1)
