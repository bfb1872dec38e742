"""An actor: one environment, played by a copy of the policy, whose steps go to a learner elsewhere.

Every `ExperienceSource` can be made of these: what differs is only where they run and how a delivery travels.
"""

import bisect
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from mlagents.plugins import all_trainer_types
from mlagents.plugins.trainer_type import register_trainer_plugins
from mlagents.torch_utils import torch
from mlagents.trainers.action_info import ActionInfo
from mlagents.trainers.agent_processor import AgentManagerQueue
from mlagents.trainers.behavior_id_utils import BehaviorIdentifiers
from mlagents.trainers.env_manager import EnvironmentStep
from mlagents.trainers.exception import TrainerConfigError
from mlagents.trainers.policy.torch_policy import TorchPolicy
from mlagents.trainers.settings import RewardSignalType
from mlagents.trainers.simple_env_manager import SimpleEnvManager
from mlagents.trainers.stats import StatsReporter
from mlagents.trainers.torch_entities.utils import ModelUtils
from mlagents_envs.base_env import BaseEnv
from mlagents_envs.side_channel.environment_parameters_channel import EnvironmentParametersChannel
from mlagents_envs.side_channel.stats_side_channel import StatsAggregationMethod, StatsSideChannel

from mlagents_plugin_shared.acting.exploring import ExploringPolicy
from mlagents_plugin_shared.data import ReplayBuffer, ReplayKey
from mlagents_plugin_shared.data.trajectories import Segment, trajectory_to_segment
from mlagents_plugin_shared.learning.optimizer import PluginOptimizer
from mlagents_plugin_shared.learning.transitions import add_window_rewards
from mlagents_plugin_shared.run.agent_manager import ArrayAgentManager
from mlagents_plugin_shared.run.experience_source import ActingBehavior, Delivery, Statistic, Weights
from mlagents_plugin_shared.run.random_state import derived_seed


class NotPlayable(TrainerConfigError):
    """No actor could play what the run asks for, on whatever machine and however often it is started."""


class Place(NamedTuple):
    """Which of the actors of a run one is.

    Attributes:
        rank: from 0 on.
        total: number of actors.
    """

    rank: int
    total: int


class _Statistics(StatsReporter):
    """Keeps what an agent manager reports, to be sent to the learner."""

    def __init__(self, category: str) -> None:
        super().__init__(category)
        self.kept: list[Statistic] = []

    def add_stat(
        self, key: str, value: float, aggregation: StatsAggregationMethod = StatsAggregationMethod.AVERAGE
    ) -> None:
        self.kept.append((key, float(np.mean(value)), aggregation))

    def set_stat(self, key: str, value: float) -> None:
        """The learner reports its own environment's."""


class _OneEnvironment(SimpleEnvManager):
    """ML-Agents' manager of one environment, which would set actions where no agent waits for any."""

    previous_step: EnvironmentStep

    def _step(self) -> list[EnvironmentStep]:
        taken: dict[str, ActionInfo] = self._take_step(self.previous_step)
        for behavior_id, action_info in taken.items():
            if len(action_info.agent_ids) > 0:
                self.env.set_actions(behavior_id, action_info.env_action)
        self.env.step()
        self.previous_step = EnvironmentStep(self._generate_all_results(), 0, taken, {})
        return [self.previous_step]


