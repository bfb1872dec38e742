"""A file's settings are what its user wrote: checked as a whole, each behaviour by its name.

ML-Agents forgets a behaviour's name before it looks at its settings, ends at the first fault, and writes every default
of `default_settings` out as if the user had: then no default can depend on another key any more. Here behaviours of
this project's trainers are read from the raw mappings. The settings of ML-Agents' own trainers are left to it.
"""

import copy
import difflib
from collections.abc import Collection, Iterator, Mapping
from typing import Any, TextIO, get_args

import attr
import cattr
import yaml
from mlagents.plugins import all_trainer_settings, all_trainer_types
from mlagents.trainers import cli_utils
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
    read_hyperparameter,
    read_value,
)
from mlagents_plugin_shared.run.sections import parameter_faults, section_faults, unknown_key, value_faults
from mlagents_plugin_shared.run.settings import CheckedSettings, show

logger = get_logger(__name__)

DEFAULTS = "default_settings"
"""The section whose keys count for every behaviour."""

# By words of what YAML's reader says.
_YAML_REMEDIES = {
    "'\\t'": "indent with spaces, not with tabs",
    "<block end>": "the keys of one section must begin in the same column",
    "mapping values are not allowed here": "this line is indented too far, or a space is missing after the colon above",
    "could not find expected ':'": "a key must be followed by a colon and a space",
    "unexpected end of stream": "a quotation mark is not closed",
    "expected ',' or": "a bracket is not closed, or a comma is missing, here or above",
    "another document": "a file has one document: leave this line (---) out",
}

_host_check_and_structure = host.check_and_structure
_host_structure = TrainerSettings.structure
_host_from_dict = RunOptions.from_dict
_host_missing = TrainerSettings.DefaultTrainerDict.__missing__


def written_settings(settings: TrainerSettings) -> Mapping[str, Any]:
    """What the user wrote of a behaviour's settings, in `default_settings` or under its name, as a YAML has it."""
    return getattr(settings, "_written", {})


# What belongs to whom


def _settings_class(written: Any) -> Any:
    """The class of a behaviour's hyperparameters, None where the trainer is unknown."""
    return all_trainer_settings.get(_trainer_type(written))


def _trainer_type(written: Any) -> Any:
    name = written.get("trainer_type", "ppo") if isinstance(written, Mapping) else None
    return name if isinstance(name, str) else None


def _is_ours(written: Any) -> bool:
    class_type = _settings_class(written)
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
    class_type, default_type = _settings_class({"trainer_type": trainer_type}), _settings_class(defaults)
    if class_type not in (None, default_type) and isinstance(hyperparameters, Mapping):
        types = _types(class_type)
        former = {**types, **_types(default_type)}
        kept = {key for key in types if types[key] == former[key]}
        result[HYPERPARAMETERS] = {key: value for key, value in hyperparameters.items() if key in kept}
    host.deep_update_dict(result, own)
    return result


def _types(class_type: Any) -> dict[str, Any]:
    return {} if class_type is None else {field.name: field.type for field in attr.fields(class_type)}


# A whole file


class _File:
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
        self._every_trainer = every_trainer
        self.remarks: list[str] = []
        self._defaults = options.get(DEFAULTS)
        if self._defaults is not None and not isinstance(self._defaults, Mapping):
            self.faults.append(f"{DEFAULTS}: {show(self._defaults)} is not valid; keys are expected under it.")
        self._of_defaults = self._read(DEFAULTS, self._defaults)
        behaviors = options.get("behaviors", {})
        if not isinstance(behaviors, Mapping):
            self.faults.append(_describe_behaviors(behaviors))
            return
        self.faults += [_describe_name(name) for name in behaviors if not isinstance(name, str)]
        readings = [reading for name, own in behaviors.items() if (reading := self._read_behavior(str(name), own))]
        if self._of_defaults and not behaviors:  # every behaviour gets them as they are
            self.faults += self._of_defaults.conflicts.values()
        elif self._of_defaults and readings:
            self._remark(DEFAULTS, self._defaults, _of_all(readings, self._defaults))

    def _read(self, name: str, written: Any) -> Reading | None:
        if fault := _trainer_fault(name, written):
            self.faults.append(fault)
            written = _of_meant_trainer(written)
        if not _is_ours(written) and not (self._every_trainer and _is_readable(written)):
            return None
        reading = _read(name, written)
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
        if text := _remark(name, _trainer_type(written), reading):
            self.remarks.append(text)


def _is_readable(written: Any) -> bool:
    """Whether the settings class of another trainer is one that a file can be read by."""
    class_type = _settings_class(written)
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
    return [*_check_run(options), *_File(options, every_trainer=True).faults]


