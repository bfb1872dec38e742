"""Reading of `.demo` files, which ML-Agents' DemonstrationRecorder writes inside Unity."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from google.protobuf.message import DecodeError
from mlagents_envs.communicator_objects.agent_info_action_pair_pb2 import AgentInfoActionPairProto
from mlagents_envs.communicator_objects.brain_parameters_pb2 import BrainParametersProto
from mlagents_envs.communicator_objects.demonstration_meta_pb2 import DemonstrationMetaProto
from numpy.typing import NDArray

from mlagents_player.errors import PlayerError
from mlagents_player.file_kinds import describe_stranger
from mlagents_player.trainer_message import varint

META_BYTES = 33  # the meta data has a fixed place of its own, whatever its length
VERSIONS = (0, 1)


@dataclass
class Demonstration:
    """Consecutive decisions of one agent with one vector observation.

    Attributes:
        observations: [T, size] float32.
        actions: [T - 1, actions] taken on each observation but the last.
        rewards: [T] float32; the reward at t + 1 is that of the action at t.
        done: [T] the episode ended with that reward; the observation is then the next episode's first.
    """

    observations: NDArray[np.float32]
    actions: NDArray[np.float32]
    rewards: NDArray[np.float32]
    done: NDArray[np.bool_]


def read(path: Path) -> Demonstration:
    """Read a recording.

    Raises:
        PlayerError: it cannot be read, is no recording, or holds too little to compare with.
    """
    try:
        data = path.read_bytes()
        return _parse(data)
    except OSError as error:
        raise PlayerError(f"Cannot read {path}: {error.strerror or error}.") from error
    except (DecodeError, IndexError, ValueError) as error:
        what = describe_stranger(path, ".demo") or f"is not a recording of vector observations: {error}"
        raise PlayerError(f"{path} {what}.") from error


def _parse(data: bytes) -> Demonstration:
    messages = _delimited(data)
    meta = DemonstrationMetaProto.FromString(next(messages, b""))
    if meta.api_version not in VERSIONS or meta.number_steps < 2:
        raise ValueError(f"version {meta.api_version} with {meta.number_steps} decisions")
    BrainParametersProto.FromString(next(messages, b""))  # the actions' sizes, which the scene knows
    pairs = [AgentInfoActionPairProto.FromString(message) for message in messages][: meta.number_steps]
    infos = [pair.agent_info for pair in pairs]
    return Demonstration(
        np.array([list(info.observations[0].float_data.data) for info in infos], np.float32),
        np.array([_action(pair) for pair in pairs[:-1]], np.float32),
        np.array([info.reward for info in infos], np.float32),
        np.array([info.done for info in infos], bool),
    )


def _action(pair: AgentInfoActionPairProto) -> list[float]:
    action = pair.action_info
    return [*action.continuous_actions, *action.discrete_actions] or list(action.vector_actions_deprecated)


def _delimited(data: bytes) -> Iterator[bytes]:
    """Messages that each follow their length; the second begins at a fixed place."""
    position, first = 0, True
    while position < len(data):
        length, position = varint(data, position)
        if position + length > len(data):
            raise ValueError("it is cut short")
        yield data[position : position + length]
        position = META_BYTES if first else position + length
        first = False
