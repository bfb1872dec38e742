"""Where experience comes from when it is not from this process: the interface, and how an implementation is found.

An implementation is a distribution with an entry point in the group `mlagents_plugin_shared.experience_sources`, a
callable that makes an `ExperienceSource` from `ActorSettings`. Nothing of it is imported where no run asks for actors.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any, NamedTuple

import numpy as np
from mlagents.trainers.exception import TrainerConfigError
from mlagents.trainers.settings import TrainerSettings
from mlagents_envs.base_env import BehaviorSpec
from mlagents_envs.side_channel.stats_side_channel import StatsAggregationMethod

from mlagents_onnx_check.hints import install_command
from mlagents_plugin_shared.data.trajectories import Segment
from mlagents_plugin_shared.run.actor_settings import ActorSettings

GROUP = "mlagents_plugin_shared.experience_sources"
"""Entry points of this group make sources."""

DISTRIBUTION = "mlagents-plugin-ray"
"""What to install where there is none."""

Weights = Mapping[str, Any]
"""What a policy's `get_weights` gives, on the CPU."""

Statistic = tuple[str, float, StatsAggregationMethod]
"""Tag, value and how values of one tag are put together."""


class ActingBehavior(NamedTuple):
    """All that an actor has to know to play for a trainer; it can be pickled.

    Attributes:
        behavior_id: name of the behaviour with its team, as `Basic?team=0`.
        spec: observations and actions.
        settings: of the behaviour; the plugin of its `trainer_type` makes the actor's policy.
        seed: of the run.
    """

    behavior_id: str
    spec: BehaviorSpec
    settings: TrainerSettings
    seed: int


class Delivery(NamedTuple):
    """What one actor brings at a time.

    Attributes:
        actor: its name, which no other actor has or had: one that is started again has another one.
        version: of the oldest weights by which it acted in these segments.
        segments: consecutive steps of its agents, whose ids need to be unique to the actor only.
        errors: [T] of each segment, the first priorities; None where all are to be the largest so far.
        statistics: of its environment and its episodes.
    """

    actor: str
    version: int
    segments: list[Segment]
    errors: list[np.ndarray] | None = None
    statistics: list[Statistic] = []  # noqa: RUF012  # a field of a NamedTuple, which nobody changes

    @property
    def steps(self) -> int:
        """Agent steps in it."""
        return sum(map(len, self.segments))


class Arrivals(NamedTuple):
    """What has happened since the last `poll`.

    Attributes:
        deliveries: what came, in the order in which it did.
        lost: names of actors that will bring nothing more: their open episodes have no end.
    """

    deliveries: list[Delivery]
    lost: list[str]


class SourceStatus(NamedTuple):
    """How a source does.

    Attributes:
        alive: actors that play.
        restarts: of actors or their environments, since the start.
        received: bytes that have come in since the start; 0 where nothing is sent.
    """

    alive: int
    restarts: int
    received: int = 0


class ExperienceSource(ABC):
    """Environments elsewhere that play for one trainer.

    All methods are called from the trainer's thread. `start` may take its time; after it, none may wait for an actor:
    the learner never stops because of one.
    """

    @abstractmethod
    def start(self, behavior: ActingBehavior, weights: Weights) -> None:
        """Starts the actors.

        Args:
            behavior: whom they play.
            weights: of the policy at the start, which is version 0; on a resume those of the checkpoint.

        Raises:
            TrainerConfigError: they cannot be started as the settings ask.
        """

    @abstractmethod
    def poll(self) -> Arrivals:
        """What has come since the last call; empty at once where nothing has.

        Raises:
            TrainerConfigError: what the run asks for, no actor could ever play.
            TrainerError: nothing will come any more. The run ends with its checkpoint.
        """

    @abstractmethod
    def publish(self, weights: Weights, version: int) -> None:
        """Offers newer weights; actors take them up when they next can.

        Args:
            weights: of the policy.
            version: grows by one with each call.

        Raises:
            TrainerError: nobody takes them any more.
        """

    @abstractmethod
    def status(self) -> SourceStatus:
        """How the actors do now."""

    @abstractmethod
    def close(self) -> None:
        """Ends all actors and their environments; may be called again, and whatever `poll` raised."""


def create_source(settings: ActorSettings, behavior: str) -> ExperienceSource:
    """The source that is installed.

    Args:
        settings: what stands under `actors:`.
        behavior: name of the behaviour, for the error.

    Raises:
        TrainerConfigError: none is installed, or more than one, or it cannot be imported.
    """
    found = entry_points(group=GROUP)
    named = f"{behavior}: hyperparameters: actors: count: {settings.count} is not valid;"
    if not found:
        raise TrainerConfigError(
            f"{named} no package that starts actors is installed: {install_command(DISTRIBUTION)} (on Python 3.11 with "
            "the override of its README), or leave actors out."
        )
    if len(found) > 1:
        names = ", ".join(sorted(f"{point.name} ({point.value})" for point in found))
        raise TrainerConfigError(f"{named} several packages start actors, {names}: uninstall all but one.")
    (point,) = found
    try:
        source: ExperienceSource = point.load()(settings)
    except Exception as error:
        raise TrainerConfigError(f"{named} {point.value} cannot start actors: {error}") from error
    return source
