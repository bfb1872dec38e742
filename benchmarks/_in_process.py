"""Trainings in this process, on a scene of the player: ML-Agents' controller and trainers, no messages."""

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mlagents.plugins.trainer_type import register_trainer_plugins
from mlagents.torch_utils import torch
from mlagents.trainers.environment_parameter_manager import EnvironmentParameterManager
from mlagents.trainers.settings import RunOptions
from mlagents.trainers.simple_env_manager import SimpleEnvManager
from mlagents.trainers.stats import StatsReporter, StatsSummary, StatsWriter
from mlagents.trainers.trainer import Trainer, TrainerFactory
from mlagents.trainers.trainer_controller import TrainerController
from mlagents_envs.side_channel.environment_parameters_channel import EnvironmentParametersChannel

from mlagents_player import SceneEnvironment, scenes
from mlagents_player.scenes.base import base_name, team

AREAS = 50
"""In which exported models play side by side: what is computed for all agents at once takes a quarter of the time."""


class Summary(NamedTuple):
    """What ML-Agents says of a behaviour every `summary_freq` steps.

    `reward` is the mean of the episodes' returns, those of groups among them; `elo` the rating in self-play, None where
    there is none.
    """

    behavior: str
    step: int
    reward: float
    elo: float | None = None


class _Summaries(StatsWriter):
    """Hands summaries on."""

    def __init__(self, note: Callable[[Summary], object]) -> None:
        self.note = note

    def write_stats(self, category: str, values: dict[str, StatsSummary], step: int) -> None:
        returns = values.get("Environment/Cumulative Reward")
        group = values.get("Environment/Group Cumulative Reward")
        if returns is not None and len(returns.full_dist):
            elo = values.get("Self-play/ELO")
            reward = float(returns.mean) + (float(group.mean) if group else 0.0)
            self.note(Summary(category, step, reward, float(elo.mean) if elo else None))


class Enough(Exception):
    """Ends a training."""


def train(
    scene: str,
    config: Mapping[str, Any],
    folder: Path,
    seed: int,
    note: Callable[[Summary], object],
    num_areas: int = 1,
    *,
    resume: bool = False,
) -> dict[str, Trainer]:
    """Trains as `mlagents-learn` does, but for the model at the end.

    Args:
        scene: of the player.
        config: what stands in a YAML: its `behaviors:`, and its `environment_parameters:` where it has some.
        folder: where checkpoints go.
        seed: of trainer and scene.
        note: called with each summary; it may raise `Enough`.
        num_areas: copies of the scene.
        resume: goes on from the checkpoints in `folder`.

    Returns:
        The trainers by behaviour.
    """
    torch.set_num_threads(1)
    register_trainer_plugins()
    sections = ("behaviors", "environment_parameters")
    options = RunOptions.from_dict({section: dict(config[section]) for section in sections if config.get(section)})
    parameters = EnvironmentParameterManager(options.environment_parameters, seed, restore=resume)
    factory = TrainerFactory(options.behaviors, str(folder), True, resume, seed, parameters)
    controller = TrainerController(factory, str(folder), scene, parameters, True, seed)
    controller._save_models = lambda: None  # whoever wants one saves it; ML-Agents' own export fails with PyTorch 2.9
    StatsReporter.writers[:] = [_Summaries(note)]
    channel = EnvironmentParametersChannel()
    environment = SceneEnvironment(scene, num_areas=num_areas, seed=seed, side_channels=[channel])
    with contextlib.suppress(Enough):
        controller.start_learning(SimpleEnvManager(environment, channel))
    return controller.trainers


class Learned(NamedTuple):
    """What came of a behaviour.

    Attributes:
        mean: return of the final policy's episodes.
        std: their standard deviation.
        curve: (agent step, mean return of the training episodes since the step before).
    """

    mean: float
    std: float
    curve: list[tuple[int, float]]


def learn(scene: str, config: Mapping[str, Any], seed: int, *, num_areas: int, episodes: int) -> dict[str, Learned]:
    """Trains, exports the models, and lets `mlagents-player watch` play them as Unity does by default: by chance.

    Says on stderr how training goes.

    Args:
        scene: of the player.
        config: what stands in a YAML: its `behaviors:`, and its `environment_parameters:` where it has some.
        seed: of trainer and scene.
        num_areas: copies of the scene to train on.
        episodes: episodes of the models together.
    """
    curves: dict[str, list[tuple[int, float]]] = {}

    def note(summary: Summary) -> None:
        print(f"{summary.behavior} {summary.step:,}: {summary.reward:.3f}", file=sys.stderr, flush=True)
        curves.setdefault(base_name(summary.behavior), []).append((summary.step, summary.reward))

    with tempfile.TemporaryDirectory() as folder:
        for trainer in train(scene, config, Path(folder), seed, note, num_areas).values():
            trainer.save_model()
        found = played(folder, scene, "--stochastic", "--episodes", episodes)
    returns = {name: numbers["return"] for name, numbers in found.items()}
    return {name: Learned(own["mean"], own["std"], curves.get(name, [])) for name, own in returns.items()}


def played(model: str, scene: str, *options: object) -> dict[str, dict[str, Any]]:
    """What `mlagents-player watch --json` says of each behaviour that a model plays.

    Where there are two teams the model plays the first, and chance the second.

    Args:
        model: what `watch` plays: a folder of exported models, or `random`.
        scene: of the player.
        options: of `watch`.
    """
    command = [sys.executable, "-m", "mlagents_player", "watch", model, scene, "--json", "--areas", AREAS, *options]
    if any(team(name) for name in scenes.load(scene).behaviors):
        command += ["--opponent", "random"]
    ran = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True)
    found = json.loads(ran.stdout)["behaviors"]
    return {base_name(name): numbers for name, numbers in found.items() if team(name) == 0}
