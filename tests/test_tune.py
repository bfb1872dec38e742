"""The search for hyperparameters: where it looks, what it compares, how it goes on, and the file that it writes."""

import json
import re
import sys
from pathlib import Path

import pytest
import yaml
from filelock import FileLock

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

from _settings import changed  # noqa: E402 - lies beside the packages, not in one
from results.learners import POINTS  # noqa: E402
from results.suites import Training  # noqa: E402
from tune import space  # noqa: E402
from tune.errors import TuneError  # noqa: E402
from tune.trial import Trial, points, reports  # noqa: E402

from mlagents_plugin_shared.run.search import Choice, Interval, search_space  # noqa: E402


def dqn(**hyperparameters):
    """Settings of a DQN."""
    return {"B": {"trainer_type": "dqn", "hyperparameters": hyperparameters, "max_steps": 10_000}}


def keys(behaviors, steps=10_000, only=()):
    """What is searched, by the last word of each key, and what the file holds."""
    settings = space.read(behaviors)
    (name,) = settings
    found, held = space.keys(settings[name], steps, only)
    return {key.path[-1]: key for key in found}, {name.rpartition(".")[2]: value for name, value in held.items()}


def test_every_trainer_says_where_to_look(plugin):
    """A plugin of this repository can be tuned, with its own keys and those that all have."""
    for trainer in plugin.trainers:
        settings = space.read({"B": {"trainer_type": trainer, "max_steps": 10_000}})
        own = {key: search for key, search in search_space(type(settings["B"].hyperparameters)).items() if search}
        found, _ = space.keys(settings["B"], 10_000)
        assert {("hyperparameters", "learning_rate"), *space.BESIDE} <= {key.path for key in found}
        assert len(own) > 2


@pytest.mark.parametrize("trainer", ["ppo", "sac", "poca"])
def test_trainers_of_ml_agents_have_a_table(trainer):
    """They say nothing themselves."""
    found, held = keys({"B": {"trainer_type": trainer, "max_steps": 500_000}}, 500_000)
    assert {"learning_rate", "batch_size", "buffer_size", "hidden_units", "gamma"} <= set(found)
    assert held["learning_rate"] == 3e-4


def test_defaults_lie_where_the_search_looks(plugin):
    """The range of a key holds its default, or the table is one of another algorithm."""
    for trainer in plugin.trainers:
        hyperparameters = space.read({"B": {"trainer_type": trainer, "max_steps": 10_000}})["B"].hyperparameters
        for name, search in search_space(type(hyperparameters)).items():
            default = getattr(hyperparameters, name)
            if (
                isinstance(search, Interval)
                and default is not None
                and (not search.when or search.when(hyperparameters))
            ):
                assert search.low <= default <= search.high, name


def test_what_the_file_holds_widens_the_range():
    """It is the first trial, and no worse one is sold as the best."""
    found, held = keys(dqn(learning_rate=0.02, batch_size=48, n_step=9))
    assert found["learning_rate"].search.high == held["learning_rate"] == 0.02
    assert found["batch_size"].search == Choice((32, 48, 64, 128, 256, 512))
    assert found["n_step"].search.high == 9


def test_key_without_effect_is_not_searched():
    """Priorities mean something beside prioritized_replay, a soft target below tau 1, an interval at it."""
    plain, soft = keys(dqn())[0], keys(dqn(tau=0.01, prioritized_replay=True))[0]
    assert "target_update_interval" in plain
    assert not {"priority_alpha", "tau", "munchausen_alpha", "demo_ratio"} & set(plain)
    assert {"priority_alpha", "tau"} <= set(soft)
    assert "target_update_interval" not in soft


def test_sizes_beyond_the_run_are_not_tried():
    """A replay that is never full is the same at any size."""
    found, _ = keys(dqn(buffer_size=5000), steps=20_000)
    assert found["buffer_size"].search.values == (5000, 10_000)
    assert "buffer_size" not in keys(dqn(buffer_size=5000), steps=6000)[0]


