"""`gym:<id>`: Gymnasium's environments as scenes."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from mlagents_envs.base_env import ActionTuple
from mlagents_envs.environment import UnityEnvironment
from mlagents_envs.exception import UnityCommunicatorStoppedException

from mlagents_player import cli, launcher, scenes
from mlagents_player.errors import PlayerError
from mlagents_player.pictures import to_floats
from player_testing import InProcess, continuous, discrete, free_port, in_editor, random_step


class Corridor(gymnasium.Env):
    """Walks right; one place a step. Ends at `goal`, forbids action 0 on odd places, shows a picture of them."""

    observation_space = spaces.Dict(
        place=spaces.Discrete(10), picture=spaces.Box(0, 255, (20, 24, 3), np.uint8), noise=spaces.Box(0, 1, (2,))
    )
    action_space = spaces.Discrete(2)

    def __init__(self, goal: int = 9, fail_at: int | None = None) -> None:
        self.goal, self.fail_at = goal, fail_at

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict]:
        super().reset(seed=seed)
        self.place = 0
        return self._seen()

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict]:
        if self.place == self.fail_at:
            raise RuntimeError("the floor is lava")
        self.place += int(action)
        observation, info = self._seen()
        return observation, float(self.place), self.place == self.goal, False, info

    def _seen(self) -> tuple[Any, dict]:
        picture = np.full((20, 24, 3), 10 * self.place, np.uint8)
        picture[0, 0] = (1, 2, 3)
        noise = self.np_random.random(2).astype(np.float32)
        mask = np.int8([self.place % 2 == 0, 1])
        return {"place": self.place, "picture": picture, "noise": noise}, {"action_mask": mask}


gymnasium.register("PlayerCorridor-v0", Corridor)
gymnasium.register("PlayerShortCorridor-v0", Corridor, max_episode_steps=3)
gymnasium.register("PlayerLava-v0", Corridor, kwargs={"fail_at": 2})

RIGHT = discrete(1)


def test_behavior_is_the_id_without_namespace() -> None:
    """`module:ALE/Pong-v5` trains under the behaviour name Pong-v5."""
    assert list(scenes.load("gym:CartPole-v1").behaviors) == ["CartPole-v1"]
    assert list(scenes.load("gym:test_player_gymnasium:PlayerCorridor-v0").behaviors) == ["PlayerCorridor-v0"]


@pytest.mark.parametrize(
    ("environment", "observations", "continuous_size", "branches"),
    [
        ("CartPole-v1", 4, 0, (2,)),
        ("Acrobot-v1", 6, 0, (3,)),
        ("MountainCar-v0", 2, 0, (3,)),
        ("LunarLander-v3", 8, 0, (4,)),
        ("Pendulum-v1", 3, 1, ()),
        ("MountainCarContinuous-v0", 2, 1, ()),
    ],
)
def test_classic_environments(
    environment: str, observations: int, continuous_size: int, branches: tuple[int, ...]
) -> None:
    """Their specifications, and twenty random steps of four copies that differ from one another."""
    with in_editor(scenes.load(f"gym:{environment}"), num_areas=4) as unity:
        (spec,) = unity.behavior_specs.values()
        assert [o.shape for o in spec.observation_specs] == [(observations,)]
        assert (spec.action_spec.continuous_size, spec.action_spec.discrete_branches) == (continuous_size, branches)
        decisions, _ = unity.get_steps(environment)
        assert len(np.unique(decisions.obs[0], axis=0)) == 4
        rng = np.random.default_rng(0)
        assert sum(random_step(unity, environment, rng) for _ in range(20)) == 80


def test_trajectory_is_gymnasiums_own() -> None:
    """Observations, rewards and ends equal those of the environment itself with the same seed and actions."""
    played = InProcess(scenes.load("gym:CartPole-v1"), RIGHT, seed=3).run(40)
    environment = gymnasium.make("CartPole-v1")
    seed = int(np.random.default_rng(3).integers(2**31, size=1)[0])
    observation, _ = environment.reset(seed=seed)
    reward, terminated, truncated = 0.0, False, False
    for terminals, (decision,) in played.messages:
        if terminals:
            assert (terminated, truncated) == (True, False)
            assert np.array_equal(terminals[0].observations[0][0], observation)
            assert terminals[0].rewards[0] == reward
            assert not terminals[0].interrupted[0]
            observation, _ = environment.reset()
        assert np.array_equal(decision.observations[0][0], observation)
        observation, reward, terminated, truncated, _ = environment.step(1)
    assert sum(len(terminals) for terminals, _ in played.messages) >= 3


def test_truncation_is_an_interruption_with_the_true_last_observation() -> None:
    """After three of nine steps the time limit ends the episode: interrupted, on place 3, not on place 0."""
    played = InProcess(scenes.load("gym:PlayerShortCorridor-v0"), RIGHT).run(4)
    (terminal,), (decision,) = played.messages[3]
    assert terminal.interrupted.tolist() == [True]
    assert terminal.observations[0][0].argmax() == 3
    assert terminal.rewards.tolist() == [3]
    assert decision.observations[0][0].argmax() == 0


def test_termination_is_not_an_interruption() -> None:
    """The goal after nine steps is an end of the task's own making."""
    played = InProcess(scenes.load("gym:PlayerCorridor-v0"), RIGHT).run(10)
    (terminal,), _ = played.messages[9]
    assert terminal.interrupted.tolist() == [False]
    assert terminal.observations[0][0].argmax() == 9


