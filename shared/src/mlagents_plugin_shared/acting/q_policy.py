"""Acting by Q values: greedy over legal actions but for exploration, by epsilon or by noise on the weights."""

from typing import Any

import numpy as np
from mlagents.torch_utils import torch
from mlagents.trainers.exception import TrainerConfigError
from mlagents.trainers.torch_entities.utils import ModelUtils
from mlagents_envs.base_env import ActionSpec, ActionTuple, DecisionSteps
from mlagents_envs.timers import timed

from mlagents_plugin_shared.acting.exploring import AgentTable, ExploringPolicy
from mlagents_plugin_shared.acting.repetition import Repetition
from mlagents_plugin_shared.learning.networks import has_noise, resample_noise
from mlagents_plugin_shared.maths.branches import are_legal, greedy_actions
from mlagents_plugin_shared.maths.exploration import epsilon_greedy, epsilon_ladder, explorers, random_actions
from mlagents_plugin_shared.maths.schedules import Schedule, constant

_STEP = "exploration_step"
_NO_RUNG = -1
LADDER = epsilon_ladder(8).cpu()
"""Epsilons of Horgan et al. (2018), 0.4 to 0.0007: one an agent and episode, in turns."""


def require_discrete_actions(action_spec: ActionSpec, behavior_name: str, trainer_type: str) -> None:
    """Refuses a behaviour that a Q network cannot choose for.

    Args:
        action_spec: actions of the behaviour.
        behavior_name: its name, for the message.
        trainer_type: name of the trainer, for the message.

    Raises:
        TrainerConfigError: it has continuous actions, no discrete ones, or a branch of one action.
    """
    if action_spec.continuous_size > 0 or action_spec.discrete_size == 0:
        raise TrainerConfigError(
            f"Behavior {behavior_name} has {action_spec.continuous_size} continuous actions, and {trainer_type} "
            "chooses among discrete ones only: use trainer_type: flashsac, a2c, sac or ppo."
        )
    for branch, size in enumerate(action_spec.discrete_branches):
        if size < 2:
            raise TrainerConfigError(
                f"Behavior {behavior_name}: action branch {branch} has {size} action, which leaves nothing to choose: "
                "remove the branch from the agent's Behavior Parameters."
            )


