"""Steps tried in child processes of this Python: one after another in one, and on in a new one after a crash."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_SECONDS = 300

# The folder that a child is started in is none of its packages: a torch.py there would stand for torch.
_CHILD = (
    "import sys; sys.path[:] = [folder for folder in sys.path if folder]; "
    "from mlagents_plugin_shared.doctor import probes; probes.main(*sys.argv[1:])"
)


def tried(steps: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What came of each step; `error` says in one line why one failed.

    Args:
        steps: as `probes.main` takes them.
    """
    results: dict[str, dict[str, Any]] = {}
    while remaining := [step for step in steps if step not in results]:
        begun, found, end = _run(remaining)
        results.update(found)
        if len(found) == len(remaining):
            break
        # None at all has begun where the child could not start.
        results[begun or remaining[0]] = {"error": end}
    return results


def _run(steps: Sequence[str]) -> tuple[str | None, dict[str, dict[str, Any]], str]:
    """Runs a child: the step that it last began, what it found by step, and how it ended."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        record = Path(folder) / "record"
        command = [sys.executable, "-W", "ignore", "-c", _CHILD, str(record), *steps]
        try:
            child = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)
            end = _end(child)
        except subprocess.TimeoutExpired:
            end = f"it did not end within {_SECONDS} seconds"
        lines = record.read_text(encoding="utf-8").splitlines() if record.exists() else []
    noted = [json.loads(line) for line in lines]
    begun = next((step for step, found in reversed(noted) if found is None), None)
    return begun, {step: found for step, found in noted if found is not None}, end


def _end(child: subprocess.CompletedProcess) -> str:
    """How a child ended that should not have."""
    code = child.returncode
    if os.name == "posix" and code < 0:
        return f"Python itself crashed ({signal.Signals(-code).name})"
    words = child.stderr.decode("utf-8", "replace").strip().splitlines()
    if code > 255:  # Windows
        return f"Python itself crashed ({code:#010x})"
    return f"Python ended with code {code}" + (f": {words[-1]}" if words else "")
