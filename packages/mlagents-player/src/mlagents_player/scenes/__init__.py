"""Scenes by name: those of this package and those that other packages register.

A distribution offers a scene by an entry point of the group `mlagents_player.scenes`, whose name is the
scene's and whose value a subclass of `Scene`. A name `gym:<id>` is a Gymnasium environment.
"""

from __future__ import annotations

import difflib
from importlib.metadata import EntryPoint, entry_points

from mlagents_player.errors import PlayerError
from mlagents_player.scenes.base import Scene

GROUP = "mlagents_player.scenes"
GYMNASIUM = "gym:"

__all__ = ["Scene", "load", "names"]


def names() -> list[str]:
    """All registered scenes, sorted."""
    return sorted(_registered())


def load(name: str, drawn: bool = False) -> type[Scene]:
    """The class of a scene.

    Args:
        name: Its name.
        drawn: Pictures of it will be asked for; Gymnasium environments must know this when they are made.

    Raises:
        PlayerError: there is no such scene, or the package that offers it cannot be imported.
    """
    if name.startswith(GYMNASIUM):
        from mlagents_player.scenes import gymnasium_env  # an extra, which need not be installed

        return gymnasium_env.scene_type(name[len(GYMNASIUM) :], drawn)
    registered = _registered()
    if name not in registered:
        raise PlayerError(_unknown(name, sorted(registered)))
    try:
        scene = registered[name].load()
    except Exception as error:  # whatever somebody else's module raises
        raise PlayerError(f"Scene {name} cannot be loaded from {registered[name].value}: {error!r}.") from error
    if not (isinstance(scene, type) and issubclass(scene, Scene)):
        raise PlayerError(f"Scene {name} ({registered[name].value}) is not a subclass of mlagents_player.Scene.")
    return scene


def _registered() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def _unknown(name: str, known: list[str]) -> str:
    lowered = {scene.lower(): scene for scene in known}
    near = difflib.get_close_matches(name.lower(), list(lowered), n=1, cutoff=0.5)
    hint = f" Did you mean {lowered[near[0]]}?" if near else ""
    return f"Unknown scene {name!r}.{hint} Scenes: {', '.join(known)}."
