"""Policies that act without a trainer: an exported model, or chance."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mlagents_player import pictures
from mlagents_player.academy import AgentInfos
from mlagents_player.errors import PlayerError
from mlagents_player.file_kinds import describe_stranger
from mlagents_player.hints import install_command
from mlagents_player.scenes.base import Actions, ActionSpec, BehaviorSpec, base_name

# How a tensor in a model says that its numbers lie in another file; onnx itself is not needed to play a model.
SIDE_FILE = re.compile(rb"\x0a\x08location\x12(.)", re.DOTALL)
OBSERVATION, MASKS, MEMORY_IN, MEMORY_OUT = "obs_{}", "action_masks", "recurrent_in", "recurrent_out"


class Policy(Protocol):
    """Whatever decides."""

    def act(self, infos: AgentInfos) -> Actions:
        """Actions for these agents, row by row."""

    def forget(self, ids: NDArray[np.int32]) -> None:
        """The episodes of these agents have ended."""


@dataclass
class RandomPolicy:
    """Every action that is not masked is as likely as the others; continuous ones are uniform in [-1, 1]."""

    spec: ActionSpec
    rng: np.random.Generator

    def act(self, infos: AgentInfos) -> Actions:
        """See `Policy`."""
        agents = len(infos.ids)
        branches = self.spec.discrete_branches
        chances = self.rng.random((agents, sum(branches)))
        if infos.masks is not None:
            chances[infos.masks] = -1
        parts = np.split(chances, np.cumsum(branches)[:-1], axis=1) if branches else []
        discrete = np.array([part.argmax(axis=1) for part in parts], np.int32).T.reshape(agents, -1)
        continuous = self.rng.uniform(-1, 1, (agents, self.spec.continuous_size)).astype(np.float32)
        return Actions(continuous, discrete)

    def forget(self, ids: NDArray[np.int32]) -> None:
        """See `Policy`; chance has no memory."""


class OnnxPolicy:
    """A model that ML-Agents exported, run as Unity runs it.

    A recurrent model keeps a memory for each agent, zero at the beginning of its episode.
    """

    def __init__(self, file: Path, behavior: str, spec: BehaviorSpec, stochastic: bool = False, seed: int = 0) -> None:
        """Load a model.

        Args:
            file: An `.onnx` file.
            behavior: Name of the behaviour, for messages.
            spec: What it observes and does.
            stochastic: Draw actions from the model's distribution instead of taking its deterministic ones. Models
                without deterministic outputs draw them in any case.
            seed: Of what is drawn inside the model.

        Raises:
            PlayerError: onnxruntime is missing, the model cannot be read, or it does not fit the behaviour.
        """
        onnxruntime = _onnxruntime()
        onnxruntime.set_seed(seed)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own kinds have no common base
            known = describe_stranger(file, ".onnx") or _describe_side_files(file)
            raise PlayerError(f"{file} {known or f'cannot be loaded: {str(error).splitlines()[0]}'}") from error
        self._inputs = {given.name: given.shape for given in self._session.get_inputs()}
        self._outputs = {given.name for given in self._session.get_outputs()}
        self._spec = spec.action_spec
        self._actions = {kind: self._output(kind, stochastic) for kind in ("continuous", "discrete")}
        self._memories: dict[int, NDArray[np.float32]] = {}
        _check(file, behavior, spec, self._inputs, self._actions)

    def _output(self, kind: str, stochastic: bool) -> str | None:
        names = [f"{kind}_actions", f"deterministic_{kind}_actions"]
        return next((name for name in (names if stochastic else names[::-1]) if name in self._outputs), None)

    def act(self, infos: AgentInfos) -> Actions:
        """See `Policy`."""
        outputs = [name for name in self._actions.values() if name]
        if MEMORY_IN in self._inputs:
            outputs.append(MEMORY_OUT)
        found = dict(zip(outputs, self._session.run(outputs, self._feed(infos)), strict=True))
        for agent, memory in zip(infos.ids, found.get(MEMORY_OUT, ()), strict=False):
            self._memories[int(agent)] = memory
        agents = len(infos.ids)
        return Actions(
            self._taken(found, "continuous", agents).astype(np.float32),
            self._taken(found, "discrete", agents).astype(np.int32),
        )

    def _taken(self, found: Mapping[str, NDArray[Any]], kind: str, agents: int) -> NDArray[Any]:
        name = self._actions[kind]
        return found[name] if name else np.zeros((agents, 0))

    def _feed(self, infos: AgentInfos) -> dict[str, NDArray[np.float32]]:
        """The inputs that the model has; exporters leave out those that it does not use."""
        agents = len(infos.ids)
        given: dict[str, NDArray[Any]] = {
            OBSERVATION.format(index): pictures.to_floats(seen) if seen.dtype == np.uint8 else seen.astype(np.float32)
            for index, seen in enumerate(infos.observations)
        }
        allowed = np.ones((agents, sum(self._spec.discrete_branches)), np.float32)
        given[MASKS] = allowed if infos.masks is None else (~infos.masks).astype(np.float32)
        if MEMORY_IN in self._inputs:
            nothing = np.zeros((1, self._inputs[MEMORY_IN][-1]), np.float32)
            given[MEMORY_IN] = np.stack([self._memories.get(int(agent), nothing) for agent in infos.ids])
        return {name: given[name] for name in self._inputs}

    def forget(self, ids: NDArray[np.int32]) -> None:
        """See `Policy`."""
        for agent in ids:
            self._memories.pop(int(agent), None)


def load(
    model: Path, behaviors: Mapping[str, BehaviorSpec], stochastic: bool = False, seed: int = 0
) -> dict[str, Policy]:
    """A policy for each behaviour.

    Args:
        model: One model for all of them; or a folder, such as a run's results, with `<behaviour>.onnx` for each, whose
            name is without its team.
        behaviors: Their specifications.
        stochastic: See `OnnxPolicy`.
        seed: Each behaviour, team by team, draws from a stream of its own that begins with it.

    Raises:
        PlayerError: a model is missing or does not fit.
    """
    return {
        name: OnnxPolicy(model_file(model, name), name, spec, stochastic, _own_seed(seed, name))
        for name, spec in behaviors.items()
    }


def _own_seed(seed: int, behavior: str) -> int:
    """Two sessions of one model would draw the same numbers, and both teams act alike."""
    return int(np.random.SeedSequence([seed, *behavior.encode()]).generate_state(1)[0])


def model_file(model: Path, behavior: str) -> Path:
    """The file of a behaviour's model.

    Raises:
        PlayerError: there is none.
    """
    file = model / f"{base_name(behavior)}.onnx" if model.is_dir() else model
    if not file.is_file():
        raise PlayerError(f"There is no model {file} for behaviour {behavior}.")
    return file


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        command = install_command("onnxruntime")
        raise PlayerError(f"Models need onnxruntime; install it with: {command}") from error
    return onnxruntime


def _describe_side_files(file: Path) -> str | None:
    """What is wrong with the files beside a model that hold its weights; None where it has none."""
    model = file.read_bytes()
    places = [(found.end(), found[1][0]) for found in SIDE_FILE.finditer(model)]
    names = {model[start : start + length].decode(errors="replace") for start, length in places}
    for name in sorted(names):
        side = file.parent / name
        if not side.is_file():
            return f"is without its weights: they lie in {side.name}, which is missing. Put {side.name} beside it."
        if stranger := describe_stranger(side, ".data"):
            return f"is without its weights: {side} {stranger}."
    return f"cannot be loaded with its weights in {', '.join(sorted(names))}: copy both again." if names else None


def _check(
    file: Path,
    behavior: str,
    spec: BehaviorSpec,
    inputs: Mapping[str, Sequence[Any]],
    actions: Mapping[str, str | None],
) -> None:
    """Raise `PlayerError` unless a model's inputs and outputs are those of a behaviour."""
    shapes = {OBSERVATION.format(index): list(seen.shape) for index, seen in enumerate(spec.observation_specs)}
    unknown = sorted(inputs.keys() - shapes.keys() - {MASKS, MEMORY_IN})
    if unknown:
        raise PlayerError(f"{file} has the input {unknown[0]}, which behaviour {behavior} does not give.")
    for name, shape in shapes.items():
        if name in inputs and list(inputs[name][1:]) != shape:
            raise PlayerError(f"{file} takes {name} of shape {inputs[name][1:]}; behaviour {behavior} gives {shape}.")
    for kind, size in (("continuous", spec.action_spec.continuous_size), ("discrete", spec.action_spec.discrete_size)):
        if bool(size) != bool(actions[kind]):
            has = "has no" if size else "has"
            raise PlayerError(f"{file} {has} {kind} actions; behaviour {behavior} takes {size}.")
