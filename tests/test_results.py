"""The harness of results: what it asks for exists, and what it found is read as it was written."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from matplotlib.figure import Figure

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

from results import claims, learners, page, plots, records, suites, tables  # noqa: E402 - beside the packages


def training(seed: int = 1, **changes: object) -> suites.Training:
    """A training on Basic."""
    config = {"behaviors": {"Basic": {"trainer_type": "dqn", "max_steps": 100}}}
    made = suites.Training("dqn", "Basic", "", config, seed, 200)
    return replace(made, **changes)


def record(seed: int, mean: float) -> records.Record:
    """What came of it."""
    played = records.Played(mean, 0.1, mean - 1, mean + 1, 200)
    outcome = records.Outcome([(50, 0.1), (100, 0.2)], played, played)
    measured = {"seconds": 60.0, "cpu_seconds": 30.0, "peak_bytes": 1, "resumed_at": []}
    return records.of(training(seed), {"Basic": outcome}, **measured)


@pytest.mark.parametrize("suite", suites.available())
def test_suite_names_learners_and_scenes_that_there_are(suite: str) -> None:
    """And steps to train, but for chance."""
    found = suites.load(suite)
    assert len({each.digest for each in found}) == len(found)
    assert all((each.steps > 0) != (each.learner == suites.CHANCE) for each in found)


def test_suite_gives_every_cell_its_first_seed_first() -> None:
    """A suite that is stopped half way has something of everything."""
    seeds = [each.seed for each in suites.load("full")]
    assert seeds == sorted(seeds)


def test_suite_without_a_file_for_a_learner_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folders that it looked in stand in the message."""
    (tmp_path / "odd.yaml").write_text(
        yaml.safe_dump({"episodes": 1, "trainings": [{"scene": "Basic", "learners": ["dqm"], "seeds": [1]}]}), "utf-8"
    )
    monkeypatch.setattr(suites, "SUITES", tmp_path)
    with pytest.raises(suites.SuiteError, match=r"configs/dqm nor peers/dqm has a file Basic\.yaml"):
        suites.load("odd")


def test_suite_sets_keys_of_a_section_that_is_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file may say `hyperparameters:` and nothing below it; a learner without settings keeps none."""
    cell = {"scene": "Basic", "learners": ["dqn", "chance"], "seeds": [1], "set": {"hyperparameters.tau": 0.5}}
    (tmp_path / "odd.yaml").write_text(yaml.safe_dump({"episodes": 1, "trainings": [cell]}), "utf-8")
    written = {"dqn": {"behaviors": {"Basic": {"trainer_type": "dqn", "hyperparameters": None}}}, "chance": {}}
    monkeypatch.setattr(suites, "SUITES", tmp_path)
    monkeypatch.setattr(suites, "learner_config", lambda learner, scene: written[learner])
    of_dqn, of_chance = suites.load("odd")
    assert of_dqn.config == {"behaviors": {"Basic": {"trainer_type": "dqn", "hyperparameters": {"tau": 0.5}}}}
    assert of_chance.config == {}


def test_full_suite_has_at_least_three_seeds_of_everything() -> None:
    """One seed is an anecdote."""
    seeds: dict[tuple, set[int]] = {}
    for each in suites.load("full"):
        seeds.setdefault((each.learner, each.scene, each.variant), set()).add(each.seed)
    assert min(map(len, seeds.values())) >= 3


def test_full_suite_trains_every_configuration() -> None:
    """A file in configs/ that nobody measures is a promise."""
    trained = {(each.learner, each.scene.removeprefix("gym:")) for each in suites.load("full")}
    files = {(file.parent.name, file.stem) for file in (ROOT / "configs").glob("*/*.yaml")}
    assert files <= trained


def test_record_is_read_as_it_was_written() -> None:
    """With its training, so that the same training is known again."""
    made = record(1, 0.5)
    assert records.Record.of_line(made.line()) == made
    assert records.Record.of_line(made.line()).training.digest == training(1).digest


def test_record_keeps_the_ratings_of_self_play_and_the_page_shows_them() -> None:
    """Lines from before they were kept have none."""
    made = record(1, 0.5)
    rated = replace(made, behaviors={"Basic": replace(made.behaviors["Basic"], elo=[(50, 1200.0), (100, 1250.5)])})
    assert records.Record.of_line(rated.line()) == rated
    old = json.loads(made.line())
    del old["behaviors"]["Basic"]["elo"]
    assert records.Record.of_line(json.dumps(old)) == made
    for each, pictures in ((made, ["Basic.png"]), (rated, ["Basic.png", "Basic-elo.png"])):
        drawn: page.Pictures = {}
        list(page._behavior(tables.rows([each]), {"goal": 0.93}, drawn))
        assert [file.name for file in drawn] == pictures


@pytest.mark.parametrize(("learner", "pictures"), [("chance", []), ("dqn", ["overview.png"])])
def test_overview_shows_learners(learner: str, pictures: list[str]) -> None:
    """Where only chance has played there is nothing to draw."""
    found = [replace(record(1, 0.1), training=training(learner=each)) for each in {"chance", learner}]
    drawn: page.Pictures = {}
    list(page._overview(tables.rows(found), {"Basic": {"goal": 0.93}}, drawn))
    assert [file.name for file in drawn] == pictures


def test_bars_of_a_learner_without_a_name_or_colour_are_in_the_legend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind those that have them, which are in the order of their colours; who was not drawn is not there."""
    shown: list[list[str]] = []
    monkeypatch.setattr(Figure, "legend", lambda figure, handles, labels, **_: shown.append(labels))
    found = [replace(record(1, 0.5), training=training(learner=each)) for each in ("mine", "a2c", "dqn")]
    plots.bars([tables.rows(found)], tmp_path / "bars.png", {"Basic": (0.0, 1.0)})
    assert shown == [["DQN", "A2C", "mine"]]


