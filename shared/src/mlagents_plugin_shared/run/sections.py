"""What a file says beside its behaviours: the sections of a run, and environment parameters with their lessons."""

import datetime
from collections.abc import Iterator, Mapping
from typing import Any, get_args

import attr
from mlagents.trainers import settings as host
from mlagents.trainers.exception import TrainerConfigError

from mlagents_plugin_shared.run.reading import FORMER_KEYS, Unreadable, did_you_mean, read_value
from mlagents_plugin_shared.run.settings import is_number, show

_NUMBER_OR_SAMPLER = "a number, or sampler_type and sampler_parameters, are expected"
_NUMBER_OR_MORE = "a number, or sampler_type and sampler_parameters, or a curriculum, are expected"


def section_faults(section: str, written: Any, class_type: Any) -> Iterator[str]:
    """Faults of a section: keys that it does not have or lacks, and values of another type.

    Args:
        section: the path of its key, before every fault.
        written: what stands under it.
        class_type: the attrs class of its keys.
    """
    if not isinstance(written, Mapping):
        yield f"{section}: {show(written)} is not valid; keys are expected under it."
        return
    fields = attr.fields_dict(class_type)
    for key, value in written.items():
        path = f"{section}: {key}"
        if key in fields:
            yield from value_faults(path, value, fields[key].type)
        else:
            yield f"{path}: {show(value)} is not valid; {unknown_key(key, fields)}"
    for key, field in fields.items():
        if field.default is attr.NOTHING and key not in written:
            yield f"{section}: {key} is missing; it is needed under {section.rpartition(': ')[2]}:."


def value_faults(path: str, value: Any, kind: Any) -> Iterator[str]:
    """The fault of a value that is of another type, if it is.

    Args:
        path: of its key.
        value: what was found.
        kind: the type that is expected.
    """
    try:
        read_value(_as_text(value) if str in (kind, *get_args(kind)) or isinstance(value, list) else value, kind)
    except Unreadable as error:
        reason = str(error)
        yield f"{path}: {show(value)} is not valid; {reason}{'' if reason.endswith('?') else '.'}"


def _as_text(value: Any) -> Any:
    """Numbers and days as text: ML-Agents takes a run_id of 7 and of 2026-01-31."""
    if isinstance(value, list):
        return [_as_text(item) for item in value]
    return str(value) if is_number(value) or isinstance(value, datetime.date) else value


def unknown_key(key: Any, known: Any) -> str:
    """What to say about a key that a section does not have.

    Args:
        key: the key.
        known: those that it has.
    """
    if key in FORMER_KEYS:
        return f"{key} is a key of an earlier ML-Agents; in its place stands {FORMER_KEYS[key]}."
    return f"{key} is not a known key" + (did_you_mean(key, known) or f"; the known ones are {', '.join(known)}.")


def parameter_faults(section: str, written: Any, behaviors: Any) -> Iterator[str]:
    """Faults of environment parameters: numbers, samplers and curricula.

    Args:
        section: the name of the section.
        written: what stands under it.
        behaviors: all that there can be, None where any can.
    """
    if written is not None and not isinstance(written, Mapping):
        yield f"{section}: {show(written)} is not valid; names of parameters are expected under it."
    for name, value in written.items() if isinstance(written, Mapping) else ():
        path = f"{section}: {name}"
        faults = list(_parameter(path, value, behaviors))
        yield from faults or _of_host(path, name, value)


def _of_host(path: str, name: Any, value: Any) -> Iterator[str]:
    """What ML-Agents itself refuses beyond keys and types: a range upside down, a lesson that never ends."""
    try:
        host.EnvironmentParameterSettings.structure({name: value}, dict)
    except (TrainerConfigError, ValueError, TypeError, KeyError, AttributeError) as error:
        yield f"{path}: {show(value)} is not valid; {error}"


def _parameter(path: str, value: Any, behaviors: Any) -> Iterator[str]:
    if not (isinstance(value, Mapping) and "curriculum" in value):
        yield from _sampler(path, value, _NUMBER_OR_MORE)
        return
    for key in [key for key in value if key != "curriculum"]:
        yield f"{path}: {key}: {show(value[key])} is not valid; {unknown_key(key, ['curriculum'])}"
    lessons = value["curriculum"]
    if not isinstance(lessons, list) or not lessons:
        yield f"{path}: curriculum: {show(lessons)} is not valid; a list of lessons is expected."
        return
    for number, lesson in enumerate(lessons, 1):
        yield from _lesson(f"{path}: curriculum: lesson {number}", lesson, behaviors)


def _lesson(path: str, lesson: Any, behaviors: Any) -> Iterator[str]:
    if not isinstance(lesson, Mapping):
        yield f"{path}: {show(lesson)} is not valid; name and value are expected."
        return
    fields = attr.fields_dict(host.Lesson)
    for key, value in lesson.items():
        place = f"{path}: {key}"
        if key == "value":
            yield from _sampler(place, value, _NUMBER_OR_SAMPLER)
        elif key == "completion_criteria" and value is not None:
            yield from _criteria(place, value, behaviors)
        elif key == "name":
            yield from value_faults(place, value, str)
        elif key not in fields:
            yield f"{place}: {show(value)} is not valid; {unknown_key(key, fields)}"
    for key in ("name", "value"):
        if key not in lesson:
            yield f"{path}: {key} is missing; each lesson has one."


def _criteria(path: str, written: Any, behaviors: Any) -> Iterator[str]:
    faults = list(section_faults(path, written, host.CompletionCriteriaSettings))
    yield from faults
    behavior = None if faults else written["behavior"]
    if behaviors and behavior is not None and behavior not in behaviors:
        yield (
            f"{path}: behavior: {show(behavior)} is not valid; it must be one of behaviors: "
            f"{', '.join(map(str, behaviors))}."
        )


def _sampler(path: str, value: Any, expected: str) -> Iterator[str]:
    if is_number(value):
        return
    if not isinstance(value, Mapping):
        yield f"{path}: {show(value)} is not valid; {expected}."
        return
    known = ("sampler_type", "sampler_parameters")
    for key in value:
        if key not in known:
            yield f"{path}: {key}: {show(value[key])} is not valid; {unknown_key(key, known)}"
    for key in known:
        if key not in value:
            yield f"{path}: {key} is missing; {expected}."
    if all(key in value for key in known):
        yield from _sampler_parameters(path, value)


def _sampler_parameters(path: str, written: Any) -> Iterator[str]:
    kind = host.ParameterRandomizationType
    faults = list(value_faults(f"{path}: sampler_type", written["sampler_type"], kind))
    yield from faults
    if faults:
        return
    class_type, place = kind(written["sampler_type"]).to_settings(), f"{path}: sampler_parameters"
    parameters = written["sampler_parameters"]
    if isinstance(parameters, Mapping) and class_type is host.MultiRangeUniformSettings and "intervals" in parameters:
        yield from _intervals(f"{place}: intervals", parameters["intervals"])
        parameters = {key: value for key, value in parameters.items() if key != "intervals"}
    yield from section_faults(place, parameters, class_type)


def _intervals(path: str, written: Any) -> Iterator[str]:
    pairs = written if isinstance(written, list) else [None]
    if not all(isinstance(pair, list) and len(pair) == 2 and all(map(is_number, pair)) for pair in pairs):
        yield f"{path}: {show(written)} is not valid; a list of pairs of numbers is expected, such as [[0, 1], [2, 3]]."
