"""What `mlagents-doctor` does with files, in a process that has ML-Agents."""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

from mlagents_plugin_shared.doctor.config_check import FileReport, Remark, check_file, quiet
from mlagents_plugin_shared.doctor.converted import NotConverted, converted


def run(asked: argparse.Namespace) -> int:
    """Does what the command line asks for.

    Args:
        asked: its arguments, see `machine.entry`.

    Returns:
        0 where the file is fine, 1 where it is not.
    """
    if asked.schema:
        return _written("--schema", _schema, asked.output)
    path = Path(asked.config)
    report = check_file(path)
    if asked.convert_to and not report.faults:
        return _written(asked.config, lambda: converted(path, asked.convert_to), asked.output)
    print(_json(report) if asked.json else _lines(report))
    return int(bool(report.faults))


def _written(source: str, text_of: Callable[[], str], output: str | None) -> int:
    """Writes a text to a new file, or to the screen; the source stands before what is wrong."""
    try:
        with quiet():
            text = text_of()
        if output is None:
            _print_whole(text)
        else:
            write_new(Path(output), text)
            print(f"{output} is written.")
    except NotConverted as error:
        print(f"{source}: {error}", file=sys.stderr)
        return 1
    return 0


def _print_whole(text: str) -> None:
    """Prints a text that is to be a file, and so cannot have `?` for some of its characters.

    Raises:
        NotConverted: the encoding of the standard output lacks some of them, or it cannot be written.
    """
    encoding = sys.stdout.encoding or "utf-8"
    try:
        text.encode(encoding)
        print(text, end="", flush=True)
    except UnicodeEncodeError as error:
        lacking = text[error.start : error.end]
        raise NotConverted(
            f"what is printed here is in {encoding}, which has no {lacking!a}; write it with --output FILE."
        ) from None
    except OSError as error:
        raise NotConverted(f"the standard output cannot be written: {error.strerror}.") from None


def write_new(path: Path, text: str) -> None:
    """Writes a file that is not there yet.

    Args:
        path: of the file.
        text: what comes into it.

    Raises:
        NotConverted: it is there, or cannot be written.
    """
    try:
        path.touch(exist_ok=False)
        _write_or_delete(path, text)
    except FileExistsError:
        raise NotConverted(f"{path} is there already; name another --output, or delete it.") from None
    except OSError as error:
        raise NotConverted(f"{path} cannot be written: {error.strerror}.") from None


def _write_or_delete(path: Path, text: str) -> None:
    """Leaves no half of a file behind, as on a full disk."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError:
        path.unlink()
        raise


def _schema() -> str:
    from mlagents.plugins import all_trainer_settings
    from mlagents.plugins.trainer_type import register_trainer_plugins

    from mlagents_plugin_shared.doctor.schema import as_text, schema

    register_trainer_plugins()
    return as_text(schema(all_trainer_settings))


def _lines(report: FileReport) -> str:
    """The report for people: a line each, as compilers write them, so that editors find the place."""
    lines = [_line(report.file, "", remark) for remark in report.faults]
    lines += [_line(report.file, "warning: ", remark) for remark in report.warnings]
    if report.commands:
        lines += ["", "If the trainer is one of this project's, this installs it:"]
        lines += [f"    {command}" for command in report.commands]
    faults, warnings = len(report.faults), len(report.warnings)
    if faults:
        verdict = f"mlagents-learn refuses {report.file}: {faults} to be put right."
    elif warnings:
        verdict = f"mlagents-learn takes {report.file}; read the {'warning' if warnings == 1 else 'warnings'} first."
    else:
        verdict = f"{report.file} is fine."
    return "\n".join([*lines, *([""] if report.commands else []), verdict])


def _line(file: str, kind: str, remark: Remark) -> str:
    place = f"{file}:{remark.line}" if remark.line else file
    return f"{place}: {kind}{remark.text}"


def _json(report: FileReport) -> str:
    """The report for programs."""
    remarks = {
        "faults": [remark._asdict() for remark in report.faults],
        "warnings": [remark._asdict() for remark in report.warnings],
    }
    whole = {"file": report.file, "accepted": not report.faults, **remarks, "commands": report.commands}
    return json.dumps(whole, indent=2)
