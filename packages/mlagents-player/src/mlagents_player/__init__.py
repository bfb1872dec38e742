"""The environment side of ML-Agents without Unity: scenes that the stock `mlagents-learn` trains on."""

from mlagents_player.scenes.base import (
    Actions,
    ActionSpec,
    Aggregation,
    BehaviorSpec,
    Rows,
    Scene,
    vector_observation,
)

__version__ = "0.1.0"

__all__ = ["ActionSpec", "Actions", "Aggregation", "BehaviorSpec", "Rows", "Scene", "vector_observation"]
