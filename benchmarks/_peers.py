"""Replay buffers of several libraries behind one face: the same transitions in, the same tensors out.

To add a library, write a class with the methods of `Ours` and name it in `UNIFORM` or `PRIORITIZED`.
"""

import contextlib
import io
from collections.abc import Callable
from functools import partial
from typing import Any

import cpprb
import gymnasium
import numpy as np
import torch
from mlagents.trainers.buffer import AgentBuffer, BufferKey
from mlagents.trainers.torch_entities.action_log_probs import LogProbsTuple
from mlagents.trainers.torch_entities.utils import ModelUtils
from mlagents.trainers.trajectory import AgentExperience, ObsUtil, Trajectory
from mlagents_envs.base_env import ActionSpec, ActionTuple

from mlagents_plugin_shared.data import PrioritizedReplayBuffer, ReplayBuffer, ReplayKey
from mlagents_plugin_shared.data.trajectories import Segment, trajectory_to_segment

with contextlib.redirect_stderr(io.StringIO()):  # they import gym, which tells everybody that it is unmaintained
    import tianshou.data as tianshou
    from stable_baselines3.common.buffers import ReplayBuffer as StableBaselinesBuffer

AGENTS = 12
HORIZON = 64
STEPS = AGENTS * HORIZON
BATCH = 256
ACTIONS = ActionSpec(0, (3,))
KEYS = (
    ObsUtil.get_name_at(0),
    ObsUtil.get_name_at_next(0),
    BufferKey.DISCRETE_ACTION,
    BufferKey.ENVIRONMENT_REWARDS,
    BufferKey.DONE,
)


class Round:
    """HORIZON steps of each agent; every second segment ends its episode.

    Attributes:
        observations: [AGENTS, HORIZON + 1, ...] float32, or uint8 if they are pictures.
        actions, rewards, done: [AGENTS, HORIZON].
        masks: [AGENTS, HORIZON, 3] 1 = allowed.
    """

    def __init__(self, shape: tuple[int, ...], seed: int) -> None:
        rng = np.random.default_rng(seed)
        size = (AGENTS, HORIZON + 1, *shape)
        self.pictures = len(shape) == 3
        self.shape = shape
        self.observations = rng.integers(256, size=size, dtype=np.uint8) if self.pictures else rng.random(size, "f4")
        self.actions = rng.integers(3, size=(AGENTS, HORIZON), dtype=np.int32)
        self.rewards = rng.random((AGENTS, HORIZON), dtype=np.float32)
        self.masks = np.ones((AGENTS, HORIZON, 3), np.uint8)
        self.done = np.zeros((AGENTS, HORIZON), bool)
        self.done[::2, -1] = True
        self.segments = list(map(self._segment, range(AGENTS)))

    def _segment(self, agent: int) -> Segment:
        columns = {
            BufferKey.DISCRETE_ACTION: self.actions[agent, :, None],
            BufferKey.ACTION_MASK: self.masks[agent],
            BufferKey.PREV_ACTION: self.actions[agent, :, None],
            BufferKey.ENVIRONMENT_REWARDS: self.rewards[agent],
            BufferKey.GROUP_REWARD: self.rewards[agent],
        }
        return Segment(str(agent), [self.observations[agent]], columns, self.done[agent, -1], False)

    def trajectories(self) -> list[Trajectory]:
        """The same as ML-Agents' objects."""
        observations = self.observations.astype(np.float32) / 255 if self.pictures else self.observations
        return [self._trajectory(agent, [[rows] for rows in observations[agent]]) for agent in range(AGENTS)]

    def _trajectory(self, agent: int, observations: list[list[np.ndarray]]) -> Trajectory:
        steps = [
            AgentExperience(
                obs=observations[t],
                reward=self.rewards[agent, t],
                done=self.done[agent, t],
                action=ActionTuple(np.zeros(0, np.float32), self.actions[agent, t : t + 1]),
                action_probs=LogProbsTuple.empty_log_probs(),
                action_mask=[np.zeros(3, bool)],
                prev_action=self.actions[agent, t : t + 1],
                interrupted=False,
                memory=None,
                group_status=[],
                group_reward=0.0,
            )
            for t in range(HORIZON)
        ]
        return Trajectory(steps, observations[HORIZON], [], str(agent), "Behavior?team=0")

    @property
    def payload(self) -> int:
        """Bytes of one transition: observation, action, previous action, mask, reward, group reward, end."""
        return self.observations[0, 0].nbytes + 4 + 4 + 3 + 4 + 4 + 1


class Ours:
    """A buffer of this repository."""

    name = "ours"

    def __init__(self, capacity: int, round_: Round) -> None:
        self.buffer = self.make(capacity)

    def make(self, capacity: int) -> ReplayBuffer:
        """The buffer itself."""
        return ReplayBuffer(capacity)

    def insert(self, round_: Round) -> None:
        """Adds STEPS transitions."""
        for segment in round_.segments:
            self.buffer.add(segment)

    def insert_trajectories(self, trajectories: list[Trajectory]) -> None:
        """Adds the same from ML-Agents' objects."""
        for trajectory in trajectories:
            self.buffer.add(trajectory_to_segment(trajectory, ACTIONS))

    def sample(self) -> list[torch.Tensor]:
        """BATCH transitions as tensors."""
        batch = self.buffer.sample_mini_batch(BATCH)
        return [ModelUtils.list_to_tensor(batch[key]) for key in KEYS]


