"""What a player says before it ends, and how that becomes the reason of a run's end."""

import os
import sys
from multiprocessing import Pipe
from pathlib import Path
from types import SimpleNamespace

import pytest
from mlagents.plugins.trainer_type import register_trainer_plugins
from mlagents.trainers import learn
from mlagents.trainers.cli_utils import DetectDefault
from mlagents.trainers.exception import UnityTrainerException
from mlagents.trainers.settings import RunOptions, TrainerSettings
from mlagents.trainers.subprocess_env_manager import EnvironmentCommand, EnvironmentResponse, UnityEnvWorker
from mlagents.trainers.trainer import TrainerFactory
from mlagents_envs import env_utils
from mlagents_envs.environment import UnityEnvironment
from mlagents_envs.exception import UnityCommunicatorStoppedException, UnityEnvironmentException

from mlagents_plugin_shared.run.host import arguments, players
from mlagents_plugin_shared.run.host.players import find_reason

LESSONS = SimpleNamespace(get_minimum_reward_buffer_size=lambda name: 1)
STAMP = "2026-01-02 03:04:05,678"
TRACE = 'Traceback (most recent call last):\n  File "a.py", line 3, in f\n    raise X\n'
CHAIN = "\nDuring handling of the above exception, another exception occurred:\n\n"


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        ("", ""),
        ("\n \n", ""),
        ("Loading\nReady\n", "Ready"),
        (f"{STAMP} INFO Playing.\n{STAMP} ERROR There is no gravty.\n", "There is no gravty."),
        (f"{STAMP} ERROR There is no gravty.\n{STAMP} INFO Recorded a.demo.\n", "There is no gravty."),
        (f"{STAMP} ERROR It failed.\n{TRACE}ValueError: 3 wheels\n", "ValueError: 3 wheels"),
        (f"{STAMP} ERROR It failed.\n{TRACE}ValueError: 3 wheels,\n  not 4\n", "ValueError: 3 wheels, not 4"),
        (f"{TRACE}KeyError: 1\n{CHAIN}{TRACE}ValueError: 2\n", "ValueError: 2"),
        (f"{STAMP} ERROR One.\n{TRACE}KeyError: 1\n{STAMP} ERROR The scene failed.\n", "The scene failed."),
        (
            "NullReferenceException: no ball\n  at Ball.Update ()\nUnloading 5 assets\n",
            "NullReferenceException: no ball",
        ),
        ("ALSA: no card\nFatal error in gc\nThread 0x00\n", "Fatal error in gc"),
        ("x" * 2000, "x" * 500),
    ],
)
def test_reason_is_found_in_a_log(log: str, reason: str) -> None:
    """The last error of Python's logging or traceback; the last complaint; the last line."""
    assert find_reason(log) == reason


def python(folder: Path, program: str) -> Path:
    """A program that `--env` can name."""
    if os.name != "posix":
        pytest.skip("the program is a shell script")
    file = folder / "player"
    file.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{program}' \"$@\"\n")
    file.chmod(0o755)
    return file


def environment(folder: Path, program: str, exchange: type[Exception] | None = None) -> SimpleNamespace:
    """As much of ML-Agents' environment as looks after a process, with one that runs a program."""
    player = env_utils.launch_executable(str(python(folder, program)), ["-logFile", str(folder / "Player-0.log")])
    return SimpleNamespace(_process=player, _is_first_message=False)


WRITES = 'import sys; open(sys.argv[2], "w").write("RuntimeError: no ball"); sys.exit({code})'


def test_player_that_is_gone_is_quoted(tmp_path: Path) -> None:
    """Return code, log and reason, in one line."""
    gone = environment(tmp_path, WRITES.format(code=3))
    gone._process.wait()
    with pytest.raises(UnityEnvironmentException) as raised:
        UnityEnvironment._poll_process(gone)
    said = "The environment ended with return code 3 (its log: Player-0.log): RuntimeError: no ball"
    assert str(raised.value) == said


