"""The text of a configuration file: YAML with the mistakes that people make in it, each with its line."""

import codecs
import locale
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

import attr
import yaml
from mlagents.trainers.exception import TrainerConfigError
from mlagents.trainers.settings import RunOptions

from mlagents_plugin_shared.run.config_file import DEFAULTS, ConfigFile, is_ours, misplaced_section, run_faults

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


def load(file: TextIO) -> Any:
    """The settings in the YAML of a file.

    Args:
        file: open for reading.

    Raises:
        TrainerConfigError: it is none, or has sections that nobody has; or, in a file with a behaviour of ours, a key
            stands twice, or its outline is not one into which ML-Agents can put the arguments of the command line.
        UnicodeDecodeError: it is no text.
    """
    text = decoded(file.buffer.read()) if hasattr(file, "buffer") else file.read()
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
        concerns_us = any(is_ours({"trainer_type": trainer_type}) for trainer_type in _trainer_types(root))
        doubled = list(doubled_keys(root, "")) if concerns_us else []
    except RecursionError:
        raise TrainerConfigError(f"{name}: an alias (*) stands inside of what it is an alias of (&).") from None
    if doubled:
        raise TrainerConfigError("\n".join(f"{name}: {fault}" for fault in doubled))
    if concerns_us and not _has_outline(loaded):
        raise TrainerConfigError("\n".join([*run_faults(loaded), *ConfigFile(loaded).faults]))
    known = attr.fields_dict(RunOptions)
    if unknown := [f"{name}: {misplaced_section(key, value)}" for key, value in loaded.items() if key not in known]:
        raise TrainerConfigError("\n".join(unknown))
    return loaded


def decoded(content: bytes) -> str:
    """The text of a file, however it was saved.

    That is UTF-8, with or without a mark at its beginning; the UTF-16 that `>` of Windows PowerShell writes; or else
    the encoding of this machine, as of older editors. ML-Agents would take this last one for all files, so on Windows
    a behaviour called `Gegner_ä`, in UTF-8, would be another one.

    Args:
        content: of the file.

    Raises:
        UnicodeDecodeError: it is none of these.
    """
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = content.decode("utf-16")
    else:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = content.decode(locale.getpreferredencoding(do_setlocale=False))
    return text.replace("\r\n", "\n")


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
