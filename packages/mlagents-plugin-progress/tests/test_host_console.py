"""The lines of ML-Agents' console writer, and where they go."""

import logging
from pathlib import Path

import pytest
from mlagents.trainers import stats
from mlagents.trainers.stats import ConsoleWriter, StatsPropertyType, StatsSummary
from mlagents_envs.side_channel.stats_side_channel import StatsAggregationMethod

from mlagents_plugin_progress.host_console import HostConsole
from mlagents_plugin_progress.sentences import settings_in_short, summary
from mlagents_plugin_progress.tally import Tally


def values(**lists: list[float]) -> dict[str, StatsSummary]:
    return {tag: StatsSummary(numbers, StatsAggregationMethod.AVERAGE) for tag, numbers in lists.items()}


EPISODES = {"Environment/Cumulative Reward": [1.0, 2.0]}
SUMMARIES = [
    {**EPISODES, "Is Training": [1.0]},
    {**EPISODES, "Is Training": [0.0], "Environment/Group Cumulative Reward": [3.0]},
    {**EPISODES, "Is Training": [1.0], "Self-play/ELO": [1210.0]},
    {"Is Training": [1.0]},
    {},
]


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    stats.logger.setLevel(logging.INFO)
    return caplog


@pytest.mark.parametrize("given", SUMMARIES)
@pytest.mark.parametrize("self_play", [False, True])
def test_line_of_a_summary_begins_as_that_of_mlagents(
    log: pytest.LogCaptureFixture, given: dict, self_play: bool
) -> None:
    """So that whatever reads the one reads the other."""
    host = ConsoleWriter()
    host.self_play = self_play
    host.write_stats("Basic", values(**given), 200)
    theirs = log.messages[-1]
    elapsed = theirs.split("Elapsed: ")[1].split(" s.")[0]
    tally = Tally("Basic", {"max_steps": 1000, "self_play": {} if self_play else None})
    tally.summarise(values(**given), 200)
    if not given:  # ML-Agents always says whether it trains; without it, it does not
        tally.is_training = False
    assert summary(tally, values(**given), 200, float(elapsed)).startswith(theirs)


def test_lines_of_the_console_writer_go_into_the_file(log: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    """And nothing else does: a line of the same log by TensorBoard's writer is shown."""
    file = tmp_path / "run_logs" / "console.log"
    filtered = HostConsole(file, goes_on=False)
    filtered.start()
    host = ConsoleWriter()
    host.add_property("Basic", StatsPropertyType.HYPERPARAMETERS, {"trainer_type": "ppo"})
    host.write_stats("Basic", values(**SUMMARIES[0]), 200)
    stats.logger.warning("Deleting TensorBoard data")
    filtered.stop()
    host.write_stats("Basic", values(**SUMMARIES[0]), 300)
    assert [text.split(". Time")[0] for text in log.messages] == ["Deleting TensorBoard data", "Basic. Step: 300"]
    kept = file.read_text(encoding="utf-8")
    assert "\ttrainer_type:\tppo" in kept
    assert "Basic. Step: 200" in kept
    assert "Deleting" not in kept


def test_without_a_file_they_are_dropped(log: pytest.LogCaptureFixture) -> None:
    """As in inference."""
    filtered = HostConsole(None, goes_on=False)
    filtered.start()
    ConsoleWriter().write_stats("Basic", values(**SUMMARIES[0]), 200)
    filtered.stop()
    assert log.messages == []


def test_settings_in_short_name_what_tells_runs_apart() -> None:
    """In one line, by the words of the YAML."""
    settings = {
        "trainer_type": "sac",
        "max_steps": 500_000,
        "hyperparameters": {"learning_rate": 3e-4, "batch_size": 128, "buffer_size": 50_000, "tau": 0.005},
        "network_settings": {"num_layers": 2, "hidden_units": 64, "memory": {"memory_size": 32}, "normalize": True},
        "reward_signals": {"extrinsic": {}, "curiosity": {}},
        "self_play": {"window": 10},
        "threaded": False,
    }
    assert settings_in_short("Car", settings, Path("console.log")) == (
        "Car: sac to step 500,000; network 2 x 64 with memory, normalized; learning_rate 0.0003; batch_size 128; "
        "buffer_size 50,000; rewards extrinsic, curiosity; self_play. All settings: console.log"
    )


def test_settings_of_an_unknown_trainer_are_no_error() -> None:
    """It need not have any of them."""
    assert settings_in_short("Car", {"trainer_type": "mine"}, None) == "Car: mine to step 0."


def test_rank_is_named_as_by_mlagents() -> None:
    """Where several processes train."""
    tally = Tally("Basic", {"max_steps": 1000})
    line = summary(tally, values(**SUMMARIES[0]), 200, 1.0, rank=2)
    assert "Rank: 2. Mean Reward: 1.500" in line


@pytest.mark.parametrize(("step", "says_left"), [(999, True), (1000, False)])
def test_no_time_is_left_at_the_end(step: int, says_left: bool) -> None:
    """A summary is due before the steps of its trajectory are counted."""
    now = iter([0.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0])
    tally = Tally("Basic", {"max_steps": 1000}, lambda: next(now))
    tally.begin(0)
    tally.set_step(990)
    assert (" left." in summary(tally, values(**SUMMARIES[0]), step, 10.0)) is says_left
