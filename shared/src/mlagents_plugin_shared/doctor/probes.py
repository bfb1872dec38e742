"""What a child process of the doctor tries: imports, an export, every plugin. A step may end the process.

Each step notes that it begins, and then what came of it, as a line of JSON: so the parent knows where a crash was.
"""

import importlib
import inspect
import io
import json
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

MENDS = "mlagents_plugin_shared.run.host.stock_savers"
"""The module that lets ML-Agents' own trainers export on every torch."""

_MESSAGES = 2000


def main(record: str, *steps: str) -> None:
    """Runs steps one after another.

    Args:
        record: the file that the lines go to.
        steps: names, each `kind` or `kind=argument`.
    """
    with Path(record).open("a", encoding="utf-8") as lines:
        for step in steps:
            _note(lines, step)
            kind, _, argument = step.partition("=")
            try:
                found = _STEPS[kind](argument)
            except BaseException as error:  # as ML-Agents takes what plugins raise
                found = {"error": reason(error), "missing": _missing(error)}
            _note(lines, step, found)


def _note(lines: io.TextIOBase, step: str, found: dict[str, Any] | None = None) -> None:
    lines.write(json.dumps([step, found]) + "\n")
    lines.flush()


def reason(error: BaseException) -> str:
    """An exception in one line: its kind, and the first line that it says."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _missing(error: BaseException) -> str | None:
    """The package that an import did not find."""
    return (error.name or "").partition(".")[0] or None if isinstance(error, ModuleNotFoundError) else None


def _import(name: str) -> dict[str, Any]:
    importlib.import_module(name)
    return {}


def _protobuf(_: str) -> dict[str, Any]:
    """Which implementation parses, and how many megabytes a second of messages like a player's."""
    from google.protobuf import struct_pb2
    from google.protobuf.internal import api_implementation

    message = struct_pb2.ListValue()
    for number in range(_MESSAGES):
        message.values.add().number_value = number
    data = message.SerializeToString()
    began = time.perf_counter()
    struct_pb2.ListValue.FromString(data)
    seconds = time.perf_counter() - began
    return {"implementation": api_implementation.Type(), "megabytes_per_second": len(data) / seconds / 1e6}


def _torch(_: str) -> dict[str, Any]:
    import torch

    available = torch.cuda.is_available()
    name = torch.cuda.get_device_name(0) if available else None
    return {"version": torch.__version__, "built_for": torch.version.cuda, "cuda": available, "device": name}


def _export(_: str) -> dict[str, Any]:
    """Whether a small network can be exported: as ML-Agents does it, and by the exporter that our packages ask for."""
    import torch

    has_choice = "dynamo" in inspect.signature(torch.onnx.export).parameters
    return {
        "stock": _export_error({}),
        "ours": _export_error({"dynamo": False}) if has_choice else _export_error({}),
    }


def _export_error(arguments: dict[str, Any]) -> str | None:
    import torch

    network = torch.nn.Linear(2, 1)
    names: dict[str, Any] = {"input_names": ["obs_0"], "output_names": ["out"], "dynamic_axes": {"obs_0": {0: "batch"}}}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = str(Path(folder) / "network.onnx")
        try:
            torch.onnx.export(network, (torch.zeros(1, 2),), path, opset_version=9, **names, **arguments)
        except BaseException as error:
            return reason(error)
    return None


def _trainer(which: str) -> dict[str, Any]:
    """Loads an entry point of `mlagents.trainer_type`, and calls it as ML-Agents does."""
    types, settings = _entry_point("mlagents.trainer_type", which).load()()
    modules = {name: getattr(kind, "__module__", "") for name, kind in types.items()}
    unsettled = sorted(set(types) - set(settings))
    return {"trainers": modules, "without_settings": unsettled, "mends": MENDS in sys.modules}


def _writer(which: str) -> dict[str, Any]:
    """Loads an entry point of `mlagents.stats_writer`; it would write where it is called."""
    if not callable(_entry_point("mlagents.stats_writer", which).load()):
        raise TypeError("the entry point is no function")
    return {}


def _entry_point(group: str, which: str) -> EntryPoint:
    """The entry point with a name and a value, `name=module:function`."""
    return next(point for point in entry_points(group=group) if f"{point.name}={point.value}" == which)


def _memory(_: str) -> dict[str, Any]:
    from mlagents_plugin_shared.data.memory import free_memory  # what a replay asks before it is made

    return {"available": free_memory()}


_STEPS: dict[str, Callable[[str], dict[str, Any]]] = {
    "import": _import,
    "protobuf": _protobuf,
    "torch": _torch,
    "export": _export,
    "trainer": _trainer,
    "writer": _writer,
    "memory": _memory,
}
