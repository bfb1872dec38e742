"""The base of every trainer of ours: trajectories come in as arrays, and a run is saved, resumed and ended."""

from abc import abstractmethod
from collections.abc import Mapping
from numbers import Number
from pathlib import Path
from typing import Any

import numpy as np
from mlagents.torch_utils import torch
from mlagents.trainers.behavior_id_utils import BehaviorIdentifiers
from mlagents.trainers.buffer import BufferKey
from mlagents.trainers.exception import TrainerConfigError, UnityTrainerException
from mlagents.trainers.optimizer import Optimizer
from mlagents.trainers.optimizer.torch_optimizer import TorchOptimizer
from mlagents.trainers.policy import Policy
from mlagents.trainers.policy.checkpoint_manager import ModelCheckpoint, ModelCheckpointManager
from mlagents.trainers.settings import TrainerSettings
from mlagents.trainers.trainer.rl_trainer import RLTrainer
from mlagents.trainers.trajectory import Trajectory
from mlagents_envs.logging_util import get_logger
from mlagents_envs.side_channel.stats_side_channel import StatsAggregationMethod

from mlagents_plugin_shared.acting.exploring import ExploringPolicy
from mlagents_plugin_shared.data import Batch
from mlagents_plugin_shared.data.trajectories import Segment, trajectory_to_segment
from mlagents_plugin_shared.learning.networks import update_normalization
from mlagents_plugin_shared.run.agent_manager import ArrayAgentManager
from mlagents_plugin_shared.run.chance import Chance
from mlagents_plugin_shared.run.checkpoint_files import is_new_in_run, run_folder_of
from mlagents_plugin_shared.run.checkpoints import CheckpointSaver
from mlagents_plugin_shared.run.episodes import Episodes
from mlagents_plugin_shared.run.export import ExportError
from mlagents_plugin_shared.run.files import check_writable
from mlagents_plugin_shared.run.freed_memory import keep_freed_memory
from mlagents_plugin_shared.run.goals import Goals
from mlagents_plugin_shared.run.host.run_folder import not_writable
from mlagents_plugin_shared.run.host.training_status import write_training_status
from mlagents_plugin_shared.run.intake import IntakeCheck
from mlagents_plugin_shared.run.parts import Stateful, load_parts, save_parts
from mlagents_plugin_shared.run.rounds import Rounds
from mlagents_plugin_shared.run.saves import Saves
from mlagents_plugin_shared.run.settings import CheckedSettings
from mlagents_plugin_shared.run.summary import RunSummary, is_told_by_a_writer, report_often

logger = get_logger(__name__)