class OursPrioritized(Ours):
    """The same with priorities."""

    buffer: PrioritizedReplayBuffer

    def make(self, capacity: int) -> ReplayBuffer:
        return PrioritizedReplayBuffer(capacity)

    def sample(self) -> list[torch.Tensor]:
        batch = self.buffer.sample_mini_batch(BATCH)
        self.drawn = batch[ReplayKey.SERIAL]
        return [ModelUtils.list_to_tensor(batch[key]) for key in (*KEYS, ReplayKey.WEIGHT)]

    def update(self, errors: np.ndarray) -> None:
        """Judges the transitions of the last sample."""
        self.buffer.update_priorities(self.drawn, errors)


class MLAgents:
    """AgentBuffer; it samples all of its keys."""

    name = "AgentBuffer"

    def __init__(self, capacity: int, round_: Round) -> None:
        self.buffer = AgentBuffer()

    def insert_trajectories(self, trajectories: list[Trajectory]) -> None:
        for trajectory in trajectories:
            trajectory.to_agentbuffer().resequence_and_append(self.buffer, training_length=1)

    def sample(self) -> list[torch.Tensor]:
        batch = self.buffer.sample_mini_batch(BATCH)
        return [ModelUtils.list_to_tensor(batch[key]) for key in KEYS]


class StableBaselines:
    """Stable-Baselines3; it has no prioritised replay."""

    name = "SB3"

    def __init__(self, capacity: int, round_: Round) -> None:
        low, high = (0, 255) if round_.pictures else (-np.inf, np.inf)
        space = gymnasium.spaces.Box(low, high, round_.shape, round_.observations.dtype.type)
        self.buffer = StableBaselinesBuffer(
            capacity,
            space,
            gymnasium.spaces.Discrete(3),
            device="cpu",
            n_envs=AGENTS,
            optimize_memory_usage=round_.pictures,
            handle_timeout_termination=not round_.pictures,
        )
        self.infos: list[dict[str, Any]] = [{} for _ in range(AGENTS)]

    def insert(self, round_: Round) -> None:
        observations = round_.observations
        for t in range(HORIZON):
            self.buffer.add(
                observations[:, t],
                observations[:, t + 1],
                round_.actions[:, t],
                round_.rewards[:, t],
                round_.done[:, t],
                self.infos,
            )

    def sample(self) -> list[torch.Tensor]:
        batch = self.buffer.sample(BATCH)
        return tensors(batch.observations, batch.next_observations, batch.actions, batch.rewards, batch.dones)


class Cpprb:
    """cpprb; uniform without `alpha`."""

    name = "cpprb"

    def __init__(self, capacity: int, round_: Round, alpha: float | None = None) -> None:
        observation = {"shape": round_.shape, "dtype": round_.observations.dtype}
        columns = {"obs": observation, "act": {"dtype": np.int32}, "rew": {}, "done": {"dtype": np.uint8}}
        kind, kwargs = (cpprb.ReplayBuffer, {}) if alpha is None else (cpprb.PrioritizedReplayBuffer, {"alpha": alpha})
        self.buffer = kind(capacity, columns, next_of="obs", **kwargs)
        self.alpha = alpha

    def insert(self, round_: Round) -> None:
        for agent, observations in enumerate(round_.observations):
            self.buffer.add(
                obs=observations[:-1],
                next_obs=observations[1:],
                act=round_.actions[agent],
                rew=round_.rewards[agent],
                done=round_.done[agent],
            )
            self.buffer.on_episode_end()

    def sample(self) -> list[torch.Tensor]:
        batch = self.buffer.sample(BATCH) if self.alpha is None else self.buffer.sample(BATCH, beta=0.4)
        self.drawn = batch.get("indexes")
        return tensors(*(batch[name] for name in ("obs", "next_obs", "act", "rew", "done")))

    def update(self, errors: np.ndarray) -> None:
        self.buffer.update_priorities(self.drawn, errors)


class Tianshou:
    """Tianshou, with one ring for each agent."""

    name = "Tianshou"
    agents = np.arange(AGENTS)

    def __init__(self, capacity: int, round_: Round, alpha: float | None = None) -> None:
        kwargs: dict[str, Any] = {"buffer_num": AGENTS, "ignore_obs_next": round_.pictures}
        if alpha is None:
            self.buffer = tianshou.VectorReplayBuffer(capacity, **kwargs)
        else:
            self.buffer = tianshou.PrioritizedVectorReplayBuffer(capacity, alpha=alpha, beta=0.4, **kwargs)

    def insert(self, round_: Round) -> None:
        observations, nothing = round_.observations, np.zeros(AGENTS, bool)
        for t in range(HORIZON):
            step = tianshou.Batch(
                obs=observations[:, t],
                act=round_.actions[:, t],
                rew=round_.rewards[:, t],
                terminated=round_.done[:, t],
                truncated=nothing,
                obs_next=observations[:, t + 1],
                info={},
            )
            self.buffer.add(step, buffer_ids=self.agents)

    def sample(self) -> list[torch.Tensor]:
        batch, self.drawn = self.buffer.sample(BATCH)
        return tensors(batch.obs, batch.obs_next, batch.act, batch.rew, batch.done)

    def update(self, errors: np.ndarray) -> None:
        self.buffer.update_weight(self.drawn, errors)


def tensors(observation: Any, next_observation: Any, *others: Any) -> list[torch.Tensor]:
    """Arrays as float32 tensors, pictures in [0, 1]."""
    pictures = [torch.as_tensor(rows) for rows in (observation, next_observation)]
    scaled = [rows.float().div_(255) if rows.dtype == torch.uint8 else rows for rows in pictures]
    return [*scaled, *(torch.as_tensor(column, dtype=torch.float32) for column in others)]


UNIFORM: list[Callable[[int, Round], Any]] = [StableBaselines, Cpprb, Tianshou, Ours]
PRIORITIZED: list[Callable[[int, Round], Any]] = [
    partial(Cpprb, alpha=0.6),
    partial(Tianshou, alpha=0.6),
    OursPrioritized,
]
