"""Actors in this process: the test double of a source of experience."""

from collections import deque
from collections.abc import Callable
from typing import Any

from mlagents_envs.base_env import BaseEnv
from mlagents_envs.side_channel.environment_parameters_channel import EnvironmentParametersChannel

from mlagents_plugin_shared.data.packing import pack
from mlagents_plugin_shared.run.actor import Actor, Place
from mlagents_plugin_shared.run.actor_settings import ActorSettings
from mlagents_plugin_shared.run.experience_source import (
    ActingBehavior,
    Arrivals,
    Delivery,
    ExperienceSource,
    SourceStatus,
    Weights,
)


class InProcessSource(ExperienceSource):
    """Plays by actors that take their turns in `poll`; what they bring goes through the same packing.

    Every second poll is empty, so that the run's own environment has its turn. The same run gives the same steps.

    Attributes:
        envs: the environment of each actor that was started.
        behavior: whom they play; None before the start.
        versions: of the weights that were published, in order.
        first_weights: those of the start.
        closed: whether it was closed.

    Args:
        settings: what stands under `actors:`.
        create_env: makes the environment of an actor, from its rank.
        lag: versions by which the weights of the actors are older than the newest, as they would be elsewhere.
    """

    def __init__(self, settings: ActorSettings, create_env: Callable[[int], BaseEnv], lag: int = 0) -> None:
        self.envs: list[BaseEnv] = []
        self.behavior: ActingBehavior | None = None
        self.versions: list[int] = []
        self.closed = False
        self.first_weights: dict[str, Any] = {}
        self._settings = settings
        self._create_env = create_env
        self._actors: list[Actor] = []
        self._lost: list[str] = []
        self._weights: deque[tuple[Weights, int]] = deque(maxlen=lag + 1)
        self._restarts = 0
        self._has_turn = False

    def start(self, behavior: ActingBehavior, weights: Weights) -> None:
        self.behavior = behavior
        self.first_weights = dict(weights)
        self._weights.append((weights, 0))
        self._actors = [self._started(rank) for rank in range(self._settings.count)]

    def _started(self, rank: int) -> Actor:
        assert self.behavior is not None
        env = self._create_env(rank)
        self.envs.append(env)
        actor = Actor(self.behavior, env, _NoParameters(), Place(rank, self._settings.count))
        actor.reset()
        return actor

    def poll(self) -> Arrivals:
        self._has_turn = not self._has_turn
        lost, self._lost = self._lost, []
        return Arrivals([self._collected(actor) for actor in self._actors] if self._has_turn else [], lost)

    def _collected(self, actor: Actor) -> Delivery:
        actor.load(*self._weights[0])
        delivery = actor.collect(self._settings.steps_at_a_time)
        return delivery._replace(segments=pack(delivery.segments).unpack())

    def publish(self, weights: Weights, version: int) -> None:
        self.versions.append(version)
        self._weights.append((weights, version))

    def status(self) -> SourceStatus:
        return SourceStatus(len(self._actors), self._restarts)

    def lose(self, rank: int) -> None:
        """Loses an actor with its open episodes; another one takes its place.

        Args:
            rank: of the actor.
        """
        self._lost.append(self._actors[rank].name)
        self._actors[rank] = self._started(rank)
        self._restarts += 1

    def close(self) -> None:
        self._actors = []
        self.closed = True


class _NoParameters(EnvironmentParametersChannel):
    """Toy tasks have their parameters set by `train`."""

    def set_float_parameter(self, key: str, value: Any) -> None:
        """Nobody is told."""
