"""`gym:<id>`: any Gymnasium environment as a scene, one copy an area."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mlagents_player.errors import PlayerError, blaming, one_line
from mlagents_player.hints import install_command
from mlagents_player.parameters import EnvironmentParameters
from mlagents_player.scenes import GYMNASIUM
from mlagents_player.scenes.base import Actions, BehaviorSpec, Rows, Scene

try:
    import gymnasium

    from mlagents_player import returned, spaces
except ModuleNotFoundError as error:
    raise PlayerError(
        f"A scene gym:<id> needs {error.name}; install it with: {install_command('gymnasium')}"
    ) from error

MAX_SEED = 2**31
DEFAULT_RATE = 30  # steps that a film shows in a second, where the environment does not say


class GymnasiumScene(Scene):
    """Copies of one environment. An academy step is one step of each, and every step is decided.

    A terminated episode ends; a truncated one is interrupted, so that a trainer bootstraps. The first episode of
    every copy is seeded from the trainer's seed, the later ones go on from there.
    """

    environment: ClassVar[str]
    sensors: ClassVar[list[spaces.Sensor]]
    actuator: ClassVar[spaces.Actuator]
    drawn: ClassVar[bool] = False
    parameter_names = ()

    def __init__(self, num_areas: int, rng: np.random.Generator, parameters: EnvironmentParameters) -> None:
        super().__init__(num_areas, rng, parameters)
        self.copies = [make(self.environment, self.drawn) for _ in range(num_areas)]
        self.seeds: list[int | None] = [int(seed) for seed in rng.integers(MAX_SEED, size=num_areas)]
        self.observations: list[list[NDArray[Any]]] = [[]] * num_areas
        self.masks: list[NDArray[np.bool_] | None] = [None] * num_areas

    def reset(self, agents: Rows) -> None:
        """Reset these copies."""
        for agent in agents:
            seed, self.seeds[agent] = self.seeds[agent], None
            with self._blaming("reset"):
                observation, info = returned.by_reset(self.copies[agent].reset(seed=seed))
                self._note(agent, observation, info)

    def observe(self, behavior: str, agents: Rows) -> list[NDArray[Any]]:
        """One array for each leaf of the observation space."""
        return [np.stack([self.observations[agent][leaf] for agent in agents]) for leaf in range(len(self.sensors))]

    def action_mask(self, behavior: str, agents: Rows) -> NDArray[np.bool_] | None:
        """`action_mask` of the environments' info, None where no environment gives one."""
        masks = [self.masks[agent] for agent in agents]
        if all(mask is None for mask in masks):
            return None
        open_ = np.zeros(sum(self.actuator.spec.discrete_branches), bool)
        found = np.array([open_ if mask is None else mask for mask in masks])
        if self._leaves_nothing(found):
            raise PlayerError(
                f'{GYMNASIUM}{self.environment} forbids every action of a branch in info["action_mask"], '
                "though the episode goes on."
            )
        return found

    def act(self, agents: Rows, actions: Actions) -> None:
        """Step these copies."""
        for row, agent in enumerate(agents):
            action = self.actuator.decode(actions.continuous[row], actions.discrete[row])
            with self._blaming("step"):
                step = returned.by_step(self.copies[agent].step(action))
                self._note(agent, step.observation, step.info)
            self.rewards[agent] += step.reward
            self.ended[agent] = step.terminated or step.truncated
            self.interrupted[agent] = step.truncated and not step.terminated

    def picture(self, area: int) -> NDArray[np.uint8]:
        """The environment's own picture of one copy.

        Raises:
            PlayerError: it has none.
        """
        with self._blaming("render"):
            shown = self.copies[area].render()
        if shown is None:
            raise PlayerError(f"{GYMNASIUM}{self.environment} does not draw itself.")
        return np.asarray(shown, np.uint8)

    def close(self) -> None:
        """Close all copies."""
        for copy in self.copies:
            with self._blaming("close"):
                copy.close()

    def _note(self, agent: int, observation: Any, info: Mapping[str, Any]) -> None:
        self.observations[agent] = [sensor.read([observation])[0] for sensor in self.sensors]
        mask = info.get("action_mask")
        self.masks[agent] = None if mask is None else spaces.forbidden(mask, self.actuator.spec)

    def _leaves_nothing(self, masks: NDArray[np.bool_]) -> bool:
        branches = np.split(masks, np.cumsum(self.actuator.spec.discrete_branches)[:-1], axis=1)
        return any(branch.all(axis=1).any() for branch in branches)

    @contextmanager
    def _blaming(self, call: str) -> Iterator[None]:
        """Name the environment and the call in what goes wrong."""
        whose = f"{GYMNASIUM}{self.environment}"
        try:
            with blaming(whose, call), _advised(whose):
                yield
        except spaces.Misfit as misfit:
            raise PlayerError(f"{whose}: {call} {misfit}.") from misfit


