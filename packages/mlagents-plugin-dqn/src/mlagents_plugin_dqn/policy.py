"""Acting: greedy over legal actions but for exploration, by epsilon or by noise on the weights."""

from typing import Any

import numpy as np
from mlagents.torch_utils import torch
from mlagents.trainers.exception import UnityTrainerException
from mlagents.trainers.policy.torch_policy import TorchPolicy
from mlagents.trainers.torch_entities.utils import ModelUtils
from mlagents_envs.base_env import ActionTuple, DecisionSteps
from mlagents_envs.timers import timed

from mlagents_plugin_shared.exploration import epsilon_greedy, epsilon_ladder, greedy_actions
from mlagents_plugin_shared.networks import resample_noise
from mlagents_plugin_shared.schedules import Schedule, constant

_STEP = "exploration_step"
LADDER = epsilon_ladder(8).tolist()
"""Epsilons of Horgan et al. (2018), 0.4 to 0.0007: one an agent and episode, in turns."""


class QPolicy(TorchPolicy):
    """Policy of a Q network: greedy, but for a random legal action with probability epsilon.

    Epsilon is a function of the policy's step, so that a resumed run goes on where it was, or the agent's rung of a
    ladder. Where the network is noisy, its noise is drawn anew for each decision.

    Attributes:
        generator: what exploring draws from.
        ladder_turn: rung of the ladder that the next episode gets.

    Args:
        explores: whether to explore at all; otherwise the policy is greedy, without epsilon or noise.
        epsilon: probability of a random action by step; None for the ladder.
        **kwargs: arguments of `TorchPolicy`.
    """

    def __init__(self, *, explores: bool, epsilon: Schedule | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.actor.train(explores)
        self.uses_ladder = explores and epsilon is None
        self.epsilon = constant(0.0) if not explores else epsilon or constant(float(np.mean(LADDER)))
        self.generator = torch.Generator(device="cpu").manual_seed(self.seed)
        self.ladder_turn = 0
        self._rungs: dict[str, int] = {}

    @timed
    def evaluate(self, decision_requests: DecisionSteps, global_agent_ids: list[str]) -> dict[str, Any]:
        """Chooses an action for every agent that requests a decision.

        Args:
            decision_requests: observations and masks of B agents.
            global_agent_ids: their ids.

        Returns:
            `action` and `env_action` ([B, D] discrete), and `memory_out` ([B, M]) where there is memory.

        Raises:
            UnityTrainerException: an agent may take no action of a branch.
        """
        branches = self.behavior_spec.action_spec.discrete_branches
        self._check_masks(decision_requests, global_agent_ids)
        masks = torch.as_tensor(self._extract_masks(decision_requests), dtype=torch.float32)
        memories = torch.as_tensor(self.retrieve_memories(global_agent_ids)).unsqueeze(0)
        with torch.no_grad():
            resample_noise(self.actor)
            scores, memories = self.actor.scores([torch.as_tensor(o) for o in decision_requests.obs], memories)
            greedy = greedy_actions(scores, masks, branches)
        epsilon = self._epsilons(global_agent_ids)
        actions = epsilon_greedy(greedy.cpu(), masks.cpu(), branches, epsilon, self.generator)
        action_tuple = ActionTuple(discrete=actions.numpy().astype(np.int32))
        run_out: dict[str, Any] = {"action": action_tuple, "env_action": action_tuple}
        if self.use_recurrent:
            run_out["memory_out"] = ModelUtils.to_numpy(memories).squeeze(0)
        return run_out

    def _epsilons(self, global_agent_ids: list[str]) -> float | torch.Tensor:
        """Epsilon of all agents, or [B] of each."""
        if not self.uses_ladder:
            return self.epsilon(self.get_current_step())
        for agent_id in global_agent_ids:
            if agent_id not in self._rungs:
                self._rungs[agent_id] = self.ladder_turn
                self.ladder_turn = (self.ladder_turn + 1) % len(LADDER)
        return torch.tensor([LADDER[self._rungs[agent_id]] for agent_id in global_agent_ids], device="cpu")

    def remove_memories(self, agent_ids: list[str]) -> None:
        """Forgets agents whose episode has ended."""
        super().remove_memories(agent_ids)
        for agent_id in agent_ids:
            self._rungs.pop(agent_id, None)

    def _check_masks(self, decision_requests: DecisionSteps, global_agent_ids: list[str]) -> None:
        for branch, forbidden in enumerate(decision_requests.action_mask or ()):
            stuck = np.flatnonzero(forbidden.all(axis=1))
            if stuck.size:
                raise UnityTrainerException(
                    f"Agent {global_agent_ids[stuck[0]]} may take none of the {forbidden.shape[1]} actions of branch "
                    f"{branch}: leave at least one action of every branch unmasked."
                )

    def get_weights(self) -> dict[str, Any]:
        """Weights and the step: self-play acts with copies, whose own step never grows."""
        return {**super().get_weights(), _STEP: self.get_current_step()}

    def load_weights(self, values: dict[str, Any]) -> None:
        """Takes over what `get_weights` of another policy gave."""
        weights = dict(values)
        self.set_step(weights.pop(_STEP))
        super().load_weights(weights)
