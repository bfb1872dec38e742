"""The engine loop and the public base class, with a scene of one's own."""

from typing import Any, ClassVar

import numpy as np
import pytest
from mlagents_envs.communicator_objects.unity_message_pb2 import UnityMessageProto
from numpy.typing import NDArray

from mlagents_player import Actions, ActionSpec, BehaviorSpec, Rows, Scene, vector_observation, wire
from mlagents_player.academy import Academy, Decide, Reply
from mlagents_player.errors import PlayerError, SceneError
from mlagents_player.parameters import EnvironmentParameters
from player_testing import Infos


class Relay(Scene):
    """Runners and jumpers in groups: two behaviours with masks, decisions every third step, episodes of 7."""

    behaviors: ClassVar = {
        "Runner": BehaviorSpec([vector_observation(1)], ActionSpec(2, ())),
        "Jumper": BehaviorSpec([vector_observation(2, "Legs")], ActionSpec(1, (2, 3))),
    }
    agents_per_area = 2
    decision_period = 3
    max_step = 7

    def __init__(self, num_areas: int, rng: np.random.Generator, parameters: EnvironmentParameters) -> None:
        super().__init__(num_areas, rng, parameters)
        self.group_ids[:] = 1 + np.arange(self.num_agents) // 2
        self.steps = np.zeros(self.num_agents)
        self.acted: list[tuple[list[int], Actions]] = []

    def reset(self, agents: Rows) -> None:
        self.steps[agents] = 0
        self.behavior_index[agents] = agents % 2

    def observe(self, behavior: str, agents: Rows) -> list[NDArray[Any]]:
        width = 1 if behavior == "Runner" else 2
        return [np.repeat(self.steps[agents, None], width, axis=1).astype(np.float32)]

    def action_mask(self, behavior: str, agents: Rows) -> NDArray[np.bool_] | None:
        return np.tile([False, True, False, False, True], (len(agents), 1)) if behavior == "Jumper" else None

    def act(self, agents: Rows, actions: Actions) -> None:
        self.acted.append((agents.tolist(), actions))
        self.steps[agents] += 1
        self.add_reward(agents, 0.5)

    def simulate(self) -> None:
        self.group_rewards += 1


class Trainer:
    """Answers every decision with ones and keeps what it was told."""

    def __init__(self) -> None:
        self.messages: list[Infos] = []

    def __call__(self, infos: Infos) -> Reply:
        self.messages.append({name: list(batches) for name, batches in infos.items()})
        actions = {}
        for name, batches in infos.items():
            spec = Relay.behaviors[name].action_spec
            for batch in (batch for batch in batches if not batch.done):
                agents = len(batch.ids)
                actions[name] = Actions(
                    np.ones((agents, spec.continuous_size), np.float32),
                    np.ones((agents, spec.discrete_size), np.int32),
                )
        return Reply(actions)


@pytest.fixture
def relay() -> tuple[Relay, Trainer, Academy]:
    scene, trainer = Relay(2, np.random.default_rng(0), EnvironmentParameters()), Trainer()
    return scene, trainer, Academy(scene)


def steps(academy: Academy, decide: Decide, count: int) -> None:
    for _ in range(count):
        academy.step(decide)


def test_academy_asks_every_behavior_in_its_period(relay: tuple[Relay, Trainer, Academy]) -> None:
    """Decisions at steps 0, 3 and 6, each behaviour with its own agents and masks."""
    _, trainer, academy = relay
    steps(academy, trainer, 7)
    assert len(trainer.messages) == 3
    assert trainer.messages[0]["Runner"][0].ids.tolist() == [0, 2]
    assert trainer.messages[0]["Jumper"][0].ids.tolist() == [1, 3]
    assert trainer.messages[0]["Runner"][0].masks is None
    assert trainer.messages[0]["Jumper"][0].masks.tolist() == [[False, True, False, False, True]] * 2


