"""Trainer of off-policy algorithms: replay, a fixed ratio of updates to steps, and a replay that survives a resume."""

import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attr
import numpy as np
from mlagents.torch_utils import torch
from mlagents.trainers.behavior_id_utils import BehaviorIdentifiers
from mlagents.trainers.exception import TrainerConfigError, UnityTrainerException
from mlagents.trainers.policy import Policy
from mlagents.trainers.settings import RewardSignalType
from mlagents.trainers.trainer.off_policy_trainer import OffPolicyTrainer
from mlagents_envs.logging_util import get_logger
from mlagents_envs.timers import timed

from mlagents_plugin_shared.data import (
    Batch,
    BufferMemoryError,
    MixedReplay,
    PrioritizedReplayBuffer,
    ReplayBuffer,
    ReplayKey,
)
from mlagents_plugin_shared.data.demonstrations import DemonstrationError, load_demonstrations
from mlagents_plugin_shared.data.trajectories import Segment, blank_segment
from mlagents_plugin_shared.learning.transitions import add_sequence_rewards, add_window_rewards
from mlagents_plugin_shared.maths import schedules
from mlagents_plugin_shared.run.actor_intake import ActorIntake
from mlagents_plugin_shared.run.experience_source import ActingBehavior, Delivery, Weights, create_source
from mlagents_plugin_shared.run.memory_refresh import MemoryRefresh
from mlagents_plugin_shared.run.parts import Part, Stateful
from mlagents_plugin_shared.run.plugin_trainer import PluginTrainer
from mlagents_plugin_shared.run.random_state import numpy_state, restore_numpy
from mlagents_plugin_shared.run.rates import Rates
from mlagents_plugin_shared.run.replay_settings import ReplaySettings
from mlagents_plugin_shared.run.saved_replay import SavedReplay

logger = get_logger(__name__)

# The learner goes on with what actors bring for so many seconds, before its own environments take another step.
_LONGEST_INTAKE = 1.0

# Seconds that it rests where it waits for actors, and they have brought nothing.
_REST = 0.001

# A replay that was given so many times its size, and held no complete transition when it mattered, never will.
_OVERWRITTEN = 20


