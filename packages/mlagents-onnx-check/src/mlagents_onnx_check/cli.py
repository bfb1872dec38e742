"""The command `mlagents-onnx-check`."""

import argparse
import dataclasses
import glob
import io
import json
import sys
from collections.abc import Sequence
from typing import Any

from mlagents_onnx_check.behavior import Behavior
from mlagents_onnx_check.findings import Report
from mlagents_onnx_check.model import ModelFileError
from mlagents_onnx_check.report import check_model

NOT_ACCEPTED, BAD_INPUT = 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        arguments: the command line; without it the process's own.

    Returns:
        The exit code: 0 if all models are accepted, 1 if one is not, 2 if one cannot be read.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a path may have what a pipe of Windows has not
    command = _parser()
    options = command.parse_args(arguments)
    try:
        behavior = Behavior.parse(options.observations, options.actions)
    except ValueError as error:
        command.error(str(error))
    reports: list[Report] = []
    unread: list[str] = []
    for path in (path for model in options.models for path in _expanded(model)):
        try:
            reports.append(check_model(path, behavior, deterministic=options.deterministic))
        except ModelFileError as error:
            unread.append(str(error))
    if options.json:
        print(json.dumps([_as_json(report) for report in reports], indent=2))
    else:
        print(*(line for report in reports for line in _lines(report)), sep="\n", end="\n" if reports else "")
    for message in unread:
        print(f"mlagents-onnx-check: {message}", file=sys.stderr)
    if unread:
        return BAD_INPUT
    return 0 if all(report.accepted for report in reports) else NOT_ACCEPTED


def _parser() -> argparse.ArgumentParser:
    command = argparse.ArgumentParser(
        prog="mlagents-onnx-check",
        description="Say whether Unity accepts exported models. The exit code is 0 if it accepts all, 1 if it does "
        "not, and 2 if a file is missing or not an ONNX file.",
        epilog="Example: mlagents-onnx-check results/ppo/Car.onnx --observations 20 3x84x84 --actions discrete:3,2",
    )
    command.add_argument(
        "models", nargs="+", metavar="MODEL", help='an .onnx file, or a pattern of several: "results/*/*.onnx"'
    )
    command.add_argument(
        "--observations",
        nargs="+",
        metavar="SHAPE",
        help="what the agent's sensors give, in the order of the sensors' names: 20 for a vector, 20x23 for 20 "
        "entities of 23 numbers, 3x84x84 for a picture (channels, height, width)",
    )
    command.add_argument(
        "--actions",
        nargs="+",
        metavar="ACTIONS",
        help="what the agent does: continuous:2 for two continuous actions, discrete:3,2 for two branches, or both",
    )
    command.add_argument(
        "--deterministic", action="store_true", help="the agent has 'Deterministic inference' set in Unity"
    )
    command.add_argument("--json", action="store_true", help="print JSON")
    return command


def _expanded(model: str) -> list[str]:
    """The files of a pattern, which the shells of Windows leave to the program, or the one that is called so."""
    # Not Path.glob, which takes no absolute pattern.
    return glob.glob(glob.escape(model)) or sorted(glob.glob(model)) or [model]  # noqa: PTH207


def _as_json(report: Report) -> dict[str, Any]:
    return {"accepted": report.accepted, **dataclasses.asdict(report)}


def _lines(report: Report) -> list[str]:
    lines = [f"{report.path}: {'accepted' if report.accepted else 'NOT accepted'}", f"  {report.summary}"]
    for finding in report.findings:
        said = "Unity says: " if finding.source == "unity" else ""
        message = " ".join(finding.message.split())
        lines.append(f"  {finding.level} {finding.rule}: {said}{message}")
    return [*lines, f"  {report.left_out}"] if report.left_out else lines
