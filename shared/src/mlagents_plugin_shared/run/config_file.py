"""What a configuration file says, as a whole: whose trainers its behaviours have, and every fault of it.

ML-Agents forgets a behaviour's name before it looks at its settings, ends at the first fault, and writes every default
of `default_settings` out as if the user had: then no default can depend on another key any more. Here behaviours of
this project's trainers are read from the raw mappings. The settings of ML-Agents' own trainers are left to it.
"""

import copy
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import attr
from mlagents.plugins import all_trainer_settings, all_trainer_types
from mlagents.trainers import settings as host
from mlagents.trainers.exception import TrainerConfigError
from mlagents.trainers.settings import RunOptions, TrainerSettings
from mlagents_envs.logging_util import get_logger

from mlagents_plugin_shared.run.published import absent_distribution
from mlagents_plugin_shared.run.reading import (
    HYPERPARAMETERS,
    Reading,
    check_class,
    did_you_mean,
    holds,
    nearest,
    read_behavior,
)
from mlagents_plugin_shared.run.sections import parameter_faults, section_faults, unknown_key, value_faults
from mlagents_plugin_shared.run.settings import CheckedSettings, show

logger = get_logger(__name__)

DEFAULTS = "default_settings"
"""The section whose keys count for every behaviour."""


# What belongs to whom


def settings_class(written: Any) -> Any:
    """The class of a behaviour's hyperparameters, None where the trainer is unknown.

    Args:
        written: what stands under the behaviour's name.
    """
    return all_trainer_settings.get(trainer_type_of(written))


def trainer_type_of(written: Any) -> Any:
    """The trainer that a behaviour asks for, ML-Agents' default where it asks for none; None where it is no text.

    Args:
        written: what stands under the behaviour's name.
    """
    name = written.get("trainer_type", "ppo") if isinstance(written, Mapping) else None
    return name if isinstance(name, str) else None


def is_ours(written: Any) -> bool:
    """Whether a behaviour is read here: its trainer's settings are `CheckedSettings`.

    Args:
        written: what stands under the behaviour's name.
    """
    class_type = settings_class(written)
    return isinstance(class_type, type) and issubclass(class_type, CheckedSettings)


def merged(defaults: Any, own: Any) -> Any:
    """What a user wrote for a behaviour: its own keys on top of those of `default_settings`.

    Of another trainer's default hyperparameters those count that this one has too, with values of the same type: a
    `preset` of the one is none of the other.

    Args:
        defaults: what stands under `default_settings`.
        own: what stands under the behaviour's name.
    """
    if not isinstance(own, Mapping) or not isinstance(defaults, Mapping):
        return own
    result: dict[str, Any] = copy.deepcopy(dict(defaults))
    trainer_type = own.get("trainer_type", defaults.get("trainer_type", "ppo"))
    hyperparameters = result.get(HYPERPARAMETERS)
    class_type, default_type = settings_class({"trainer_type": trainer_type}), settings_class(defaults)
    if class_type not in (None, default_type) and isinstance(hyperparameters, Mapping):
        types = _types(class_type)
        former = {**types, **_types(default_type)}
        kept = {key for key in types if types[key] == former[key]}
        result[HYPERPARAMETERS] = {key: value for key, value in hyperparameters.items() if key in kept}
    host.deep_update_dict(result, own)
    return result


def _types(class_type: Any) -> dict[str, Any]:
    return {} if class_type is None else {field.name: field.type for field in attr.fields(class_type)}


def concerns_plugins(options: Mapping[str, Any]) -> bool:
    """Whether a file has a behaviour of this project's trainers, or may get one from its default settings.

    Args:
        options: the file's mapping.
    """
    defaults, behaviors = options.get(DEFAULTS), options.get("behaviors")
    if "behaviors" in options and not isinstance(behaviors, Mapping):
        return True
    owned = list(behaviors.values()) if behaviors else []
    if not all(isinstance(own, Mapping) for own in owned):
        return True
    unknown = [value for key, value in options.items() if key not in attr.fields_dict(RunOptions)]
    astray = [each for value in unknown if isinstance(value, Mapping) for each in (value, *value.values())]
    written = [defaults, *(merged(defaults, own) for own in owned), *astray]
    return any(is_ours(settings) or _trainer_fault("", settings) for settings in written)


# A whole file


