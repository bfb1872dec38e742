"""Pictures are kept in one byte a value where they came from 8 bits, and come back exactly as they went in."""

import io

import numpy as np
import pytest
from mlagents.trainers.buffer import BufferKey
from mlagents.trainers.trajectory import ObsUtil

from mlagents_plugin_shared.data import BufferMemoryError, ReplayBuffer, memory
from mlagents_plugin_shared.data.observation_store import ObservationStore
from mlagents_plugin_shared.data.trajectories import Segment

OBSERVATION, NEXT_OBSERVATION = ObsUtil.get_name_at(0), ObsUtil.get_name_at_next(0)
SHAPE = (3, 5, 4)
ALL_LEVELS = np.resize(np.arange(256, dtype=np.uint8), (8, *SHAPE))


def decoded(pixels):
    """As ML-Agents decodes the bytes of a PNG."""
    return np.asarray(pixels, dtype=np.float32) / 255.0


def picture_segment(pictures, agent_id="a"):
    steps = len(pictures) - 1
    columns = {
        BufferKey.ENVIRONMENT_REWARDS: np.arange(steps, dtype=np.float32),
        BufferKey.CONTINUOUS_ACTION: np.zeros((steps, 1), np.float32),
    }
    return Segment(agent_id, [pictures], columns, terminated=True, interrupted=False)


def filled(*pictures, capacity=10):
    buffer = ReplayBuffer(capacity)
    for segment in pictures:
        buffer.add(picture_segment(segment))
    return buffer


@pytest.mark.parametrize("given", [decoded(ALL_LEVELS), ALL_LEVELS], ids=["float32", "uint8"])
def test_replay_buffer_pictures_take_a_byte_a_value(given):
    """All 256 levels come back bit for bit as float32 in [0, 1], from rows and from the ends aside."""
    buffer = filled(given)
    store = buffer._ring.observations[0]
    batch = buffer.gather(np.arange(7))
    assert store.ring.dtype == np.uint8
    assert batch[OBSERVATION].dtype == batch[NEXT_OBSERVATION].dtype == np.float32
    np.testing.assert_array_equal(batch[OBSERVATION], decoded(ALL_LEVELS[:-1]))
    np.testing.assert_array_equal(batch[NEXT_OBSERVATION], decoded(ALL_LEVELS[1:]))


def test_replay_buffer_grey_pictures_as_ml_agents_averages_them():
    """ML-Agents averages equal channels to one, which rounds the last digit; they still count as 8 bits."""
    grey = np.mean(np.repeat(decoded(ALL_LEVELS[:, :1]), 3, axis=1), axis=1, keepdims=True, dtype=np.float32)
    buffer = filled(grey)
    assert buffer._ring.observations[0].holds_pixels
    np.testing.assert_allclose(buffer.gather(np.arange(7))[OBSERVATION], grey[:-1], atol=1e-6)


@pytest.mark.parametrize("odd", [0.3, -1 / 255, 256 / 255, 1e30, np.nan, np.inf], ids=str)
def test_replay_buffer_other_pictures_are_kept_as_float32(odd, caplog):
    """One value that is no multiple of 1/255 up to 1 widens the store: old and new pictures are all exact."""
    floats = decoded(ALL_LEVELS)
    floats[2, 1, 0, 0] = odd
    buffer = filled(decoded(ALL_LEVELS[:3]), floats)
    batch = buffer.gather(np.arange(9))
    assert buffer._ring.observations[0].ring.dtype == np.float32
    np.testing.assert_array_equal(batch[OBSERVATION], np.concatenate([decoded(ALL_LEVELS[:2]), floats[:-1]]))
    np.testing.assert_array_equal(batch[NEXT_OBSERVATION][1], decoded(ALL_LEVELS[2]))
    assert [record.getMessage() for record in caplog.records if "do not come from 8 bits" in record.getMessage()]


def test_replay_buffer_bytes_after_floats_are_divided():
    """A store that was widened takes uint8 pictures as the floats that they stand for."""
    buffer = filled(np.full((2, *SHAPE), 0.3, np.float32), ALL_LEVELS)
    np.testing.assert_array_equal(buffer.gather(np.arange(1, 8))[OBSERVATION], decoded(ALL_LEVELS[:-1]))


def test_replay_buffer_vectors_are_never_rounded():
    """Vectors that look like pixels stay float32, for the next ones may not."""
    store = ObservationStore(10, (4,))
    assert store.encode(np.ones((3, 4), np.float32)).dtype == store.ring.dtype == np.float32


def test_replay_buffer_joint_of_pictures_is_found():
    """The observation at a cut is compared as it is stored: the next segment is linked."""
    buffer, cut = ReplayBuffer(20), decoded(ALL_LEVELS)
    for pictures in (cut[:4], cut[3:]):
        segment = picture_segment(pictures)
        buffer.add(Segment("a", segment.observations, segment.columns, terminated=False, interrupted=False))
    assert len(buffer._ring.unfinished) == 1
    np.testing.assert_array_equal(buffer.gather([2])[NEXT_OBSERVATION], cut[3:4])
    assert buffer._ring.following[2] == 3


@pytest.mark.parametrize("widened", [False, True])
def test_replay_buffer_pictures_survive_a_file(widened):
    """Pixels are saved as bytes and floats as floats; the loaded buffer holds the same type and numbers."""
    pictures = decoded(ALL_LEVELS)
    pictures[3] += 0.001 * widened
    buffer, loaded, file = filled(pictures), ReplayBuffer(10), io.BytesIO()
    buffer.save_to_file(file)
    loaded.load_from_file(file)
    assert loaded._ring.observations[0].holds_pixels is not widened
    for key in (OBSERVATION, NEXT_OBSERVATION):
        np.testing.assert_array_equal(loaded.gather(np.arange(7))[key], buffer.gather(np.arange(7))[key])


def test_replay_buffer_widening_beyond_memory_raises(monkeypatch):
    """If the floats would not fit, the segment is refused and nothing is lost."""
    buffer = filled(decoded(ALL_LEVELS))
    monkeypatch.setattr(memory, "free_memory", lambda: 1000)
    with pytest.raises(BufferMemoryError, match=r"buffer_size 10 needs .* largest buffer_size that fits is 4"):
        buffer.add(picture_segment(np.full((2, *SHAPE), 0.3, np.float32)))
    assert buffer.num_experiences == 7
