"""A file for one trainer becomes one for another, which starts without a warning and says what was changed."""

import re
from collections.abc import Callable
from pathlib import Path

import attr
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlagents.plugins import all_trainer_settings, all_trainer_types
from mlagents.plugins.trainer_type import register_trainer_plugins
from mlagents.trainers.settings import OnPolicyHyperparamSettings, TrainerSettings

from conftest import PLUGINS, ROOT
from mlagents_plugin_shared.doctor.config_check import check_file
from mlagents_plugin_shared.doctor.converted import NotConverted, converted
from mlagents_plugin_shared.doctor.file_command import write_new
from mlagents_plugin_shared.run.conversion import Change
from mlagents_plugin_shared.run.settings import CheckedSettings

TRAINERS = sorted(name for plugin in PLUGINS for name in plugin.trainers)
PEERS = sorted(ROOT.glob("benchmarks/results/peers/*/*.yaml"))

IMITATION = """
behaviors:
  Pusher:
    trainer_type: ppo
    hyperparameters: {batch_size: 128, buffer_size: 2048, beta: 0.01, epsilon: 0.2, num_epoch: 3}
    network_settings: {hidden_units: 256, memory: {sequence_length: 64, memory_size: 256}}
    reward_signals:
      extrinsic: {gamma: 0.99}
      gail: {strength: 0.01, demo_path: a.demo}
    behavioral_cloning: {demo_path: a.demo, steps: 50000}
    max_steps: 100000
    time_horizon: 64
"""

SHARED_OUT = """
default_settings:
  trainer_type: sac
  hyperparameters: {batch_size: 256, buffer_size: 500000, tau: 0.005, steps_per_update: 10}
  max_steps: 2.0e6
behaviors:
  Runner:
    time_horizon: 1000
  Jumper:
    hyperparameters: {batch_size: 2048, init_entcoef: 0.5}
    network_settings: {normalize: true, hidden_units: 512}
    self_play: {save_steps: 50000, team_change: 200000}
environment_parameters:
  wall:
    curriculum:
      - name: low
        completion_criteria: {measure: progress, behavior: Jumper, threshold: 0.1}
        value: {sampler_type: uniform, sampler_parameters: {min_value: 0.0, max_value: 4.0}}
      - {name: high, value: 8.0}
env_settings: {num_envs: 1, env_args: [--quick]}
"""


@pytest.fixture(autouse=True)
def registered() -> None:
    """All trainers are known."""
    register_trainer_plugins()


@pytest.fixture
def convert(tmp_path: Path) -> Callable[[str, str], str]:
    """The text of a file for another trainer, which is taken without a word."""

    def convert(text: str, trainer_type: str) -> str:
        file = tmp_path / "original.yaml"
        file.write_text(text, encoding="utf-8")
        result = converted(file, trainer_type)
        (tmp_path / "converted.yaml").write_text(result, encoding="utf-8")
        report = check_file(tmp_path / "converted.yaml")
        said = [each.text for each in (*report.faults, *report.warnings) if "is not there, seen from" not in each.text]
        assert said == [], result
        return result

    return convert


@pytest.mark.parametrize("trainer_type", TRAINERS)
@pytest.mark.parametrize("file", PEERS, ids=[f"{file.parent.name}/{file.stem}" for file in PEERS])
def test_file_of_ml_agents_own_trainer_becomes_one_that_starts_without_a_warning(
    convert: Callable[[str, str], str], file: Path, trainer_type: str
) -> None:
    """With Unity's values for PPO, SAC and POCA, for every trainer of this repository."""
    text = file.read_text(encoding="utf-8")
    result = convert(text, trainer_type)
    before, after = yaml.safe_load(text)["behaviors"], yaml.safe_load(result)["behaviors"]
    assert set(before) == set(after)
    assert {behavior["trainer_type"] for behavior in after.values()} == {trainer_type}


@pytest.mark.parametrize("trainer_type", TRAINERS)
@pytest.mark.parametrize("text", [IMITATION, SHARED_OUT], ids=["imitation", "default settings"])
def test_file_with_every_section_is_converted(convert: Callable[[str, str], str], text: str, trainer_type: str) -> None:
    """What is no hyperparameter stays: demonstrations, curricula, self-play, the settings of the run."""
    before, after = yaml.safe_load(text), yaml.safe_load(convert(text, trainer_type))
    for section in set(before) - {"behaviors", "default_settings"}:
        assert after[section] == before[section]
    for name, behavior in before["behaviors"].items():
        for key in set(behavior) & {"reward_signals", "behavioral_cloning", "self_play", "max_steps"}:
            assert after["behaviors"][name][key] == behavior[key]