class Actor:
    """Plays one environment by a copy of the policy.

    Attributes:
        name: unique; another one for every environment that is started.
        policy: by which it acts.

    Args:
        behavior: whom it plays.
        env: just started; the actor closes it.
        parameters: the environment's channel for parameters.
        place: which of the actors it is; it explores by it.
        stats: the environment's channel for statistics, if it has one.

    Raises:
        TrainerConfigError: the plugin cannot make the policy.
    """

    def __init__(
        self,
        behavior: ActingBehavior,
        env: BaseEnv,
        parameters: EnvironmentParametersChannel,
        place: Place,
        stats: StatsSideChannel | None = None,
    ) -> None:
        self.name = f"{place.rank}-{uuid.uuid4().hex[:12]}"
        self._behavior = behavior
        self._identifiers = BehaviorIdentifiers.from_name_behavior_id(behavior.behavior_id)
        trainer = acting_trainer(behavior, place, self.name)
        self.policy: TorchPolicy = trainer.policy
        self._priorities = FirstPriorities(trainer) if FirstPriorities.are_of_use(trainer) else None
        self._environments = _OneEnvironment(env, parameters)
        self._stats = stats
        self._statistics = _Statistics(self._identifiers.brain_name)
        self._env_steps = 0
        self._loaded_at: list[int] = []
        self._versions: list[int] = []

    def load(self, weights: Weights, version: int) -> None:
        """Acts by these weights from now on.

        Args:
            weights: of the learner's policy.
            version: their number.
        """
        self.policy.load_weights(weights)
        if self._priorities is not None:
            self._priorities.on_loaded()
        self._loaded_at.append(self._env_steps)
        self._versions.append(version)

    def reset(self, parameters: Mapping[str, Any] | None = None) -> None:
        """Begins new episodes; those that are open have no end.

        Args:
            parameters: of the environment: numbers, or ML-Agents' samplers of numbers.
        """
        self._environments.reset(dict(parameters or {}))

    def collect(self, steps: int) -> Delivery:
        """Plays for some decisions of agents, and gives the segments that have ended meanwhile.

        Args:
            steps: decisions; no more steps of the environment either, if its agents decide seldom.

        Raises:
            NotPlayable: the environment has agents of other behaviours, for which there is no policy.
        """
        decisions, last = 0, self._env_steps + steps
        while decisions < steps and self._env_steps < last:
            self._meet()
            infos = self._environments.get_steps()
            self._environments.process_steps(infos)
            self._env_steps += 1
            decisions += sum(len(taken.agent_ids) for taken in infos[0].brain_name_to_action_info.values())
        segments = self._take_segments()
        errors = self._priorities.of(segments) if self._priorities is not None else None
        return Delivery(self.name, self._oldest_version(segments), segments, errors, self._take_statistics())

    def close(self) -> None:
        """Closes the environment."""
        self._environments.close()

    def _meet(self) -> None:
        """Gives every behaviour that appears its agent manager; teams of one behaviour share the policy."""
        for behavior_id in self._environments.previous_step.name_behavior_ids:
            if behavior_id in self._environments.agent_managers:
                continue
            name = BehaviorIdentifiers.from_name_behavior_id(behavior_id).brain_name
            if name != self._identifiers.brain_name:
                raise NotPlayable(
                    f"{self._identifiers.brain_name}: hyperparameters: actors: the environment has agents of the "
                    f"behavior {name} too, and actors play for one behavior only; leave actors out."
                )
            manager = ArrayAgentManager(
                self.policy, behavior_id, self._statistics, self._behavior.settings.time_horizon, threaded=False
            )
            self._environments.set_policy(behavior_id, self.policy)
            self._environments.set_agent_manager(behavior_id, manager)

    def _take_segments(self) -> list[Segment]:
        segments = []
        for manager in self._environments.agent_managers.values():
            queue: AgentManagerQueue = manager.trajectory_queue
            while not queue.empty():
                segments.append(trajectory_to_segment(queue.get_nowait(), self._behavior.spec.action_spec))
        return segments

    def _oldest_version(self, segments: list[Segment]) -> int:
        """Version by which the longest segment began, where agents decide in every step; they may decide more seldom.

        What is older than `time_horizon` is forgotten.
        """
        longest = max(map(len, segments), default=1)
        index = max(bisect.bisect_right(self._loaded_at, self._env_steps - longest) - 1, 0)
        kept = max(bisect.bisect_right(self._loaded_at, self._env_steps - self._behavior.settings.time_horizon) - 1, 0)
        version = self._versions[index]
        del self._loaded_at[:kept], self._versions[:kept]
        return version

    def _take_statistics(self) -> list[Statistic]:
        kept, self._statistics.kept = self._statistics.kept, []
        for tag, values in (self._stats.get_and_reset_stats() if self._stats else {}).items():
            kept += [(tag, value, how) for value, how in values if how is not StatsAggregationMethod.MOST_RECENT]
        return kept


class FirstPriorities:
    """How far the predictions of an actor's network are off, for prioritised replay.

    What a network of the actor's cannot tell, such as of the last step of an open segment, is NaN: it gets the largest
    priority so far. Targets are of the same weights, as those of the learner's target network do not travel.

    Source: Horgan et al. (2018), algorithm 1, https://arxiv.org/abs/1803.00933.

    Args:
        trainer: with a policy; it makes the optimizer that tells.
    """

    def __init__(self, trainer: Any) -> None:
        self._optimizer: PluginOptimizer = trainer.create_optimizer()
        self._n_step: int = trainer.hyperparameters.n_step

    @staticmethod
    def are_of_use(trainer: Any) -> bool:
        """Whether the replay is prioritised, there is no memory, and no reward signal learns.

        Args:
            trainer: with a policy.
        """
        settings = trainer.trainer_settings
        return (
            getattr(settings.hyperparameters, "prioritized_replay", False)
            and not trainer.policy.use_recurrent
            and set(settings.reward_signals) == {RewardSignalType.EXTRINSIC}
        )

    def on_loaded(self) -> None:
        """Target networks follow the weights that the policy has taken up."""
        self._optimizer.on_loaded(())

    def of(self, segments: Sequence[Segment]) -> list[np.ndarray] | None:
        """[T] errors of each segment; None where the algorithm cannot tell.

        Args:
            segments: T steps each.
        """
        errors = [self._of(segment) for segment in segments]
        return None if any(each is None for each in errors) else errors  # type: ignore[return-value]

    def _of(self, segment: Segment) -> np.ndarray | None:
        replay = ReplayBuffer(len(segment))
        replay.add(segment)
        known = np.full(len(segment), np.nan, np.float32)
        if replay.num_experiences == 0:
            return known
        batch = replay.all_n_step(self._n_step)
        add_window_rewards(batch, replay.gather(batch[ReplayKey.WINDOW].ravel()), self._optimizer.reward_signals)
        errors = self._optimizer.td_errors(batch, batch.num_experiences)
        if errors is None:
            return None
        known[batch[ReplayKey.SERIAL]] = ModelUtils.to_numpy(errors)
        return known


def acting_trainer(behavior: ActingBehavior, place: Place, name: str) -> Any:
    """The plugin's trainer with the policy of an actor, which has a stream of chance of its own; it will not train.

    Args:
        behavior: whom it plays.
        place: which of the actors it is for.
        name: of the actor.

    Raises:
        TrainerConfigError: the plugin of its `trainer_type` is not installed here, or cannot make it.
    """
    register_trainer_plugins()
    seed = derived_seed(behavior.seed, behavior.behavior_id, "actor", name) % 2**31
    identifiers = BehaviorIdentifiers.from_name_behavior_id(behavior.behavior_id)
    trainer_class = all_trainer_types[behavior.settings.trainer_type]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, torch.random.fork_rng(devices=[]):
        trainer = trainer_class(identifiers.brain_name, 1, behavior.settings, True, False, seed, folder)
        trainer.policy = trainer.create_policy(identifiers, behavior.spec)
    if isinstance(trainer.policy, ExploringPolicy):
        trainer.policy.explore_as(place.rank, place.total)
    return trainer
