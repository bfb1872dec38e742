"""Messages of the ML-Agents protocol, from arrays to bytes.

Most of a message is the same for every agent: tags, lengths, shapes, names. So the infos of all agents are
written at once: a NumPy record with one field for each constant and each slot is laid out as the wire
format wants it, filled by array assignment and turned into bytes. On Python 3.11, where ML-Agents' protobuf
is pure Python, this is many times faster than the generated classes. Only pictures, whose compressed sizes
differ, are put together agent by agent.

Wire format: https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from mlagents_envs.base_env import ActionSpec, BehaviorSpec, ObservationSpec
from mlagents_envs.communicator_objects.brain_parameters_pb2 import BrainParametersProto
from mlagents_envs.communicator_objects.capabilities_pb2 import UnityRLCapabilitiesProto
from mlagents_envs.communicator_objects.observation_pb2 import PNG, ObservationProto
from mlagents_envs.communicator_objects.unity_message_pb2 import UnityMessageProto
from numpy.typing import NDArray

from mlagents_player import pictures
from mlagents_player.academy import AgentInfos

COMMUNICATION_VERSION = "1.5.0"
PACKAGE_VERSION = "2.3.0-exp.1"  # the Unity package whose behaviour is reproduced
OK, CLOSED = 200, 400

VARINT, BYTES, FIXED32 = 0, 2, 5
PADDED_VARINT = 5  # bytes; an id takes as many whatever its value, so that every record has one size
PADDING = np.array([0x80] * (PADDED_VARINT - 1) + [0])


def hello() -> bytes:
    """The first message: who plays and what it can do."""
    message = UnityMessageProto()
    message.header.status = OK
    output = message.unity_output.rl_initialization_output
    output.name = "AcademySingleton"
    output.communication_version = COMMUNICATION_VERSION
    output.package_version = PACKAGE_VERSION
    output.capabilities.CopyFrom(
        UnityRLCapabilitiesProto(**{field.name: True for field in UnityRLCapabilitiesProto.DESCRIPTOR.fields})
    )
    return bytes(message.SerializeToString())


def status(code: int, text: str = "") -> bytes:
    """A message with no payload: 200 asks for what comes next, 400 says goodbye."""
    message = UnityMessageProto()
    message.header.status = code
    message.header.message = text
    return bytes(message.SerializeToString())


def encode_output(
    infos: Mapping[str, list[AgentInfos]],
    specs: Mapping[str, BehaviorSpec],
    introduce: Iterable[str] = (),
    side_channel: bytes = b"",
) -> bytes:
    """The message of one exchange.

    Args:
        infos: Behaviour name to its infos, terminal steps before decision steps.
        specs: Specification of each behaviour.
        introduce: Behaviours that the trainer meets in this message for the first time.
        side_channel: Messages of side channels, one after the other.

    Returns:
        A serialized `UnityMessageProto`.
    """
    lists = (
        _field(2, _field(1, name.encode()) + _field(2, encode_infos(batches, specs[name].observation_specs)))
        for name, batches in infos.items()
    )
    brains = (_field(5, brain_parameters(name, specs[name].action_spec)) for name in introduce)
    introduction = b"".join(brains)
    channel = _field(3, side_channel) if side_channel else b""
    output = _field(1, b"".join(lists) + channel) + (_field(2, introduction) if introduction else b"")
    return status(OK) + _field(2, output)


def encode_infos(batches: Iterable[AgentInfos], observations: Sequence[ObservationSpec]) -> bytes:
    """A serialized `ListAgentInfoProto` with the agents of all batches in order."""
    return b"".join(_encode_batch(batch, tuple(observations)) for batch in batches)


def brain_parameters(name: str, actions: ActionSpec) -> bytes:
    """A serialized `BrainParametersProto`."""
    proto = BrainParametersProto(brain_name=name, is_training=True)
    proto.action_spec.num_continuous_actions = actions.continuous_size
    proto.action_spec.num_discrete_actions = actions.discrete_size
    proto.action_spec.discrete_branch_sizes.extend(actions.discrete_branches)
    return bytes(proto.SerializeToString())


def _encode_batch(infos: AgentInfos, observations: tuple[ObservationSpec, ...]) -> bytes:
    masks = 0 if infos.masks is None else infos.masks.shape[1]
    header = (infos.done, masks, infos.group_ids is not None)
    slots = _slots(infos)
    if not any(values.dtype == np.uint8 for values in infos.observations):
        return _fill(_entry(observations, *header), slots, len(infos.ids)).tobytes()
    columns = [_pieces(_fill(_header(*header), slots, len(infos.ids)))]
    for index, (spec, values) in enumerate(zip(observations, infos.observations, strict=True)):
        if values.dtype == np.uint8:
            columns.append([_picture(spec, picture) for picture in values])
        else:
            columns.append(_pieces(_fill(_observation(index, spec), slots, len(infos.ids))))
    return b"".join(_field(1, b"".join(agent)) for agent in zip(*columns, strict=True))


def _slots(infos: AgentInfos) -> dict[str, NDArray[Any]]:
    """What to write into the slots of a record, one row an agent."""
    slots: dict[str, NDArray[Any]] = {
        f"observation_{index}": values.reshape(len(values), -1) for index, values in enumerate(infos.observations)
    }
    slots |= {
        "reward": infos.rewards[:, None],
        "id": _padded_varints(infos.ids),
        "interrupted": infos.interrupted[:, None],
    }
    if infos.masks is not None:
        slots["mask"] = infos.masks
    if infos.group_ids is not None and infos.group_rewards is not None:
        slots |= {"group_id": _padded_varints(infos.group_ids), "group_reward": infos.group_rewards[:, None]}
    return slots


def _fill(template: NDArray[np.void], slots: Mapping[str, NDArray[Any]], agents: int) -> NDArray[np.void]:
    """[agents] copies of a template with their slots filled."""
    records = np.repeat(template, agents)
    for name in slots.keys() & set(template.dtype.names or ()):
        records[name] = slots[name]
    return records


def _pieces(records: NDArray[np.void]) -> list[bytes]:
    return [record.tobytes() for record in records]


Part = bytes | tuple[str, str, int]
"""Constant bytes, or a slot: its name, its NumPy type and how many values it takes."""


@cache
def _entry(observations: tuple[ObservationSpec, ...], done: bool, masks: int, grouped: bool) -> NDArray[np.void]:
    """A whole entry of `ListAgentInfoProto`, with its tag and length."""
    parts = list(_header_parts(done, masks, grouped))
    for index, spec in enumerate(observations):
        parts += _observation_parts(index, spec)
    length = sum(len(part) if isinstance(part, bytes) else np.dtype(part[1]).itemsize * part[2] for part in parts)
    return _template([_tag(1, BYTES) + _varint(length), *parts])


@cache
def _header(done: bool, masks: int, grouped: bool) -> NDArray[np.void]:
    """An entry's content without its observations."""
    return _template(list(_header_parts(done, masks, grouped)))


