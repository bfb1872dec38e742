"""Geometry on the ground plane: casts, overlaps and contacts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlagents_player.plane import Bodies, Boxes, Discs, Tall, collide, forward, overlap, part_discs, right, to_local

RADIUS = 0.5
ORIGIN = np.zeros((1, 2))
AHEAD = np.array([[[0.0, 1.0]]])


def body(x: float, z: float, size: float = 1.0, yaw: float = 0.0, mass: float = 1.0, drag: float = 0.0) -> Bodies:
    made = Bodies.at_rest(1, size, mass, drag)
    made.position[0], made.yaw[0] = (x, z), yaw
    return made


def test_directions_are_unitys() -> None:
    """Yaw 0 looks along z and 90 along x; right of z is x; what is ahead of somebody has a positive second number."""
    assert forward(np.array([0.0, 90.0])) == pytest.approx(np.array([[0, 1], [1, 0]]))
    assert right(np.array([0.0])) == pytest.approx(np.array([[1, 0]]))
    assert to_local(np.array([[3.0, 0.0]]), np.array([90.0])) == pytest.approx(np.array([[0, 3]]))


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((0, 5, 2, 2), 3.5),  # the face is at 4, the ball's middle stops 0.5 before it
        ((1.2, 5, 2, 2), 4 - np.sqrt(0.5**2 - 0.2**2)),  # the corner at (0.2, 4) meets the ball's rim
        ((1.6, 5, 2, 2), np.inf),  # the corner is 0.6 aside
        ((0, -5, 2, 2), np.inf),  # behind
        ((0, 0.6, 1, 1), np.inf),  # overlaps the ball at the start, which Unity does not report
        ((0, 1.0, 1, 1), 0.0),  # touches it
    ],
)
def test_boxes_are_hit_like_unitys_sphere_cast(box: tuple[float, float, float, float], expected: float) -> None:
    """Faces, corners, misses, and what is overlapped or touched at the start."""
    assert Boxes.fixed(box).cast(ORIGIN, AHEAD, RADIUS) == pytest.approx(expected)


def test_turned_boxes_are_hit_at_their_corner() -> None:
    """A square of 2 turned by 45 degrees has its corner √2 before its middle; a thin ray hits there."""
    box = Boxes(np.array([[[0.0, 5.0]]]), np.ones((1, 1, 2)), np.full((1, 1), 45.0))
    assert box.cast(ORIGIN, AHEAD, 1e-9) == pytest.approx(5 - np.sqrt(2))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_casts_agree_with_small_steps(seed: int) -> None:
    """The exact way to a turned box is where a ball that walks in small steps first comes within its radius."""
    rng = np.random.default_rng(seed)
    centre, half, yaw = rng.uniform(-6, 6, (1, 1, 2)), rng.uniform(0.2, 2, (1, 1, 2)), rng.uniform(0, 360, (1, 1))
    direction = forward(rng.uniform(0, 360, (1, 1)))
    way = Boxes(centre, half, yaw).cast(ORIGIN, direction, RADIUS)[0, 0]
    walked = np.arange(0, 15, 0.002)
    place = np.abs(to_local(walked[:, None] * direction[0, 0] - centre[0, 0], yaw[0]))
    gap = np.linalg.norm(np.maximum(place - half[0, 0], 0), axis=1)
    if gap[0] < RADIUS:
        assert way == np.inf or way == 0
    elif (gap > RADIUS + 1e-3).all():
        assert way == np.inf
    elif (gap < RADIUS - 1e-3).any():
        assert way == pytest.approx(walked[np.argmax(gap <= RADIUS)], abs=0.1)


def test_discs_are_hit() -> None:
    """Radii add up, one's own or that of all; one that is overlapped is not hit."""
    centre = np.array([[[0.0, 5.0], [0.0, 0.3]]])
    assert Discs(centre, 0.5).cast(ORIGIN, AHEAD, RADIUS)[0, 0] == pytest.approx([4.0, np.inf])
    assert Discs(centre, np.array([[1.5, 0.5]])).cast(ORIGIN, AHEAD, RADIUS)[0, 0] == pytest.approx([3.0, np.inf])


