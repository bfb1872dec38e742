"""The environment side of ML-Agents without Unity: scenes that the stock `mlagents-learn` trains on."""

from typing import TYPE_CHECKING, Any

from mlagents_player.scenes.base import (
    Actions,
    ActionSpec,
    Aggregation,
    BehaviorSpec,
    Rows,
    Scene,
    vector_observation,
)

__version__ = "0.2.0"

__all__ = [
    "ActionSpec",
    "Actions",
    "Aggregation",
    "BehaviorSpec",
    "Rows",
    "Scene",
    "SceneEnvironment",
    "vector_observation",
]

if TYPE_CHECKING:
    from mlagents_player.scene_environment import SceneEnvironment


def __getattr__(name: str) -> Any:
    """`SceneEnvironment` when it is first asked for: a scene's own module needs nothing of what it imports."""
    if name == "SceneEnvironment":
        from mlagents_player.scene_environment import SceneEnvironment

        return SceneEnvironment
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
