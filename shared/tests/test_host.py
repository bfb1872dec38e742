"""What is mended in ML-Agents' own code."""

import multiprocessing
import pickle
import queue
import threading
from types import SimpleNamespace

import pytest
from mlagents.trainers import subprocess_env_manager
from mlagents_envs.base_env import ActionSpec, BehaviorSpec, DimensionProperty, ObservationSpec, ObservationType
from mlagents_envs.communicator_objects.agent_info_pb2 import AgentInfoProto
from mlagents_envs.communicator_objects.unity_rl_output_pb2 import UnityRLOutputProto
from mlagents_envs.environment import UnityEnvironment
from mlagents_envs.exception import UnityObservationException

from mlagents_plugin_shared.host import messages

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


def receive(output: UnityRLOutputProto) -> dict:
    """The steps that ML-Agents makes of a message."""
    specs = {name: BehaviorSpec(SENSORS, ActionSpec.create_continuous(1)) for name in ("Hare", "Hound")}
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
    with pytest.raises(RuntimeError, match=line):
        receive(output)


def test_observation_of_another_size_is_named() -> None:
    """With the sensor's name, and both sizes."""
    with pytest.raises(UnityObservationException, match=r"Hound: sensor Speed of agent 1 has the shape \(2,\).*\(3,\)"):
        receive(message(AgentInfoProto(), (0.0, 0.0)))


def test_sound_message_passes() -> None:
    """Nothing is changed in it."""
    decisions, terminals = receive(message(AgentInfoProto(reward=0.5), (1.0, 2.0, 3.0)))["Hound"]
    assert decisions.reward.tolist() == [0.0, 0.5]
    assert decisions.obs[1][1].tolist() == [1.0, 2.0, 3.0]
    assert len(terminals) == 0


def test_workers_import_what_is_mended() -> None:
    """Where a new process starts empty, the name of its function brings what is mended with it."""
    assert f"{messages.__name__}\n".encode() in pickle.dumps(subprocess_env_manager.worker, protocol=0)


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
    worker = context.Process(target=answers.put, args=("hello",))
    worker.start()
    assert answers.get(timeout=60) == "hello"
    worker.join()
