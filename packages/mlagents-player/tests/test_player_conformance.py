"""The built players, driven by ML-Agents' own `UnityEnvironment`."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from mlagents_envs.environment import UnityEnvironment
from mlagents_envs.side_channel.engine_configuration_channel import EngineConfig, EngineConfigurationChannel
from mlagents_envs.side_channel.environment_parameters_channel import EnvironmentParametersChannel

from player_testing import free_port, random_step

Start = Callable[..., UnityEnvironment]


def trajectory(environment: UnityEnvironment, behavior: str, steps: int) -> list[bytes]:
    """Observations and rewards of a random run whose actions are always the same."""
    rng = np.random.default_rng(0)
    seen = []
    for _ in range(steps):
        decisions, terminals = environment.get_steps(behavior)
        seen += [decisions.obs[0].tobytes(), decisions.reward.tobytes(), terminals.obs[0].tobytes()]
        random_step(environment, behavior, rng)
    return seen


def test_basic_specs(unity: Start) -> None:
    """One behaviour, a one-hot vector named Basic, one branch of three, nothing masked."""
    environment = unity("Basic")
    (spec,) = environment.behavior_specs.values()
    decisions, terminals = environment.get_steps("Basic")
    assert [(o.shape, o.name) for o in spec.observation_specs] == [((20,), "Basic")]
    assert spec.action_spec.discrete_branches == (3,)
    assert (len(decisions), len(terminals)) == (1, 0)
    assert not np.any(decisions.action_mask)
    assert decisions.obs[0].argmax() == 10


def test_3dball_specs(unity: Start) -> None:
    """Twelve agents, eight numbers, two continuous actions; the first observation is that of the reset."""
    environment = unity("3DBall")
    (spec,) = environment.behavior_specs.values()
    decisions, _ = environment.get_steps("3DBall")
    assert [(o.shape, o.name) for o in spec.observation_specs] == [((8,), "VectorSensor_size8")]
    assert (spec.action_spec.continuous_size, spec.action_spec.discrete_size) == (2, 0)
    assert len(set(decisions.agent_id)) == 12
    assert (decisions.obs[0][:, 3] == 4).all()


@pytest.mark.parametrize("scene", ["Basic", "3DBall"])
def test_random_steps_keep_the_protocol(unity: Start, scene: str) -> None:
    """Over 500 random steps every agent that acts is heard of again, and both kinds of messages occur."""
    environment = unity(scene)
    rng = np.random.default_rng(3)
    alone = together = 0
    for _ in range(500):
        asked = set(environment.get_steps(scene)[0].agent_id)
        random_step(environment, scene, rng)
        decisions, terminals = environment.get_steps(scene)
        heard = set(decisions.agent_id) | set(terminals.agent_id)
        alone += len(terminals) > 0 and len(decisions) == 0
        together += len(terminals) > 0 and len(decisions) > 0
        assert asked <= heard or len(decisions) == 0
        assert not terminals.interrupted.any()
        assert (terminals.reward < -0.9).all() or scene == "Basic"
    assert alone > 0
    assert together == 0 or scene == "3DBall"


def ids_and_episodes(environment: UnityEnvironment, behavior: str, steps: int) -> tuple[int, int]:
    """How many agent ids a random run shows, and how many episodes end in it."""
    rng = np.random.default_rng(3)
    ids: set[int] = set()
    episodes = 0
    for _ in range(steps):
        random_step(environment, behavior, rng)
        decisions, terminals = environment.get_steps(behavior)
        ids |= set(decisions.agent_id)
        episodes += len(terminals)
    return len(ids), episodes


def test_basic_ids_change(unity: Start) -> None:
    """The scene reloads, so each episode's agent is a new one."""
    ids, episodes = ids_and_episodes(unity("Basic"), "Basic", 300)
    assert episodes > 5
    assert ids in (episodes, episodes + 1)


def test_3dball_ids_stay(unity: Start) -> None:
    """Platforms keep their ids through all episodes."""
    ids, episodes = ids_and_episodes(unity("3DBall"), "3DBall", 100)
    assert episodes > 5
    assert ids == 12


def test_reset_in_the_middle(unity: Start) -> None:
    """A reset shows only first decisions of new episodes, no terminal steps."""
    environment = unity("3DBall")
    rng = np.random.default_rng(1)
    for _ in range(23):
        random_step(environment, "3DBall", rng)
    environment.reset()
    decisions, terminals = environment.get_steps("3DBall")
    assert (len(decisions), len(terminals)) == (12, 0)
    assert (decisions.obs[0][:, 3] == 4).all()
    assert random_step(environment, "3DBall", rng) == 12


@pytest.mark.parametrize("scene", ["Basic", "3DBall"])
def test_seeds(unity: Start, scene: str) -> None:
    """The same seed gives the same trajectory; for 3DBall another seed gives another one."""
    runs = []
    for seed in (11, 11, 12):
        environment = unity(scene, seed=seed)
        runs.append(trajectory(environment, scene, 40))
        environment.close()
    assert runs[0] == runs[1]
    assert (runs[0] == runs[2]) == (scene == "Basic")


def test_num_areas(unity: Start) -> None:
    """Two areas are two copies of the scene; a `--num-areas` of the player itself comes first."""
    copies = unity("3DBall", num_areas=2)
    assert len(copies.get_steps("3DBall")[0]) == 24
    own = unity("Basic", additional_args=["--num-areas", "3", "--unknown", "7"])
    assert len(own.get_steps("Basic")[0]) == 3


def test_parameters_and_engine_settings(unity: Start) -> None:
    """Gravity acts from the next decision: 0.1 s at 20 m/s² is 2 m/s. Engine settings change nothing."""
    given, engine = EnvironmentParametersChannel(), EngineConfigurationChannel()
    engine.set_configuration(EngineConfig.default_config())
    environment = unity("3DBall", side_channels=[given, engine])
    given.set_float_parameter("gravity", 20.0)
    environment.step()
    assert environment.get_steps("3DBall")[0].obs[0][:, 6] == pytest.approx(np.full(12, -2.0))


def test_parameters_before_the_first_reset(unity: Start) -> None:
    """What is set before the first reset holds in the first episode: balls four times as large."""
    given = EnvironmentParametersChannel()
    given.set_float_parameter("scale", 4.0)
    environment = unity("3DBall", side_channels=[given])
    for _ in range(4):
        environment.step()
    positions = environment.get_steps("3DBall")[0].obs[0][:, 2:5]
    # A ball of radius 2 cannot come closer to the platform's centre than about 2.5 + 2.
    assert (np.linalg.norm(positions, axis=1) > 4.4).all()


def test_close_ends_the_process(unity: Start, tmp_path: Path) -> None:
    """After close the player has ended with code 0 and its log says why."""
    environment = unity("Basic")
    process = environment._process
    environment.close()
    assert process.wait(timeout=60) == 0
    assert "Ended: the " in (tmp_path / "Player-0.log").read_text(encoding="utf-8")


def test_four_environments_at_once(unity: Start) -> None:
    """Four players beside one another, as with `--num-envs 4`, each on its own port."""
    base_port = free_port()
    with ThreadPoolExecutor(4) as pool:
        environments = list(pool.map(lambda k: unity("Basic", base_port=base_port, worker_id=k), range(4)))
    for environment in environments:
        environment.step()  # with the empty action, which is to stay
        assert environment.get_steps("Basic")[0].reward == pytest.approx(-0.01)
