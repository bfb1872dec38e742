"""Faults that Unity's own checks do not notice: it then fails, or acts wrongly, when the game runs."""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from mlagents_onnx_check.findings import Finding
from mlagents_onnx_check.model import (
    CONTINUOUS,
    CURRENT_VERSION,
    DETERMINISTIC,
    DISCRETE,
    KINDS,
    MASKS,
    MEMORY_IN,
    MEMORY_OUT,
    MEMORY_SIZE,
    METADATA,
    OnnxModel,
    Tensor,
)

OPSETS, USUAL_OPSET = range(7, 16), 9
"""Unity's manual of Sentis 2.1 names 7 to 15; ML-Agents exports 9, and so are the models of Unity's tests."""
IR_VERSIONS, USUAL_IR_VERSIONS = range(3, 9), range(4, 7)
"""Operator set 15 came with IR 8; ML-Agents exports 4, and the models of Unity's tests are 6."""
RANKS = range(2, 5)
CHANNELS_TO_FRONT = [0, 3, 1, 2]


def trap_findings(model: OnnxModel) -> Iterator[Finding]:
    """What can be seen in the file.

    Args:
        model: the model.

    Yields:
        The findings.
    """
    yield from _format(model)
    yield from _names(model)
    yield from _metadata(model)
    if model.version == CURRENT_VERSION:
        yield from _types(model)
        yield from _input_shapes(model)
        yield from _masks(model)
        yield from _memory(model)
        yield from _action_widths(model)
        yield from _deterministic(model)
    elif (model.version or 0) > 0 and (model.version or 0) < CURRENT_VERSION:
        yield Finding(
            "legacy-model", "This is a model of ML-Agents 1.x. Its inputs are not checked here.", level="note"
        )


def _format(model: OnnxModel) -> Iterator[Finding]:
    try:
        onnx.checker.check_model(model.proto, full_check=True)
    except Exception as error:  # its kinds have no common base
        yield Finding("valid-graph", f"The ONNX checker refuses the model: {str(error).strip().splitlines()[0]}")
    versions = {opset.domain: opset.version for opset in model.proto.opset_import}
    opset = versions.get("", versions.get("ai.onnx", 0))
    if opset != USUAL_OPSET:
        message = f"The operator set is {opset}. Models of ML-Agents have {USUAL_OPSET}; Unity reads 7 to 15."
        yield Finding("opset", message, level="note" if opset in OPSETS else "error")
    ir_version = model.proto.ir_version
    if ir_version not in USUAL_IR_VERSIONS:
        message = f"The ONNX format (IR) is {ir_version}. Models that Unity is known to accept have 4 to 6."
        yield Finding("ir-version", message, level="note" if ir_version in IR_VERSIONS else "error")
    foreign = sorted({node.domain for node in model.proto.graph.node} - {"", "ai.onnx"})
    if foreign:
        yield Finding("operator-domain", f"Unity does not know the operators of {', '.join(foreign)}.")


def _names(model: OnnxModel) -> Iterator[Finding]:
    known = {*KINDS, *KINDS.values(), *(DETERMINISTIC + kind for kind in KINDS)}
    for name in sorted(model.outputs.keys() - known):
        for kind in KINDS:
            if kind in name:
                yield Finding("exact-names", f"Unity takes the output {name} for {kind}, which it is not: rename it.")


def _metadata(model: OnnxModel) -> Iterator[Finding]:
    for name in METADATA:
        if name not in model.outputs:
            continue
        if name not in model.constants:
            yield Finding("metadata-constant", f"The output {name} is not a constant number.")
        stated = model.outputs[name].dtype
        held = str(model.constants[name].dtype) if name in model.constants else "float32"
        if stated != "FLOAT" or held != "float32":
            yield Finding("metadata-type", f"The output {name} is {stated}. Unity reads float32 only.")


