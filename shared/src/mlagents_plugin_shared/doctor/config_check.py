"""What is wrong with a configuration: every fault with its line, in the words with which `mlagents-learn` refuses it.

`mlagents-learn` decides: what it takes is taken here. What the readers find beyond that, in the settings of ML-Agents'
own trainers, is a warning.
"""

import contextlib
import logging
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from mlagents.trainers import learn
from mlagents.trainers.cli_utils import DetectDefault
from mlagents.trainers.exception import TrainerConfigWarning
from mlagents.trainers.settings import RunOptions, TrainerSettings

from mlagents_plugin_shared.doctor.machine import remedies
from mlagents_plugin_shared.run.config_file import DEFAULTS, all_faults
from mlagents_plugin_shared.run.config_text import decoded, doubled_keys
from mlagents_plugin_shared.run.reading import number_of

_UNKNOWN_TRAINER = re.compile(r"Invalid trainer type ([A-Za-z][\w-]*) was found")
_UNLOADED = re.compile(r"Error initializing Trainer plugins for (\S+)\.")
_LINE = re.compile(r"line (\d+)")
_NO_INTEGER = "invalid literal for int() with base 10: "
_NO_PLAYER = "num_envs must be 1 if env_path is not set."


class Remark(NamedTuple):
    """Something about a file.

    Attributes:
        line: its line, None where it has none.
        text: one line.
    """

    line: int | None
    text: str


class FileReport(NamedTuple):
    """What there is to say about a file.

    Attributes:
        file: its path.
        faults: why `mlagents-learn` refuses it; none if it does not.
        warnings: what it takes, and what may not be meant.
        commands: lines to type that repair the environment, where the file is right and that is not.
    """

    file: str
    faults: list[Remark]
    warnings: list[Remark]
    commands: list[str]


def check_file(path: Path) -> FileReport:
    """Reads a file as `mlagents-learn` does, and then for all its faults.

    Args:
        path: of the YAML.
    """
    with quiet() as said:
        refusal = _refusal(path)
    text = _text(path)
    with quiet():
        found = _faults(text)
    tree, loaded = _tree(text), _loaded(text)

    def located(lines: list[str]) -> list[Remark]:
        remarks = [_located(line.removeprefix(f"{path}: "), tree) for line in lines]
        return sorted(remarks, key=lambda remark: remark.line or 0)

    if refusal is None:
        beyond = [f"{line} ML-Agents takes it nevertheless." for line in found]
        return FileReport(str(path), [], located([*said, *beyond, *_absent(loaded)]), [])
    faults = found or [*_texts_for_numbers(refusal, loaded)] or refusal
    return FileReport(str(path), located(faults), located(said), _commands(faults, said))


def _refusal(path: Path) -> list[str] | None:
    """The lines with which `mlagents-learn` refuses a file; None if it takes it."""
    if path.is_dir():
        return ["this is a folder; name a file in it."]
    try:
        options_of(path)
    except Exception as error:  # whatever ML-Agents raises where it has no words of its own
        lines = [line for line in str(error).splitlines() if line.strip()]
        return lines or [type(error).__name__]
    return None


def options_of(path: Path) -> RunOptions:
    """What `mlagents-learn` makes of a file. Several players are taken, since `--env` may name what they play.

    Args:
        path: of the YAML.
    """
    before = set(DetectDefault.non_default_args)
    try:
        return _parsed([str(path)])
    except ValueError as error:
        if str(error) != _NO_PLAYER:
            raise
        return _parsed([str(path), "--env", "a player"])
    finally:
        DetectDefault.non_default_args = before
        TrainerSettings.default_override = None


def _parsed(arguments: list[str]) -> RunOptions:
    TrainerSettings.default_override = None
    return learn.parse_command_line(arguments)