def test_masks_and_pictures_reach_mlagents() -> None:
    """The picture arrives exact in its three channels, and the mask of each place inverted."""
    with in_editor(scenes.load("gym:PlayerCorridor-v0"), num_areas=2) as unity:
        names = [spec.name for spec in unity.behavior_specs["PlayerCorridor-v0"].observation_specs]
        assert names == ["place", "picture", "noise"]
        for place in range(4):
            decisions, _ = unity.get_steps("PlayerCorridor-v0")
            expected = np.full((3, 20, 24), 10 * place, np.uint8)
            expected[:, 0, 0] = (1, 2, 3)
            assert np.array_equal(decisions.obs[1][1], to_floats(expected))
            assert decisions.action_mask[0].tolist() == [[place % 2 == 1, False]] * 2
            walk(unity, "PlayerCorridor-v0", 1)


def test_seeds() -> None:
    """The same seed gives the same start, copy by copy; another seed another one."""
    starts = [
        InProcess(scenes.load("gym:CartPole-v1"), RIGHT, areas=3, seed=seed).run(1).messages[0][1][0].observations[0]
        for seed in (1, 1, 2)
    ]
    assert np.array_equal(starts[0], starts[1])
    assert not np.isclose(starts[0], starts[2]).any()


def test_box_actions_reach_the_environment() -> None:
    """1 is Pendulum's full torque of 2: a cost of θ² + 0.1 ω² + 0.001 · 2²."""
    played = InProcess(scenes.load("gym:Pendulum-v1"), continuous(1.0)).run(2)
    cos, sin, speed = played.messages[0][1][0].observations[0][0].astype(float)
    expected = -(np.arctan2(sin, cos) ** 2 + 0.1 * speed**2 + 0.004)
    assert played.messages[1][1][0].rewards[0] == pytest.approx(expected, rel=1e-5)


def test_an_environment_that_raises_is_one_line() -> None:
    """The scene, the error and where it came from."""
    played = InProcess(scenes.load("gym:PlayerLava-v0"), RIGHT)
    with pytest.raises(PlayerError, match=r"gym:PlayerLava-v0 raised RuntimeError\('the floor is lava'\) in step"):
        played.run(5)


class Plain(gymnasium.Env):
    """Three zeros and two actions; the subclasses of the tests return something else."""

    observation_space = spaces.Box(-1, 1, (3,))
    action_space = spaces.Discrete(2)
    returned: Any = (np.zeros(3), 1.0, False, False, {})
    began: Any = (np.zeros(3), {})

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return self.began

    def step(self, action: int) -> Any:
        return self.returned


def odd(limit: int | None = 5, **attributes: Any) -> InProcess:
    """A scene of `Plain` with other attributes, with and without Gymnasium's time limit around it."""
    gymnasium.register("PlayerOdd-v0", type("Odd", (Plain,), attributes), max_episode_steps=limit)
    try:
        return InProcess(scenes.load("gym:PlayerOdd-v0"), RIGHT)
    finally:
        del gymnasium.registry["PlayerOdd-v0"]


