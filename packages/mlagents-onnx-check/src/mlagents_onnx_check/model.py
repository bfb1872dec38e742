"""An ONNX file as the rules read it: inputs, outputs, constants."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.external_data_helper import load_external_data_for_model, uses_external_data

from mlagents_onnx_check.file_kinds import describe_stranger

VERSION, MEMORY_SIZE = "version_number", "memory_size"
CONTINUOUS_SHAPE, DISCRETE_SHAPE = "continuous_action_output_shape", "discrete_action_output_shape"
METADATA = (VERSION, MEMORY_SIZE, CONTINUOUS_SHAPE, DISCRETE_SHAPE)
CONTINUOUS, DISCRETE = "continuous_actions", "discrete_actions"
DETERMINISTIC = "deterministic_"
KINDS = {CONTINUOUS: CONTINUOUS_SHAPE, DISCRETE: DISCRETE_SHAPE}
"""The outputs for actions, and that which states their sizes."""
MASKS, MEMORY_IN, MEMORY_OUT, PREVIOUS_ACTION = "action_masks", "recurrent_in", "recurrent_out", "prev_action"
OTHER_INPUTS = (MASKS, MEMORY_IN, PREVIOUS_ACTION, "epsilon", "sequence_length")
LEGACY_OUTPUTS = ("action", "action_output_shape", "is_continuous_control")
OBSERVATION = "obs_"
CURRENT_VERSION = 3
EXPORTED = "results/<run-id>/<behavior>.onnx"
"""Where ML-Agents writes a model."""


class ModelFileError(Exception):
    """A file cannot be read as an ONNX model."""


@dataclass(frozen=True)
class Tensor:
    """An input or output of a graph.

    Attributes:
        name: its name.
        dtype: name of ONNX's data type, such as FLOAT.
        shape: sizes; None where a size is not fixed.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        return f"{self.name} [{', '.join('?' if size is None else str(size) for size in self.shape)}]"

    def unity_size(self, axis: int, rank: int) -> int:
        """Size of an axis from the end as Unity reads it: 1 if it is not fixed or the tensor is of a lower rank."""
        return (self.shape[axis] or 1) if len(self.shape) >= rank else 1


