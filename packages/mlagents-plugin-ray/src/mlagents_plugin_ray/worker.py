"""What runs in a process of Ray's: an actor with an environment, which is started again when it fails.

Nothing of Ray but the weights: it starts this process again if it dies, and calls `collect` from the learner.
"""

import contextlib
import pickle
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from mlagents.torch_utils import set_torch_config, torch
from mlagents.trainers.settings import TorchSettings

from mlagents_plugin_ray.environments import EnvironmentPlan
from mlagents_plugin_shared.data.packing import PackedSegments, pack
from mlagents_plugin_shared.run.actor import Actor, NotPlayable, Place
from mlagents_plugin_shared.run.experience_source import ActingBehavior, Statistic


class Orders(NamedTuple):
    """What the learner asks for.

    Attributes:
        steps: decisions of agents to play.
        version: of the weights.
        weights: gives them.
        lesson: number of the environment's parameters; grows by one with each change.
        parameters: of the environment.
    """

    steps: int
    version: int
    weights: Callable[[], Mapping[str, Any]]
    lesson: int
    parameters: Mapping[str, Any]


class Packet(NamedTuple):
    """What goes to the learner, see `Delivery`.

    Attributes:
        actor: its name.
        version: of the oldest weights in it.
        segments: what was played.
        errors: first priorities of each segment; None where there are none.
        statistics: of episodes and environment.
        failures: why environments of this process failed since the last packet, one line each.
    """

    actor: str
    version: int
    segments: PackedSegments
    errors: list[np.ndarray] | None
    statistics: list[Statistic]
    failures: list[str]


class Worker:
    """Plays one environment for as long as it is asked to.

    Args:
        plan: how the environment is started.
        behavior: whom it plays.
        place: which of the actors it is.
    """

    def __init__(self, plan: EnvironmentPlan, behavior: ActingBehavior, place: Place) -> None:
        self._plan, self._behavior, self._place = plan, behavior, place
        self._actor: Actor | None = None
        self._version = self._lesson = -1
        self._failures: list[str] = []

    def collect(self, orders: Orders) -> bytes:
        """Plays, and gives a pickled `Packet`; an environment that fails is started again once.

        Args:
            orders: what to play, and by which weights.

        Raises:
            NotPlayable: no actor could play it.
            Exception: it could not be started, or failed again.
        """
        try:
            return self._collect(orders)
        except NotPlayable:
            raise
        except Exception as error:  # whatever it was: what comes next is a new environment
            self._failures.append(_one_line(error))
            self._drop()
        try:
            return self._collect(orders)
        except Exception:
            self._drop()
            raise

    def close(self) -> None:
        """Ends the environment."""
        self._drop()

    def _collect(self, orders: Orders) -> bytes:
        actor = self._ready(orders)
        played = actor.collect(orders.steps)
        failures, self._failures = self._failures, []
        packed = pack(played.segments)
        packet = Packet(played.actor, played.version, packed, played.errors, played.statistics, failures)
        return pickle.dumps(packet, protocol=5)

    def _ready(self, orders: Orders) -> Actor:
        """The actor with the environment, weights and parameters that are asked for."""
        if self._actor is None:
            self._actor = self._started()
            self._version = self._lesson = -1
        if orders.version != self._version:
            self._take_up(self._actor, orders)
        if orders.lesson != self._lesson:
            self._actor.reset(orders.parameters)
            self._lesson = orders.lesson
        return self._actor

    def _take_up(self, actor: Actor, orders: Orders) -> None:
        """Newer weights; those that it has do where they do not come, as after a link was cut."""
        try:
            actor.load(orders.weights(), orders.version)
        except TimeoutError:
            if self._version < 0:
                raise
            return
        self._version = orders.version

    def _started(self) -> Actor:
        # One core an actor, and no accelerator: many of them share a machine.
        torch.set_num_threads(1)
        set_torch_config(TorchSettings(device="cpu"))
        torch.seed()  # noise on weights comes from the global stream, which begins alike in every process
        env, parameters, stats = self._plan.open(self._place.rank, self._place.total)
        try:
            return Actor(self._behavior, env, parameters, self._place, stats)
        except BaseException:
            env.close()
            raise

    def _drop(self) -> None:
        if self._actor is not None:
            with contextlib.suppress(Exception):
                self._actor.close()
        self._actor = None


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