def test_steps_are_shares_of_the_run():
    """A search over short trials finds values for the whole run."""
    found, held = keys(dqn(exploration_steps=2500), steps=1000)
    assert held["exploration_steps"] == 0.25
    assert found["exploration_steps"].value(0.25, 1000) == 250
    assert found["exploration_steps"].value(0.25, 10_000) == 2500
    assert keys(dqn())[1]["exploration_steps"] == 0.2  # a fifth of the run, where it is not set


def test_value_is_what_a_file_says_in_full():
    """Three digits are trained, and three are written."""
    key = space.Key(("hyperparameters", "learning_rate"), Interval(1e-5, 1e-2, log=True))
    assert key.value(0.00123456, 1000) == 0.00123


def test_chosen_keys_are_the_only_ones():
    """By their last word or whole."""
    assert set(keys(dqn(), only=["learning_rate", "network_settings.hidden_units"])[0]) == {
        "learning_rate",
        "hidden_units",
    }
    with pytest.raises(TuneError, match="--keys learning is none of those that can be searched here: learning_rate, "):
        keys(dqn(), only=["learning"])


def test_changed_values_leave_the_file_as_it_was():
    """Sections that it does not have are made."""
    written = {"trainer_type": "dqn", "hyperparameters": {"batch_size": 64}, "network_settings": None}
    paths = {("hyperparameters", "batch_size"): 128, ("network_settings", "num_layers"): 1, ("max_steps",): 5}
    assert changed(written, paths) == {
        "trainer_type": "dqn",
        "hyperparameters": {"batch_size": 128},
        "network_settings": {"num_layers": 1},
        "max_steps": 5,
    }
    assert written == {"trainer_type": "dqn", "hyperparameters": {"batch_size": 64}, "network_settings": None}


def test_points_are_means_of_the_last_tenth_and_of_the_behaviours():
    """50 points of 10 steps; five of them are averaged, and both behaviours have to have ended an episode."""
    curve = [(10 * (index + 1), float(index)) for index in range(7)]
    alone = points({"A": curve}, 500)
    assert alone[1] == 0.0
    assert alone[7] == (2 + 3 + 4 + 5 + 6) / 5
    both = points({"A": curve, "B": [(30, 10.0)]}, 500)
    assert 2 not in both
    assert both[3] == ((0 + 1 + 2) / 3 + 10.0) / 2
    assert points({"A": [(4999, 1.0), (5003, 3.0)]}, 5000) == {POINTS: 2.0}
    assert points({"A": []}, 500) == {}


def test_second_seed_is_compared_together_with_the_first():
    """Where the second one is at point 3, it counts with what the first one had there."""
    assert reports([{1: 0.0, 3: 1.0}, {2: 4.0, 3: 3.0}]) == {1: 0.0, 3: 1.0, POINTS + 2: 2.0, POINTS + 3: 2.0}


def basic(seed=1, steps=300):
    """A training on Basic that is over soon."""
    config = {
        "behaviors": {"Basic": {"trainer_type": "dqn", "max_steps": steps, "network_settings": {"num_layers": 1}}}
    }
    return Training("dqn", "Basic", "trial 0", config, seed, 0)


def finish(trial):
    """Lets a trial train to its end."""
    while not trial.step():
        if trial.process is not None:
            trial.process.wait()


@pytest.fixture
def benchmarks(monkeypatch):
    """Where child processes find the harness."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "benchmarks"))


def test_trial_trains_to_its_end_and_leaves_no_checkpoints(tmp_path, benchmarks):
    """What it measured stays; a second look at it trains nothing."""
    trial = Trial(0, tmp_path, [basic()])
    finish(trial)
    (seed,) = trial.seeds(["Basic"])
    assert max(seed) == POINTS
    assert len(trial.seconds()) == 1
    assert not list(tmp_path.glob("seed-*/checkpoints"))
    again = Trial(0, tmp_path, [basic()])
    assert again.step()
    assert again.process is None


def test_trial_waits_for_the_orphan_of_a_killed_search(tmp_path):
    """Two processes never train in one folder."""
    (tmp_path / "seed-1").mkdir()
    trial = Trial(0, tmp_path, [basic()])
    with FileLock(tmp_path / "seed-1" / ".lock"):
        assert not trial.step()
        assert trial.process is None


def test_trial_that_fails_says_where_its_log_lies(tmp_path, benchmarks):
    """With the last line of it."""
    broken = Training("dqn", "Basic", "", {"behaviors": {"Basic": {"trainer_type": "dqm", "max_steps": 9}}}, 1, 0)
    with pytest.raises(TuneError, match=r"trial 3 failed: .*; see .*seed-1.log\.txt"):
        finish(Trial(3, tmp_path, [broken]))


@pytest.fixture
def tuned(tmp_path, benchmarks):
    """Runs the command on a file, with its folder below tmp_path; the study is optuna's."""
    pytest.importorskip("optuna")
    from tune import __main__ as command

    def run(monkeypatch, content, *arguments):
        file = tmp_path / "dqn" / "Basic.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(yaml.safe_dump(content), "utf-8")
        monkeypatch.setattr(command, "FOLDER", tmp_path / "tune")
        monkeypatch.setattr(sys, "argv", ["tune", str(file), *arguments])
        return command.main()

    return run


