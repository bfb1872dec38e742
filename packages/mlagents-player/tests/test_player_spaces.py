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
        (spaces.MultiDiscrete([2, 3], start=[-1, 5]), [[-1, 7]], [[1, 0, 0, 0, 1]]),
        (spaces.Box(0, 1, (2,), dtype=bool), [[True, False]], [[1, 0]]),
        (spaces.Box(-1, 1, (2,)), [[-7.5, 2]], [[-7.5, 2]]),
        (spaces.Box(0, 9, (2,), np.int8), [[0.5, 10]], [[0.5, 10]]),
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


NAN = np.nan
PAIR = spaces.Dict(near=spaces.Discrete(2), far=spaces.Tuple([spaces.Box(0, 1, (2,))]))


@pytest.mark.parametrize(
    ("space", "value", "says"),
    [
        (spaces.Discrete(3), -1, "-1 for the observation; expected a whole number from 0 to 2"),
        (spaces.Discrete(3), 3, "3 for the observation"),
        (spaces.Discrete(3), 1.5, "1.5 for the observation"),
        (spaces.Discrete(3), NAN, "nan for the observation"),
        (spaces.Discrete(3), "1", "'1' for the observation"),
        (spaces.Discrete(3), None, "None for the observation"),
        (spaces.Discrete(3), 10**30, "expected a whole number from 0 to 2"),
        (spaces.Discrete(3), np.array([1]), r"shape \(1,\) for the observation"),
        (spaces.Discrete(3, start=5), 4, "4 for the observation; expected a whole number from 5 to 7"),
        (spaces.MultiDiscrete([2, 3], start=[0, 1]), [0, 0], r"0 at \[1\] of the observation; .* to \[1, 3\]"),
        (spaces.MultiDiscrete([2, 3]), [1], r"\[1\] for the observation; .* of shape \(2,\)"),
        (spaces.MultiBinary(2), [0, 2], r"2 at \[1\] of the observation; expected whole numbers from 0 to 1"),
        (spaces.Box(0, 1, (2,), dtype=bool), [0.5, 1], r"0.5 at \[0\]"),
        (spaces.Box(-1, 1, (2,)), [0, NAN], r"nan at \[1\] of the observation; expected finite numbers"),
        (spaces.Box(-1, 1, (2,), np.float64), np.array([1e300, 0]), r"1e\+300 at \[0\]"),
        (spaces.Box(-1, 1, (2,)), np.zeros(3), r"an array of float64 of shape \(3,\); expected|shape \(3,\) for"),
        (spaces.Box(-1, 1, (2,)), np.zeros((2, 1)), r"shape \(2, 1\) for the observation"),
        (spaces.Box(-1, 1, (2,)), [[1], [2, 3]], "expected finite numbers"),
        (spaces.Box(-1, 1, (2,)), np.array([1, None]), "an array of object"),
        (spaces.Box(-1, 1, (2,)), np.zeros(2, complex), "an array of complex128"),
        (spaces.Box(-1, 1, (2,)), {"x": 1}, "{'x': 1} for the observation"),
        (spaces.Box(-1, 1, (2,)), (np.zeros(2), {}), "expected finite numbers"),
        (spaces.Box(**BYTES, shape=(4, 4, 3)), np.full((4, 4, 3), 0.5), "expected whole numbers from 0 to 255"),
        (spaces.Box(**BYTES, shape=(4, 4, 3)), np.full((4, 4, 3), 256), r"256 at \[0, 0, 0\]"),
        (spaces.Box(**BYTES, shape=(4, 4, 3)), np.zeros((3, 4, 4), np.uint8), r"shape \(3, 4, 4\)"),
        (spaces.Box(0, 1, (4, 4, 3)), np.full((4, 4, 3), NAN), "expected finite numbers"),
        (PAIR, {"near": 2, "far": (np.zeros(2),)}, "2 for the observation 'near'"),
        (PAIR, {"near": 1, "far": (np.zeros(3),)}, "for the observation 'far.0'"),
        (PAIR, {"near": 1, "far": ()}, "without 'far.0'"),
        (PAIR, np.zeros(3), "without 'near'"),
        (PAIR, None, "without 'near'"),
    ],
)
def test_what_is_not_of_its_space_is_refused(space: spaces.Space, value: object, says: str) -> None:
    """By the observation's name, with what came and what is expected; nothing becomes another category."""
    found = sensors(space)
    with pytest.raises(PlayerError, match=says) as error:
        [sensor.read([value]) for sensor in found]
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "space",
    [
        spaces.Dict({}),
        spaces.Tuple([]),
        spaces.Box(0, 1, (0,)),
        spaces.MultiDiscrete([]),
        spaces.Box(0, 1, (0, 9, 9)),
    ],
)
def test_empty_spaces_are_refused(space: spaces.Space) -> None:
    """Nothing to see or to do is a mistake that the trainer would report without its name."""
    with pytest.raises(PlayerError, match="is empty"):
        sensors(space)
    if not isinstance(space, spaces.Dict | spaces.Tuple):
        with pytest.raises(PlayerError, match="is empty"):
            actuator(space)