@pytest.mark.parametrize("trainer_type", TRAINERS)
def test_every_change_has_a_comment(convert: Callable[[str, str], str], trainer_type: str) -> None:
    """With what the value was, or that the key was left out, and why."""
    file = next(file for file in PEERS if file.parent.name == "ppo" and file.stem == "Basic")
    text = file.read_text(encoding="utf-8")
    result = convert(text, trainer_type)
    before = yaml.safe_load(text)["behaviors"]["Basic"]
    after = yaml.safe_load(result)["behaviors"]["Basic"]
    for section in ("hyperparameters", "network_settings"):
        for key in {*before[section], *(after.get(section) or {})}:
            was, now = before[section].get(key), (after.get(section) or {}).get(key)
            if was != now:
                assert re.search(rf"# {key}( was|:| left out, was) ", result), f"{key}: {was} {now}"
    assert "# trainer_type was ppo" in result


def test_file_says_which_actions_the_trainer_plays(convert: Callable[[str, str], str]) -> None:
    """It cannot know which ones the agents have."""
    text = "behaviors: {Car: {trainer_type: ppo}}"
    assert "discrete actions only" in convert(text, "dqn").replace("\n# ", " ")
    assert "actions only" not in convert(text, "a2c")


@pytest.mark.parametrize(("trainer_type", "is_kept"), [("dqn", False), ("flashsac", False), ("a2c", True)])
def test_trainer_with_a_replay_waits_for_its_updates(
    convert: Callable[[str, str], str], trainer_type: str, is_kept: bool
) -> None:
    """Unity's reference has a thread for SAC, whose updates are quick beside those of today."""
    (agent,) = yaml.safe_load(convert("behaviors: {Car: {trainer_type: sac, threaded: true}}", trainer_type))[
        "behaviors"
    ].values()
    assert ("threaded" in agent) is is_kept