def test_academy_adds_rewards_within_the_window(relay: tuple[Relay, Trainer, Academy]) -> None:
    """AddReward sums over a decision (3 x 0.5), then starts anew; so do group rewards."""
    _, trainer, academy = relay
    steps(academy, trainer, 7)
    assert [message["Runner"][0].rewards[0] for message in trainer.messages] == [0, 1.5, 1.5]
    assert [message["Runner"][0].group_rewards[0] for message in trainer.messages] == [0, 3, 3]
    assert trainer.messages[0]["Runner"][0].group_ids.tolist() == [1, 2]


def test_academy_repeats_actions_of_each_width(relay: tuple[Relay, Trainer, Academy]) -> None:
    """Actions of both behaviours stand in one array as wide as the wider, padded with 0, until the next."""
    scene, trainer, academy = relay
    steps(academy, trainer, 3)
    for agents, actions in scene.acted:
        assert agents == [0, 1, 2, 3]
        assert actions.continuous.tolist() == [[1, 1], [1, 0]] * 2
        assert actions.discrete.tolist() == [[0, 0], [1, 1]] * 2


def test_academy_interrupts_at_max_step_between_decisions(relay: tuple[Relay, Trainer, Academy]) -> None:
    """After 7 steps a terminal-only message follows at once, then zero actions until step 9."""
    scene, trainer, academy = relay
    steps(academy, trainer, 9)
    message = trainer.messages[3]
    assert [batch.done for batches in message.values() for batch in batches] == [True, True]
    assert all(batch.interrupted.all() for batches in message.values() for batch in batches)
    assert message["Runner"][0].observations[0].tolist() == [[7], [7]]
    assert not scene.acted[8][1].continuous.any()
    steps(academy, trainer, 1)
    assert [batch.done for batch in trainer.messages[4]["Runner"]] == [False]


def test_academy_messages_encode(relay: tuple[Relay, Trainer, Academy]) -> None:
    """Both behaviours of a message are read back by the generated classes."""
    scene, trainer, academy = relay
    steps(academy, trainer, 1)
    encoded = wire.encode_output(trainer.messages[0], scene.behaviors, scene.behaviors)
    output = UnityMessageProto.FromString(encoded).unity_output
    assert set(output.rl_output.agentInfos) == {"Runner", "Jumper"}
    assert [b.brain_name for b in output.rl_initialization_output.brain_parameters] == ["Runner", "Jumper"]
    assert list(output.rl_output.agentInfos["Jumper"].value[1].observations[0].shape) == [2]


def test_academy_refuses_actions_for_the_wrong_number_of_agents() -> None:
    """One row too few is an error that names the behaviour and both shapes."""
    scene = Relay(2, np.random.default_rng(0), EnvironmentParameters())
    short = Reply({"Runner": Actions(np.zeros((1, 2), np.float32), np.zeros((1, 0), np.int32))})
    with pytest.raises(PlayerError, match=r"'Runner': continuous \(1, 2\).*expected \(2, 2\)"):
        Academy(scene).step(lambda infos: short)


@pytest.mark.parametrize(
    ("observation", "says"),
    [
        (np.zeros((1, 2), np.float32), r"shape \[\(1, 2\)\]; it specifies \[\(1, 1\)\]"),
        (np.float32([[np.nan]]), "NaN or infinite"),
        (np.float32([[np.inf]]), "NaN or infinite"),
        (np.array([[1e300]]), "too large for a float32"),
        (np.array([[200]], np.uint8), r"bytes \(uint8\)"),
    ],
)
def test_academy_refuses_what_mlagents_cannot_read(
    monkeypatch: pytest.MonkeyPatch, observation: NDArray[np.float32], says: str
) -> None:
    """A scene's wrong shape or number is found here, by the behaviour's name, and not in the trainer."""
    monkeypatch.setattr(Relay, "observe", lambda *_: [observation])
    academy = Academy(Relay(1, np.random.default_rng(0), EnvironmentParameters()))
    with pytest.raises(PlayerError, match=f"Behaviour 'Runner' gave .*{says}"):
        academy.step(lambda infos: Reply())