class ConfigFile:
    """The behaviours of a file and its default settings, read as far as they are of this project's trainers.

    Args:
        options: the file.
        every_trainer: reads those of other trainers too, which `mlagents-learn` leaves to ML-Agents.

    Attributes:
        faults: a line each.
        remarks: what the user is to be told, a line for each behaviour.
    """

    def __init__(self, options: Mapping[str, Any], every_trainer: bool = False) -> None:
        self.faults: list[str] = []
        self.remarks: list[str] = []
        self._every_trainer = every_trainer
        self._defaults = options.get(DEFAULTS)
        if self._defaults is not None and not isinstance(self._defaults, Mapping):
            self.faults.append(f"{DEFAULTS}: {show(self._defaults)} is not valid; keys are expected under it.")
        self._of_defaults = self._read(DEFAULTS, self._defaults)
        behaviors = options.get("behaviors", {})
        if not isinstance(behaviors, Mapping):
            self.faults.append(behaviors_fault(behaviors))
            return
        self.faults += [_name_fault(name) for name in behaviors if not isinstance(name, str)]
        readings = [reading for name, own in behaviors.items() if (reading := self._read_behavior(str(name), own))]
        if self._of_defaults and not behaviors:  # every behaviour gets them as they are
            self.faults += self._of_defaults.conflicts.values()
        elif self._of_defaults and readings:
            self._remark(DEFAULTS, self._defaults, _of_all(readings, self._defaults))

    def _read(self, name: str, written: Any) -> Reading | None:
        if fault := _trainer_fault(name, written):
            self.faults.append(fault)
            written = _of_meant_trainer(written)
        if not is_ours(written) and not (self._every_trainer and _is_readable(written)):
            return None
        reading = read_settings(name, written)
        if name == DEFAULTS:
            self.faults += reading.faults.values()
        return reading

    def _read_behavior(self, name: str, own: Any) -> Reading | None:
        written = merged(self._defaults, own)
        if _is_misplaced(name, own):
            self.faults.append(
                f"behaviors: {name}: {show(own)} is not valid; {name} is a key of a behavior: indent it, so that it "
                "stands under the behavior's name."
            )
            return None
        reading = self._read(name, written)
        if fault := _default_fault(name, self._defaults, written):
            self.faults.append(fault)
            return None
        if reading is None:
            if not isinstance(own, Mapping):
                self.faults.append(
                    f"behaviors: {name}: {show(own)} is not valid; keys are expected under a behavior's name."
                )
            return None
        said = self._of_defaults.faults if self._of_defaults else {}
        self.faults += [line for path, line in reading.faults.items() if path not in said or holds(own, path)]
        self.faults += reading.conflicts.values()
        self._remark(name, written, reading.of(own))
        return reading

    def _remark(self, name: str, written: Any, reading: Reading) -> None:
        if text := remark_on(name, written, reading):
            self.remarks.append(text)


def _is_readable(written: Any) -> bool:
    """Whether the settings class of another trainer is one that a file can be read by."""
    class_type = settings_class(written)
    if not (isinstance(class_type, type) and attr.has(class_type)):
        return False
    try:
        check_class(class_type)
    except TrainerConfigError:
        return False
    return True


def all_faults(options: Mapping[str, Any]) -> list[str]:
    """Every fault of a file, a line each: also of behaviours of ML-Agents' own trainers, of which it would name one.

    ML-Agents takes some of those, such as a negative `batch_size`: `RunOptions.from_dict` says whether it takes a file.

    Args:
        options: the file's mapping.
    """
    return [*run_faults(options), *ConfigFile(options, every_trainer=True).faults]


def _of_all(readings: list[Reading], defaults: Any) -> Reading:
    """The remarks on keys of the default settings that hold for every behaviour: others may be meant for one alone."""
    first = readings[0]
    return first._replace(
        idle={path: why for path, why in first.idle.items() if all(path in one.idle for one in readings)},
        far={path: text for path, text in first.far.items() if all(path in one.far for one in readings)},
    ).of(defaults)


def remark_on(name: str, written: Any, reading: Reading) -> str:
    """One line about keys that have no effect and values that are far from what the algorithm needs.

    Args:
        name: the behaviour's.
        written: what stands under it.
        reading: of it.

    Returns:
        The line, empty where there is nothing to say.
    """
    parts, trainer_type = [], trainer_type_of(written)
    if reading.idle:
        keys = ", ".join(f"{path.removeprefix(f'{HYPERPARAMETERS}: ')} ({why})" for path, why in reading.idle.items())
        parts.append(f"without effect for trainer_type {trainer_type}: {keys}.")
    if reading.far:
        parts.append(f"Far from what {trainer_type} needs: {' '.join(reading.far.values())}")
    return f"{name}: {' '.join(parts)}" if parts else ""


# A behaviour of it


def _trainer_fault(name: str, written: Any) -> str | None:
    """What is wrong with a behaviour's trainer_type, which says who reads the rest; None where nothing is."""
    if not isinstance(written, Mapping):
        return None
    if "trainer_type" not in written:
        if misspelt := _misspelt_trainer_type(written):
            reason = unknown_key(misspelt, ["trainer_type"])
            return f"{name}: {misspelt}: {show(written[misspelt])} is not valid; {reason}"
        if written.get(HYPERPARAMETERS):
            return (
                f"{name}: trainer_type is missing; hyperparameters were specified but no trainer_type was given: one "
                f"of {', '.join(sorted(all_trainer_types))}."
            )
        return None
    trainer_type = written["trainer_type"]
    if trainer_type in list(all_trainer_types):
        return None
    known = ", ".join(sorted(all_trainer_types))
    if absent := absent_distribution(trainer_type):
        meant = f"; install {absent}, which has it, into this environment. Known here are {known}."
    else:
        meant = did_you_mean(trainer_type, all_trainer_types) or f"; known are {known}."
    return f"{name}: trainer_type: Invalid trainer type {trainer_type} was found{meant}"


