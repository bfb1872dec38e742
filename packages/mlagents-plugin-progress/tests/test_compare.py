"""The command mlagents-compare, and in what runs differ."""

import io
import json
import math
from pathlib import Path

import pytest

from mlagents_plugin_progress import plot
from mlagents_plugin_progress.compare import main
from mlagents_plugin_progress.differences import differing, grouped, short_keys
from mlagents_plugin_progress.run_reading import Run, flat, read_runs
from written_runs import write_run

UP = [0.1, 0.95, 0.6, 0.9]


def runs(*folders: Path) -> list[Run]:
    return [run for run, _ in read_runs(list(map(str, folders)), None, print)]


def rows(table: str) -> list[list[str]]:
    return [line.split() for line in table.splitlines()]


def test_table_says_what_a_run_has_reached(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Four summaries of 100 steps and 10 s: 400 steps in 40 s, best at the second, at 0.9 there too."""
    run = write_run(tmp_path / "dqn", UP)
    assert main([str(run), "--threshold", "0.9"]) == 0
    head, _, row = rows(capsys.readouterr().out)[:3]
    assert head[-6:] == ["Steps", "to", "0.9", "Steps", "Steps/s", "Time"]
    assert row == ["1", str(run), "Basic", "0.900", "0.950", "200", "200", "400", "10", "0:40"]


def test_threshold_that_was_not_reached_is_never(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And not at the end."""
    main([str(write_run(tmp_path / "dqn", UP)), "--threshold", "1"])
    assert "never" in capsys.readouterr().out


def test_rows_in_a_pipe_are_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """However long a name is."""
    run = write_run(tmp_path / ("long-" * 30), UP)
    main([str(run)])
    assert str(run) in capsys.readouterr().out


def test_settings_that_differ_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the seed, without the port and the name of the run."""
    one = write_run(tmp_path / "one", UP, seed=1)
    other = write_run(tmp_path / "two", UP, seed=2, settings={"hyperparameters": {"learning_rate": 0.1}})
    main([str(one), str(other)])
    listed = rows(capsys.readouterr().out.partition("What differs")[2])
    assert [row for row in listed if len(row) == 3][1:] == [["seed", "1", "2"], ["learning_rate", "0.001", "0.1"]]


def test_json_has_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For a program."""
    folders = [write_run(tmp_path / name, UP, settings={"max_steps": steps}) for name, steps in (("a", 1), ("b", 2))]
    main([*map(str, folders), "--json", "--threshold", "0.9"])
    first, second = json.loads(capsys.readouterr().out)
    assert first == {
        "run": str(folders[0]),
        "behavior": "Basic",
        "last": pytest.approx(0.9),
        "best": pytest.approx(0.95),
        "best_step": 200,
        "threshold": 0.9,
        "steps_to_threshold": 200,
        "steps": 400,
        "steps_per_second": 10.0,
        "seconds": 40.0,
        "seed": 1,
        "differs": {"behavior.max_steps": 1},
    }
    assert second["differs"] == {"behavior.max_steps": 2}


def test_markdown_is_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With its line of dashes, and a bar in a name escaped."""
    main([str(write_run(tmp_path / "a", UP)), "--markdown"])
    head, dashes, row, _ = capsys.readouterr().out.splitlines()
    assert head.startswith("| # | Run | Behavior |")
    assert set(dashes) <= set("|:- ")
    assert row.count("|") == head.count("|")


def test_what_is_not_finite_is_no_best_and_null_in_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """NaN is greater than nothing, and no word of JSON."""
    run = write_run(tmp_path / "dqn", [math.nan, 0.5, math.nan])
    assert main([str(run), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out, parse_constant=lambda word: pytest.fail(word))
    assert (row["last"], row["best"], row["best_step"]) == (None, 0.5, 200)


@pytest.mark.parametrize("form", [[], ["--markdown"], ["--json"]])
def test_names_that_an_encoding_lacks_are_no_error(
    tmp_path: Path, form: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a console of Windows."""
    run = write_run(tmp_path / "dqn", [0.5], ["\u65e5\u672c"])
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="cp437", write_through=True))
    assert main([str(run), *form]) == 0
    assert ("??" in raw.getvalue().decode("cp437")) == (form != ["--json"])


def test_folder_that_cannot_be_looked_at_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is no picture that cannot be written either."""
    for command in (main, plot.main):
        assert command([str(tmp_path / ("n" * 300))]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert "cannot be read" in line or "does not exist" in line  # as the operating system has it


def test_missing_folder_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And code 1."""
    assert main([str(tmp_path / "none")]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"mlagents-compare: {tmp_path / 'none'} does not exist")


def test_run_that_has_not_ended_has_unknown_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A question mark, and not a difference."""
    write_run(tmp_path / "a", UP, seed=1)
    write_run(tmp_path / "b", UP, seed=2)
    write_run(tmp_path / "c", UP, has_ended=False)
    main([str(tmp_path / name) for name in "abc"])
    said = capsys.readouterr()
    assert ["seed", "1", "2", "?"] in rows(said.out)
    assert said.err.startswith(f"mlagents-compare: settings unknown of {tmp_path / 'c'}: no configuration.yaml, ")


def test_settings_that_nobody_knows_are_said_to_be_unknown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where there would be no second table, and no reason; a single run is compared with nothing."""
    killed = [str(write_run(tmp_path / name, UP, has_ended=False)) for name in "abc"]
    main(killed)
    assert f"settings unknown of {killed[0]} and 2 more: " in capsys.readouterr().err
    main(killed[:1])
    assert capsys.readouterr().err == ""


