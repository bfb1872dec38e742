"""Files that a transition passes on its way from arrival to gradient: `nox -s bench -- stations`.

Trains each algorithm on a toy task with its defaults, and notes every function of the repository that is given numbers
of transitions (a trajectory, arrays, tensors, or what holds them) while trajectories are taken in and learned from.
Prints the files with these functions, and their number.
"""

import argparse
import sys
import tempfile
import types
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from mlagents.plugins import all_trainer_types
from mlagents.plugins.trainer_type import register_trainer_plugins
from mlagents.torch_utils import torch
from mlagents.trainers.trajectory import Trajectory

from mlagents_plugin_shared.data import Batch
from mlagents_plugin_shared.data.trajectories import Segment
from mlagents_plugin_shared.testing import Corridor, train

SETTINGS: dict[str, dict[str, Any]] = {
    "dqn": {"batch_size": 16, "buffer_size": 500, "target_update_interval": 10**6},
    "a2c": {"buffer_size": 60},
    "pqn": {"buffer_size": 60, "batch_size": 20},
    "flashsac": {"batch_size": 16, "buffer_size": 500},
}
"""Of each algorithm, beside its defaults."""
ROUND = ("_process_trajectory", "_update_policy")
"""What a trainer does with transitions: takes them in, and learns from them."""

PACKAGES = "mlagents_plugin_"
DEPTH = 3
"""How deep numbers may lie in what a function is given."""

Stations = dict[str, set[str]]


def holds_numbers(value: Any, depth: int = DEPTH) -> bool:
    """Whether a value is, or holds, numbers of transitions."""
    if isinstance(value, (np.ndarray, torch.Tensor, Trajectory, Segment, Batch)):
        return True
    if depth == 0:
        return False
    if isinstance(value, dict):
        return any(holds_numbers(each, depth - 1) for each in value.values())
    if isinstance(value, (list, tuple)):
        return any(holds_numbers(each, depth - 1) for each in value[:4])
    fields = getattr(value, "__dataclass_fields__", {})
    return any(holds_numbers(getattr(value, name, None), depth - 1) for name in fields)


def noting(stations: Stations) -> Callable[[types.FrameType, str, Any], None]:
    """A profiler that notes the functions that are given numbers of transitions, by file."""

    def note(frame: types.FrameType, event: str, _: Any) -> None:
        _, package, place = frame.f_code.co_filename.rpartition(f"src/{PACKAGES}")
        if event == "call" and package and any(map(holds_numbers, list(frame.f_locals.values()))):
            stations[f"{PACKAGES}{Path(place).as_posix()}"].add(frame.f_code.co_name)

    return note


def watched(function: Callable[..., Any], stations: Stations) -> Callable[..., Any]:
    """A method during which functions are noted."""

    def call(*arguments: Any, **options: Any) -> Any:
        former = sys.getprofile()
        sys.setprofile(noting(stations))
        try:
            return function(*arguments, **options)
        finally:
            sys.setprofile(former)

    return call


def stations_of(trainer_type: str) -> Stations:
    """Functions by file that transitions pass, with the defaults of an algorithm."""
    stations: Stations = defaultdict(set)
    trainer = all_trainer_types[trainer_type]
    for name in ROUND:
        setattr(trainer, name, watched(getattr(trainer, name), stations))
    config = {
        "trainer_type": trainer_type,
        "max_steps": 300,
        "time_horizon": 8,
        "hyperparameters": SETTINGS[trainer_type],
        "network_settings": {"hidden_units": 8, "num_layers": 1},
    }
    with tempfile.TemporaryDirectory() as folder:
        train(Corridor(4), config, Path(folder))
    return stations


def main() -> None:
    """Prints the stations of each algorithm."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "trainer_types", nargs="*", default=list(SETTINGS), metavar="TRAINER_TYPE", help=", ".join(SETTINGS)
    )
    options = parser.parse_args()
    unknown = sorted({*options.trainer_types} - {*SETTINGS})
    if unknown:
        parser.error(f"no settings for {', '.join(unknown)}; there are: {', '.join(SETTINGS)}")
    register_trainer_plugins()
    for trainer_type in options.trainer_types:
        stations = stations_of(trainer_type)
        for number, (file, functions) in enumerate(sorted(stations.items()), start=1):
            print(f"{trainer_type} {number:2} {file}: {', '.join(sorted(functions))}")


if __name__ == "__main__":
    main()
