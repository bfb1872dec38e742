"""What is mended in ML-Agents' own code."""

import multiprocessing
import pickle
import queue
import sys
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest
from mlagents.trainers import subprocess_env_manager
from mlagents.trainers.env_manager import EnvManager
from mlagents.trainers.subprocess_env_manager import EnvironmentCommand, EnvironmentResponse, SubprocessEnvManager
from mlagents_envs.base_env import ActionSpec, BehaviorSpec, DimensionProperty, ObservationSpec, ObservationType
from mlagents_envs.communicator_objects.agent_info_pb2 import AgentInfoProto
from mlagents_envs.communicator_objects.unity_rl_output_pb2 import UnityRLOutputProto
from mlagents_envs.environment import UnityEnvironment
from mlagents_envs.exception import UnityObservationException

from mlagents_plugin_shared.run.host import restarts, worker

SENSORS = [
    ObservationSpec((size,), (DimensionProperty.NONE,), ObservationType.DEFAULT, name)
    for size, name in ((2, "Rays"), (3, "Speed"))
]


def message(agent: AgentInfoProto, speed: tuple[float, ...] = (0.0, 0.0, 0.0)) -> UnityRLOutputProto:
    """What a player sends of two behaviours; the second agent of the second one is the one that is given."""
    output = UnityRLOutputProto()
    for behavior in ("Hare", "Hound"):
        for number in range(2):
            info = output.agentInfos[behavior].value.add(id=number)
            for values in ((0.0, 0.0), (0.0, 0.0, 0.0)):
                info.observations.add(shape=(len(values),)).float_data.data.extend(values)
    info = output.agentInfos["Hound"].value[1]
    info.MergeFrom(agent)
    del info.observations[1]
    info.observations.add(shape=(len(speed),)).float_data.data.extend(speed)
    return output


def receive(output: UnityRLOutputProto, sensors: list[ObservationSpec] = SENSORS) -> dict:
    """The steps that ML-Agents makes of a message."""
    specs = {name: BehaviorSpec(sensors, ActionSpec.create_continuous(1)) for name in ("Hare", "Hound")}
    channels = SimpleNamespace(process_side_channel_message=lambda _: None)
    environment = SimpleNamespace(_env_specs=specs, _env_state={}, _side_channel_manager=channels)
    UnityEnvironment._update_state(environment, output)
    return environment._env_state


NAN, INFINITY = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("output", "line"),
    [
        (message(AgentInfoProto(), (0.0, NAN, 0.0)), r"Hound: sensor Speed of agent 1 is nan\. Look for"),
        (message(AgentInfoProto(), (0.0, 0.0, -INFINITY)), r"Hound: sensor Speed of agent 1 is -inf\. Look for"),
        (message(AgentInfoProto(reward=INFINITY)), r"Hound: the reward of agent 1 is inf\. Look for"),
        (message(AgentInfoProto(group_reward=NAN)), r"Hound: the group reward of agent 1 is nan\. Look for"),
    ],
)
def test_number_that_is_none_is_named(output: UnityRLOutputProto, line: str) -> None:
    """ML-Agents would say that the observations provided had NaN values."""
    with pytest.raises(UnityObservationException, match=line):
        receive(output)


@pytest.mark.parametrize("number", [NAN, -INFINITY, 3e38])
def test_number_in_a_picture_that_is_none_is_named(number: float) -> None:
    """ML-Agents would say in the next step that an action is NaN; numbers that are large, the control, pass."""
    properties = (DimensionProperty.NONE, *[DimensionProperty.TRANSLATIONAL_EQUIVARIANCE] * 2)
    sensor = ObservationSpec((1, 2, 2), properties, ObservationType.DEFAULT, "Camera")
    output = UnityRLOutputProto()
    for agent in range(2):
        seen = output.agentInfos["Hound"].value.add(id=agent).observations.add(shape=(1, 2, 2))
        seen.float_data.data.extend([0.0, 1.0, number, number] if agent else [0.0] * 4)
    if number == 3e38:
        assert len(receive(output, [sensor])["Hound"][0]) == 2
        return
    with pytest.raises(UnityObservationException, match=rf"Hound: sensor Camera of agent 1 is {number}\. Look for"):
        receive(output, [sensor])


def test_observation_of_another_size_is_named() -> None:
    """With the sensor's name, and both sizes."""
    with pytest.raises(UnityObservationException, match=r"Hound: sensor Speed of agent 1 has the shape \(2,\).*\(3,\)"):
        receive(message(AgentInfoProto(), (0.0, 0.0)))


def with_sensors(count: int, speed: tuple[float, ...]) -> UnityRLOutputProto:
    """A message whose last agent has so many sensors, and these numbers of the second one."""
    output = message(AgentInfoProto(), speed)
    info = output.agentInfos["Hound"].value[1]
    while len(info.observations) > count:
        del info.observations[-1]
    while len(info.observations) < count:
        info.observations.add(shape=(1,)).float_data.data.extend([0.0])
    return output


