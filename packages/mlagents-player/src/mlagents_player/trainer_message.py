"""What the trainer sends, from bytes to arrays.

The actions of all agents are read at once: their messages are equally long and laid out alike, so the bytes are a
matrix with one row an agent, from which the numbers are cut. Where they are not alike, ML-Agents' own classes read
them one by one.

Wire format: https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from google.protobuf.message import DecodeError
from mlagents_envs.communicator_objects.header_pb2 import HeaderProto
from mlagents_envs.communicator_objects.unity_rl_initialization_input_pb2 import UnityRLInitializationInputProto
from mlagents_envs.communicator_objects.unity_rl_input_pb2 import UnityRLInputProto
from numpy.typing import NDArray

from mlagents_player.scenes.base import Actions

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
CONTINUOUS, DISCRETE = 6, 7  # fields of AgentActionProto


@dataclass
class TrainerMessage:
    """A `UnityMessageProto` of the trainer's.

    Attributes:
        status: 200 if all is well.
        settings: Of the first message: seed, versions, number of areas.
        command: STEP, RESET or QUIT.
        side_channel: Messages of side channels, one after the other.
        actions: By behaviour; behaviours without any are left out.
    """

    status: int = 0
    settings: UnityRLInitializationInputProto = field(default_factory=UnityRLInitializationInputProto)
    command: int = 0
    side_channel: bytes = b""
    actions: dict[str, Actions] = field(default_factory=dict)


class Field(NamedTuple):
    """Where one field of a message lies: `data[start:end]` is its value without tag and length."""

    number: int
    kind: int
    start: int
    end: int


def read(data: bytes) -> TrainerMessage:
    """Read a message.

    Raises:
        ValueError: the bytes are no such message, or agents of one behaviour have different numbers of actions.
    """
    message = TrainerMessage()
    try:
        for number, value in _submessages(data):
            if number == 1:
                message.status = HeaderProto.FromString(value).status
            elif number == 3:
                _read_input(value, message)
    except (DecodeError, IndexError, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from error
    return message


def _read_input(data: bytes, message: TrainerMessage) -> None:
    for number, value in _submessages(data):
        if number == 1:
            _read_rl_input(value, message)
        elif number == 2:
            message.settings = UnityRLInitializationInputProto.FromString(value)


def _read_rl_input(data: bytes, message: TrainerMessage) -> None:
    for number, kind, start, end in fields(data):
        if number == 1:
            entry = dict(_submessages(data[start:end]))
            if entry.get(2):
                message.actions[entry.get(1, b"").decode()] = read_actions(entry[2])
        elif number == 4 and kind == VARINT:
            message.command, _ = varint(data, start)
        elif number == 5:
            message.side_channel = data[start:end]


def read_actions(data: bytes) -> Actions:
    """Actions from a serialized `ListAgentActionProto`.

    Raises:
        ValueError: agents have different numbers of actions.
    """
    actions = _alike(data)
    if actions is not None:
        return actions
    agents = UnityRLInputProto.ListAgentActionProto.FromString(data).value
    return Actions(
        _matrix([agent.continuous_actions for agent in agents], np.float32),
        _matrix([agent.discrete_actions for agent in agents], np.int32),
    )


def _alike(data: bytes) -> Actions | None:
    """The actions, if all entries have one layout and every discrete action fits into a byte; else None."""
    first = next(fields(data))
    if len(data) % first.end:
        return None
    records = np.frombuffer(data, np.uint8).reshape(-1, first.end)
    layout = {
        number: slice(first.start + start, first.start + end)
        for number, _, start, end in fields(data[first.start : first.end])
    }
    same = np.ones(first.end, bool)
    for part in layout.values():
        same[part] = False
    discrete = records[:, layout.get(DISCRETE, slice(0))]
    if (records[:, same] != records[0, same]).any() or (discrete > 0x7F).any():
        return None
    continuous = np.ascontiguousarray(records[:, layout.get(CONTINUOUS, slice(0))])
    return Actions(continuous.view("<f4").astype(np.float32), discrete.astype(np.int32))


def _matrix(rows: list[Sequence[float]], dtype: type) -> NDArray[Any]:
    return np.array([list(row) for row in rows], dtype).reshape(len(rows), -1)


def fields(data: bytes) -> Iterator[Field]:
    """The fields of a message in their order.

    Raises:
        IndexError: it is cut short.
        ValueError: it has a kind of field that there is not.
    """
    position = 0
    while position < len(data):
        tag, start = varint(data, position)
        kind = tag & 7
        if kind == VARINT:
            _, end = varint(data, start)
        elif kind == BYTES:
            length, start = varint(data, start)
            end = start + length
        elif kind in (FIXED32, FIXED64):
            end = start + (4 if kind == FIXED32 else 8)
        else:
            raise ValueError(f"a field of the unknown kind {kind} at byte {position}")
        if end > len(data):
            raise IndexError(f"{end - len(data)} bytes are missing")
        yield Field(tag >> 3, kind, start, end)
        position = end


def _submessages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and content of the fields that have a length."""
    return ((number, data[start:end]) for number, kind, start, end in fields(data) if kind == BYTES)


def varint(data: bytes, position: int) -> tuple[int, int]:
    """A number of seven bits a byte, lowest first, and the position after it."""
    value = shift = 0
    while data[position] & 0x80:
        value |= (data[position] & 0x7F) << shift
        position, shift = position + 1, shift + 7
    return value | data[position] << shift, position + 1