class ReplayTrainer(PluginTrainer, OffPolicyTrainer):
    """Off-policy trainer on an array-backed replay buffer.

    Updates fall due at one in `steps_per_update` agent steps, however many agents there are, once the replay was given
    `buffer_init_steps` and a batch: as in ML-Agents' SAC, those count that it has overwritten since or cannot sample
    yet. A run that resumes without its replay first fills it again.
    A plugin's settings derive from `ReplaySettings`; it writes `create_policy` and `create_optimizer`. With `demo_path`
    a share `demo_ratio` of every batch are demonstrations, and the first `demo_pretraining_steps` updates of a run are
    on demonstrations alone.

    Attributes:
        hyperparameters: of the algorithm.
        replay: what batches are drawn from: `update_buffer`, or a mixture with `demonstrations`.
        demonstrations: their own replay, which is filled once and never overwritten; None without `demo_path`.
        actors: those that play elsewhere; None without `actors`.
    """

    hyperparameters: ReplaySettings

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.update_buffer = self._create_seeded(self.hyperparameters.buffer_size, "replay")
        self.replay: ReplayBuffer | MixedReplay = self.update_buffer
        self.demonstrations: ReplayBuffer | None = None
        self._memory_refresh: MemoryRefresh | None = None
        self._rates = Rates()
        self._updates_due = 0.0
        self._reward_updates_due = 0.0
        self._saved_replay = SavedReplay(self.brain_name, Path(self.artifact_path), self.saves)
        actors = self.hyperparameters.actors
        self.actors: ActorIntake | None = None
        if self.is_training and actors is not None and actors.count:
            self.actors = ActorIntake(actors, create_source(actors, self.brain_name))

    def create_replay(self, capacity: int) -> ReplayBuffer:
        """Creates a replay of so many transitions, prioritised if the settings say so.

        To be overridden for one of another kind; the trainer gives it its stream of chance.
        """
        settings = self.hyperparameters
        if not settings.prioritized_replay:
            return ReplayBuffer(capacity)
        beta = schedules.linear(
            settings.priority_initial_beta, settings.priority_final_beta, self.trainer_settings.max_steps
        )
        return PrioritizedReplayBuffer(capacity, alpha=settings.priority_alpha, beta=lambda: beta(self.get_step))

    def _create_seeded(self, capacity: int, part: str) -> ReplayBuffer:
        """A replay whose batches are drawn from a stream of its own, whatever `create_replay` seeds it with."""
        replay = self.create_replay(capacity)
        replay.generator = np.random.default_rng(self.stream_seed(part))
        return replay

    def add_policy(self, parsed_behavior_id: BehaviorIdentifiers, policy: Policy) -> None:
        """Takes the policy to train; once all is accepted, actors start to play by it."""
        is_first = not self.policies
        super().add_policy(parsed_behavior_id, policy)
        if is_first and self.actors is not None:
            settings = attr.evolve(
                self.trainer_settings, hyperparameters=attr.evolve(self.hyperparameters, actors=None)
            )
            behavior = ActingBehavior(parsed_behavior_id.behavior_id, policy.behavior_spec, settings, self.seed)
            self.actors.start(behavior, self._weights(), self.get_step)

    def _weights(self) -> Weights:
        """Those of the policy, on the CPU."""
        weights = self.policy.get_weights()
        return {name: value.cpu() if torch.is_tensor(value) else value for name, value in weights.items()}

    def advance(self) -> None:
        """A round; and more of them as long as actors bring what to learn from, before environments here go on."""
        super().advance()
        if self.actors is None:
            return
        self._publish()
        until = time.perf_counter() + _LONGEST_INTAKE
        while self.actors.goes_on and time.perf_counter() < until:
            if not self.actors.brought:
                time.sleep(_REST)
            super().advance()
            self._publish()

    def _publish(self) -> None:
        assert self.actors is not None
        with self.rounds.between():  # with `threaded: true` the run may be ending the actors
            self.actors.publish_if_due(self.get_step, self._weights)

    def receive(self) -> None:
        """Takes in what actors bring, as trajectories of this process; open episodes of those that are gone are lost.

        What is left over when the run has all of its steps is dropped, and the actors end.
        """
        if self.actors is None:
            return
        deliveries, gone = self.actors.receive(self.get_step)
        for delivery in deliveries:
            self._take_in_delivery(delivery)
        for agent_id in gone:
            self.drop_agent(agent_id)
        if self.get_step >= self.get_max_steps:
            self.actors.close()

    def _take_in_delivery(self, delivery: Delivery) -> None:
        for tag, value, aggregation in delivery.statistics:
            self._stats_reporter.add_stat(tag, value, aggregation)
        unknown: list[np.ndarray | None] = [None] * len(delivery.segments)
        for segment, errors_of_segment in zip(delivery.segments, delivery.errors or unknown, strict=True):
            if self.get_step < self.get_max_steps:
                self._take_in_counted(segment, errors_of_segment)

    def _take_in_counted(self, segment: Segment, errors: np.ndarray | None) -> None:
        """Counts a segment and takes it in.

        Args:
            segment: T steps of an agent.
            errors: [T] its first priorities; None for the largest so far.
        """
        before = self.update_buffer.serial
        self.count_steps(len(segment))
        self.take_in(segment)
        after = self.update_buffer.serial
        if errors is not None and after > before:
            self.update_buffer.update_priorities(np.arange(before, after), errors[len(segment) - (after - before) :])

    def drop_agent(self, agent_id: str) -> None:
        super().drop_agent(agent_id)
        self.update_buffer.end_episodes(agent_id)

    def save_model(self) -> None:
        """Saves the final checkpoint, replay and model, and ends the actors, whatever became of these.

        Raises:
            UnityTrainerException: one of them could not be written.
        """
        with self.rounds.between():  # a round that is going on takes in what they bring
            try:
                super().save_model()
            finally:
                if self.actors is not None:
                    self.actors.close()
        if not self._saved_replay.is_written and self.saves.last is not None and self.saves.last.steps == self._step:
            raise UnityTrainerException(
                f"{self.brain_name}: checkpoint and model at step {self._step} are written, the replay is not. "
                f"--resume goes on with {self._saved_replay.describe()}."
            )

    def prepare(self) -> None:
        """Makes the replay, on a resume as it was saved, and reads demonstrations.

        Before the first step of a run it learns from the demonstrations, if it is to.

        Raises:
            TrainerConfigError: the replay does not fit into the free memory, the saved one does not fit, or the
                demonstrations cannot be used.
        """
        try:
            self.update_buffer.reserve(blank_segment(self.policy.behavior_spec, self.policy.m_size))
            if self.load:
                self._resume_replay()
        except BufferMemoryError as error:
            raise TrainerConfigError(f"{self.brain_name}: {error}.") from None
        if self.hyperparameters.demo_path is not None:
            self._load_demonstrations(self.hyperparameters.demo_path)
        self._memory_refresh = self._create_memory_refresh()
        if isinstance(self.replay, MixedReplay) and self.get_step == 0:
            self.pretrain(self.replay)

    def _create_memory_refresh(self) -> MemoryRefresh | None:
        """What keeps the recurrent states of demonstrations, and of the replay if asked for, those of the network."""
        interval = self.hyperparameters.memory_refresh_interval
        replay = self.update_buffer if self.hyperparameters.memory_refresh_replay else None
        has_episodes = replay is not None or self.demonstrations is not None
        if not (self.policy.use_recurrent and interval and has_episodes):
            return None
        refresh = MemoryRefresh(self.policy.actor.network_body, self.demonstrations, replay, interval)
        refresh.begin()
        return refresh

    def _load_demonstrations(self, path: str) -> None:
        begins = self.get_step == 0
        try:
            episodes = load_demonstrations(path, self.policy.behavior_spec)
            self.demonstrations = self._create_seeded(sum(map(len, episodes)), "demonstrations")
            for episode in episodes:
                segment = episode.segment(self.policy.behavior_spec, self.policy.m_size)
                self.add_demonstration(segment)
                if begins and self.policy.normalize:
                    self.update_normalization(segment)
        except (DemonstrationError, BufferMemoryError) as error:
            raise TrainerConfigError(f"{self.brain_name}: hyperparameters: demo_path: {error}.") from None
        count = self.demonstrations.num_experiences
        logger.info(f"{self.brain_name}: loaded {count} transitions of {len(episodes)} episodes from {path}.")
        self.replay = MixedReplay(
            self.update_buffer,
            self.demonstrations,
            self.hyperparameters.demo_ratio,
            seed=self.stream_seed("mixture"),
        )

    def add_demonstration(self, segment: Segment) -> None:
        """Takes a demonstrated episode into the replay of demonstrations, at each start of a run.

        Args:
            segment: all steps of the episode.
        """
        assert self.demonstrations is not None
        self.demonstrations.add(segment)

    def pretrain(self, replay: MixedReplay) -> None:
        """Learns from demonstrations alone, and says ten times on the log how it goes.

        Args:
            replay: holds them; what is normalised has taken them in.
        """
        replay.ratio = 1.0
        stats: dict[str, list] = defaultdict(list)
        total = self.hyperparameters.demo_pretraining_steps
        for update in range(1, total + 1):
            self._learn(stats, self.sample())
            if update % max(total // 10, 1) == 0:
                losses = [f"{name} {_mean(stats[name]):.4f}" for name in stats if name.startswith("Losses/")]
                progress = f"{update} of {total} updates on demonstrations"
                logger.info(f"{self.brain_name}: {progress}, {', '.join(losses)}.")
                stats.clear()
        replay.ratio = self.hyperparameters.demo_ratio

    def store(self, segment: Segment, rewards: dict[str, np.ndarray]) -> None:
        try:
            self.update_buffer.add(segment)
        except BufferMemoryError as error:  # pictures turned out not to be of 8 bits
            raise TrainerConfigError(f"{self.brain_name}: {error}.") from None
        if self._is_warm():
            self._updates_due += len(segment) / self.steps_per_update
            if set(self.trainer_settings.reward_signals) != {RewardSignalType.EXTRINSIC}:  # which learns nothing
                self._reward_updates_due += len(segment) / self.reward_signal_steps_per_update

    def _is_warm(self) -> bool:
        """Whether the replay was given enough to learn from, and holds a transition that is complete.

        Raises:
            TrainerConfigError: it was overwritten several times without an update.
        """
        given, capacity = self.update_buffer.serial, self.update_buffer.capacity
        if given < max(self.hyperparameters.batch_size, self.hyperparameters.buffer_init_steps):
            return False
        if self.update_buffer.num_experiences == 0 and self._rates.total == 0 and given >= _OVERWRITTEN * capacity:
            raise TrainerConfigError(
                f"{self.brain_name}: hyperparameters: buffer_size: {capacity} is not valid; the open segments of so "
                "many agents fill it with transitions whose next one has not come, and nothing can be learned: make it "
                "many times larger than the number of agents."
            )
        return self.update_buffer.num_experiences > 0

    def _is_ready_update(self) -> bool:
        return self._updates_due >= 1.0 and self.update_buffer.num_experiences > 0

    @timed
    def _update_policy(self) -> bool:
        """Takes the updates that have fallen due."""
        self.cumulative_returns_since_policy_update.clear()
        stats: dict[str, list] = defaultdict(list)
        while self._updates_due >= 1.0:
            self._updates_due -= 1.0
            batch = self.sample()
            self._learn(stats, batch)
            if self.optimizer.bc_module:
                _collect(stats, self.optimizer.bc_module.update())
            if self._reward_updates_due >= 1.0:
                self._update_reward_signals(stats, batch)
        while self._reward_updates_due >= 1.0:  # they may be due more often than the policy
            self._update_reward_signals(stats, self.sample())
        self.report(stats)
        return True

    def _learn(self, stats: dict[str, list], batch: Batch) -> None:
        """Updates the policy on a batch, takes the new priorities from it, and counts."""
        _collect(stats, self._update(batch, self._num_sequences))
        serials = batch[ReplayKey.SERIAL]
        if ReplayKey.ERROR in batch:
            self.replay.update_priorities(serials, batch[ReplayKey.ERROR])
        own = serials[serials >= 0]  # those of demonstrations are negative
        if own.size:
            stats["Replay/Sampled Age"].append(self.update_buffer.serial - float(own.mean()))
        self._rates.count()
        if self._memory_refresh is not None:
            self._memory_refresh.count()

    @property
    def _num_sequences(self) -> int:
        """Sequences of a batch; without memory a transition is one."""
        return max(self.hyperparameters.batch_size // self.policy.sequence_length, 1)

    def _update_reward_signals(self, stats: dict[str, list], batch: Batch) -> None:
        """Updates curiosity, RND and GAIL on the transitions that were drawn for the policy."""
        self._reward_updates_due -= 1.0
        steps = self.replay.gather(batch[ReplayKey.WINDOW][:, 0]) if ReplayKey.WINDOW in batch else batch
        _collect(stats, self.optimizer.update_reward_signals(steps))

    def _write_summary(self, step: int) -> None:
        """Adds what is known once a summary: how full the replay is, and how fast the run."""
        buffer = self.update_buffer
        self._stats_reporter.add_stat("Replay/Fill", buffer.num_experiences / buffer.capacity)
        actors = self.actors.statistics() if self.actors is not None else {}
        for name, value in {**self._rates.measure(self.get_step), **actors}.items():
            self._stats_reporter.add_stat(name, value)
        super()._write_summary(step)

    def sample(self) -> Batch:
        """A batch with n-step rewards and discounts of every stream: windows of transitions, or sequences with memory.

        An optimizer reads it by `Transitions.from_batch`.
        """
        signals, settings = self.optimizer.reward_signals, self.hyperparameters
        size, n = settings.batch_size, settings.n_step
        if self.policy.use_recurrent:
            batch = self.replay.sample_mini_batch(size, self.policy.sequence_length, settings.burn_in)
            add_sequence_rewards(batch, self._num_sequences, signals, n)
        else:
            batch = self.replay.sample_n_step(size, n)
            window = self.replay.gather(batch[ReplayKey.WINDOW].ravel())
            add_window_rewards(batch, window, signals)
        return batch

    def save_replay_buffer(self) -> None:
        """Writes the replay to the results folder, or says on the log why not: what was learned is saved without it."""
        self._saved_replay.write(self.update_buffer, self.policy.behavior_spec, self._step)

    def _resume_replay(self) -> None:
        if not (self.checkpoint_replay_buffer and self._saved_replay.path.is_file()):
            logger.info(f"{self.brain_name}: resuming with an empty replay; save_replay_buffer: true keeps it.")
            return
        memory_size = self.policy.m_size if self.policy.use_recurrent else None
        self._saved_replay.read(self.update_buffer, self.policy.behavior_spec, memory_size)

    def forget_episodes(self) -> None:
        """Drops what is known of all running episodes, because the environment is reset."""
        super().forget_episodes()
        self.update_buffer.end_episodes()

    def parts(self) -> dict[str, Stateful]:
        """Adds what is due, and how batches are drawn; the replay itself has a file of its own."""
        return {
            **super().parts(),
            "updates": Part(self._due_state, self._load_due_state),
            "replay": Part(self._replay_state, self._load_replay_state),
        }

    def _due_state(self) -> dict[str, Any]:
        return {"updates_due": self._updates_due, "reward_updates_due": self._reward_updates_due}

    def _load_due_state(self, state: dict[str, Any]) -> None:
        if self.update_buffer.serial:  # else it first fills again
            self._updates_due = state["updates_due"]
            self._reward_updates_due = state["reward_updates_due"]

    def _replay_state(self) -> dict[str, Any]:
        return {
            "transitions": self.update_buffer.serial,
            "generators": {name: numpy_state(generator) for name, generator in self._generators().items()},
            "demonstration_priorities": self._demonstration_priorities(),
            "memory_refresh": self._memory_refresh and self._memory_refresh.state_dict(),
        }

    def _load_replay_state(self, state: dict[str, Any]) -> None:
        for name, generator in self._generators().items():
            if name in state["generators"]:
                restore_numpy(state["generators"][name], generator)
        self._restore_demonstration_priorities(state["demonstration_priorities"])
        if self._memory_refresh is not None and state.get("memory_refresh"):
            self._memory_refresh.load_state_dict(state["memory_refresh"])
        given = self.update_buffer.serial
        if lead := given - state["transitions"] if given else 0:
            logger.warning(
                f"{self.brain_name}: the replay was saved {abs(lead)} transitions "
                f"{'after' if lead > 0 else 'before'} the checkpoint. The run goes on with both."
            )

    def _generators(self) -> dict[str, np.random.Generator]:
        """Generators that batches are drawn with."""
        drawn_from = {"replay": self.update_buffer, "demonstrations": self.demonstrations, "mixture": self.replay}
        return {name: source.generator for name, source in drawn_from.items() if source is not None}

    def _demonstration_priorities(self) -> tuple[torch.Tensor, float] | None:
        if not isinstance(self.demonstrations, PrioritizedReplayBuffer):
            return None
        priorities, largest = self.demonstrations.priorities()
        return torch.from_numpy(priorities), largest

    def _restore_demonstration_priorities(self, saved: tuple[torch.Tensor, float] | None) -> None:
        if saved is None or not isinstance(self.demonstrations, PrioritizedReplayBuffer):
            return
        try:
            self.demonstrations.restore_priorities(saved[0].numpy(), saved[1])
        except ValueError as error:
            logger.warning(
                f"{self.brain_name}: hyperparameters: demo_path: other demonstrations than before, so their {error}."
            )


def _mean(values: list[Any]) -> float:
    return sum(map(float, values)) / len(values)


def _collect(stats: dict[str, list], new: Mapping[str, Any]) -> None:
    for name, value in new.items():
        stats[name].append(value)
