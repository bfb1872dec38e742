"""What holds for every scene, driven by ML-Agents' own `UnityEnvironment`."""

from collections.abc import Iterator

import numpy as np
import pytest
from mlagents_envs.base_env import DecisionSteps, TerminalSteps
from mlagents_envs.environment import UnityEnvironment

from mlagents_player import scenes
from player_testing import in_editor, random_step

SCENES = scenes.names()
AGENTS = {
    "Basic": 1,
    "3DBall": 12,
    "3DBallHard": 12,
    "3DBallDiscrete": 12,
    "GridWorld": 9,
    "PushBlock": 32,
    "Hallway": 15,
    "WallJump": 24,
    "SoccerTwos": 32,
    "FoodCollector": 20,
    "Sorter": 16,
}


def one_area(name: str) -> type[scenes.Scene]:
    """The scene with a single area; ML-Agents' side of 32 agents takes most of the time."""
    scene = scenes.load(name)
    return type(scene.__name__, (scene,), {"areas": 1})


def steps_of(environment: UnityEnvironment) -> Iterator[tuple[str, DecisionSteps, TerminalSteps]]:
    for behavior in environment.behavior_specs:
        yield behavior, *environment.get_steps(behavior)


def step_all(environment: UnityEnvironment, rng: np.random.Generator) -> int:
    """Act at random on all decisions of all behaviours and step; the number of decisions."""
    *others, last = environment.behavior_specs
    return sum(random_step(environment, name, rng, step=False) for name in others) + random_step(environment, last, rng)


@pytest.mark.parametrize("name", SCENES)
def test_scene_has_the_published_number_of_agents(name: str) -> None:
    """That of Unity's scene, where it is known."""
    scene = scenes.load(name)
    assert scene.areas * scene.agents_per_area == AGENTS[name]


@pytest.mark.parametrize("name", SCENES)
def test_scene_keeps_the_protocol_for_a_thousand_steps(name: str) -> None:
    """Specifications, masks, decisions, terminals, and a reset in the middle."""
    scene = one_area(name)
    rng = np.random.default_rng(0)
    decided = ended = 0
    with in_editor(scene) as environment:
        for step in range(1000):
            if step == 300:
                environment.reset()
            for behavior, decisions, terminals in steps_of(environment):
                spec = environment.behavior_specs[behavior]
                assert spec == scene.behaviors[behavior]
                assert len(set(decisions.agent_id)) == len(decisions)
                ended += len(terminals)
                for steps in (decisions, terminals):
                    shapes = [values.shape[1:] for values in steps.obs]
                    assert shapes == [observation.shape for observation in spec.observation_specs]
                if decisions.action_mask is not None and len(decisions):
                    assert not any(branch.all(axis=1).any() for branch in decisions.action_mask)
            decided += step_all(environment, rng)
    assert decided > 900 - ended
    assert ended > 0 or scene.max_step > 1000


def trajectory(name: str, seed: int) -> list[bytes]:
    """Everything that the trainer is told in 60 steps of the same random actions."""
    rng = np.random.default_rng(0)
    told = []
    with in_editor(one_area(name), seed=seed) as environment:
        for _ in range(60):
            for _, *both in steps_of(environment):
                for steps in both:
                    told += [array.tobytes() for array in (*steps.obs, steps.reward, steps.agent_id)]
            step_all(environment, rng)
    return told


@pytest.mark.parametrize("name", SCENES)
def test_scene_is_reproduced_by_its_seed(name: str) -> None:
    """The same seed gives the same bytes, another one others; Basic knows no chance."""
    first = trajectory(name, 11)
    assert trajectory(name, 11) == first
    assert (trajectory(name, 12) == first) == (name == "Basic")
