"""How often a run reports, and the line at its end."""

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
from mlagents.trainers.settings import TrainerSettings
from mlagents.trainers.stats import StatsReporter, StatsWriter
from mlagents.trainers.training_status import GlobalTrainingStatus, StatusType
from mlagents_envs.exception import UnityCommunicatorStoppedException

from mlagents_plugin_shared.run import summary
from mlagents_plugin_shared.run.host import executable
from mlagents_plugin_shared.run.summary import ELO, RunSummary, report_often
from mlagents_plugin_shared.testing import BEHAVIOR, Corridor, Duel, Recall, ToyEnv, train
from recording import config
from recording import registered as registered  # the fixture

MODEL = Path("results") / "x" / f"{BEHAVIOR}.onnx"
DEFAULT = 50_000  # ML-Agents' own
TRAINERS = ["replay", "rollout"]


def end(reached: RunSummary, returns: list[float], step: int = 1010, *, goal_reached: bool = False) -> str:
    """The line at the end of a run of 1,000 steps."""
    return reached.end(returns, step, 1000, MODEL, goal_reached=goal_reached)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was said at the end of runs."""
    return [record.getMessage() for record in caplog.records if ": ended at step " in record.getMessage()]


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Steps of all reports."""
    steps: list[int] = []
    monkeypatch.setattr(StatsReporter, "write_stats", lambda self, step: steps.append(step))
    return steps


@pytest.fixture(autouse=True)
def heard(caplog: pytest.LogCaptureFixture) -> None:
    """ML-Agents' loggers say what informs, too."""
    caplog.set_level(logging.INFO)


@pytest.mark.parametrize(
    ("max_steps", "freq", "expected"),
    [
        (10_000, DEFAULT, 1_000),
        (499_999, DEFAULT, 49_999),
        (5_000_000, DEFAULT, DEFAULT),
        (7, DEFAULT, 1),
        (10_000, 9_000, 9_000),
        (10_000, 200_000, 200_000),
    ],
)
def test_summary_freq_is_a_tenth_of_the_run_unless_it_is_set(max_steps: int, freq: int, expected: int) -> None:
    """What was set stays, and ML-Agents' own interval where it is short enough."""
    settings = TrainerSettings(hyperparameters=None, max_steps=max_steps, summary_freq=freq)
    report_often(settings)
    assert settings.summary_freq == expected


@pytest.mark.parametrize("trainer_type", TRAINERS)
def test_short_run_reports_ten_times(tmp_path: Path, registered: None, reports: list[int], trainer_type: str) -> None:
    """Where the file says nothing of `summary_freq`; ML-Agents would report after 50,000 steps."""
    trainer = train(Corridor(), config(trainer_type, max_steps=1000), tmp_path)
    assert reports[:10] == list(range(100, 1001, 100))
    assert trainer.trainer_settings.summary_freq == 100


def test_resumed_run_reports_in_the_same_interval(tmp_path: Path, registered: None, reports: list[int]) -> None:
    """From where it goes on, and not again what was reported."""
    train(Corridor(), config("replay", max_steps=1000), tmp_path)
    reports.clear()
    train(Corridor(), config("replay", max_steps=2000), tmp_path, resume=True)
    assert reports[0] == 1200
    assert reports[-1] == 2000


def test_written_summary_freq_is_kept(tmp_path: Path, registered: None, reports: list[int]) -> None:
    """The control."""
    train(Corridor(), {**config("replay", max_steps=1000), "summary_freq": 500}, tmp_path)
    assert reports == [500, 1000]


def test_end_names_last_and_best_mean_over_full_windows() -> None:
    """A mean over fewer episodes than the window holds is forgotten once it is full."""
    reached = RunSummary(BEHAVIOR, 2, self_play=False)
    for returns, step in (([9.0], 100), ([1.0, 3.0], 200), ([3.0, 2.5], 300), ([0.0, 1.0], 400)):
        reached.report(returns, step)
    line = end(reached, [0.0, 1.5])
    # (3 + 2.5) / 2 = 2.75, (0 + 1.5) / 2 = 0.75
    assert line.startswith(
        f"{BEHAVIOR}: ended at step 1010 (max_steps: 1000), mean reward of the last 2 episodes 0.750, "
        f"at best 2.750 at step 300. With a larger max_steps --resume goes on. The model is {MODEL}; "
    )