@cache
def _observation(index: int, spec: ObservationSpec) -> NDArray[np.void]:
    """One observation of an entry."""
    return _template(list(_observation_parts(index, spec)))


def _template(parts: Sequence[Part]) -> NDArray[np.void]:
    """[1] of a packed record type with these parts, whose slots are still 0."""
    names = [f"constant_{k}" if isinstance(part, bytes) else part[0] for k, part in enumerate(parts)]
    kinds = [("u1", len(part)) if isinstance(part, bytes) else part[1:] for part in parts]
    template = np.zeros(1, np.dtype([(name, kind, (count,)) for name, (kind, count) in zip(names, kinds, strict=True)]))
    for name, part in zip(names, parts, strict=True):
        if isinstance(part, bytes):
            template[name] = np.frombuffer(part, np.uint8)
    return template


def _header_parts(done: bool, masks: int, grouped: bool) -> Iterator[Part]:
    yield from (_tag(7, FIXED32), ("reward", "<f4", 1))
    if done:
        yield from (_tag(8, VARINT) + b"\x01" + _tag(9, VARINT), ("interrupted", "u1", 1))
    yield from (_tag(10, VARINT), ("id", "u1", PADDED_VARINT))
    if masks:
        yield from (_tag(11, BYTES) + _varint(masks), ("mask", "u1", masks))
    if grouped:
        yield from (_tag(14, VARINT), ("group_id", "u1", PADDED_VARINT), _tag(15, FIXED32))
        yield ("group_reward", "<f4", 1)


def _observation_parts(index: int, spec: ObservationSpec) -> Iterator[Part]:
    described = _described(spec).SerializeToString()
    size = math.prod(spec.shape)
    floats = _tag(1, BYTES) + _varint(4 * size)
    data = _tag(4, BYTES) + _varint(len(floats) + 4 * size) + floats
    yield _tag(13, BYTES) + _varint(len(described) + len(data) + 4 * size) + described + data
    yield (f"observation_{index}", "<f4", size)


def _picture(spec: ObservationSpec, picture: pictures.Picture) -> bytes:
    """One agent's visual observation, compressed."""
    return _field(13, _described_picture(spec) + _field(3, pictures.compress(picture)))


@cache
def _described_picture(spec: ObservationSpec) -> bytes:
    proto = _described(spec)
    proto.compression_type = PNG
    proto.compressed_channel_mapping.extend(pictures.channel_mapping(spec.shape[0]))
    return bytes(proto.SerializeToString())


def _described(spec: ObservationSpec) -> ObservationProto:
    return ObservationProto(
        shape=spec.shape,
        dimension_properties=[p.value for p in spec.dimension_property],
        observation_type=spec.observation_type.value,
        name=spec.name,
    )


def _padded_varints(values: NDArray[np.int32]) -> NDArray[np.uint8]:
    """[n] non-negative integers as [n, 5] bytes: seven bits a byte, lowest first, all but the last marked."""
    shifts = 7 * np.arange(PADDED_VARINT)
    return ((values.astype(np.int64)[:, None] >> shifts) & 0x7F | PADDING).astype(np.uint8)


def delimited(content: bytes) -> bytes:
    """A message behind its length."""
    return _varint(len(content)) + content


def _field(number: int, content: bytes) -> bytes:
    return _tag(number, BYTES) + delimited(content)


def _tag(number: int, wire_type: int) -> bytes:
    return _varint(number << 3 | wire_type)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
