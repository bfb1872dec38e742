"""How the reason of a run's end reaches its user, and what may not take its place."""

import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mlagents.trainers import learn
from mlagents.trainers.behavior_id_utils import BehaviorIdentifiers
from mlagents.trainers.cli_utils import DetectDefault
from mlagents.trainers.exception import TrainerConfigError, UnityTrainerException
from mlagents.trainers.settings import TrainerSettings
from mlagents.trainers.trainer import TrainerFactory
from mlagents.trainers.trainer_controller import TrainerController
from mlagents_envs.environment import UnityEnvironment
from mlagents_envs.exception import UnityEnvironmentException, UnityTimeOutException, UnityWorkerInUseException
from mlagents_envs.rpc_communicator import RpcCommunicator

from mlagents_plugin_shared.testing import Corridor, Duel, train
from recording import Recorder, RecordingReplayTrainer, RecordingRolloutTrainer, config, registered  # noqa: F401


def shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, error: BaseException) -> list[str]:
    """Lines on the standard error stream where `mlagents-learn` ends with an error."""

    def fail() -> None:
        raise error from KeyError("a cause")

    monkeypatch.setattr(learn, "parse_command_line", fail)
    return shown_of(learn.main, capsys)


def shown_of(call: Callable[[], None], capsys: pytest.CaptureFixture) -> list[str]:
    """Lines on the standard error stream where a program ends with the error of a call."""
    try:
        call()
    except (Exception, KeyboardInterrupt):
        sys.excepthook(*sys.exc_info())
    return capsys.readouterr().err.splitlines()


@pytest.mark.parametrize(
    "kind", [TrainerConfigError, UnityTrainerException, UnityEnvironmentException, UnityTimeOutException]
)
def test_reason_is_the_only_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, kind: type) -> None:
    """What a user can put right, of ours or of ML-Agents, also where it has a cause."""
    assert shown(monkeypatch, capsys, kind("Toy: no.")) == ["mlagents-learn: Toy: no."]


def test_lines_of_one_reason_stay_together(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    """Each of a list of faults says whose it is; an error without words is shown by its kind."""
    faults = shown(monkeypatch, capsys, TrainerConfigError("A: one\nA: two"))
    assert faults == ["mlagents-learn: A: one", "mlagents-learn: A: two"]
    assert shown(monkeypatch, capsys, TrainerConfigError()) == ["mlagents-learn: TrainerConfigError"]


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 238. GiB for an array with shape (32, 1000000000)"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory.\nstack"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 17 bytes."),
        RuntimeError("CUDA out of memory. Tried to allocate 17 GiB."),
    ],
)
def test_want_of_memory_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, error: Exception
) -> None:
    """With what to make smaller, and the first line of what was said; another RuntimeError, the control, is a fault."""
    (line,) = shown(monkeypatch, capsys, error)
    assert line.startswith("mlagents-learn: there is not enough memory: make hidden_units, num_layers, batch_size or")
    assert line.endswith(str(error).splitlines()[0])
    assert len(shown(monkeypatch, capsys, RuntimeError("sizes differ"))) > 1


def test_second_interruption_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    """ML-Agents takes the first; one that comes while it saves would be a traceback."""
    (line,) = shown(monkeypatch, capsys, KeyboardInterrupt())
    assert line.startswith("mlagents-learn: interrupted")


def test_fault_of_a_program_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    """Nobody could do anything with its last line alone."""
    lines = shown(monkeypatch, capsys, ValueError("shapes differ"))
    assert "Traceback (most recent call last):" in lines
    assert lines[-1] == "ValueError: shapes differ"


def test_debug_keeps_the_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    """As `--debug` asks for, also before ML-Agents has set up its log."""
    monkeypatch.setattr(DetectDefault, "non_default_args", {"debug"})
    lines = shown(monkeypatch, capsys, TrainerConfigError("Toy: no."))
    assert "Traceback (most recent call last):" in lines
    assert lines[-1].endswith("TrainerConfigError: Toy: no.")


def test_other_programs_keep_the_traceback(capsys: pytest.CaptureFixture) -> None:
    """A script that trains without the command sees where its error came from."""

    def script() -> None:
        raise TrainerConfigError("Toy: no.")

    assert "Traceback (most recent call last):" in shown_of(script, capsys)


# Nothing on the way out replaces the reason


def refuse(*_: object) -> None:
    """Fails as a disk does that is full."""
    raise OSError("no space")


def end_with(reason: Exception, last: Callable[[], None]) -> None:
    """A run that ends with a reason, and what it does on its way out."""
    try:
        raise reason
    finally:
        last()


