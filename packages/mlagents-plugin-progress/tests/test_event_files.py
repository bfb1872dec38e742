"""Event files, against TensorBoard's own reader."""

from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from mlagents_plugin_progress.event_files import merged, read_curve, read_sessions, recorded_scores, tags_of
from mlagents_plugin_progress.scores import ELO, GROUP_REWARD, REWARD
from mlagents_plugin_progress.tally import Score
from written_runs import write_events


def test_scalars_are_those_that_tensorboard_reads(tmp_path: Path) -> None:
    """Of a file with texts, histograms, and a tag that only begins like the one that is wanted."""
    writer = SummaryWriter(str(tmp_path))
    writer.add_text("Hyperparameters", "Environment/Cumulative Reward")
    for step in range(20):
        writer.add_scalar("Environment/Cumulative Reward", step / 7, 100 * step)
        writer.add_scalar("Environment/Cumulative Reward 2", -1.0, 100 * step)
        writer.add_histogram("Environment/Cumulative Reward_hist", np.array([step, step + 1.0]), 100 * step)
        writer.add_scalar("Losses/Value Loss", -step, 100 * step)
    writer.close()
    theirs = EventAccumulator(str(tmp_path)).Reload().Scalars(REWARD)
    ours = read_curve(tmp_path, REWARD)
    assert [(point.step, point.value) for point in ours] == [(event.step, event.value) for event in theirs]
    assert read_curve(tmp_path) == ours
    assert tags_of(tmp_path) == [REWARD, f"{REWARD} 2", "Losses/Value Loss"]


def test_long_tag_is_found(tmp_path: Path) -> None:
    """Protobuf writes the length of one of more than 127 letters in two bytes."""
    tag = "Policy/" + "long " * 40
    write_events(tmp_path, [(100, 1010.0, {tag: 2.0})])
    assert [point.value for point in read_curve(tmp_path, tag)] == [2.0]


def test_reward_of_the_group_is_added(tmp_path: Path) -> None:
    """Step by step, where there is one."""
    write_events(tmp_path, [(100, 1010.0, {REWARD: 1.0}), (200, 1020.0, {REWARD: 1.0, GROUP_REWARD: 2.0})])
    assert [point.value for point in read_curve(tmp_path)] == [1.0, 3.0]


def test_resumed_run_is_one_curve(tmp_path: Path) -> None:
    """It went back to step 200: what came after that is replaced, and the pause of 900 s does not count."""
    write_events(tmp_path, [(100 * n, 1000.0 + 10 * n, {REWARD: float(n)}) for n in (1, 2, 3, 4)], began=1000)
    write_events(tmp_path, [(100 * n, 1900.0 + 10 * (n - 2), {REWARD: 10.0 * n}) for n in (3, 4, 5)], began=1900)
    curve = read_curve(tmp_path)
    assert [point.step for point in curve] == [100, 200, 300, 400, 500]
    assert [point.value for point in curve] == [1, 2, 30, 40, 50]
    assert [point.seconds for point in curve] == [10, 20, 30, 40, 50]


def test_sessions_go_by_their_time_and_not_by_their_names(tmp_path: Path) -> None:
    """Names sort 1000 before 900."""
    write_events(tmp_path, [(200, 1010.0, {REWARD: 2.0})], began=1000)
    write_events(tmp_path, [(100, 910.0, {REWARD: 1.0})], began=900)
    assert [point.value for point in read_curve(tmp_path)] == [1.0, 2.0]


@pytest.mark.parametrize("kept", range(0, 400, 7))
def test_file_that_is_cut_off_is_read_up_to_there(tmp_path: Path, kept: int) -> None:
    """A run that still writes, or was killed, is no error."""
    file = write_events(tmp_path, [(100 * n, 1000.0 + n, {REWARD: float(n)}) for n in (1, 2, 3, 4)])
    file.write_bytes(file.read_bytes()[:kept])
    steps = [point.step for point in read_curve(tmp_path)]
    assert steps == [100, 200, 300, 400][: len(steps)]


def test_file_with_no_record_is_no_session(tmp_path: Path) -> None:
    """A run that has just begun."""
    (tmp_path / "events.out.tfevents.1").touch()
    assert read_sessions(tmp_path, [REWARD]) == []
    assert merged([]) == []


def test_recorded_scores_are_elos_in_self_play(tmp_path: Path) -> None:
    """And none where there is no folder."""
    write_events(tmp_path, [(100, 1010.0, {REWARD: 1.0, ELO: 1210.0})])
    assert recorded_scores(tmp_path, self_play=True) == [Score(100, 1210.0)]
    assert recorded_scores(tmp_path, self_play=False) == [Score(100, 1.0)]
    assert recorded_scores(tmp_path / "none", self_play=False) == []


def test_nothing_is_read_of_a_damaged_file_that_was_not_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Wherever a byte is another one; where it is read no further it is named. A damaged tag is one of nobody's."""
    file = write_events(tmp_path, [(step, 1000.0 + step, {REWARD: step / 10}) for step in (1, 2, 3)])
    whole, content = read_curve(tmp_path), file.read_bytes()
    for place in range(0, len(content), 3):
        file.write_bytes(bytes([*content[:place], content[place] ^ 0x55, *content[place + 1 :]]))
        caplog.clear()
        curve = read_curve(tmp_path)
        assert set(curve) <= set(whole), place
        assert len(curve) >= len(whole) - 1 or "is damaged from byte" in caplog.text, place


@pytest.mark.parametrize(
    "content", [b"\xff" * 500, b"no event file, but a text " * 20, b"\x02" + b"\0" * 11 + b"\xff" * 6]
)
def test_file_that_is_something_else_has_no_curve(tmp_path: Path, content: bytes) -> None:
    """However long its first record claims to be."""
    (tmp_path / "events.out.tfevents.1.host.0").write_bytes(content)
    assert read_curve(tmp_path) == []
    assert tags_of(tmp_path) == []
