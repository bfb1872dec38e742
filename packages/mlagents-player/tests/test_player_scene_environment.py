"""SceneEnvironment: number for number what UnityEnvironment gives of the same scene, and the same refusals."""

import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
import pytest
from mlagents_envs.base_env import ActionTuple, BaseEnv, DecisionSteps, TerminalSteps
from mlagents_envs.exception import UnityActionException, UnityEnvironmentException, UnityException
from mlagents_envs.side_channel.engine_configuration_channel import EngineConfig, EngineConfigurationChannel
from mlagents_envs.side_channel.environment_parameters_channel import EnvironmentParametersChannel
from mlagents_envs.side_channel.raw_bytes_channel import RawBytesChannel
from mlagents_envs.side_channel.stats_side_channel import StatsSideChannel
from numpy.typing import NDArray

from mlagents_player import Actions, ActionSpec, BehaviorSpec, Rows, Scene, SceneEnvironment, scenes, vector_observation
from mlagents_player.errors import PlayerError, SceneError
from mlagents_player.parameters import uniform
from mlagents_player.scenes.basic import Basic
from player_testing import in_editor, random_actions

CHANNEL = uuid.UUID("7e7e7e7e-1111-2222-3333-444444444444")
Told = dict[str, tuple[DecisionSteps, TerminalSteps]]


def told(environment: BaseEnv) -> Told:
    return {name: environment.get_steps(name) for name in environment.behavior_specs}


def act(environment: BaseEnv, rng: np.random.Generator) -> None:
    """Actions for most behaviours, now and then for one agent only or for nobody, and a step."""
    for name, spec in environment.behavior_specs.items():
        decisions, _ = environment.get_steps(name)
        way = rng.integers(4)
        if way and len(decisions):
            actions = random_actions(spec.action_spec, len(decisions), rng)
            environment.set_actions(name, ActionTuple(actions.continuous, actions.discrete))
        if way < 2 and len(decisions):
            one = random_actions(spec.action_spec, 1, rng)
            agent = int(rng.choice(decisions.agent_id))
            environment.set_action_for_agent(name, agent, ActionTuple(one.continuous, one.discrete))
    environment.step()


def played(environment: BaseEnv, steps: int, reset_at: int | None = None) -> Iterator[Told]:
    """What is told after the first reset and after each of some steps."""
    rng = np.random.default_rng(0)
    yield told(environment)
    for step in range(steps):
        if step == reset_at:
            environment.reset()
        else:
            act(environment, rng)
        yield told(environment)


def assert_same(found: Told, expected: Told) -> None:
    assert list(found) == list(expected)
    for name in found:
        for ours, theirs in zip(found[name], expected[name], strict=True):
            for attribute, value in vars(theirs).items():
                if attribute != "_agent_id_to_index":
                    assert_equal(getattr(ours, attribute), value, f"{name} {attribute}")


def assert_equal(found: Any, expected: Any, what: str) -> None:
    if isinstance(expected, list) and expected and isinstance(expected[0], np.ndarray):
        assert len(found) == len(expected), what
        for ours, theirs in zip(found, expected, strict=True):
            assert_equal(ours, theirs, what)
    elif expected is None:
        assert found is None, what
    else:
        np.testing.assert_array_equal(found, expected, what)
        if isinstance(expected, np.ndarray):  # UnityEnvironment gives the ids of groups as a list
            assert (found.shape, found.dtype) == (expected.shape, expected.dtype), what


class Visitors(Scene):
    """Two behaviours of three agents that come, go, end and are interrupted by chance, with masks and a group."""

    behaviors: ClassVar = {
        "Guest": BehaviorSpec([vector_observation(2)], ActionSpec(1, (2, 3))),
        "Late?team=1": BehaviorSpec([vector_observation(1)], ActionSpec(0, (2,))),
    }
    agents_per_area = 3
    decision_period = 2
    max_step = 9
    parameter_names = ("speed",)

    def reset(self, agents: Rows) -> None:
        self.behavior_index[agents] = self.rng.random(len(agents)) < 0.2 if self.step_count.max() else 0
        self.group_ids[agents] = agents + 1
        self.speed = self.parameters.draw("speed", 0.1, self.num_agents).astype(np.float32)

    def observe(self, behavior: str, agents: Rows) -> list[NDArray[Any]]:
        return [np.stack([self.step_count[agents], self.speed[agents]], 1)[:, : 2 if behavior == "Guest" else 1]]

    def action_mask(self, behavior: str, agents: Rows) -> NDArray[np.bool_] | None:
        if behavior != "Guest":
            return None
        return np.tile(np.array([False, True, False, False, True]), (len(agents), 1))

    def act(self, agents: Rows, actions: Actions) -> None:
        self.add_reward(agents, self.speed[agents] + actions.continuous[:, 0] + actions.discrete[:, 0])
        self.group_rewards[agents] += 1
        self.end_episode(agents[self.rng.random(len(agents)) < 0.1])

    def simulate(self) -> None:
        self.add_statistic("Visits", float(self.active.sum()))
        self.end_episode(np.flatnonzero(self.active & (self.rng.random(self.num_agents) < 0.05)))
        moved = self.rng.random(self.num_agents) < 0.1
        self.active[moved] = ~self.active[moved]

    def message_received(self, channel: uuid.UUID, payload: bytes) -> None:
        self.send_message(channel, payload[::-1])


