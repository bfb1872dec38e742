"""Settings are what the user wrote: `run.config_file` and `run.reading` in the place of ML-Agents' readers."""

from collections.abc import Mapping
from typing import Any, get_args

import attr
import cattr
from mlagents.trainers import cli_utils
from mlagents.trainers import settings as host
from mlagents.trainers.exception import TrainerConfigError
from mlagents.trainers.settings import RunOptions, TrainerSettings
from mlagents_envs.logging_util import get_logger

from mlagents_plugin_shared.run import config_text
from mlagents_plugin_shared.run.config_file import (
    DEFAULTS,
    ConfigFile,
    behaviors_fault,
    concerns_plugins,
    is_ours,
    merged,
    read_settings,
    remark_on,
    run_faults,
    trainer_type_of,
)
from mlagents_plugin_shared.run.reading import nearest, read_hyperparameter, read_value
from mlagents_plugin_shared.run.settings import CheckedSettings

logger = get_logger(__name__)

_host_check_and_structure = host.check_and_structure
_host_structure = TrainerSettings.structure
_host_from_dict = RunOptions.from_dict
_host_missing = TrainerSettings.DefaultTrainerDict.__missing__


def written_settings(settings: TrainerSettings) -> Mapping[str, Any]:
    """What the user wrote of a behaviour's settings, in `default_settings` or under its name, as a YAML has it."""
    return getattr(settings, "_written", {})


def _from_dict(options_dict: dict[str, Any]) -> RunOptions:
    """The options of a run; all faults of a file with a behaviour of ours come in one error.

    Raises:
        TrainerConfigError: there are faults, one a line.
    """
    if not concerns_plugins(options_dict):
        return _host_from_dict(options_dict)
    file = ConfigFile(options_dict)
    arguments = {action.dest for action in cli_utils.parser._actions}
    if faults := [*run_faults(options_dict, arguments), *file.faults]:
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
    settings = (
        read_settings(DEFAULTS, defaults).settings if is_ours(defaults) else _host_structure(defaults, TrainerSettings)
    )
    settings._written = defaults
    return settings


def _structure_behaviors(behaviors: Any, _type: Any) -> Any:
    if not isinstance(behaviors, Mapping):
        raise TrainerConfigError(behaviors_fault(behaviors))
    named = {name: _structure(own, TrainerSettings, name=str(name)) for name, own in behaviors.items()}
    return TrainerSettings.DefaultTrainerDict(named)


def _structure_missing(behaviors: Any, name: str) -> Any:
    """The default settings, for a behaviour that the file does not name.

    Raises:
        TrainerConfigError: there are none.
    """
    written = getattr(TrainerSettings.default_override, "_written", None)
    if not is_ours(written):
        try:
            return _host_missing(behaviors, name)
        except TrainerConfigError as error:
            if not behaviors:
                raise
            raise TrainerConfigError(f"{error} It has {', '.join(behaviors)}{_or_meant(name, behaviors)}") from None
    behaviors[name] = _structure({}, TrainerSettings, name=name)
    if remark := remark_on(name, written, read_settings(name, written)):
        logger.warning(remark)
    return behaviors[name]


def _or_meant(name: str, behaviors: Mapping[str, Any]) -> str:
    """The end of a sentence about the behaviours of a file, of which one may have been meant."""
    meant = nearest(name, behaviors)
    return f"; write {name} in place of {meant}, if that was meant." if meant else "."


def _structure(own: Any, _type: Any, name: str | None = None) -> Any:
    """ML-Agents' `TrainerSettings.structure`; `name` is the behaviour's, and stands before each fault."""
    override = TrainerSettings.default_override
    defaults = getattr(override, "_written", None)
    if override is not None and defaults is None:  # somebody set it who had no file
        defaults = cattr.unstructure(override)
    written = merged(defaults, own)
    if is_ours(written):
        reading = read_settings(name or str(trainer_type_of(written)), written)
        if reading.lines:
            raise TrainerConfigError("\n".join(reading.lines))
        settings = reading.settings
    elif is_ours(defaults):  # ML-Agents would write out hyperparameters that are not those of its trainer
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


def _check_and_structure(key: str, value: Any, class_type: Any) -> Any:
    """One setting of a class, where no file was read."""
    if issubclass(class_type, CheckedSettings):
        return read_hyperparameter(key, value, class_type)
    return _host_check_and_structure(key, value, class_type)


host.check_and_structure = _check_and_structure
cli_utils._load_config = config_text.load
RunOptions.from_dict = staticmethod(_from_dict)
TrainerSettings.structure = staticmethod(_structure)
TrainerSettings.dict_to_trainerdict = staticmethod(_structure_behaviors)
TrainerSettings.DefaultTrainerDict.__missing__ = _structure_missing
cattr.register_structure_hook(TrainerSettings, _structure)
cattr.register_structure_hook(TrainerSettings.DefaultTrainerDict, _structure_behaviors)