def _of_all(readings: list[Reading], defaults: Any) -> Reading:
    """The remarks on keys of the default settings that hold for every behaviour: others may be meant for one alone."""
    first = readings[0]
    return first._replace(
        idle={path: why for path, why in first.idle.items() if all(path in one.idle for one in readings)},
        far={path: text for path, text in first.far.items() if all(path in one.far for one in readings)},
    ).of(defaults)


def _remark(name: str, trainer_type: Any, reading: Reading) -> str:
    """One line about keys that have no effect and values that are far from what the algorithm needs."""
    parts = []
    if reading.idle:
        keys = ", ".join(f"{path.removeprefix(f'{HYPERPARAMETERS}: ')} ({why})" for path, why in reading.idle.items())
        parts.append(f"without effect for trainer_type {trainer_type}: {keys}.")
    if reading.far:
        parts.append(f"Far from what {trainer_type} needs: {' '.join(reading.far.values())}")
    return f"{name}: {' '.join(parts)}" if parts else ""


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
    if not (isinstance(defaults, Mapping) and isinstance(written, Mapping)) or _is_ours(defaults) or _is_ours(written):
        return None
    of_default, own = _settings_class(defaults), _settings_class(written)
    foreign = [key for key in _types(of_default) if key not in _types(own)]
    if None in (of_default, own) or not foreign:
        return None
    trainer_type = _trainer_type(written)
    return (
        f"{name}: trainer_type: {trainer_type} is not valid; {DEFAULTS} are for {_trainer_type(defaults)}, and "
        f"ML-Agents hands all of its hyperparameters on, such as {foreign[0]}, which {trainer_type} does not have; "
        f"write each behavior's settings under its name, and no {DEFAULTS}."
    )


def _is_behavior(written: Any) -> bool:
    """Whether a mapping holds keys that only stand under a behaviour's name."""
    return isinstance(written, Mapping) and any(key in attr.fields_dict(TrainerSettings) for key in written)


def _is_misplaced(name: str, own: Any) -> bool:
    """Whether what stands as a behaviour among the others is a key of one, indented too little."""
    return name in attr.fields_dict(TrainerSettings) and not _is_behavior(own)


def _read(name: str, written: Any) -> Reading:
    if "framework" in written:  # as ML-Agents does
        logger.warning("Framework option was deprecated but was specified")
        written = {key: value for key, value in written.items() if key != "framework"}
    return read_behavior(name, written, _settings_class(written))


def _concerns_us(options: Mapping[str, Any]) -> bool:
    """Whether a file has a behaviour of this project's trainers, or may get one from its default settings."""
    defaults, behaviors = options.get(DEFAULTS), options.get("behaviors")
    if "behaviors" in options and not isinstance(behaviors, Mapping):
        return True
    owned = list(behaviors.values()) if behaviors else []
    if not all(isinstance(own, Mapping) for own in owned):
        return True
    unknown = [value for key, value in options.items() if key not in attr.fields_dict(RunOptions)]
    astray = [each for value in unknown if isinstance(value, Mapping) for each in (value, *value.values())]
    written = [defaults, *(merged(defaults, own) for own in owned), *astray]
    return any(_is_ours(settings) or _trainer_fault("", settings) for settings in written)


def _check_run(options: Mapping[str, Any], arguments: Collection[str] = ()) -> Iterator[str]:
    """Faults of what concerns the run and not a behaviour; arguments of the command line may stand beside it."""
    fields = attr.fields_dict(RunOptions)
    for key, value in options.items():
        if key not in fields:
            if key not in arguments:
                yield f"{key}: {show(value)} is not valid; {_unknown_section(key, value)}"
        elif key == "debug":
            yield from value_faults(key, value, bool)
        elif key == "environment_parameters":
            behaviors = options.get("behaviors")
            is_known = DEFAULTS not in options and isinstance(behaviors, Mapping)
            yield from parameter_faults(key, value, behaviors if is_known else None)
        elif key.endswith("_settings") and key != DEFAULTS:
            yield from section_faults(key, value, fields[key].type)


def _unknown_section(key: str, value: Any) -> str:
    """Where a key belongs that stands at the left margin and must not."""
    if _is_behavior(value):
        return "it holds keys of a behavior: indent it under behaviors:."
    if key in attr.fields_dict(TrainerSettings):
        return f"{key} is not a known key here; it belongs under behaviors:, under a behavior's name."
    for section, field in attr.fields_dict(RunOptions).items():
        if field.type is not None and attr.has(field.type) and key in attr.fields_dict(field.type):
            return f"{key} is not a known key here; it belongs under {section}:."
    return unknown_key(key, attr.fields_dict(RunOptions))


