"""Acting: epsilon-greedy over legal actions, each agent on its own."""

from typing import Any

import numpy as np
from mlagents.torch_utils import torch
from mlagents.trainers.policy.torch_policy import TorchPolicy
from mlagents.trainers.torch_entities.utils import ModelUtils
from mlagents_envs.base_env import ActionTuple, DecisionSteps
from mlagents_envs.timers import timed

from mlagents_plugin_shared.exploration import epsilon_greedy, greedy_actions
from mlagents_plugin_shared.schedules import Schedule

_STEP = "exploration_step"


class QPolicy(TorchPolicy):
    """Policy of a Q network: greedy, but for a random legal action with probability epsilon.

    Epsilon is a function of the policy's step, so that a resumed run goes on where it was.

    Args:
        epsilon: probability of a random action by step; 0 acts greedily.
        **kwargs: arguments of `TorchPolicy`.
    """

    def __init__(self, *, epsilon: Schedule, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.epsilon = epsilon
        self.generator = torch.Generator(device="cpu").manual_seed(self.seed)

    @timed
    def evaluate(self, decision_requests: DecisionSteps, global_agent_ids: list[str]) -> dict[str, Any]:
        """Chooses an action for every agent that requests a decision.

        Args:
            decision_requests: observations and masks of B agents.
            global_agent_ids: their ids.

        Returns:
            `action` and `env_action` ([B, D] discrete), and `memory_out` ([B, M]) where there is memory.
        """
        branches = self.behavior_spec.action_spec.discrete_branches
        masks = torch.as_tensor(self._extract_masks(decision_requests), dtype=torch.float32)
        memories = torch.as_tensor(self.retrieve_memories(global_agent_ids)).unsqueeze(0)
        with torch.no_grad():
            scores, memories = self.actor.scores([torch.as_tensor(o) for o in decision_requests.obs], memories)
            greedy = greedy_actions(scores, masks, branches)
        epsilon = self.epsilon(self.get_current_step())
        actions = epsilon_greedy(greedy.cpu(), masks.cpu(), branches, epsilon, self.generator)
        action_tuple = ActionTuple(discrete=actions.numpy().astype(np.int32))
        run_out: dict[str, Any] = {"action": action_tuple, "env_action": action_tuple}
        if self.use_recurrent:
            run_out["memory_out"] = ModelUtils.to_numpy(memories).squeeze(0)
        return run_out

    def get_weights(self) -> dict[str, Any]:
        """Weights and the step: self-play acts with copies, whose own step never grows."""
        return {**super().get_weights(), _STEP: self.get_current_step()}

    def load_weights(self, values: dict[str, Any]) -> None:
        """Takes over what `get_weights` of another policy gave."""
        weights = dict(values)
        self.set_step(weights.pop(_STEP))
        super().load_weights(weights)
