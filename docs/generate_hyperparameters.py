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
from mlagents.trainers import settings as host
from sources import ROOT, load

from mlagents_plugin_shared.run.settings import Range, host_ranges, show

GROUP = "mlagents.trainer_type"

HOST_KEYS = {
    "batch_size": "Experiences of an update. Low is fast and unsteady; high is steady and slow.",
    "buffer_init_steps": "Agent steps before the first update. Low starts from narrow data; high starts later.",
    "buffer_size": "Experiences that are kept to learn from. Low forgets soon; high takes more memory.",
    "learning_rate": "Step size. Low learns slowly; high learns faster, then is unstable.",
    "learning_rate_schedule": "`constant`, or `linear` to 0 at `max_steps`.",
    "num_epoch": "Passes over a rollout. Low is steadier; high learns more from each step.",
    "reward_signal_steps_per_update": "Agent steps to each update of curiosity, RND and GAIL. High updates them less.",
    "save_replay_buffer": "Keeps the replay with the checkpoint, so that `--resume` learns on at once.",
    "steps_per_update": "Agent steps to each update. Low learns more from each step; high takes less time.",
}
"""What ML-Agents' own hyperparameters do, which have no docstrings: for plugins that do not declare them anew."""

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
    """A row of the table for each key: first those of ML-Agents, then the class's own, then those of its bases."""
    fields, defaults = attr.fields_dict(settings), settings()
    return [
        f"| `{key}` | {_values(settings, fields[key])} | {_default(getattr(defaults, key))} | {text} |"
        for key, text in descriptions(settings).items()
    ]


def descriptions(settings: type) -> dict[str, str]:
    """What each key does, in the order of the table.

    Raises:
        ValueError: a field has no docstring.
    """
    keys = attr.fields_dict(settings)
    own: dict[str, str] = {}
    for ancestor in settings.__mro__:
        own = {**own, **{key: text for key, text in _docstrings(ancestor).items() if key not in own}}
    found = {**{key: text for key, text in HOST_KEYS.items() if key not in own}, **own}
    if missing := [key for key in keys if key not in found]:
        raise ValueError(f"{settings.__qualname__}: no docstring behind {', '.join(missing)}")
    return {key: text for key, text in found.items() if key in keys}


def preset_rows(settings: type) -> list[str]:
    """A row for each preset in the table `PRESETS` of the class's module: where it is from, and what it sets.

    Raises:
        ValueError: a preset has no docstring.
    """
    presets = getattr(sys.modules[settings.__module__], "PRESETS", {})
    words = {preset: _docstrings(type(preset)).get(preset.name) for preset in presets}
    if missing := [preset.name for preset, text in words.items() if not text]:
        raise ValueError(f"{settings.__module__}: no docstring behind {', '.join(missing)}")
    return [
        f"| `{preset.value}` | {words[preset]} | {', '.join(map(_written, values.items()))} |"
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


def _docstrings(owner: type) -> dict[str, str]:
    """The docstrings behind the fields of a settings class, or the members of an enumeration, as cells of a table."""
    if not (attr.has(owner) or issubclass(owner, Enum)) or owner.__module__ == host.__name__:
        return {}
    members = load(owner.__module__)[owner.__qualname__].members
    attributes = {name: member.docstring for name, member in members.items() if not member.is_alias}
    return {name: _cell(docstring.value) for name, docstring in attributes.items() if docstring}


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


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
    inherited = host_ranges(settings).get(field.name)
    ranges = [*_ranges(field.validator), *_ranges(inherited)]
    return ", ".join([TYPES.get(chosen, str(chosen)), *dict.fromkeys(ranges)])


def _ranges(validator: Any) -> Iterator[str]:
    """What the ranges in a validator ask for, also where attrs has made one of several, or an optional one."""
    nested = getattr(validator, "_validators", None) or [getattr(validator, "validator", None)]
    for each in filter(None, nested):
        yield from _ranges(each)
    if isinstance(validator, Range):
        yield re.sub("^it must (be |lie )?", "", validator.expected)


def _default(value: Any) -> str:
    return "not set" if value is None else f"`{show(value)}`"


if __name__ == "__main__":
    for each in trainers():
        each.readme.write_text(page(each), encoding="utf-8")