# In ML-Agents' place


def _from_dict(options_dict: dict[str, Any]) -> RunOptions:
    """The options of a run; all faults of a file with a behaviour of ours come in one error.

    Raises:
        TrainerConfigError: there are faults, one a line.
    """
    if not _concerns_us(options_dict):
        return _host_from_dict(options_dict)
    file = _File(options_dict)
    arguments = {action.dest for action in cli_utils.parser._actions}
    if faults := [*_check_run(options_dict, arguments), *file.faults]:
        raise TrainerConfigError("\n".join(faults))
    defaults = options_dict.get(DEFAULTS)
    if defaults is not None or hasattr(TrainerSettings.default_override, "_written"):  # those of an earlier file
        TrainerSettings.default_override = None if defaults is None else _structure_defaults(defaults)
    options = _host_from_dict({key: _as_read(key, value) for key, value in options_dict.items() if key != DEFAULTS})
    if defaults is not None:
        options.default_settings = TrainerSettings.default_override
    for remark in file.remarks:
        logger.warning(remark)
    return options


def _as_read(section: str, written: Any) -> Any:
    """A section of the run with numbers where YAML has the text 1e5, of which ML-Agents could make none."""
    kind = attr.fields_dict(RunOptions)[section].type if section in attr.fields_dict(RunOptions) else None
    if not (isinstance(written, Mapping) and kind is not None and attr.has(kind)):
        return written
    numbers = {
        key for key, field in attr.fields_dict(kind).items() if {int, float} & {field.type, *get_args(field.type)}
    }
    return {
        key: read_value(value, attr.fields_dict(kind)[key].type) if key in numbers and isinstance(value, str) else value
        for key, value in written.items()
    }


def _structure_defaults(defaults: Any) -> Any:
    """The default settings; where their keys contradict each other without those of a behaviour, a draft of them."""
    TrainerSettings.default_override = None
    settings = _read(DEFAULTS, defaults).settings if _is_ours(defaults) else _host_structure(defaults, TrainerSettings)
    settings._written = defaults
    return settings


def _structure_behaviors(behaviors: Any, _type: Any) -> Any:
    if not isinstance(behaviors, Mapping):
        raise TrainerConfigError(_describe_behaviors(behaviors))
    named = {name: _structure(own, TrainerSettings, name=str(name)) for name, own in behaviors.items()}
    return TrainerSettings.DefaultTrainerDict(named)


def _describe_name(name: Any) -> str:
    """A behaviour's name that YAML takes for something else: no agent's name would ever equal it."""
    return f'behaviors: {name}: a behavior\'s name is text, which YAML does not take this for; write it as "{name}".'


def _describe_behaviors(behaviors: Any) -> str:
    return f"behaviors: {show(behaviors)} is not valid; names of behaviors are expected under it."


def _structure_missing(behaviors: Any, name: str) -> Any:
    """The default settings, for a behaviour that the file does not name.

    Raises:
        TrainerConfigError: there are none.
    """
    written = getattr(TrainerSettings.default_override, "_written", None)
    if not _is_ours(written):
        try:
            return _host_missing(behaviors, name)
        except TrainerConfigError as error:
            if not behaviors:
                raise
            raise TrainerConfigError(f"{error} It has {', '.join(behaviors)}{_or_meant(name, behaviors)}") from None
    behaviors[name] = _structure({}, TrainerSettings, name=name)
    if remark := _remark(name, _trainer_type(written), _read(name, written)):
        logger.warning(remark)
    return behaviors[name]


def _or_meant(name: str, behaviors: Mapping[str, Any]) -> str:
    """The end of a sentence about the behaviours of a file, of which one may have been meant."""
    words = {each.lower(): each for each in behaviors}
    nearest = difflib.get_close_matches(name.lower(), list(words), n=1)
    return f"; write {name} in place of {words[nearest[0]]}, if that was meant." if nearest else "."


def _structure(own: Any, _type: Any, name: str | None = None) -> Any:
    """ML-Agents' `TrainerSettings.structure`; `name` is the behaviour's, and stands before each fault."""
    override = TrainerSettings.default_override
    defaults = getattr(override, "_written", None)
    if override is not None and defaults is None:  # somebody set it who had no file
        defaults = cattr.unstructure(override)
    written = merged(defaults, own)
    if _is_ours(written):
        reading = _read(name or str(_trainer_type(written)), written)
        if reading.lines:
            raise TrainerConfigError("\n".join(reading.lines))
        settings = reading.settings
    elif _is_ours(defaults):  # ML-Agents would write out hyperparameters that are not those of its trainer
        settings = _host_structure_alone(written, _type)
    else:
        settings = _host_structure(own, _type)
    settings._written = written
    return settings