@pytest.mark.parametrize(
    ("scene", "areas", "steps"),
    [
        ("Basic", 3, 40),
        ("3DBall", 1, 60),
        ("3DBallHard", 1, 6),
        ("3DBallDiscrete", 1, 60),
        ("GridWorld", 1, 8),
        ("PushBlock", 1, 5),
        ("Hallway", 1, 6),
        ("WallJump", 1, 25),
        ("SoccerTwos", 1, 15),
        ("FoodCollector", 1, 6),
        ("Sorter", 1, 10),
        ("gym:CartPole-v1", 3, 60),
        ("gym:Pendulum-v1", 1, 210),
        (Visitors, 2, 150),
    ],
)
def test_scene_environment_tells_what_unity_environment_tells(scene: str | type[Scene], areas: int, steps: int) -> None:
    """Specs, decision steps, terminal steps and their order are equal along a run with a reset in its middle."""
    scene_type = scenes.load(scene) if isinstance(scene, str) else scene
    ours = SceneEnvironment(scene, num_areas=areas, seed=7)
    ours.reset()
    with in_editor(scene_type, num_areas=areas, seed=7) as theirs:
        pairs = zip(played(ours, steps, steps // 2), played(theirs, steps, steps // 2), strict=True)
        for found, expected in pairs:
            assert_same(found, expected)
        assert dict(ours.behavior_specs) == dict(theirs.behavior_specs)
    ours.close()


def test_visitors_show_every_kind_of_end() -> None:
    """The comparison above is of something: agents that end and decide at once, interrupted ones, both behaviours."""
    environment = SceneEnvironment(Visitors, num_areas=2, seed=7)
    environment.reset()
    steps = [step for message in played(environment, 150) for step in message.values()]
    assert any(set(decisions.agent_id) & set(terminals.agent_id) for decisions, terminals in steps)
    assert {bool(flag) for _, terminals in steps for flag in terminals.interrupted} == {False, True}
    assert len(environment.behavior_specs) == 2


def test_grey_pictures_are_what_comes_out_of_a_png() -> None:
    """ML-Agents makes the mean of a file's three channels, which rounds."""
    shape = (1, 16, 16)
    sensor = scenes.load("GridWorld").behaviors["GridWorld"].observation_specs[0]._replace(shape=shape)
    greys = np.arange(256, dtype=np.uint8).reshape(1, *shape)
    attributes = {
        "behaviors": {"Basic": BehaviorSpec([sensor], ActionSpec(0, (3,)))},
        "observe": lambda self, behavior, agents: [greys[np.zeros(len(agents), int)]],
    }
    scene_type = type("Grey", (Basic,), attributes)
    ours = SceneEnvironment(scene_type)
    ours.reset()
    with in_editor(scene_type) as theirs:
        assert_same(told(ours), told(theirs))


@pytest.mark.parametrize("parameters", ["abc", 5, [("gravity", 1.0)], {1: 1.0}])
def test_parameters_without_names_are_refused(parameters: Any) -> None:
    """In one line, by the environment and by `set_parameters`."""
    with pytest.raises(PlayerError, match="by their names"):
        SceneEnvironment("3DBall", parameters=parameters)
    env = SceneEnvironment("3DBall")
    with pytest.raises(PlayerError, match="by their names"):
        env.set_parameters(parameters)
    env.close()


def test_parameters_act_as_those_of_a_trainer() -> None:
    """Given at the start and later, as numbers and as samplers, they are what the side channel brings."""
    channel = EnvironmentParametersChannel()
    channel.set_float_parameter("scale", 2.1)
    ours = SceneEnvironment("3DBall", seed=3, parameters={"scale": 2.1})
    ours.reset()
    with in_editor(scenes.load("3DBall"), seed=3, side_channels=[channel]) as theirs:
        channel.set_uniform_sampler_parameters("scale", 0.5, 1.5, 9)
        channel.set_float_parameter("gravity", 4.3)
        ours.set_parameters({"scale": uniform(0.5, 1.5, seed=9), "gravity": 4.3})
        for found, expected in zip(played(ours, 40), played(theirs, 40), strict=True):
            assert_same(found, expected)
    plain = SceneEnvironment("3DBall", seed=3)
    plain.reset()
    assert not np.array_equal(plain.get_steps("3DBall")[0].obs[0], next(played(ours, 0))["3DBall"][0].obs[0])


def test_side_channels_reach_the_scene_and_its_trainer() -> None:
    """Parameters, engine settings and bytes go in; statistics and bytes come out; what nobody reads is dropped."""
    parameters, engine = EnvironmentParametersChannel(), EngineConfigurationChannel()
    statistics, raw = StatsSideChannel(), RawBytesChannel(CHANNEL)
    environment = SceneEnvironment(Visitors, side_channels=[parameters, engine, statistics, raw])
    engine.set_configuration(EngineConfig.default_config())
    parameters.set_float_parameter("speed", 5.0)
    raw.send_raw_data(b"abc")
    environment.reset()
    assert environment.get_steps("Guest")[0].obs[0][:, 1].tolist() == [5.0] * 3
    assert raw.get_and_clear_received_messages() == [b"cba"]
    environment.step()
    assert statistics.get_and_reset_stats()["Visits"][0][0] == 3
    deaf = SceneEnvironment(Visitors)
    deaf.reset()
    deaf.step()


def test_two_side_channels_of_one_id_are_refused() -> None:
    """As UnityEnvironment does."""
    with pytest.raises(UnityEnvironmentException, match="same channel id"):
        SceneEnvironment("Basic", side_channels=[StatsSideChannel(), StatsSideChannel()])


def test_step_before_reset_is_a_reset() -> None:
    """As in UnityEnvironment."""
    first, second = SceneEnvironment("3DBall", seed=1), SceneEnvironment("3DBall", seed=1)
    first.step()
    second.reset()
    assert_same(told(first), told(second))


def test_seed_and_areas_make_the_scene() -> None:
    """The same seed is the same scene, another one another; areas are copies of the whole scene."""

    def observed(**options: int) -> NDArray[np.float32]:
        environment = SceneEnvironment("3DBall", **options)
        environment.reset()
        observation: NDArray[np.float32] = environment.get_steps("3DBall")[0].obs[0]
        return observation

    assert np.array_equal(observed(seed=-5), observed(seed=-5))
    assert not np.array_equal(observed(seed=5), observed(seed=6))
    assert observed(num_areas=2).shape == (24, 8)


def test_steps_are_the_callers_own() -> None:
    """What a caller writes into them, or into actions that were set, changes nothing in the scene."""
    first, second = SceneEnvironment("3DBall", seed=1), SceneEnvironment("3DBall", seed=1)
    for environment in (first, second):
        environment.reset()
        decisions, _ = environment.get_steps("3DBall")
        actions = np.full((12, 2), 0.5, np.float32)
        environment.set_actions("3DBall", ActionTuple(actions))
        if environment is first:
            actions[:] = decisions.obs[0][:] = decisions.reward[:] = decisions.agent_id[:] = 7
        environment.step()
    assert_same(told(first), told(second))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"scene": "3DBal"}, "Unknown scene '3DBal'. Did you mean 3DBall?"),
        ({"scene": "gym:NoSuch-v0"}, "gym:NoSuch-v0 cannot be made"),
        ({"scene": int}, "Scene int is not a subclass"),
        ({"scene": 3}, "Scene 3 is not a subclass"),
        ({"num_areas": 0}, "num_areas is 0; it is a whole number of at least 1."),
        ({"num_areas": 1.5}, "num_areas is 1.5; it is a whole number"),
        ({"seed": 2**31}, "seed is 2147483648; it is a whole number of 32 bits."),
        ({"seed": None}, "seed is None"),
        ({"parameters": {"scal": 1.0}}, "no environment parameter scal; it has: .* Did you mean scale"),
        ({"parameters": {"scale": "big"}}, "parameter scale is 'big'; it is a finite number or a sampler"),
        ({"parameters": {"scale": float("nan")}}, "parameter scale is nan"),
    ],
)
def test_what_cannot_be_built_is_one_line(arguments: dict[str, Any], says: str) -> None:
    """Scene, areas, seed and parameters are refused at once, by name, with an error of ML-Agents' kind."""
    with pytest.raises(PlayerError, match=says) as refused:
        SceneEnvironment(**{"scene": "3DBall", **arguments})
    assert isinstance(refused.value, UnityException)
    assert "\n" not in str(refused.value)


