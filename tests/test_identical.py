"""The comparison of two versions' trainings: what counts as the same, and what does not."""

import copy
import sys
from pathlib import Path
from typing import Any

import pytest
from mlagents.torch_utils import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from _fingerprint import CONFIGURATIONS, PARTS, digest, leaves, trainer_of
from identical import missing

CHECKPOINT: dict[str, Any] = {
    "Policy": {"weight": torch.tensor([[0.5, 0.25]]), "bias": torch.tensor([0.5])},
    "Optimizer:target_network": {"weight": torch.tensor([[0.5, 0.25]])},
    "Optimizer:value_optimizer": {
        "state": {0: {"exp_avg": torch.tensor([0.125]), "step": torch.tensor(3.0)}},
        "param_groups": [{"lr": 0.001, "params": [0]}],
    },
    "Trainer": {"returns": [0.5, 1.0], "rollout": {"observations": [torch.ones(2)]}, "best": None},
}


def fingerprint(checkpoint: dict[str, Any], loss: str = "0x1p-1") -> dict[str, Any]:
    """Fingerprint of a training that left such a checkpoint and reported such a loss."""
    parts: dict[str, dict[str, str]] = {part: {} for part in PARTS}
    for path, part, value in leaves(checkpoint):
        parts[part]["/".join(path)] = digest(value)
    parts["statistics"]["Losses/Value Loss"] = digest(loss)
    return {"updates": 200, "parts": parts}


def gone(before: dict[str, Any], after: dict[str, Any]) -> dict[str, list[str]]:
    """What is missing, in the parts where anything is."""
    found = {part: missing(part, before, after) for part in PARTS}
    return {part: names for part, names in found.items() if names}


def test_every_trainer_is_compared(plugins: list[Any]) -> None:
    """A plugin without a configuration could change unseen."""
    assert set(map(trainer_of, CONFIGURATIONS)) == {name for plugin in plugins for name in plugin.trainers}


def test_rearranged_checkpoint_is_the_same() -> None:
    """Other names, other groups, a format number and one thing more: all that there was is found."""
    rearranged = {
        "format": 2,
        "networks": {"online": CHECKPOINT["Policy"], "target": CHECKPOINT["Optimizer:target_network"]},
        "optimizers": {"q": CHECKPOINT["Optimizer:value_optimizer"]},
        "run": {**CHECKPOINT["Trainer"], "seed": 1},
    }
    assert gone(fingerprint(CHECKPOINT), fingerprint(rearranged)) == {}


@pytest.mark.parametrize(
    ("path", "part"),
    [
        (("Policy", "weight"), "weights"),
        (("Optimizer:target_network", "weight"), "weights"),  # the online network has the same numbers
        (("Optimizer:value_optimizer", "state", 0, "exp_avg"), "moments"),
        (("Trainer", "rollout", "observations", 0), "experience"),
        (("Trainer", "returns"), "state"),
    ],
)
def test_smallest_change_is_found(path: tuple[Any, ...], part: str) -> None:
    """The last bit of one number, in whichever part."""
    changed = copy.deepcopy(CHECKPOINT)
    place: Any = changed
    for key in path[:-1]:
        place = place[key]
    if part == "state":
        place[path[-1]][0] += 2**-53
    else:
        values = place[path[-1]]
        values.view(-1)[0] = torch.nextafter(values.view(-1)[0], torch.tensor(9.0))
    assert list(gone(fingerprint(CHECKPOINT), fingerprint(changed))) == [part]


def test_other_statistic_is_named() -> None:
    """A number that was reported otherwise is named, even where all that was trained is the same."""
    assert gone(fingerprint(CHECKPOINT), fingerprint(CHECKPOINT, loss="0x1.0000001p-1")) == {
        "statistics": ["Losses/Value Loss"]
    }
