"""The text of a configuration file: mistakes in its YAML are one line each, with what to do."""

from functools import partial
from pathlib import Path

import pytest
from mlagents.plugins import all_trainer_settings, all_trainer_types
from mlagents.plugins.trainer_type import register_trainer_plugins
from mlagents.trainers import cli_utils
from mlagents.trainers.cli_utils import load_config
from mlagents.trainers.exception import TrainerConfigError

from mlagents_plugin_shared.run import config_text
from mlagents_plugin_shared.run.replay_settings import ReplaySettings


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trainer of ours beside ML-Agents' own."""
    register_trainer_plugins()
    monkeypatch.setitem(all_trainer_settings, "fake", ReplaySettings)
    monkeypatch.setitem(all_trainer_types, "fake", object)


def write(folder: Path, text: str) -> str:
    file = folder / "car.yaml"
    file.write_text(text, encoding="utf-8")
    return str(file)


def test_key_that_stands_twice_is_refused_with_its_lines(tmp_path: Path) -> None:
    """YAML would take the last; files of ML-Agents' trainers go on so."""
    text = "behaviors:\n  Car:\n    trainer_type: {}\n    max_steps: 5\n    summary_freq: 1\n    max_steps: 6\n"
    with pytest.raises(
        TrainerConfigError, match=r"car\.yaml: behaviors: Car: max_steps: stands twice, in line 4 and .*6"
    ):
        load_config(write(tmp_path, text.format("fake")))
    assert load_config(write(tmp_path, text.format("ppo")))["behaviors"]["Car"]["max_steps"] == 6


def test_behaviour_that_stands_twice_is_refused_although_the_last_is_not_ours(tmp_path: Path) -> None:
    """Its first mapping is not in what YAML loads."""
    text = "behaviors:\n  Car: {trainer_type: fake}\n  Car: {trainer_type: ppo}\n"
    with pytest.raises(TrainerConfigError, match="behaviors: Car: stands twice, in line 2 and in line 3"):
        load_config(write(tmp_path, text))


@pytest.mark.parametrize("text", ["behaviors:\n\tCar: 1", "a: 'open", "a: &x [*y]", "a: {b: 1", "a: ]"])
def test_what_is_no_yaml_is_one_line_with_a_line_number(text: str, tmp_path: Path) -> None:
    """Whichever part of YAML's reader stumbles."""
    with pytest.raises(TrainerConfigError, match=r"car\.yaml: line \d+: ") as error:
        load_config(write(tmp_path, text))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "# nothing\n", "- a\n", "word"])
def test_file_without_settings_is_one_line(text: str, tmp_path: Path) -> None:
    """It is no mapping."""
    with pytest.raises(TrainerConfigError, match=r"car\.yaml: .*behaviors"):
        load_config(write(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("behaviours: {Car: {trainer_type: fake}}", "did you mean behaviors?"),
        ("Car: {trainer_type: fake}", "it holds keys of a behavior: indent it under behaviors:."),
        ("{trainer_type: fake, max_steps: 5}", "it belongs under behaviors:, under a behavior's name."),
        ("{behaviors: {Car: {trainer_type: fake}}, run_id: x}", "it belongs under checkpoint_settings:."),
        ("{behaviors: {Car: {trainer_type: fake}}, env_settings: null}", "keys are expected under it."),
    ],
)
def test_wrong_outline_is_refused_before_the_command_line_is_put_into_it(text: str, end: str, tmp_path: Path) -> None:
    """ML-Agents says only that the option is invalid, or fails in the attempt."""
    with pytest.raises(TrainerConfigError) as error:
        load_config(write(tmp_path, text))
    assert all(line.endswith(end) for line in str(error.value).splitlines())


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("behaviors:\n  Car:\n\t\ttrainer_type: fake", "spaces, not with tabs."),
        ("behaviors:\n  Car:\n    trainer_type: fake\n   max_steps: 5", "must begin in the same column."),
        ("behaviors:\n  Car:\n    trainer_type:fake\n    max_steps: 5", "space is missing after the colon above."),
        ("behaviors:\n  Car:\n    trainer_type: fake\n      max_steps: 5", "this line is indented too far, or"),
        ("behaviors:\n  Car:\n    trainer_type: fake\n    max_steps 5\n    threaded: true", "a colon and a space."),
        ("behaviors:\n  Car: {trainer_type: 'fake}\n", "a quotation mark is not closed."),
        ("behaviors:\n  Car: {trainer_type: fake\n", "a bracket is not closed, or a comma is missing, here or above."),
        ("behaviors: {}\n---\nbehaviors: {}\n", "leave this line (---) out."),
        ("behaviors:\n  Car\0: {trainer_type: fake}\n", "line 2: the character #x0000 cannot be in a YAML; delete it."),
    ],
)
def test_frequent_mistake_in_a_yaml_comes_with_its_remedy(text: str, remedy: str, tmp_path: Path) -> None:
    """In the words of somebody who does not know how YAML is read."""
    with pytest.raises(TrainerConfigError, match=r"car\.yaml: line \d: ") as error:
        load_config(write(tmp_path, text))
    assert remedy in str(error.value)


def test_section_that_nobody_has_is_refused_with_the_nearest(tmp_path: Path) -> None:
    """Whoever trains: without behaviors: the file says nothing of that."""
    text = "behaviours: {Car: {trainer_type: fake}}\nenv_setting: {}\n"
    with pytest.raises(TrainerConfigError) as error:
        load_config(write(tmp_path, text))
    first, second = str(error.value).splitlines()
    assert first.endswith("behaviours is not a known key; did you mean behaviors?")
    assert second.endswith("env_setting is not a known key; did you mean env_settings?")


def test_alias_inside_of_itself_is_one_line(tmp_path: Path) -> None:
    """YAML reads it as a mapping without an end."""
    with pytest.raises(TrainerConfigError, match=r"car\.yaml: an alias"):
        load_config(write(tmp_path, "behaviors:\n  Car: &car\n    trainer_type: fake\n    hyperparameters: *car\n"))


@pytest.mark.parametrize("opened_as", ["utf-8", "cp1252"])
@pytest.mark.parametrize("saved_as", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "cp1252"])
def test_file_says_the_same_however_it_was_saved(
    saved_as: str, opened_as: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By which editor or shell, and on whichever machine ML-Agents opens it: a name with an umlaut stays what it is."""
    monkeypatch.setattr(cli_utils, "open", partial(open, encoding=opened_as), raising=False)
    monkeypatch.setattr(config_text.locale, "getpreferredencoding", lambda do_setlocale: "cp1252")
    mark = "\ufeff" if saved_as == "utf-16-be" else ""  # the others write it themselves, or have none
    file = tmp_path / "car.yaml"
    file.write_bytes((mark + "behaviors:\r\n  Gegner_ä:\r\n    trainer_type: fake # “car”\r\n").encode(saved_as))
    assert load_config(str(file)) == {"behaviors": {"Gegner_ä": {"trainer_type": "fake"}}}


def test_file_that_is_no_text_is_one_line(tmp_path: Path) -> None:
    """Neither UTF-8 nor what this machine writes."""
    file = tmp_path / "car.yaml"
    file.write_bytes(b"behaviors: \xff\xfe\x81")
    with pytest.raises(TrainerConfigError, match=r"error decoding .*car\.yaml"):
        load_config(str(file))
