"""Trains small configurations of every trainer with the sources that are on the path, and notes what came of each.

It must run with the sources of any version, so it knows ML-Agents' own interfaces and files only: trainers by the
name in `trainer_type:`, the checkpoint, the replay file, the statistics that are reported. `identical` starts it.
"""

import argparse
import hashlib
import importlib
import json
import logging
import os
import random
import re
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from _wander import BEHAVIOR, Wander, record
from mlagents.plugins.trainer_type import register_trainer_plugins
from mlagents.torch_utils import torch
from mlagents.trainers.environment_parameter_manager import EnvironmentParameterManager
from mlagents.trainers.settings import RunOptions
from mlagents.trainers.simple_env_manager import SimpleEnvManager
from mlagents.trainers.stats import StatsReporter, StatsSummary, StatsWriter
from mlagents.trainers.trainer import TrainerFactory
from mlagents.trainers.trainer_controller import TrainerController
from mlagents.trainers.training_status import GlobalTrainingStatus
from mlagents_envs.side_channel.environment_parameters_channel import EnvironmentParametersChannel
from torch.optim.optimizer import register_optimizer_step_post_hook

FILE = "fingerprints.json"
LEAST_UPDATES = 200
MODULE = re.compile(r"Policy|Optimizer:.*|Module:.*")
"""Names that ML-Agents gives to the parts of a checkpoint which hold networks and torch optimizers."""

PARTS = ("weights", "moments", "experience", "state", "statistics", "actions")
"""Parameters and normalisers; moments; replay or open rollout; what else a checkpoint holds; every reported number."""

STREAMS = {"extrinsic": {"gamma": 0.9}, "curiosity": {"strength": 0.1}, "rnd": {"strength": 0.1}}
MEMORY = {"memory": {"memory_size": 8, "sequence_length": 4}}
TWO_BRANCHES = {"branches": (3, 2), "masked": True}
PICTURE = {"shapes": ((1, 20, 20), (4,)), "agents": 4}
SELF_PLAY = {"save_steps": 200, "team_change": 300, "swap_steps": 100, "window": 3, "initial_elo": 1200.0}
DEMO = "DEMO"
"""Stands for the path of a recorded demonstration."""


class Base(NamedTuple):
    """What all configurations of a trainer have in common.

    Attributes:
        max_steps: enough for `LEAST_UPDATES`.
        hyperparameters: what stands under `hyperparameters:`, where a configuration has nothing else.
    """

    max_steps: int
    hyperparameters: dict[str, Any]


BASES = {
    "dqn": Base(1000, {"buffer_size": 400, "batch_size": 32, "target_update_interval": 20, "save_replay_buffer": True}),
    "a2c": Base(5500, {"buffer_size": 20}),
    "flashsac": Base(1000, {"buffer_size": 400, "batch_size": 32, "steps_per_update": 4, "save_replay_buffer": True}),
    "pqn": Base(2000, {"buffer_size": 40, "batch_size": 20}),
}


class Configuration(NamedTuple):
    """What is trained.

    Attributes:
        hyperparameters: what stands under `hyperparameters:`, beside those of the trainer's `Base`.
        task: arguments of `Wander`.
        network: what stands under `network_settings:`.
        others: what else stands under the behaviour's name.
        resumed: stops half-way, and is resumed.
    """

    hyperparameters: dict[str, Any] = {}  # noqa: RUF012 - a tuple's defaults are never changed
    task: dict[str, Any] = {}  # noqa: RUF012
    network: dict[str, Any] = {}  # noqa: RUF012
    others: dict[str, Any] = {}  # noqa: RUF012
    resumed: bool = False


def dqn(**hyperparameters: Any) -> dict[str, Any]:
    """Hyperparameters of dqn on top of a plain one."""
    return {"double": False, "dueling": False, "n_step": 1, **hyperparameters}