def _types(model: OnnxModel) -> Iterator[Finding]:
    for tensor in model.inputs.values():
        if tensor.dtype != "FLOAT":
            yield Finding("input-type", f"The input {tensor.name} is {tensor.dtype}. Unity feeds float32.")
    for name, tensor in model.outputs.items():
        kind = name.removeprefix(DETERMINISTIC)
        if (kind == CONTINUOUS or name == MEMORY_OUT) and tensor.dtype != "FLOAT":
            yield Finding("output-type", f"The output {name} is {tensor.dtype}. Unity reads float32.")
        if kind == DISCRETE and tensor.dtype not in ("INT64", "INT32"):
            yield Finding("output-type", f"The output {name} is {tensor.dtype}. Unity reads integers.")


def _input_shapes(model: OnnxModel) -> Iterator[Finding]:
    for tensor in model.inputs.values():
        if tensor.shape and tensor.shape[0] is not None:
            yield Finding(
                "batch-axis",
                f"The input {tensor} takes exactly {tensor.shape[0]} agents. The first axis must be of any size.",
            )
        if None in tensor.shape[1:]:
            yield Finding(
                "fixed-shape", f"The input {tensor} leaves sizes open besides the batch. Unity takes them for 1."
            )
    for tensor in model.observations.values():
        if len(tensor.shape) not in RANKS:
            yield Finding(
                "observation-rank",
                f"The input {tensor} has {len(tensor.shape)} axes. Unity feeds [batch, size], [batch, entities, size] "
                "or [batch, channels, height, width].",
            )
        if any(_transposes_to_front(node) for node in model.consumers(tensor.name)):
            yield Finding(
                "picture-layout", f"The input {tensor} is channels last. Unity feeds [batch, channels, height, width]."
            )


def _transposes_to_front(node: onnx.NodeProto) -> bool:
    return node.op_type == "Transpose" and any(list(each.ints) == CHANNELS_TO_FRONT for each in node.attribute)


def _masks(model: OnnxModel) -> Iterator[Finding]:
    masks, width = model.inputs.get(MASKS), sum(model.branches)
    if masks is not None and width and not _fits(masks, (None, width)):
        yield Finding("mask-width", f"The input {masks} should be [?, {width}], one for each discrete action.")


def _memory(model: OnnxModel) -> Iterator[Finding]:
    size = model.memory_size
    if size is None:
        return
    memories = [tensor for tensor in (model.inputs.get(MEMORY_IN), model.outputs.get(MEMORY_OUT)) if tensor is not None]
    used = MEMORY_OUT in model.outputs or model.consumers(MEMORY_IN)
    if size <= 0 and memories and used:
        yield Finding("memory-unstated", f"The model has {memories[0].name}, but {MEMORY_SIZE} is {size}.")
    for tensor in memories if size > 0 else []:
        if not _fits(tensor, (None, 1, size)):
            yield Finding("memory-shape", f"{tensor} should be [?, 1, {size}], as {MEMORY_SIZE} says.")


def _action_widths(model: OnnxModel) -> Iterator[Finding]:
    widths = {CONTINUOUS: model.continuous_size, DISCRETE: len(model.branches)}
    for name, tensor in model.outputs.items():
        kind = name.removeprefix(DETERMINISTIC)
        if kind in widths and widths[kind] and not _fits(tensor, (None, widths[kind])):
            yield Finding("action-width", f"The output {tensor} should be [?, {widths[kind]}], as {KINDS[kind]} says.")


def _fits(tensor: Tensor, shape: tuple[int | None, ...]) -> bool:
    """Whether a shape may be the given one, where None is any size; an open size is judged when the model runs."""
    return len(tensor.shape) == len(shape) and all(
        None in (size, wanted) or size == wanted for size, wanted in zip(tensor.shape, shape, strict=True)
    )


def _deterministic(model: OnnxModel) -> Iterator[Finding]:
    missing = [DETERMINISTIC + kind for kind in KINDS if kind in model.outputs]
    missing = [name for name in missing if name not in model.outputs]
    if missing:
        yield Finding(
            "deterministic-outputs",
            f"Without {' and '.join(missing)} the model cannot serve an agent with 'Deterministic inference'.",
            level="note",
        )