def make(environment: str, drawn: bool = False) -> gymnasium.Env[Any, Any]:
    """An environment by its id, one that draws itself if it is to be `drawn`.

    Raises:
        PlayerError: there is none, or it cannot be made.
    """
    options: dict[str, Any] = {"render_mode": "rgb_array"} if drawn else {}  # not every environment knows of drawing
    try:
        with _advised(f"{GYMNASIUM}{environment}"):
            return returned.watched(gymnasium.make(environment, disable_env_checker=True, **options))
    except PlayerError:
        raise
    except (Exception, SystemExit) as error:  # a missing family raises whatever its module does
        raise PlayerError(f"{GYMNASIUM}{environment} cannot be made: {_reason(error)}") from error


def scene_type(environment: str, drawn: bool = False) -> type[GymnasiumScene]:
    """The scene of an environment; its behaviour is the id without namespace, as `Pong-v5` of `ALE/Pong-v5`.

    Raises:
        PlayerError: it cannot be made, or has observations or actions that ML-Agents does not know.
    """
    example = make(environment, drawn)
    for name in ("observation_space", "action_space"):
        if not hasattr(example, name):
            raise PlayerError(f"{GYMNASIUM}{environment}: it has no {name}; set it in the environment's class.")
    try:
        found, acted = spaces.sensors(example.observation_space), spaces.actuator(example.action_space)
    except PlayerError as error:
        raise PlayerError(f"{GYMNASIUM}{environment}: {error}") from error
    attributes = {
        "__doc__": f"The Gymnasium environment {environment}.",
        "description": f"Gymnasium's {environment}",
        "behaviors": {behavior(environment): BehaviorSpec([sensor.spec for sensor in found], acted.spec)},
        "environment": environment,
        "drawn": drawn,
        "pace": 1 / ((example.metadata or {}).get("render_fps") or DEFAULT_RATE),
        "sensors": found,
        "actuator": acted,
    }
    example.close()
    return type("Gymnasium", (GymnasiumScene,), attributes)


def behavior(environment: str) -> str:
    """The behaviour's name, which is also that of files in the trainer's results."""
    return re.split("[:/]", environment)[-1]


@contextmanager
def _advised(whose: str) -> Iterator[None]:
    """What Gymnasium asks for, with the command for this Python; it names the extra in a command of pip's."""
    try:
        yield
    except gymnasium.error.DependencyNotInstalled as error:
        extra = re.search(r"gymnasium\[[\w-]+\]", str(error))
        if extra is None:
            raise
        command = install_command(extra[0])
        raise PlayerError(f"{whose} needs {extra[0]}; install it with: {command}") from error


def _reason(error: BaseException) -> str:
    """Gymnasium's own sentence, or the error of somebody else's module with its kind."""
    if isinstance(error, gymnasium.error.Error) and str(error).strip():
        return str(error).strip().splitlines()[0]
    return one_line(repr(error))
