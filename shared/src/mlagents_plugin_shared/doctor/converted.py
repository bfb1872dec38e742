"""A file for one trainer, from the file for another: the values to begin with, each change with its reason.

What a trainer needs is said beside its settings, by `CheckedSettings.conversion`. Here is what holds for all: which
keys stay, and that the result starts without a warning.
"""

import copy
import textwrap
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import attr
import yaml
from mlagents.plugins import all_trainer_settings
from mlagents.trainers.settings import (
    OffPolicyHyperparamSettings,
    OnPolicyHyperparamSettings,
    RunOptions,
    TrainerSettings,
)

from mlagents_plugin_shared.doctor.comments import comments_of
from mlagents_plugin_shared.doctor.config_check import options_of
from mlagents_plugin_shared.run.config_file import DEFAULTS, merged
from mlagents_plugin_shared.run.config_text import decoded
from mlagents_plugin_shared.run.conversion import Change
from mlagents_plugin_shared.run.reading import HYPERPARAMETERS, Reading, did_you_mean, holds, number_of, read_behavior
from mlagents_plugin_shared.run.settings import CheckedSettings

_WIDTH = 110
_FOR_EDITORS = "# yaml-language-server:"

Kept = Mapping[str, list[str]]
"""Comments of the original, by the path of the key that they are about."""


class NotConverted(Exception):
    """There is no such file; the text says why, in one line."""


def converted(path: Path, trainer_type: str) -> str:
    """The text of a file for another trainer.

    Args:
        path: of a file that `mlagents-learn` takes.
        trainer_type: of the trainer.

    Returns:
        The text, with the comments of the file; the file's own where there is nothing to change.

    Raises:
        NotConverted: no installed plugin has the trainer, the file has nothing for one, or cannot be what it needs.
    """
    options = options_of(path)
    if trainer_type not in all_trainer_settings:
        known = f"; known are {', '.join(sorted(all_trainer_settings))}."
        raise NotConverted(
            f"no plugin here has trainer_type {trainer_type}{did_you_mean(trainer_type, all_trainer_settings) or known}"
        )
    if not options.behaviors and options.default_settings is None:
        raise NotConverted(f"there is nothing for a trainer in it; behaviors or {DEFAULTS} are expected.")
    text = decoded(path.read_bytes())
    whole = yaml.safe_load(text)
    kept = comments_of(text)
    lines = _sections(whole, options, trainer_type, kept)
    if yaml.safe_load("\n".join(lines)) == whole:
        return text
    first = [line for line in text.splitlines()[:1] if line.startswith(_FOR_EDITORS)]
    return "\n".join([*first, *_comment(_head(path, options, trainer_type, bool(kept)), 0), *lines]) + "\n"


def _sections(whole: Mapping[str, Any], options: RunOptions, trainer_type: str, kept: Kept) -> list[str]:
    lines: list[str] = []
    for section, written in whole.items():
        if section == DEFAULTS and written:
            lines += [*_kept_lines(kept, section, 0), f"{DEFAULTS}:"]
            own = _under(kept, section)
            lines += _behavior(DEFAULTS, written, options.default_settings, trainer_type, own, indent=2)
        elif section == "behaviors" and written:
            lines += [*_kept_lines(kept, section, 0), "behaviors:"]
            for name, own in written.items():
                counts = merged(whole.get(DEFAULTS), own)
                lines += [*_kept_lines(kept, f"{section}: {name}", 2), f"  {_scalar(name)}:"]
                of_name = _under(kept, f"{section}: {name}")
                lines += _behavior(name, counts, options.behaviors[name], trainer_type, of_name)
        else:
            lines += _rendered({section: written}, {}, kept, 0)
    return [*lines, *_kept_lines(kept, "", 0)]


def _under(kept: Kept, path: str) -> Kept:
    """The comments on the keys under a key, by their paths from there on."""
    lead = f"{path}: "
    return {place.removeprefix(lead): lines for place, lines in kept.items() if place.startswith(lead)}