def step_with(**changed: Any) -> tuple[Any, ...]:
    names = ("observation", "reward", "terminated", "truncated", "info")
    return tuple(changed.get(name, value) for name, value in zip(names, Plain.returned, strict=True))


@pytest.mark.parametrize("limit", [5, None])
@pytest.mark.parametrize(
    ("returned", "says"),
    [
        (Plain.returned[:4], "step returned 4 values, as the old gym did; expected 5: observation, reward"),
        ((1, 2, 3), "step returned 3 values; expected 5"),
        ((*Plain.returned, {}), "step returned 6 values; expected 5"),
        (None, r"step returned one value \(None\); expected 5"),
        (np.zeros(5), "step returned one value .an array of float64"),
        (step_with(reward=None), "step returned None for the reward; expected one finite number"),
        (step_with(reward="1.0"), "step returned '1.0' for the reward"),
        (step_with(reward=np.nan), "step returned nan for the reward"),
        (step_with(reward=-np.inf), "step returned -inf for the reward"),
        (step_with(reward=1e300), r"step returned 1e\+300 for the reward"),
        (step_with(reward=np.ones(2)), r"an array of float64 of shape \(2,\) for the reward"),
        (step_with(reward=[1.0]), r"step returned \[1.0\] for the reward"),
        (step_with(terminated=None), "step returned None for terminated; expected True or False"),
        (step_with(truncated={}), "step returned {} for truncated"),
        (step_with(terminated=np.array([True])), "for terminated"),
        (step_with(terminated="False"), "step returned 'False' for terminated"),
        (step_with(info=None), "step returned None for the info; expected a dict"),
        (step_with(observation=np.zeros(4)), r"step returned an array of float64 of shape \(4,\) for the observation"),
        (step_with(observation=None), "step returned None for the observation"),
        (step_with(info={"action_mask": [1, 1, 1]}), r'step returned an info\["action_mask"\] that has 3 numbers'),
        (step_with(info={"action_mask": [0, 0]}), "forbids every action"),
    ],
)
def test_a_step_that_returns_something_else_is_one_line(returned: Any, says: str, limit: int | None) -> None:
    """Environment, call, what came and what is expected, also below Gymnasium's own wrappers."""
    played = odd(limit, returned=returned)
    with pytest.raises(PlayerError, match=rf"^gym:PlayerOdd-v0\b.*{says}") as error:
        played.run(2)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("began", "says"),
    [
        (np.zeros(3), "reset returned one value .an array of float64 of shape .3,..; expected 2: observation, info"),
        (np.zeros(2), "reset returned one value"),
        ((np.zeros(3), {}, {}), "reset returned 3 values; expected 2"),
        ((np.zeros(3), None), "reset returned None for the info"),
        ((np.full(3, np.nan), {}), r"reset returned nan at \[0\] of the observation"),
    ],
)
def test_a_reset_that_returns_something_else_is_one_line(began: Any, says: str) -> None:
    """The old gym's reset gave the observation alone, and one of two numbers is not taken for two values."""
    with pytest.raises(PlayerError, match=f"^gym:PlayerOdd-v0: {says}"):
        odd(began=began)


@pytest.mark.parametrize("reward", [1, 1.0, True, np.float64(1), np.array(1.0), np.int8(1)])
def test_rewards_may_be_numbers_of_any_kind(reward: Any) -> None:
    """What has the value of one number counts as that; flags may be 0 and 1."""
    played = odd(returned=step_with(reward=reward, terminated=np.bool_(False), truncated=0)).run(2)
    assert played.messages[1][1][0].rewards.tolist() == [1]


