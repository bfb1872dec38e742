"""Every extension alone, and every preset, solves a task; without learning none does."""

from pathlib import Path
from typing import Any

import pytest

from dqn_runs import AGENTS, NO_LEARNING, config, trained_return
from mlagents_plugin_dqn.settings import Preset
from mlagents_plugin_shared.testing import Corridor

RETURNS = {"v_min": -2.0, "v_max": 2.0}
SWITCHES: list[dict[str, Any]] = [
    {"double": False},
    {"dueling": False},
    {"n_step": 1},
    {"prioritized_replay": True},
    {"noisy": True},
    {"distribution": "categorical", **RETURNS},
    {"distribution": "quantile", "num_quantiles": 8},
    {"distribution": "implicit_quantile", "num_quantiles": 8},
    {"munchausen": True},
    {"layer_norm": True},
    {"optimizer": "rmsprop"},
    {"loss": "mse"},
    {"value_rescaling": True},
    {"exploration": "ladder"},
    {"tau": 0.05, "target_update_interval": 1},
]
PRESETS = [{"preset": preset.value, **(RETURNS if preset is Preset.RAINBOW else {})} for preset in Preset]


def first_item(options: dict) -> str:
    """Name of a test."""
    return "-".join(map(str, next(iter(options.items()))))


@pytest.mark.parametrize("options", SWITCHES + PRESETS, ids=first_item)
def test_every_switch_solves_the_corridor(tmp_path: Path, options: dict) -> None:
    """At least 0.65 of 0.8 over the last training episodes, exploration included."""
    one_step = options.get("n_step") == 1 or options.get("preset") in ("dqn", "double_dueling")
    settings = config(2600 if one_step else 1600, {"learning_rate": 3e-3, **options})
    assert trained_return(Corridor(AGENTS), settings, tmp_path) >= 0.65


@pytest.mark.parametrize("options", [{}, {"noisy": True}], ids=["epsilon", "noisy"])
def test_no_exploration_solves_the_corridor_by_itself(tmp_path: Path, options: dict) -> None:
    """The control: without learning a network may be born to walk right, but not each of three."""
    settings = config(600, {**options, **NO_LEARNING})
    returns = [trained_return(Corridor(AGENTS), settings, tmp_path / str(seed), seed=seed) for seed in range(3)]
    assert min(returns) < 0.3
