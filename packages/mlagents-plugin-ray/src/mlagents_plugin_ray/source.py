"""The source of experience on Ray: what is called from the trainer's thread, and never waits for an actor."""

import atexit
import pickle
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

import attr
from mlagents.trainers.behavior_id_utils import BehaviorIdentifiers
from mlagents.trainers.environment_parameter_manager import EnvironmentParameterManager
from mlagents.trainers.exception import TrainerError
from mlagents.trainers.settings import RunOptions
from mlagents.trainers.training_status import GlobalTrainingStatus, StatusType
from mlagents_envs.logging_util import get_logger

from mlagents_plugin_ray import cluster, environments
from mlagents_plugin_ray.environments import EnvironmentPlan
from mlagents_plugin_ray.watch import Watch
from mlagents_plugin_ray.worker import Orders, Packet, Worker
from mlagents_plugin_shared.run.actor import NotPlayable, Place
from mlagents_plugin_shared.run.actor_settings import ActorSettings
from mlagents_plugin_shared.run.experience_source import (
    ActingBehavior,
    Arrivals,
    Delivery,
    ExperienceSource,
    SourceStatus,
    Weights,
)

logger = get_logger(__name__)

# Calls that wait at an actor: one that it plays, and one so that it need not wait for the learner. A slow learner asks
# for no more, and so holds its actors back.
_CALLS = 2

# Seconds before an actor that failed is called again, so that one that cannot start does not fill the log.
_PAUSE = 2.0

# Seconds that environments are given to end by themselves.
_GOODBYE = 5.0

# Seconds without a delivery after which an actor is given up, although Ray takes it for alive, and made anew: after a
# link was cut for a while, calls and objects that were on the way may never come. On top comes the environment's own
# timeout, by which one that hangs is started again.
_PATIENCE = 60.0

# It doubles so often with each start that failed: on a busy machine one that is given up too early would never play.
_DOUBLINGS = 3

# So many times its longest wait so far an actor may take, where that is more.
_SLOWER = 5.0

# Seconds for weights to reach an actor, which acts by those that it has if they do not.
_FETCHING = 20.0

# An actor that has died so often without a delivery is made anew: Ray starts processes again, not what it gave up.
_DEATHS = 3


@attr.s(auto_attribs=True, frozen=True)
class Fetch:
    """Gives weights to an actor that does not have them yet.

    Attributes:
        reference: in a list, so that Ray does not fetch them for every call.
    """

    reference: list

    def __call__(self) -> Mapping[str, Any]:
        import ray

        weights: Mapping[str, Any] = ray.get(self.reference[0], timeout=_FETCHING)
        return weights


@attr.s(auto_attribs=True, eq=False)
class _Player:
    """An actor, as the learner sees it.

    Attributes:
        place: which of them it is.
        handle: Ray's; None before it is made.
        calls: those that are under way, in order.
        name: under which it delivered last; None since it failed.
        resumes: when it may be called again.
        deaths: in a row, without a delivery.
        waited_since: when the first of its calls became the first.
        longest_wait: seconds until a delivery.
    """

    place: Place
    handle: Any = None
    calls: deque = attr.ib(factory=deque)
    name: str | None = None
    resumes: float = 0.0
    deaths: int = 0
    waited_since: float = 0.0
    longest_wait: float = 0.0


