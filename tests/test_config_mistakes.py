"""Each mistake in a file is refused by the schema and by the doctor, with a line that names the key."""

import io
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from mistakes import MISTAKES, RIGHT, Mistake
from mlagents.plugins.trainer_type import register_trainer_plugins
from mlagents.trainers.learn import parse_command_line
from mlagents.trainers.settings import TrainerSettings

from mlagents_plugin_shared.doctor.config_check import FileReport, check_file
from mlagents_plugin_shared.doctor.schema import schema

IDS = [f"{number}-{mistake.path}" for number, mistake in enumerate(MISTAKES)]


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft7Validator:
    """The schema of all trainers here."""
    _, settings = register_trainer_plugins()
    return jsonschema.Draft7Validator(schema(settings))


@pytest.fixture
def checked(tmp_path: Path) -> Callable[[str], FileReport]:
    """What the doctor says of a text."""

    def check(text: str) -> FileReport:
        file = tmp_path / "config.yaml"
        file.write_text(text, encoding="utf-8")
        return check_file(file)

    return check


def complaints(validator: jsonschema.Draft7Validator, text: str) -> list[str]:
    """What the schema says of a text, as check-jsonschema prints it."""
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(yaml.safe_load(text))]


def test_file_without_mistake_is_taken(validator: jsonschema.Draft7Validator, checked: Any) -> None:
    """The control."""
    assert complaints(validator, RIGHT) == []
    assert checked(RIGHT).faults == []


@pytest.mark.parametrize("mistake", MISTAKES, ids=IDS)
def test_schema_refuses_mistake_by_its_key(validator: jsonschema.Draft7Validator, mistake: Mistake) -> None:
    """An editor underlines it."""
    said = complaints(validator, mistake.text())
    assert any(mistake.key in line for line in said), said


@pytest.mark.parametrize("mistake", MISTAKES, ids=IDS)
def test_doctor_refuses_mistake_by_its_key_and_line_and_so_does_mlagents_learn(
    checked: Any, mistake: Mistake, tmp_path: Path
) -> None:
    """One line about it, which names the line of the file; the run would have ended with it."""
    text = mistake.text()
    faults = checked(text).faults
    naming = [fault for fault in faults if mistake.key in fault.text]
    assert naming, faults
    assert naming[0].line is not None
    written = text.splitlines()[naming[0].line - 1]
    above = [part for part in mistake.path.split("/") if not part.isdigit()]
    is_item = written.lstrip().startswith("- ")
    assert is_item or any(f"{key}:" in written for key in (mistake.key, *above)), written
    with pytest.raises(Exception):  # noqa: B017, PT011  # ML-Agents raises whatever it comes to
        parse_command_line([str(tmp_path / "config.yaml")])
    TrainerSettings.default_override = None


def test_all_mistakes_of_a_file_come_at_once(checked: Any) -> None:
    """Of several sections and behaviours, those of ML-Agents' own trainers among them."""
    whole = yaml.safe_load(RIGHT)
    whole["behaviors"]["Car"]["hyperparameters"]["batch_size"] = 0
    whole["behaviors"]["Guard"]["hyperparameters"] |= {"epsilonn": 1, "num_epoc": 3}
    whole["environment_parameters"]["height"] = "tall"
    whole["torch_settings"]["devise"] = "cpu"
    faults = checked(yaml.safe_dump(whole)).faults
    for key in ("batch_size", "did you mean epsilon?", "did you mean num_epoch?", "height", "did you mean device?"):
        assert sum(key in fault.text for fault in faults) == 1, key


def test_mistakes_come_in_the_order_of_their_lines(checked: Any) -> None:
    """Whatever finds them: one that is wrong beside others is found after those that are wrong alone."""
    text = """behaviors:
  Car:
    hyperparameters:
      buffer_size: 10
      batch_size: 64
      learning_rate: -1
    max_steps: 30k
    trainer_type: dqnn
"""
    assert [fault.line for fault in checked(text).faults] == [5, 6, 7, 8]


def test_what_ml_agents_takes_of_its_own_trainers_is_a_warning(checked: Any) -> None:
    """It takes a negative batch size, and breaks later."""
    text = "behaviors: {Guard: {trainer_type: ppo, hyperparameters: {batch_size: -5}}}"
    report = checked(text)
    assert report.faults == []
    assert "batch_size: -5 is not valid" in report.warnings[0].text


