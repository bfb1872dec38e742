"""A trainer's side of actors: what comes from them, which weights they have, and how old these are."""

import time
from collections.abc import Callable
from dataclasses import replace

from mlagents_plugin_shared.run.actor_settings import ActorSettings
from mlagents_plugin_shared.run.experience_source import ActingBehavior, Arrivals, Delivery, ExperienceSource, Weights

# Versions whose steps are remembered; an actor that is further behind counts as so far behind.
_REMEMBERED = 1000


class ActorIntake:
    """What a trainer has of its actors, wherever they play.

    Attributes:
        behavior_id: of the behaviour that they play; None before the start.
        version: of the weights that were published last.
        brought: whether the last `receive` brought anything.

    Args:
        settings: what stands under `actors:`.
        source: their source.
    """

    def __init__(self, settings: ActorSettings, source: ExperienceSource) -> None:
        self.behavior_id: str | None = None
        self.version = 0
        self.brought = False
        self._settings = settings
        self._source = source
        self._published_at = {0: 0}
        self._open: dict[str, set[str]] = {}
        self._measured = _Measures()

    @property
    def goes_on(self) -> bool:
        """Whether the learner goes on with what they bring, before environments of its own take another step."""
        return self.brought or (self.behavior_id is not None and not self._settings.learner_acts)

    def start(self, behavior: ActingBehavior, weights: Weights, step: int) -> None:
        """Starts the actors.

        Args:
            behavior: whom they play.
            weights: of the policy now.
            step: of the trainer.

        Raises:
            TrainerConfigError: they cannot be started.
        """
        self._published_at = {0: step}
        self._source.start(behavior, weights)
        self.behavior_id = behavior.behavior_id

    def receive(self, step: int) -> tuple[list[Delivery], list[str]]:
        """What has come, with ids of agents that nobody else has; and ids of agents that are gone with their actors.

        Args:
            step: of the trainer.
        """
        if self.behavior_id is None:
            return [], []
        arrivals: Arrivals = self._source.poll()
        deliveries = [self._with_own_ids(delivery) for delivery in arrivals.deliveries]
        for delivery in deliveries:
            behind = step - self._published_at.get(delivery.version, min(self._published_at.values()))
            self._measured.add(delivery.steps, self.version - delivery.version, behind)
        gone = [agent_id for actor in arrivals.lost for agent_id in self._open.pop(actor, ())]
        self.brought = bool(deliveries)
        return deliveries, gone

    def _with_own_ids(self, delivery: Delivery) -> Delivery:
        """The delivery with the actor's name before the ids, of which those with open episodes are noted."""
        segments = [replace(segment, agent_id=f"{delivery.actor}:{segment.agent_id}") for segment in delivery.segments]
        of_actor = self._open.setdefault(delivery.actor, set())
        for segment in segments:
            (of_actor.discard if segment.terminated or segment.interrupted else of_actor.add)(segment.agent_id)
        return delivery._replace(segments=segments)

    def publish_if_due(self, step: int, weights: Callable[[], Weights]) -> None:
        """Publishes weights, if `weights_every` agent steps have passed since.

        Args:
            step: of the trainer.
            weights: gives them.
        """
        if self.behavior_id is None or step - self._published_at[self.version] < self._settings.weights_every:
            return
        self.version += 1
        self._published_at[self.version] = step
        self._published_at.pop(self.version - _REMEMBERED, None)
        self._source.publish(weights(), self.version)

    def statistics(self) -> dict[str, float]:
        """By TensorBoard tag, since the last call."""
        status = self._source.status()
        return {
            "Distributed/Actors Alive": status.alive,
            "Distributed/Restarts": status.restarts,
            **self._measured.take(status.received),
        }

    def close(self) -> None:
        """Ends the actors; what is under way is lost. May be called again."""
        self.behavior_id = None
        self.brought = False
        self._source.close()


class _Measures:
    """Steps, bytes and lags since the last report."""

    def __init__(self) -> None:
        self._received = 0
        self._begin()

    def _begin(self) -> None:
        self._time = time.perf_counter()
        self._steps = 0
        self._versions = 0
        self._behind = 0

    def add(self, steps: int, versions: int, behind: int) -> None:
        """Counts a delivery; lags are weighed by its steps."""
        self._steps += steps
        self._versions += steps * versions
        self._behind += steps * behind

    def take(self, received: int) -> dict[str, float]:
        seconds = max(time.perf_counter() - self._time, 1e-9)
        rates = {
            "Distributed/Steps per Second": self._steps / seconds,
            "Distributed/Bytes per Second": (received - self._received) / seconds,
        }
        if self._steps:
            rates["Distributed/Lag Versions"] = self._versions / self._steps
            rates["Distributed/Lag Steps"] = self._behind / self._steps
        self._received = received
        self._begin()
        return rates
