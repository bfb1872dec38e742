"""What trainers write and when: disks that are full, folders of other runs, runs that cannot go on."""

import contextlib
import io
import json
import math
from collections import deque
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mlagents.torch_utils import torch
from mlagents.trainers import learn
from mlagents.trainers.exception import TrainerConfigError, UnityTrainerException
from mlagents.trainers.trainer_controller import TrainerController
from mlagents.trainers.training_status import GlobalTrainingStatus, StatusType
from mlagents_envs.base_env import ActionSpec, ActionTuple

from mlagents_plugin_shared.data import BufferMemoryError, ReplayBuffer
from mlagents_plugin_shared.learning.optimizer import MOST_SKIPPED
from mlagents_plugin_shared.run import checkpoints
from mlagents_plugin_shared.run.chance import Chance
from mlagents_plugin_shared.run.checkpoint_files import (
    has_checkpoint,
    is_new_in_run,
    newest_intact,
    read_checkpoint,
    set_former_aside,
)
from mlagents_plugin_shared.run.episodes import Episodes
from mlagents_plugin_shared.run.files import FolderInUse
from mlagents_plugin_shared.run.host import run_folder
from mlagents_plugin_shared.run.saves import Saves
from mlagents_plugin_shared.testing import BEHAVIOR, Outcome, train
from recording import Recorder, registered  # noqa: F401 - a fixture
from short_runs import Paying, names, parts_of, settings, steps_of

pytestmark = pytest.mark.usefixtures("registered")


def break_disk(monkeypatch: pytest.MonkeyPatch, attempts: int) -> list[Path]:
    """Lets the first attempts to write a .pt file fail half-way; gives what was written after that."""
    save, written = torch.save, []

    def failing(state: Any, path: Path) -> None:
        nonlocal attempts
        attempts -= 1
        if attempts >= 0:
            Path(path).write_bytes(b"half")
            raise OSError(28, "No space left on device")
        written.append(path)
        save(state, path)

    monkeypatch.setattr(checkpoints.torch, "save", failing)
    return written


@pytest.mark.parametrize("trainer_type", ["replay", "rollout"])
def test_checkpoints_are_of_whole_rounds(tmp_path: Path, trainer_type: str) -> None:
    """One falls due at 100, 200, 300 and at the end; each is of the first moment after it at which all is learned."""
    trainer = train(Paying([1.0]), settings(trainer_type), tmp_path)
    assert trainer.get_step == 404
    assert steps_of(tmp_path) == steps_of(tmp_path, ".onnx") == [100, 200, 300, 400, 404]
    saved = read_checkpoint(tmp_path / BEHAVIOR / "checkpoint.pt")
    assert parts_of(saved)["episodes"]["returns"] == [1.0] * 100


def test_end_on_a_due_checkpoint_keeps_one(tmp_path: Path) -> None:
    """With keep_checkpoints 1 the final checkpoint, written where one fell due, is listed once and not deleted."""
    train(Paying([1.0]), settings(max_steps=396, interval=400, keep_checkpoints=1), tmp_path)
    assert steps_of(tmp_path) == [400]
    listed = GlobalTrainingStatus.get_parameter_state(BEHAVIOR, StatusType.CHECKPOINTS)
    assert [checkpoint["steps"] for checkpoint in listed] == [400]
    assert (tmp_path / f"{BEHAVIOR}.onnx").exists()


def test_full_disk_does_not_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog) -> None:
    """The first two checkpoints are missing, with a warning each; the others are there, and nothing half-written."""
    break_disk(monkeypatch, attempts=2)
    with caplog.at_level("WARNING"):
        train(Paying([1.0]), settings(), tmp_path)
    assert steps_of(tmp_path) == [300, 400, 404]
    assert not [name for name in names(tmp_path) if name.startswith(".unfinished")]
    assert "the checkpoint at step 100 was not written: [Errno 28] No space left on device (" in caplog.text
    assert "Training goes on" in caplog.text