DQN = {
    "defaults": Configuration(resumed=True),
    "plain": Configuration(dqn()),
    "double": Configuration(dqn(double=True, loss="mse")),
    "dueling": Configuration(dqn(dueling=True, max_grad_norm=0)),
    "n_step 5": Configuration(dqn(n_step=5, learning_rate_schedule="linear")),
    "rmsprop, tau": Configuration(
        dqn(optimizer="rmsprop", tau=0.05, target_update_interval=1), network={"normalize": True}
    ),
    "prioritized, layer_norm": Configuration(
        dqn(prioritized_replay=True, layer_norm=True, n_step=3), network={"num_layers": 2}, resumed=True
    ),
    "C51": Configuration({"distribution": "categorical", "num_atoms": 11}, TWO_BRANCHES),
    "QR": Configuration({"distribution": "quantile", "num_quantiles": 8}, TWO_BRANCHES),
    "IQN": Configuration({"distribution": "implicit_quantile", "num_quantiles": 8}, TWO_BRANCHES),
    "munchausen": Configuration({"munchausen": True}, TWO_BRANCHES),
    "munchausen, QR, prioritized, memory": Configuration(
        {"munchausen": True, "distribution": "quantile", "num_quantiles": 8, "prioritized_replay": True},
        TWO_BRANCHES,
        network=MEMORY,
    ),
    "noisy": Configuration(dqn(noisy=True)),
    "rainbow": Configuration({"preset": "rainbow"}, TWO_BRANCHES),
    "btr": Configuration({"preset": "btr", "target_update_interval": 20}, network={"normalize": True}),
    "ladder": Configuration({"exploration": "ladder", "prioritized_replay": True}),
    "branches, masks": Configuration(task={"branches": (3, 2, 4), "masked": True}),
    "memory, burn_in": Configuration(
        {"burn_in": 2, "n_step": 3}, TWO_BRANCHES, {**MEMORY, "normalize": True}, {}, True
    ),
    "memory, n_step 1": Configuration({"n_step": 1, "dueling": False}, network=MEMORY),
    "pictures": Configuration(task=PICTURE),
    "entities": Configuration(task={"shapes": ((3, 4), (4,))}),
    "curiosity, rnd": Configuration(
        {"reward_signal_steps_per_update": 10}, TWO_BRANCHES, {}, {"reward_signals": STREAMS}
    ),
    "curiosity, C51, memory": Configuration(
        {"distribution": "categorical", "num_atoms": 11}, network=MEMORY, others={"reward_signals": STREAMS}
    ),
    "demonstrations": Configuration({"demo_path": DEMO, "demo_pretraining_steps": 20, "prioritized_replay": True}),
    "demonstrations, memory": Configuration({"demo_path": DEMO, "demo_ratio": 0.5}, network=MEMORY),
    "gail, cloning": Configuration(
        others={
            "reward_signals": {"extrinsic": {}, "gail": {"demo_path": DEMO, "strength": 0.1}},
            "behavioral_cloning": {"demo_path": DEMO, "steps": 1000},
        }
    ),
    "self-play": Configuration(task={"teams": 2, "agents": 4}, others={"self_play": SELF_PLAY, "max_steps": 2000}),
    "keep_best": Configuration({"keep_best": True}),
}
HYBRID = {"branches": (3, 2), "continuous": 2, "masked": True}
CONTINUOUS = {"branches": (), "continuous": 2}
A2C = {
    "defaults": Configuration(resumed=True),
    "continuous": Configuration(task=CONTINUOUS, network={"normalize": True}),
    "discrete, masks": Configuration(
        {"beta": 0.01, "learning_rate_schedule": "linear"}, {"branches": (3, 2, 4), "masked": True}
    ),
    "hybrid": Configuration({"beta": 0.01}, HYBRID),
    "memory": Configuration({}, HYBRID, {**MEMORY, "normalize": True}, {}, True),
    "memory, shared_critic": Configuration({"shared_critic": True, "normalize_returns": True}, network=MEMORY),
    "shared_critic": Configuration({"shared_critic": True}, HYBRID, network={"normalize": True}),
    "baselines": Configuration({"preset": "baselines"}, CONTINUOUS),
    "rmsprop": Configuration({"optimizer": "rmsprop", "max_grad_norm": 0}),
    "PopArt, two streams": Configuration(
        {"normalize_returns": True, "value_loss": "huber"}, HYBRID, {}, {"reward_signals": STREAMS}, True
    ),
    "curiosity": Configuration(task=CONTINUOUS, others={"reward_signals": {"extrinsic": {}, "curiosity": {}}}),
    "gSDE": Configuration({"use_sde": True, "sde_sample_freq": 5}, CONTINUOUS, resumed=True),
    "gSDE, memory": Configuration({"use_sde": True, "sde_sample_freq": 5}, CONTINUOUS, MEMORY),
    "tanh_squash": Configuration({"tanh_squash": True, "beta": 0.01}, CONTINUOUS),
    "tanh_squash, conditional_sigma": Configuration({"tanh_squash": True, "conditional_sigma": True}, HYBRID),
    "vtrace": Configuration({"off_policy_correction": "vtrace"}, HYBRID, others={"time_horizon": 20}),
    "huber": Configuration({"value_loss": "huber", "value_coefficient": 1.0, "lambd": 1.0}),
    "orthogonal_init, tanh": Configuration({"orthogonal_init": True, "activation": "tanh"}, HYBRID),
    "normalize_advantage, minibatches": Configuration({"normalize_advantage": True, "batch_size": 8}, HYBRID),
    "minibatches, memory": Configuration({"batch_size": 8}, CONTINUOUS, MEMORY),
    "pictures": Configuration({"shared_critic": True}, PICTURE),
    "entities": Configuration(task={"shapes": ((3, 4), (4,))}),
    "gail, cloning": Configuration(
        others={
            "reward_signals": {"extrinsic": {}, "gail": {"demo_path": DEMO, "strength": 0.1}},
            "behavioral_cloning": {"demo_path": DEMO, "steps": 1000},
        }
    ),
    "self-play": Configuration(task={"teams": 2, "agents": 4}, others={"self_play": SELF_PLAY, "max_steps": 9000}),
}
FLASHSAC = {
    "defaults": Configuration(resumed=True),
    "continuous": Configuration(task=CONTINUOUS, network={"normalize": True}),
    "discrete, masks": Configuration(task={"branches": (3, 2, 4), "masked": True}),
    "hybrid": Configuration({"n_step": 3}, HYBRID),
    "memory": Configuration({"burn_in": 2}, HYBRID, {**MEMORY, "normalize": True}, {}, True),
    "sac": Configuration({"preset": "sac"}, HYBRID),
    "crossq": Configuration({"preset": "crossq"}, CONTINUOUS),
    "xqc": Configuration({"preset": "xqc"}, CONTINUOUS),
    "flashsac, prioritized": Configuration({"preset": "flashsac", "prioritized_replay": True}, HYBRID),
    "pictures, shared_encoder": Configuration({"shared_encoder": True}, {**PICTURE, **CONTINUOUS}),
    "curiosity, rnd": Configuration({}, CONTINUOUS, {}, {"reward_signals": STREAMS}),
    "demonstrations": Configuration({"demo_path": DEMO, "demo_pretraining_steps": 20}),
}
PQN = {
    "defaults": Configuration(resumed=True),
    "branches, masks": Configuration(task={"branches": (3, 2, 4), "masked": True}),
    "memory": Configuration({}, TWO_BRANCHES, {**MEMORY, "normalize": True}, {}, True),
    "memory, chrono_init off": Configuration({"chrono_init": False}, network=MEMORY),
    "watkins, radam": Configuration({"traces": "watkins", "optimizer": "radam"}, TWO_BRANCHES),
    "no layer_norm, lambd 0": Configuration({"layer_norm": False, "lambd": 0.0, "max_grad_norm": 0}),
    "noisy": Configuration({"noisy": True}),
    "ladder": Configuration({"exploration": "ladder"}),
    "pictures": Configuration(task=PICTURE),
    "curiosity, rnd": Configuration({}, TWO_BRANCHES, {}, {"reward_signals": STREAMS}),
}
CONFIGURATIONS = {
    f"{trainer_type}: {name}": configuration
    for trainer_type, own in {"dqn": DQN, "a2c": A2C, "flashsac": FLASHSAC, "pqn": PQN}.items()
    for name, configuration in own.items()
}