def test_end_says_that_the_last_was_the_best() -> None:
    """One number then says it."""
    reached = RunSummary(BEHAVIOR, 2, self_play=False)
    reached.report([1.0, 3.0], 200)
    assert "mean reward of the last 2 episodes 3.000, the best of the run." in end(reached, [3.0, 3.0])


def test_end_says_over_how_few_episodes_the_mean_is() -> None:
    """And over how many the best one was."""
    reached = RunSummary(BEHAVIOR, 100, self_play=False)
    reached.report([5.0], 200)
    assert "mean reward of the last 2 episodes 3.000, at best 5.000 over 1 episode at step 200." in end(
        reached, [5.0, 1.0]
    )


def test_end_without_an_episode_says_so() -> None:
    """No number is made up."""
    line = end(RunSummary(BEHAVIOR, 100, self_play=False), [])
    assert f"no episode ended in 1010 steps. With a larger max_steps --resume goes on. The model is {MODEL}" in line


@pytest.mark.parametrize(
    ("step", "goal_reached", "said"),
    [
        (400, False, ". --resume goes on from here. The"),
        (1001, False, ". With a larger max_steps --resume goes on. The"),
        (400, True, "the only episode 1.000. The"),
    ],
)
def test_end_says_how_to_go_on(step: int, goal_reached: bool, said: str) -> None:
    """From where it was interrupted, or beyond its end; a run that has reached its goal has nothing left to do."""
    assert said in end(RunSummary(BEHAVIOR, 100, self_play=False), [1.0], step, goal_reached=goal_reached)


def test_best_survives_a_resume() -> None:
    """With its step, and where the window has become smaller in the meantime, too."""
    first = RunSummary(BEHAVIOR, 3, self_play=False)
    first.report([3.0, 3.0, 3.0], 100)
    resumed = RunSummary(BEHAVIOR, 2, self_play=False)
    resumed.load_state_dict(first.state_dict())
    assert "1.000, at best 3.000 over 3 episodes at step 100" in end(resumed, [1.0, 1.0])
    assert "4.000, the best of the run" in end(resumed, [4.0, 4.0])


