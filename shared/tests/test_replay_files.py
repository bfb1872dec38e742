"""A replay buffer saved and loaded: it goes on as if nothing had happened, or says what is wrong with the file."""

import _thread
import errno
import gc
import io
import signal
import threading
import time
import tracemalloc

import h5py
import numpy as np
import pytest
from mlagents.trainers.buffer import AgentBuffer, BufferKey

from fakes import counting_segment, filled, mask, saved, windows
from mlagents_plugin_shared.data import ReplayBuffer
from mlagents_plugin_shared.data.trajectories import Segment

REWARDS = BufferKey.ENVIRONMENT_REWARDS


def assert_same(first, second):
    for _ in range(3):
        batches = first.sample_n_step(64, 3), second.sample_n_step(64, 3)
        assert set(batches[0]) == set(batches[1])
        for key in batches[0]:
            np.testing.assert_array_equal(batches[0][key], batches[1][key], str(key))


def assert_refused(content):
    buffer = filled(counting_segment(0, 5, terminated=True))
    with pytest.raises(ValueError, match="no replay buffer, or a damaged one"):
        buffer.load_from_file(io.BytesIO(content))
    assert buffer.num_experiences == 5


def wrapped(seed=0):
    return filled(
        counting_segment(0, 6, terminated=True),
        counting_segment(10, 5, agent_id="b"),
        counting_segment(20, 3, agent_id="c"),
        capacity=9,
        seed=seed,
    )


def test_replay_buffer_loaded_continues_exactly():
    """A loaded buffer gives the same samples, links the same segments and overwrites the same rows."""
    original, loaded = wrapped(seed=3), ReplayBuffer(9)
    original.sample_mini_batch(7)
    loaded.load_from_file(saved(original))
    assert_same(original, loaded)
    for buffer in (original, loaded):
        buffer.add(counting_segment(15, 2, agent_id="b", terminated=True))
        buffer.add(counting_segment(23, 2, agent_id="c", interrupted=True))
    assert original.num_experiences == loaded.num_experiences == 9
    assert_same(original, loaded)


def test_replay_buffer_loaded_through_a_file(tmp_path):
    """Files opened as ML-Agents' off-policy trainer opens them work."""
    path = tmp_path / "last_replay_buffer.hdf5"
    original, loaded = wrapped(), ReplayBuffer(9)
    with path.open("wb") as file:
        original.save_to_file(file)
    with path.open("rb+") as file:
        loaded.load_from_file(file)
    assert_same(original, loaded)


def test_replay_buffer_of_many_pictures_is_written_once(tmp_path):
    """A file that can only be written takes 96 MB of pictures that begin in the middle of the ring, and reads none."""
    original, loaded, path = ReplayBuffer(10_000), ReplayBuffer(10_000), tmp_path / "replay.hdf5"
    for i in range(151):
        columns = {
            REWARDS: np.full(70, i, np.float32),
            BufferKey.CONTINUOUS_ACTION: np.zeros((70, 1), np.float32),
        }
        pictures = np.full((71, 6, 40, 40), i, np.uint8)
        original.add(Segment("a", [pictures], columns, terminated=True, interrupted=False))
    with path.open("wb") as file:
        original.save_to_file(file)
    tracemalloc.start()
    with path.open("rb") as file:
        loaded.load_from_file(file)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.1 * loaded.nbytes  # it is read into place
    assert original.serial > 10_000  # it went round
    assert_same(original, loaded)


class SmallDisk(io.BytesIO):
    """A file on a disk that has room for so many bytes."""

    def __init__(self, room):
        super().__init__()
        self.room = room

    def write(self, data):
        if self.tell() + len(data) > self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)


def test_replay_buffer_on_a_full_disk_is_an_error_and_no_crash():
    """Wherever in the file the disk is full, that is what is said, and HDF5 lets go of the file."""
    buffer = wrapped()
    whole = len(saved(buffer).getvalue())
    for room in range(0, whole, 997):
        with pytest.raises(OSError, match="No space left"):
            buffer.save_to_file(SmallDisk(room))
        gc.collect()
    buffer.save_to_file(SmallDisk(2 * whole))


