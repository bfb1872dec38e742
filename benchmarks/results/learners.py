"""Who learns: trainers of ML-Agents, ours and its own, and nobody; `stable_baselines` has one more.

Each function trains to the end and returns what lets the trained model play; it then belongs to no clock.
"""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _in_process
from _demonstrations import with_demonstrations
from mlagents.plugins.trainer_type import register_trainer_plugins
from mlagents.trainers.settings import OffPolicyHyperparamSettings
from mlagents.trainers.trainer import Trainer

from mlagents_player.scenes.base import base_name
from results.records import Played
from results.suites import Training

if TYPE_CHECKING:
    from results.training import Journal

Kinds = dict[str, Played | None]
Play = Callable[[], dict[str, Kinds]]

POINTS = 50
"""Of a curve."""
CHECKPOINTS = 20
"""Of a training, so that a kill loses a twentieth of it."""


def chance(training: Training, folder: Path, journal: "Journal") -> Play:
    """Nobody learns; what every learner has to beat."""

    def play() -> dict[str, Kinds]:
        played = _watch(training, "random")
        return {name: {"default": played[name], "greedy": None} for name in played}

    return play


def ml_agents(training: Training, folder: Path, journal: "Journal") -> Play:
    """A trainer of ML-Agents or of ours, on a scene of the player, in this process.

    Args:
        training: what to train.
        folder: where checkpoints go; those that lie there are gone on from.
        journal: takes the summaries.
    """
    checkpoints, models = folder / "checkpoints", folder / "models"
    if not models.is_dir():  # else a process was killed while they played
        trainers = _train(training, checkpoints, journal)
        for trainer in trainers.values():
            trainer.save_model()
        _keep_models(checkpoints, models)
    return lambda: _kinds(training, models)


def _train(training: Training, checkpoints: Path, journal: "Journal") -> dict[str, Trainer]:
    behaviors = {name: _watched(behavior) for name, behavior in training.config["behaviors"].items()}
    config = with_demonstrations({**training.config, "behaviors": behaviors}, training.scene)
    step = _newest_step(checkpoints)
    if step:
        journal.resume(step)
    else:
        journal.begin_anew()

    def note(summary: _in_process.Summary) -> None:
        journal.note(base_name(summary.behavior), summary.step, summary.reward, summary.elo)

    return _in_process.train(
        training.scene, config, checkpoints, training.seed, note, training.areas, resume=bool(step)
    )


def _keep_models(checkpoints: Path, models: Path) -> None:
    """Moves exported models to a folder of their own, which is there once it holds all of them."""
    unfinished = models.with_suffix(".new")
    unfinished.mkdir(exist_ok=True)
    for model in checkpoints.glob("*.onnx"):
        model.replace(unfinished / model.name)
    unfinished.rename(models)


def _watched(config: dict[str, Any]) -> dict[str, Any]:
    """A behaviour's settings with enough summaries for a curve, and checkpoints to go on from; it learns the same."""
    watched = copy.deepcopy(config)
    steps = int(float(config["max_steps"]))
    watched.update(
        summary_freq=max(steps // POINTS, 1), checkpoint_interval=max(steps // CHECKPOINTS, 1), keep_checkpoints=1
    )
    if _keeps_replay(config["trainer_type"]):
        watched.setdefault("hyperparameters", {})["save_replay_buffer"] = True
    return watched


def _keeps_replay(trainer_type: str) -> bool:
    """Whether a trainer learns from a replay, which a checkpoint holds if it is asked to."""
    _, settings = register_trainer_plugins()
    return issubclass(settings[trainer_type], OffPolicyHyperparamSettings)


def _newest_step(checkpoints: Path) -> int:
    """The least step of all behaviours' newest checkpoints; 0 where there is none to go on from."""
    behaviors = [folder for folder in checkpoints.glob("*/") if (folder / "checkpoint.pt").is_file()]
    return min((max(_steps(folder), default=0) for folder in behaviors), default=0)


def _steps(behavior: Path) -> Iterator[int]:
    """At which a behaviour's checkpoints were taken; `<behavior>-best.pt` does not say."""
    ends = (file.stem.rpartition("-")[2] for file in behavior.glob("*-*.pt"))
    return (int(end) for end in ends if end.isdecimal())


def _kinds(training: Training, models: Path) -> dict[str, Kinds]:
    """What exported models return, with the outputs that Unity takes by default and with their best actions."""
    default, greedy = _watch(training, str(models), "--stochastic"), _watch(training, str(models))
    return {name: {"default": default.get(name), "greedy": greedy.get(name)} for name in {**default, **greedy}}


def _watch(training: Training, model: str, *options: str) -> dict[str, Played]:
    # Starts that training has not seen: its scene was seeded with the small numbers of the suite.
    seed = 1_000_000 + training.seed
    found = _in_process.played(model, training.scene, "--episodes", training.episodes, "--seed", seed, *options)
    return {
        name: Played(**numbers["return"], episodes=numbers["episodes"], games=numbers.get("games"))
        for name, numbers in found.items()
    }