def test_calls_of_the_old_gym_are_one_line() -> None:
    """A reset without a seed and a step without an action cannot be called; errors inside of them are their own."""
    with pytest.raises(
        PlayerError, match=r"reset cannot be called .*; expected reset\(self, \*, seed=None, options=None\)"
    ):
        odd(reset=lambda self: (np.zeros(3), {}))
    with pytest.raises(PlayerError, match=r"step cannot be called .*; expected step\(self, action\)"):
        odd(step=lambda self: Plain.returned).run(2)
    with pytest.raises(PlayerError, match=r"raised TypeError\(.*\) in step \(test_player_gymnasium.py, line"):
        odd(step=lambda self, action: len(action)).run(2)


def test_an_environment_that_leaves_the_process_is_an_error() -> None:
    """`sys.exit()` in somebody's step would end the player with code 0 and no word."""
    with pytest.raises(PlayerError, match=r"gym:PlayerOdd-v0 raised SystemExit\(0\) in step"):
        odd(step=lambda self, action: sys.exit(0)).run(2)


def test_spaces_that_are_missing_are_named() -> None:
    """Together with the environment."""
    for attributes in ({"observation_space": None}, {"action_space": None}):
        with pytest.raises(PlayerError, match=r"^gym:PlayerOdd-v0: .* of the kind NoneType"):
            odd(**attributes)
    with pytest.raises(PlayerError, match=r"gym:PlayerOdd-v0 cannot be made: KeyError\('goal'\)"):
        odd(__init__=lambda self: {}["goal"])


def test_the_last_mask_of_an_episode_may_be_empty() -> None:
    """Where a game is over there is no move left, and nobody is asked for one."""
    over = step_with(terminated=True, info={"action_mask": [0, 0]})
    assert len(odd(returned=over).run(3).messages) == 3


def test_unknown_environment(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Gymnasium's own hint in one line, and nothing is built."""
    assert cli.main(["build", "gym:CartPoole-v1", "--output", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "Did you mean: `CartPole`" in error
    assert not (tmp_path / "out").exists()


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Gymnasium is missing the line to install it is given."""
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    for module in ("scenes.gymnasium_env", "spaces"):
        monkeypatch.delitem(sys.modules, f"mlagents_player.{module}", raising=False)
    monkeypatch.delattr(scenes, "gymnasium_env", raising=False)
    with pytest.raises(PlayerError, match=r"needs gymnasium; install it with: \S.* install .*gymnasium "):
        scenes.load("gym:CartPole-v1")


def test_launcher_plays_an_environment(players: Path, unity: Callable[..., UnityEnvironment]) -> None:
    """A launcher of gym:CartPole-v1 has a name that files can have, and takes the trainer's seed and areas."""
    path = launcher.build("gym:CartPole-v1", players)
    assert path.name == "gym-CartPole-v1"
    environment = unity(path.name, num_areas=3)
    assert len(environment.get_steps("CartPole-v1")[0]) == 3


def walk(environment: UnityEnvironment, behavior: str, steps: int) -> None:
    for _ in range(steps):
        agents = len(environment.get_steps(behavior)[0])
        environment.set_actions(behavior, ActionTuple(discrete=np.ones((agents, 1), np.int32)))
        environment.step()


def test_an_environment_that_raises_ends_the_player(
    players: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process ends with code 1; when the trainer is told, the reason is the last line of the log."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    path = launcher.build("gym:test_player_gymnasium:PlayerLava-v0", players)
    environment = UnityEnvironment(str(path), base_port=free_port(), timeout_wait=60, log_folder=str(tmp_path))
    environment.reset()
    process: subprocess.Popen = environment._process
    with pytest.raises(UnityCommunicatorStoppedException):
        walk(environment, "PlayerLava-v0", 5)
    last = (tmp_path / "Player-0.log").read_text(encoding="utf-8").splitlines()[-1]
    assert "gym:test_player_gymnasium:PlayerLava-v0 raised RuntimeError('the floor is lava') in step" in last
    environment.close()
    assert process.wait(60) == 1


class Spaceless(gymnasium.Env):
    """An environment whose author forgot a space."""

    observation_space = spaces.Discrete(2)


gymnasium.register("PlayerSpaceless-v0", Spaceless)


def test_environment_without_a_space_is_refused_by_name() -> None:
    """Before anything of it is played."""
    with pytest.raises(PlayerError, match=r"gym:PlayerSpaceless-v0: it has no action_space"):
        scenes.load("gym:PlayerSpaceless-v0")