def test_training_goes_on_from_its_newest_numbered_checkpoints(tmp_path: Path) -> None:
    """Of the behaviour that is behind; the best checkpoint says no step, and what is not finished counts no more."""
    files = {
        "Big": ["Big-9", "Big-10", "Big-best", "checkpoint"],
        "Small": ["Small-20", "checkpoint"],
        "New": ["New-1"],
    }
    for behavior, stems in files.items():
        (tmp_path / behavior).mkdir()
        for stem in stems:
            (tmp_path / behavior / f"{stem}.pt").touch()
    assert learners._newest_step(tmp_path) == 10
    assert learners._newest_step(tmp_path / "New") == 0


def test_training_of_another_configuration_is_another_one() -> None:
    """So a changed file is trained again."""
    assert training().digest != training(config={"behaviors": {"Basic": {"max_steps": 101}}}).digest
    assert training(1).digest != training(2).digest


def test_newest_record_counts(tmp_path: Path) -> None:
    """Where a training has two."""
    older, newer = replace(record(1, 0.1), finished="2026-01-01T00:00:00+00:00"), record(1, 0.9)
    (tmp_path / "dqn.jsonl").write_text(f"{newer.line()}\n{older.line()}\n", "utf-8")
    (found,) = records.load([tmp_path / "dqn.jsonl"])
    assert found == newer


def test_row_holds_every_seed() -> None:
    """In rising order, with the exported models' means."""
    (row,) = tables.rows([record(2, 0.3), record(1, 0.1)])
    assert (row.seeds, row.scores, row.training) == ([1, 2], [0.1, 0.3], [0.2, 0.2])
    assert tables.spread(row.scores) == "0.200 ± 0.100"


def test_committed_records_can_be_read() -> None:
    """All lines of all files."""
    assert all(found.behaviors for found in records.load())


def test_readmes_and_headers_say_what_the_records_say() -> None:
    """`nox -s results -- page` writes them."""
    assert {file.name for file, text in claims.written().items() if text != file.read_text("utf-8")} == set()


def test_header_has_the_figures_of_its_records() -> None:
    """One a seed, with the command that gives them; the lines of another fact stay."""
    former = "# Wall-clock:  long\n#              very\n# Seeds:       none\n"
    text = f"# Reward:      most\n{former}# Status:      tuned\na: 1\n"
    found = claims.header(text, [record(101, 0.9), record(102, 0.8), record(103, 0.85)])
    assert found == (
        "# Reward:      most\n# Wall-clock:  0.5 minutes of one core, in one process\n"
        "# Seeds:       101 to 103, exported models: 0.900, 0.800, 0.850 (nox -s results -- full --only dqn-Basic)\n"
        "# Status:      tuned\na: 1\n"
    )


def test_front_page_has_the_best_of_ours_beside_the_best_of_others() -> None:
    """In bold what has reached the goal on three seeds; that of chance is neither."""
    means = {"a2c": 0.5, "chance": 0.1, "dqn": 0.93, "ppo": 0.8, "sac": 0.7}

    def lines(seeds: int) -> list[str]:
        found = [
            replace(record(seed, mean), training=training(seed, learner=learner))
            for learner, mean in means.items()
            for seed in range(seeds if learner == "dqn" else 1)
        ]
        return claims.front(tables.rows(found), {"Basic": {"goal": 0.93}}).splitlines()

    peer = "0.800 (ML-Agents' PPO, 100 steps; 1 seed)"
    assert lines(3)[0].startswith("Of 1 behaviours, ours reach the goal in 1:")
    assert lines(3)[-1] == f"| Basic | 0.100 | 0.93 | **0.930** (DQN, 100 steps; 3 seeds) | {peer} |"
    assert lines(2)[0].startswith("Of 1 behaviours, ours reach the goal in 0:")
    assert lines(2)[-1] == f"| Basic | 0.100 | 0.93 | 0.930 (DQN, 100 steps; 2 seeds) | {peer} |"


