"""Gymnasium's spaces as sensors and actuators."""

import numpy as np
import pytest
from gymnasium import spaces

from mlagents_player.errors import PlayerError
from mlagents_player.spaces import actuator, forbidden, sensors

BYTES = {"low": 0, "high": 255, "dtype": np.uint8}


@pytest.mark.parametrize(
    ("space", "values", "expected"),
    [
        (spaces.Box(-1, 1, (2,)), [[0.5, -1], [0, 1]], [[0.5, -1], [0, 1]]),
        (spaces.Box(-1, 1, (2, 2)), [np.eye(2)], [[1, 0, 0, 1]]),
        (spaces.Box(-1, 1, ()), [0.25, 0.5], [[0.25], [0.5]]),
        (spaces.Discrete(3), [2, 0], [[0, 0, 1], [1, 0, 0]]),
        (spaces.Discrete(3, start=-1), [-1, 1], [[1, 0, 0], [0, 0, 1]]),
        (spaces.MultiDiscrete([2, 3]), [[1, 2]], [[0, 1, 0, 0, 1]]),
        (spaces.MultiBinary(3), [[1, 0, 1]], [[1, 0, 1]]),
    ],
)
def test_vector_spaces_are_written_as_floats(space: spaces.Space, values: list, expected: list) -> None:
    """Numbers stay, categories become one-hot, and every size is the specification's."""
    (sensor,) = sensors(space)
    read = sensor.read([np.asarray(value) for value in values])
    assert read.dtype == np.float32
    assert read.tolist() == expected
    assert sensor.spec.shape == read.shape[1:]


@pytest.mark.parametrize(
    ("shape", "expected"), [((9, 8, 3), (3, 9, 8)), ((4, 9, 8), (4, 9, 8)), ((9, 8), (1, 9, 8)), ((8, 8, 1), (1, 8, 8))]
)
def test_images_are_channels_first(shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    """Height x width x channels, frames first and grey pictures alike become channels x height x width."""
    space = spaces.Box(**BYTES, shape=shape)
    (sensor,) = sensors(space)
    image = space.sample()
    read = sensor.read([image])
    assert sensor.spec.shape == read.shape[1:] == expected
    assert read.dtype == np.uint8
    assert np.array_equal(np.sort(read.ravel()), np.sort(image.ravel()))
    if shape[-1] == 3:
        assert np.array_equal(read[0, 2], image[:, :, 2])


def test_nested_spaces_give_a_sensor_for_each_leaf() -> None:
    """Dict and Tuple are taken apart, with the way to each leaf as its name."""
    space = spaces.Dict(
        camera=spaces.Box(**BYTES, shape=(9, 8, 3)), hand=spaces.Tuple([spaces.Discrete(2), spaces.Box(-1, 1, (3,))])
    )
    found = sensors(space)
    assert [(sensor.spec.name, sensor.spec.shape) for sensor in found] == [
        ("camera", (3, 9, 8)),
        ("hand.0", (2,)),
        ("hand.1", (3,)),
    ]
    samples = [space.sample() for _ in range(5)]
    for sensor in found:
        assert sensor.read(samples).shape == (5, *sensor.spec.shape)


@pytest.mark.parametrize("space", [spaces.Text(5), spaces.Sequence(spaces.Discrete(2))])
def test_unknown_spaces_are_refused(space: spaces.Space) -> None:
    """What ML-Agents cannot take is named together with the remedy."""
    with pytest.raises(PlayerError, match=f"{type(space).__name__}.*wrap the environment"):
        sensors(space)
    with pytest.raises(PlayerError, match=f"{type(space).__name__}.*wrap the environment"):
        actuator(space)


@pytest.mark.parametrize(
    ("space", "branches", "chosen", "expected"),
    [
        (spaces.Discrete(3), (3,), [2], 2),
        (spaces.Discrete(3, start=5), (3,), [0], 5),
        (spaces.MultiDiscrete([2, 3]), (2, 3), [1, 2], [1, 2]),
        (spaces.MultiDiscrete([[2, 3], [4, 5]]), (2, 3, 4, 5), [1, 2, 3, 4], [[1, 2], [3, 4]]),
        (spaces.MultiBinary(2), (2, 2), [0, 1], [0, 1]),
    ],
)
def test_discrete_actions(
    space: spaces.Space, branches: tuple[int, ...], chosen: list[int], expected: int | list
) -> None:
    """Branches are the categories, and what is chosen in them is an action of the space."""
    acted = actuator(space)
    assert acted.spec.discrete_branches == branches
    action = acted.decode(np.zeros(0, np.float32), np.array(chosen, np.int32))
    assert np.array_equal(action, expected)
    assert space.contains(action)


def test_box_actions_are_rescaled() -> None:
    """-1 and 1 are the box's ends, what lies beyond is clipped, and a number without bounds stays."""
    space = spaces.Box(np.float32([-2, 0, -np.inf, 0]), np.float32([2, 10, np.inf, np.inf]))
    acted = actuator(space)
    assert acted.spec.continuous_size == 4
    action = acted.decode(np.float32([1, 0, 0.5, -0.5]), np.zeros(0, np.int32))
    assert action.tolist() == [2, 5, 0.5, 0]
    assert space.contains(acted.decode(np.float32([9, -9, 9, -9]), np.zeros(0, np.int32)))


def test_whole_box_actions_are_the_nearest() -> None:
    """Cut off instead of rounded, the ends would hardly ever be reached and 0 too often."""
    acted = actuator(spaces.Box(-5, 5, (4,), np.int64))
    action = acted.decode(np.float32([-0.99, -0.19, 0.09, 0.95]), np.zeros(0, np.int32))
    assert action.dtype == np.int64
    assert action.tolist() == [-5, -1, 0, 5]


def test_masks_are_inverted() -> None:
    """Gymnasium marks what is allowed, ML-Agents what is forbidden; one array or one a branch."""
    spec = actuator(spaces.MultiDiscrete([2, 3])).spec
    expected = [False, True, False, False, True]
    assert forbidden(np.int8([1, 0, 1, 1, 0]), spec).tolist() == expected
    assert forbidden((np.int8([1, 0]), np.int8([1, 1, 0])), spec).tolist() == expected
    with pytest.raises(PlayerError, match="has 3 numbers; the actions are 5"):
        forbidden(np.ones(3), spec)