def stop(environment: SimpleNamespace) -> None:
    """What ML-Agents makes of a goodbye."""
    raise UnityCommunicatorStoppedException("Communicator has exited.")


def test_goodbye_before_an_error_is_an_error(tmp_path: Path) -> None:
    """The return code tells it from the end of a run that went well."""
    failed = environment(tmp_path, WRITES.format(code=1))
    with pytest.raises(UnityEnvironmentException, match=r"return code 1 .*: RuntimeError: no ball$"):
        players._naming_reason(stop)(failed)


def test_goodbye_of_a_sound_player_stays_one(tmp_path: Path) -> None:
    """It ends with code 0; or it is the Editor, whose process is not ML-Agents' own."""
    editor = SimpleNamespace(_process=None, _is_first_message=False)
    for sound in (environment(tmp_path, WRITES.format(code=0)), editor):
        with pytest.raises(UnityCommunicatorStoppedException):
            players._naming_reason(stop)(sound)


def test_goodbye_before_the_first_observation_is_an_error() -> None:
    """Nothing was done of what was asked; where there is no process, its own console is all that knows why."""
    with pytest.raises(UnityEnvironmentException, match="before its first observation; its own console says why"):
        players._naming_reason(stop)(SimpleNamespace(_process=None, _is_first_message=True))


