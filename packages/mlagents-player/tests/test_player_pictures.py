"""Pictures: what is compressed here is what ML-Agents decompresses."""

import numpy as np
import pytest
from mlagents_envs.base_env import ActionSpec, BehaviorSpec, DimensionProperty, ObservationSpec, ObservationType
from mlagents_envs.communicator_objects.unity_message_pb2 import UnityMessageProto
from mlagents_envs.rpc_utils import behavior_spec_from_proto, steps_from_proto

from mlagents_player import pictures, vector_observation, wire
from mlagents_player.academy import AgentInfos

CHANNELS = [1, 2, 3, 4, 7]


def visual(channels: int) -> ObservationSpec:
    still, moving = DimensionProperty.NONE, DimensionProperty.TRANSLATIONAL_EQUIVARIANCE
    return ObservationSpec((channels, 20, 30), (still, moving, moving), ObservationType.DEFAULT, "Camera")


@pytest.mark.parametrize("channels", CHANNELS)
def test_pictures_arrive_as_they_were_sent(channels: int) -> None:
    """Any number of channels, between two vectors, for every agent; the specification comes through too."""
    rng = np.random.default_rng(channels)
    spec = BehaviorSpec([vector_observation(2), visual(channels), vector_observation(3)], ActionSpec(0, (2,)))
    seen = rng.integers(0, 256, (4, channels, 20, 30), dtype=np.uint8)
    first, last = (rng.normal(size=(4, size)).astype(np.float32) for size in (2, 3))
    infos = AgentInfos(
        np.arange(4, dtype=np.int32), np.ones(4, np.float32), [first, seen, last], False, np.zeros(4, bool)
    )
    message = UnityMessageProto.FromString(wire.encode_output({"B": [infos]}, {"B": spec}, introduce=["B"]))
    (brain,) = message.unity_output.rl_initialization_output.brain_parameters
    agents = message.unity_output.rl_output.agentInfos["B"].value
    decisions, _ = steps_from_proto(agents, behavior_spec_from_proto(brain, agents[0]))
    assert behavior_spec_from_proto(brain, agents[0]) == spec
    assert decisions.obs[1] == pytest.approx(pictures.to_floats(seen), abs=1e-6)
    assert np.array_equal(decisions.obs[0], first)
    assert np.array_equal(decisions.obs[2], last)
    assert decisions.agent_id.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("channels", "mapping"), [(1, [0, 0, 0]), (3, [0, 1, 2]), (4, [0, 1, 2, 3, -1, -1]), (2, [0, 1, -1])]
)
def test_channel_mapping_is_unitys(channels: int, mapping: list[int]) -> None:
    """Grey fills a file; what is missing to three channels is marked -1."""
    assert pictures.channel_mapping(channels) == mapping