def _of_meant_trainer(written: Mapping[str, Any]) -> Mapping[str, Any]:
    """Settings of a trainer that is misspelt as those of the one that is meant, so that their own faults are named."""
    key = "trainer_type" if "trainer_type" in written else _misspelt_trainer_type(written)
    meant = None if absent_distribution(written.get(key)) else nearest(written.get(key), all_trainer_types)
    others = {own: value for own, value in written.items() if own != key}
    return {**others, "trainer_type": meant} if meant else written


def _misspelt_trainer_type(written: Mapping[str, Any]) -> Any:
    """The key that was meant for trainer_type, where that is missing; None if there is none."""
    return next((key for key in written if nearest(key, ["trainer_type"])), None)


def _default_fault(name: str, defaults: Any, written: Any) -> str | None:
    """What ML-Agents refuses of a behaviour that has another of its own trainers than the default settings.

    It hands all hyperparameters of these on, also those that nobody wrote.
    """
    if not (isinstance(defaults, Mapping) and isinstance(written, Mapping)) or is_ours(defaults) or is_ours(written):
        return None
    of_default, own = settings_class(defaults), settings_class(written)
    foreign = [key for key in _types(of_default) if key not in _types(own)]
    if None in (of_default, own) or not foreign:
        return None
    trainer_type = trainer_type_of(written)
    return (
        f"{name}: trainer_type: {trainer_type} is not valid; {DEFAULTS} are for {trainer_type_of(defaults)}, and "
        f"ML-Agents hands all of its hyperparameters on, such as {foreign[0]}, which {trainer_type} does not have; "
        f"write each behavior's settings under its name, and no {DEFAULTS}."
    )


def _is_behavior(written: Any) -> bool:
    """Whether a mapping holds keys that only stand under a behaviour's name."""
    return isinstance(written, Mapping) and any(key in attr.fields_dict(TrainerSettings) for key in written)


def _is_misplaced(name: str, own: Any) -> bool:
    """Whether what stands as a behaviour among the others is a key of one, indented too little."""
    return name in attr.fields_dict(TrainerSettings) and not _is_behavior(own)


def read_settings(name: str, written: Any) -> Reading:
    """A behaviour's settings by the class of its trainer.

    Args:
        name: the behaviour's.
        written: what stands under it.
    """
    if "framework" in written:  # as ML-Agents does
        logger.warning("Framework option was deprecated but was specified")
        written = {key: value for key, value in written.items() if key != "framework"}
    return read_behavior(name, written, settings_class(written))


def _name_fault(name: Any) -> str:
    """A behaviour's name that YAML takes for something else: no agent's name would ever equal it."""
    return f'behaviors: {name}: a behavior\'s name is text, which YAML does not take this for; write it as "{name}".'


def behaviors_fault(behaviors: Any) -> str:
    """The fault of a section of behaviours that has no names in it.

    Args:
        behaviors: what stands there.
    """
    return f"behaviors: {show(behaviors)} is not valid; names of behaviors are expected under it."


# Beside the behaviours


def run_faults(options: Mapping[str, Any], arguments: Collection[str] = ()) -> Iterator[str]:
    """Faults of what concerns the run and not a behaviour.

    Args:
        options: the file's mapping.
        arguments: names of the command line's, which may stand beside the sections.
    """
    fields = attr.fields_dict(RunOptions)
    for key, value in options.items():
        if key not in fields:
            if key not in arguments:
                yield f"{key}: {show(value)} is not valid; {misplaced_section(key, value)}"
        elif key == "debug":
            yield from value_faults(key, value, bool)
        elif key == "environment_parameters":
            behaviors = options.get("behaviors")
            is_known = DEFAULTS not in options and isinstance(behaviors, Mapping)
            yield from parameter_faults(key, value, behaviors if is_known else None)
        elif key.endswith("_settings") and key != DEFAULTS:
            yield from section_faults(key, value, fields[key].type)


def misplaced_section(key: str, value: Any) -> str:
    """Where a key belongs that stands at the left margin and must not.

    Args:
        key: the key.
        value: what stands under it.
    """
    if _is_behavior(value):
        return "it holds keys of a behavior: indent it under behaviors:."
    if key in attr.fields_dict(TrainerSettings):
        return f"{key} is not a known key here; it belongs under behaviors:, under a behavior's name."
    for section, field in attr.fields_dict(RunOptions).items():
        if field.type is not None and attr.has(field.type) and key in attr.fields_dict(field.type):
            return f"{key} is not a known key here; it belongs under {section}:."
    return unknown_key(key, attr.fields_dict(RunOptions))