def test_runs_are_grouped_by_all_but_their_seed(tmp_path: Path) -> None:
    """Those of unknown settings are by themselves; a group is called what its runs begin with."""
    for seed in (1, 2, 3):
        write_run(tmp_path / f"basic-seed{seed}", UP, seed=seed)
    write_run(tmp_path / "fast", UP, settings={"hyperparameters": {"learning_rate": 0.1}})
    write_run(tmp_path / "young", UP, has_ended=False)
    write_run(tmp_path / "younger", UP, has_ended=False)
    found = grouped(runs(*sorted(tmp_path.iterdir())))
    assert [(group.label, len(group.runs)) for group in found] == [
        ("basic", 3), ("fast", 1), ("young", 1), ("younger", 1)
    ]  # fmt: skip


def test_behaviors_whose_names_have_dots_are_grouped_and_compared(tmp_path: Path) -> None:
    """`My.Agent`: what does not belong to an experiment is left out of it, and what differs is found."""
    of = {"behaviors": ["My.Agent"]}
    folders = [
        write_run(tmp_path / "v1", UP, settings={"keep_checkpoints": 1}, seed=1, **of),
        write_run(tmp_path / "v2", UP, settings={"keep_checkpoints": 2}, seed=2, **of),
        write_run(tmp_path / "w", UP, settings={"keep_checkpoints": 3, "max_steps": 9}, **of),
        write_run(tmp_path / "x", UP, settings={"max_steps": 8}, behaviors=["My.Agent", "Other"]),
    ]
    assert [len(group.runs) for group in grouped(runs(*folders))] == [2, 1, 1]
    assert differing(runs(*folders[:3])) == {"behavior.max_steps": [None, None, 9]}
    assert short_keys(['behaviors."My.Agent".max_steps', "behaviors.Other.max_steps"]) == {
        'behaviors."My.Agent".max_steps': '"My.Agent".max_steps', "behaviors.Other.max_steps": "Other.max_steps"
    }  # fmt: skip


def test_groups_of_one_name_are_told_apart(tmp_path: Path) -> None:
    """Runs of different results folders may be called alike."""
    folders = [
        write_run(tmp_path / folder / "basic", UP, settings={"max_steps": steps})
        for folder, steps in (("one", 1), ("two", 2))
    ]
    assert [group.label for group in grouped(runs(*folders))] == list(map(str, folders))


def test_keys_of_other_trainers_do_not_differ(tmp_path: Path) -> None:
    """PPO has no tau; that its network has no memory is a difference."""
    sac = {"trainer_type": "sac", "hyperparameters": {"learning_rate": 0.1, "tau": 0.005}}
    ppo = {"trainer_type": "ppo", "hyperparameters": {"learning_rate": 0.2}}
    memory = {"network_settings": {"memory": {"memory_size": 64}}}
    folders = [
        write_run(tmp_path / "sac", UP, settings={**sac, **memory}),
        write_run(tmp_path / "ppo", UP, settings=ppo),
    ]
    assert differing(runs(*folders)) == {
        "behavior.hyperparameters.learning_rate": [0.1, 0.2],
        "behavior.network_settings.memory.memory_size": [64, None],
        "behavior.trainer_type": ["sac", "ppo"],
    }


def test_behaviors_that_one_run_has_alone_are_not_compared(tmp_path: Path) -> None:
    """There is nothing to compare them with."""
    folders = [write_run(tmp_path / "one", UP, ["A", "B"]), write_run(tmp_path / "two", UP, ["B", "C"])]
    assert differing(runs(*folders)) == {}


def test_folder_of_one_behavior_can_be_given(tmp_path: Path) -> None:
    """Its settings are those of its run."""
    write_run(tmp_path / "run", UP, ["A", "B"])
    (run,) = runs(tmp_path / "run" / "A")
    assert list(run.behaviors) == ["A"]
    assert run.settings is not None


@pytest.mark.parametrize("has_ended", [True, False])
def test_behavior_whose_name_has_slashes_is_found(has_ended: bool, tmp_path: Path) -> None:
    """Its folder lies deeper in the run's; its run is read by the run's folder and by its own."""
    run = write_run(tmp_path / "run", UP, ["Group/Agent", "Basic"], has_ended=has_ended)
    (run / "run_logs").mkdir()
    ((whole, curves),) = read_runs([str(run)], None, print)
    assert list(whole.behaviors) == list(curves) == ["Basic", "Group/Agent"]
    ((alone, _),) = read_runs([str(run / "Group" / "Agent")], None, print)
    assert alone.settings == whole.settings
    if has_ended:
        assert list(alone.behaviors) == ["Group/Agent"]


def test_short_keys_are_as_long_as_they_must_be() -> None:
    """Two that end alike are told apart by the word before."""
    keys = [
        "behavior.network_settings.hidden_units",
        "behavior.gail.network_settings.hidden_units",
        "behavior.max_steps",
    ]
    assert list(short_keys(keys).values()) == [
        "behavior.network_settings.hidden_units", "gail.network_settings.hidden_units", "max_steps"
    ]  # fmt: skip


def test_flat_settings_have_dotted_keys() -> None:
    """An empty mapping is a value; a name that has a dot is told from two names."""
    assert flat({"My.Agent": {"b": 1}}) == {'"My.Agent".b': 1}
    assert flat({"a": {"b": 1, "c": {}}, "d": [1]}) == {"a.b": 1, "a.c": {}, "d": [1]}