class QPolicy(ExploringPolicy):
    """Policy of a Q network: greedy, but for a random legal action with probability epsilon.

    Epsilon is a function of the policy's step, so that a resumed run goes on where it was, or the agent's rung of a
    ladder. Where the network is noisy, its noise is drawn anew for each decision.

    With `repeat`, a random action is repeated for n decisions of the agent, n ~ zeta(2) up to `repeat`: the action of
    all branches, until its episode ends or one of them is illegal. Epsilon is then the probability to start that, at a
    decision at which nothing is repeated; the share of random decisions is larger. Source: Dabney et al. (2021),
    algorithm 1, https://arxiv.org/abs/2006.01782.

    Args:
        explores: whether to explore at all; otherwise the policy is greedy, without epsilon or noise.
        epsilon: probability of a random action by step; None for the ladder.
        repeat: most decisions for which a random action is repeated; 1 draws anew at each.
        **kwargs: arguments of `ExploringPolicy`.
    """

    def __init__(self, *, explores: bool, epsilon: Schedule | None, repeat: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.actor.train(explores)
        self.uses_ladder = explores and epsilon is None
        self.epsilon = constant(0.0) if not explores else epsilon or constant(LADDER.mean().item())
        columns = {"rung": torch.tensor(_NO_RUNG, device="cpu")} if self.uses_ladder else {}
        repeats = explores and repeat > 1
        if repeats:
            action = torch.zeros(self.behavior_spec.action_spec.discrete_size, dtype=torch.int64, device="cpu")
            columns.update(Repetition.columns(action))
        self.agents = AgentTable(**columns)
        self.repetition = Repetition(self.agents, repeat) if repeats else None
        self._rungs_left: list[int] = []

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
        self.check_masks(decision_requests, global_agent_ids)
        masks = torch.as_tensor(self._extract_masks(decision_requests), dtype=torch.float32)
        memories = torch.as_tensor(self.retrieve_memories(global_agent_ids)).unsqueeze(0)
        with torch.no_grad():
            resample_noise(self.actor)
            scores, memories = self.actor.scores([torch.as_tensor(o) for o in decision_requests.obs], memories)
            greedy = greedy_actions(scores, masks, branches)
        actions = self._explore(greedy.cpu(), masks.cpu(), global_agent_ids)
        action_tuple = ActionTuple(discrete=actions.numpy().astype(np.int32))
        run_out: dict[str, Any] = {"action": action_tuple, "env_action": action_tuple}
        if self.use_recurrent:
            run_out["memory_out"] = ModelUtils.to_numpy(memories).squeeze(0)
        return run_out

    def explore_as(self, rank: int, count: int) -> None:
        """One rung of the ladder for each of several actors; one alone, and noise on weights, explore as they are set.

        ε_i = 0.4^(1 + 7 i / (N - 1))

        Source: Horgan et al. (2018), section 4.1, https://arxiv.org/abs/1803.00933.

        Args:
            rank: i.
            count: N.
        """
        if count > 1 and self.actor.training and not has_noise(self.actor):
            self.uses_ladder = False
            self.epsilon = constant(epsilon_ladder(count)[rank].item())

    def _explore(self, greedy: torch.Tensor, masks: torch.Tensor, global_agent_ids: list[str]) -> torch.Tensor:
        """[B, D] greedy actions, some of them replaced by random legal ones."""
        branches, epsilon = self.behavior_spec.action_spec.discrete_branches, self._epsilons(global_agent_ids)
        if self.repetition is None:
            return epsilon_greedy(greedy, masks, branches, epsilon, self.generator)
        rows = self.agents.rows(global_agent_ids)
        self.repetition.stop(rows[~are_legal(self.repetition.current(rows), masks, branches)])
        explores = explorers(len(rows), epsilon, self.generator, device=masks.device)
        starts = explores & self.repetition.is_over(rows)
        drawn = random_actions(masks, branches, self.generator)
        self.repetition.start(rows[starts], drawn[starts], self.generator)
        is_greedy = self.repetition.is_over(rows)
        return torch.where(is_greedy.unsqueeze(1), greedy, self.repetition.take(rows))

    def _epsilons(self, global_agent_ids: list[str]) -> float | torch.Tensor:
        """Epsilon of all agents, or [B] of each."""
        if not self.uses_ladder:
            return self.epsilon(self.get_current_step())
        rows = self.agents.rows(global_agent_ids)
        rungs = self.agents["rung"]
        for row in rows[rungs[rows] == _NO_RUNG]:
            rungs[row] = self._next_rung()
        return LADDER[rungs[rows]]

    def _next_rung(self) -> int:
        """Rung of the next episode: each once in eight, shuffled, so that teams do not climb in step."""
        if not self._rungs_left:
            self._rungs_left = torch.randperm(len(LADDER), generator=self.generator, device="cpu").tolist()
        return self._rungs_left.pop()

    def acting_state(self) -> dict[str, Any]:
        """What exploring goes on from."""
        return {**super().acting_state(), "rungs_left": list(self._rungs_left)}

    def load_acting_state(self, state: dict[str, Any]) -> None:
        """Takes up what `acting_state` gave."""
        super().load_acting_state(state)
        self._rungs_left = list(state["rungs_left"])

    def get_weights(self) -> dict[str, Any]:
        """Weights and the step: self-play acts with copies, whose own step never grows."""
        return {**super().get_weights(), _STEP: self.get_current_step()}

    def load_weights(self, values: dict[str, Any]) -> None:
        """Takes over what `get_weights` of another policy gave."""
        weights = dict(values)
        self.set_step(weights.pop(_STEP))
        super().load_weights(weights)
