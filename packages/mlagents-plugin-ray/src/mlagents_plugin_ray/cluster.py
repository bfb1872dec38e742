"""Ray itself: started on this machine or joined, and never without a token.

Ray unpickles what it is sent, so that whoever may connect may run code; and its processes listen on every interface of
a machine. So nothing is started or joined here without a token.
"""

import atexit
import logging
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlagents.trainers.exception import TrainerConfigError

from mlagents_plugin_ray.watch import Watch
from mlagents_plugin_shared.run.actor_settings import LOCAL, ActorSettings

MODE, TOKEN, TOKEN_FILE = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
"""Ray's own environment variables."""

USAGE = "RAY_USAGE_STATS_ENABLED"
"""Ray's own, by which it reports to its makers how it is used; not without being asked to."""


def connect(settings: ActorSettings, behavior: str) -> Watch:
    """Starts Ray on this machine for this run alone, or joins a cluster, by a token.

    Args:
        settings: what stands under `actors:`.
        behavior: name of the behaviour, for the error.

    Returns:
        What watches it from now on.

    Raises:
        TrainerConfigError: there is no token, no cluster, or it does not take the token; or this run has joined one.
    """
    where = f"{behavior}: hyperparameters: actors: address: {settings.address}"
    require_token(settings.address == LOCAL, where)
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
                resources={name: amount * settings.count for name, amount in settings.resources.items()} or None,
                include_dashboard=False,
                _node_ip_address="127.0.0.1",
                **_QUIET,
            )
        else:
            ray.init(address=settings.address, **_QUIET)
    except Exception as error:
        raise TrainerConfigError(f"{where}: Ray cannot be reached: {_first_line(error)}") from error
    return _watch()


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