def test_player_that_goes_on_after_its_goodbye_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For longer than is given to it."""
    monkeypatch.setattr(players, "_GOODBYE_SECONDS", 0.1)
    lingering = environment(tmp_path, "import time; time.sleep(600)")
    with pytest.raises(UnityCommunicatorStoppedException):
        players._naming_reason(stop)(lingering)
    players.end_players()
    assert lingering._process.wait(timeout=60) != 0


def test_error_stream_of_any_length_is_taken(tmp_path: Path) -> None:
    """A player that prints megabytes is not held up, and its end is what is kept."""
    program = 'import sys; sys.stderr.write("line\\n" * 10**6 + "MemoryError: out of it"); sys.exit(1)'
    loud = environment(tmp_path, program)
    assert loud._process.wait(timeout=60) == 1
    assert loud._process.describe_end() == "The environment ended with return code 1: MemoryError: out of it"


def test_worker_that_ended_says_why(tmp_path: Path) -> None:
    """Where it takes no command any more, its error is the reason, and not that."""
    ours, theirs = Pipe()
    worker = UnityEnvWorker(SimpleNamespace(), 0, ours)
    error = UnityEnvironmentException("no ball")
    theirs.send(EnvironmentResponse(EnvironmentCommand.ENV_EXITED, 0, error))
    theirs.close()
    with pytest.raises(UnityEnvironmentException, match=r"^no ball$"):
        worker.send(EnvironmentCommand.RESET)


# Before a run


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list:
    """The runs that were begun, with the port that their environments are made for."""
    register_trainer_plugins()
    runs: list = []

    def begin(seed: int, options: RunOptions, areas: int) -> None:
        factory = learn.create_environment_factory(
            options.env_settings.env_path, False, False, 0, 1, 60, None, None, "logs"
        )
        names = factory.__code__.co_freevars
        runs.append(dict(zip(names, (cell.cell_contents for cell in factory.__closure__), strict=True))["start_port"])

    monkeypatch.setattr(arguments, "_run_training", begin)
    monkeypatch.setattr(DetectDefault, "non_default_args", set())
    return runs


@pytest.mark.parametrize(
    ("settings", "is_written", "port"),
    [
        ({}, False, None),
        ({"base_port": 5005}, False, None),
        ({"base_port": 5005}, True, 5005),
        ({"base_port": 6000}, True, 6000),
        ({"base_port": 6000}, False, 6000),
    ],
)
def test_port_that_was_written_holds_without_env(begun: list, settings: dict, is_written: bool, port) -> None:
    """On the command line or in a YAML, but for the default, which ML-Agents writes into every YAML of its own."""
    if is_written:
        DetectDefault.non_default_args.add("base_port")
    learn.run_training(0, RunOptions.from_dict({"env_settings": settings}), 1)
    assert begun == [port]


@pytest.mark.parametrize(("saved", "there"), [(["Pendulum", "Group/Car"], "Group/Car, Pendulum"), ([], "nothing")])
def test_run_to_begin_from_that_lacks_a_behavior_names_those_that_it_has(
    tmp_path: Path, saved: list[str], there: str
) -> None:
    """ML-Agents names the file that is not there; with it, the control, nothing is said."""
    for name in saved:
        (tmp_path / "first" / name).mkdir(parents=True)
        (tmp_path / "first" / name / "checkpoint.pt").touch()
    register_trainer_plugins()
    begins = RunOptions.from_dict({"behaviors": {name: {} for name in ["Ball", "Pendulum"]}}).behaviors
    with pytest.raises(UnityTrainerException) as error:
        learn.setup_init_path(begins, str(tmp_path / "first"))
    lines = str(error.value).splitlines()
    assert [line.partition(":")[0] for line in lines] == (["Ball"] if saved else ["Ball", "Pendulum"])
    missing = tmp_path / "first" / "Ball" / "checkpoint.pt"
    assert f"--initialize-from first: there is no {missing}; that run has checkpoints of {there}." in lines[0]
    for name in begins:
        (tmp_path / "first" / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / "first" / name / "checkpoint.pt").touch()
    learn.setup_init_path(begins, str(tmp_path / "first"))
    assert begins["Ball"].init_path == str(tmp_path / "first" / "Ball" / "checkpoint.pt")


@pytest.mark.parametrize("resumes", [False, True])
def test_behavior_of_default_settings_begins_from_the_other_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resumes: bool
) -> None:
    """The file does not name it; a run that is resumed goes on with its own."""
    checkpoint = tmp_path / "first" / "Ball" / "checkpoint.pt"
    register_trainer_plugins()
    monkeypatch.setattr(TrainerSettings, "default_override", None)
    behaviors = RunOptions.from_dict({"default_settings": {"trainer_type": "ppo"}}).behaviors
    factory = TrainerFactory(behaviors, str(tmp_path), True, resumes, 0, LESSONS, init_path=str(tmp_path / "first"))
    if not resumes:
        with pytest.raises(
            UnityTrainerException, match=r"^Ball: --initialize-from first: there is no .*checkpoint\.pt"
        ):
            factory.generate("Ball")
    behaviors.clear()
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    made = factory.generate("Ball")
    assert made.trainer_settings.init_path == (None if resumes else str(checkpoint))


@pytest.mark.parametrize(
    ("checkpoints", "behavior", "begins"),
    [
        ({"inference": True}, {}, False),
        ({"inference": True, "force": True}, {}, False),
        ({"inference": True, "resume": True}, {}, True),
        ({"inference": True, "initialize_from": "other"}, {}, True),
        ({"inference": True}, {"init_path": "other.pt"}, True),
        ({}, {}, True),
    ],
)
def test_only_what_has_learned_is_played(begun: list, checkpoints: dict, behavior: dict, begins: bool) -> None:
    """--inference needs a run or a file to play; anything else is refused before it begins."""
    options = RunOptions.from_dict({"checkpoint_settings": checkpoints, "behaviors": {"Toy": behavior}})
    if begins:
        learn.run_training(0, options, 1)
    else:
        with pytest.raises(UnityTrainerException, match=r"^--inference .* Add --resume"):
            learn.run_training(0, options, 1)
    assert len(begun) == begins


@pytest.mark.parametrize(
    ("code", "words"), [(3, "3"), (-9, "-9 (SIGKILL)"), (3221225477, "0xc0000005"), (-999, "-999")]
)
def test_return_code_is_worded_as_the_operating_system_does(code: int, words: str) -> None:
    """Signals by their names, and what Windows ends a program with as its documentation has it."""
    assert players._in_words(code) == words
