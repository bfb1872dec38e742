"""The tables of hyperparameters in the plugins' READMEs say what their settings classes say."""

import sys
from enum import Enum
from typing import Any

import attr
import pytest
from mlagents.trainers import settings as host

from mlagents_plugin_shared.doctor.field_texts import field_texts
from mlagents_plugin_shared.run.settings import CheckedSettings, between, not_negative, positive


class Colour(Enum):
    """Values of a key."""

    RED = "red"
    NO_COLOUR = "none"


@attr.s(auto_attribs=True)
class Under:
    """Keys under a key."""

    depth: int = 0


@attr.s(auto_attribs=True)
class Settings(CheckedSettings, host.OnPolicyHyperparamSettings):
    """Fields of every kind."""

    colour: Colour = Colour.RED
    share: float = attr.ib(default=0.5, validator=[positive, between(0.0, 1.0)])
    steps: int | None = attr.ib(default=None, validator=attr.validators.optional(not_negative))
    colours: Colour | None = None
    path: str | None = None
    free: dict[str, int] = attr.ib(factory=dict)
    under: Under | None = None


@pytest.fixture(scope="module")
def generator(docs_script):
    """The names that docs/generate_hyperparameters.py defines."""
    return docs_script("generate_hyperparameters")


def test_tables_of_hyperparameters_are_current(generator):
    """`nox -s docs` would write each README as it is."""
    trainers = generator["trainers"]()
    outdated = [each.name for each in trainers if generator["page"](each) != each.readme.read_text(encoding="utf-8")]
    assert outdated == [], "run nox -s docs"


def test_every_trainer_of_the_repository_has_a_table(generator, plugins):
    """What the plugins declare as entry points is what the generator finds."""
    assert {each.name for each in generator["trainers"]()} == {name for plugin in plugins for name in plugin.trainers}


def test_table_has_a_row_for_every_key(generator):
    """None is missing, none stands twice."""
    for trainer in generator["trainers"]():
        keys = [row.split("`")[1] for row in generator["rows"](trainer.settings)]
        assert sorted(keys) == sorted(keys_of(generator, trainer.settings))


def keys_of(generator, settings: type, path: str = "") -> list[str]:
    """The keys of a class, and those under them by their paths."""
    keys: list[str] = []
    for key, field in attr.fields_dict(settings).items():
        keys.append(f"{path}{key}")
        if nested := generator["section_of"](field):
            keys += keys_of(generator, nested, f"{path}{key}: ")
    return keys


def test_table_describes_every_key_of_ml_agents(generator):
    """A plugin need not declare anew what it inherits."""
    inherited = {
        *attr.fields_dict(host.OnPolicyHyperparamSettings),
        *attr.fields_dict(host.OffPolicyHyperparamSettings),
    }
    texts = {**field_texts(host.OnPolicyHyperparamSettings), **field_texts(host.OffPolicyHyperparamSettings)}
    assert set(texts) == inherited


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("keep_best", "bool"),
        ("reward_window", "int, between 1 and 1000000"),
        ("learning_rate", "float, greater than 0"),
        ("share", "float, greater than 0, between 0.0 and 1.0"),
        ("steps", "int, 0 or greater"),
        ("colour", "`red`, `none`"),
        ("colours", "`red`, `none`"),
        ("path", "text"),
        ("free", "int by text"),
        ("under", "keys"),
    ],
)
def test_table_takes_type_and_range_from_the_field(generator, key: str, expected: str):
    """Also of optional fields, of several ranges, and of what is ML-Agents' own."""
    assert generator["_values"](Settings, attr.fields_dict(Settings)[key]) == expected


def test_table_of_presets_has_what_each_sets(generator):
    """In the order of `PRESETS`, whether its values are numbers, truth values or names."""
    for trainer in generator["trainers"]():
        presets = getattr(sys.modules[trainer.settings.__module__], "PRESETS", {})
        rows = generator["preset_rows"](trainer.settings)
        assert [row.split("`")[1] for row in rows] == [preset.value for preset in presets]
        for row, values in zip(rows, presets.values(), strict=True):
            assert all(f"`{key}: " in row for key in values)


@pytest.mark.parametrize(("value", "expected"), [(None, "not set"), (False, "`false`"), (Colour.NO_COLOUR, "`none`")])
def test_table_shows_a_default_as_a_yaml_has_it(generator, value: Any, expected: str):
    """A key that is not set differs from one that is `none`."""
    assert generator["_default"](value) == expected


def test_field_without_docstring_is_named(generator, monkeypatch: pytest.MonkeyPatch):
    """The author learns which key lacks its words."""
    monkeypatch.setitem(generator["descriptions"].__globals__, "field_texts", lambda settings: {"colour": "Red."})
    with pytest.raises(ValueError, match="Settings: no docstring behind normalize_steps, keep_best, stop_at_reward"):
        generator["descriptions"](Settings)


def test_readme_without_a_place_for_the_table_is_named(generator, tmp_path):
    """The author learns which two lines to write."""
    readme = tmp_path / "README.md"
    readme.write_text("# A plugin\n", encoding="utf-8")
    trainer = generator["trainers"]()[0]._replace(readme=readme)
    with pytest.raises(ValueError, match=rf"README.md has no lines <!-- table of hyperparameters: {trainer.name} -->"):
        generator["page"](trainer)


def test_preset_without_docstring_is_named(generator, monkeypatch: pytest.MonkeyPatch):
    """The author learns which preset lacks its source."""
    monkeypatch.setitem(globals(), "PRESETS", {Colour.RED: {"share": 0.1}})
    monkeypatch.setitem(generator["preset_rows"].__globals__, "docstrings", lambda owner: {})
    with pytest.raises(ValueError, match="no docstring behind RED"):
        generator["preset_rows"](Settings)