def test_end_of_self_play_names_the_elo(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mean reward of a policy against its own past says nothing."""
    monkeypatch.setitem(GlobalTrainingStatus.saved_state, BEHAVIOR, {StatusType.ELO.value: 1210.0})
    monkeypatch.setitem(StatsReporter.stats_dict, BEHAVIOR, {ELO: [1230.0, 1250.0]})
    reached = RunSummary(BEHAVIOR, 100, self_play=True)
    reached.report([0.0], 300)
    line = end(reached, [0.0])
    assert "Elo 1210.000, at best 1240.000 at step 300." in line
    assert "reward" not in line


def test_end_of_a_run_with_the_player_is_a_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It stands last, so that it can be copied, and names the scene that the launcher plays."""
    launcher = pytest.importorskip("mlagents_player.launcher")
    built = launcher.build("gym:Cart Pole-v1", tmp_path)
    monkeypatch.setattr(executable, "_env_path", str(built))
    line = end(RunSummary(BEHAVIOR, 100, self_play=False), [1.0])
    assert line.endswith(f'mlagents-player watch {MODEL.parent} "gym:Cart Pole-v1"')


@pytest.mark.parametrize("env_path", [None, "builds/3DBall"])
def test_end_of_a_run_in_unity_says_where_the_model_goes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, env_path: str | None
) -> None:
    """In the Editor, and with an executable that is not the player's."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "builds").mkdir()
    (tmp_path / "builds" / "3DBall").write_bytes(b"\x7fELF mlagents_player run 3DBall")
    monkeypatch.setattr(executable, "_env_path", env_path)
    assert "into your Unity project" in end(RunSummary(BEHAVIOR, 100, self_play=False), [1.0])


def test_run_notes_what_it_plays_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """ML-Agents gives the path to the manager of its workers alone."""
    monkeypatch.setattr(executable, "_init", lambda *arguments, **options: None)
    monkeypatch.setattr(executable, "_env_path", None)
    options = SimpleNamespace(env_settings=SimpleNamespace(env_path="players/Basic"))
    executable.SubprocessEnvManager(None, options, 1)
    assert executable._env_path == "players/Basic"


@pytest.mark.parametrize("trainer_type", TRAINERS)
@pytest.mark.parametrize("threaded", [False, True])
def test_run_ends_with_one_line_after_its_model(
    tmp_path: Path, registered: None, caplog: pytest.LogCaptureFixture, trainer_type: str, threaded: bool
) -> None:
    """The last that the run says, once."""
    train(Corridor(), {**config(trainer_type), "threaded": threaded}, tmp_path)
    (line,) = lines(caplog)
    assert caplog.records[-1].getMessage() == line
    assert f"The model is {tmp_path / BEHAVIOR}.onnx" in line
    assert (tmp_path / f"{BEHAVIOR}.onnx").is_file()
    assert "mean reward of the last" in line


class Teller(StatsWriter):
    """A writer that says of some behaviours what they have reached."""

    def __init__(self, *behaviors: str) -> None:
        self.behaviors = behaviors

    def write_stats(self, category: str, values: dict, step: int) -> None:
        """Nothing of it."""

    def tells_the_end_of(self, behavior: str) -> bool:
        """What a trainer asks."""
        return behavior in self.behaviors


@pytest.mark.parametrize(("told", "expected"), [((BEHAVIOR,), 0), (("Other",), 1), ((), 1)])
def test_end_that_a_writer_tells_is_not_told_again(
    tmp_path: Path,
    registered: None,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    told: tuple[str, ...],
    expected: int,
) -> None:
    """It asks each writer, of its own behaviour."""
    monkeypatch.setattr(StatsReporter, "writers", [*StatsReporter.writers, Teller(*told)])
    train(Corridor(), config("replay"), tmp_path)
    assert len(lines(caplog)) == expected
    assert (tmp_path / f"{BEHAVIOR}.onnx").is_file()


@pytest.mark.parametrize("stop", [KeyboardInterrupt, UnityCommunicatorStoppedException("closed")])
def test_interrupted_run_ends_with_the_line(
    tmp_path: Path,
    registered: None,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    stop: type[BaseException] | BaseException,
) -> None:
    """At Ctrl+C, and when the player is closed."""
    env, step = Corridor(), ToyEnv.step

    def stopped(task: ToyEnv) -> None:
        if len(task.returns) >= 5:
            raise stop
        step(task)

    monkeypatch.setattr(Corridor, "step", stopped)
    train(env, config("replay", max_steps=10_000), tmp_path)
    (line,) = lines(caplog)
    assert "--resume goes on from here" in line


def test_run_that_reached_its_goal_ends_with_the_line(
    tmp_path: Path, registered: None, caplog: pytest.LogCaptureFixture
) -> None:
    """`stop_at_reward` is an end like any other."""
    goal = {"stop_at_reward": -2.0, "reward_window": 3}
    train(Corridor(), config("rollout", max_steps=10_000, **goal), tmp_path)
    (line,) = lines(caplog)
    assert "mean reward of the last 3 episodes" in line
    assert "--resume" not in line


def test_run_without_an_ended_episode_says_so(
    tmp_path: Path, registered: None, caplog: pytest.LogCaptureFixture
) -> None:
    """An episode is 10,000 steps long; the run has 50."""
    train(Recall(length=10_000), config("replay", max_steps=50), tmp_path)
    (line,) = lines(caplog)
    assert "no episode ended in " in line


def test_self_play_ends_with_the_elo(tmp_path: Path, registered: None, caplog: pytest.LogCaptureFixture) -> None:
    """One line for both teams."""
    self_play = {"save_steps": 50, "swap_steps": 20, "team_change": 60, "window": 2}
    train(Duel(), {**config("rollout"), "self_play": self_play}, tmp_path)
    (line,) = lines(caplog)
    assert ", Elo 1" in line


def test_best_of_a_run_survives_its_resume(tmp_path: Path, registered: None, caplog: pytest.LogCaptureFixture) -> None:
    """The checkpoint holds it."""
    first = train(Corridor(), config("rollout"), tmp_path)
    first.summary._best = summary.Score(77.0, 123, 100)
    first.saves.last = None
    first.save_model()
    caplog.clear()
    train(Corridor(), config("rollout", max_steps=600), tmp_path, resume=True)
    (line,) = lines(caplog)
    assert "at best 77.000" in line
    assert "at step 123" in line


@pytest.mark.parametrize("resume", [False, True])
def test_refused_start_says_nothing_of_an_end(
    tmp_path: Path, registered: None, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, resume: bool
) -> None:
    """It has reached nothing."""
    if resume:
        train(Corridor(), config("replay"), tmp_path)
        caplog.clear()
    monkeypatch.setattr("mlagents_plugin_shared.run.export.OnnxExporter._write", None)  # every export fails
    with pytest.raises(Exception, match="cannot be exported"):
        train(Corridor(), config("replay"), tmp_path, resume=resume)
    assert lines(caplog) == []
