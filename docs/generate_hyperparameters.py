"""Writes the tables of hyperparameters and presets in each plugin's README, from its settings module.

A row is a field of the settings class: its type and range, its default, and what its docstring says; or a preset. The
plugins are the installed ones that lie in this repository; in the README a table stands between two comments that name
the trainer type.
"""

import re
import sys
import typing
from collections.abc import Iterator
from enum import Enum
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, NamedTuple

import attr
from sources import ROOT

from mlagents_plugin_shared.doctor.field_texts import docstrings, field_texts
from mlagents_plugin_shared.run.settings import host_ranges, ranges_in, show

GROUP = "mlagents.trainer_type"

TYPES = {bool: "bool", float: "float", int: "int", str: "text"}


class Trainer(NamedTuple):
    """A trainer type of this repository.

    Attributes:
        name: as it stands in `trainer_type:`.
        readme: the README of its plugin.
        settings: the class of its hyperparameters.
    """

    name: str
    readme: Path
    settings: type


def trainers() -> list[Trainer]:
    """Every trainer type that an installed plugin of this repository brings."""
    return [
        Trainer(name, readme, settings)
        for point in entry_points(group=GROUP)
        if point.dist and (readme := ROOT / "packages" / point.dist.name / "README.md").is_file()
        for name, settings in point.load()()[1].items()
    ]


def rows(settings: type) -> list[str]:
    """A row of the table for each key: first those of ML-Agents, then the class's own, then those of its bases.

    The keys under a key follow it.
    """
    return list(_rows(settings, ""))


def _rows(settings: type, path: str) -> Iterator[str]:
    fields, defaults = attr.fields_dict(settings), settings()
    for key, text in descriptions(settings).items():
        yield f"| `{path}{key}` | {_values(settings, fields[key])} | {_default(getattr(defaults, key))} | {text} |"
        if nested := section_of(fields[key]):
            yield from _rows(nested, f"{path}{key}: ")


def section_of(field: attr.Attribute) -> type | None:
    """The class of the keys under a field; None where it holds a value."""
    kinds = [field.type, *typing.get_args(field.type)]
    return next((kind for kind in kinds if isinstance(kind, type) and attr.has(kind)), None)


def descriptions(settings: type) -> dict[str, str]:
    """What each key does, in the order of the table.

    Raises:
        ValueError: a field has no docstring.
    """
    texts = field_texts(settings)
    if missing := [key for key in attr.fields_dict(settings) if key not in texts]:
        raise ValueError(f"{settings.__qualname__}: no docstring behind {', '.join(missing)}")
    return {key: _cell(text) for key, text in texts.items()}


def preset_rows(settings: type) -> list[str]:
    """A row for each preset in the table `PRESETS` of the class's module: where it is from, and what it sets.

    Raises:
        ValueError: a preset has no docstring.
    """
    presets = getattr(sys.modules[settings.__module__], "PRESETS", {})
    words = {preset: docstrings(type(preset)).get(preset.name) for preset in presets}
    if missing := [preset.name for preset, text in words.items() if not text]:
        raise ValueError(f"{settings.__module__}: no docstring behind {', '.join(missing)}")
    return [
        f"| `{preset.value}` | {_cell(words[preset])} | {', '.join(map(_written, values.items()))} |"
        for preset, values in presets.items()
    ]


def page(trainer: Trainer) -> str:
    """The README with tables that are current.

    Raises:
        ValueError: the comments that a table stands between are not there.
    """
    text = trainer.readme.read_text(encoding="utf-8")
    head = ["| key | type, range | default | what it does |", "|---|---|---|---|"]
    text = _replaced(text, f"hyperparameters: {trainer.name}", [*head, *rows(trainer.settings)], trainer.readme)
    if presets := preset_rows(trainer.settings):
        head = ["| preset | after | sets |", "|---|---|---|"]
        text = _replaced(text, f"presets: {trainer.name}", [*head, *presets], trainer.readme)
    return text


def _replaced(text: str, table: str, lines: list[str], readme: Path) -> str:
    """The text with these lines between the comments that name a table."""
    first, last = f"<!-- table of {table} -->", f"<!-- end of {table} -->"
    before, opening, rest = text.partition(f"{first}\n")
    _, closing, after = rest.partition(last)
    if not (opening and closing):
        raise ValueError(f"{readme} has no lines {first} and {last} for the table to stand between")
    return before + opening + "\n".join(["", *lines, "", ""]) + closing + after


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _written(item: tuple[str, Any]) -> str:
    key, value = item
    return f"`{key}: {show(value)}`"


def _values(settings: type, field: attr.Attribute) -> str:
    """Type and range of a field: what may be written."""
    chosen: Any = field.type
    if type(None) in (union := typing.get_args(chosen)):
        (chosen,) = (each for each in union if each is not type(None))
    if isinstance(chosen, type) and issubclass(chosen, Enum):
        return ", ".join(f"`{member.value}`" for member in chosen)
    if section_of(field):
        return "keys"
    if typing.get_origin(chosen) is dict:
        of_key, of_value = (TYPES[each] for each in typing.get_args(chosen))
        name = f"{of_value} by {of_key}"
    else:
        name = TYPES.get(chosen, str(chosen))
    inherited = host_ranges(settings).get(field.name)
    ranges = [
        re.sub("^it must (be |lie )?", "", each.expected)
        for each in (*ranges_in(field.validator), *ranges_in(inherited))
    ]
    return ", ".join([name, *dict.fromkeys(ranges)])


def _default(value: Any) -> str:
    return "not set" if value is None else f"`{show(value)}`"


if __name__ == "__main__":
    for each in trainers():
        each.readme.write_text(page(each), encoding="utf-8")
