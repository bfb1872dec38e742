"""The checks of Unity's own loader, with its messages and in its order.

Source: SentisModelParamLoader.cs and SentisModelInfo.cs of com.unity.ml-agents 4.0. Unity looks for outputs by a part
of their name; here names are compared as a whole, as in 3.0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mlagents_onnx_check.behavior import Behavior, Sensor
from mlagents_onnx_check.findings import Finding
from mlagents_onnx_check.model import (
    CONTINUOUS,
    CURRENT_VERSION,
    DETERMINISTIC,
    DISCRETE,
    KINDS,
    LEGACY_OUTPUTS,
    MASKS,
    MEMORY_IN,
    MEMORY_OUT,
    MEMORY_SIZE,
    OBSERVATION,
    OTHER_INPUTS,
    PREVIOUS_ACTION,
    VERSION,
    OnnxModel,
    Tensor,
)

OLDEST_VERSION = 2


def unity_findings(model: OnnxModel, behavior: Behavior, *, deterministic: bool) -> Iterator[Finding]:
    """What Unity would say of a model; where Unity stops checking, this stops too.

    Args:
        model: the model.
        behavior: what the agent has.
        deterministic: whether the agent has 'Deterministic inference'.

    Yields:
        The findings.
    """
    missing = next(_missing_outputs(model, deterministic), None)
    if missing is not None:
        yield missing
        return
    yield from _version(model)
    if model.memory_size == -1:
        yield _unity("memory-size-value", f"Missing node in the model provided : {MEMORY_SIZE}")
        return
    if model.version == CURRENT_VERSION:
        yield from _inputs(model, behavior)
    yield from _action_sizes(model, behavior)
    if (model.memory_size or 0) > 0 and MEMORY_OUT not in model.outputs:
        yield _unity("recurrent-output", "The model does not contain a Recurrent Output Node but has memory_size.")


def _unity(rule: str, message: str) -> Finding:
    return Finding(rule, message, "unity")


def _missing_outputs(model: OnnxModel, deterministic: bool) -> Iterator[Finding]:
    """Outputs without which Unity looks no further."""
    outputs = model.outputs.keys()
    for rule, name in (("version-number", VERSION), ("memory-size", MEMORY_SIZE)):
        if name not in outputs:
            yield _unity(rule, f'Required constant "{name}" was not found in the model file.')
    kinds = [kind for kind in KINDS if {kind, DETERMINISTIC + kind} & outputs]
    action, shape, control = LEGACY_OUTPUTS
    if not kinds and action not in outputs:
        yield _unity("action-output", "The model does not contain any Action Output Node.")
    if not kinds and shape not in outputs:
        yield _unity("legacy-action-shape", "The model does not contain any Action Output Shape Node.")
    if not kinds and control not in outputs:
        yield _unity(
            "legacy-control",
            f'Required constant "{control}" was not found in the model file. '
            "This is only required for model that uses a deprecated model format.",
        )
    for kind in kinds:
        yield from _missing_kind(model, kind, deterministic)


def _missing_kind(model: OnnxModel, kind: str, deterministic: bool) -> Iterator[Finding]:
    """What is missing for continuous or for discrete actions."""
    word = kind.partition("_")[0]
    if KINDS[kind] not in model.outputs:
        yield _unity(
            f"{word}-shape",
            f"The model uses {word} action but does not contain {word.title()} Action Output Shape Node.",
        )
    size = model.continuous_size if kind == CONTINUOUS else sum(model.branches)
    asked = DETERMINISTIC + kind if deterministic else kind
    if asked not in model.outputs or (size <= 0 and KINDS[kind] in model.constants):
        mode, title = ("deterministic", "Deterministic") if deterministic else ("stochastic", "")
        yield _unity(
            f"{word}-output",
            f"The model uses {mode} inference but does not contain {title} {word.title()} Action Output Tensor. "
            "Uncheck `Deterministic inference` flag..",
        )


def _version(model: OnnxModel) -> Iterator[Finding]:
    version = model.version
    if version is None:
        return
    if version < OLDEST_VERSION:
        yield _unity(
            "version-too-old",
            "Model was trained with a older version of the trainer than is supported. Either retrain with an newer "
            "trainer, or use an older version of com.unity.ml-agents.\n"
            f"Model version: {version} Minimum supported version: {OLDEST_VERSION}",
        )
    if version > CURRENT_VERSION:
        yield _unity(
            "version-too-new",
            "Model was trained with a newer version of the trainer than is supported. Either retrain with an older "
            "trainer, or update to a newer version of com.unity.ml-agents.\n"
            f"Model version: {version}  Maximum supported version: {CURRENT_VERSION}",
        )
    if version == OLDEST_VERSION and (model.memory_size or 0) > 0:
        yield _unity(
            "legacy-recurrent",
            "Models from com.unity.ml-agents 1.x that use recurrent neural networks are not supported in newer "
            "versions. Either retrain with an newer trainer, or use an older version of com.unity.ml-agents.\n",
        )


def _inputs(model: OnnxModel, behavior: Behavior) -> Iterator[Finding]:
    sensors = _sensors(model, behavior)
    for i, name in enumerate(sensors):
        if i not in model.observations:
            yield _unity(
                "observation-input",
                f"The model does not contain an Observation Placeholder Input for sensor component {i} ({name}).",
            )
    if (model.memory_size or 0) > 0 and MEMORY_IN not in model.inputs:
        yield _unity("recurrent-input", "The model does not contain a Recurrent Input Node but has memory_size.")
    if DISCRETE in model.outputs and MASKS not in model.inputs:
        yield _unity("action-masks", "The model does not contain an Action Mask but is using Discrete Control.")
    known = {*OTHER_INPUTS, *(f"{OBSERVATION}{i}" for i in range(len(sensors)))}
    for name in sorted(model.inputs.keys() - known):
        yield _unity("unexpected-input", f"Model contains an unexpected input named : {name}")
    for i, sensor in enumerate(behavior.sensors or ()):
        if i in model.observations:
            yield from _shape(sensor, model.observations[i])
    if PREVIOUS_ACTION in model.inputs and behavior.branches is not None:
        width = model.inputs[PREVIOUS_ACTION].unity_size(-1, 1)
        if width != len(behavior.branches):
            yield _unity(
                "previous-action",
                "Previous Action Size of the model does not match. "
                f"Received {len(behavior.branches)} but was expecting {width}.",
            )


def _sensors(model: OnnxModel, behavior: Behavior) -> list[str]:
    """Names of the agent's sensors; where they are not known, as many as the model's highest observation implies."""
    if behavior.sensors is not None:
        return [sensor.name for sensor in behavior.sensors]
    return [f"{OBSERVATION}{i}" for i in range(max(model.observations, default=0) + 1)]


def _shape(sensor: Sensor, tensor: Tensor) -> Iterator[Finding]:
    """Compares as Unity does, which reads a model's sizes by their place from the end."""
    rank = len(tensor.shape)
    channels = tensor.unity_size(-3 if rank >= 4 else 1 - rank, 2)
    height, width = tensor.unity_size(-2, 4), tensor.unity_size(-1, 3)
    if len(sensor.shape) == 3:
        if sensor.shape != (channels, height, width):
            wanted, had = _written((width, height, channels)), _written(sensor.shape[::-1])
            yield _mismatch("visual-shape", "The visual", had, wanted, sensor)
        return
    rule = "entities-shape" if len(sensor.shape) == 2 else "vector-shape"
    if sensor.shape != (channels, width)[: len(sensor.shape)]:
        sizes: tuple[int, ...] = (height, width, channels) if height > 1 else (channels, width)
        if rule == "vector-shape" and height <= 1 and width <= 1:
            sizes = (channels,)
        yield _mismatch(rule, "An", _written(sensor.shape), _written(sizes), sensor)