def test_file_of_the_same_trainer_stays_as_it_is(convert: Callable[[str, str], str]) -> None:
    """Nothing is to be changed."""
    text = (ROOT / "configs" / "dqn" / "Basic.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(convert(text, "dqn")) == yaml.safe_load(text)


@pytest.mark.parametrize("trainer_type", ["ppo", "sac"])
def test_file_of_ours_becomes_one_of_ml_agents(convert: Callable[[str, str], str], trainer_type: str) -> None:
    """The way back, by what both have in common."""
    text = (ROOT / "configs" / "dqn" / "Basic.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(convert(text, trainer_type))["behaviors"]["Basic"]["trainer_type"] == trainer_type


FORMER = """# yaml-language-server: $schema=../schema.json
behaviors:
  Runner: &runner
    trainer_type: ppo
    framework: pytorch
    hyperparameters: {batch_size: 128, buffer_size: 2048, learning_rate: 3e-4}
    reward_signals: {extrinsic: {gamma: 0.99}, curiosity: {strength: 0.02, encoding_size: 32}}
    max_steps: 5e5
  Jumper:
    <<: *runner
    max_steps: 1e6
"""


@pytest.mark.parametrize("trainer_type", [*TRAINERS, "ppo", "sac", "poca"])
def test_keys_of_which_ml_agents_warns_are_said_in_those_of_now(
    convert: Callable[[str, str], str], trainer_type: str
) -> None:
    """The file of the same trainer is no exception."""
    result = convert(FORMER, trainer_type)
    for behavior in yaml.safe_load(result)["behaviors"].values():
        assert "framework" not in behavior
        curiosity = behavior["reward_signals"]["curiosity"]
        assert (curiosity["network_settings"]["hidden_units"], "encoding_size" in curiosity) == (32, False)
    assert "# encoding_size left out, was 32:" in result


def test_text_that_is_a_number_is_written_as_one(convert: Callable[[str, str], str]) -> None:
    """YAML has a text for 5e5, which a schema refuses."""
    after = yaml.safe_load(convert(FORMER, "dqn"))["behaviors"]
    assert [behavior["max_steps"] for behavior in after.values()] == [500_000, 1_000_000]


def test_schema_for_editors_stays_the_one_of_the_file(convert: Callable[[str, str], str]) -> None:
    """Its comment counts in the first line alone."""
    assert convert(FORMER, "dqn").splitlines()[0] == "# yaml-language-server: $schema=../schema.json"


COMMENTED = """\ufeff# yaml-language-server: $schema=../schema.json
# of the file
behaviors:  # all of them

  Car:
    trainer_type: ppo
    init_path: "a # b"  # no comment in the quotation marks
    hyperparameters:
      # of a key that goes
      beta: 5e-3 # behind it
    network_settings: {hidden_units: 128}  # behind braces
environment_parameters:
  wall:
    curriculum:
      # of a lesson
      - name: low  # which is easy
        completion_criteria: {behavior: Car, threshold: 0.5}
        value: 1
      - {name: high, value: 2}
# at the end
"""


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("trainer_type", [*TRAINERS, "sac"])
def test_comments_of_the_file_are_kept(convert: Callable[[str, str], str], trainer_type: str, end: str) -> None:
    """Each once, above the key that it is about, also of one that is left out."""
    text = COMMENTED.replace("\n", end)
    result = convert(text, trainer_type)
    written = [line.partition("#")[2].strip() for line in COMMENTED.splitlines() if "#" in line and "a # b" not in line]
    for comment in [*written, "no comment in the quotation marks"]:
        assert sum(line.strip() == f"# {comment}" for line in result.splitlines()) == 1, result
    assert "\n    # no comment in the quotation marks\n    init_path: 'a # b'\n" in result
    assert re.search(r"# of a key that goes\n +# behind it\n +(# )?beta\b", result)
    assert result.splitlines()[0] == "# yaml-language-server: $schema=../schema.json"


@pytest.mark.parametrize("trainer_type", [*TRAINERS, "ppo", "sac", "poca"])
def test_second_conversion_changes_nothing(convert: Callable[[str, str], str], trainer_type: str) -> None:
    """The comments of the first are still there."""
    for text in (COMMENTED, IMITATION, FORMER):
        result = convert(text, trainer_type)
        assert convert(result, trainer_type) == result


@pytest.mark.parametrize("trainer_type", TRAINERS)
def test_odd_files_are_converted(convert: Callable[[str, str], str], trainer_type: str) -> None:
    """Of default settings alone, with several players, a day for a name, keys without effect."""
    convert("default_settings: {trainer_type: ppo}\nbehaviors: {}\n", trainer_type)
    convert("env_settings: {num_envs: 2, env_path: a.exe}\nbehaviors: {Car: {trainer_type: ppo}}\n", trainer_type)
    result = convert("checkpoint_settings: {run_id: 2026-01-31}\nbehaviors: {Car: {trainer_type: ppo}}\n", trainer_type)
    assert "run_id: 2026-01-31\n" in result
    convert("behaviors: {Car: {trainer_type: dqn, hyperparameters: {beta: 0.1}}}\n", trainer_type)


def test_file_with_nothing_for_a_trainer_is_not_converted(convert: Callable[[str, str], str]) -> None:
    """It would be one for none."""
    with pytest.raises(NotConverted, match="nothing for a trainer"):
        convert("behaviors: {}\nenv_settings: {seed: 3}\n", "dqn")


@pytest.mark.parametrize("trainer_type", [*TRAINERS, "ppo", "sac", "poca"])
def test_hyperparameters_of_default_settings_reach_trainers_that_have_them(
    convert: Callable[[str, str], str], trainer_type: str
) -> None:
    """As in mlagents-learn, also where a behaviour is for that trainer already."""
    text = """
default_settings: {trainer_type: dqn, hyperparameters: {n_step: 5}, max_steps: 100000}
behaviors:
  Runner: {time_horizon: 32}
  Jumper: {trainer_type: ppo, hyperparameters: {batch_size: 64}}
"""
    convert(text, trainer_type)


@attr.s(auto_attribs=True)
class OfAThirdAuthor(CheckedSettings, OnPolicyHyperparamSettings):
    """Settings of a plugin with a conversion of its own."""

    clip: float = 0.1

    @classmethod
    def conversion(cls, origin: TrainerSettings):
        """A value that follows from the original's."""
        yield from super().conversion(origin)
        yield Change("hyperparameters: clip", origin.time_horizon / 100, "clipped by the horizon")


def test_plugin_of_a_third_author_says_what_it_begins_with(
    convert: Callable[[str, str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside its settings; what it does not say follows from the keys that both have."""
    monkeypatch.setitem(all_trainer_settings, "theirs", OfAThirdAuthor)
    monkeypatch.setitem(all_trainer_types, "theirs", object)
    monkeypatch.setattr("mlagents.trainers.learn.register_trainer_plugins", lambda: (None, None))
    text = "behaviors: {Car: {trainer_type: ppo, hyperparameters: {num_epoch: 5, beta: 0.1}, time_horizon: 50}}"
    result = convert(text, "theirs")
    assert yaml.safe_load(result)["behaviors"]["Car"]["hyperparameters"] == {"num_epoch": 5, "clip": 0.5}
    assert "# clip: clipped by the horizon" in result
    assert "# beta left out, was 0.1: a key of ppo alone" in result


def test_trainer_that_nobody_has_is_one_line(tmp_path: Path) -> None:
    """With the nearest."""
    file = tmp_path / "a.yaml"
    file.write_text("behaviors: {Car: {trainer_type: ppo}}")
    with pytest.raises(NotConverted, match=r"no plugin here has trainer_type dqnn; did you mean dqn\?"):
        converted(file, "dqnn")


def test_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    """It may be the only copy."""
    file = tmp_path / "a.yaml"
    file.write_text("mine")
    with pytest.raises(NotConverted, match="is there already"):
        write_new(file, "new")
    assert file.read_text() == "mine"


def test_file_that_cannot_be_written_is_not_left_by_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a full disk; another try would find it there already."""

    def fail(file: Path, text: str, encoding: str) -> None:
        file.write_bytes(text.encode(encoding)[:2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", fail)
    with pytest.raises(NotConverted, match="cannot be written: No space left"):
        write_new(tmp_path / "a.yaml", "new")
    assert list(tmp_path.iterdir()) == []


RATES = st.sampled_from([1e-5, 3e-4, 1e-2])
SIZES = st.sampled_from([1, 7, 32, 128, 1024, 20480, 500_000])


@pytest.mark.parametrize("trainer_type", TRAINERS)
def test_any_numbers_of_ppo_and_sac_become_a_file_that_starts_without_a_warning(
    convert: Callable[[str, str], str], trainer_type: str
) -> None:
    """Unity's scenes are not all that there are."""

    @settings(max_examples=25, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.sampled_from(["ppo", "sac", "poca"]), RATES, SIZES, SIZES, SIZES, SIZES, st.booleans())
    def try_numbers(
        origin: str, rate: float, batch: int, buffer: int, horizon: int, steps: int, remembers: bool
    ) -> None:
        hyperparameters = {"learning_rate": rate, "batch_size": min(batch, buffer), "buffer_size": buffer}
        own = {"trainer_type": origin, "hyperparameters": hyperparameters, "time_horizon": horizon}
        own["max_steps"] = 2000 + 100 * steps
        if remembers:
            own["network_settings"] = {"memory": {"sequence_length": min(32, hyperparameters["batch_size"])}}
        convert(yaml.safe_dump({"behaviors": {"Car": own}}), trainer_type)

    try_numbers()


@pytest.mark.parametrize("saved_as", ["utf-8", "utf-8-sig", "utf-16"])
def test_file_is_checked_and_converted_however_it_was_saved(saved_as: str, tmp_path: Path) -> None:
    """`mlagents-doctor FILE --convert-to pqn > pqn.yaml` writes UTF-16 in Windows PowerShell."""
    file = tmp_path / "a.yaml"
    text = "behaviors:\n  Gegner_ä: # ä\n    {trainer_type: pqn, hyperparameters: {batch_size: 0}}\n"
    file.write_bytes(text.encode(saved_as))
    (fault,) = check_file(file).faults
    assert (fault.line, "Gegner_ä: hyperparameters: batch_size" in fault.text) == (3, True)
    file.write_bytes(text.replace("batch_size: 0", "").encode(saved_as))
    assert not check_file(file).faults
    assert list(yaml.safe_load(converted(file, "a2c"))["behaviors"]) == ["Gegner_ä"]
