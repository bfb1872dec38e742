"""Gymnasium environments in process: no player, no messages, the same trainers."""

import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gymnasium
import numpy as np
from _in_process import Learned
from mlagents.torch_utils import torch
from mlagents.trainers.policy.torch_policy import TorchPolicy
from mlagents_envs.base_env import ActionSpec, ActionTuple

from mlagents_plugin_shared.testing import Outcome, ToyEnv, train

POINTS = 20
"""Of a curve."""


class GymTask(ToyEnv):
    """Copies of an environment with a vector as observation, each an agent.

    Args:
        environment: its id.
        num_agents: number of copies.
        seed: of the first episodes.
    """

    def __init__(self, environment: str, num_agents: int, *, seed: int = 0) -> None:
        super().__init__(num_agents, seed=seed)
        self.copies = [gymnasium.make(environment) for _ in range(num_agents)]
        self.seeds: list[int | None] = self.rng.integers(2**31, size=num_agents).tolist()
        self.box: gymnasium.spaces.Box | None = None
        shape = self.copies[0].observation_space.shape
        self.observation_shapes = [shape]
        self.current = np.zeros((num_agents, *shape), np.float32)
        actions = self.copies[0].action_space
        if isinstance(actions, gymnasium.spaces.Box):
            self.box = actions
            self.action_spec = ActionSpec(int(np.prod(actions.shape)), ())
        else:
            self.action_spec = ActionSpec(0, (int(actions.n),))

    def begin(self, agents: np.ndarray) -> None:
        """Resets these copies."""
        for agent in agents:
            self.current[agent], _ = self.copies[agent].reset(seed=self.seeds[agent])
            self.seeds[agent] = None

    def observe(self) -> list[np.ndarray]:
        """The current observations."""
        return [self.current.copy()]

    def act(self, action: ActionTuple) -> Outcome:
        """Steps all copies; continuous actions are stretched from [-1, 1] to the box."""
        results = []
        for agent, copy in enumerate(self.copies):
            if self.box is None:
                chosen: Any = int(action.discrete[agent, 0])
            else:
                share = (np.clip(action.continuous[agent], -1, 1) + 1) / 2
                chosen = self.box.low + share * (self.box.high - self.box.low)
            self.current[agent], *result, _ = copy.step(chosen)
            results.append(result)
        reward, terminated, truncated = map(np.array, zip(*results, strict=True))
        return reward.astype(np.float64), terminated, truncated & ~terminated


def learn(environment: str, config: Mapping[str, Any], seed: int, *, num_agents: int, episodes: int) -> Learned:
    """Trains on an environment and plays it greedily with the final policy; says on stderr how training goes.

    Args:
        environment: its id.
        config: what stands below the behaviour's name in a YAML.
        seed: of trainer, policy and environment.
        num_agents: copies to train on.
        episodes: episodes of the final policy.
    """
    torch.set_num_threads(1)
    task = Recorded(environment, num_agents, max(config["max_steps"] // POINTS, 1), seed=seed)
    with TemporaryDirectory() as folder:
        trainer = train(task, config, Path(folder), seed=seed)
    returns = evaluate(environment, trainer.policy, episodes)
    return Learned(returns.mean(), returns.std(), task.curve)


class Recorded(GymTask):
    """Follows how training goes.

    Args:
        environment: its id.
        num_agents: number of copies.
        width: steps of all copies between two points of the curve.
        seed: of the first episodes.

    Attributes:
        curve: (step, mean return of the episodes that ended since the point before), where any did.
    """

    def __init__(self, environment: str, num_agents: int, width: int, *, seed: int = 0) -> None:
        super().__init__(environment, num_agents, seed=seed)
        self.width = width
        self.steps = 0
        self.told = 0  # episodes that a point has
        self.curve: list[tuple[int, float]] = []

    def step(self) -> None:
        """Acts, and adds a point where one is due."""
        super().step()
        point = self.steps // self.width
        self.steps += self.num_agents
        if self.steps // self.width > point and len(self.returns) > self.told:
            self.curve.append((self.steps, float(np.mean(self.returns[self.told :]))))
            self.told = len(self.returns)
            print(f"{self.steps:,}: {self.curve[-1][1]:.3f}", file=sys.stderr, flush=True)


def evaluate(environment: str, policy: TorchPolicy, episodes: int) -> np.ndarray:
    """[episodes] returns of a policy that does not explore, on seeds of their own."""
    policy.actor.eval()
    if hasattr(policy, "epsilon"):
        policy.epsilon, policy.uses_ladder = (lambda step: 0.0), False
    policy._deterministic = True
    if hasattr(policy.actor, "action_model"):  # ML-Agents' own actors
        policy.actor.action_model._deterministic = True
    task = GymTask(environment, min(episodes, 25), seed=2**20)
    task.reset()
    name = next(iter(task.behavior_specs))
    # The first episodes to end are the short ones: every copy plays the same number.
    rounds = -(-episodes // task.num_agents)
    done = np.zeros(task.num_agents, int)
    returns = []
    while done.min() < rounds:
        before = len(task.returns)
        decision, _ = task.get_steps(name)
        task.set_actions(name, policy.get_action(decision).env_action)
        task.step()
        _, terminal = task.get_steps(name)
        for agent, value in zip(terminal.agent_id, task.returns[before:], strict=True):
            if done[agent] < rounds:
                returns.append(value)
            done[agent] += 1
    return np.array(returns)
