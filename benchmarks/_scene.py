"""A scene of the player in the trainer's own process: ML-Agents' controller and trainers, no messages."""

import contextlib
import json
import subprocess
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

import numpy as np
from mlagents.plugins.trainer_type import register_trainer_plugins
from mlagents.torch_utils import torch
from mlagents.trainers.environment_parameter_manager import EnvironmentParameterManager
from mlagents.trainers.settings import RunOptions
from mlagents.trainers.simple_env_manager import SimpleEnvManager
from mlagents.trainers.stats import StatsReporter, StatsSummary, StatsWriter
from mlagents.trainers.trainer import Trainer, TrainerFactory
from mlagents.trainers.trainer_controller import TrainerController
from mlagents_envs.base_env import ActionTuple, BaseEnv, DecisionSteps, TerminalSteps
from mlagents_envs.side_channel.environment_parameters_channel import EnvironmentParametersChannel

from mlagents_player import scenes
from mlagents_player.academy import Academy, AgentInfos, Reply
from mlagents_player.parameters import EnvironmentParameters
from mlagents_player.pictures import to_floats
from mlagents_player.scenes.base import Actions, base_name, team

SCRIPTS = Path(sysconfig.get_path("scripts"))
Infos = dict[str, list[AgentInfos]]


class SceneEnvironment(BaseEnv):
    """A scene as ML-Agents sees an environment. The scene asks for decisions, so it runs in a thread of its own.

    Args:
        name: of the scene, or `gym:ID`.
        seed: of all its chance.
        num_areas: copies of the whole scene.
    """

    def __init__(self, name: str, seed: int, num_areas: int = 1) -> None:
        scene_type = scenes.load(name)
        self._scene = scene_type(scene_type.areas * num_areas, np.random.default_rng(seed), EnvironmentParameters())
        self._asked: SimpleQueue[Infos | Exception] = SimpleQueue()
        self._replies: SimpleQueue[Reply] = SimpleQueue()
        self._reply = Reply(reset=True)
        self._infos: Infos = {}
        threading.Thread(target=self._play, daemon=True).start()
        self._wait()

    def _play(self) -> None:
        try:
            academy = Academy(self._scene, self._decide)
            while True:
                academy.step()
        except Exception as error:  # belongs to whoever waits for the next decision
            self._asked.put(error)

    def _decide(self, infos: Infos) -> Reply:
        self._asked.put(infos)
        return self._replies.get()

    def _wait(self) -> None:
        asked = self._asked.get()
        if isinstance(asked, Exception):
            raise asked
        self._infos = asked

    @property
    def behavior_specs(self) -> Mapping[str, Any]:
        """Of the scene."""
        return self._scene.behaviors

    def reset(self) -> None:
        """Begins all episodes anew."""
        self._reply = Reply(reset=True)
        self.step()

    def step(self) -> None:
        """Plays until somebody has to decide or has ended an episode."""
        self._replies.put(self._reply)
        self._reply = Reply()
        self._wait()

    def set_actions(self, behavior_name: str, action: ActionTuple) -> None:
        """Of those who decide now; where nobody does ML-Agents gives an empty list."""
        if action:
            self._reply.actions[behavior_name] = Actions(action.continuous, action.discrete)

    def set_action_for_agent(self, behavior_name: str, agent_id: int, action: ActionTuple) -> None:
        """Of one of them, which ML-Agents' trainers never do: they set those of all at once."""
        raise TypeError("set the actions of all agents of a behaviour at once, with set_actions")

    def get_steps(self, behavior_name: str) -> tuple[DecisionSteps, TerminalSteps]:
        """What the scene says of a behaviour."""
        spec = self._scene.behaviors[behavior_name]
        decisions, terminals = DecisionSteps.empty(spec), TerminalSteps.empty(spec)
        batches = self._infos.get(behavior_name, [])
        for batch in batches:
            if not batch.done:
                decisions = DecisionSteps(
                    _observations([batch]), batch.rewards, batch.ids, _masks(batch, spec), *_groups([batch])
                )
        if ended := [batch for batch in batches if batch.done]:
            rewards, ids, interrupted = (
                np.concatenate([getattr(batch, name) for batch in ended]) for name in ("rewards", "ids", "interrupted")
            )
            terminals = TerminalSteps(_observations(ended), rewards, interrupted, ids, *_groups(ended))
        return decisions, terminals

    def close(self) -> None:
        """Its thread ends with the process."""


