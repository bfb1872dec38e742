"""What `mlagents-doctor` does with files, in a process that has ML-Agents."""

import argparse
import json
from pathlib import Path

from mlagents_plugin_shared.doctor.config_check import FileReport, Remark, check_file


def run(asked: argparse.Namespace) -> int:
    """Does what the command line asks for.

    Args:
        asked: its arguments, see `machine.entry`.

    Returns:
        0 where the file is fine, 1 where it is not.
    """
    if asked.schema:
        print(_schema())
        return 0
    report = check_file(Path(asked.config))
    print(_json(report) if asked.json else _lines(report))
    return int(bool(report.faults))


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
    count = len(report.faults)
    verdict = f"mlagents-learn refuses {report.file}: {count} to be put right." if count else f"{report.file} is fine."
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
