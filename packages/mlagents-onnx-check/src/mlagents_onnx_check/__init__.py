"""Whether Unity accepts a model for ML-Agents: the rules of its loader, and what the loader does not notice.

`check_model` is what the command `mlagents-onnx-check` prints. Neither Unity nor ML-Agents nor PyTorch is needed.
"""

from mlagents_onnx_check.behavior import Behavior, Sensor
from mlagents_onnx_check.findings import RULES, Finding, Report
from mlagents_onnx_check.model import ModelFileError
from mlagents_onnx_check.report import check_model

__all__ = ["RULES", "Behavior", "Finding", "ModelFileError", "Report", "Sensor", "check_model"]