def _loaded(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None


def _text(path: Path) -> str:
    try:
        return decoded(path.read_bytes())
    except (OSError, UnicodeDecodeError):
        return ""


def _faults(text: str) -> list[str]:
    """All faults that the readers find in what is a YAML with keys."""
    loaded = _loaded(text)
    if not isinstance(loaded, Mapping):
        return []
    try:
        return [*doubled_keys(yaml.compose(text, yaml.SafeLoader), ""), *all_faults(loaded)]
    except RecursionError:
        return []


@contextlib.contextmanager
def quiet() -> Iterator[list[str]]:
    """What ML-Agents and the readers say on their way, instead of on the screen."""
    lines: list[str] = []
    recorder = _Recorder(lines)
    loggers = [
        each
        for name, each in logging.root.manager.loggerDict.items()
        if isinstance(each, logging.Logger) and name.partition(".")[0].startswith("mlagents")
    ]
    before = {logger: logger.handlers for logger in loggers}
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", TrainerConfigWarning)
        for logger in loggers:
            logger.handlers = [recorder]
        try:
            yield lines
        finally:
            for logger, handlers in before.items():
                logger.handlers = handlers
            lines += [str(each.message) for each in warned if issubclass(each.category, TrainerConfigWarning)]


class _Recorder(logging.Handler):
    """Keeps warnings as lines; the reason of an exception stands behind its message."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__(logging.WARNING)
        self.lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        reason = record.exc_info[1] if record.exc_info else None
        behind = f" The reason: {type(reason).__name__}: {reason}" if reason is not None else ""
        self.lines.append(" ".join(f"{record.getMessage()}{behind}".split()))


def _commands(faults: list[str], said: list[str]) -> list[str]:
    """How trainers that are not known here are installed; one that cannot be loaded is installed already."""
    unloaded = {match[1] for line in said if (match := _UNLOADED.search(line))}
    unknown = {
        match[1]: None for line in faults if (match := _UNKNOWN_TRAINER.search(line)) and "did you mean" not in line
    }
    names = [f"mlagents-plugin-{name}" for name in unknown if name not in unloaded]
    return remedies.install_with_host(*names) if names else []


def _texts_for_numbers(refusal: list[str], loaded: Any) -> Iterator[str]:
    """What is meant by a refusal that names no key: the settings that YAML takes for text, such as 1e5."""
    if not (len(refusal) == 1 and refusal[0].startswith(_NO_INTEGER)):
        return
    for path, value in _leaves(loaded, ""):
        is_whole = isinstance(value, str) and isinstance(number_of(value), int) and not value.lstrip("+-").isdigit()
        if is_whole and not path.endswith("max_steps"):  # of which ML-Agents itself makes a number
            yield (
                f"{path.removeprefix('behaviors: ')}: {value!r} is not valid; YAML takes it for text; write "
                f"{number_of(value)}."
            )


def _absent(options: Mapping[str, Any]) -> list[str]:
    """What a run begins with, and is not where the file says, as seen from here."""
    written = {DEFAULTS: options.get(DEFAULTS), **(options.get("behaviors") or {})}
    leaves = [(*path.rpartition(": "), value) for path, value in _leaves(written, "")]
    # A bare name is looked for in the run of --initialize-from.
    paths = {
        f"{parent}: {key}": value
        for parent, _, key, value in leaves
        if key == "demo_path" or (key == "init_path" and Path(str(value)).name != value)
    }
    run = options.get("checkpoint_settings") or {}
    if former := run.get("initialize_from"):
        paths["checkpoint_settings: initialize_from"] = str(Path(run.get("results_dir", "results"), str(former)))
    lines = [
        f"{where}: {path!r} is not there, seen from {Path.cwd()}; mlagents-learn will end with that."
        for where, path in paths.items()
        if isinstance(path, str) and not Path(path).exists()
    ]
    players = options.get("env_settings") or {}
    if number_of(players.get("num_envs", 1)) > 1 and players.get("env_path") is None:
        lines.append(
            f"env_settings: num_envs: {players['num_envs']} are of a built player, which is not named here; "
            "mlagents-learn needs it as --env."
        )
    return lines


def _leaves(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    """What stands under keys and holds none itself, by the path of its key."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _leaves(value, f"{path}: {key}" if path else str(key))
    else:
        yield path, node


# Lines


def _tree(text: str) -> Any:
    try:
        return yaml.compose(text, yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError):
        return None


def _located(text: str, tree: Any) -> Remark:
    """A remark with the line of the key whose path it begins with; that of the deepest key that is there."""
    if match := _LINE.match(text):
        return Remark(int(match[1]), text.partition(": ")[2])
    words = text.split(": ")
    # A behaviour's name comes first, without its section; a key may be one of the default settings.
    under = [_follow(tree, ["behaviors", *words]), _follow(tree, [DEFAULTS, *words[1:]])]
    found = [_follow(tree, words), *(each for each in under if each[0] > 1)]
    depth, line = max(found, key=lambda each: each[0])
    if line is None and (match := _LINE.search(text)):
        line = int(match[1])
    return Remark(line if depth else None, text)


def _follow(node: Any, path: list[str]) -> tuple[int, int | None]:
    """How many keys of a path are there, and the line of the last of them."""
    depth, line = 0, None
    for word in path:
        if isinstance(node, yaml.SequenceNode) and (match := re.fullmatch(r"lesson (\d+)", word)):
            node = node.value[int(match[1]) - 1]
            line = node.start_mark.line + 1
        elif isinstance(node, yaml.MappingNode) and word in (
            keys := {key.value: (key, value) for key, value in node.value if isinstance(key, yaml.ScalarNode)}
        ):
            line = keys[word][0].start_mark.line + 1
            node = keys[word][1]
        else:
            break
        depth += 1
    return depth, line