def test_tall_shapes_are_flown_over() -> None:
    """A ball at 1 m sees a wall of 4 m; one at 3.6 m that rises by 0.1 a metre flies over it."""
    wall = Boxes.fixed((0, 10, 20, 1))
    heights = np.zeros(1), np.full(1, 4.0)
    assert Tall(wall, *heights, np.ones(1)).cast(ORIGIN, AHEAD, RADIUS) == pytest.approx(9.0)
    assert Tall(wall, *heights, np.full(1, 3.6), rise=0.1).cast(ORIGIN, AHEAD, RADIUS) == np.inf


def test_overlap_finds_the_shallowest_axis() -> None:
    """Two unit squares 0.9 apart along z overlap by 0.1, and the normal points at the first."""
    rows, depth, normal = overlap(body(0, 0), body(0.2, 0.9))
    assert rows.tolist() == [0]
    assert depth == pytest.approx([0.1])
    assert normal == pytest.approx(np.array([[0, -1]]))
    assert not len(overlap(body(0, 0), body(0.2, 1.1))[0])
    assert len(overlap(body(0, 0, yaw=45), body(0, 1.1))[0])  # a corner reaches further than a face


def test_collide_shares_momentum() -> None:
    """1 kg at 3 m/s meets 2 kg at rest: both go on with 1 m/s and no longer overlap."""
    first, second = body(0, 0), body(0, 0.9, mass=2.0)
    first.velocity[0, 1] = 3.0
    assert collide(first, second)
    assert first.velocity[0, 1] == pytest.approx(1.0)
    assert second.velocity[0, 1] == pytest.approx(1.0)
    assert not len(overlap(first, second)[0])
    assert not collide(first, second)


def test_collide_lets_bodies_part() -> None:
    """What overlaps but moves apart keeps its velocity."""
    first, second = body(0, 0), body(0, 0.9)
    first.velocity[0, 1] = -3.0
    collide(first, second)
    assert first.velocity[0, 1] == -3.0


def test_bodies_slide_like_unitys() -> None:
    """Drag of 4/s takes 8 percent of the speed in a step of 0.02 s, then friction takes its share."""
    sliding = body(0, 0, drag=4.0)
    sliding.velocity[0, 1] = 10.0
    sliding.slide(5.0)
    assert sliding.velocity[0, 1] == pytest.approx(10 * 0.92 - 5 * 0.02)
    assert sliding.position[0, 1] == pytest.approx(0.02 * 9.1)
    sliding.velocity[0, 1] = 0.05
    sliding.slide(5.0)
    assert sliding.velocity[0, 1] == 0


def test_bodies_stop_at_walls_as_they_are_turned() -> None:
    """A square turned by 45 degrees stops with its corner at the wall."""
    square = body(0, 9.9, yaw=45.0)
    square.velocity[0] = (1, 5)
    _, at_high = square.keep_within(np.array([-10.0, -10.0]), np.array([10.0, 10.0]))
    assert at_high.tolist() == [[False, True]]
    assert square.position[0, 1] == pytest.approx(10 - np.sqrt(0.5))
    assert square.velocity[0].tolist() == [1, 0]


def test_discs_bounce() -> None:
    """Equal discs that meet at 2 m/s and keep half of it swap 1.5 and 0.5 m/s, and are parted; slow ones share."""
    position = np.array([[[0.0, 0.0], [0.0, 0.9]]])
    velocity = np.array([[[0.0, 2.0], [0.0, 0.0]]])
    touch = part_discs(position, velocity, np.full((1, 2), 0.5), np.ones(2), np.full((2, 2), 0.5))
    assert touch[0].tolist() == [[False, True], [True, False]]
    assert velocity[0, :, 1] == pytest.approx([0.5, 1.5])
    assert position[0, :, 1] == pytest.approx([-0.05, 0.95])
    position, velocity = np.array([[[0.0, 0.0], [0.0, 0.9]]]), np.array([[[0.0, 2.0], [0.0, 0.0]]])
    part_discs(position, velocity, np.full((1, 2), 0.5), np.ones(2), np.full((2, 2), 0.5), slow=2.0)
    assert velocity[0, :, 1] == pytest.approx([1, 1])