def test_means_that_are_printed_alike_are_ranked_by_seeds() -> None:
    """What one seed has more in the fourth place says nothing."""
    one = replace(record(101, 0.9304), training=training(101, learner="a2c"))
    assert [row.learner for row in tables.rows([one, record(101, 0.9301), record(102, 0.9301)])] == ["dqn", "a2c"]


def test_steps_are_those_of_the_behavior() -> None:
    """Where a file has several, each for a time of its own."""
    small, big = {"max_steps": 2.0e5}, {"max_steps": 4000000}
    of_both = training(config={"behaviors": {"Small": small, "Big": big}})
    assert (of_both.steps_of("Small"), of_both.steps_of("Big"), of_both.steps) == (200_000, 4_000_000, 4_000_000)


def spaceless(file: Path) -> str:
    """A file's text with single spaces, as headers align what stands in them."""
    return " ".join(file.read_text("utf-8").split())


def test_times_are_those_of_tuned_files_with_seeds() -> None:
    """Two seeds are too few, and what is unsolved says so in its header."""
    three = [record(seed, 0.9) for seed in (101, 102, 103)]
    tuned = suites.CONFIGS / "dqn" / "Basic.yaml"
    unsolved = next(file for file in sorted(suites.CONFIGS.glob("*/*.yaml")) if ": unsolved" in spaceless(file))
    of_ppo = tables.rows(replace(each, training=replace(each.training, learner="ppo")) for each in three)
    _, _, *rows = claims.times({tuned: three, unsolved: three}, of_ppo).splitlines()
    assert rows == [
        "| Basic | [`dqn/Basic.yaml`](../configs/dqn/Basic.yaml) | 100 | 0.900 ± 0.000 | 0.5 | 3 |",
        "| Basic | ML-Agents' PPO | 100 | 0.900 ± 0.000 | 0.5 | 3 |",
    ]
    assert len(claims.times({tuned: three[:2]}, of_ppo).splitlines()) == 2
    shown = {"behaviors": {"Basic": {"max_steps": 100, "hyperparameters": {"demo_path": "Basic.demo"}}}}
    taught = [replace(each, training=replace(each.training, config=shown)) for each in three]
    assert "dqn/Basic.yaml), with demonstrations |" in claims.times({tuned: taught}, [])


def test_who_learned_from_demonstrations_is_named() -> None:
    """It knows more than those beside it, which learned from steps of their own alone."""
    alone = record(101, 0.9)
    shown = {"behaviors": {"Basic": {"max_steps": 100, "hyperparameters": {"demo_path": "Basic.demo"}}}}
    (row,) = tables.rows([replace(alone, training=replace(alone.training, config=shown))])
    assert (row.label, row.name) == ("dqn with demonstrations", "DQN with demonstrations")
    assert tables.rows([alone])[0].label == "dqn"


def test_records_of_former_values_count_no_more() -> None:
    """A file that was changed has nothing measured."""
    current = record(101, 0.9)
    own = suites.learner_config("dqn", "Basic")
    same = replace(current, training=replace(current.training, config=own))
    (found,) = claims.by_file([current, same]).values()
    assert found == [same]
    named = replace(same, training=replace(same.training, variant="20k"))
    assert list(claims.by_file([named]).values()) == [[named]], "a variant that is the file as it stands"


def test_records_of_a_former_scene_count_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scene that has come to play otherwise has to be trained anew."""
    file = tmp_path / "dqn.jsonl"
    before, after = (
        replace(record(seed, 0.9), finished=f"2026-11-{day}T09:00:00+00:00") for seed, day in ((1, 26), (2, 28))
    )
    file.write_text(f"{before.line()}\n{after.line()}\n", "utf-8")
    assert records.load([file]) == [before, after]
    goals = {"Basic": {"goal": 0.93, "changed": "2026-11-27T12:00:00+00:00"}}
    monkeypatch.setattr(suites, "goals", lambda: goals)
    assert records.load([file]) == [after]


def test_page_says_what_the_records_say(root: Path) -> None:
    """`nox -s results -- page` writes it, and draws the pictures that it shows."""
    text, pictures = page.written()
    assert (root / "docs" / "results.md").read_text("utf-8") == text
    assert {file for file in pictures if not file.is_file()} == set()
    shown = {file for file in (root / "docs" / "images" / "results").iterdir() if file not in pictures}
    assert shown == set()


def test_page_leaves_out_what_no_suite_asks_for_any_more() -> None:
    """Of a file with former and present values, the present ones have a row."""
    asked = next(each for each in suites.load("full") if each.learner == "dqn")
    now = replace(record(101, 0.9), training=asked)
    former = replace(now, training=replace(asked, config={"behaviors": {"Basic": {"max_steps": 1}}}))
    assert page.of_suites([former, now]) == [now]
