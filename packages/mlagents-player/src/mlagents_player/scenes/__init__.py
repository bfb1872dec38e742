"""Scenes by name: those of this package and those that other packages register.

A distribution offers a scene by an entry point of the group `mlagents_player.scenes`, whose name is the
scene's and whose value a subclass of `Scene`. A name `gym:<id>` is a Gymnasium environment.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

from mlagents_player.errors import PlayerError, did_you_mean, one_line
from mlagents_player.scenes.base import BehaviorSpec, Scene

GROUP = "mlagents_player.scenes"
GYMNASIUM = "gym:"

__all__ = ["Scene", "check", "load", "names"]


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
        known = sorted(registered)
        raise PlayerError(f"Unknown scene {name!r}.{did_you_mean(name, known)} Scenes: {', '.join(known)}.")
    try:
        scene = registered[name].load()
    except (Exception, SystemExit) as error:  # whatever somebody else's module raises
        reason = one_line(repr(error))
        raise PlayerError(f"Scene {name} cannot be loaded from {registered[name].value}: {reason}.") from error
    return check(scene, f"{name} ({registered[name].value})")


def check(scene: Any, name: str) -> type[Scene]:
    """The same as it is given, if it is the class of a scene.

    Args:
        scene: What should be one.
        name: What to call it in an error.

    Raises:
        PlayerError: it is something else, or has no behaviours.
    """
    if not (isinstance(scene, type) and issubclass(scene, Scene)):
        raise PlayerError(f"Scene {name} is not a subclass of mlagents_player.Scene.")
    if not _is_whole(scene):
        raise PlayerError(f"Scene {name} has no `behaviors`; they are a dict of BehaviorSpec by name.")
    return scene


def _is_whole(scene: type[Scene]) -> bool:
    behaviors = getattr(scene, "behaviors", None)
    return isinstance(behaviors, dict) and all(isinstance(spec, BehaviorSpec) for spec in behaviors.values() or [None])


def _registered() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}
