"""Ray itself: started on this machine or joined, and never without a token.

Ray unpickles what it is sent, so that whoever may connect may run code; and its processes listen on every interface of
a machine. So nothing is started or joined here without a token.
"""

import os
import secrets
import socket
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlagents.trainers.exception import TrainerConfigError

from mlagents_plugin_shared.run.actor_settings import LOCAL, ActorSettings

MODE, TOKEN, TOKEN_FILE = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
"""Ray's own environment variables."""


class Head:
    """Whether the head of Ray can still be reached, seen from a thread of its own.

    Ray itself says nothing of it to a program: its calls wait, and after a time it ends the whole process.

    Attributes:
        address: HOST:PORT.
        is_lost: whether it is given up.

    Args:
        address: HOST:PORT of its store.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.is_lost = False
        self._left = threading.Event()
        threading.Thread(target=self._watch, name="head of Ray", daemon=True).start()

    def leave(self) -> None:
        """Ends the watch."""
        self._left.set()

    def _watch(self) -> None:
        host, _, port = self.address.rpartition(":")
        heard, refusals = time.monotonic(), 0
        while not (self.is_lost or self._left.wait(_PERIOD)):
            try:
                socket.create_connection((host.strip("[]"), int(port)), _PERIOD).close()
                heard, refusals = time.monotonic(), 0
            except ConnectionRefusedError:  # its machine is there, and nobody listens
                refusals += 1
            except OSError:  # a cut link, or a machine that is gone
                pass
            self.is_lost = refusals >= _REFUSALS or time.monotonic() - heard > _SILENCE


def connect(settings: ActorSettings, behavior: str) -> Head:
    """Starts Ray on this machine for this run alone, or joins a cluster, by a token.

    Args:
        settings: what stands under `actors:`.
        behavior: name of the behaviour, for the error.

    Returns:
        Its head, which is watched from now on.

    Raises:
        TrainerConfigError: there is no token, no cluster, or it does not take the token; or this run has joined one.
    """
    where = f"{behavior}: hyperparameters: actors: address: {settings.address}"
    require_token(settings.address == LOCAL, where)
    import ray

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
    return Head(ray.get_runtime_context().gcs_address)


# Seconds between two looks at the head, and for each.
_PERIOD = 1.0

# Seconds without an answer after which the head is given up; a link that is cut for so long is not mended in time.
_SILENCE = 30.0

# Refused connections in a row after which it is given up: its process has ended, and what it knew with it.
_REFUSALS = 3

_QUIET: Mapping[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}


def require_token(is_own: bool, where: str) -> None:
    """Sees to it that Ray asks for a token: a new one for processes of this run, the user's for a cluster.

    Args:
        is_own: whether the run starts Ray by itself.
        where: what stands before the error.

    Raises:
        TrainerConfigError: tokens are switched off, or there is none for a cluster.
    """
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
