"""The check of a model: all rules together."""

from pathlib import Path
from types import ModuleType

from mlagents_onnx_check.behavior import Behavior
from mlagents_onnx_check.execution import execution_findings, runtime
from mlagents_onnx_check.findings import RULES, Report
from mlagents_onnx_check.hints import install_command
from mlagents_onnx_check.model import OnnxModel
from mlagents_onnx_check.traps import trap_findings
from mlagents_onnx_check.unity import unity_findings

WITHOUT_RUNTIME = "onnxruntime is not installed: the model was not run; to install it: {}"


def check_model(path: str | Path, behavior: Behavior | None = None, *, deterministic: bool = False) -> Report:
    """Applies every rule to a model.

    Where onnxruntime is installed the model is run a few times, on at most 16 agents. That takes 10 to 20 ms for a
    network of vectors, up to 100 ms for one of pictures.

    Args:
        path: an .onnx file.
        behavior: what the agent in Unity has; without it the model is checked by itself.
        deterministic: whether the agent has 'Deterministic inference'.

    Returns:
        What was found.

    Raises:
        ModelFileError: the file is missing, or is no ONNX file.
    """
    model = OnnxModel(path)
    findings = [*unity_findings(model, behavior or Behavior(), deterministic=deterministic), *trap_findings(model)]
    onnxruntime = runtime()
    if onnxruntime is not None:
        findings += execution_findings(model, onnxruntime)
    findings.sort(key=lambda finding: list(RULES).index(finding.rule))
    return Report(str(path), _summary(model), findings, _what_was_left_out(onnxruntime))


def _what_was_left_out(onnxruntime: ModuleType | None) -> str:
    return "" if onnxruntime is not None else WITHOUT_RUNTIME.format(install_command("onnxruntime"))


def _summary(model: OnnxModel) -> str:
    """What the model observes and does, in the command line's syntax."""
    observations = ["x".join(str(size or "?") for size in tensor.shape[1:]) for tensor in model.observations.values()]
    actions = [f"continuous:{model.continuous_size}"] if model.continuous_size else []
    actions += [f"discrete:{','.join(map(str, model.branches))}"] if model.branches else []
    parts = [f"observations {' '.join(observations) or '?'}", f"actions {' '.join(actions) or '?'}"]
    return ", ".join([*parts, f"memory {model.memory_size}"] if model.memory_size else parts)
