"""Sensors: what rays write down, and stacks of observations."""

import numpy as np
import pytest

from mlagents_player.plane import Boxes
from mlagents_player.sensors import NOTHING, RaySensor, Stack

SENSOR = RaySensor(tags=2, rays_per_direction=1, max_degrees=90, length=10)


def test_rays_are_in_unitys_order() -> None:
    """Ahead first, then right and left by turns."""
    sensor = RaySensor(tags=1, rays_per_direction=2, max_degrees=70, length=1)
    assert sensor.angles.tolist() == [0, 35, -35, 70, -70]
    assert sensor.size == 5 * 3


def test_rays_write_tag_miss_and_fraction() -> None:
    """A known box ahead, an unknown one to the right, nothing to the left."""
    ahead, aside = Boxes.fixed((0, 6, 1, 1)), Boxes.fixed((3, 0, 1, 1))
    seen = SENSOR.read(np.zeros((1, 2)), np.zeros(1), [(1, ahead), (NOTHING, aside)])
    assert seen[0] == pytest.approx([0, 1, 0, 0.5, 0, 0, 0, 0.2, 0, 0, 1, 1])


def test_rays_turn_with_the_agent() -> None:
    """What is to the right of somebody who looks along z is ahead of somebody who looks along x."""
    box = [(0, Boxes.fixed((6, 0, 1, 1)))]
    looks = SENSOR.read(np.zeros((2, 2)), np.array([0.0, 90.0]), box)
    assert looks[0, 4:8] == pytest.approx([1, 0, 0, 0.5])
    assert looks[1, :4] == pytest.approx([1, 0, 0, 0.5])


def test_rays_end_at_their_length_and_the_nearest_hit_counts() -> None:
    """A box beyond 10 m is not seen, and one behind another neither."""
    near, far, hidden = (Boxes.fixed((0, z, 1, 1)) for z in (4, 12, 8))
    assert SENSOR.read(np.zeros((1, 2)), np.zeros(1), [(0, far)])[0, :4].tolist() == [0, 0, 1, 1]
    assert SENSOR.read(np.zeros((1, 2)), np.zeros(1), [(1, hidden), (0, near)])[0, :4] == pytest.approx([1, 0, 0, 0.3])


def test_shapes_of_one_target_have_tags_of_their_own() -> None:
    """Boxes that are cast at together are told apart, also where some are the same in all areas and others are not."""
    moved = Boxes(np.array([[[0.0, 6.0]], [[0.0, 8.0]]]), np.full((2, 1, 2), 0.5), np.zeros((2, 1)))
    there = Boxes.joined(moved, Boxes.fixed((3, 0, 1, 1)))
    seen = SENSOR.read(np.zeros((2, 2)), np.zeros(2), [((1, 0), there)])
    assert seen[0, :8] == pytest.approx([0, 1, 0, 0.5, 1, 0, 0, 0.2])
    assert seen[1, :8] == pytest.approx([0, 1, 0, 0.7, 1, 0, 0, 0.2])


def test_stack_is_oldest_first() -> None:
    """Zeros before the first, each agent for itself, and nothing after a clear."""
    stack = Stack(2, 2, 3)
    first = np.array([0])
    stack.push(first, np.float32([[1, 2]]))
    assert stack.push(first, np.float32([[3, 4]])).tolist() == [[0, 0, 1, 2, 3, 4]]
    assert stack.push(np.array([1]), np.float32([[9, 9]])).tolist() == [[0, 0, 0, 0, 9, 9]]
    stack.clear(first)
    assert stack.push(first, np.float32([[5, 6]])).tolist() == [[0, 0, 0, 0, 5, 6]]
