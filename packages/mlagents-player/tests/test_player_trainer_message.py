"""The trainer's messages: what ML-Agents' classes write is what the player reads."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlagents_envs.communicator_objects.command_pb2 import RESET
from mlagents_envs.communicator_objects.unity_message_pb2 import UnityMessageProto

from mlagents_player import trainer_message
from mlagents_player.trainer_message import _alike, read


def answer(continuous: np.ndarray, discrete: np.ndarray) -> UnityMessageProto:
    """A message as ML-Agents writes it, deprecated fields included."""
    message = UnityMessageProto()
    message.header.status = 200
    agents = message.unity_input.rl_input.agent_actions["A"].value
    for numbers, branches in zip(continuous.tolist(), discrete.tolist(), strict=True):
        agents.add(
            vector_actions_deprecated=[*numbers, *branches], continuous_actions=numbers, discrete_actions=branches
        )
    return message


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 6), st.integers(0, 3), st.integers(0, 3), st.sampled_from([3, 128, 70000]), st.integers(0, 99))
def test_read_gives_what_was_written(agents: int, numbers: int, branches: int, largest: int, seed: int) -> None:
    """Any number of agents and of either kind of actions, also those that take several bytes."""
    rng = np.random.default_rng(seed)
    continuous = rng.normal(size=(agents, numbers)).astype(np.float32)
    discrete = rng.integers(0, largest, (agents, branches)).astype(np.int32)
    found = read(answer(continuous, discrete).SerializeToString())
    assert found.status == 200
    if numbers + branches:
        assert np.array_equal(found.actions["A"].continuous, continuous)
        assert np.array_equal(found.actions["A"].discrete, discrete)
        assert (found.actions["A"].continuous.dtype, found.actions["A"].discrete.dtype) == (np.float32, np.int32)


def test_actions_are_read_at_once_where_they_are_alike() -> None:
    """Small numbers go the fast way; one that takes two bytes makes the entries differ."""
    for discrete, fast in (([[1, 0], [0, 2]], True), ([[1, 0], [200, 2]], False), ([[200], [200]], False)):
        message = answer(np.zeros((2, 1)), np.array(discrete)).unity_input.rl_input.agent_actions["A"]
        assert (_alike(message.SerializeToString()) is not None) == fast


def test_read_finds_everything_else() -> None:
    """Command, side channels, the settings of the first message, and several behaviours; empty ones are left out."""
    message = answer(np.ones((1, 1)), np.zeros((1, 0)))
    inputs = message.unity_input
    inputs.rl_input.command, inputs.rl_input.side_channel = RESET, b"abc"
    inputs.rl_input.agent_actions["B"].value.add(discrete_actions=[2])
    inputs.rl_input.agent_actions["empty"].SetInParent()
    inputs.rl_initialization_input.seed, inputs.rl_initialization_input.num_areas = -5, 3
    found = read(message.SerializeToString())
    assert (found.command, found.side_channel) == (RESET, b"abc")
    assert (found.settings.seed, found.settings.num_areas) == (-5, 3)
    assert set(found.actions) == {"A", "B"}
    assert found.actions["B"].discrete.tolist() == [[2]]


def test_read_of_an_empty_message() -> None:
    """A message with nothing in it has the status 0."""
    assert read(b"") == trainer_message.TrainerMessage()


def test_read_refuses_ragged_rows() -> None:
    """Agents of one behaviour with different numbers of actions are an error."""
    message = answer(np.ones((1, 1)), np.zeros((1, 0)))
    message.unity_input.rl_input.agent_actions["A"].value.add(continuous_actions=[0.5, 1.0])
    with pytest.raises(ValueError, match="sequence"):
        read(message.SerializeToString())


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_read_of_garbage(data: bytes) -> None:
    """Whatever the bytes are, they are read or refused, and nothing else happens."""
    with contextlib.suppress(ValueError):
        read(data)
