"""Toy tasks and in-process training, for the tests of trainer plugins.

`train` runs ML-Agents' own trainer controller, agent managers and self-play on a task of a few lines, without gRPC
and without a player: a run takes seconds. The tasks are small enough that a correct trainer solves them, and each
asks for one ability: masks, branches, memory, continuous actions, pictures, entities, a goal signal, an opponent.

Every task has a control that must fail: `ToyEnv` can blank a sensor and keep the masks to itself.
"""

from mlagents_plugin_shared.testing.decisions import illegal_choices, masked_decisions, model_inputs
from mlagents_plugin_shared.testing.exports import SENSORS, ExportedModel
from mlagents_plugin_shared.testing.in_process import train
from mlagents_plugin_shared.testing.resuming import differences, killed_and_resumed, rewrite_as_0_1
from mlagents_plugin_shared.testing.tasks import (
    Corridor,
    Crowd,
    Duel,
    Goal,
    MaskedGrid,
    Match,
    Picture,
    Recall,
    Target,
)
from mlagents_plugin_shared.testing.toy_environment import BEHAVIOR, Outcome, ToyEnv

__all__ = [
    "BEHAVIOR",
    "SENSORS",
    "Corridor",
    "Crowd",
    "Duel",
    "ExportedModel",
    "Goal",
    "MaskedGrid",
    "Match",
    "Outcome",
    "Picture",
    "Recall",
    "Target",
    "ToyEnv",
    "differences",
    "illegal_choices",
    "killed_and_resumed",
    "masked_decisions",
    "model_inputs",
    "rewrite_as_0_1",
    "train",
]