@pytest.fixture
def heard_interrupts():
    """Ctrl+C counts, also in a job in the background, which shells let ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard_interrupts")
def test_replay_buffer_interrupted_while_it_is_saved_does_not_crash():
    """Ctrl+C at any moment is a KeyboardInterrupt, once HDF5 has let go of the file."""
    buffer, interrupted = wrapped(), 0
    began = time.perf_counter()
    saved(buffer)
    whole = time.perf_counter() - began
    for moment in np.linspace(0, whole, 150):
        timer = threading.Timer(moment, _thread.interrupt_main)
        try:
            timer.start()
            saved(buffer)
            timer.join()
            time.sleep(0.001)  # where it arrives, if only after the end
        except KeyboardInterrupt:
            interrupted += 1
        gc.collect()
    assert interrupted == 150


def test_replay_buffer_loaded_into_less_room_keeps_the_newest():
    """A smaller buffer takes the newest transitions, with links and ends intact."""
    loaded = ReplayBuffer(4)
    loaded.load_from_file(saved(filled(counting_segment(0, 6, terminated=True), counting_segment(10, 3))))
    sampled = windows(loaded, 3)
    assert np.array(loaded[REWARDS]).tolist() == [5, 10, 11, 12]
    assert sampled[5] == (1, 6, [1, 1, 1, 1], True, [5])
    assert sampled[10] == (2, 12, mask(12), False, [10, 11])
    loaded.add(counting_segment(13, 2, terminated=True))
    assert windows(loaded, 4)[11] == (4, 15, [1, 1, 1, 1], True, [11, 12, 13, 14])


def test_replay_buffer_loaded_into_less_room_drops_older_ends():
    """Ends whose transitions find no room are left out, and the others still belong to theirs."""
    episodes = [counting_segment(start, 3, terminated=True) for start in (0, 10, 20, 30)]
    loaded = ReplayBuffer(5)
    loaded.load_from_file(saved(filled(*episodes)))
    sampled = windows(loaded, 3)
    assert sampled[22] == (1, 23, [1, 1, 1, 1], True, [22])
    assert sampled[30] == (3, 33, [1, 1, 1, 1], True, [30, 31, 32])


def test_replay_buffer_loaded_into_more_room_goes_on():
    """A larger buffer takes everything and goes on filling."""
    loaded = ReplayBuffer(50)
    loaded.load_from_file(saved(wrapped()))
    loaded.add(counting_segment(15, 4, agent_id="b", terminated=True))
    assert np.array(loaded[REWARDS]).tolist() == [5, 10, 11, 12, 13, 14, 20, 21, 22, 15, 16, 17, 18]
    assert windows(loaded, 3)[14] == (3, 17, mask(17), False, [14, 15, 16])


def test_replay_buffer_empty_file_gives_an_empty_buffer():
    """A buffer that was saved before its first step loads as one that holds nothing."""
    loaded = filled(counting_segment(0, 5))
    loaded.load_from_file(saved(ReplayBuffer(9)))
    assert loaded.num_experiences == 0


def test_replay_buffer_refuses_a_file_of_other_shapes():
    """A file of another behaviour is refused with both shapes, and the buffer keeps what it has."""
    buffer = filled(counting_segment(0, 5, terminated=True), seed=4)
    twin = filled(counting_segment(0, 5, terminated=True), seed=4)
    with pytest.raises(ValueError, match=r"holds .*obs:0: \[1\].*file .*obs:0: \[3\]"):
        buffer.load_from_file(saved(filled(counting_segment(0, 5, width=3))))
    assert_same(buffer, twin)


@pytest.mark.parametrize("content", [b"", b"no HDF5 at all", b"\x89HDF\r\n\x1a\n cut off"])
def test_replay_buffer_refuses_garbage(content):
    """Anything that is no HDF5 file is refused, and the buffer keeps what it has."""
    buffer = filled(counting_segment(0, 5, terminated=True))
    with pytest.raises(ValueError, match="no replay buffer"):
        buffer.load_from_file(io.BytesIO(content))
    assert buffer.num_experiences == 5


def test_replay_buffer_refuses_a_file_of_agentbuffer():
    """ML-Agents' own replay files lack the links; they are refused by name of the format."""
    file = io.BytesIO()
    buffer = AgentBuffer()
    buffer[REWARDS].append(1.0)
    buffer.save_to_file(file)
    file.seek(0)
    with pytest.raises(ValueError, match="no replay buffer: its format is None"):
        ReplayBuffer(9).load_from_file(file)


def without_links(content):
    del content["following"]


def with_a_link_beyond_its_ends(content):
    content["following"][-1] = 10_000


def with_a_link_backwards(content):
    content["following"][3] = 2


def with_fewer_ends(content):
    ends = content["ends/0"][1:]
    del content["ends/0"]
    content["ends/0"] = ends


def without_terminal(content):
    del content["rows/terminal"]


def with_agents_of_the_future(content):
    content.attrs["unfinished"] = '{"agent": 10000}'


def with_fewer_than_it_holds(content):
    content.attrs["serial"] = 1


def longer_than_its_rows(content):
    content.attrs["size"] = 1000


def with_another_generator(content):
    content.attrs["generator"] = "[]"


def with_other_agents(content):
    content.attrs["unfinished"] = "[1]"


def without_json(content):
    content.attrs["state"] = "{"


@pytest.mark.parametrize(
    "damage",
    [
        without_links,
        with_a_link_beyond_its_ends,
        with_a_link_backwards,
        with_fewer_ends,
        without_terminal,
        with_agents_of_the_future,
        with_fewer_than_it_holds,
        longer_than_its_rows,
        with_another_generator,
        with_other_agents,
        without_json,
    ],
)
def test_replay_buffer_refuses_a_damaged_file(damage):
    """A file with a part missing or of another kind is refused, and the buffer keeps what it has."""
    file = saved(wrapped())
    with h5py.File(file, "r+") as content:
        damage(content)
    assert_refused(file.getvalue())


def test_replay_buffer_refuses_a_file_with_a_wrong_byte():
    """One byte of HDF5's own tables, of which it says RuntimeError."""
    content = bytearray(saved(wrapped()).getvalue())
    content[content.rfind(b"SNOD")] = 0
    assert_refused(bytes(content))