def _mismatch(rule: str, which: str, had: str, wanted: str, sensor: Sensor) -> Finding:
    return _unity(
        rule,
        f"{which} Observation of the model does not match. Received TensorProxy of shape {had} but was expecting "
        f"{wanted} for the {sensor.name} Sensor.",
    )


def _written(sizes: Iterable[int]) -> str:
    return "[?x" + "x".join(map(str, sizes)) + "]"


def _action_sizes(model: OnnxModel, behavior: Behavior) -> Iterator[Finding]:
    if behavior.continuous_size is not None and model.continuous_size != behavior.continuous_size:
        yield _unity(
            "continuous-size",
            "Continuous Action Size of the model does not match. The BrainParameters and ActuatorComponents expect "
            f"{behavior.continuous_size} but the model contains {model.continuous_size}.",
        )
    if behavior.branches is None:
        return
    if len(model.branches) != len(behavior.branches):
        yield _unity(
            "branch-count",
            "Discrete Action Size of the model does not match. The BrainParameters expect "
            f"{len(behavior.branches)} branches but the model contains {len(model.branches)}.",
        )
        return
    for branch, (expected, found) in enumerate(zip(behavior.branches, model.branches, strict=True)):
        if expected != found:
            yield _unity(
                "branch-size",
                f"The number of Discrete Actions of branch {branch} does not match. "
                f"Was expecting {expected} but the model contains {found} ",
            )