def test_trainer_that_nobody_brings_comes_with_what_installs_it(checked: Any) -> None:
    """By the name that this project gives its distributions."""
    report = checked("behaviors: {Car: {trainer_type: dreamer}}")
    assert "Invalid trainer type dreamer" in report.faults[0].text
    assert "mlagents-plugin-dreamer" in report.commands[-1]
    for other in ("dqnn", "5"):
        assert checked(f"behaviors: {{Car: {{trainer_type: {other}}}}}").commands == []


def test_name_that_yaml_takes_for_a_number_is_to_be_quoted(checked: Any) -> None:
    """No agent's behaviour would ever be equal to it."""
    (fault,) = checked("behaviors: {3: {trainer_type: dqn}}").faults
    assert fault.text.endswith('write it as "3".')
    assert checked('behaviors: {"3": {trainer_type: dqn}}').faults == []


@pytest.mark.parametrize("behavior", ["[1]", "{a: 1}", "true", "Cars"])
@pytest.mark.parametrize("behaviors", ["{Car: {trainer_type: dqn}}", "5", "[Car]"])
def test_lesson_of_what_is_no_behavior_is_a_fault(checked: Any, behavior: str, behaviors: str) -> None:
    """Whatever stands in either place."""
    lesson = f"{{name: low, value: 1, completion_criteria: {{behavior: {behavior}, threshold: 1}}}}"
    curriculum = f"[{lesson}, {{name: high, value: 2}}]"
    faults = checked(f"behaviors: {behaviors}\nenvironment_parameters: {{wall: {{curriculum: {curriculum}}}}}\n").faults
    assert faults
    if behavior != "Cars" or behaviors.startswith("{"):  # else there is nothing that it could be one of
        assert any("completion_criteria: behavior" in fault.text for fault in faults)


@pytest.mark.parametrize("text", ["checkpoint_settings: {run_id: 2026-02-31}\n", "a: 0x_\n", "? [a]\n: 1\n"])
def test_yaml_of_what_is_no_day_no_number_and_no_key_is_a_fault(checked: Any, text: str) -> None:
    """Its reader raises other errors there than elsewhere."""
    (fault,) = checked(text).faults
    assert "put quotation marks around it" in fault.text or fault.line == 1


def test_every_whole_number_that_yaml_takes_for_text_is_named(checked: Any) -> None:
    """ML-Agents' own trainers make no number of 1e5, and would say neither the key nor the line."""
    text = "behaviors:\n  Car:\n    trainer_type: ppo\n    hyperparameters: {learning_rate: 1e-3, buffer_size: 1e5}\n"
    text += "    max_steps: 1e6\n    time_horizon: 1e2\n"
    found = [(fault.line, fault.text) for fault in checked(text).faults]
    assert found == [
        (4, "Car: hyperparameters: buffer_size: '1e5' is not valid; YAML takes it for text; write 100000."),
        (6, "Car: time_horizon: '1e2' is not valid; YAML takes it for text; write 100."),
    ]


def test_default_settings_of_another_trainer_of_ml_agents_are_named(checked: Any) -> None:
    """It would name a key that nobody wrote."""
    (fault,) = checked("default_settings: {max_steps: 5000}\nbehaviors:\n  Car:\n    trainer_type: sac\n").faults
    assert fault.line == 4
    assert "default_settings are for ppo" in fault.text
    assert checked("default_settings: {trainer_type: sac}\nbehaviors: {Car: {max_steps: 5000}}\n").faults == []


def test_players_of_a_file_may_be_named_on_the_command_line(checked: Any) -> None:
    """So this is no fault, and the file can be converted."""
    text = "env_settings: {num_envs: 4}\nbehaviors: {Car: {trainer_type: ppo}}\n"
    report = checked(text)
    assert report.faults == []
    assert "mlagents-learn needs it as --env" in report.warnings[0].text
    assert checked(text.replace("4}", "4, env_path: Car.x86_64}")).warnings == []


def test_refusal_without_a_key_has_no_line(checked: Any) -> None:
    """That of `behaviors:` would be a false one."""
    (fault,) = checked("behaviors: {Car: {trainer_type: ppo}}\nenv_settings: {num_areas: 0}\n").faults
    assert fault.line is None or fault.line == 2