@contextmanager
def one_line(kind: type[Exception], says: str) -> Iterator[None]:
    with pytest.raises(kind, match=says) as refused:
        yield
    assert "\n" not in str(refused.value)


def test_behaviors_are_known_after_the_first_reset() -> None:
    """Before it there are none, as in UnityEnvironment; after it an unknown one is answered with the nearest."""
    environment = SceneEnvironment("WallJump", parameters={"no_wall_height": 0.0})
    assert dict(environment.behavior_specs) == {}
    calls: list[Callable[[str], object]] = [
        environment.get_steps,
        lambda name: environment.set_actions(name, ActionTuple()),
        lambda name: environment.set_action_for_agent(name, 0, ActionTuple()),
    ]
    for call in calls:
        with one_line(UnityActionException, r"WallJump has not begun: call reset\(\)"):
            call("SmallWallJump")
    environment.reset()
    for call in calls:
        with one_line(UnityActionException, "no behavior 'SmalWallJump' .* Did you mean SmallWallJump"):
            call("SmalWallJump")


@pytest.mark.parametrize(
    ("action", "says"),
    [
        (ActionTuple(np.zeros((11, 2))), r"continuous input of dimension \(12, 2\)"),
        (ActionTuple(np.zeros((12, 3))), r"continuous input of dimension \(12, 2\)"),
        (ActionTuple(np.zeros((12, 2)), np.zeros((12, 1))), r"discrete input of dimension \(12, 0\)"),
        (ActionTuple(), "needs an ActionTuple with the actions of 12 agents; it got an empty ActionTuple"),
        (np.zeros((12, 2)), "it got a ndarray"),
        ([], "it got a list"),
    ],
)
def test_actions_of_another_shape_are_refused(action: Any, says: str) -> None:
    """They are one line, and the environment goes on."""
    environment = SceneEnvironment("3DBall")
    environment.reset()
    with one_line(UnityActionException, says):
        environment.set_actions("3DBall", action)
    environment.step()


