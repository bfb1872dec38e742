"""From what a user wrote under a behaviour's name to its settings: every fault is named, and nothing is dropped."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from types import NoneType, UnionType
from typing import Any, ClassVar, NamedTuple, Union, get_args, get_origin

import attr
from mlagents.plugins import all_trainer_settings
from mlagents.trainers import settings as host
from mlagents.trainers.exception import TrainerConfigError

from mlagents_plugin_shared.run.settings import (
    CheckedSettings,
    InvalidSettings,
    describe,
    entries,
    host_ranges,
    is_number,
    refusal,
)

HYPERPARAMETERS = "hyperparameters"
"""The section that a settings class of a trainer is for."""

# YAML 1.1 makes a string of 1e5 and of 1.0e5, which have no sign in their exponents.
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")

FORMER_KEYS = {
    "trainer": "trainer_type",
    "use_recurrent": "network_settings: memory",
    "num_update": "steps_per_update, agent steps to each update",
    "updates_per_train": "steps_per_update, agent steps to each update",
    "train_interval": "steps_per_update, agent steps to each update",
    "reward_signal_num_update": "reward_signal_steps_per_update",
    "play_against_current_self_ratio": "play_against_latest_model_ratio",
    "play_against_current_best_ratio": "play_against_latest_model_ratio",
    "curiosity_strength": "reward_signals: curiosity: strength",
    "curiosity_enc_size": "reward_signals: curiosity: network_settings: hidden_units",
    "pretraining": "behavioral_cloning",
    "parameter_randomization": "environment_parameters, a sampler_type under each name",
    "curriculum": "environment_parameters, a curriculum under a name",
    "output_path": "--results-dir on the command line",
    "summary_path": "--results-dir on the command line",
    "model_path": "--results-dir on the command line",
    "saver_settings": "checkpoint_settings",
}
"""Keys of earlier releases of ML-Agents, and what took their place."""

_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "some text"}


_NOTHING: Any = object()


class Unreadable(Exception):
    """A value is of no use; the text says what is expected."""


class Reading(NamedTuple):
    """What came of the settings of a behaviour.

    Attributes:
        settings: the settings; a draft, not to be trained with, where there are faults or conflicts.
        faults: a line for each value that is of no use, by the path of its key.
        conflicts: the same for values that are wrong only beside others.
        idle: paths of the keys that have no effect, each with the reason.
        far: a line for each value that counts and is far from what the algorithm needs, by its path.
    """

    settings: host.TrainerSettings
    faults: dict[str, str]
    conflicts: dict[str, str]
    idle: dict[str, str]
    far: dict[str, str]

    @property
    def lines(self) -> list[str]:
        """All faults and conflicts."""
        return [*self.faults.values(), *self.conflicts.values()]

    def of(self, written: Mapping[str, Any]) -> "Reading":
        """The same with what there is to say about keys that stand in one mapping only."""
        return self._replace(
            idle={path: why for path, why in self.idle.items() if holds(written, path)},
            far={path: text for path, text in self.far.items() if holds(written, path)},
        )


def read_behavior(name: str, written: Mapping[str, Any], class_type: type) -> Reading:
    """Reads everything that a user wrote under a behaviour's name, and in the default settings.

    Args:
        name: of the behaviour; it stands before every fault.
        written: the raw mapping of a YAML.
        class_type: of its hyperparameters; one that is not derived from `CheckedSettings`, as ML-Agents' own, has no
            conflicts and nothing without effect.

    Raises:
        TrainerConfigError: the class itself cannot be read.
    """
    check_class(class_type)
    reader = _Reader(name, class_type)
    with attr.validators.disabled():  # they would end at the first fault
        values = reader.fields("", written, host.TrainerSettings)
        values.setdefault("trainer_type", "ppo")
        values.setdefault(HYPERPARAMETERS, class_type())
        draft = host.TrainerSettings(**values)
    conflicts = dict(reader.conflicts(draft))
    if reader.faults or conflicts:
        return Reading(draft, reader.faults, conflicts, {}, {})
    try:
        settings = host.TrainerSettings(**values)
    except TrainerConfigError as error:  # ML-Agents' own, of what the conflicts of a plugin have named before
        return Reading(draft, {}, {"": f"{name}: {error}"}, {}, {})
    idle = {**reader.foreign, **dict(_idle(draft, written))}
    return Reading(settings, {}, {}, idle, dict(_far(draft, written)))


def check_class(class_type: type) -> None:
    """Refuses a settings class that no file can be read by, which is a fault of its author.

    Raises:
        TrainerConfigError: it is no attrs class, or a field is not of a type that a file can hold.
    """
    name = f"{class_type.__module__}.{class_type.__name__}"
    own = vars(class_type)
    adds = any(get_origin(kind) is not ClassVar for kind in own.get("__annotations__", {}).values())
    if "__attrs_attrs__" not in own and (adds or len(class_type.__bases__) > 1):
        raise TrainerConfigError(f"{name}: its fields are not known; put @attr.s(auto_attribs=True) above the class.")
    for field in attr.fields(class_type):
        if isinstance(field.type, str):
            raise TrainerConfigError(
                f"{name}: {field.name}: the annotation is a string; write the type itself, and no "
                "`from __future__ import annotations` in this file."
            )
        if not _is_readable(field.type):
            raise TrainerConfigError(
                f"{name}: {field.name}: {field.type!r} is no type for a setting; "
                "take bool, int, float, str, an Enum, or Optional, List or Dict of one of them, or an attrs class."
            )


def _is_readable(kind: Any) -> bool:
    """Whether `read_value` knows a type."""
    if get_origin(kind) in (Union, UnionType, list, dict):
        return all(choice is NoneType or _is_readable(choice) for choice in get_args(kind))
    if attr.has(kind):
        return all(_is_readable(field.type) for field in attr.fields(kind))
    return isinstance(kind, type) and (kind in _WORDS or issubclass(kind, Enum))


def holds(written: Any, path: str) -> bool:
    """Whether a path of keys stands in a mapping."""
    for key in path.split(": "):
        if not isinstance(written, Mapping) or key not in written:
            return False
        written = written[key]
    return True


def read_hyperparameter(key: str, value: Any, class_type: type[CheckedSettings]) -> Any:
    """One hyperparameter, for those who structure a settings class without a file.

    Raises:
        TrainerConfigError: the class does not have it, or the value is of no use.
    """
    check_class(class_type)
    reader = _Reader(class_type.__name__, class_type)
    values = reader.fields(HYPERPARAMETERS, {key: value}, class_type)
    if reader.foreign:
        raise TrainerConfigError(f"{class_type.__name__}: {HYPERPARAMETERS}: {key} is not a known key.")
    if reader.faults:
        raise TrainerConfigError("\n".join(reader.faults.values()))
    return values[key]


def read_value(value: Any, kind: Any) -> Any:
    """One value as a type of the settings: a number, a truth value, a word or a text.

    Raises:
        Unreadable: it is of another type.
    """
    if get_origin(kind) in (Union, UnionType):
        if value is None:
            return None
        return read_value(value, next(choice for choice in get_args(kind) if choice is not type(None)))
    if get_origin(kind) is list:
        if not isinstance(value, list):
            raise Unreadable("it must be a list")
        return [read_value(item, get_args(kind)[0]) for item in value]
    if get_origin(kind) is dict:
        if not isinstance(value, Mapping):
            raise Unreadable("keys are expected under it, or leave it out")
        of_key, of_value = get_args(kind)
        return {read_value(key, of_key): read_value(item, of_value) for key, item in value.items()}
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _read_word(value, kind)
    if kind in (int, float):
        return _read_number(value, kind)
    if not isinstance(value, kind) or value == "":
        raise Unreadable(f"it must be {_WORDS[kind]}")
    return value


def _read_word(value: Any, kind: type[Enum]) -> Enum:
    for member in kind:
        if type(member.value) is type(value) and member.value == value:
            return member
    words = [str(member.value) for member in kind]
    raise Unreadable(f"it must be one of {', '.join(words)}{did_you_mean(value, words)}")


def _read_number(value: Any, kind: type) -> float:
    number = number_of(value)
    if not is_number(number) or (kind is int and number != int(number)):
        raise Unreadable(f"it must be {_WORDS[kind]}")
    return kind(number)


def number_of(value: Any) -> Any:
    """The number that a text such as 1e5 is, whole where it can be; anything else as it is."""
    if not (isinstance(value, str) and _NUMBER.fullmatch(value)):
        return value
    number = float(value)
    return int(number) if number.is_integer() else number


def did_you_mean(word: Any, words: Iterable[str]) -> str:
    """The question whether the nearest of some words was meant; empty where none is near."""
    meant = nearest(word, words)
    return f"; did you mean {meant}?" if meant else ""


def nearest(word: Any, words: Iterable[str]) -> str | None:
    """The one of some words that is most like another, in small or large letters; None where none is near."""
    by_small = {each.lower(): each for each in words}
    return next((by_small[each] for each in difflib.get_close_matches(str(word).lower(), by_small, n=1)), None)


def _idle(behavior: Any, written: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The keys that were written and have no effect beside the others, and why."""
    settings = behavior.hyperparameters
    for entry in entries(type(settings), "idle"):
        if entry.when(settings, behavior):
            for key in entry.keys:
                if key in written.get(HYPERPARAMETERS, {}):
                    yield _join(HYPERPARAMETERS, key), entry.why
    if behavior.even_checkpoints and "checkpoint_interval" in written:
        yield "checkpoint_interval", "even_checkpoints sets it"
    for signal, keys in written.get("reward_signals", {}).items():
        if "encoding_size" in keys and "network_settings" in keys:
            yield f"reward_signals: {signal}: encoding_size", "network_settings stands beside it"