class OnnxModel:
    """A model that was read from a file.

    Attributes:
        path: the file.
        proto: the model as `onnx` has it.
        inputs: what has to be fed, by name.
        outputs: by name.

    Raises:
        ModelFileError: the file is missing, or is no ONNX file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.proto = _load(self.path)
        graph = self.proto.graph
        self._initializers = {tensor.name: tensor for tensor in graph.initializer}
        self.inputs = {value.name: _tensor(value) for value in graph.input if value.name not in self._initializers}
        self.outputs = {value.name: _tensor(value) for value in graph.output}

    @cached_property
    def constants(self) -> dict[str, np.ndarray]:
        """Values of the metadata among the outputs; those that depend on an input, or hold no number, are absent."""
        found = {name: self._constant(name) for name in METADATA if name in self.outputs}
        return {name: value for name, value in found.items() if value is not None and value.size}

    @cached_property
    def observations(self) -> dict[int, Tensor]:
        """Inputs named obs_0, obs_1 and so on, by their number."""
        numbers = {name.removeprefix(OBSERVATION): name for name in self.inputs if name.startswith(OBSERVATION)}
        named = {int(digits): name for digits, name in numbers.items() if digits.isdecimal() and digits.isascii()}
        return {i: self.inputs[name] for i, name in sorted(named.items()) if name == f"{OBSERVATION}{i}"}

    @property
    def version(self) -> int | None:
        """Version of the model format as Unity reads it: -1 for anything below 1; None if it is no constant."""
        value = self._integer(VERSION)
        return value if value is None or value > 0 else -1

    @property
    def memory_size(self) -> int | None:
        """Size of the recurrent state; None if it is no constant."""
        return self._integer(MEMORY_SIZE)

    @property
    def continuous_size(self) -> int:
        """Number of continuous actions, 0 without."""
        return self._integer(CONTINUOUS_SHAPE) or 0

    @property
    def branches(self) -> list[int]:
        """Sizes of the discrete branches, empty without."""
        value = self.constants.get(DISCRETE_SHAPE)
        return [] if value is None else [int(size) for size in value.ravel()]

    def consumers(self, name: str) -> list[Any]:
        """Nodes that read a tensor."""
        return [node for node in self.proto.graph.node if name in node.input]

    def _integer(self, name: str) -> int | None:
        return int(self.constants[name].ravel()[0]) if name in self.constants else None

    def _constant(self, name: str) -> np.ndarray | None:
        producers = {output: node for node in self.proto.graph.node for output in node.output}
        while name in producers and producers[name].op_type == "Identity":
            name = producers[name].input[0]
        if name in self._initializers:
            return numpy_helper.to_array(self._initializers[name])
        if name not in producers:
            return None
        node = producers[name]
        values = [attribute.t for attribute in node.attribute if attribute.name == "value"]
        if node.op_type == "Constant" and values:
            return numpy_helper.to_array(values[0])
        return self._evaluated(name, producers)

    def _evaluated(self, name: str, producers: dict[str, Any]) -> np.ndarray | None:
        """Value of a tensor that is computed, but of constants alone."""
        needed: set[str] = set()
        pending = [name]
        while pending:
            each = pending.pop()
            if each in self.inputs:
                return None
            if each in producers and each not in needed:
                needed.add(each)
                pending += producers[each].input
        graph = self.proto.graph
        nodes = [node for node in graph.node if needed.intersection(node.output)]
        part = onnx.helper.make_graph(nodes, "constant", [], [onnx.ValueInfoProto(name=name)], graph.initializer)
        return _run(onnx.helper.make_model(part, opset_imports=self.proto.opset_import))


def _run(model: Any) -> np.ndarray | None:
    from onnx.reference.reference_evaluator import ReferenceEvaluator  # a quarter of a second, and seldom needed

    try:
        (value,) = ReferenceEvaluator(model).run(None, {})
        return np.asarray(value)
    except Exception:  # an operator that the evaluator does not know, or one that fails: its kinds have no base
        return None


def _load(path: Path) -> Any:
    try:
        model = onnx.load(str(path), load_external_data=False)
    except FileNotFoundError:
        raise ModelFileError(f"{path} does not exist: ML-Agents writes models as {EXPORTED}") from None
    except OSError as error:
        reason = _describe_unreadable(path) if path.is_dir() else f"{path}: {error.strerror or error}"
        raise ModelFileError(reason) from None
    except Exception:  # the kinds of protobuf and onnx have no common base
        raise ModelFileError(_describe_unreadable(path)) from None
    if not model.graph.output:  # so reads what is no ONNX, an empty file for one
        raise ModelFileError(_describe_unreadable(path))
    _load_side_files(path, model)
    return model


def _describe_unreadable(path: Path) -> str:
    stranger = describe_stranger(path, ".onnx") or "is not an ONNX file, or cut short: export or copy it again"
    if path.suffix.lower() == ".onnx" and not path.is_dir():
        return f"{path} {stranger}"
    meant = " or ".join(map(str, _models_beside(path)[:3])) or EXPORTED
    return f"{path} {stranger}; check {meant} instead"


def _models_beside(path: Path) -> list[Path]:
    """Models that may have been meant: those in a folder, or that of a checkpoint's own name."""
    if path.is_dir():
        return sorted(path.glob("*.onnx"))
    return [model for model in [path.with_suffix(".onnx")] if model.is_file()]


def _load_side_files(path: Path, model: Any) -> None:
    """Reads the weights that lie in other files, beside the model.

    Raises:
        ModelFileError: such a file is missing, or does not hold them.
    """
    for tensor in filter(uses_external_data, model.graph.initializer):
        place = {entry.key: entry.value for entry in tensor.external_data}
        side = path.parent / place.get("location", "")
        if not side.is_file():
            raise ModelFileError(
                f"{path} is without its weights: they lie in {side.name}, which is missing. Put {side.name} beside it"
            )
        if int(place.get("offset", 0)) + int(place.get("length", 0)) > side.stat().st_size:
            stranger = describe_stranger(side, ".data") or "is cut short: export or copy it again"
            raise ModelFileError(f"{path} is without its weights: {side} {stranger}")
    try:
        load_external_data_for_model(model, str(path.parent))
    except (OSError, ValueError) as error:
        raise ModelFileError(f"{path}: the weights beside it cannot be read: {error}") from None


def _tensor(value: Any) -> Tensor:
    kind = value.type.tensor_type
    sizes = (size.dim_value if size.WhichOneof("value") == "dim_value" else None for size in kind.shape.dim)
    return Tensor(value.name, onnx.TensorProto.DataType.Name(kind.elem_type), tuple(sizes))
