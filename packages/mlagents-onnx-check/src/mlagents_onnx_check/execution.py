"""Faults that show when the model runs, as Unity runs it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from mlagents_onnx_check.findings import Finding
from mlagents_onnx_check.model import (
    CONTINUOUS,
    CURRENT_VERSION,
    DETERMINISTIC,
    DISCRETE,
    KINDS,
    MASKS,
    MEMORY_OUT,
    OnnxModel,
    Tensor,
)

AGENTS = 3
MASKED_AGENTS = 16
TOLERANCE = 1e-3
Arrays = dict[str, np.ndarray]
Run = Callable[[Mapping[str, np.ndarray]], Arrays]


def runtime() -> Any:
    """The module onnxruntime; None if it is not installed."""
    try:
        import onnxruntime
    except ImportError:
        return None
    return onnxruntime


def execution_findings(model: OnnxModel, onnxruntime: Any) -> Iterator[Finding]:
    """What shows on zeros, on a batch of several agents, and under masks.

    Args:
        model: the model, of the current version.
        onnxruntime: the module.

    Yields:
        The findings; after the first run that fails, no more.
    """
    if model.version != CURRENT_VERSION:
        return
    try:
        run = _session(model, onnxruntime)
    except Exception as error:  # onnxruntime's own kinds have no common base
        yield Finding("loads", f"onnxruntime cannot load the model: {_line(error)}")
        return
    try:
        zeros = run({name: np.zeros(_sizes(tensor, 1), np.float32) for name, tensor in model.inputs.items()})
    except Exception as error:
        yield Finding("zero-run", f"The model fails on one agent with all inputs zero, masks too: {_line(error)}")
        return
    inputs = _random_inputs(model, AGENTS)
    try:
        outputs = run(inputs)
        masked = _random_inputs(model, MASKED_AGENTS)
        allowed = _allow_one(model, masked)
        masked_outputs = run(masked)
    except Exception as error:
        yield Finding("batch-run", f"The model fails on a batch of {AGENTS} or {MASKED_AGENTS} agents: {_line(error)}")
        return
    yield from _shapes(model, outputs)
    yield from _finite(zeros, outputs)
    yield from _independence(run, inputs, outputs)
    yield from _obedience(allowed, masked_outputs)


def _session(model: OnnxModel, onnxruntime: Any) -> Run:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4  # what fails is a finding
    session = onnxruntime.InferenceSession(str(model.path), options, providers=["CPUExecutionProvider"])
    names = list(model.outputs)
    return lambda inputs: dict(zip(names, session.run(names, dict(inputs)), strict=True))


def _sizes(tensor: Tensor, batch: int) -> tuple[int, ...]:
    return (batch, *(size or 1 for size in tensor.shape[1:]))


def _random_inputs(model: OnnxModel, batch: int) -> Arrays:
    """Normally distributed inputs that allow every action."""
    rng = np.random.default_rng(0)
    inputs = {name: rng.standard_normal(_sizes(tensor, batch)) for name, tensor in model.inputs.items()}
    if MASKS in inputs:
        inputs[MASKS] = np.ones_like(inputs[MASKS])
    return {name: values.astype(np.float32) for name, values in inputs.items()}


def _allow_one(model: OnnxModel, inputs: Arrays) -> np.ndarray:
    """Leaves each agent one action of each branch.

    Returns:
        [B, D] the actions; empty where the masks are not of the branches.
    """
    branches = model.branches
    if MASKS not in inputs or inputs[MASKS].shape != (MASKED_AGENTS, sum(branches)):
        return np.zeros((MASKED_AGENTS, 0), int)
    allowed = np.random.default_rng(1).integers(0, branches, (MASKED_AGENTS, len(branches)))
    inputs[MASKS][:] = 0.0
    np.put_along_axis(inputs[MASKS], allowed + np.cumsum([0, *branches[:-1]]), 1.0, axis=1)
    return allowed


def _shapes(model: OnnxModel, outputs: Arrays) -> Iterator[Finding]:
    """Compares with the sizes that the metadata state; what they do not state is not judged again here."""
    expected: dict[str, tuple[int, ...]] = {MEMORY_OUT: (AGENTS, 1, model.memory_size or 0)}
    for kind, width in ((CONTINUOUS, model.continuous_size), (DISCRETE, len(model.branches))):
        expected |= dict.fromkeys((kind, DETERMINISTIC + kind), (AGENTS, width))
    for name in sorted(outputs.keys() & expected.keys()):
        if expected[name][-1] > 0 and outputs[name].shape != expected[name]:
            yield Finding(
                "batch-run",
                f"With {AGENTS} agents the output {name} is {list(outputs[name].shape)}; "
                f"it should be {list(expected[name])}.",
            )


def _finite(of_zeros: Arrays, outputs: Arrays) -> Iterator[Finding]:
    for name, values in outputs.items():
        if not np.isfinite(values).all():
            yield Finding("finite-outputs", f"The output {name} holds NaN or infinity.")
        elif not np.isfinite(of_zeros[name]).all():
            yield Finding("finite-outputs", f"The output {name} holds NaN or infinity where all inputs are zero.")


def _independence(run: Run, inputs: Arrays, outputs: Arrays) -> Iterator[Finding]:
    """Compares what each agent gets in company and alone, where nothing is drawn at random."""
    alone = [run({name: values[i : i + 1] for name, values in inputs.items()}) for i in range(AGENTS)]
    for name in [*(DETERMINISTIC + kind for kind in KINDS), MEMORY_OUT]:
        if name not in outputs or not np.isfinite(outputs[name]).all():
            continue
        rows = np.concatenate([each[name] for each in alone])
        if rows.shape == outputs[name].shape and not np.allclose(rows, outputs[name], TOLERANCE, TOLERANCE):
            yield Finding("row-independence", f"The output {name} of an agent depends on the other agents.")


def _obedience(allowed: np.ndarray, outputs: Arrays) -> Iterator[Finding]:
    for name in (DISCRETE, DETERMINISTIC + DISCRETE):
        chosen = outputs.get(name)
        if chosen is None or chosen.shape != allowed.shape:
            continue
        wrong = np.argwhere(chosen != allowed)
        if wrong.size:
            agent, branch = wrong[0]
            yield Finding(
                "mask-meaning",
                f"Where action_masks allow action {allowed[agent, branch]} of branch {branch} alone, {name} is "
                f"{int(chosen[agent, branch])}. 1 allows and 0 forbids, branch after branch.",
            )


def _line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
