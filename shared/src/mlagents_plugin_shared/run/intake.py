"""What on-policy and off-policy trainers share: taking in trajectories, and statistics."""

from abc import abstractmethod
from typing import Any

import numpy as np
from mlagents.torch_utils import torch
from mlagents.trainers.buffer import BufferKey
from mlagents.trainers.exception import UnityTrainerException
from mlagents.trainers.policy import Policy
from mlagents.trainers.trajectory import Trajectory
from mlagents_envs.logging_util import get_logger

from mlagents_plugin_shared.data import Batch
from mlagents_plugin_shared.data.trajectories import Segment, describe_not_finite, trajectory_to_segment
from mlagents_plugin_shared.learning.networks import LARGEST_INPUT, update_normalization
from mlagents_plugin_shared.run.saving import SavingTrainer

logger = get_logger(__name__)


class IntakeTrainer(SavingTrainer):
    """Turns trajectories into arrays, keeps the episode statistics, and hands the arrays to `_store`.

    To be mixed in before ML-Agents' `OnPolicyTrainer` or `OffPolicyTrainer`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._open_ends: dict[str, list[np.ndarray]] = {}
        self._has_warned_large = False

    def get_policy(self, name_behavior_id: str) -> Policy:
        """The one policy of this trainer; in self-play it stands for every team."""
        return self.policy

    def _process_trajectory(self, trajectory: Trajectory) -> None:
        super()._process_trajectory(trajectory)
        segment = trajectory_to_segment(trajectory, self.policy.behavior_spec.action_spec)
        self._check_finite(segment)
        self._notice_cut(segment)
        batch = segment.batch()
        self._warn_if_group_reward(batch)
        if self.is_training and self.policy.normalize:
            self._update_normalization(segment)
        rewards = self._evaluate_rewards(batch)
        self._count_rewards(segment, rewards)
        if self.should_still_train:
            self.store(segment, rewards)
        if trajectory.done_reached:
            self._update_end_episode_stats(segment.agent_id, self.optimizer)

    def _check_finite(self, segment: Segment) -> None:
        """Refuses numbers that would spoil every weight of the network at the next update.

        Raises:
            UnityTrainerException: an observation or a reward is NaN or infinite.
        """
        sensors = self.policy.behavior_spec.observation_specs
        named = {f"sensor {spec.name}": rows for spec, rows in zip(sensors, segment.observations, strict=True)}
        named["the reward"] = segment.columns[BufferKey.ENVIRONMENT_REWARDS]
        named["the group reward"] = segment.columns[BufferKey.GROUP_REWARD]
        if fault := describe_not_finite(self.brain_name, segment.agent_id, named):
            raise UnityTrainerException(fault)
        for name, rows in named.items():
            largest = np.abs(rows).max(initial=0.0) if rows.ndim <= 2 else 0.0  # pictures have no large numbers
            if largest > LARGEST_INPUT and not self._has_warned_large:
                self._has_warned_large = True
                logger.warning(
                    f"{self.brain_name}: {name} of agent {segment.agent_id} is as large as {largest:g}. Scale it down "
                    f"in the environment: beyond {LARGEST_INPUT:g} it is left out of the normalisation."
                )

    def _notice_cut(self, segment: Segment) -> None:
        """Forgets an episode that ended without a word: the environment was reset, or its player started again.

        The agent's next segment then does not begin where the last one ended.
        """
        end = self._open_ends.pop(segment.agent_id, None)
        if end is not None and any((a != b[0]).any() for a, b in zip(end, segment.observations, strict=True)):
            self._forget_episode(segment.agent_id)
        if not (segment.terminated or segment.interrupted):
            self._open_ends[segment.agent_id] = [rows[-1].copy() for rows in segment.observations]

    def _forget_episode(self, agent_id: str) -> None:
        """Drops what is known of an agent's running episode."""
        for rewards in (*self.collected_rewards.values(), self._group_rewards):
            rewards.pop(agent_id, None)

    def end_episode(self) -> None:
        """Ends all episodes, because the environment is reset."""
        super().end_episode()
        self._open_ends.clear()

    @abstractmethod
    def store(self, segment: Segment, rewards: dict[str, np.ndarray]) -> None:
        """Puts a segment into the buffer.

        Args:
            segment: T steps of one agent.
            rewards: [T] rewards of each reward stream, scaled by its strength.
        """

    def _update_normalization(self, segment: Segment) -> None:
        observations = [observation[:-1] for observation in segment.observations]
        for body in self.optimizer.network_bodies:
            update_normalization(body, observations)

    def _evaluate_rewards(self, batch: Batch) -> dict[str, np.ndarray]:
        return {
            name: signal.evaluate(batch) * signal.strength for name, signal in self.optimizer.reward_signals.items()
        }

    def _count_rewards(self, segment: Segment, rewards: dict[str, np.ndarray]) -> None:
        """Adds to the running returns of the agent's episode, for the statistics."""
        environment = segment.columns[BufferKey.ENVIRONMENT_REWARDS]
        self.collected_rewards["environment"][segment.agent_id] += np.sum(environment)
        self._group_rewards[segment.agent_id] += float(np.sum(segment.columns[BufferKey.GROUP_REWARD]))
        for name, stream in rewards.items():
            self.collected_rewards[name][segment.agent_id] += np.sum(stream)

    def _report(self, stats: dict[str, list]) -> None:
        """Reports the mean of each statistic that the updates returned; tensors leave their device here, at once."""
        tensors = {name: torch.stack(values).mean() for name, values in stats.items() if torch.is_tensor(values[0])}
        means = dict(zip(tensors, torch.stack(list(tensors.values())).tolist(), strict=True)) if tensors else {}
        for name, values in stats.items():
            self._stats_reporter.add_stat(name, means[name] if name in means else float(np.mean(values)))