def _observations(batches: list[AgentInfos]) -> list[np.ndarray]:
    sensors = zip(*(batch.observations for batch in batches), strict=True)
    joined = map(np.concatenate, sensors)
    return [to_floats(values) if values.dtype == np.uint8 else np.float32(values) for values in joined]


def _masks(batch: AgentInfos, spec: Any) -> list[np.ndarray] | None:
    """One for each branch; UnityEnvironment makes them where the scene has none."""
    branches = spec.action_spec.discrete_branches
    masks = np.zeros((len(batch.ids), sum(branches)), bool) if batch.masks is None else batch.masks
    return np.split(masks, np.cumsum(branches)[:-1], axis=1) if branches else None


def _groups(batches: list[AgentInfos]) -> tuple[np.ndarray, np.ndarray]:
    ids = [np.zeros(len(b.ids), np.int32) if b.group_ids is None else b.group_ids for b in batches]
    rewards = [np.zeros(len(b.ids), np.float32) if b.group_rewards is None else b.group_rewards for b in batches]
    return np.concatenate(ids), np.concatenate(rewards)


class Summary(NamedTuple):
    """What ML-Agents says of a behaviour every `summary_freq` steps; `reward` is the mean of the episodes' returns."""

    behavior: str
    step: int
    reward: float


class _Summaries(StatsWriter):
    """Hands summaries on."""

    def __init__(self, note: Callable[[Summary], object]) -> None:
        self.note = note

    def write_stats(self, category: str, values: dict[str, StatsSummary], step: int) -> None:
        returns = values.get("Environment/Cumulative Reward")
        if returns is not None and len(returns.full_dist):
            self.note(Summary(category, step, float(returns.mean)))


class Enough(Exception):
    """Ends a training."""


def train(
    scene: str,
    behaviors: Mapping[str, Any],
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
        behaviors: what stands under `behaviors:` in a YAML.
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
    options = RunOptions.from_dict({"behaviors": dict(behaviors)})
    parameters = EnvironmentParameterManager(options.environment_parameters, seed, restore=resume)
    factory = TrainerFactory(options.behaviors, str(folder), True, resume, seed, parameters)
    controller = TrainerController(factory, str(folder), scene, parameters, True, seed)
    controller._save_models = lambda: None  # whoever wants one saves it; ML-Agents' own export fails with PyTorch 2.9
    StatsReporter.writers[:] = [_Summaries(note)]
    environment = SceneEnvironment(scene, seed, num_areas)
    with contextlib.suppress(Enough):
        controller.start_learning(SimpleEnvManager(environment, EnvironmentParametersChannel()))
    return controller.trainers


class Learned(NamedTuple):
    """What came of a behaviour.

    Attributes:
        mean: return of the final policy's episodes.
        std: their standard deviation.
        curve: (agent step, mean return of the training episodes since the step before), without group rewards.
    """

    mean: float
    std: float
    curve: list[tuple[int, float]]


def learn(scene: str, behaviors: Mapping[str, Any], seed: int, *, num_areas: int, episodes: int) -> dict[str, Learned]:
    """Trains, exports the models, and lets `mlagents-player watch` play them as Unity does by default: by chance.

    Says on stderr how training goes. Where there are two teams, the model plays the first and chance the second.

    Args:
        scene: of the player.
        behaviors: what stands under `behaviors:` in a YAML.
        seed: of trainer and scene.
        num_areas: copies of the scene to train on.
        episodes: episodes of the models together.
    """
    curves: dict[str, list[tuple[int, float]]] = {}

    def note(summary: Summary) -> None:
        print(f"{summary.behavior} {summary.step:,}: {summary.reward:.3f}", file=sys.stderr, flush=True)
        curves.setdefault(base_name(summary.behavior), []).append((summary.step, summary.reward))

    with tempfile.TemporaryDirectory() as folder:
        for trainer in train(scene, behaviors, Path(folder), seed, note, num_areas).values():
            trainer.save_model()
        command = [SCRIPTS / "mlagents-player", "watch", folder, scene, "--stochastic", "--json"]
        command += ["--episodes", episodes]
        if any(team(name) for name in scenes.load(scene).behaviors):
            command += ["--opponent", "random"]
        played = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True)
    found = {name: numbers["return"] for name, numbers in json.loads(played.stdout)["behaviors"].items()}
    own = {base_name(name): numbers for name, numbers in found.items() if team(name) == 0}
    return {name: Learned(numbers["mean"], numbers["std"], curves.get(name, [])) for name, numbers in own.items()}
