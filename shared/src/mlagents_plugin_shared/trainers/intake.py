"""What on-policy and off-policy trainers share: taking in trajectories, statistics and saving."""

from abc import abstractmethod

import numpy as np
from mlagents.torch_utils import torch
from mlagents.trainers.behavior_id_utils import BehaviorIdentifiers
from mlagents.trainers.buffer import BufferKey
from mlagents.trainers.exception import TrainerConfigError, UnityTrainerException
from mlagents.trainers.policy import Policy
from mlagents.trainers.settings import TrainerSettings
from mlagents.trainers.trainer.rl_trainer import RLTrainer
from mlagents.trainers.trajectory import Trajectory

from mlagents_plugin_shared.buffers import Batch
from mlagents_plugin_shared.checkpoints import CheckpointSaver
from mlagents_plugin_shared.export import ExportError
from mlagents_plugin_shared.networks import update_normalization
from mlagents_plugin_shared.trajectories import Segment, trajectory_to_segment


class IntakeTrainer(RLTrainer):
    """Turns trajectories into arrays, keeps the episode statistics, and hands the arrays to `_store`.

    To be mixed in before ML-Agents' `OnPolicyTrainer` or `OffPolicyTrainer`.
    """

    _failure: Exception | None = None

    @staticmethod
    def create_model_saver(trainer_settings: TrainerSettings, model_path: str, load: bool) -> CheckpointSaver:
        """Saver of checkpoints, see `mlagents_plugin_shared.checkpoints`."""
        return CheckpointSaver(trainer_settings, model_path, load)

    def add_policy(self, parsed_behavior_id: BehaviorIdentifiers, policy: Policy) -> None:
        """Takes the policy to train, once it is known that its model can be exported.

        Raises:
            TrainerConfigError: the policy cannot be exported on this machine, or Unity would not accept its model.
        """
        super().add_policy(parsed_behavior_id, policy)
        if not self.is_training:
            return
        try:
            self.model_saver.exporter.rehearse()
        except ExportError as error:
            self.policies.clear()  # or ML-Agents would save, and so export, on its way out
            raise TrainerConfigError(f"{self.brain_name}: {error}") from error

    def get_policy(self, name_behavior_id: str) -> Policy:
        """The one policy of this trainer; in self-play it stands for every team."""
        return self.policy

    def _process_trajectory(self, trajectory: Trajectory) -> None:
        super()._process_trajectory(trajectory)
        segment = trajectory_to_segment(trajectory, self.policy.behavior_spec.action_spec)
        self._check_finite(segment)
        batch = segment.batch()
        self._warn_if_group_reward(batch)
        if self.is_training and self.policy.normalize:
            self._update_normalization(segment)
        rewards = self._evaluate_rewards(batch)
        self._count_rewards(segment, rewards)
        if self.should_still_train:
            self._store(segment, rewards)
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
        for name, rows in named.items():
            bad = rows[~np.isfinite(rows)]
            if bad.size:
                raise UnityTrainerException(
                    f"{self.brain_name}: {name} of agent {segment.agent_id} is {bad[0]}. "
                    "Look for a division by zero or an unset value in the environment."
                )

    @property
    def should_still_train(self) -> bool:
        """Whether there are steps left to train; the loop of ML-Agents asks it, and hears of a failed thread here."""
        if self._failure is not None:
            raise self._failure
        return super().should_still_train

    def advance(self) -> None:
        """Takes in trajectories and updates when it is time.

        With `threaded: true` this runs in a thread of its own, whose exceptions nobody else would notice.
        """
        try:
            super().advance()
        except Exception as failure:
            self._failure = failure
            raise

    def _maybe_save_model(self, step_after_process: int) -> None:
        # ML-Agents would write checkpoints in --inference too, over those of the training.
        if self.is_training:
            super()._maybe_save_model(step_after_process)

    @abstractmethod
    def _store(self, segment: Segment, rewards: dict[str, np.ndarray]) -> None:
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
        for name, stream in rewards.items():
            self.collected_rewards[name][segment.agent_id] += np.sum(stream)

    def _report(self, stats: dict[str, list]) -> None:
        """Reports the mean of each statistic that the updates returned; tensors leave their device here, at once."""
        tensors = {name: torch.stack(values).mean() for name, values in stats.items() if torch.is_tensor(values[0])}
        means = dict(zip(tensors, torch.stack(list(tensors.values())).tolist(), strict=True)) if tensors else {}
        for name, values in stats.items():
            self._stats_reporter.add_stat(name, means[name] if name in means else float(np.mean(values)))