def trainer_of(name: str) -> str:
    """The `trainer_type` of a configuration, with which its name begins."""
    return name.partition(":")[0]


def behavior(name: str, demo: str) -> dict[str, Any]:
    """What stands below the behaviour's name in a YAML.

    Args:
        name: of the configuration.
        demo: path of the demonstration.
    """
    configuration = CONFIGURATIONS[name]
    trainer_type = trainer_of(name)
    base = BASES[trainer_type]
    described = {
        "trainer_type": trainer_type,
        "max_steps": base.max_steps,
        "time_horizon": 6,
        "summary_freq": 300,
        "checkpoint_interval": 10**6,
        "hyperparameters": {"learning_rate": 1e-3, **base.hyperparameters, **configuration.hyperparameters},
        "network_settings": {"hidden_units": 16, "num_layers": 1, **configuration.network},
        **configuration.others,
    }
    return json.loads(json.dumps(described).replace(json.dumps(DEMO), json.dumps(demo)))


class Recorder(StatsWriter):
    """Keeps every number that is reported, bit for bit, but for those that time has a part in."""

    def __init__(self) -> None:
        self.numbers: defaultdict[str, list[str]] = defaultdict(list)

    def on_add_stat(self, category: str, key: str, value: float, *_: Any) -> None:
        """Notes a number."""
        if not key.startswith("Performance/"):
            self.numbers[f"{category}/{key}"].append(float(value).hex())

    def write_stats(self, category: str, values: dict[str, StatsSummary], step: int) -> None:
        """Notes when a summary was due."""
        self.numbers[f"{category}/summary"].append(str(step))