def controller(steps: int, saved: list[str]) -> SimpleNamespace:
    """Two trainers, of which the first cannot be saved and the second notes that it was."""
    unsavable = SimpleNamespace(save_model=refuse, get_step=5)
    return SimpleNamespace(
        trainers={"A": unsavable, "B": SimpleNamespace(save_model=lambda: saved.append("B"), get_step=steps)}
    )


def test_failure_to_save_does_not_replace_the_reason() -> None:
    """The others are saved all the same."""
    saved: list[str] = []
    with pytest.raises(TrainerConfigError, match="the reason"):
        end_with(TrainerConfigError("the reason"), lambda: TrainerController._save_models(controller(9, saved)))
    assert saved == ["B"]


def test_failure_to_save_is_an_error_where_there_is_no_other() -> None:
    """A run that ends well, and whose model is lost, does not end well."""
    with pytest.raises(OSError, match="no space"):
        TrainerController._save_models(controller(9, []))


def test_what_took_no_step_is_not_saved_by_a_run_that_fails() -> None:
    """An untrained policy is no result; Ctrl+C, which is no error here, keeps it as before."""
    saved: list[str] = []
    run = SimpleNamespace(trainers={"B": controller(0, saved).trainers["B"]})
    with pytest.raises(TrainerConfigError):
        end_with(TrainerConfigError("the reason"), lambda: TrainerController._save_models(run))
    assert saved == []
    TrainerController._save_models(run)
    assert saved == ["B"]


@pytest.mark.parametrize("name", ["write_run_options", "write_timing_tree", "write_training_status"])
def test_files_at_the_end_do_not_replace_the_reason(tmp_path: Path, name: str) -> None:
    """A folder in the place of each file: an error of its own only where the run has none."""
    for file in ("configuration.yaml", "timers.json", "training_status.json"):
        (tmp_path / file).mkdir()
    arguments = [str(tmp_path), *([learn.RunOptions()] if name == "write_run_options" else [])]
    with pytest.raises(UnityTrainerException, match=r"not all files of the run were written: .*directory"):
        getattr(learn, name)(*arguments)
    with pytest.raises(TrainerConfigError, match="the reason"):
        end_with(TrainerConfigError("the reason"), lambda: getattr(learn, name)(*arguments))


class Refusal(Exception):
    """Any error, of a kind that nobody knows."""


def raise_refusal(*_: object, **__: object) -> None:
    """Fails."""
    raise Refusal("no")


@pytest.mark.parametrize("threaded", [False, True])
@pytest.mark.parametrize(
    ("trainer_type", "place", "name"),
    [
        *(
            (trainer_type, trainer, name)
            for trainer_type, trainer in (("replay", RecordingReplayTrainer), ("rollout", RecordingRolloutTrainer))
            for name in (
                "create_policy",
                "create_optimizer",
                "add_policy",
                "prepare",
                "advance",
                "_process_trajectory",
            )
        ),
        ("replay", Recorder, "update"),
        ("rollout", Recorder, "update"),
    ],
)
@pytest.mark.usefixtures("registered")
def test_whatever_fails_is_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trainer_type: str, place: type, name: str, threaded: bool
) -> None:
    """Wherever a trainer fails, the run ends with that error and no other, also in a thread of its own."""
    monkeypatch.setattr(place, name, raise_refusal)
    with pytest.raises(Refusal):
        train(Corridor(), {**config(trainer_type, buffer_size=50), "threaded": threaded}, tmp_path)