@pytest.mark.parametrize(
    ("count", "speed"), [(0, (0.0, 0.0, 0.0)), (1, (0.0, 0.0, 0.0)), (3, (0.0, NAN, 0.0)), (3, ())]
)
def test_sensors_too_many_or_too_few_are_named(count: int, speed: tuple[float, ...]) -> None:
    """The numbers of them, and which there were, whatever else is wrong: no index and no zip of ours."""
    line = rf"Hound: agent 1 sends {count} observations, where it had 2 when the run began \(Rays, Speed\)"
    with pytest.raises(UnityObservationException, match=line):
        receive(with_sensors(count, speed))


def spec(*sizes: int, actions: ActionSpec | None = None) -> BehaviorSpec:
    """A behaviour with vectors of these sizes."""
    sensors = [ObservationSpec((size,), (DimensionProperty.NONE,), ObservationType.DEFAULT, "v") for size in sizes]
    return BehaviorSpec(sensors, actions or ActionSpec.create_discrete((2, 3)))


class Restarted(SubprocessEnvManager):
    """A manager whose one worker has just been started again, with other specifications perhaps."""

    def __init__(self, found: dict[str, BehaviorSpec]) -> None:
        EnvManager.__init__(self)
        answer = EnvironmentResponse(EnvironmentCommand.BEHAVIOR_SPECS, 0, found)
        self.env_workers = [SimpleNamespace(send=lambda command: None, recv=lambda: answer)]
        self.policies = {"Hare": SimpleNamespace(behavior_spec=spec(2, 4))}


@pytest.mark.parametrize(
    ("found", "line"),
    [
        (spec(2), r"with sensors of shape \(2,\), where the run began with sensors of shape \(2,\), \(4,\)\."),
        (spec(2, 4, 1), r"with sensors of shape \(2,\), \(4,\), \(1,\), where"),
        (spec(2, 5), r"with sensors of shape \(2,\), \(5,\), where"),
        (spec(), r"with sensors of shape none, where"),
        (spec(2, 4, actions=ActionSpec.create_continuous(1)), r"with 1 continuous actions and discrete branches \[\]"),
        (spec(2, 4, actions=ActionSpec.create_discrete((2, 4))), r"with .* branches \[2, 4\], where .* \[2, 3\]\."),
    ],
)
def test_player_that_comes_back_as_another_is_refused(monkeypatch: pytest.MonkeyPatch, found, line: str) -> None:
    """Behaviour, what it has now and what it had are named before a network is given it."""
    monkeypatch.setattr(restarts, "_restart_failed_workers", lambda manager, failure: None)
    with pytest.raises(UnityObservationException, match=rf"^Hare: the environment was started again {line}"):
        Restarted({"Hare": found})._restart_failed_workers(None)
    Restarted({"Hare": spec(2, 4), "Hound": found})._restart_failed_workers(None)  # a behaviour that is new may come


def test_sound_message_passes() -> None:
    """Nothing is changed in it."""
    decisions, terminals = receive(message(AgentInfoProto(reward=0.5), (1.0, 2.0, 3.0)))["Hound"]
    assert decisions.reward.tolist() == [0.0, 0.5]
    assert decisions.obs[1][1].tolist() == [1.0, 2.0, 3.0]
    assert len(terminals) == 0


def test_workers_import_what_is_mended() -> None:
    """Where a new process starts empty, the name of its function brings what is mended with it."""
    assert f"{worker.__name__}\n".encode() in pickle.dumps(subprocess_env_manager.worker, protocol=0)


def test_queue_of_answers_is_emptied_and_then_waited_for() -> None:
    """What ML-Agents calls in a loop sleeps until there is an answer, but not while it collects those of others."""
    answers = subprocess_env_manager.Queue()
    threading.Timer(0.02, answers.put, ["late"]).start()
    assert answers.get_nowait() == "late"  # multiprocessing's own would raise Empty
    with pytest.raises(queue.Empty):  # at once: there may be more work
        answers.get_nowait()
    with pytest.raises(queue.Empty):  # after a while: whoever waits has to look at the clock now and then
        answers.get_nowait()


def test_queue_of_answers_reaches_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that starts empty is given it, as on Windows."""
    context = multiprocessing.get_context("spawn")
    monkeypatch.setattr(multiprocessing, "get_context", lambda: context)
    answers = subprocess_env_manager.Queue()
    process = context.Process(target=answers.put, args=("hello",))
    process.start()
    assert answers.get(timeout=60) == "hello"
    process.join()


@pytest.mark.skipif(sys.platform == "win32", reason="a pipe needs no lock there")
def test_queue_of_answers_is_freed_of_a_killed_writer() -> None:
    """A process that is killed while it writes keeps the lock, and no other could ever write again."""
    answers = subprocess_env_manager.Queue()
    holder = multiprocessing.get_context("fork").Process(target=_hold_for_ever, args=(answers,))
    holder.start()
    while answers._wlock.acquire(block=False):
        answers._wlock.release()
    holder.kill()
    worker._speak_for(holder, 3, answers)
    said = [answers.get(timeout=20) for _ in range(2)]
    assert [each.cmd.name for each in said] == ["ENV_EXITED", "CLOSED"]
    assert {each.worker_id for each in said} == {3}


def _hold_for_ever(answers: Any) -> None:
    answers._wlock.acquire()
    time.sleep(600)