BASIC = {
    "behaviors": {
        "Basic": {
            "trainer_type": "dqn",
            "hyperparameters": {"exploration_steps": 200, "buffer_size": 1000},
            "network_settings": {"num_layers": 1, "hidden_units": 32},
            "max_steps": 400,
        }
    }
}
SHORT = ("--steps", "200", "--keys", "learning_rate", "exploration_steps")


def test_search_writes_a_file_in_the_house_form(tuned, tmp_path, monkeypatch, capsys):
    """With every fact of the header, the best values, and the steps of the whole run; it reads as any other file."""
    assert tuned(monkeypatch, BASIC, *SHORT, "--trials", "2", "--seeds", "2") == 0
    text = (tmp_path / "tune" / "dqn-Basic" / "Basic.yaml").read_text("utf-8")
    for fact in (
        "Environment: Basic",
        "Reward: ",
        "Steps: ",
        "Wall-clock: ",
        "Seeds:       1 and 2",
        "Status: ",
        "Comm",
    ):
        assert f"# {fact}" in text
    assert "almost tuned, the best of 2 trials over learning_rate, exploration_steps" in text
    written = yaml.safe_load(text)["behaviors"]["Basic"]
    assert written["max_steps"] == 400
    assert "max_steps: 400  # agent steps" in text
    assert set(written["hyperparameters"]) == {"buffer_size", "exploration_steps", "learning_rate"}
    assert 20 <= written["hyperparameters"]["exploration_steps"] <= 240
    space.read({"Basic": written})
    out = capsys.readouterr().out
    assert "2 trials trained to the end" in out
    heads = next(line.split() for line in out.splitlines() if line.split()[:1] == ["trial"])
    assert sorted(heads[1:]) == ["1", "file", "the"]
    assert re.search(r"^ *reward of seed 2 +-?\d", out, re.MULTILINE)
    assert re.search(r"^ *exploration_steps +\d+ +\d+ *$", out, re.MULTILINE)


def test_search_that_was_stopped_goes_on_in_the_middle_of_a_trial(tuned, tmp_path, monkeypatch, capsys):
    """The half trial is neither counted nor begun anew, and all trials together are as many as were asked for."""
    from tune import tuning

    step, calls = tuning.Tuning._step, []

    def interrupted(self, asked, trial):
        calls.append(asked.number)
        if asked.number == 1 and trial.seeds(["Basic"]):
            raise KeyboardInterrupt
        return step(self, asked, trial)

    monkeypatch.setattr(tuning.Tuning, "_step", interrupted)
    assert tuned(monkeypatch, BASIC, *SHORT, "--trials", "2") == 130
    assert "To go on where it stopped" in capsys.readouterr().out
    folder = tmp_path / "tune" / "dqn-Basic"
    half = json.loads((folder / "trial-0001" / "seed-1" / "journal.json").read_text("utf-8"))
    assert half["curves"]
    monkeypatch.setattr(tuning.Tuning, "_step", step)
    assert tuned(monkeypatch, BASIC, *SHORT, "--trials", "2") == 0
    said = capsys.readouterr()
    assert "trial 1 goes on: " in said.err
    assert "trial 0 " not in said.err
    assert sorted(file.name for file in folder.glob("trial-*")) == ["trial-0000", "trial-0001"]