def test_final_checkpoint_that_cannot_be_written_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what was not saved and where a resume begins; so mlagents-learn does not exit with 0."""
    written: list[int] = []

    def fail_at_the_end(self, name: str, step: int):
        if step > 400:
            raise OSError(28, "No space left on device")
        written.append(step)
        return save(self, name, step)

    save = checkpoints.CheckpointSaver.save_checkpoint
    monkeypatch.setattr(checkpoints.CheckpointSaver, "save_checkpoint", fail_at_the_end)
    with pytest.raises(UnityTrainerException, match=r"^Toy: the final checkpoint .* 404 .*No space.* from step 400\.$"):
        train(Paying([1.0]), settings(), tmp_path)
    assert written == [100, 200, 300, 400]


@pytest.mark.parametrize("fails", [range(100, 400), range(100, 500)], ids=["at first", "to the end"])
def test_replay_that_cannot_be_written_costs_no_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog, fails: range
) -> None:
    """Checkpoints and the model are there without it; a run whose last replay is missing does not end with 0."""

    def failing(self: ReplayBuffer, *arguments: Any) -> None:
        if self.serial in fails:
            raise OSError(28, "No space left on device")
        write(self, *arguments)

    write, keeps = ReplayBuffer.save_to_file, {"save_replay_buffer": True}
    to_the_end = 404 in fails
    expected = pytest.raises(
        UnityTrainerException, match=r"^Toy: checkpoint .* 404 .* replay is not\. --resume .* empty one\.$"
    )
    with monkeypatch.context() as patch, expected if to_the_end else contextlib.nullcontext():
        patch.setattr(ReplayBuffer, "save_to_file", failing)
        train(Paying([1.0]), settings("replay", hyperparameters=keeps), tmp_path)
    assert steps_of(tmp_path) == [100, 200, 300, 400, 404]
    assert (tmp_path / f"{BEHAVIOR}.onnx").exists()
    assert (tmp_path / BEHAVIOR / "last_replay_buffer.hdf5").exists() is not to_the_end
    assert "the replay at step 100 was not written: [Errno 28] No space left on device (" in caplog.text
    assert "The checkpoint is whole; until a replay is written, --resume goes on with an empty one." in caplog.text
    resumed = train(Paying([1.0]), settings("replay", 600, hyperparameters=keeps), tmp_path, resume=True)
    assert resumed.update_buffer.num_experiences == 50


class Other(Paying):
    """The same with other actions."""

    def __init__(self, actions: ActionSpec, **kwargs: Any) -> None:
        self.action_spec = actions
        super().__init__([1.0], **kwargs)


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        ((4,), (2, 2), r"discrete action of shape \[1\], but the behaviour has discrete action of shape \[2\]"),
        ((3, 2), (2, 3), r"actions of the branches \[3, 2\], but the behaviour has \[2, 3\]"),
        ((3, 2), (3, 2), None),
    ],
    ids=["4 to 2 and 2", "3 and 2 to 2 and 3", "the same, the control"],
)
def test_saved_replay_of_other_actions_is_refused(
    tmp_path: Path, before: tuple[int, ...], now: tuple[int, ...], said: str | None
) -> None:
    """Before the first step: masks are as wide, and actions that do not exist would be learned from."""
    values = settings("replay", hyperparameters={"save_replay_buffer": True})
    train(Other(ActionSpec(0, before)), values, tmp_path)
    refused = pytest.raises(TrainerConfigError, match=rf"^Toy: the replay .* holds {said}\. Delete it, or set ")
    with refused if said else contextlib.nullcontext():
        train(Other(ActionSpec(0, now)), {**values, "max_steps": 500}, tmp_path, resume=True)


def test_run_that_is_begun_anew_leaves_nothing_that_a_resume_takes_up(tmp_path: Path, caplog) -> None:
    """A former run with a high score and a replay lies aside, and the next one takes its place there."""
    keeps = {"save_replay_buffer": True, "keep_best": True, "reward_window": 5}
    with caplog.at_level("INFO"):
        train(Paying([100.0]), settings("replay", hyperparameters=keeps), tmp_path)
        assert "the run before" not in caplog.text
        former = {file.name: file.read_bytes() for file in (tmp_path / BEHAVIOR).iterdir() if file.suffix != ".json"}
        train(Paying([1.0]), settings("replay", 200), tmp_path)
    assert f"models of the run before are in {tmp_path / BEHAVIOR / 'former'}" in caplog.text
    assert {file.name: file.read_bytes() for file in (tmp_path / BEHAVIOR / "former").iterdir()} == former
    assert steps_of(tmp_path) == [100, 200, 204]
    resumed = train(Paying([1.0]), settings("replay", hyperparameters=keeps), tmp_path, resume=True)
    assert resumed.goals.best == 1.0
    assert resumed.update_buffer.serial <= 204
    (tmp_path / BEHAVIOR / "checkpoint.pt").write_bytes(b"damaged")
    assert newest_intact(tmp_path / BEHAVIOR / "checkpoint.pt")[0].name == f"{BEHAVIOR}-404.pt"
    train(Paying([1.0]), settings("replay", 100), tmp_path)
    assert f"{BEHAVIOR}-best.pt" in {file.name for file in (tmp_path / BEHAVIOR / "former").iterdir()}
    assert steps_of(tmp_path) == [100, 104]


def test_former_run_does_not_count_as_another_behavior(tmp_path: Path) -> None:
    """A run that was begun anew and killed before its first checkpoint cannot be resumed."""
    train(Paying([1.0]), settings("replay"), tmp_path)
    set_former_aside(tmp_path / BEHAVIOR)
    assert not has_checkpoint(tmp_path / BEHAVIOR)
    assert not is_new_in_run(tmp_path / BEHAVIOR, tmp_path)
    assert is_new_in_run(tmp_path / "New", tmp_path) is False


def test_inference_beside_a_run_that_trains_writes_nothing(tmp_path: Path) -> None:
    """Neither what that run is writing is removed, nor is its status put back to what it was."""
    (tmp_path / "run_logs").mkdir()
    train(Paying([1.0]), settings(), tmp_path)
    (tmp_path / BEHAVIOR / ".unfinished-1-checkpoint.pt").touch()
    (tmp_path / "run_logs" / "training_status.json").write_text("of the run that trains")
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}

    class Ending(Paying):
        """What ML-Agents does at the end of a run, in its last steps."""

        def act(self, action: ActionTuple) -> Outcome:
            learn.write_training_status(str(tmp_path / "run_logs"))
            return super().act(action)

    task = Ending([1.0], max_steps=50)
    train(task, settings(), tmp_path, resume=True, inference=True)
    assert task.acted
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


def test_saved_replay_that_does_not_fit_into_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures that are saved as floats need more than the replay that was made for them."""

    def refuse(*_: Any) -> None:
        raise BufferMemoryError("buffer_size 50 needs 1 TB")

    values = settings("replay", hyperparameters={"save_replay_buffer": True})
    train(Paying([1.0]), values, tmp_path)
    monkeypatch.setattr(ReplayBuffer, "load_from_file", refuse)
    with pytest.raises(TrainerConfigError, match=r"^Toy: buffer_size 50 needs 1 TB\.$"):
        train(Paying([1.0]), {**values, "max_steps": 500}, tmp_path, resume=True)