class RaySource(ExperienceSource):
    """Actors of Ray's that each hold an environment.

    Args:
        settings: what stands under `actors:`.
    """

    def __init__(self, settings: ActorSettings) -> None:
        self._settings = settings
        self._behavior: ActingBehavior
        self._name = ""
        self._plan: EnvironmentPlan
        self._watch: Watch
        self._players: list[_Player] = []
        self._lost: list[str] = []
        self._weights: tuple[Fetch, int]
        self._lessons = _Lessons(None, 0)
        self._restarts = 0
        self._received = 0
        self._said: set[str] = set()

    def start(self, behavior: ActingBehavior, weights: Weights) -> None:
        self._behavior = behavior
        self._name = BehaviorIdentifiers.from_name_behavior_id(behavior.behavior_id).brain_name
        self._plan = EnvironmentPlan.of(environments.noted_options, self._name, behavior.seed)
        self._lessons = _Lessons(environments.noted_options, behavior.seed)
        self._watch = cluster.connect(self._settings, self._name)
        atexit.register(self.close)
        self.publish(weights, 0)
        self._players = [_Player(Place(rank, self._settings.count)) for rank in range(self._settings.count)]
        for player in self._players:
            self._call(player)
        logger.info(f"{self._name}: {self._settings.count} actors start on Ray (address: {self._settings.address}).")
        self._tell_of_room()

    def publish(self, weights: Weights, version: int) -> None:
        import ray

        self._check()
        self._weights = (Fetch([ray.put(dict(weights))]), version)

    def _check(self) -> None:
        """Raises TrainerError if Ray is gone; to be called before whatever needs it."""
        if lost := self._watch.lost():
            raise TrainerError(
                f"{self._name}: hyperparameters: actors: {lost} is lost, and all actors with it. Start Ray again, and "
                "go on from the checkpoint with --resume."
            )

    def poll(self) -> Arrivals:
        self._check()
        deliveries = []
        for player in self._players:
            while player.calls and _is_done(player.calls[0]):
                if delivery := self._result(player, player.calls.popleft()):
                    deliveries.append(delivery)
            if player.calls and time.monotonic() - player.waited_since > self._patience(player):
                self._give_up(player)
            self._call(player)
        lost, self._lost = self._lost, []
        return Arrivals(deliveries, lost)

    def status(self) -> SourceStatus:
        return SourceStatus(sum(player.name is not None for player in self._players), self._restarts, self._received)

    def close(self) -> None:
        atexit.unregister(self.close)
        players, self._players = self._players, []
        if not players:
            return
        self._watch.leave()
        if self._watch.lost():  # what is left of Ray ends by itself, and a call would end this process or wait
            cluster.leave_alone()
            return
        import ray

        handles = [player.handle for player in players if player.handle is not None]
        try:
            ray.wait([handle.close.remote() for handle in handles], num_returns=len(handles), timeout=_GOODBYE)
            for handle in handles:
                ray.kill(handle)
        except Exception as error:  # whatever became of the cluster, the run goes on to save
            logger.warning(f"{self._name}: actors may not have ended: {_reason(error)}")
        ray.shutdown()

    def _call(self, player: _Player) -> None:
        """Calls an actor as often as calls may wait at it."""
        if time.monotonic() < player.resumes:
            return
        if player.handle is None:
            player.handle = self._made(player.place)
        fetch, version = self._weights
        lesson, parameters = self._lessons.current()
        if not player.calls:
            player.waited_since = time.monotonic()
        most = _CALLS if player.name is not None else 1  # what is asked of one that starts, is old when it plays
        while len(player.calls) < most:
            orders = Orders(self._settings.steps_at_a_time, version, fetch, lesson, parameters)
            player.calls.append(player.handle.collect.remote(orders))

    def _made(self, place: Place) -> Any:
        import ray

        options = {"num_cpus": 1, "resources": self._settings.resources, "max_restarts": -1, "max_task_retries": 0}
        return ray.remote(Worker).options(**options).remote(self._plan, self._behavior, place)

    def _result(self, player: _Player, call: Any) -> Delivery | None:
        """What a call brought; None where the actor failed."""
        import ray
        from ray.exceptions import RayError

        self._check()
        try:
            sent: bytes = ray.get(call)
        except NotPlayable as error:
            raise NotPlayable(str(getattr(error, "cause", error))) from None
        except RayError as error:
            self._failed(player, error)
            return None
        packet: Packet = pickle.loads(sent)
        self._received += len(sent)
        self._delivered(player, packet)
        return Delivery(packet.actor, packet.version, packet.segments.unpack(), packet.errors, packet.statistics)

    def _delivered(self, player: _Player, packet: Packet) -> None:
        for failure in packet.failures:
            self._restarts += 1
            self._say(f"an environment of actor {player.place.rank} was started again: {failure}")
        if player.name not in (None, packet.actor):
            self._lost.append(str(player.name))
        if player.name is None:
            logger.info(f"{self._name}: actor {player.place.rank} plays.")
            player.longest_wait = 0.0  # what it took to start
        else:
            player.longest_wait = max(player.longest_wait, time.monotonic() - player.waited_since)
        player.waited_since = time.monotonic()
        player.name = packet.actor
        player.deaths = 0

    def _patience(self, player: _Player) -> float:
        """Seconds that an actor may be waited for."""
        tries = min(player.deaths, _DOUBLINGS)
        return max((_PATIENCE + self._plan.timeout) * 2**tries, _SLOWER * player.longest_wait)

    def _give_up(self, player: _Player) -> None:
        """Ends an actor of which nothing comes, and makes another one."""
        import ray

        self._tell_of_room()
        self._lose(player, f"nothing has come for {time.monotonic() - player.waited_since:.0f} seconds")
        ray.kill(player.handle)
        player.handle = None
        player.calls.clear()

    def _failed(self, player: _Player, error: Exception) -> None:
        """Takes note of an actor that is gone; Ray starts its process again, and the next call its environment."""
        from ray.exceptions import ActorDiedError

        self._lose(player, _reason(error))
        if isinstance(error, ActorDiedError) and player.deaths >= _DEATHS:
            player.handle = None
            player.calls.clear()

    def _lose(self, player: _Player, reason: str) -> None:
        if player.name is not None or not player.deaths:
            self._say(f"actor {player.place.rank} is lost and starts again: {reason}")
        if player.name is not None:
            self._lost.append(player.name)
            self._restarts += 1
        player.name = None
        player.deaths += 1
        player.resumes = time.monotonic() + _PAUSE

    def _tell_of_room(self) -> None:
        """Ray itself says nothing of actors that no machine has room for."""
        import ray

        if lack := cluster.too_little_room(ray.nodes(), self._settings):
            self._say(lack)

    def _say(self, what: str) -> None:
        """On the log; the same only once in a while would be no news."""
        if what not in self._said:
            self._said.add(what)
            logger.warning(f"{self._name}: {what}")


class _Lessons:
    """The environment parameters that hold now, which a curriculum changes in the course of a run.

    Args:
        options: of the run.
        seed: of the run.
    """

    def __init__(self, options: RunOptions | None, seed: int) -> None:
        self._settings = (options.environment_parameters or {}) if options else {}
        self._seed = seed
        self._lessons: Mapping[str, Any] | None = None
        self._number = 0
        self._parameters: Mapping[str, Any] = {}

    def current(self) -> tuple[int, Mapping[str, Any]]:
        """Their number, which grows with each change, and the parameters."""
        lessons = {
            name: GlobalTrainingStatus.get_parameter_state(name, StatusType.LESSON_NUM) for name in self._settings
        }
        if lessons != self._lessons:
            self._lessons = lessons
            self._number += 1
            manager = EnvironmentParameterManager(self._settings, self._seed, restore=True)
            self._parameters = manager.get_current_samplers()
        return self._number, self._parameters


def _is_done(call: Any) -> bool:
    import ray

    return bool(ray.wait([call], timeout=0)[0])


def _reason(error: BaseException) -> str:
    """The last line of an error, which is what it was about; Ray puts a traceback before it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
