"""What a trainer writes and when, and what a resumed run takes up again."""

import shutil
import threading
from abc import abstractmethod
from collections import defaultdict, deque
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Any

from mlagents.trainers.behavior_id_utils import BehaviorIdentifiers
from mlagents.trainers.exception import TrainerConfigError, UnityTrainerException
from mlagents.trainers.model_saver.torch_model_saver import DEFAULT_CHECKPOINT_NAME
from mlagents.trainers.optimizer import Optimizer
from mlagents.trainers.policy import Policy
from mlagents.trainers.policy.checkpoint_manager import ModelCheckpoint, ModelCheckpointManager
from mlagents.trainers.settings import TrainerSettings
from mlagents.trainers.trainer.rl_trainer import RLTrainer
from mlagents_envs.logging_util import get_logger
from mlagents_envs.side_channel.stats_side_channel import StatsAggregationMethod

from mlagents_plugin_shared.acting.exploring import ExploringPolicy
from mlagents_plugin_shared.data.memory import format_bytes
from mlagents_plugin_shared.run.checkpoint_files import CheckpointError, has_checkpoint
from mlagents_plugin_shared.run.checkpoints import CheckpointSaver
from mlagents_plugin_shared.run.export import ExportError
from mlagents_plugin_shared.run.files import check_writable
from mlagents_plugin_shared.run.host.run_folder import not_writable
from mlagents_plugin_shared.run.host.training_status import write_training_status
from mlagents_plugin_shared.run.random_state import (
    derived_seed,
    numpy_state,
    restore_numpy,
    restore_torch,
    torch_state,
)
from mlagents_plugin_shared.run.settings import CheckedSettings
from mlagents_plugin_shared.run.summary import RunSummary, report_often

logger = get_logger(__name__)

# What writing a checkpoint may raise; torch and h5py say RuntimeError where a disk is full.
_NOT_WRITTEN = (OSError, RuntimeError, CheckpointError)