def test_unknown_leaves_are_named() -> None:
    """In a nested space the way to the leaf is told."""
    with pytest.raises(PlayerError, match=r"Graph at 'world.0'"):
        sensors(spaces.Dict(world=spaces.Tuple([spaces.Graph(spaces.Discrete(2), None)])))


@pytest.mark.parametrize(
    "space", [spaces.Text(5), spaces.Sequence(spaces.Discrete(2)), spaces.Graph(spaces.Discrete(2), None)]
)
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
        (spaces.MultiDiscrete([2, 3], start=[-1, 5]), (2, 3), [0, 2], [-1, 7]),
        (spaces.MultiBinary(2), (2, 2), [0, 1], [0, 1]),
        (spaces.MultiBinary([1, 2]), (2, 2), [0, 1], [[0, 1]]),
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


def ends(box: spaces.Box, *numbers: float) -> list:
    """What the first number of a box becomes for each of these actions."""
    acted = actuator(box)
    size, nothing = acted.spec.continuous_size, np.zeros(0, np.int32)
    found = [acted.decode(np.full(size, number, np.float32), nothing) for number in numbers]
    assert all(action.dtype == box.dtype and box.contains(action) for action in found)
    return [action.ravel()[0].item() for action in found]


def test_truth_values_can_both_be_reached() -> None:
    """Above 0 is True; cut off instead of rounded, nothing but exactly -1 would be False."""
    assert ends(spaces.Box(0, 1, (2,), dtype=bool), -1, -0.01, 0, 0.01, 1) == [False, False, False, True, True]


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int32, np.uint32, np.int64, np.uint64])
def test_wide_boxes_of_whole_numbers_do_not_overflow(kind: type) -> None:
    """The ends of each type are reached and not passed, though float64 cannot hold those of 64 bits."""
    limits = np.iinfo(kind)
    lowest, highest = int(limits.min), int(limits.max)
    low, middle, high = ends(spaces.Box(lowest, highest, (1,), kind), -1, 0, 1)
    assert (low, high) == (lowest, highest)
    assert abs(middle - (lowest + highest) / 2) <= max(1, highest / 2**50)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_the_largest_floats_are_no_limits(kind: type) -> None:
    """Scaled to them an action would be infinite or NaN; it stays as without limits."""
    largest = np.finfo(kind).max
    assert ends(spaces.Box(-largest, largest, (1,), kind), -1, 0.5, 1) == [-1, 0.5, 1]
    assert ends(spaces.Box(0, largest, (1,), kind), -1, 0.5, 1) == [0, 0.5, 1]
    assert ends(spaces.Box(-3e38, 3e38, (1,), kind), -1, 0.5, 1) == [-1, 0.5, 1]


@pytest.mark.parametrize(
    ("low", "high", "expected"), [(10, np.inf, [10, 11, 12]), (-np.inf, -5, [-7, -6, -5]), (-np.inf, 0.5, [-1, 0, 0.5])]
)
def test_a_single_limit_leaves_a_choice(low: float, high: float, expected: list[float]) -> None:
    """Clipped to a limit beyond their range all actions would be the same."""
    assert ends(spaces.Box(low, high, (1,)), -1, 0, 1) == expected


def test_whole_numbers_without_limits_stay() -> None:
    """Gymnasium writes the type's own ends where there are none."""
    assert ends(spaces.Box(-np.inf, np.inf, (1,), np.int64), -1, 0.2, 1) == [-1, 0, 1]


def test_masks_are_inverted() -> None:
    """Gymnasium marks what is allowed, ML-Agents what is forbidden; one array or one a branch."""
    spec = actuator(spaces.MultiDiscrete([2, 3])).spec
    expected = [False, True, False, False, True]
    assert forbidden(np.int8([1, 0, 1, 1, 0]), spec).tolist() == expected
    assert forbidden((np.int8([1, 0]), np.int8([1, 1, 0])), spec).tolist() == expected
    with pytest.raises(PlayerError, match="has 3 numbers; the actions are 5"):
        forbidden(np.ones(3), spec)
    for wrong in ("all", {"left": 1}, [None] * 5, ([1], "x")):
        with pytest.raises(PlayerError, match=r'info\["action_mask"\]'):
            forbidden(wrong, spec)