def test_pictures_that_are_no_pixels_and_do_not_fit_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The replay would have to keep floats; what was learned before is saved."""

    def refuse(*_: Any) -> None:
        raise BufferMemoryError("buffer_size 50 needs 1 TB")

    def refuse_from_step_200(self: ReplayBuffer, segment: Any) -> None:
        (refuse if self.serial >= 200 else add)(self, segment)

    add = ReplayBuffer.add
    monkeypatch.setattr(ReplayBuffer, "add", refuse_from_step_200)
    with pytest.raises(TrainerConfigError, match=r"^Toy: buffer_size 50 needs 1 TB\.$"):
        train(Paying([1.0]), settings("replay"), tmp_path)
    assert steps_of(tmp_path)[0] == 100


@pytest.mark.skipif("not hasattr(__import__('os'), 'fork')", reason="limits the size of files as POSIX does")
def test_disk_that_is_really_full_leaves_the_former_checkpoint(tmp_path: Path) -> None:
    """With files limited to 1,000 bytes nothing can be written; the former files stay as they were."""
    import resource

    trainer = train(Paying([1.0]), settings(), tmp_path)
    before = {file.name: file.read_bytes() for file in (tmp_path / BEHAVIOR).iterdir()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        trainer._step += 1
        with pytest.raises(UnityTrainerException, match="the final checkpoint and model at step 405 were not written"):
            trainer.save_model()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {file.name: file.read_bytes() for file in (tmp_path / BEHAVIOR).iterdir()} == before
    trainer.save_model()
    assert 405 in steps_of(tmp_path)


@pytest.mark.parametrize(
    ("error", "said"),
    [(io.UnsupportedOperation("read"), "UnsupportedOperation read ("), (RuntimeError(), "RuntimeError (")],
    ids=["one word", "nothing"],
)
def test_save_that_fails_says_what_it_can(tmp_path: Path, caplog, error: Exception, said: str) -> None:
    """An error of one word, or of none, is named by its type too."""

    def write() -> None:
        raise error

    with caplog.at_level("WARNING"):
        assert not Saves(BEHAVIOR, tmp_path, resumes=False).attempt("checkpoint", 100, write)
    assert f"Toy: the checkpoint at step 100 was not written: {said}" in caplog.text


def test_every_behavior_is_saved_even_if_one_cannot_be() -> None:
    """The error comes after the others were saved; it names each that was not."""

    def trainer(behavior: str, *, fails: bool) -> SimpleNamespace:
        def save() -> None:
            if fails:
                raise UnityTrainerException(f"{behavior}: not written.")
            saved.append(behavior)

        return SimpleNamespace(save_model=save)

    saved: list[str] = []
    trainers = {"A": trainer("A", fails=True), "B": trainer("B", fails=False)}
    with pytest.raises(UnityTrainerException, match=r"^A: not written\.$"):
        TrainerController._save_models(SimpleNamespace(trainers=trainers))
    assert saved == ["B"]
    trainers["C"] = trainer("C", fails=True)
    with pytest.raises(UnityTrainerException, match=r"^A: not written\. C: not written\.$"):
        TrainerController._save_models(SimpleNamespace(trainers=trainers))


def test_folder_of_another_run_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs of one name would overwrite each other; the second is told so, and writes nothing."""
    train(Paying([1.0]), settings(), tmp_path)
    before = {file: file.read_bytes() for file in (tmp_path / BEHAVIOR).iterdir()}

    def held(folder: str) -> None:
        raise FolderInUse(f"another process writes to {folder}")

    monkeypatch.setattr(run_folder, "hold_folder", held)
    with pytest.raises(TrainerConfigError, match=r"^another process writes to .* choose another --run-id"):
        train(Paying([1.0]), settings(max_steps=800), tmp_path, resume=True)
    assert {file: file.read_bytes() for file in (tmp_path / BEHAVIOR).iterdir()} == before