class SavingTrainer(RLTrainer):
    """Saves between two rounds of the training loop, when all that has arrived was learnt from.

    A round is one call of `advance`. A checkpoint that falls due in it is written at its end, so that it is the state
    of a moment from which a run can go on: nothing is half done. The round in which `max_steps` is reached is finished
    like any other.

    A subclass adds to `_state` and `_restore` what else has to survive.
    """

    seed: int
    _next_save_step: int

    def __init__(
        self, behavior_name: str, reward_buff_cap: int, trainer_settings: TrainerSettings, *args: Any, **kwargs: Any
    ) -> None:
        report_often(trainer_settings)
        super().__init__(behavior_name, reward_buff_cap, trainer_settings, *args, **kwargs)
        settings = self.trainer_settings.hyperparameters
        self._goals = settings if isinstance(settings, CheckedSettings) else CheckedSettings()
        self._group_rewards: defaultdict[str, float] = defaultdict(float)
        self._returns: deque[float] = deque(maxlen=self._goals.reward_window)
        self._summary = RunSummary(
            self.brain_name, self._goals.reward_window, self_play=trainer_settings.self_play is not None
        )
        self._best: float | None = None
        self._reached_goal = False
        self._writes_summary = False
        self._checkpoint_due = False
        self._last_checkpoint: ModelCheckpoint | None = None
        self._in_learning_round = False
        self._explorers: defaultdict[str, list[ExploringPolicy]] = defaultdict(list)
        self._resumed_explorers: dict[str, list[dict[str, Any]]] = {}
        self._acting: dict[str, Any] = {}
        self._round = threading.RLock()
        self._run_folder = self._find_run_folder()
        self.model_saver.behavior_name = self.brain_name
        self.model_saver.trainer_state = self._state
        self.model_saver.on_loaded = lambda whole: self.optimizer.on_loaded(whole)
        if self._is_new_in_resumed_run():
            self.load = self.model_saver.load = False
            logger.warning(f"{self.brain_name}: the run has no checkpoint of it, only of others: it begins anew.")

    def _find_run_folder(self) -> Path:
        """`results/<run>`; the behaviour's own folder lies in it, deeper where its name has slashes."""
        name = PurePath(self.brain_name)
        if name.is_absolute() or name.drive or ".." in name.parts or not name.parts:
            raise TrainerConfigError(
                f"Behavior {self.brain_name!r}: its files would lie outside of the run's folder; choose another "
                "Behavior Name in the agent's Behavior Parameters."
            )
        return Path(self.artifact_path).parents[len(name.parts) - 1]

    def _is_new_in_resumed_run(self) -> bool:
        """Whether the run that is resumed was never saved with this behaviour, but was with others."""
        own = Path(self.artifact_path)
        return (
            self.load
            and self.is_training
            and not has_checkpoint(own)
            and any(file.parent != own for file in self._run_folder.rglob(DEFAULT_CHECKPOINT_NAME))
        )

    @staticmethod
    def create_model_saver(trainer_settings: TrainerSettings, model_path: str, load: bool) -> CheckpointSaver:
        """Saver of checkpoints, see `mlagents_plugin_shared.run.checkpoints`."""
        return CheckpointSaver(trainer_settings, model_path, load)

    def add_policy(self, parsed_behavior_id: BehaviorIdentifiers, policy: Policy) -> None:
        """Takes the policy to train, if it can be exported, and on a resume everything that was saved with it.

        Raises:
            TrainerConfigError: the policy cannot be exported on this machine, or Unity would not accept its model;
                or the behaviour's folder cannot be written to.
        """
        if self.policies:
            self._add_team(parsed_behavior_id, policy)
            return
        super().add_policy(parsed_behavior_id, policy)
        if self.is_training:
            self._make_sure_of_saving()
            self.prepare()
            if self.load:
                self._resume(self.model_saver.resumed_state)
        self._acting = self._acting_state()

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
        """Makes ready for training what needs the policy."""

    # Chance

    def stream_seed(self, *part: str) -> int:
        """Seed of the stream of a part of this trainer, see `derived_seed`."""
        return derived_seed(self.seed, self.brain_name, *part)

    def give_stream(self, policy: ExploringPolicy, parsed_behavior_id: BehaviorIdentifiers) -> None:
        """Gives a policy a stream of chance of its own; on a resume, all that was saved of it.

        To be called for every policy that a trainer creates: self-play asks for one that acts for each team, and for
        one that learns.

        Args:
            policy: the policy, just created.
            parsed_behavior_id: behaviour and team that it is for.
        """
        behavior_id = parsed_behavior_id.behavior_id
        others = self._explorers[behavior_id]
        policy.generator.manual_seed(self.stream_seed(behavior_id, "policy", str(len(others))))
        if saved := self._resumed_explorers.get(behavior_id, [])[len(others) :]:
            policy.restore_acting(saved[0])
        others.append(policy)

    # Rounds

    def advance(self) -> None:
        """One round: takes in what has arrived, updates when it is time, and saves when it is time."""
        with self._round:
            try:
                self._in_learning_round = self.should_still_train
                super().advance()
                if self.is_training:
                    self._end_round()
            finally:
                self._in_learning_round = False

    @property
    def should_still_train(self) -> bool:
        """Whether there are steps left to train, or a round to finish."""
        return self._in_learning_round or (super().should_still_train and not self._reached_goal)

    def _end_round(self) -> None:
        guard = self.optimizer.guard
        if guard.is_stuck:
            raise UnityTrainerException(
                f"{self.brain_name}: the last {guard.in_a_row} gradient steps could not be taken; {guard.reason}. "
                "Are rewards or observations too large, or is learning_rate too high? Nothing more is saved; --resume "
                f"goes on from {self._describe_last()}."
            )
        self._acting = self._acting_state()
        self._judge()
        if self._checkpoint_due and guard.in_a_row == 0:
            self._checkpoint_due = False
            self._try_to_write("checkpoint", self._checkpoint)

    # Rewards

    @property
    def _mean_return(self) -> float | None:
        """Mean reward of the last `reward_window` episodes; None until there are so many."""
        if len(self._returns) < self._goals.reward_window:
            return None
        return sum(self._returns) / len(self._returns)

    def _policy_mean_reward(self) -> float | None:
        """What ML-Agents notes beside a checkpoint: the mean reward of the last episodes, up to `reward_window`."""
        return sum(self._returns) / len(self._returns) if self._returns else None

    def _update_end_episode_stats(self, agent_id: str, optimizer: Optimizer) -> None:
        """Counts an episode: its return is what the agent itself and its group were given, as learning adds them up."""
        group = self._group_rewards.pop(agent_id, 0.0)
        episode_return = float(self.collected_rewards["environment"][agent_id]) + group
        super()._update_end_episode_stats(agent_id, optimizer)
        self._returns.append(episode_return)
        self.reward_buffer[0] = episode_return  # a curriculum's measure; ML-Agents has noted the agent's own alone
        if self._has_warned_group_rewards:
            self._stats_reporter.add_stat(
                "Environment/Group Cumulative Reward", group, aggregation=StatsAggregationMethod.HISTOGRAM
            )
        for rewards in self.collected_rewards.values():
            rewards.pop(agent_id, None)  # with Unity no other episode has this id

    def end_episode(self) -> None:
        """Ends all episodes, because the environment is reset."""
        super().end_episode()
        self._group_rewards.clear()
        for policies in self._explorers.values():
            for policy in policies:
                policy.end_episodes()

    def _write_summary(self, step: int) -> None:
        self._stats_reporter.set_stat("Policy/Skipped Steps", float(self.optimizer.guard.skipped))
        self._writes_summary = True
        self._summary.report(self._returns, step)
        super()._write_summary(step)

    def _judge(self) -> None:
        """Ends the run where it is good enough, and keeps the best policy: both by the same mean."""
        ends = self._notice_goal()
        mean = self._mean_return
        is_best = mean is not None and (self._best is None or mean > self._best)
        if self._goals.keep_best and is_best and (self._writes_summary or ends):
            former, self._best = self._best, mean
            if not self._try_to_write("best policy", self._keep_best):
                self._best = former
        self._writes_summary = False

    def _notice_goal(self) -> bool:
        """Whether the mean reward has just reached `stop_at_reward`."""
        mean, goal = self._mean_return, self._goals.stop_at_reward
        if self._reached_goal or goal is None or mean is None or mean < goal:
            return False
        self._reached_goal = True
        logger.info(
            f"{self.brain_name}: mean reward {mean:.3f} over {len(self._returns)} episodes reaches stop_at_reward "
            f"{goal} at step {self._step}: it has learned enough."
        )
        return True

    def _keep_best(self) -> None:
        self.model_saver.save_best(self.brain_name)
        logger.info(f"{self.brain_name}: mean reward {self._best:.3f} is the best so far; kept at step {self._step}.")

    # Files

    def _maybe_save_model(self, step_after_process: int) -> None:
        if self._next_save_step == 0:
            self._next_save_step = self._get_next_interval_step(self.trainer_settings.checkpoint_interval)
        # ML-Agents would write checkpoints in --inference too, over those of the training.
        if self.is_training and step_after_process >= self._next_save_step and self._step != 0:
            self._checkpoint_due = True

    def _checkpoint(self) -> ModelCheckpoint:
        """Writes a checkpoint of this step, unless it is there; a run may end where one fell due."""
        if self._last_checkpoint is None or self._last_checkpoint.steps != self._step:
            listed = ModelCheckpointManager.get_checkpoints(self.brain_name)
            listed[:] = [checkpoint for checkpoint in listed if checkpoint["steps"] != self._step]
            self._last_checkpoint = super()._checkpoint()
            write_training_status(self._run_folder)
        return self._last_checkpoint

    def _try_to_write(self, what: str, write: Callable[[], Any]) -> bool:
        """Writes, or says on the log that this could not be done, and why."""
        try:
            write()
            return True
        except _NOT_WRITTEN as error:
            logger.warning(
                f"{self.brain_name}: the {what} at step {self._step} was not written: {_first_line(error)} "
                f"({self._free_space()} are free). Training goes on, and the next one is tried again; the last whole "
                f"one is {self._describe_last()}."
            )
            return False

    def save_model(self) -> None:
        """Saves the final checkpoint and model, once a round that is still going on has ended.

        Raises:
            UnityTrainerException: they could not be written.
        """
        with self._round:
            if self.policies and self.optimizer.guard.is_stuck:
                return
            try:
                RLTrainer.save_model(self)
            except _NOT_WRITTEN as error:
                raise UnityTrainerException(
                    f"{self.brain_name}: the final checkpoint and model at step {self._step} were not written: "
                    f"{_first_line(error)} ({self._free_space()} are free). --resume goes on from "
                    f"{self._describe_last()}."
                ) from error
            if self.policies:
                self._say_what_was_reached()

    def _say_what_was_reached(self) -> None:
        model = Path(f"{self.model_saver.model_path}.onnx")
        line = self._summary.end(self._returns, self._step, self.get_max_steps, model, goal_reached=self._reached_goal)
        logger.info(line)

    def _free_space(self) -> str:
        folder = Path(self.artifact_path)
        return format_bytes(shutil.disk_usage(folder if folder.is_dir() else Path.cwd()).free)

    def _describe_last(self) -> str:
        if self._last_checkpoint is None:
            return "the checkpoint that this run began from" if self.load else "nothing: there is no checkpoint yet"
        return f"step {self._last_checkpoint.steps}"

    # What survives

    def _acting_state(self) -> dict[str, Any]:
        """Random generators that acting draws from, and what policies keep of agents.

        It is noted at the end of each round: decisions that were asked for when a run stops are asked for again.
        """
        explorers = {
            behavior_id: [policy.acting_state() for policy in policies]
            for behavior_id, policies in list(self._explorers.items())
        }
        return {"torch": torch_state(), "explorers": explorers}

    def _restore_acting(self, acting: dict[str, Any]) -> None:
        restore_torch(acting["torch"])
        self._resumed_explorers = acting.get("explorers", {})  # checkpoints of 0.1 have none: these streams begin anew
        for behavior_id, policies in self._explorers.items():
            for policy, state in zip(policies, self._resumed_explorers.get(behavior_id, []), strict=False):
                policy.restore_acting(state)  # self-play creates more of them, which `give_stream` restores

    def _state(self) -> dict[str, Any]:
        """What a checkpoint holds beside networks and optimizers: numbers, strings and tensors."""
        return {
            "trainer_type": self.trainer_settings.trainer_type,
            "acting": self._acting,
            "numpy": numpy_state(),
            "reward_buffer": [float(reward) for reward in self.reward_buffer],
            "returns": list(self._returns),
            "best": self._best,
            "summary": self._summary.state(),
            "skipped": self.optimizer.guard.skipped,
            "learned_signals": self.optimizer.learned_signals(),
        }

    def _resume(self, state: dict[str, Any]) -> None:
        """Takes up the state in the checkpoint, unless another algorithm wrote it."""
        wrote, trains = state.get("trainer_type"), self.trainer_settings.trainer_type
        if wrote == trains:
            self._restore(state)
        else:
            origin = f"trainer_type: {wrote}" if wrote else "a trainer of ML-Agents"
            logger.warning(
                f"{self.brain_name}: the checkpoint is of {origin}, not of {trains}; only what fits of its networks is "
                "used."
            )

    def _restore(self, state: dict[str, Any]) -> None:
        """Takes up what `_state` gave."""
        self.reward_buffer.extend(state["reward_buffer"])
        self._returns.extend(state["returns"])
        self._best = self.model_saver.best_state(self.brain_name).get("best")  # the file says what it holds
        self._summary.restore(state.get("summary", {}))
        self.optimizer.guard.skipped = state["skipped"]
        self.optimizer.restore_learned_signals(state["learned_signals"])
        self._notice_goal()
        restore_numpy(state["numpy"])
        self._restore_acting(state["acting"])


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
