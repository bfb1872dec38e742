"""What ML-Agents itself writes in the course and at the end of a run, on a disk that is full for a while."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mlagents.plugins import stats_writer
from mlagents.trainers import learn
from mlagents.trainers.exception import UnityTrainerException
from mlagents.trainers.stats import StatsSummary
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.summary.writer import event_file_writer

from mlagents_plugin_shared.run.host import run_folder


def full() -> OSError:
    return OSError(28, "No space left on device")


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A disk of TensorBoard's own writes, which is full while `is_full` says so."""

    def write(writer: Any, data: bytes) -> None:
        if disk.is_full:
            raise full()
        original(writer, data)

    disk = SimpleNamespace(is_full=False)
    original = event_file_writer.RecordWriter.write
    monkeypatch.setattr(event_file_writer.RecordWriter, "write", write)
    return disk


def write_report(writer: Any, step: int) -> None:
    writer.write_stats("Toy", {"Losses/Loss": StatsSummary([1.0], 0)}, step)


def steps_of(folder: Path) -> list[int]:
    files = sorted(folder.glob("events.out*"))
    return [event.step for file in files for event in EventFileLoader(str(file)).Load() if event.step]


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_full_disk_costs_reports_and_no_run(tmp_path: Path, full_disk: SimpleNamespace, caplog: Any) -> None:
    """One warning, no traceback of TensorBoard's thread; a new file begins, and the former one stays."""
    writer = stats_writer.TensorboardWriter(str(tmp_path), clear_past_data=True)
    for step, is_full in enumerate([False, True, True, False, False, True, False], start=1):
        full_disk.is_full = is_full
        write_report(writer, step)
    assert steps_of(tmp_path / "Toy") == [1, 4, 5, 7]
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 2
    assert warnings[0] == (
        "Toy: the statistics of step 2 were not written for TensorBoard: [Errno 28] No space left on device. Training "
        "goes on, and the next report is tried again."
    )


def test_report_that_is_wrong_is_an_error(tmp_path: Path) -> None:
    """Only what the disk says is survived."""
    writer = stats_writer.TensorboardWriter(str(tmp_path))
    with pytest.raises(AttributeError):
        writer.write_stats("Toy", {"Losses/Loss": 1.0}, 1)  # type: ignore[dict-item]


@pytest.mark.parametrize("name", ["configuration.yaml", "timers.json"])
def test_full_disk_at_the_end_leaves_the_files_of_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """ML-Agents opens them for writing first, which empties them."""

    def write() -> None:
        if name == "configuration.yaml":
            learn.write_run_options(str(tmp_path), learn.RunOptions())
        else:
            learn.write_timing_tree(str(tmp_path))

    def copy_half(source: Path, destination: Path) -> None:
        destination.write_bytes(source.read_bytes()[:10])
        raise full()

    monkeypatch.setattr(run_folder, "has_begun", lambda: True)
    write()
    before = (tmp_path / name).read_bytes()
    assert len(before) > 10
    monkeypatch.setattr(shutil, "copyfile", copy_half)
    with pytest.raises(UnityTrainerException, match=r"not all files of the run were written: .*No space left"):
        write()
    assert [file.name for file in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == before
