"""Messages: what the vectorised encoder writes is what ML-Agents' own classes read."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from mlagents_envs.base_env import (
    ActionSpec,
    BehaviorSpec,
    DimensionProperty,
    ObservationSpec,
    ObservationType,
)
from mlagents_envs.communicator_objects.agent_info_pb2 import AgentInfoProto
from mlagents_envs.communicator_objects.unity_message_pb2 import UnityMessageProto
from mlagents_envs.rpc_utils import behavior_spec_from_proto, steps_from_proto

from mlagents_player import vector_observation, wire
from mlagents_player.academy import AgentInfos

GOAL = ObservationSpec(
    (2, 3), (DimensionProperty.VARIABLE_SIZE, DimensionProperty.NONE), ObservationType.GOAL_SIGNAL, "goal"
)
SPEC = BehaviorSpec([vector_observation(4), GOAL], ActionSpec(1, (3, 2)))


def some_infos(agents: int, done: bool, masked: bool, grouped: bool, seed: int = 0) -> AgentInfos:
    rng = np.random.default_rng(seed)
    shapes = [spec.shape for spec in SPEC.observation_specs]
    return AgentInfos(
        ids=rng.integers(0, 2**31 - 1, agents).astype(np.int32),
        rewards=rng.normal(size=agents).astype(np.float32),
        observations=[rng.normal(size=(agents, *shape)).astype(np.float32) for shape in shapes],
        done=done,
        interrupted=rng.random(agents) < 0.5,
        masks=rng.random((agents, 5)) < 0.5 if masked else None,
        group_ids=rng.integers(0, 300, agents).astype(np.int32) if grouped else None,
        group_rewards=rng.normal(size=agents).astype(np.float32) if grouped else None,
    )


def by_generated_classes(infos: AgentInfos, row: int) -> AgentInfoProto:
    """One agent's message, written field by field."""
    proto = AgentInfoProto(reward=infos.rewards[row], id=int(infos.ids[row]), done=infos.done)
    proto.max_step_reached = infos.done and bool(infos.interrupted[row])
    if infos.masks is not None:
        proto.action_mask.extend(infos.masks[row].tolist())
    if infos.group_ids is not None and infos.group_rewards is not None:
        proto.group_id = int(infos.group_ids[row])
        proto.group_reward = infos.group_rewards[row]
    for spec, values in zip(SPEC.observation_specs, infos.observations, strict=True):
        observation = proto.observations.add(shape=spec.shape, name=spec.name)
        observation.observation_type = spec.observation_type.value
        observation.dimension_properties.extend(p.value for p in spec.dimension_property)
        observation.float_data.data.extend(values[row].ravel().tolist())
    return proto


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 5), st.booleans(), st.booleans(), st.booleans(), st.integers(0, 2**32 - 1))
def test_encode_output_equals_generated_classes(
    agents: int, done: bool, masked: bool, grouped: bool, seed: int
) -> None:
    """For any batch the parsed bytes equal messages that the generated classes build."""
    infos = some_infos(agents, done, masked, grouped, seed)
    message = UnityMessageProto.FromString(wire.encode_output({"B": [infos]}, {"B": SPEC}))
    encoded = message.unity_output.rl_output.agentInfos["B"].value
    assert list(encoded) == [by_generated_classes(infos, row) for row in range(agents)]
    assert message.header.status == 200


def test_encode_output_is_read_by_mlagents() -> None:
    """Terminals and decisions of one message arrive with their specification, masks and groups."""
    terminal, decision = some_infos(2, True, False, True), some_infos(3, False, True, True)
    message = UnityMessageProto.FromString(
        wire.encode_output({"B": [terminal, decision]}, {"B": SPEC}, introduce=["B"])
    )
    (brain,) = message.unity_output.rl_initialization_output.brain_parameters
    infos = message.unity_output.rl_output.agentInfos["B"].value
    spec = behavior_spec_from_proto(brain, infos[0])
    decisions, terminals = steps_from_proto(infos, spec)
    assert spec == SPEC
    assert np.array_equal(terminals.interrupted, terminal.interrupted)
    assert np.array_equal(decisions.obs[1], decision.observations[1])
    assert np.array_equal(np.hstack(decisions.action_mask), decision.masks)
    assert np.array_equal(decisions.group_id, decision.group_ids)


def test_encode_output_introduces_a_behavior_only_when_told() -> None:
    """Without `introduce` no brain parameters are sent."""
    message = UnityMessageProto.FromString(wire.encode_output({"B": [some_infos(1, False, False, False)]}, {"B": SPEC}))
    assert not message.unity_output.HasField("rl_initialization_output")


def test_hello_announces_the_protocol() -> None:
    """Name, version and every capability."""
    output = UnityMessageProto.FromString(wire.hello()).unity_output.rl_initialization_output
    assert output.name == "AcademySingleton"
    assert output.communication_version == "1.5.0"
    assert all(getattr(output.capabilities, field.name) for field in output.capabilities.DESCRIPTOR.fields)