@pytest.mark.parametrize("arguments", [[], ["--convert-to", "dqn"], ["--json"]])
def test_names_that_a_console_lacks_are_no_error(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """As in cp437; a file that is printed is whole, or not there."""
    from mlagents_plugin_shared.doctor.file_command import run
    from mlagents_plugin_shared.doctor.machine.entry import parsed, print_what_the_console_has

    file = tmp_path / "config.yaml"
    file.write_text("behaviors: {\u65e5: {trainer_type: ppo, max_steps: many}}", encoding="utf-8")
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="cp437", write_through=True))
    print_what_the_console_has()
    assert run(parsed([str(file)])) == 1
    file.write_text("behaviors: {\u65e5: {trainer_type: ppo}}", encoding="utf-8")
    raw.truncate(0)
    assert run(parsed([str(file), *arguments])) == int("--convert-to" in arguments)
    if "--convert-to" in arguments:
        assert raw.getvalue() == b""
        assert "write it with --output FILE" in capsys.readouterr().err


def test_empty_name_of_a_file_is_no_look_at_the_machine(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    """As that of a variable which is not set: all would seem to be fine."""
    from mlagents_plugin_shared.doctor.machine.entry import main

    assert main([""]) == 1
    assert "this is a folder" in capfd.readouterr().out


def test_folder_is_called_one(tmp_path: Path) -> None:
    """ML-Agents would say that it cannot be found."""
    (fault,) = check_file(tmp_path).faults
    assert fault.text == "this is a folder; name a file in it."


def test_key_that_stands_twice_and_yaml_that_is_none_have_their_line(checked: Any) -> None:
    """YAML would take the last without a word."""
    twice = "behaviors:\n  Car:\n    trainer_type: ppo\n    max_steps: 5\n    max_steps: 6\n"
    assert "stands twice" in checked(twice).warnings[0].text
    assert "stands twice" in checked(twice.replace("ppo", "dqn")).faults[0].text
    (fault,) = checked("behaviors:\n  Car: {\n").faults
    assert fault.line == 3


@pytest.mark.parametrize(
    ("text", "line", "path"),
    [
        ("behaviors:\n  Car:\n    behavioral_cloning:\n      demo_path: no.demo\n", 4, "no.demo"),
        ("behaviors: {Car: {}}\ndefault_settings:\n  behavioral_cloning:\n    demo_path: no.demo\n", 4, "no.demo"),
        ("behaviors:\n  Car:\n    init_path: gone/checkpoint.pt\n", 3, "gone/checkpoint.pt"),
        ("checkpoint_settings: {initialize_from: gone, results_dir: out}\nbehaviors: {Car: {}}\n", 1, "out/gone"),
    ],
)
def test_what_a_run_begins_with_and_is_not_there_is_a_warning(checked: Any, text: str, line: int, path: str) -> None:
    """It may be on the machine that trains."""
    (warning,) = checked(text).warnings
    assert warning.line == line
    assert f"{str(Path(path) if path == 'out/gone' else path)!r} is not there" in warning.text


def test_doctor_does_not_look_for_the_bare_name_of_a_checkpoint(checked: Any) -> None:
    """ML-Agents looks for it in the run of --initialize-from."""
    assert checked("behaviors: {Car: {init_path: Car-500.pt}}").warnings == []


def test_doctor_prints_what_is_not_said_otherwise(checked: Any, capsys: pytest.CaptureFixture) -> None:
    """What ML-Agents logs while it reads comes as a warning and not on the screen, and its loggers are as before."""
    before = logging.getLogger("mlagents.trainers.settings").handlers[:]
    report = checked("behaviors: {Car: {trainer_type: ppo, framework: pytorch}}")
    assert any("Framework option was deprecated" in warning.text for warning in report.warnings)
    assert capsys.readouterr() == ("", "")
    assert logging.getLogger("mlagents.trainers.settings").handlers == before


def test_schema_is_written_to_a_new_file(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """In UTF-8, which `>` of some shells does not write; what is there stays."""
    from mlagents_plugin_shared.doctor.file_command import run
    from mlagents_plugin_shared.doctor.machine.entry import parsed

    file = tmp_path / "schema.json"
    assert run(parsed(["--schema", "--output", str(file)])) == 0
    assert "behaviors" in json.loads(file.read_text(encoding="utf-8"))["properties"]
    assert run(parsed(["--schema", "--output", str(file)])) == 1
    assert "is there already" in capsys.readouterr().err


def test_report_is_json_for_programs(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """The same in fields."""
    from mlagents_plugin_shared.doctor.file_command import run
    from mlagents_plugin_shared.doctor.machine.entry import parsed

    file = tmp_path / "config.yaml"
    file.write_text(MISTAKES[0].text(), encoding="utf-8")
    assert run(parsed([str(file), "--json"])) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["accepted"] is False
    assert said["faults"][0]["line"] > 0
