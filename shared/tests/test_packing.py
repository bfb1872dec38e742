"""Segments that are sent come out as they went in, in few bytes."""

import pickle

import numpy as np
import pytest
from mlagents.trainers.buffer import BufferKey
from mlagents_envs.base_env import ActionSpec, BehaviorSpec

from mlagents_plugin_shared.data.packing import pack
from mlagents_plugin_shared.data.trajectories import Segment, blank_segment
from mlagents_plugin_shared.testing import SENSORS


def segment(steps: int, sensors: str = "vector", *, agent: str = "a", terminated: bool = False) -> Segment:
    """Steps with observations, rewards and actions of chance."""
    rng = np.random.default_rng(steps)
    blank = blank_segment(BehaviorSpec(SENSORS[sensors], ActionSpec(0, (3, 2))), 0)
    columns = {key: np.repeat(column, steps, axis=0) for key, column in blank.columns.items()}
    columns[BufferKey.ENVIRONMENT_REWARDS] = rng.random(steps).astype(np.float32)
    columns[BufferKey.DISCRETE_ACTION] = rng.integers(0, 2, (steps, 2)).astype(np.int32)
    columns[BufferKey.DONE] = np.arange(steps) == steps - 1 if terminated else np.zeros(steps, bool)
    shapes = [rows.shape[1:] for rows in blank.observations]
    seen = [(rng.integers(0, 256, (steps + 1, *shape)) / np.float32(255)).astype(np.float32) for shape in shapes]
    return Segment(agent, seen, columns, terminated, False)


@pytest.mark.parametrize("sensors", SENSORS)
def test_packed_segments_come_out_as_they_were(sensors: str):
    """Every number, of several lengths, ended and open ones."""
    sent = [segment(1, sensors), segment(7, sensors, agent="b", terminated=True), segment(3, sensors)]
    received = pickle.loads(pickle.dumps(pack(sent), protocol=5)).unpack()
    for before, after in zip(sent, received, strict=True):
        assert (after.agent_id, after.terminated, after.interrupted) == (
            before.agent_id,
            before.terminated,
            before.interrupted,
        )
        for one, other in zip(before.observations, after.observations, strict=True):
            np.testing.assert_array_equal(one, other)
            assert one.dtype == other.dtype
        assert list(before.columns) == list(after.columns)
        for key in before.columns:
            np.testing.assert_array_equal(before.columns[key], after.columns[key])
            assert before.columns[key].dtype == after.columns[key].dtype
            assert after.columns[key].flags.writeable  # or torch warns in the middle of a run


def test_nothing_can_be_packed():
    """An actor may have no segment that has ended."""
    assert pack([]).unpack() == []


def test_pictures_that_do_not_come_from_8_bits_stay_as_they_are():
    """They would lose digits."""
    sent = segment(2, "picture") if "picture" in SENSORS else None
    if sent is None:
        sent = segment(2, next(name for name, specs in SENSORS.items() if any(len(s.shape) == 3 for s in specs)))
    for rows in sent.observations:
        rows *= np.float32(0.987)
    (received,) = pack([sent]).unpack()
    for one, other in zip(sent.observations, received.observations, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_step_takes_little_more_than_what_differs():
    """Masks, flags and empty columns are sent once: at 4 numbers seen, under 40 bytes a step."""
    spec = BehaviorSpec(SENSORS["vector"], ActionSpec(0, (3, 2)))
    numbers = sum(int(np.prod(observed.shape)) for observed in spec.observation_specs)
    steps = 1000
    size = len(pickle.dumps(pack([segment(steps)]), protocol=5))
    assert size < steps * (4 * numbers + 4 + 8 + 1) + 3000  # observation, reward, two actions, done