def test_resume_that_fails_leaves_the_checkpoint_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ML-Agents saves on its way out of an error, and what is half resumed would take the checkpoint's place."""
    train(Paying([1.0]), settings(), tmp_path)
    before = {file: file.read_bytes() for file in (tmp_path / BEHAVIOR).iterdir()}

    def fail(self: Chance, state: dict) -> None:
        raise RuntimeError("of another version")

    monkeypatch.setattr(Chance, "load_state_dict", fail)
    with pytest.raises(RuntimeError, match="of another version"):
        train(Paying([1.0]), settings(max_steps=800), tmp_path, resume=True)
    assert {file: file.read_bytes() for file in (tmp_path / BEHAVIOR).iterdir()} == before


def test_folder_that_cannot_be_written_to_is_named_at_the_start(tmp_path: Path) -> None:
    """Before the first step, with the reason."""
    task = Paying([1.0])
    (tmp_path / BEHAVIOR).touch()
    with pytest.raises(TrainerConfigError, match=f"nothing can be written to .*{BEHAVIOR}: .*--results-dir"):
        train(task, settings(), tmp_path)
    assert task.acted == 0


@pytest.mark.parametrize("content", ['{"metadata": {"stats_for', "", '{"metadata"'])
def test_damaged_training_status_does_not_stop_a_resume(tmp_path: Path, content: str, caplog) -> None:
    """A file that a kill cut off is left out with a warning."""
    file = tmp_path / "training_status.json"
    file.write_text(content)
    with caplog.at_level("WARNING"):
        GlobalTrainingStatus.load_state(str(file))
    assert "training_status.json is damaged" in caplog.text


def test_shorter_list_of_returns_keeps_the_newest() -> None:
    """Where `min_lesson_length` is smaller on a resume: the list has the newest first."""
    many, few = (Episodes(5, deque(maxlen=size)) for size in (100, 10))
    for episode in range(100):
        many._curriculum.appendleft(float(episode))
    few.load_state_dict(many.state_dict())
    assert list(few._curriculum) == [99.0 - place for place in range(10)]


def test_training_status_is_written_at_every_checkpoint(tmp_path: Path) -> None:
    """A run that is killed still knows its lessons and which checkpoints are to be deleted."""
    (tmp_path / "run_logs").mkdir()

    class Stopping(Paying):
        def act(self, action: ActionTuple) -> Outcome:
            if self.acted == 40:
                seen.update(json.loads((tmp_path / "run_logs" / "training_status.json").read_text()))
            return super().act(action)

    seen: dict[str, Any] = {}
    train(Stopping([1.0]), settings(), tmp_path)
    assert [checkpoint["steps"] for checkpoint in seen[BEHAVIOR]["checkpoints"]] == [100]


def test_run_whose_steps_cannot_be_taken_ends_with_the_last_good_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From step 200 on no loss is a number: one error, and what was saved before stays as it was."""
    update = Recorder.update

    def broken_update(self, batch, num_sequences: int):
        if self.policy.get_current_step() > 200:
            self.guard.admits(math.nan, 1.0)
        return update(self, batch, num_sequences)

    monkeypatch.setattr(Recorder, "update", broken_update)
    with pytest.raises(UnityTrainerException, match=r"^Toy: .* the loss was nan.*--resume goes on from step 200\.$"):
        train(Paying([1.0]), settings(max_steps=5000, hyperparameters={"batch_size": 20}), tmp_path)
    assert steps_of(tmp_path) == [100, 200]
    assert not (tmp_path / f"{BEHAVIOR}.onnx").exists()
    resumed = read_checkpoint(tmp_path / BEHAVIOR / "checkpoint.pt")
    assert parts_of(resumed)["optimizer"]["skipped"] < MOST_SKIPPED