def fingerprint(name: str, folder: Path, demo: str, half: Path | None = None) -> dict[str, Any]:
    """Trains a configuration; digests of all that came of it.

    Args:
        name: of the configuration.
        folder: for its results; one that stops half-way leaves what it resumes from beside it, in `<folder>-half`.
        demo: path of the demonstration.
        half: results that another run left half-way, to resume from instead of its own.
    """
    configuration = CONFIGURATIONS[name]
    settings = behavior(name, demo)
    updates = 0
    if configuration.resumed:
        if half is None:
            half = Path(f"{folder}-half")
            updates = train({**settings, "max_steps": settings["max_steps"] // 2}, configuration.task, half, 1).updates
        shutil.copytree(half, folder)
    run = train(settings, configuration.task, folder, 2, resume=configuration.resumed)
    parts: dict[str, dict[str, str]] = {part: {} for part in PARTS}
    parts["actions"]["all of them"] = run.actions
    parts["statistics"] = {key: digest("".join(numbers)) for key, numbers in run.statistics.items()}
    saved = torch.load(folder / BEHAVIOR / "checkpoint.pt", weights_only=True)
    for path, part, value in leaves(saved):
        parts[part]["/".join(path)] = digest(value)
    for file in (folder / BEHAVIOR).glob("*.hdf5"):
        parts["experience"].update(replay(file))
    return {"updates": updates + run.updates, "parts": parts}


class Run(NamedTuple):
    """What came of a run beside its files.

    Attributes:
        updates: gradient steps of the torch optimizer that has taken most.
        actions: digest of all actions.
        statistics: numbers that were reported, by name, as text that has all their bits.
    """

    updates: int
    actions: str
    statistics: dict[str, list[str]]


def train(settings: dict[str, Any], task: dict[str, Any], folder: Path, seed: int, *, resume: bool = False) -> Run:
    """Trains as `mlagents-learn` does.

    Args:
        settings: what stands below the behaviour's name in a YAML.
        task: arguments of `Wander`.
        folder: for the results; with `resume`, where they are.
        seed: of trainer and task.
        resume: goes on from what is in the folder.
    """
    recorder, taken = Recorder(), Counter[int]()
    StatsReporter.writers[:] = [recorder]
    StatsReporter.stats_dict.clear()
    hook = register_optimizer_step_post_hook(lambda optimizer, *_: taken.update([id(optimizer)]))
    random.seed(seed)
    GlobalTrainingStatus.saved_state.clear()
    if resume:
        GlobalTrainingStatus.load_state(str(folder / "run_logs" / "training_status.json"))
    options = RunOptions.from_dict({"behaviors": {BEHAVIOR: settings}})
    parameters = EnvironmentParameterManager(options.environment_parameters, seed, restore=resume)
    factory = TrainerFactory(options.behaviors, str(folder), True, resume, seed, parameters)
    controller = TrainerController(factory, str(folder), "identical", parameters, True, seed)
    env = Wander(seed, **task)
    controller.start_learning(SimpleEnvManager(env, EnvironmentParametersChannel()))
    (folder / "run_logs").mkdir(exist_ok=True)
    GlobalTrainingStatus.save_state(str(folder / "run_logs" / "training_status.json"))
    hook.remove()
    return Run(max(taken.values(), default=0), env.actions.hexdigest(), recorder.numbers)


def leaves(saved: Any, path: tuple[str, ...] = (), part: str = "state") -> Iterator[tuple[tuple[str, ...], str, Any]]:
    """Path, part and value of everything in a checkpoint; a list of plain numbers is one value."""
    if isinstance(saved, dict) and saved.keys() == {"state", "param_groups"}:
        yield from leaves(saved["state"], (*path, "state"), "moments")
        for group in saved["param_groups"]:
            options = {key: value for key, value in group.items() if key != "params"}
            yield from leaves(options, (*path, "options"), "moments")
    elif isinstance(saved, dict):
        for key, value in saved.items():
            inner = "weights" if MODULE.fullmatch(str(key)) else "experience" if key == "rollout" else part
            yield from leaves(value, (*path, str(key)), inner if part == "state" else part)
    elif isinstance(saved, (list, tuple)) and any(isinstance(item, (dict, list, torch.Tensor)) for item in saved):
        for i, item in enumerate(saved):
            yield from leaves(item, (*path, str(i)), part)
    else:
        yield path, part, saved


def replay(file: Path) -> dict[str, str]:
    """Digests of the arrays and attributes in a replay file."""
    found: dict[str, str] = {}
    with h5py.File(file, "r") as opened:
        opened.visititems(lambda name, item: found.update({name: digest(item[()])} if hasattr(item, "dtype") else {}))
        found.update({f"@{name}": digest(value) for name, value in opened.attrs.items()})
    return {f"{file.name}/{name}": value for name, value in found.items()}


def digest(value: Any) -> str:
    """Digest of an array with its shape and type, or of anything that prints as what it is."""
    if isinstance(value, torch.Tensor):
        value = value.cpu().numpy()
    if isinstance(value, np.ndarray):
        return digest(f"{value.dtype.name} {value.shape} {hashlib.sha256(value.tobytes()).hexdigest()}")
    if isinstance(value, (list, tuple)):
        value = list(value)
    return hashlib.sha256(repr(value).encode()).hexdigest()


def check_sources(tree: Path, names: Iterable[str]) -> None:
    """Raises RuntimeError unless what the configurations of these names train is imported from a tree."""
    for name in (f"mlagents_plugin_{part}" for part in sorted({"shared", *map(trainer_of, names)})):
        file = Path(str(importlib.import_module(name).__file__)).resolve()
        if tree.resolve() not in file.parents:
            raise RuntimeError(f"{name} would be tried from {file}, not from {tree}")


def main() -> None:
    """Trains what is asked for, and writes the fingerprints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tree", type=Path, help="whose sources these have to be")
    parser.add_argument("folder", type=Path, help="empty folder for all that is written")
    parser.add_argument("--half-of", type=Path, help="folder of another version, whose runs are to be resumed")
    parser.add_argument("--names", nargs="*", default=list(CONFIGURATIONS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.ERROR)
    register_trainer_plugins()
    check_sources(options.tree, options.names)
    demo = record(options.folder / "wander.demo", decisions=60)
    os.chdir(options.folder)
    results: dict[str, Any] = {}
    for number, name in enumerate(options.names):
        results[name] = fingerprint(name, options.folder / f"{number}", demo)
        if options.half_of and CONFIGURATIONS[name].resumed:
            half = options.half_of / f"{number}-half"
            results[name]["taken over"] = fingerprint(name, options.folder / f"{number}-taken-over", demo, half)
        print(name, flush=True)
    (options.folder / FILE).write_text(json.dumps(results), encoding="utf-8")


if __name__ == "__main__":
    main()