@pytest.mark.parametrize("kind", ["rewards", "group_rewards"])
def test_academy_refuses_rewards_that_are_no_numbers(kind: str) -> None:
    """An agent's own reward, and that of its group."""

    class Poisoned(Relay):
        def simulate(self) -> None:
            getattr(self, kind)[:] = np.nan

    with pytest.raises(PlayerError, match=r"Behaviour 'Runner' gave .* reward that is NaN"):
        run_steps(Poisoned, 4)


@pytest.mark.parametrize("mask", [np.zeros((1, 4), bool), np.zeros(5, bool), [[False] * 5]])
def test_academy_refuses_a_mask_of_another_shape(mask: Any) -> None:
    """One value is wanted for each action of each branch, here 2 + 3."""
    scene_type = type("Masked", (Relay,), {"action_mask": lambda self, behavior, agents: mask})
    scene_type.behaviors = {"Jumper": Relay.behaviors["Jumper"]}
    scene_type.agents_per_area, scene_type.reset = 1, lambda self, agents: None
    scene_type.observe = lambda self, behavior, agents: [np.zeros((len(agents), 2), np.float32)]
    with pytest.raises(PlayerError, match=r"Behaviour 'Jumper' gave an action mask of shape .*; .* want \(1, 5\)"):
        run_steps(scene_type)


class Doors(Relay):
    """Two of Relay's agents, of which the first can be sent out and called back."""

    def switch(self, inside: bool) -> None:
        self.active[0] = inside


def test_academy_lets_agents_come_and_go() -> None:
    """Who leaves gets a terminal step and is not asked again; who comes back begins an episode under a new id."""
    told: list[Infos] = []

    def decide(infos: Infos) -> Reply:
        told.append(infos)
        return Reply()

    scene = Doors(1, np.random.default_rng(0), EnvironmentParameters())
    academy = Academy(scene)
    steps(academy, decide, 2)
    scene.switch(False)
    steps(academy, decide, 2)
    (terminal,) = told[-1]["Runner"]
    assert (terminal.done, terminal.ids.tolist(), terminal.interrupted.tolist()) == (True, [0], [False])
    told.clear()
    steps(academy, decide, 6)
    assert all("Runner" not in infos for infos in told)
    scene.switch(True)
    steps(academy, decide, 4)
    (decision,) = told[-1]["Runner"]
    assert (decision.done, decision.ids.tolist()) == (False, [2])


@pytest.mark.parametrize("method", ["reset", "observe", "act", "simulate", "action_mask", "decisions_due"])
def test_a_scene_that_raises_is_one_line(method: str) -> None:
    """Scene, method, error and place; the error itself is the cause, for whoever wants the traceback."""

    def fail(self: Scene, *arguments: object) -> None:
        raise KeyError("no such\ngoal")

    scene_type = type("Broken", (Relay,), {method: fail})
    with pytest.raises(
        SceneError, match=rf"Scene Broken raised KeyError\(.*\) in {method} \(test_player_academy.py, line"
    ):
        run_steps(scene_type)


@pytest.mark.parametrize("observed", [None, [None], [[1.0]], [np.array([["a"]])], [np.zeros((1, 1), complex)]])
def test_observations_that_are_no_arrays_are_refused(observed: Any) -> None:
    """What is returned must be a list of arrays of numbers."""
    scene_type = type("Odd", (Relay,), {"observe": lambda self, behavior, agents: observed})
    with pytest.raises(PlayerError, match="not a list of arrays of numbers"):
        run_steps(scene_type)


def run_steps(scene_type: type[Scene], count: int = 3) -> None:
    academy = Academy(scene_type(1, np.random.default_rng(0), EnvironmentParameters()))
    for _ in range(count):
        academy.step(lambda infos: Reply())