def test_search_goes_on_as_it_began_or_not_at_all(tuned, monkeypatch, capsys):
    """What differs is named."""
    from tune import tuning

    monkeypatch.setattr(tuning.Tuning, "run", lambda self: None)
    assert tuned(monkeypatch, BASIC, *SHORT) == 0
    assert tuned(monkeypatch, BASIC, *SHORT, "--seeds", "3") == 1
    assert "holds a search with another --seeds; give this one another name with --name" in capsys.readouterr().err
    other = yaml.safe_load(yaml.safe_dump(BASIC).replace("hidden_units: 32", "hidden_units: 64"))
    assert tuned(monkeypatch, other, *SHORT) == 1
    assert "holds a search with another file; " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "has no behaviors"),
        ({"behaviors": {}}, "the file has no behaviors"),
        ({**BASIC, "default_settings": {"max_steps": 5}}, "default_settings: a search trains without it"),
        ({"behaviors": {"Basic": {"trainer_type": "dqn", "self_play": {"window": 5}}}}, "Basic: self_play: its reward"),
        ({"behaviors": {"A": {"trainer_type": "dqn"}, "B": {"trainer_type": "ppo"}}}, "several trainers, dqn, ppo"),
        ({"behaviors": {"Basic": {"trainer_type": "dqn", "max_steps": -4}}}, "max_steps: -4 is not valid"),
        ({"behaviors": {"Basic": 5}}, "behaviors: Basic: 5 is not valid"),
        ({"behaviors": {"Basic": {"trainer_type": ["dqn"]}}}, "trainer_type: Invalid trainer type ['dqn']"),
        (
            {"behaviors": {"A": {"trainer_type": 5}, "B": {"trainer_type": "ppo"}}},
            "trainer_type: Invalid trainer type 5",
        ),
        ({**BASIC, "environment_parameters": {"size": "big"}}, "environment_parameters: size: 'big' is not valid"),
        ({**BASIC, "enviroment_parameters": {}}, "enviroment_parameters is not a known key; did you mean"),
    ],
)
def test_file_that_cannot_be_tuned_is_refused_in_one_line(tuned, tmp_path, monkeypatch, capsys, content, message):
    """Nothing is left behind."""
    assert tuned(monkeypatch, content, "--trials", "1") == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("tune: ")
    assert message in error
    assert not (tmp_path / "tune").exists()


@pytest.mark.parametrize("number", ["inf", "nan", "0", "1.5", "many"])
def test_number_that_is_none_is_refused_by_its_option(tuned, monkeypatch, capsys, number):
    """As argparse does it."""
    with pytest.raises(SystemExit):
        tuned(monkeypatch, BASIC, "--trials", number)
    assert "argument --trials: " in capsys.readouterr().err


@pytest.mark.parametrize("place", ["study.db", ""])
def test_folder_that_cannot_hold_a_search_is_one_line(tuned, tmp_path, monkeypatch, capsys, place):
    """A file in its place, or a study that is none."""
    path = tmp_path / "tune" / "mine" / place
    path.parent.mkdir(parents=True)
    path.write_text("no study\n" * 100)
    assert tuned(monkeypatch, BASIC, *SHORT, "--name", "mine") == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "mine holds no search that can go on: " in error
    assert path.read_text() == "no study\n" * 100


def test_reward_that_is_no_number_is_a_trial_that_failed(tuned, monkeypatch, capsys):
    """optuna would take none, and the next would be the best of nothing."""
    from tune import tuning

    monkeypatch.setattr(tuning.Trial, "step", lambda trial: True)
    monkeypatch.setattr(tuning.Trial, "seeds", lambda trial, names: [{100: float("nan")}])
    assert tuned(monkeypatch, BASIC, *SHORT, "--trials", "2") == 1
    said = capsys.readouterr().err
    assert "trial 0: its reward is nan, which is no number to compare" in said
    assert "Traceback" not in said


def test_session_installs_what_the_search_needs(root):
    """optuna has an environment of its own."""
    text = (root / "noxfile.py").read_text(encoding="utf-8")
    body = re.search(r"^def tune\(.*?(?=^@nox|^def )", text, re.M | re.S)[0]
    assert 'group(ROOT, "tune")' in body
    assert '"-m", "tune"' in body
