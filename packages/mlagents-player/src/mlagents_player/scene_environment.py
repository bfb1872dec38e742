"""A scene as an environment of ML-Agents' low-level Python API, in the caller's own process: no trainer, no messages.

What `UnityEnvironment` tells of a scene over gRPC is told here by calls; the rules are the same, number for number.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Real
from typing import Any, SupportsIndex

import numpy as np
from mlagents_envs.base_env import (
    ActionTuple,
    BaseEnv,
    BehaviorMapping,
    BehaviorSpec,
    DecisionSteps,
    TerminalSteps,
)
from mlagents_envs.exception import UnityActionException, UnityEnvironmentException
from mlagents_envs.side_channel import IncomingMessage, SideChannel
from mlagents_envs.side_channel.side_channel_manager import SideChannelManager
from numpy.typing import NDArray

from mlagents_player import scenes
from mlagents_player.academy import Academy, AgentInfos, Reply
from mlagents_player.errors import PlayerError, did_you_mean, one_line
from mlagents_player.hosted_scene import HostedScene, check_names
from mlagents_player.parameters import Sampler, constant
from mlagents_player.pictures import to_floats
from mlagents_player.scenes.base import Actions, Scene
from mlagents_player.side_channels import split_messages

SEEDS = range(-(2**31), 2**31)


class SceneEnvironment(BaseEnv):
    """A scene of the player as a `BaseEnv`: what `UnityEnvironment` is to a built player, without the process.

    As there, the scene is built at the first `reset`; `step` before it is a `reset`; `behavior_specs` holds the
    behaviours that have shown agents so far; agents that get no action act with 0. What a scene does wrong is a
    `PlayerError`, after which the environment can only be closed.
    """

    def __init__(
        self,
        scene: str | type[Scene],
        *,
        num_areas: int = 1,
        seed: int = 0,
        parameters: Mapping[str, float | Sampler] | None = None,
        side_channels: Sequence[SideChannel] = (),
    ) -> None:
        """Find the scene and check what is asked of it.

        Args:
            scene: Name of a registered scene, `gym:ID` for a Gymnasium environment, or a class of one's own.
            num_areas: Copies of the whole scene, >= 1: of 3DBall's twelve agents, say.
            seed: Of all the scene's chance, a signed 32-bit number.
            parameters: Environment parameters by name: numbers, or samplers of `mlagents_player.parameters`.
            side_channels: ML-Agents' own, or others: statistics and bytes of the scene arrive on them, environment
                parameters and bytes for it leave on them at the next `reset` or `step`. Engine settings are taken and
                have no effect: a scene always runs at full speed.

        Raises:
            PlayerError: there is no such scene or parameter, or a number is out of its range.
            UnityEnvironmentException: two side channels have one id.
        """
        self._name = scene if isinstance(scene, str) else getattr(scene, "__name__", repr(scene))
        self._scene_type = scenes.load(scene) if isinstance(scene, str) else scenes.check(scene, self._name)
        self._num_areas = _whole_number("num_areas", num_areas, lambda number: number >= 1, "of at least 1")
        self._seed = _whole_number("seed", seed, SEEDS.__contains__, "of 32 bits")
        self._parameters = _samplers({} if parameters is None else parameters)
        check_names(self._scene_type, self._parameters)
        self._channels = {channel.channel_id: channel for channel in side_channels}
        self._side_channel_manager = SideChannelManager(list(side_channels))  # ML-Agents' wrappers read it by this name
        self._hosted: HostedScene | None = None
        self._academy: Academy | None = None
        self._specs: dict[str, BehaviorSpec] = {}
        self._steps: dict[str, tuple[DecisionSteps, TerminalSteps]] = {}
        self._actions: dict[str, Actions] = {}
        self._failure = ""
        self._closed = False

    @property
    def behavior_specs(self) -> Mapping[str, BehaviorSpec]:
        """Observations and actions of the behaviours that have shown agents; none before the first `reset`."""
        specs: Mapping[str, BehaviorSpec] = BehaviorMapping(self._specs)
        return specs

    def reset(self) -> None:
        """Begin all episodes anew, without terminal steps, and play until somebody has to decide.

        Raises:
            PlayerError: the scene failed, or a side channel has set a parameter that it has not.
            UnityEnvironmentException: the environment is closed, or has failed before.
        """
        self._check_alive()
        with self._noting_failure():
            received = self._outbox()
            if self._hosted is None or self._academy is None:
                self._hosted = HostedScene(
                    self._scene_type, self._num_areas, self._seed, received, parameters=self._parameters
                )
                self._academy = Academy(self._hosted.scene)
            else:
                self._hosted.receive(received)
                self._academy.end_step(Reply(reset=True))
            self._play(self._hosted, self._academy)

    def step(self) -> None:
        """Play until somebody has to decide or has ended an episode.

        Raises:
            PlayerError: the scene failed, or a side channel has set a parameter that it has not.
            UnityEnvironmentException: the environment is closed, or has failed before.
        """
        if self._hosted is None or self._academy is None:
            self.reset()
            return
        self._check_alive()
        with self._noting_failure():
            self._hosted.receive(self._outbox())
            actions = {name: self._actions_of(name) for name, (decisions, _) in self._steps.items() if len(decisions)}
            self._academy.end_step(Reply(actions))
            self._play(self._hosted, self._academy)

    def get_steps(self, behavior_name: str) -> tuple[DecisionSteps, TerminalSteps]:
        """Those of a behaviour who decide now, and those whose episodes have ended since the last step.

        Raises:
            UnityActionException: there is no such behaviour (yet).
            UnityEnvironmentException: the environment is closed, or has failed.
        """
        self._check_behavior(behavior_name)
        return self._steps[behavior_name]

    def set_actions(self, behavior_name: str, action: ActionTuple) -> None:
        """Let those of a behaviour who decide now act so in the next `step`.

        Args:
            behavior_name: Which behaviour.
            action: Continuous [agents, continuous actions] and discrete [agents, branches], in the order of the
                decision steps. Where nobody decides, ML-Agents' empty list will do.

        Raises:
            UnityActionException: there is no such behaviour (yet), or the actions have another shape.
            UnityEnvironmentException: the environment is closed, or has failed.
        """
        self._check_behavior(behavior_name)
        agents = len(self._steps[behavior_name][0])
        if agents or not _is_empty_list(action):
            self._actions[behavior_name] = self._checked(behavior_name, action, agents)

    def set_action_for_agent(self, behavior_name: str, agent_id: int, action: ActionTuple) -> None:
        """Let one agent who decides now act so in the next `step`; the others as set before, or with 0.

        Args:
            behavior_name: The agent's behaviour.
            agent_id: Its id, as in the decision steps.
            action: Continuous [1, continuous actions] and discrete [1, branches].

        Raises:
            UnityActionException: there is no such behaviour (yet), or the action has another shape.
            IndexError: the agent does not decide now.
            UnityEnvironmentException: the environment is closed, or has failed.
        """
        self._check_behavior(behavior_name)
        one = self._checked(behavior_name, action, 1)
        ids = self._steps[behavior_name][0].agent_id
        rows = np.flatnonzero(ids == agent_id)
        if not len(rows):
            deciding = one_line(", ".join(map(str, ids))) or "nobody"
            raise IndexError(
                f"Agent {agent_id} of behaviour {behavior_name} does not decide now; who does: {deciding}."
            )
        actions = self._actions_of(behavior_name)
        actions[rows] = one
        self._actions[behavior_name] = actions

    def set_parameters(self, parameters: Mapping[str, float | Sampler]) -> None:
        """Set environment parameters; when each acts is the scene's affair, most with the next episode.

        Args:
            parameters: Numbers, or samplers of `mlagents_player.parameters`, by name.

        Raises:
            PlayerError: the scene has no such parameter, or a value is neither; none is set.
            UnityEnvironmentException: the environment is closed, or has failed.
        """
        self._check_alive()
        given = _samplers(parameters)
        check_names(self._scene_type, given)
        if self._hosted is None:
            self._parameters.update(given)
            return
        with self._noting_failure():
            self._hosted.set_parameters(given)

    def close(self) -> None:
        """Close the scene; of an environment that has failed, too.

        Raises:
            UnityEnvironmentException: it is closed already.
        """
        self._check_open()
        self._closed = True
        if self._hosted is not None:
            self._hosted.close()

    def _play(self, hosted: HostedScene, academy: Academy) -> None:
        """Take academy steps up to the middle of the first one in which somebody decides or has ended."""
        infos = academy.begin_step()
        while not infos:
            academy.end_step(Reply())
            infos = academy.begin_step()
        self._specs.update((name, hosted.scene.behaviors[name]) for name in infos)
        self._steps = {name: _steps(infos.get(name, ()), spec) for name, spec in self._specs.items()}
        self._actions = {}
        for channel, payload in split_messages(hosted.send()):
            if channel in self._channels:
                self._channels[channel].on_message_received(IncomingMessage(payload))

    def _outbox(self) -> bytes:
        return bytes(self._side_channel_manager.generate_side_channel_messages())

    def _actions_of(self, behavior: str) -> Actions:
        """What was set for those who decide now, or else 0."""
        spec = self._specs[behavior].action_spec
        nothing = Actions.zeros(len(self._steps[behavior][0]), spec.continuous_size, spec.discrete_size)
        return self._actions.get(behavior, nothing)

    def _checked(self, behavior: str, action: ActionTuple, agents: int) -> Actions:
        """A copy of actions that have the right shape."""
        given = [getattr(action, kind, None) for kind in ("continuous", "discrete")]
        if any(values is None for values in given):
            what = "an empty ActionTuple" if isinstance(action, ActionTuple) else f"a {type(action).__name__}"
            raise UnityActionException(
                f"The behavior {behavior} needs an ActionTuple with the actions of {agents} agents; it got {what}."
            )
        self._specs[behavior].action_spec._validate_action(action, agents, behavior)  # raises as UnityEnvironment does
        return Actions(np.array(action.continuous, np.float32), np.array(action.discrete, np.int32))

    def _check_behavior(self, name: str) -> None:
        self._check_alive()
        if not self._specs:
            raise UnityActionException(f"{self._name} has not begun: call reset() before asking for behavior {name!r}.")
        if name not in self._specs:
            known = ", ".join(self._specs)
            hint = did_you_mean(str(name), self._specs)
            raise UnityActionException(f"{self._name} has no behavior {name!r} with agents; it has: {known}.{hint}")

    def _check_alive(self) -> None:
        self._check_open()
        if self._failure:
            raise UnityEnvironmentException(f"{self._name} cannot go on after its error: {self._failure}")

    def _check_open(self) -> None:
        if self._closed:
            raise UnityEnvironmentException(f"{self._name} is closed; make a new SceneEnvironment to go on.")

    @contextmanager
    def _noting_failure(self) -> Iterator[None]:
        """The scene stands in the middle of a step when something is raised, also by Ctrl+C: it cannot go on."""
        try:
            yield
        except BaseException as error:
            self._failure = one_line(str(error) or repr(error))
            raise


def _steps(batches: Sequence[AgentInfos], spec: BehaviorSpec) -> tuple[DecisionSteps, TerminalSteps]:
    """What was told of a behaviour, as ML-Agents' own classes; the arrays are the caller's."""
    deciding, ended = ([batch for batch in batches if batch.done == done] for done in (False, True))
    decisions, terminals = DecisionSteps.empty(spec), TerminalSteps.empty(spec)
    if deciding:
        masks = _masks(deciding, spec)
        decisions = DecisionSteps(
            _observations(deciding), _joined(deciding, "rewards"), _joined(deciding, "ids"), masks, *_groups(deciding)
        )
    if ended:
        interrupted = _joined(ended, "interrupted")
        terminals = TerminalSteps(
            _observations(ended), _joined(ended, "rewards"), interrupted, _joined(ended, "ids"), *_groups(ended)
        )
    return decisions, terminals


def _joined(batches: Sequence[AgentInfos], name: str) -> NDArray[Any]:
    return np.concatenate([getattr(batch, name) for batch in batches])


def _observations(batches: Sequence[AgentInfos]) -> list[NDArray[np.float32]]:
    joined = map(np.concatenate, zip(*(batch.observations for batch in batches), strict=True))
    return [to_floats(values) if values.dtype == np.uint8 else values.astype(np.float32) for values in joined]


def _masks(batches: Sequence[AgentInfos], spec: BehaviorSpec) -> list[NDArray[np.bool_]] | None:
    """One for each branch, True where forbidden; where a scene has none all is allowed."""
    branches = spec.action_spec.discrete_branches
    if not branches:
        return None
    all_allowed = [np.zeros((len(batch.ids), sum(branches)), bool) for batch in batches]
    masks = [
        allowed if batch.masks is None else batch.masks for batch, allowed in zip(batches, all_allowed, strict=True)
    ]
    return np.split(np.concatenate(masks).astype(bool), np.cumsum(branches)[:-1], axis=1)


def _groups(batches: Sequence[AgentInfos]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Ids and rewards of each agent's group, 0 where there are none."""
    ids = [np.zeros(len(b.ids), np.int32) if b.group_ids is None else b.group_ids for b in batches]
    rewards = [np.zeros(len(b.ids), np.float32) if b.group_rewards is None else b.group_rewards for b in batches]
    return np.concatenate(ids), np.concatenate(rewards)


def _is_empty_list(action: Any) -> bool:
    """What ML-Agents' policies return for nobody instead of an ActionTuple."""
    return isinstance(action, list) and not action


def _samplers(parameters: Mapping[str, float | Sampler]) -> dict[str, Sampler]:
    if not (isinstance(parameters, Mapping) and all(isinstance(name, str) for name in parameters)):
        raise PlayerError(f"parameters are {parameters!r}; give a dictionary of numbers or samplers by their names.")
    return {name: _sampler(name, value) for name, value in parameters.items()}


def _sampler(name: str, value: float | Sampler) -> Sampler:
    if isinstance(value, Real) and np.isfinite(np.float32(value)):
        return constant(float(np.float32(value)))  # as it would arrive from a trainer
    if callable(value):
        return value
    raise PlayerError(
        f"The environment parameter {name} is {value!r}; it is a finite number or a sampler of "
        "mlagents_player.parameters."
    )


def _whole_number(name: str, value: SupportsIndex, fits: Callable[[int], bool], kind: str) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or not fits(number):
        raise PlayerError(f"{name} is {value!r}; it is a whole number {kind}.")
    return number
