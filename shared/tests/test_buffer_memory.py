"""A replay knows its bytes before it allocates, says so, and refuses what does not fit."""

import dataclasses
import logging

import pytest
from mlagents.trainers.buffer import BufferKey
from mlagents_envs.base_env import BehaviorSpec, DimensionProperty, ObservationSpec, ObservationType

from fakes import DISCRETE, HYBRID, counting_segment, trajectory
from mlagents_plugin_shared.data import BufferMemoryError, PrioritizedReplayBuffer, ReplayBuffer, memory
from mlagents_plugin_shared.data.trajectories import blank_segment, trajectory_to_segment


@pytest.fixture
def groups(monkeypatch, tmp_path):
    """Control groups of the second version in a folder: call with a group's path and its limit, use and file cache."""
    hierarchy = memory._HIERARCHIES[0]
    monkeypatch.setattr(memory, "_HIERARCHIES", (dataclasses.replace(hierarchy, root=tmp_path / "cgroup"),))
    monkeypatch.setattr(memory, "_OWN_GROUPS", tmp_path / "own")

    def write(path, limit, used, file_cache=0):
        (tmp_path / "own").write_text(f"0::{path}\n")
        folder = tmp_path / "cgroup" / path.lstrip("/")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "memory.max").write_text(f"{limit}\n")
        (folder / "memory.current").write_text(f"{used}\n")
        (folder / "memory.stat").write_text(f"anon 7\ninactive_file {file_cache}\nactive_file 0\n")

    return write


def test_free_memory_is_what_the_machine_and_its_container_leave(groups):
    """The smaller of the machine's free memory and the control group's limit less its use."""
    groups("/", 5000, 2000)
    assert memory.free_memory() == 3000
    groups("/", "max", 2000)
    assert memory.free_memory() > 10**6


def test_files_that_the_system_keeps_in_memory_are_free(groups):
    """Who has read demonstrations has not used their bytes up: the system gives them back when they are needed."""
    groups("/", 5000, 4800, file_cache=4000)
    assert memory.free_memory() == 4200


def test_group_without_statistics_bounds_all_the_same(groups, tmp_path):
    """Some sandboxes show limit and use alone."""
    groups("/", 5000, 4800)
    (tmp_path / "cgroup" / "memory.stat").unlink()
    assert memory.free_memory() == 200


def test_a_batch_job_is_bounded_by_its_own_group_and_those_above(groups):
    """Slurm and systemd put a job into a group below the root, and bound it there or further up."""
    groups("/slurm/job_1", "max", 100)
    groups("/slurm", 900, 100)
    groups("/slurm/job_1/step_0", 1000, 100)
    assert memory.free_memory() == 800


@pytest.mark.parametrize(
    ("count", "text"), [(12, "12 bytes"), (21_180, "21.2 kB"), (1.27e9, "1.27 GB"), (5e15, "5e+03 TB")]
)
def test_format_bytes_has_three_digits_and_a_unit(count, text):
    """Sizes read as a person writes them."""
    assert memory.format_bytes(count) == text


@pytest.mark.parametrize(("kind", "extra"), [(ReplayBuffer, 0), (PrioritizedReplayBuffer, 8)])
def test_replay_buffer_says_its_size_when_it_allocates(kind, extra, caplog):
    """The log line has the capacity, the bytes in all and the bytes of a transition, and they are the true ones."""
    buffer = kind(100_000)
    with caplog.at_level(logging.INFO):
        buffer.reserve(counting_segment(0, 1))
    a_transition = 5 * 4 + 10 + extra
    assert f"100,000 transitions: {a_transition / 10:.3g} MB when it is full, {a_transition} bytes" in caplog.text
    assert buffer.bytes_per_transition == pytest.approx(a_transition, rel=0.02)
    assert buffer.serial == 0


def test_replay_buffer_beyond_memory_names_the_largest_that_fits(monkeypatch):
    """The error has the capacity, its bytes and the largest capacity, and that one is accepted."""
    monkeypatch.setattr(memory, "free_memory", lambda: 3000)
    with pytest.raises(BufferMemoryError, match=r"buffer_size 101 needs 3.03 kB .30 bytes .* that fits is 100$"):
        ReplayBuffer(101).add(counting_segment(0, 3))
    ReplayBuffer(100).add(counting_segment(0, 3))


def test_replay_buffer_beyond_this_machine_raises_before_it_allocates():
    """This machine's own memory is asked: petabytes are refused, and the buffer stays empty."""
    buffer = ReplayBuffer(10**6)
    with pytest.raises(BufferMemoryError, match=r"needs 4 TB .* largest buffer_size that fits is [0-9]+$"):
        buffer.add(counting_segment(0, 1, width=10**6))
    assert buffer.serial == 0


@pytest.mark.parametrize("memory_size", [0, 8])
@pytest.mark.parametrize("action_spec", [DISCRETE, HYBRID])
def test_blank_segment_has_the_columns_that_will_come(action_spec, memory_size):
    """A reserved buffer takes the behaviour's segments without a second allocation."""
    vector = ObservationSpec((4,), (DimensionProperty.NONE,), ObservationType.DEFAULT, "vector")
    real = trajectory_to_segment(trajectory(action_spec, memory=memory_size, log_probs=False), action_spec)
    buffer = ReplayBuffer(10)
    buffer.reserve(blank_segment(BehaviorSpec([vector], action_spec), memory_size))
    reserved = buffer._ring.columns[BufferKey.ENVIRONMENT_REWARDS]
    buffer.add(real)
    assert buffer._ring.columns[BufferKey.ENVIRONMENT_REWARDS] is reserved
    assert buffer.num_experiences == len(real) - 1