@pytest.mark.parametrize("threaded", [False, True])
@pytest.mark.parametrize("self_play", [None, {"save_steps": 100}], ids=["alone", "self-play"])
@pytest.mark.parametrize("kind", [KeyError, AttributeError, TypeError])
@pytest.mark.parametrize("name", ["__init__", "create_policy", "create_optimizer"])
@pytest.mark.parametrize("trainer", [RecordingReplayTrainer, RecordingRolloutTrainer])
@pytest.mark.usefixtures("registered")
def test_fault_of_an_author_is_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trainer: type, name: str, kind: type, self_play: Any, threaded
) -> None:
    """Not "unknown trainer type", which ML-Agents makes of a KeyError, nor what fails after it."""

    def fail(*_: object) -> None:
        raise kind("of the author")

    monkeypatch.setattr(trainer, name, fail)
    trainer_type = "replay" if trainer is RecordingReplayTrainer else "rollout"
    settings = {**config(trainer_type, buffer_size=50), "threaded": threaded, "self_play": self_play}
    with pytest.raises(kind, match="of the author"):
        train(Duel() if self_play else Corridor(), settings, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("trainer", [RecordingReplayTrainer, RecordingRolloutTrainer])
@pytest.mark.usefixtures("registered")
def test_trainer_without_an_optimizer_has_nothing_to_save(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trainer: type
) -> None:
    """A program of an author may save on its way out of an error, as ML-Agents does; its reason is not replaced."""
    trainer_type = "replay" if trainer is RecordingReplayTrainer else "rollout"
    settings = TrainerSettings.structure(config(trainer_type), TrainerSettings)
    made = trainer("Toy", 1, settings, True, False, 0, str(tmp_path / "Toy"))
    monkeypatch.setattr(trainer, "create_optimizer", raise_refusal)
    (spec,) = Corridor().behavior_specs.values()
    team = BehaviorIdentifiers.from_name_behavior_id("Toy?team=0")
    with pytest.raises(Refusal):
        made.add_policy(team, made.create_policy(team, spec))
    made.save_model()
    assert not list(tmp_path.iterdir())


def test_trainer_type_that_is_not_known_stays_so(tmp_path: Path) -> None:
    """The control."""
    lessons = SimpleNamespace(get_minimum_reward_buffer_size=lambda name: 1)
    factory = TrainerFactory({"Toy": SimpleNamespace(trainer_type="none")}, str(tmp_path), True, False, 0, lessons)
    with pytest.raises(TrainerConfigError, match="unknown trainer type"):
        factory.generate("Toy")


def test_thread_that_fails_in_its_last_round_ends_the_run() -> None:
    """Nothing advances any more then, and its failure is found where ML-Agents waits for it."""
    trainer = SimpleNamespace(advance=raise_refusal)
    run = TrainerController.__new__(TrainerController)
    run.kill_trainers, run.trainer_threads = False, []
    run.trainer_update_func(trainer)
    with pytest.raises(Refusal):
        run.join_threads()
    with pytest.raises(KeyError):
        end_with(KeyError("another reason came first"), run.join_threads)


# Demonstrations


def pointer(folder: Path) -> Path:
    """A Git LFS pointer."""
    file = folder / "expert.demo"
    file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    return file


def damaged(folder: Path) -> Path:
    """Bytes that are no message."""
    file = folder / "expert.demo"
    file.write_bytes(b"\x0c\x08\x01" + b"\xff" * 100)
    return file


def renamed(folder: Path) -> Path:
    """A file of another name."""
    file = folder / "expert.bin"
    file.write_bytes(b"\x0c\x08\x01" + bytes(100))
    return file


def empty_folder(folder: Path) -> Path:
    """A folder without recordings."""
    (folder / "demos").mkdir()
    return folder / "demos"


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda folder: folder / "typo.demo", r"\S+typo\.demo does not exist\. Look at the path"),
        (pointer, r"\S+expert\.demo is a Git LFS pointer, not the file itself: run `git lfs pull`"),
        (damaged, r"\S+expert\.demo is damaged or cut short: .*Record or copy it again\."),
        (renamed, r"\S+expert\.bin is not named \.demo"),
        (empty_folder, r"the folder \S+demos holds no \.demo file\."),
    ],
)
@pytest.mark.parametrize(
    ("key", "place"),
    [("gail", "reward_signals: gail: demo_path"), ("behavioral_cloning", "behavioral_cloning: demo_path")],
)
@pytest.mark.parametrize("trainer_type", ["replay", "rollout", "ppo"])
@pytest.mark.usefixtures("registered")
def test_demonstration_that_cannot_be_used_is_named(
    tmp_path: Path, trainer_type: str, key: str, place: str, make: Callable[[Path], Path], line: str
) -> None:
    """Behaviour, key, file and remedy, for our trainers and for ML-Agents' own."""
    settings = config(trainer_type, buffer_size=50)
    path = str(make(tmp_path))
    if key == "gail":
        settings["reward_signals"] = {"extrinsic": {}, "gail": {"demo_path": path}}
    else:
        settings[key] = {"demo_path": path}
    with pytest.raises(TrainerConfigError, match=rf"^Toy: {place}: {line}"):
        train(Corridor(), settings, tmp_path / "results")


def test_port_that_is_taken_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """ML-Agents' own error is garbled on the way between processes: its words are put into themselves."""

    def hold(communicator: RpcCommunicator, port: int) -> None:
        raise UnityWorkerInUseException(communicator.worker_id)

    monkeypatch.setattr(RpcCommunicator, "check_port", hold)
    with pytest.raises(UnityEnvironmentException) as raised:
        UnityEnvironment._get_communicator(2, 5005, 1)
    error = pickle.loads(pickle.dumps(raised.value))
    assert str(error).startswith("Port 5007 is taken: worker number 2 is still in use")
