"""Ray itself: started on this machine or joined, and never without a token.

Ray unpickles what it is sent, so that whoever may connect may run code; and its processes listen on every interface of
a machine. So nothing is started or joined here without a token.
"""

import atexit
import logging
import math
import os
import secrets
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mlagents.trainers.exception import TrainerConfigError

from mlagents_plugin_ray.watch import Watch, dial
from mlagents_plugin_shared.run.actor_settings import AUTO, LOCAL, ActorSettings

MODE, TOKEN, TOKEN_FILE = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
"""Ray's own environment variables."""

USAGE = "RAY_USAGE_STATS_ENABLED"
"""Ray's own, by which it reports to its makers how it is used; not without being asked to."""

ADDRESS, TRIES = "RAY_ADDRESS", "RAY_NUM_REDIS_GET_RETRIES"
"""Ray's own: where `auto` is, and how often it tries to reach a head, for 40 seconds each."""

STARTING = "RAY_raylet_start_wait_time_s"
"""Ray's own: seconds for its processes on this machine to start, which it reads when it is imported."""

# Of these; Ray's own 30 are too few on a machine that does other work.
_STARTING = 120

# Seconds for a head to take a connection; Ray itself would try for a quarter of an hour.
_DIALLING = 10.0

# Names that Ray keeps for what it counts by itself.
_RESERVED = frozenset({"CPU", "GPU", "memory", "object_store_memory"})

# Ray counts in ten-thousandths.
_SMALLEST_AMOUNT = 0.0001


def connect(settings: ActorSettings, behavior: str) -> Watch:
    """Starts Ray on this machine for this run alone, or joins a cluster, by a token.

    Args:
        settings: what stands under `actors:`.
        behavior: name of the behaviour, for the error.

    Returns:
        What watches it from now on.

    Raises:
        TrainerConfigError: there is no token, no cluster, or it does not take the token; or this run has joined one, or
            there is no such resource.
    """
    actors = f"{behavior}: hyperparameters: actors"
    where = f"{actors}: address: {settings.address}"
    check_resources(settings.resources, f"{actors}: resources")
    require_token(settings.address == LOCAL, where)
    if settings.address != LOCAL:
        check_reachable(os.environ.get(ADDRESS, "") if settings.address == AUTO else settings.address, where)
        os.environ.setdefault(TRIES, "1")
    os.environ.setdefault(STARTING, str(_STARTING))
    shows_errors = sys.excepthook
    import ray

    sys.excepthook = shows_errors  # Ray's own tells the head first, and so waits for one that is lost
    if ray.is_initialized():
        raise TrainerConfigError(
            f"{where}: another behavior of this run has actors, and they play for one behavior only: leave actors out."
        )
    try:
        if settings.address == LOCAL:
            ray.init(
                address=LOCAL,
                num_cpus=settings.count,
                resources=_of_all(settings) or None,
                include_dashboard=False,
                _node_ip_address="127.0.0.1",
                **_QUIET,
            )
        else:
            ray.init(address=settings.address, **_QUIET)
    except Exception as error:
        # Where Ray finds none, its own words are of a flag that mlagents-learn does not have.
        if settings.address == AUTO and isinstance(error, ConnectionError):
            raise TrainerConfigError(
                f"{where}: no Ray was found on this machine. Start a head by `ray start --head --port=6379`, join one "
                "by `ray start --address=HOST:6379`, or give it as address: HOST:6379."
            ) from error
        raise TrainerConfigError(f"{where}: Ray cannot be reached: {_first_line(error)}") from error
    return _watch()


def _of_all(settings: ActorSettings) -> dict[str, float]:
    """What all actors take together; a machine has whole numbers of a resource."""
    return {name: math.ceil(amount * settings.count) for name, amount in settings.resources.items()}


