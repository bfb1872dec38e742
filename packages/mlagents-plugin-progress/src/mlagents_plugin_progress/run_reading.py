"""A run's folder, as `mlagents-learn` writes it: its behaviours, their settings and their curves."""

import glob
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mlagents_plugin_progress.event_files import Point, event_files, read_curve, tags_of

CONFIGURATION = "configuration.yaml"
RUN_LOGS = "run_logs"


class RunError(Exception):
    """A run that cannot be read; its text is the command's one line."""


class NothingThereError(RunError):
    """A run that has written nothing of what is asked for, which need not be the fault of whoever asks."""


Curves = dict[str, list[Point]]
"""The curve of each behaviour."""


@dataclass(frozen=True, eq=False)
class Run:
    """One run.

    Attributes:
        name: its folder, as it was given.
        folder: where it lies.
        behaviors: folder of each behaviour that has event files.
        settings: what `configuration.yaml` says, flat, by dotted keys; None where there is none, as in a run that has
            not ended.
    """

    name: str
    folder: Path
    behaviors: dict[str, Path]
    settings: dict[str, Any] | None


def read_runs(names: Sequence[str], tag: str | None, pass_over: Callable[[str], None]) -> list[tuple[Run, Curves]]:
    """The runs of a command line, and the curve of each of their behaviours.

    Args:
        names: folders, or patterns of them, which the shells of Windows leave to the program.
        tag: of the statistic; without it the mean return.
        pass_over: is told of a run that has written nothing yet, as long as others have.

    Raises:
        RunError: a folder is missing, cannot be read or is no run, or none of them has the statistic.
    """
    try:
        return _read_runs(names, tag, pass_over)
    except OSError as error:
        raise RunError(f"{error.filename} cannot be read: {error.strerror}") from error


def _read_runs(names: Sequence[str], tag: str | None, pass_over: Callable[[str], None]) -> list[tuple[Run, Curves]]:
    found: list[tuple[Run, Curves]] = []
    without: list[NothingThereError] = []
    for folder in dict.fromkeys(Path(folder) for name in names for folder in _expanded(name)):
        try:
            run = _read(folder)
            found.append((run, _curves(run, tag)))
        except NothingThereError as error:
            without.append(error)
    if not found:
        raise without[0]
    for reason in without:
        pass_over(str(reason))
    return found


def _curves(run: Run, tag: str | None) -> Curves:
    read = {behavior: read_curve(folder, tag) for behavior, folder in run.behaviors.items()}
    found = {behavior: curve for behavior, curve in read.items() if curve}
    if not found:
        raise NothingThereError(_no_curve(run, tag))
    return found


def _expanded(name: str) -> list[str]:
    """The folders of a pattern, or the one that is called so."""
    # Not Path.glob, which takes no absolute pattern.
    found = sorted(each for each in glob.glob(name) if Path(each).is_dir())  # noqa: PTH207
    if Path(name).exists() or not glob.has_magic(name):
        return [name]
    if not found:
        raise RunError(f"no folder is called {name}")
    return found


def _read(folder: Path) -> Run:
    if not folder.exists():
        raise RunError(f"{folder} does not exist; a run is a folder that mlagents-learn has written, results/<run-id>")
    if not folder.is_dir():
        raise RunError(f"{folder} is a file; give the folder of the run, results/<run-id>")
    if event_files(folder):  # a behaviour's own folder
        run = _run_of(folder.resolve())
        return Run(str(folder), folder, {folder.resolve().relative_to(run).as_posix(): folder}, _settings(run))
    behaviors = _behaviors(folder) if _is_run(folder) else {}
    if not behaviors:
        raise _no_run(folder)
    return Run(str(folder), folder, behaviors, _settings(folder))


def _is_run(folder: Path) -> bool:
    """Whether `mlagents-learn` writes a run here, and not into the folders below."""
    return (folder / CONFIGURATION).is_file() or (folder / RUN_LOGS).is_dir() or any(map(event_files, _folders(folder)))


def _run_of(folder: Path) -> Path:
    """The run of a behaviour's folder, which lies deeper where the behaviour's name has slashes."""
    return next((parent for parent in folder.parents if (parent / CONFIGURATION).is_file()), folder.parent)


def _behaviors(folder: Path) -> dict[str, Path]:
    """The folder of each behaviour of a run by its name, which may have slashes."""
    found = sorted(child for child in folder.rglob("*") if child.is_dir() and event_files(child))
    return {child.relative_to(folder).as_posix(): child for child in found}


def _no_run(folder: Path) -> RunError:
    runs = sorted(run.name for run in _folders(folder) if _behaviors(run))
    if runs:
        return RunError(f"{folder} holds {len(runs)} runs; name them: {folder / '*'}, or {folder / runs[0]}")
    return NothingThereError(f"{folder} has no event files; a run writes them to <run-id>/<behavior>")


def _folders(folder: Path) -> Iterator[Path]:
    return (child for child in folder.iterdir() if child.is_dir())


def _no_curve(run: Run, tag: str | None) -> str:
    if tag is None:
        return f"{run.folder} has no reward yet: it comes with a summary, once an episode has ended (summary_freq)"
    there = sorted({each for folder in run.behaviors.values() for each in tags_of(folder)})
    return f"{run.folder} has no statistic {tag!r}; it has: {', '.join(there) or 'none'}"


def _settings(folder: Path) -> dict[str, Any] | None:
    try:
        read = yaml.safe_load((folder / CONFIGURATION).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):  # ValueError: of bytes that are no UTF-8, and of impossible dates
        return None
    return flat(read) if isinstance(read, Mapping) and read else None


def flat(settings: Any, prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, by dotted keys.

    `{"behaviors": {"My.Agent": {"max_steps": 5}}}` gives `{'behaviors."My.Agent".max_steps': 5}`: a name that has a
    dot itself is in quotation marks.

    Args:
        settings: the mapping.
        prefix: that all keys get.
    """
    if not isinstance(settings, Mapping) or not settings:
        return {prefix: settings}
    found: dict[str, Any] = {}
    for key, value in settings.items():
        part = f'"{key}"' if "." in str(key) else str(key)
        found |= flat(value, f"{prefix}.{part}" if prefix else part)
    return found
