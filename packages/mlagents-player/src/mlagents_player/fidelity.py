"""How closely a scene follows the engine: one-decision predictions against a recording made in Unity."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mlagents_player.academy import Academy, AgentInfos, Reply
from mlagents_player.demonstrations import Demonstration
from mlagents_player.errors import PlayerError
from mlagents_player.hosted_scene import opened
from mlagents_player.scenes.base import Actions, BehaviorSpec, Scene

ONE_AGENT = np.array([0])


@dataclass
class Comparison:
    """What a scene predicted from each recorded observation and action, next to what was recorded.

    Attributes:
        components: Names of the observation's numbers, or one name for all of them together.
        before: [T - 1, size] recorded observations that predictions start from.
        recorded: [T - 1, size] recorded next observations.
        predicted: [T - 1, size] predicted next observations.
        equal_rewards: How many rewards were predicted exactly.
        equal_ends: How often the end of an episode, or its going on, was predicted.
    """

    components: tuple[str, ...]
    before: NDArray[np.float32]
    recorded: NDArray[np.float32]
    predicted: NDArray[np.float32]
    equal_rewards: int
    equal_ends: int

    @property
    def error(self) -> NDArray[np.float64]:
        """[components] root of the mean squared error of the prediction."""
        return self._root_mean_square(self.predicted)

    @property
    def change(self) -> NDArray[np.float64]:
        """[components] the same error of a predictor which says that nothing changes."""
        return self._root_mean_square(self.before)

    def _root_mean_square(self, guess: NDArray[np.float32]) -> NDArray[np.float64]:
        squares = (guess.astype(np.float64) - self.recorded) ** 2
        return np.sqrt(np.array([part.mean() for part in np.array_split(squares, len(self.components), axis=1)]))


@dataclass
class Replay:
    """Stands in for the trainer: plays the recorded actions and sets the scene to what was recorded.

    Before each decision the scene is put into the recorded state, so errors do not add up. State that is not
    observed (a ball's spin) is the scene's own, carried from decision to decision.
    """

    scene: Scene
    demonstration: Demonstration
    observations: list[NDArray[np.float32]] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    ends: list[bool] = field(default_factory=list)
    ended: AgentInfos | None = None

    def decide(self, infos: dict[str, list[AgentInfos]]) -> Reply:
        """Note what the scene did and answer with the next recorded action."""
        for info in infos[self.behavior]:
            if info.done:
                self.ended = info
            else:
                return self._next(info)
        return Reply()

    def _next(self, info: AgentInfos) -> Reply:
        self.observations.append(info.observations[0][0])
        self.rewards.append(float((self.ended or info).rewards[0]))
        self.ends.append(self.ended is not None)
        self.ended = None
        step = len(self.observations) - 1
        demonstration = self.demonstration
        if step == len(demonstration.actions):
            return Reply()
        start = step == 0 or bool(demonstration.done[step])
        self.scene.restore(ONE_AGENT, [demonstration.observations[step : step + 1]], start)
        action = recorded_action(self.scene.behaviors[self.behavior], demonstration.actions[step])
        return Reply({self.behavior: action})

    @property
    def behavior(self) -> str:
        """The scene's first behaviour; a recording may have been given another name."""
        return next(iter(self.scene.behaviors))

    @property
    def finished(self) -> bool:
        """Whether the last recorded action has been played and its outcome noted."""
        return len(self.observations) > len(self.demonstration.actions)


def recorded_action(spec: BehaviorSpec, action: NDArray[np.float32]) -> Actions:
    """One agent's recorded action: continuous numbers first, then discrete ones."""
    continuous, discrete = np.split(action[None], [spec.action_spec.continuous_size], axis=1)
    return Actions(continuous, discrete.astype(np.int32))


def compare(scene_type: type[Scene], demonstration: Demonstration) -> Comparison:
    """Predict every recorded decision from the one before.

    Raises:
        PlayerError: the recording is of a scene with other observations or actions.
    """
    check(next(iter(scene_type.behaviors.values())), demonstration)
    with opened(scene_type, 1, np.random.default_rng(0)) as scene:
        replay = Replay(scene, demonstration)
        academy = Academy(scene)
        while not replay.finished:
            academy.step(replay.decide)
    recorded = demonstration.observations
    return Comparison(
        scene.components or ("observation",),
        recorded[:-1],
        recorded[1:],
        np.array(replay.observations[1:]),
        int(np.sum(np.array(replay.rewards[1:], np.float32) == demonstration.rewards[1:])),
        int(np.sum(np.array(replay.ends[1:]) == demonstration.done[1:])),
    )


def check(spec: BehaviorSpec, demonstration: Demonstration) -> None:
    """Raise `PlayerError` unless the recording fits the behaviour (its name may differ)."""
    actions = spec.action_spec.continuous_size + spec.action_spec.discrete_size
    found = (*demonstration.observations.shape[1:], *demonstration.actions.shape[1:])
    wanted = (*spec.observation_specs[0].shape, actions)
    if found != wanted:
        raise PlayerError(
            f"The recording has {found[0]} observations and {found[-1]} actions; "
            f"the scene has {wanted[0]} and {wanted[-1]}."
        )


def report(comparison: Comparison) -> str:
    """The comparison as a table of text."""
    width = max(map(len, (*comparison.components, "component")))
    lines = [f"{'component':{width}}  {'error':>9}  {'nothing changes':>15}  {'ratio':>7}"]
    for name, error, change in zip(comparison.components, comparison.error, comparison.change, strict=True):
        ratio = f"{change / error:7.1f}" if error else "  exact"
        lines.append(f"{name:{width}}  {error:9.6f}  {change:15.6f}  {ratio}")
    total = len(comparison.recorded)
    lines.append(f"rewards: {comparison.equal_rewards} of {total} exact")
    lines.append(f"ends of episodes: {comparison.equal_ends} of {total} exact")
    return "\n".join(lines)
