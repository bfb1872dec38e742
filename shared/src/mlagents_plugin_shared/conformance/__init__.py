"""Whether Unity accepts an exported model: the rules of its loader, and what the loader does not notice.

`check_model` is what the trainers call on each export and what the command `mlagents-onnx-check` prints.
"""

from mlagents_plugin_shared.conformance.behavior import Behavior, Sensor
from mlagents_plugin_shared.conformance.findings import Finding, Report
from mlagents_plugin_shared.conformance.model import ModelFileError
from mlagents_plugin_shared.conformance.report import check_model

__all__ = ["Behavior", "Finding", "ModelFileError", "Report", "Sensor", "check_model"]