def _far(behavior: Any, written: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Values that were written and are far from what the algorithm needs, and what follows from them."""
    settings = behavior.hyperparameters
    for entry in entries(type(settings), "far"):
        path = _join(HYPERPARAMETERS, entry.key) if hasattr(settings, entry.key) else entry.key
        parent = written.get(HYPERPARAMETERS, {}) if hasattr(settings, entry.key) else written
        if entry.key in parent and (text := entry.text(settings, behavior)):
            yield path, text


def _join(path: str, key: Any) -> str:
    return f"{path}: {key}" if path else str(key)


def _nested(class_type: type) -> Iterator[tuple[str, type]]:
    """The keys of a settings class that hold keys of their own, each with the class of these."""
    for field in attr.fields(class_type):
        for kind in (field.type, *get_args(field.type)):
            if attr.has(kind):
                yield field.name, kind


def _under(place: str) -> str:
    return f"under {place}:" if place else "beside trainer_type:"


def trainers_with(key: Any) -> list[str]:
    """Trainers, ML-Agents' own and those of plugins, that have a hyperparameter."""
    return [name for name, settings in all_trainer_settings.items() if key in attr.fields_dict(settings)]


def host_trainers_with(key: Any) -> list[str]:
    """ML-Agents' own trainers that have a hyperparameter."""
    return [name for name in trainers_with(key) if is_hosts(all_trainer_settings[name])]


def is_hosts(settings: type) -> bool:
    """Whether these are hyperparameters of a trainer of ML-Agents' own."""
    return settings.__module__.partition(".")[0] == "mlagents"


class _Reader:
    """Reads the sections of one behaviour, and collects what is wrong with them.

    Attributes:
        faults: a line by the path of the key.
        takes_foreign: whether hyperparameters of ML-Agents' trainers may stand in the file of this one.
        foreign: those that do, with the reason why they have no effect.
    """

    def __init__(self, name: str, class_type: type) -> None:
        self.name = name
        self.class_type = class_type
        self.takes_foreign = issubclass(class_type, CheckedSettings)
        self.faults: dict[str, str] = {}
        self.foreign: dict[str, str] = {}

    def conflicts(self, draft: host.TrainerSettings) -> Iterator[tuple[str, str]]:
        """What is wrong only beside other values, by path, unless one of these has a fault of its own."""
        hyperparameters: Any = draft.hyperparameters
        if not isinstance(hyperparameters, CheckedSettings):
            return
        own = [
            conflict._replace(
                key=_join(HYPERPARAMETERS, conflict.key),
                others=tuple(_join(HYPERPARAMETERS, key) for key in conflict.others),
                value=getattr(hyperparameters, conflict.key),
            )
            for conflict in hyperparameters.conflicts()
        ]
        for conflict in [*own, *hyperparameters.behavior_conflicts(draft)]:
            if not any(key in self.faults for key in (conflict.key, *conflict.others)):
                yield conflict.key, describe(self.name, *conflict)

    def fields(self, path: str, written: Mapping[Any, Any], class_type: type) -> dict[str, Any]:
        """The values of a section that can be read, by key."""
        fields = attr.fields_dict(class_type)
        ranges = host_ranges(class_type)
        values: dict[str, Any] = {}
        for key, value in written.items():
            place = _join(path, key)
            if key in fields:
                read = self._value(place, value, fields[key])
                if read is not _NOTHING and self._is_within(place, value, read, fields[key], ranges.get(key)):
                    values[key] = read
            elif path == HYPERPARAMETERS and self.takes_foreign and (trainers := host_trainers_with(key)):
                self.foreign[place] = f"a key of {', '.join(trainers)}"
            else:
                self._fault(place, value, self._unknown(path, key, list(fields)))
        for key, field in fields.items():
            if field.default is attr.NOTHING and key not in written:
                self.faults[_join(path, key)] = (
                    f"{self.name}: {_join(path, key)} is missing; it is needed under {path}:."
                )
        return values

    def _value(self, path: str, value: Any, field: Any) -> Any:
        if path == HYPERPARAMETERS:
            return self._section(path, value, self.class_type)
        if path == "reward_signals":
            return self._reward_signals(path, value)
        kind = field.type
        if get_origin(kind) in (Union, UnionType) and any(attr.has(choice) for choice in get_args(kind)):
            if value is None:
                return None
            kind = next(choice for choice in get_args(kind) if attr.has(choice))
        if attr.has(kind):
            return self._section(path, value, kind)
        try:
            return read_value(value, kind)
        except Unreadable as error:
            self._fault(path, value, str(error))
            return _NOTHING

    def _is_within(self, path: str, value: Any, read: Any, field: Any, allowed: Any) -> bool:
        """Whether a value is in its range; if not, that is a fault."""
        try:
            if read is not None and allowed is not None:
                allowed(self, field, read)
            if field.validator is not None and path.startswith(f"{HYPERPARAMETERS}: "):
                field.validator(self, field, read)
        except InvalidSettings as error:
            self._fault(path, value, error.conflicts[0].reason)
            return False
        except (TrainerConfigError, TypeError, ValueError) as error:  # an author's own validator
            self._fault(path, value, str(error))
            return False
        return True

    def _section(self, path: str, written: Any, class_type: Any) -> Any:
        if not isinstance(written, Mapping):
            self._fault(path, written, "keys are expected under it, or leave it out")
            return _NOTHING
        values = self.fields(path, written, class_type)
        is_whole = all(field.default is not attr.NOTHING or field.name in values for field in attr.fields(class_type))
        return class_type(**values) if is_whole else _NOTHING

    def _reward_signals(self, path: str, written: Any) -> Any:
        if not isinstance(written, Mapping) or not written:
            self._fault(path, written, "name at least one, such as extrinsic, or leave it out")
            return _NOTHING
        signals: dict[host.RewardSignalType, Any] = {}
        for key, value in written.items():
            try:
                kind = read_value(key, host.RewardSignalType)
            except Unreadable as error:
                self._fault(_join(path, key), value, str(error))
                continue
            signal = self._section(_join(path, key), value, kind.to_settings())
            if signal is not _NOTHING:
                signals[kind] = signal
                if getattr(signal, "encoding_size", None) and "network_settings" not in value:
                    signal.network_settings.hidden_units = signal.encoding_size  # ML-Agents' former name for it
        # In one order, whatever that of the file: networks and checkpoints know a signal by its place.
        return {kind: signals[kind] for kind in host.RewardSignalType if kind in signals}

    def _unknown(self, path: str, key: Any, names: list[str]) -> str:
        """What to say about a key that a section does not have."""
        if path == HYPERPARAMETERS and (reason := refusal(self.class_type, key)):
            return reason
        homes = [place for place, keys in self._places().items() if key in keys and place != path]
        if homes:
            return f"{key} is not a known key here; it belongs {_under(homes[0])}"
        if key in FORMER_KEYS:
            return f"{key} is a key of an earlier ML-Agents; in its place stands {FORMER_KEYS[key]}"
        if meant := did_you_mean(key, names):
            return f"{key} is not a known key{meant}"
        if path == HYPERPARAMETERS and (others := trainers_with(key)):
            return f"{key} is not a known key; it is one of trainer_type: {', '.join(others)}"
        for place, keys in self._places().items():
            if meant := did_you_mean(key, keys):
                return f"{key} is not a known key; it may belong {_under(place)}{meant}"
        return f"{key} is not a known key; the known ones are {', '.join(names)}"

    def _places(self) -> dict[str, list[str]]:
        """The keys of every section."""
        sections: dict[str, Any] = {
            "": host.TrainerSettings,
            HYPERPARAMETERS: self.class_type,
            **{_join(HYPERPARAMETERS, key): kind for key, kind in _nested(self.class_type)},
            "network_settings": host.NetworkSettings,
            "network_settings: memory": host.NetworkSettings.MemorySettings,
            "reward_signals: extrinsic": host.RewardSignalSettings,
            "self_play": host.SelfPlaySettings,
            "behavioral_cloning": host.BehavioralCloningSettings,
            "reward_signals: gail": host.GAILSettings,
        }
        return {place: list(attr.fields_dict(section)) for place, section in sections.items()}

    def _fault(self, path: str, value: Any, reason: str) -> None:
        self.faults.setdefault(path, describe(self.name, path, reason, value=value))


# Last, since it needs all of the above: it puts this reading in ML-Agents' place.
import mlagents_plugin_shared.run.host.written_settings  # noqa: E402, F401