def test_empty_list_is_taken_where_nobody_decides() -> None:
    """ML-Agents' policies return one, as after Basic's terminal step, which comes alone."""
    environment = SceneEnvironment("Basic")
    environment.reset()
    while not len(environment.get_steps("Basic")[1]):
        environment.set_actions("Basic", ActionTuple(discrete=np.full((1, 1), 2)))
        environment.step()
    assert not len(environment.get_steps("Basic")[0])
    environment.set_actions("Basic", [])
    environment.step()
    assert len(environment.get_steps("Basic")[0]) == 1


def test_action_for_an_agent_that_does_not_decide_is_refused() -> None:
    """By its id, with those that decide."""
    environment = SceneEnvironment("Basic")
    environment.reset()
    with one_line(IndexError, "Agent 5 of behaviour Basic does not decide now; who does: 0"):
        environment.set_action_for_agent("Basic", 5, ActionTuple(discrete=np.ones((1, 1))))
    with one_line(UnityActionException, r"input of dimension \(1, 0\)"):
        environment.set_action_for_agent("Basic", 0, ActionTuple(discrete=np.ones((2, 1))))


def test_closed_environment_is_refused() -> None:
    """Whatever is called after `close`, the second `close` too, is one line."""
    environment = SceneEnvironment("Basic")
    environment.reset()
    environment.close()
    calls: list[Callable[[], object]] = [
        environment.reset,
        environment.step,
        environment.close,
        lambda: environment.get_steps("Basic"),
        lambda: environment.set_actions("Basic", ActionTuple()),
        lambda: environment.set_action_for_agent("Basic", 0, ActionTuple()),
        lambda: environment.set_parameters({}),
    ]
    for call in calls:
        with one_line(UnityEnvironmentException, "Basic is closed"):
            call()


class Failing(Basic):
    """Raises in its third academy step, and notes that it was closed."""

    closed = False

    def simulate(self) -> None:
        if self.step_count.max() > 2:
            raise KeyError("lost")

    def close(self) -> None:
        type(self).closed = True


def test_scene_that_fails_can_only_be_closed() -> None:
    """The error is one line with scene, method and place; what follows names it, and `close` still closes."""
    environment = SceneEnvironment(Failing)
    with one_line(SceneError, "Scene Failing raised KeyError.* in simulate"):
        for _ in range(5):
            environment.step()
    for call in (environment.step, environment.reset):
        with one_line(UnityEnvironmentException, "Failing cannot go on after its error: Scene Failing raised"):
            call()
    environment.close()
    assert Failing.closed


