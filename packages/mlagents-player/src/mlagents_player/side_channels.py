"""Side channels that the trainer writes: engine configuration and environment parameters.

Each message is 16 bytes of channel id (little-endian UUID), an int32 length and that many bytes.
A message that cannot be read is logged and left out; an unknown channel is ignored, as in Unity.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import UUID

import numpy as np

from mlagents_player import parameters
from mlagents_player.parameters import EnvironmentParameters, Sampler

log = logging.getLogger(__name__)

ENGINE_CONFIGURATION = UUID("e951342c-4f7e-11ea-b238-784f4387d1f7")
ENVIRONMENT_PARAMETERS = UUID("534c891e-810f-11ea-a9d0-822485860400")
TRAINING_ANALYTICS = UUID("b664a4a9-d86f-5a5f-95cb-e8353a7e8356")
STATISTICS = UUID("a1d8f7b7-cec8-50f9-b78b-d3e165a78520")
ENGINE_SETTINGS = ("resolution", "quality level", "time scale", "target frame rate", "capture frame rate")


def split_messages(data: bytes) -> Iterator[tuple[UUID, bytes]]:
    """Take a side-channel field apart into (channel, payload).

    Raises:
        ValueError: a header or a payload is cut short. Messages before it have been yielded.
    """
    position = 0
    while position < len(data):
        if position + 20 > len(data):
            raise ValueError(f"a header of 20 bytes is cut short at byte {position} of {len(data)}")
        channel = UUID(bytes_le=data[position : position + 16])
        (length,) = struct.unpack_from("<i", data, position + 16)
        position += 20
        if not 0 <= length <= len(data) - position:
            raise ValueError(f"{length} bytes announced for channel {channel}, {len(data) - position} are left")
        yield channel, data[position : position + length]
        position += length


def message(channel: UUID, payload: bytes) -> bytes:
    """One message as it travels."""
    return channel.bytes_le + struct.pack("<i", len(payload)) + payload


def statistic(name: str, value: float, aggregation: int) -> bytes:
    """A message that gives the trainer a number to write beside its own."""
    text = name.encode()
    return message(STATISTICS, struct.pack(f"<i{len(text)}sfi", len(text), text, value, aggregation))


@dataclass
class Received:
    """What the messages of one exchange said.

    Attributes:
        changed: Names of the environment parameters that were set.
        raw: Channel and payload of each message on a channel that is not ML-Agents' own.
    """

    changed: set[str] = field(default_factory=set)
    raw: list[tuple[UUID, bytes]] = field(default_factory=list)


def apply(data: bytes, environment: EnvironmentParameters) -> Received:
    """Read all messages of one exchange and set what they say.

    Args:
        data: The `side_channel` bytes of the trainer's message.
        environment: Where environment parameters are set.
    """
    received = Received()
    try:
        for channel, payload in split_messages(data):
            _apply_one(channel, payload, environment, received)
    except ValueError as error:
        log.warning("Malformed side-channel data ignored: %s.", error)
    return received


def _apply_one(channel: UUID, payload: bytes, environment: EnvironmentParameters, received: Received) -> None:
    try:
        if channel == ENVIRONMENT_PARAMETERS:
            name, sampler = read_parameter(payload)
            environment.set(name, sampler)
            received.changed.add(name)
        elif channel == ENGINE_CONFIGURATION:
            log.debug("The trainer sets the %s; it has no effect here.", read_engine_setting(payload))
        elif channel != TRAINING_ANALYTICS:
            received.raw.append((channel, payload))
    except (ValueError, struct.error) as error:
        log.warning("Malformed message on side channel %s ignored: %s.", channel, error)


def read_engine_setting(payload: bytes) -> str:
    """One engine setting as text, e.g. `time scale = 20.0`. The player always runs at full speed.

    Raises:
        ValueError: the kind of setting is unknown.
        struct.error: the message is cut short.
    """
    (kind,) = struct.unpack_from("<i", payload)
    if not 0 <= kind < len(ENGINE_SETTINGS):
        raise ValueError(f"unknown engine setting {kind}")
    layout = {0: "<ii", 2: "<f"}.get(kind, "<i")
    values = struct.unpack_from(layout, payload, 4)
    return f"{ENGINE_SETTINGS[kind]} = {' x '.join(map(str, values))}"


def read_parameter(payload: bytes) -> tuple[str, Sampler]:
    """One environment parameter: its name and what draws its values.

    Raises:
        ValueError: the type or the sampler is unknown, or its numbers make no sense.
        struct.error: the message is cut short.
    """
    message = StrictMessage(payload)
    name = message.read_string()
    kind = message.read_int32()
    if kind == 0:
        return name, parameters.constant(_finite(name, message.read_float32()))
    if kind == 1:
        return name, _read_sampler(name, message)
    raise ValueError(f"parameter {name!r} has the unknown type {kind}")


def _read_sampler(name: str, message: StrictMessage) -> Sampler:
    seed, kind = message.read_int32(), message.read_int32()
    if kind in (0, 1):
        first, second = _finite(name, message.read_float32()), _finite(name, message.read_float32())
        return (parameters.uniform, parameters.gaussian)[kind](first, second, seed)
    if kind == 2:
        return parameters.multirange(_ranges(name, message.read_float32_list()), seed)
    raise ValueError(f"parameter {name!r} has the unknown sampler {kind}")


def _ranges(name: str, bounds: list[float]) -> np.ndarray:
    ranges = np.array(bounds, np.float64)
    if not len(ranges) or len(ranges) % 2 or not np.isfinite(ranges).all():
        raise ValueError(f"the ranges of parameter {name!r} are not pairs of numbers: {bounds}")
    return np.sort(ranges.reshape(-1, 2), axis=1)


def _finite(name: str, value: float) -> float:
    if not np.isfinite(value):
        raise ValueError(f"parameter {name!r} is {value}")
    return value


class StrictMessage:
    """Reads a payload field by field and raises `struct.error` where it is cut short."""

    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self._position = 0

    def read_int32(self) -> int:
        """The next 4 bytes as a little-endian integer."""
        return int(self._read("<i"))

    def read_float32(self) -> float:
        """The next 4 bytes as a little-endian float."""
        return float(self._read("<f"))

    def read_string(self) -> str:
        """An int32 length and that many bytes of text."""
        raw = self._read(f"<{self._length()}s")
        return bytes(raw).decode("utf-8", "replace")

    def read_float32_list(self) -> list[float]:
        """An int32 count and that many floats."""
        return [self.read_float32() for _ in range(self._length())]

    def _length(self) -> int:
        length = self.read_int32()
        if length < 0:
            raise ValueError(f"a length of {length}")
        return length

    def _read(self, layout: str):  # type: ignore[no-untyped-def]
        (value,) = struct.unpack_from(layout, self._payload, self._position)
        self._position += struct.calcsize(layout)
        return value
