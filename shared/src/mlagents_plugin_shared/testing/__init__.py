"""Toy tasks and in-process training, for the tests of trainer plugins.

`train` runs ML-Agents' own trainer controller, agent managers and self-play on a task of a few lines, without gRPC
and without a player: a run takes seconds. The tasks are small enough that a correct trainer solves them, and each
asks for one ability: masks, branches, memory, continuous actions, continuous and discrete ones that fit together,
pictures, entities, a goal signal, an opponent. The rewards of each can be scaled.

Every task has a control that must fail: `ToyEnv` can blank a sensor and keep the masks to itself.
"""

import sys
from collections.abc import Mapping
from typing import Any

from mlagents_plugin_shared.testing.decisions import illegal_choices, masked_decisions, model_inputs
from mlagents_plugin_shared.testing.exports import SENSORS, ExportedModel
from mlagents_plugin_shared.testing.in_process import train
from mlagents_plugin_shared.testing.in_process_source import InProcessSource
from mlagents_plugin_shared.testing.installed_plugin import TEAM, Plugin
from mlagents_plugin_shared.testing.recordings import record
from mlagents_plugin_shared.testing.resuming import differences, killed_and_resumed, rewrite_as_0_1
from mlagents_plugin_shared.testing.tasks import (
    Corridor,
    Crowd,
    Duel,
    Goal,
    MaskedGrid,
    Match,
    MemoryChain,
    Mirror,
    Picture,
    Recall,
    Target,
)
from mlagents_plugin_shared.testing.toy_environment import BEHAVIOR, Outcome, ToyEnv


def contract(
    trainer_type: str,
    settings: Mapping[str, Any] | None = None,
    *,
    tasks: Mapping[str, Mapping[str, Any]] | None = None,
    variants: Mapping[str, Mapping[str, Any]] | None = None,
    vanishing: Mapping[str, Any] | None = None,
    blind_steps: int = 1000,
) -> type:
    """The tests that every trainer plugin has to pass, as a class for pytest.

    One line in a test module of the plugin is all it takes, whether the plugin is installed from a wheel or editable:

        TestContract = contract("mine", {"hyperparameters": {"learning_rate": 3e-3}, "max_steps": 6000})

    It learns the toy tasks that fit its kinds of actions, and does not with a vanishing learning rate; resumes bit for
    bit; exports what it plays; keeps to masks; survives many agents, threads, tiny and huge rewards, self-play,
    curiosity, RND, GAIL and behavioural cloning; and refuses bad settings by name. pytest and onnxruntime have to be
    installed.

    Args:
        trainer_type: name of the plugin in a YAML.
        settings: what stands below a behaviour's name, with which it solves the toy tasks.
        tasks: changes of the settings for single tasks, by their name: corridor, masks, branches, continuous, hybrid,
            fitting, picture, entities, goal, memory, self-play.
        variants: by any name, hyperparameters that switch something on: each has to resume, to export and to keep to
            masks, too.
        vanishing: hyperparameters with which nothing is learned; default a learning rate of 1e-12.
        blind_steps: `max_steps` of the runs that must not learn.

    Returns:
        The class; its name in the test module has to begin with `Test`.

    Raises:
        ValueError: no such plugin is installed, or a task is not known.
    """
    import pytest  # only who tests has it

    if (suite := f"{__name__}._contract_suite") not in sys.modules:
        pytest.register_assert_rewrite(suite)
    from mlagents_plugin_shared.testing._contract_suite import make

    return make(
        trainer_type,
        settings or {},
        tasks=tasks or {},
        variants={"plain": {}, **(variants or {})},
        vanishing=vanishing or {"learning_rate": 1e-12},
        blind_steps=blind_steps,
    )


__all__ = [
    "BEHAVIOR",
    "SENSORS",
    "TEAM",
    "Corridor",
    "Crowd",
    "Duel",
    "ExportedModel",
    "Goal",
    "InProcessSource",
    "MaskedGrid",
    "Match",
    "MemoryChain",
    "Mirror",
    "Outcome",
    "Picture",
    "Plugin",
    "Recall",
    "Target",
    "ToyEnv",
    "contract",
    "differences",
    "illegal_choices",
    "killed_and_resumed",
    "masked_decisions",
    "model_inputs",
    "record",
    "rewrite_as_0_1",
    "train",
]