def check_resources(resources: Mapping[str, float], where: str) -> None:
    """Refuses what Ray could not count, before any of it is started.

    Args:
        resources: what one actor takes.
        where: what stands before the error.

    Raises:
        TrainerConfigError: a name is Ray's own, or an amount is too small, or not whole and more than 1.
    """
    for name, amount in resources.items():
        if name in _RESERVED:
            raise TrainerConfigError(
                f"{where}: {name} is not valid; Ray counts it by itself, and an actor takes one core and no "
                "accelerator: take a name of your own, as unity, which machines have by `ray start --resources`."
            )
        if amount < _SMALLEST_AMOUNT or (amount > 1 and amount != int(amount)):
            raise TrainerConfigError(
                f"{where}: {name}: {amount:g} is not valid; it must lie between {_SMALLEST_AMOUNT:g} and 1, or be a "
                "whole number."
            )


def too_little_room(nodes: Iterable[Mapping[str, Any]], settings: ActorSettings) -> str:
    """What a user has to know where some actors would wait for a machine; empty where there is one for each.

    Args:
        nodes: as `ray.nodes()` gives them.
        settings: what stands under `actors:`.
    """
    each = {"CPU": 1.0, **settings.resources}
    has = [node["Resources"] for node in nodes if node["Alive"]]
    room = sum(min(int(own.get(name, 0.0) / amount + _SMALLEST_AMOUNT) for name, amount in each.items()) for own in has)
    if room >= settings.count:
        return ""
    takes = ", ".join(f"{name}: {amount:g}" for name, amount in each.items())
    return (
        f"hyperparameters: actors: count: {settings.count}: the machines that Ray has now hold {room} of these actors, "
        f"which take {{{takes}}} each; the others wait for a machine that joins. Start Ray on one that has this, see "
        "`ray start --num-cpus --resources`, or correct count or resources."
    )


def check_reachable(address: str, where: str) -> None:
    """Makes sure that somebody listens at an address, for Ray would try for a quarter of an hour.

    Args:
        address: HOST:PORT; anything else is left to Ray.
        where: what stands before the error.

    Raises:
        TrainerConfigError: nobody does.
    """
    try:
        dial(address, _DIALLING).close()
    except ValueError:  # no HOST:PORT
        return
    except (OSError, OverflowError) as error:
        raise TrainerConfigError(
            f"{where}: nobody answers at {address}: {_first_line(error)}. Start Ray there by `ray start --head "
            "--port=6379`, or correct the address."
        ) from error


def leave_alone() -> None:
    """Sees to it that this process, when it ends, does so with its error, and not with Ray's.

    What Ray does at the end of a process waits for a head that is lost, for a minute, and so do its objects when they
    are cleared away. Nothing else is left to do then.
    """
    atexit.register(_end)


def _end() -> None:
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


def _watch() -> Watch:
    import ray

    own = ray.get_runtime_context()
    node = next(node for node in ray.nodes() if node["NodeID"] == own.get_node_id())
    return Watch(own.gcs_address, f"{node['NodeManagerAddress']}:{node['NodeManagerPort']}")


_QUIET: Mapping[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}


def require_token(is_own: bool, where: str) -> None:
    """Sees to it that Ray asks for a token: a new one for processes of this run, the user's for a cluster.

    Args:
        is_own: whether the run starts Ray by itself.
        where: what stands before the error.

    Raises:
        TrainerConfigError: tokens are switched off, or there is none for a cluster.
    """
    os.environ.setdefault(USAGE, "0")
    mode = os.environ.setdefault(MODE, "token")
    if mode != "token":
        raise TrainerConfigError(
            f"{where}: {MODE} is {mode}, and Ray listens on every interface of this machine: whoever reaches it could "
            f"run code here. Unset {MODE}."
        )
    if _has_token():
        return
    if not is_own:
        raise TrainerConfigError(
            f"{where}: there is no token for this cluster. Copy the head's, {_token_file()}, to this machine, or set "
            f"{TOKEN}; `ray get-auth-token --generate` makes one on the head before `ray start`."
        )
    os.environ[TOKEN] = secrets.token_hex(32)


def _has_token() -> bool:
    return bool(os.environ.get(TOKEN)) or _token_file().is_file()


def _token_file() -> Path:
    return Path(os.environ.get(TOKEN_FILE) or Path.home() / ".ray" / "auth_token")


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