class PluginTrainer(RLTrainer):
    """Base of `ReplayTrainer` and `RolloutTrainer`; to be mixed in before ML-Agents' off- or on-policy trainer.

    A plugin derives its trainer from one of the two and writes `get_trainer_name`, `create_policy` and
    `create_optimizer`. Beyond these it may override every method below without an underscore, and extend `parts` by
    what else has to survive a resume. Methods with an underscore are ML-Agents' own hooks, or details.

    Attributes:
        rounds: the round of `advance` that is going on, and what is due at its end.
        episodes: returns of the last episodes.
        goals: `stop_at_reward` and `keep_best`.
        saves: the last checkpoint of this run.
        summary: score of the behaviour, for the line at the end of the run.
        chance: streams of chance.
        agent_manager: the class that makes trajectories of a player's messages.
    """

    agent_manager = ArrayAgentManager
    seed: int
    load: bool
    _next_save_step: int

    def __init__(
        self, behavior_name: str, reward_buff_cap: int, trainer_settings: TrainerSettings, *args: Any, **kwargs: Any
    ) -> None:
        keep_freed_memory()
        report_often(trainer_settings)
        super().__init__(behavior_name, reward_buff_cap, trainer_settings, *args, **kwargs)
        own = Path(self.artifact_path)
        self._run_folder = run_folder_of(self.brain_name, own)
        if self.load and self.is_training and is_new_in_run(own, self._run_folder):
            self.load = self.model_saver.load = False
            logger.warning(f"{self.brain_name}: the run has no checkpoint of it, only of others: it begins anew.")
        settings = self.trainer_settings.hyperparameters
        checked = settings if isinstance(settings, CheckedSettings) else CheckedSettings()
        self.rounds = Rounds()
        self.episodes = Episodes(checked.reward_window, self.reward_buffer)
        self.goals = Goals(self.brain_name, checked)
        self.saves = Saves(self.brain_name, own, resumes=self.load)
        self.summary = RunSummary(
            self.brain_name, checked.reward_window, self_play=trainer_settings.self_play is not None
        )
        self.chance = Chance(self.seed, self.brain_name)
        self._intake = IntakeCheck(self.brain_name)
        self.model_saver.behavior_name = self.brain_name
        self.model_saver.trainer_state = lambda: save_parts(trainer_settings.trainer_type, self.parts())
        self.model_saver.on_loaded = lambda whole: self.optimizer.on_loaded(whole)

    @staticmethod
    def create_model_saver(trainer_settings: TrainerSettings, model_path: str, load: bool) -> CheckpointSaver:
        """Saver of checkpoints, see `mlagents_plugin_shared.run.checkpoints`."""
        return CheckpointSaver(trainer_settings, model_path, load)

    # Policies

    def get_policy(self, name_behavior_id: str) -> Policy:
        """The one policy of this trainer; in self-play it stands for every team."""
        return self.policy

    def add_policy(self, parsed_behavior_id: BehaviorIdentifiers, policy: Policy) -> None:
        """Takes the policy to train, if it can be exported, and on a resume everything that was saved with it.

        Raises:
            TrainerConfigError: the policy cannot be exported on this machine, or Unity would not accept its model;
                or the behaviour's folder cannot be written to.
            TypeError: there is no policy, or an optimizer without `update`.
        """
        if policy is None:
            raise TypeError(f"{type(self).__name__}.create_policy must return the policy, not None")
        if self.policies:
            self._add_team(parsed_behavior_id, policy)
            return
        super().add_policy(parsed_behavior_id, policy)
        if self.is_training:
            if type(self.optimizer).update is TorchOptimizer.update:  # which does nothing
                raise TypeError(f"{type(self.optimizer).__name__}.update is not written")
            self._make_sure_of_saving()
            self.prepare()
            if self.load:
                self._resume()
            elif self.model_saver.origin.trainer_type == self.trainer_settings.trainer_type:
                self.optimizer.begin_from(self.model_saver.origin.states.get("optimizer", {}))
            self.optimizer.anneal_imitation()
        self.chance.note()

    def _add_team(self, parsed_behavior_id: BehaviorIdentifiers, policy: Policy) -> None:
        """Another team, without self-play: it acts as the first one does, whose policy goes on learning.

        ML-Agents would train the new policy from now on, and lose what the first one has learned.
        """
        logger.warning(
            f"{self.brain_name}: there are several teams, and all are trained as one; self_play lets them play against "
            "each other."
        )
        try:
            policy.load_weights(self.policy.get_weights())
        except RuntimeError as error:
            raise TrainerConfigError(
                f"{self.brain_name}: team {parsed_behavior_id.team_id} has other observations or actions than the "
                "first team; give it a Behavior Name of its own."
            ) from error
        policy.set_step(self.policy.get_current_step())
        self.policies[parsed_behavior_id.behavior_id] = policy

    def _make_sure_of_saving(self) -> None:
        try:
            self.model_saver.exporter.rehearse()
            check_writable(self.artifact_path)
        except ExportError as error:
            raise TrainerConfigError(f"{self.brain_name}: {error}") from error
        except OSError as error:
            raise TrainerConfigError(f"{self.brain_name}: {not_writable(self.artifact_path, error)}") from error

    @abstractmethod
    def prepare(self) -> None:
        """Makes ready for training what needs the policy, before a resumed run takes up its `parts`."""

    def stream_seed(self, *part: str) -> int:
        """Seed of the stream of a part of this trainer, see `derived_seed`.

        Args:
            part: whose stream it is, from the whole to the part, such as team and purpose.
        """
        return self.chance.seed_of(*part)

    def give_stream(self, policy: ExploringPolicy, parsed_behavior_id: BehaviorIdentifiers) -> None:
        """Gives a policy a stream of chance of its own; on a resume, all that was saved of it.

        To be called for every policy that a trainer creates: self-play asks for one that acts for each team, and for
        one that learns.

        Args:
            policy: the policy, just created.
            parsed_behavior_id: behaviour and team that it is for.
        """
        self.chance.give(policy, parsed_behavior_id.behavior_id)

    # What comes in

    def _process_trajectory(self, trajectory: Trajectory) -> None:
        super()._process_trajectory(trajectory)
        self.take_in(trajectory_to_segment(trajectory, self.policy.behavior_spec.action_spec))

    def receive(self) -> None:
        """Takes in what has come from elsewhere than the environments of this process, at the start of each round.

        There is nothing unless a trainer has another source. One that has calls `count_steps` and `take_in`.
        """

    def count_steps(self, steps: int) -> None:
        """Counts agent steps that did not come in a trajectory of ML-Agents; reports and checkpoints fall due by them.

        Args:
            steps: how many are taken in next.
        """
        self._maybe_write_summary(self.get_step + steps)
        self._maybe_save_model(self.get_step + steps)
        self._increment_step(steps, next(iter(self.policies)))

    def take_in(self, segment: Segment) -> None:
        """Takes in steps that are counted already: checks, statistics, normalisation and `store`.

        Args:
            segment: the next steps of an agent.
        """
        self._intake.check(segment, self.policy.behavior_spec.observation_specs)
        if self.episodes.was_cut(segment):
            self.forget_episode(segment.agent_id)
        batch = segment.batch()
        self._warn_if_group_reward(batch)
        if self.is_training and self._follows_normalization:
            self.update_normalization(segment)
        rewards = self.evaluate_rewards(batch)
        self._count_rewards(segment, rewards)
        if self.should_still_train:
            self.store(segment, rewards)
        if segment.terminated or segment.interrupted:
            self._update_end_episode_stats(segment.agent_id, self.optimizer)

    @abstractmethod
    def store(self, segment: Segment, rewards: dict[str, np.ndarray]) -> None:
        """Puts a segment into the buffer.

        Args:
            segment: T steps of one agent.
            rewards: [T] rewards of each reward stream, scaled by its strength.
        """

    @property
    def _follows_normalization(self) -> bool:
        """Whether the statistics by which observations are normalised still follow the data."""
        limit = self.hyperparameters.normalize_steps
        return self.policy.normalize and (limit is None or self.get_step <= limit)

    def update_normalization(self, segment: Segment) -> None:
        """Takes a segment into the statistics by which observations are normalised.

        Args:
            segment: T steps of one agent.
        """
        observations = [observation[:-1] for observation in segment.observations]
        for body in self.optimizer.network_bodies:
            update_normalization(body, observations)

    def evaluate_rewards(self, batch: Batch) -> dict[str, np.ndarray]:
        """[T] rewards of each reward stream, scaled by its strength.

        Args:
            batch: T steps.
        """
        return {
            name: signal.evaluate(batch) * signal.strength for name, signal in self.optimizer.reward_signals.items()
        }

    def _count_rewards(self, segment: Segment, rewards: dict[str, np.ndarray]) -> None:
        """Adds to the running returns of the agent's episode, for the statistics."""
        environment = segment.columns[BufferKey.ENVIRONMENT_REWARDS]
        self.collected_rewards["environment"][segment.agent_id] += np.sum(environment)
        self.episodes.add_group_rewards(segment)
        for name, stream in rewards.items():
            self.collected_rewards[name][segment.agent_id] += np.sum(stream)

    # Episodes

    def forget_episode(self, agent_id: str) -> None:
        """Drops what is known of an agent's running episode, which was cut: nothing leads from it to the next one.

        Args:
            agent_id: the agent.
        """
        for rewards in self.collected_rewards.values():
            rewards.pop(agent_id, None)
        self.episodes.forget(agent_id)

    def drop_agent(self, agent_id: str) -> None:
        """Drops all that is known of an agent that will not act again: its running episode has no end.

        Args:
            agent_id: the agent.
        """
        self.forget_episode(agent_id)
        self.episodes.drop(agent_id)

    def forget_episodes(self) -> None:
        """Drops what is known of all running episodes, because the environment is reset."""
        self.episodes.clear()
        self.chance.end_episodes()

    def end_episode(self) -> None:
        """Ends all episodes, between two rounds: with `threaded`, ML-Agents asks for it in another thread."""
        with self.rounds.between():
            super().end_episode()
            self.forget_episodes()

    def _update_end_episode_stats(self, agent_id: str, optimizer: Optimizer) -> None:
        own = float(self.collected_rewards["environment"][agent_id])
        super()._update_end_episode_stats(agent_id, optimizer)
        group = self.episodes.finish(agent_id, own)
        if self._has_warned_group_rewards:
            self._stats_reporter.add_stat(
                "Environment/Group Cumulative Reward", group, aggregation=StatsAggregationMethod.HISTOGRAM
            )
        for rewards in self.collected_rewards.values():
            rewards.pop(agent_id, None)  # with Unity no other episode has this id

    def _policy_mean_reward(self) -> float | None:
        """What ML-Agents notes beside a checkpoint."""
        return self.episodes.mean

    # Rounds

    def advance(self) -> None:
        """One round: takes in what has arrived, updates when it is time, and saves when it is time."""
        with self.rounds.one(learns=lambda: self.should_still_train):
            self.receive()
            super().advance()
            if self.is_training:
                self._end_round()

    @property
    def should_still_train(self) -> bool:
        """Whether there are steps left to train, or a round to finish."""
        return self.rounds.learns or (super().should_still_train and not self.goals.is_reached)

    def _end_round(self) -> None:
        guard = self.optimizer.guard
        if guard.is_stuck:
            raise UnityTrainerException(
                f"{self.brain_name}: the last {guard.in_a_row} gradient steps could not be taken; {guard.reason}. "
                "Are rewards or observations too large, or is learning_rate too high? Nothing more is saved; --resume "
                f"goes on from {self.saves.describe_last()}."
            )
        self.chance.note()
        self._pursue_goals()
        if self.rounds.checkpoint_due and guard.in_a_row == 0:
            self.rounds.checkpoint_due = False
            self.saves.attempt("checkpoint", self._step, self._checkpoint)

    def _pursue_goals(self) -> None:
        """Ends the run where it is good enough, and keeps the best policy."""
        mean = self.episodes.mean_of_window
        ends = self.goals.notice(mean, self._step)
        if self.goals.is_best(mean) and (self.rounds.has_summary or ends):
            former, self.goals.best = self.goals.best, mean
            if not self.saves.attempt("best policy", self._step, self._keep_best):
                self.goals.best = former

    def _keep_best(self) -> None:
        self.model_saver.save_best(self.brain_name)
        best, window = self.goals.best, len(self.episodes.returns)
        logger.info(
            f"{self.brain_name}: the policy of step {self._step} is kept as {self.brain_name}-best.onnx, for the "
            f"highest mean reward over {window} episodes so far, {best:.3f}."
        )

    # Statistics

    def _update(self, batch: Batch, num_sequences: int) -> Mapping[str, Any]:
        """What the optimizer's `update` returns, if these are statistics."""
        stats = self.optimizer.update(batch, num_sequences)
        method = f"{type(self.optimizer).__name__}.update"
        if not isinstance(stats, Mapping):
            raise TypeError(f"{method} must return a dictionary of statistics by TensorBoard tag, not {stats!r}")
        for tag, value in stats.items():
            if not isinstance(value, (torch.Tensor, Number, np.ndarray)):
                raise TypeError(f"{method} must return numbers, or tensors of one number; {tag!r} is {value!r}")
        return stats

    def report(self, stats: dict[str, list]) -> None:
        """Reports the mean of each statistic that updates returned; tensors leave their device here, at once.

        Args:
            stats: numbers, or tensors of one number, by TensorBoard tag.
        """
        tensors = {name: torch.stack(values).mean() for name, values in stats.items() if torch.is_tensor(values[0])}
        means = dict(zip(tensors, torch.stack(list(tensors.values())).tolist(), strict=True)) if tensors else {}
        for name, values in stats.items():
            self._stats_reporter.add_stat(name, means[name] if name in means else float(np.mean(values)))

    def _write_summary(self, step: int) -> None:
        self._stats_reporter.set_stat("Policy/Skipped Steps", float(self.optimizer.guard.skipped))
        self.rounds.has_summary = True
        self.summary.report(self.episodes.returns, step)
        super()._write_summary(step)

    # Checkpoints

    def _maybe_save_model(self, step_after_process: int) -> None:
        if self._next_save_step == 0:
            self._next_save_step = self._get_next_interval_step(self.trainer_settings.checkpoint_interval)
        # ML-Agents would write checkpoints in --inference too, over those of the training.
        if self.is_training and step_after_process >= self._next_save_step and self._step != 0:
            self.rounds.checkpoint_due = True

    def _checkpoint(self) -> ModelCheckpoint:
        """Writes a checkpoint of this step, unless it is there; a run may end where one fell due."""
        if self.saves.last is None or self.saves.last.steps != self._step:
            listed = ModelCheckpointManager.get_checkpoints(self.brain_name)
            listed[:] = [checkpoint for checkpoint in listed if checkpoint["steps"] != self._step]
            self.saves.last = super()._checkpoint()
            write_training_status(self._run_folder)
        return self.saves.last

    def save_model(self) -> None:
        """Saves the final checkpoint and model, once a round that is still going on has ended.

        Where the policy or the optimizer could not be created there is nothing to save.

        Raises:
            UnityTrainerException: they could not be written.
        """
        with self.rounds.between():
            if self.optimizer is None or self.optimizer.guard.is_stuck:
                return
            self.saves.must("final checkpoint and model", self._step, lambda: RLTrainer.save_model(self))
            if not is_told_by_a_writer(self.brain_name):
                self._say_what_was_reached()

    def _say_what_was_reached(self) -> None:
        model = Path(f"{self.model_saver.model_path}.onnx")
        reached, returns = self.goals.is_reached, self.episodes.returns
        logger.info(self.summary.end(returns, self._step, self.get_max_steps, model, goal_reached=reached))

    # What survives

    def parts(self) -> dict[str, Stateful]:
        """What survives a resume beside networks and torch optimizers, by name.

        To be extended where a trainer has more: `{**super().parts(), "pool": self.pool}`. The order matters little;
        states are taken up from the last to the first, so that streams of chance are not drawn from any more.
        """
        return {
            "chance": self.chance,
            "episodes": self.episodes,
            "goals": self.goals,
            "summary": self.summary,
            "optimizer": self.optimizer,
        }

    def _resume(self) -> None:
        """Takes up the parts in the checkpoint, unless another algorithm wrote it."""
        (wrote, states), trains = self.model_saver.origin, self.trainer_settings.trainer_type
        if wrote != trains:
            origin = f"trainer_type: {wrote}" if wrote else "a trainer of ML-Agents"
            logger.warning(
                f"{self.brain_name}: the checkpoint is of {origin}, not of {trains}; only what fits of its networks is "
                "used."
            )
            return
        best = self.model_saver.best_parts(self.brain_name).get("goals", {"best": None})  # the file says what it holds
        load_parts(self.parts(), {**states, "goals": best}, self.brain_name)
        self.goals.notice(self.episodes.mean_of_window, self._step)