def test_set_parameters_refuses_without_setting_any() -> None:
    """An unknown name is an error, and the scene goes on as it was."""
    environment = SceneEnvironment(Visitors)
    for begun in (False, True):
        with one_line(PlayerError, "no environment parameter sped"):
            environment.set_parameters({"speed": 9.0, "sped": 1.0})
        environment.reset()
        assert environment.get_steps("Guest")[0].obs[0][0, 1] == np.float32(0.1), begun
    environment.set_parameters({"speed": 9.0})
    environment.reset()
    assert environment.get_steps("Guest")[0].obs[0][0, 1] == 9


def test_close_closes_gymnasium_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their windows and simulators are let go of, copy by copy."""
    environment = SceneEnvironment("gym:CartPole-v1", num_areas=2)
    environment.reset()
    closed: list[object] = []
    monkeypatch.setattr("gymnasium.envs.classic_control.CartPoleEnv.close", lambda copy: closed.append(copy))
    environment.close()
    assert len(closed) == 2


@pytest.fixture
def wrappers(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """The modules of ML-Agents' wrappers; their package downloads a list of Unity's builds when it is imported."""
    registry = pytest.importorskip("mlagents_envs.registry.unity_env_registry")
    monkeypatch.setattr(registry.UnityEnvRegistry, "_load_all_manifests", lambda self: None)
    return lambda name: pytest.importorskip(f"mlagents_envs.envs.{name}")


@pytest.mark.parametrize("scene", ["Basic", "gym:CartPole-v1", "gym:Pendulum-v1"])
def test_gym_wrapper_plays_episodes(scene: str, wrappers: Callable[[str], Any]) -> None:
    """ML-Agents' own wrapper for Gym takes it as it takes a UnityEnvironment."""
    wrapper = wrappers("unity_gym_env").UnityToGymWrapper
    wrapped = wrapper(SceneEnvironment(scene, seed=1), action_space_seed=1)
    for _ in range(2):
        assert wrapped.observation_space.contains(wrapped.reset())
        done = False
        while not done:
            observation, reward, done, _ = wrapped.step(wrapped.action_space.sample())
            assert wrapped.observation_space.contains(observation)
            assert np.isfinite(reward)
    wrapped.close()


@pytest.mark.parametrize("scene", ["SoccerTwos", "WallJump"])
@pytest.mark.parametrize("wrapper", ["parallel", "aec"])
def test_pettingzoo_wrappers_play(scene: str, wrapper: str, wrappers: Callable[[str], Any]) -> None:
    """So do its wrappers for PettingZoo, all agents of all behaviours, with the side channels by name."""
    wrap = getattr(wrappers(f"unity_{wrapper}_env"), "UnityParallelEnv" if wrapper == "parallel" else "UnityAECEnv")
    wrapped = wrap(SceneEnvironment(scene, seed=1, side_channels=[StatsSideChannel()]), seed=1)
    assert "StatsSideChannel" in wrapped.side_channel
    assert wrapped.possible_agents
    wrapped.reset()
    for _ in range(3):
        if wrapper == "parallel":
            observations, rewards, *_ = wrapped.step({a: wrapped.action_space(a).sample() for a in wrapped.agents})
            assert set(observations) == set(rewards) >= set(wrapped.agents)
        else:
            wrapped.step(wrapped.action_space(wrapped.agent_selection).sample())
    wrapped.close()


def test_import_stays_light() -> None:
    """Whoever imports the package for a scene's base class pays for none of what SceneEnvironment needs."""
    script = (
        "import sys, mlagents_player as player; late = 'mlagents_player.scene_environment'; "
        "assert late not in sys.modules and 'google.protobuf' not in sys.modules; "
        "assert player.SceneEnvironment.__name__ == 'SceneEnvironment' and late in sys.modules; "
        "assert set(player.__all__) <= set(dir(player))"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_unknown_attribute_of_the_package_is_an_attribute_error() -> None:
    """The late attribute hides no misspelling."""
    with pytest.raises(AttributeError, match="has no attribute 'SceneEnvironmnt'"):
        getattr(__import__("mlagents_player"), "SceneEnvironmnt")  # noqa: B009


def test_parameters_of_a_scene_come_before_those_of_its_side_channel() -> None:
    """What a side channel says last counts."""
    channel = EnvironmentParametersChannel()
    channel.set_float_parameter("speed", 2.0)
    environment = SceneEnvironment(Visitors, parameters={"speed": 1.0}, side_channels=[channel])
    environment.reset()
    assert environment.get_steps("Guest")[0].obs[0][0, 1] == 2
