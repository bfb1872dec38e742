"""The JSON Schema is current, takes every configuration here, and knows what others install."""

import json
import sys
from enum import Enum
from pathlib import Path
from typing import Any

import attr
import jsonschema
import pytest
import yaml
from mlagents.plugins.trainer_type import register_trainer_plugins
from mlagents.trainers import settings as host

from mlagents_plugin_shared.doctor.schema import schema
from mlagents_plugin_shared.run.settings import CheckedSettings, between, positive


class Colour(Enum):
    """Values of a key."""

    RED = "red"
    BLUE = "blue"


@attr.s(auto_attribs=True)
class OfAThirdAuthor(CheckedSettings, host.OnPolicyHyperparamSettings):
    """Settings of a plugin that this repository does not know."""

    colour: Colour = Colour.RED
    """What it looks like."""

    share: float = attr.ib(default=0.5, validator=[positive, between(0.0, 1.0)])
    steps: int | None = attr.ib(default=None, validator=attr.validators.optional(positive))
    layers: list[int] = attr.ib(factory=list)


@pytest.fixture(scope="module")
def registered() -> dict[str, Any]:
    """The settings classes of all trainers here."""
    _, settings = register_trainer_plugins()
    return settings


@pytest.fixture(scope="module")
def committed(root: Path) -> dict[str, Any]:
    """The schema that lies beside the configurations."""
    return json.loads((root / "configs" / "schema.json").read_text(encoding="utf-8"))


def errors(of: dict[str, Any], text: str) -> list[str]:
    """What a schema says of a text."""
    found = jsonschema.Draft7Validator(of).iter_errors(yaml.safe_load(text))
    return [f"{error.json_path}: {error.message}" for error in found]


def test_schema_is_current(docs_script: Any, committed: dict[str, Any], root: Path) -> None:
    """`nox -s docs` would write it as it is."""
    page = docs_script("generate_schema")["page"]()
    assert page == (root / "configs" / "schema.json").read_text(encoding="utf-8"), "run nox -s docs"


def test_schema_is_one(committed: dict[str, Any]) -> None:
    """Of the draft that it says."""
    jsonschema.Draft7Validator.check_schema(committed)


def test_schema_takes_every_configuration(committed: dict[str, Any], config: Path) -> None:
    """Each names it in its first line, so that editors complete and check it."""
    text = config.read_text(encoding="utf-8")
    first = text.splitlines()[0]
    named = first.removeprefix("# yaml-language-server: $schema=")
    assert (config.parent / named).resolve() == (config.parents[1] / "schema.json").resolve()
    assert errors(committed, text) == []


def test_schema_takes_files_of_ml_agents_own_trainers(committed: dict[str, Any], root: Path) -> None:
    """Unity's values for PPO, SAC and POCA, and the same read by a plugin of ours."""
    files = sorted(root.glob("benchmarks/results/peers/*/*.yaml"))
    assert files
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert errors(committed, text) == [], file
        trainer = yaml.safe_load(text)["behaviors"].popitem()[1]["trainer_type"]
        ours = text.replace(f"trainer_type: {trainer}", "trainer_type: dqn")
        assert errors(committed, ours) == [], file


def test_schema_takes_what_mlagents_learn_writes(registered: dict[str, Any]) -> None:
    """configuration.yaml, beside a run's results, holds every default."""
    behaviors = {"Car": {"trainer_type": "dqn"}, "Guard": {"trainer_type": "ppo"}}
    written = yaml.safe_dump(host.RunOptions.from_dict({"behaviors": behaviors}).as_dict())
    assert errors(schema(registered), written) == []


def test_every_key_is_described(committed: dict[str, Any]) -> None:
    """An editor shows it where the pointer rests; keys without effect say so instead."""
    for name, definition in committed["definitions"].items():
        for key, value in definition["properties"].items():
            assert value.get("description") or value.get("deprecationMessage") or "$ref" in value, f"{name}: {key}"


def test_trainer_of_a_third_author_is_in_the_schema(registered: dict[str, Any]) -> None:
    """By its attrs class alone."""
    whole = schema({**registered, "theirs": OfAThirdAuthor})
    keys = whole["definitions"]["hyperparameters_theirs"]["properties"]
    assert keys["colour"] == {"description": "What it looks like.", "enum": ["red", "blue"], "default": "red"}
    assert keys["share"] == {"type": "number", "exclusiveMinimum": 0, "minimum": 0.0, "maximum": 1.0, "default": 0.5}
    assert keys["steps"] == {"type": ["integer", "null"], "exclusiveMinimum": 0}
    assert keys["layers"] == {"type": "array", "items": {"type": "integer"}}
    file = "behaviors: {{Car: {{trainer_type: theirs, hyperparameters: {{{}}}}}}}"
    assert errors(whole, file.format("colour: blue, share: 0.2, beta: 0.1")) == []
    assert "colour" in errors(whole, file.format("colour: green"))[0]
    assert "shar" in errors(whole, file.format("shar: 0.2"))[0]


def test_actors_of_a_trainer_with_a_replay_are_in_the_schema(committed: dict[str, Any]) -> None:
    """With the types of what stands under them."""
    file = "behaviors: {{Car: {{trainer_type: {}, hyperparameters: {{actors: {{{}}}}}}}}}"
    for trainer in ("dqn", "flashsac"):
        assert errors(committed, file.format(trainer, "count: 4, resources: {unity: 1}")) == []
        assert "coun" in errors(committed, file.format(trainer, "coun: 4"))[0]
        assert "many" in errors(committed, file.format(trainer, "resources: {unity: many}"))[0]


def test_trainer_of_the_default_settings_reads_behaviours_without_one(registered: dict[str, Any]) -> None:
    """Their hyperparameters are those of that trainer."""
    text = "{{default_settings: {{trainer_type: dqn}}, behaviors: {{Car: {{hyperparameters: {{{}}}}}}}}}"
    assert errors(schema(registered), text.format("n_step: 3")) == []
    assert "n_stepp" in errors(schema(registered), text.format("n_stepp: 3"))[0]
    assert "trainer_type" in errors(schema(registered), "behaviors: {Car: {hyperparameters: {batch_size: 8}}}")[0]


def test_installed_plugin_of_a_third_author_is_in_what_the_doctor_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Nothing of ours names it."""
    from mlagents.plugins import all_trainer_settings, all_trainer_types

    from mlagents_plugin_shared.doctor.file_command import run
    from mlagents_plugin_shared.doctor.machine.entry import parsed

    info = tmp_path / "theirs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: theirs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[mlagents.trainer_type]\ntheirs = {__name__}:get_type_and_setting\n")
    monkeypatch.syspath_prepend(tmp_path)
    for known in (all_trainer_types, all_trainer_settings):
        monkeypatch.setitem(known, "theirs", object)  # and gone again after the test
    assert run(parsed(["--schema"])) == 0
    assert "colour" in json.loads(capsys.readouterr().out)["definitions"]["hyperparameters_theirs"]["properties"]


def get_type_and_setting() -> tuple[dict[str, Any], dict[str, Any]]:
    """The entry point of the plugin above."""
    return {"theirs": object}, {"theirs": sys.modules[__name__].OfAThirdAuthor}