def _head(path: Path, options: RunOptions, trainer_type: str, has_comments: bool) -> str:
    """What there is to say about the whole file."""
    origins = list(options.behaviors.values()) or [options.default_settings]
    former = sorted({settings.trainer_type for settings in origins})
    text = f"For trainer_type {trainer_type}, from {path.name}, which is for {', '.join(former)}. Values to begin with."
    if kinds := getattr(all_trainer_settings[trainer_type], "actions", ""):
        text += (
            f" {trainer_type} plays {kinds} actions only. Which ones its agents have does not stand in a file: see "
            "their Behavior Parameters."
        )
    if "poca" in former and trainer_type != "poca":
        text += (
            " poca's critic sees all agents of a group; here each learns from its own view, and from its own rewards "
            "and the group's."
        )
    if has_comments:
        text += f" The comments of {path.name} are kept, and may hold for it alone."
    return text


def _behavior(
    name: str, written: Any, origin: TrainerSettings, trainer_type: str, kept: Kept, indent: int = 4
) -> list[str]:
    class_type = all_trainer_settings[trainer_type]
    if origin.trainer_type == trainer_type:
        result = copy.deepcopy(dict(written))
        comments: dict[str, str] = {}
        _leave_former_keys_out(result, comments)
        _without_warnings(name, result, class_type, written, comments)
        return _rendered(result, comments, kept, indent)
    result, comments = _kept(written, origin, trainer_type, class_type)
    for change in _changes(class_type, origin):
        _apply(result, change, written, comments)
    _without_warnings(name, result, class_type, written, comments)
    if not result[HYPERPARAMETERS]:
        del result[HYPERPARAMETERS]  # its comments stay
    return _rendered(result, comments, kept, indent)


def _changes(class_type: type, origin: TrainerSettings) -> list[Change]:
    """The last change of each key, in the order of the first."""
    found = class_type.conversion(origin) if issubclass(class_type, CheckedSettings) else ()
    return list({change.key: change for change in found}.values())


def _kept(
    written: Any, origin: TrainerSettings, trainer_type: str, class_type: type
) -> tuple[dict[str, Any], dict[str, str]]:
    """The settings with the hyperparameters that both trainers have, and comments on the others, by path."""
    result = copy.deepcopy(dict(written))
    result.pop("trainer_type", None)
    result = {"trainer_type": trainer_type, **result}
    comments = {"trainer_type": f"was {origin.trainer_type}"}
    fields = attr.fields_dict(class_type)
    is_kin = any(
        issubclass(class_type, family) and isinstance(origin.hyperparameters, family)
        for family in (OnPolicyHyperparamSettings, OffPolicyHyperparamSettings)
    )
    result[HYPERPARAMETERS] = {}
    for key, value in (written.get(HYPERPARAMETERS) or {}).items():
        if key not in fields:
            comments[f"{HYPERPARAMETERS}: {key}"] = (
                f"left out, was {_plain(value)}: a key of {origin.trainer_type} alone"
            )
        elif not is_kin or fields[key].type != _type_of(origin, key):
            why = f"{origin.trainer_type} and {trainer_type} learn from other data; the default is a start"
            comments[f"{HYPERPARAMETERS}: {key}"] = f"left out, was {_plain(value)}: {why}"
        else:
            result[HYPERPARAMETERS][key] = value
    _leave_former_keys_out(result, comments)
    return _with_numbers(result), comments


def _leave_former_keys_out(result: dict[str, Any], comments: dict[str, str]) -> None:
    """Says in the keys of now what ML-Agents takes with a warning."""
    if "framework" in result:
        comments["framework"] = f"left out, was {_plain(result.pop('framework'))}: ML-Agents has but one, PyTorch"
    for name, signal in result.get("reward_signals", {}).items():
        if "encoding_size" in signal:
            size = signal.pop("encoding_size")
            signal.setdefault("network_settings", {"hidden_units": size})
            comments[f"reward_signals: {name}: encoding_size"] = (
                f"left out, was {_plain(size)}: the former name of network_settings: hidden_units"
            )


def _with_numbers(written: dict[str, Any]) -> dict[str, Any]:
    """The settings with numbers where YAML has the text 1e5; a path may look like one."""
    return {
        key: _with_numbers(value)
        if isinstance(value, dict)
        else value
        if str(key).endswith("_path")
        else number_of(value)
        for key, value in written.items()
    }


def _type_of(origin: TrainerSettings, key: str) -> Any:
    field = attr.fields_dict(type(origin.hyperparameters)).get(key)
    return field.type if field else None


