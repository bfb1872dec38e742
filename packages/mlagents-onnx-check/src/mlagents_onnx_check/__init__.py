"""Whether Unity accepts a model for ML-Agents: the rules of its loader, and what the loader does not notice.

`check_model` is what the command `mlagents-onnx-check` prints. Neither Unity nor ML-Agents nor PyTorch is needed.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlagents_onnx_check.behavior import Behavior, Sensor
    from mlagents_onnx_check.findings import RULES, Finding, Report
    from mlagents_onnx_check.model import ModelFileError
    from mlagents_onnx_check.report import check_model

__all__ = ["RULES", "Behavior", "Finding", "ModelFileError", "Report", "Sensor", "check_model"]

_HOMES = {
    "behavior": ("Behavior", "Sensor"),
    "findings": ("RULES", "Finding", "Report"),
    "model": ("ModelFileError",),
    "report": ("check_model",),
}


def __getattr__(name: str) -> Any:
    """A public name, imported when it is asked for: `hints` serves those on whose machine onnx cannot be imported."""
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