def _host_structure_alone(written: Any, _type: Any) -> Any:
    override, TrainerSettings.default_override = TrainerSettings.default_override, None
    try:
        return _host_structure(written, _type)
    finally:
        TrainerSettings.default_override = override


def _load_config(file: TextIO) -> Any:
    """The YAML of a file.

    Raises:
        TrainerConfigError: it is none, or has sections that nobody has; or, in a file with a behaviour of ours, a key
            stands twice, or its outline is not one into which ML-Agents can put the arguments of the command line.
    """
    text = file.read()
    name = getattr(file, "name", "the file")
    try:
        loaded = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = mark.line + 1 if mark else "?"
        raise TrainerConfigError(f"{name}: line {line}: {error.problem}{_yaml_remedy(error.problem)}.") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise TrainerConfigError(
            f"{name}: line {line}: the character #x{error.character:04x} cannot be in a YAML; delete it."
        ) from None
    except ValueError as error:  # such as 2026-02-31
        raise TrainerConfigError(
            f"{name}: a value has the form of a day or a number, and is none: {error}; put quotation marks around it."
        ) from None
    if not isinstance(loaded, Mapping):
        raise TrainerConfigError(f"{name}: there are no settings in it; behaviors: is expected, and names under it.")
    root = yaml.compose(text, yaml.SafeLoader)
    try:
        is_ours = any(_is_ours({"trainer_type": trainer_type}) for trainer_type in _trainer_types(root))
        doubled = list(doubled_keys(root, "")) if is_ours else []
    except RecursionError:
        raise TrainerConfigError(f"{name}: an alias (*) stands inside of what it is an alias of (&).") from None
    if doubled:
        raise TrainerConfigError("\n".join(f"{name}: {fault}" for fault in doubled))
    if is_ours and not _has_outline(loaded):
        raise TrainerConfigError("\n".join([*_check_run(loaded), *_File(loaded).faults]))
    known = attr.fields_dict(RunOptions)
    if unknown := [f"{name}: {_unknown_section(key, value)}" for key, value in loaded.items() if key not in known]:
        raise TrainerConfigError("\n".join(unknown))
    return loaded


def _has_outline(options: Mapping[str, Any]) -> bool:
    """Whether a file has no sections but those of a run, with keys in those of the run itself."""
    return all(
        key in attr.fields_dict(RunOptions) and (isinstance(value, Mapping) or not key.endswith("_settings"))
        for key, value in options.items()
        if key != DEFAULTS
    )


def _yaml_remedy(problem: str | None) -> str:
    """What to do about the mistakes in a YAML that are made most often, of which its reader says what it expected."""
    return next((f"; {remedy}" for words, remedy in _YAML_REMEDIES.items() if words in str(problem)), "")


def _trainer_types(node: Any) -> Iterator[str]:
    """What stands behind any trainer_type, in a mapping that was overwritten too."""
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        if key.value == "trainer_type":
            yield value.value
        yield from _trainer_types(value)


def doubled_keys(node: Any, path: str) -> Iterator[str]:
    """Keys that stand twice in one mapping, of which YAML would take the last without a word; a line each.

    Args:
        node: of what `yaml.compose` makes of a file.
        path: of the node's key, with a colon and a space behind it; empty for the whole file.
    """
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from doubled_keys(item, path)
    if not isinstance(node, yaml.MappingNode):
        return
    lines: dict[Any, int] = {}
    for key, value in node.value:
        place = f"{path}{key.value}: "
        line = key.start_mark.line + 1
        if key.value in lines:
            yield (
                f"{place}stands twice, in line {lines[key.value]} and in line {line}, of which only the last would "
                "count; leave one of them out."
            )
        lines[key.value] = line
        yield from doubled_keys(value, place)


def _check_and_structure(key: str, value: Any, class_type: Any) -> Any:
    """One setting of a class, where no file was read."""
    if issubclass(class_type, CheckedSettings):
        return read_hyperparameter(key, value, class_type)
    return _host_check_and_structure(key, value, class_type)


host.check_and_structure = _check_and_structure
cli_utils._load_config = _load_config
RunOptions.from_dict = staticmethod(_from_dict)
TrainerSettings.structure = staticmethod(_structure)
TrainerSettings.dict_to_trainerdict = staticmethod(_structure_behaviors)
TrainerSettings.DefaultTrainerDict.__missing__ = _structure_missing
cattr.register_structure_hook(TrainerSettings, _structure)
cattr.register_structure_hook(TrainerSettings.DefaultTrainerDict, _structure_behaviors)