def _apply(result: dict[str, Any], change: Change, written: Mapping[str, Any], comments: dict[str, str]) -> None:
    """Makes a change, and says so where it is one."""
    *parents, key = change.key.split(": ")
    node = result
    for parent in parents:
        node = node.setdefault(parent, {})
    before = _at(written, change.key)
    if change.value is None:
        if key in node or before is not _ABSENT:
            node.pop(key, None)
            comments[change.key] = f"left out, was {_plain(before)}: {change.why}"
    elif before is _ABSENT or before != change.value:
        node[key] = change.value
        comments[change.key] = change.why if before is _ABSENT else f"was {_plain(before)}: {change.why}"
    else:
        node[key] = change.value
        comments.pop(change.key, None)


def _without_warnings(
    name: str, result: dict[str, Any], class_type: type, written: Mapping[str, Any], comments: dict[str, str]
) -> None:
    """Leaves out what the trainer would warn of or refuse, until nothing is left.

    Raises:
        NotConverted: something is refused that cannot be left out.
    """
    if not issubclass(class_type, CheckedSettings):
        return
    while remarks := _remarks(read_behavior(name, result, class_type)):
        path, why = next(((path, why) for path, why in remarks.items() if holds(result, path)), ("", ""))
        if path:
            _apply(result, Change(path, None, why), written, comments)
        elif result.get(HYPERPARAMETERS):
            # What is wrong beside it is a default: so none of these is kept.
            for key in list(result[HYPERPARAMETERS]):
                why = " ".join(remarks.values())
                _apply(result, Change(f"{HYPERPARAMETERS}: {key}", None, why), written, comments)
        else:
            raise NotConverted(" ".join(remarks.values()))


def _remarks(reading: Reading) -> dict[str, str]:
    return {**reading.faults, **reading.conflicts, **reading.idle, **reading.far}


_ABSENT: Any = object()


def _at(written: Any, path: str) -> Any:
    for key in path.split(": "):
        if not isinstance(written, Mapping) or key not in written:
            return _ABSENT
        written = written[key]
    return written


# Text


def _rendered(
    mapping: Mapping[Any, Any], comments: Mapping[str, str], kept: Kept, indent: int, path: str = ""
) -> list[str]:
    """A mapping as lines of YAML, each comment above its key; keys that are left out come behind the others."""
    margin = " " * indent
    lines: list[str] = []
    for key, value in mapping.items():
        place = f"{path}{key}"
        lines += _kept_lines(kept, place, indent)
        if place in comments:
            lines += _comment(
                f"{key} {comments[place]}" if _is_former(comments[place]) else f"{key}: {comments[place]}", indent
            )
        if isinstance(value, Mapping) and value:
            lines += [f"{margin}{_scalar(key)}:", *_rendered(value, comments, kept, indent + 2, f"{place}: ")]
        elif isinstance(value, list) and any(isinstance(item, (Mapping, list)) for item in value):
            dumped = yaml.safe_dump({key: value}, sort_keys=False, allow_unicode=True)
            lines += textwrap.indent(dumped, margin).rstrip().splitlines()
        else:
            lines.append(f"{margin}{_scalar(key)}: {_scalar(value)}")
    return [*lines, *_left_out(mapping, comments, kept, indent, path)]


def _left_out(
    mapping: Mapping[Any, Any], comments: Mapping[str, str], kept: Kept, indent: int, path: str
) -> Iterator[str]:
    for place, text in comments.items():
        parent, _, key = place.rpartition(": ")
        is_here = parent == path.removesuffix(": ") and key not in mapping
        is_of_absent = bool(parent) and not path and parent not in mapping and parent == HYPERPARAMETERS
        if is_here or is_of_absent:
            yield from _kept_lines(kept, place, indent)
            yield from _comment(f"{key} {text}", indent)


def _kept_lines(kept: Kept, place: str, indent: int) -> list[str]:
    return [" " * indent + line for line in kept.get(place, ()) if not line.startswith(_FOR_EDITORS)]


def _is_former(text: str) -> bool:
    return text.startswith("was ")


def _comment(text: str, indent: int) -> list[str]:
    lead = " " * indent + "# "
    return textwrap.wrap(
        text, _WIDTH, initial_indent=lead, subsequent_indent=lead, break_on_hyphens=False, break_long_words=False
    )


def _scalar(value: Any) -> str:
    value = value.value if isinstance(value, Enum) else value
    dumped = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True).strip()
    return dumped.removesuffix("...").strip()


def _plain(value: Any) -> str:
    return "not set" if value is _ABSENT else _scalar(value)
