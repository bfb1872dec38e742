"""Steps, speed and scores, against numbers worked out by hand."""

import math
from types import SimpleNamespace

import pytest

from mlagents_plugin_progress.scores import ELO, GROUP_REWARD, REWARD, score_of
from mlagents_plugin_progress.tally import WINDOW, Score, Tally


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tally(clock: Clock) -> Tally:
    return Tally("Basic", {"max_steps": 1000}, clock)


def values(**means: float) -> dict[str, SimpleNamespace]:
    return {tag: SimpleNamespace(mean=mean) for tag, mean in means.items()}


def test_speed_and_time_left_of_a_steady_run(tally: Tally, clock: Clock) -> None:
    """200 steps in 10 s are 20 a second, and the other 800 take 40 s."""
    tally.begin(0)
    clock.now += 10
    tally.set_step(200)
    assert tally.steps_per_second == tally.mean_steps_per_second == 20
    assert tally.seconds_left == 40
    assert tally.share == 0.2


def test_speed_is_that_of_the_last_minute(tally: Tally, clock: Clock) -> None:
    """A slow beginning is forgotten by it, and not by the mean of the run."""
    tally.begin(0)
    for _ in range(60):  # 1 step a second
        clock.now += 1
        tally.set_step((tally.step or 0) + 1)
    for _ in range(int(WINDOW) + 2):  # 10 a second
        clock.now += 1
        tally.set_step((tally.step or 0) + 10)
    assert tally.steps_per_second == pytest.approx(10)
    assert tally.mean_steps_per_second == pytest.approx(680 / 122)


def test_time_left_is_not_that_of_the_steps_before_the_first_update(clock: Clock) -> None:
    """100 steps a second while the replay fills, and 2 from then on: 6 minutes, and not a few seconds."""
    tally = Tally("Basic", {"max_steps": 1000, "hyperparameters": {"buffer_init_steps": 250}}, clock)
    tally.begin(0)
    for step in (100, 200):
        clock.now += 1
        tally.set_step(step)
        assert tally.steps_per_second == 100
        assert tally.seconds_left is None
    for step in (260, 262, 264):
        clock.now += 1
        tally.set_step(step)
    assert tally.seconds_left == pytest.approx((1000 - 264) / 2)
    assert tally.mean_steps_per_second == pytest.approx(264 / 5)


def test_resumed_run_begins_where_it_stood(tally: Tally, clock: Clock) -> None:
    """What was done before is done, and does not count as speed."""
    tally.begin(600)
    assert tally.share == 0.6
    clock.now += 10
    tally.set_step(700)
    assert tally.steps_per_second == 10
    assert tally.seconds_left == 30


def test_resumed_run_with_no_checkpoint_begins_with_its_first_report(tally: Tally, clock: Clock) -> None:
    """Where it stood is not known before."""
    tally.begin(None)
    assert tally.share is None
    clock.now += 10
    tally.set_step(700)
    assert tally.steps_per_second is None
    assert tally.seconds_left is None


def test_nothing_is_left_at_the_end(tally: Tally, clock: Clock) -> None:
    """ML-Agents counts on for a while."""
    tally.begin(0)
    clock.now += 10
    tally.set_step(1012)
    assert tally.is_done
    assert tally.share == 1
    assert tally.seconds_left is None


def test_best_is_the_highest_summary(tally: Tally) -> None:
    """The first of equals, and a summary without an episode is none."""
    tally.begin(0)
    for step, reward in ((100, 0.5), (200, 0.9), (300, 0.9), (400, 0.1)):
        tally.summarise(values(**{REWARD: reward}), step)
    tally.summarise(values(**{"Policy/Entropy": 3.0}), 500)
    assert tally.best == Score(200, 0.9)
    assert len(tally.scores) == 4


def test_best_is_a_number(tally: Tally) -> None:
    """A scene that once says NaN would hide every reward after it."""
    tally.recall([Score(100, math.nan), Score(200, 0.5), Score(300, math.nan), Score(400, 0.2)])
    assert tally.best == Score(200, 0.5)


def test_scores_of_before_are_recalled(tally: Tally) -> None:
    """By a run that goes on."""
    tally.recall([Score(100, 0.9), Score(200, 0.5)])
    tally.summarise(values(**{REWARD: 0.7}), 300)
    assert [score.value for score in tally.scores] == [0.9, 0.5, 0.7]
    assert tally.best == Score(100, 0.9)


def test_not_training_has_no_end(tally: Tally, clock: Clock) -> None:
    """As in inference."""
    tally.begin(0)
    clock.now += 10
    tally.set_step(100)
    tally.summarise(values(**{"Is Training": 0.0}), 100)
    assert tally.seconds_left is None


@pytest.mark.parametrize(
    ("means", "self_play", "score"),
    [
        ({REWARD: 1.5}, False, 1.5),
        ({REWARD: -0.5, GROUP_REWARD: 2.0}, False, 1.5),
        ({GROUP_REWARD: 2.0}, False, 2.0),
        ({REWARD: 1.5, ELO: 1210.0}, True, 1210.0),
        ({REWARD: 1.5, ELO: 1210.0}, False, 1.5),
        ({REWARD: 1.5}, True, None),
        ({}, False, None),
    ],
)
def test_score_of_a_summary(means: dict[str, float], self_play: bool, score: float | None) -> None:
    """Reward, with the group's; in self-play the Elo, and nothing else."""
    assert score_of(means, self_play=self_play) == score
