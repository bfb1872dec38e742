"""A model that is right, made of ONNX operators as ML-Agents' exporter makes it: no torch is needed for it."""

from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

OBSERVATIONS, ACTIONS = ("4", "3x20x24", "5x6"), ("continuous:2", "discrete:3,3")
SHAPES = {"obs_0": (4,), "obs_1": (3, 20, 24), "obs_2": (5, 6), "action_masks": (6,), "recurrent_in": (1, 8)}
MEMORY, CONTINUOUS, BRANCHES = 8, 2, (3, 3)
FLATTENED = 4 + 3 * 20 * 24 + 5 * 6 + MEMORY
FORBIDDEN = 1e8
"""What is taken off the logits of forbidden actions."""


def write_good_model(file: Path) -> Path:
    """A model with a vector, a picture, entities, both kinds of actions, and a memory of 8."""
    onnx.save(good_model(), str(file))
    return file


def good_model() -> ModelProto:
    """The same, in memory: version 3 of ML-Agents' format, operator set 9, ONNX format 6."""
    rng = np.random.default_rng(0)
    weights = {
        "body": rng.normal(0, 0.05, (FLATTENED, MEMORY)),
        "mean": rng.normal(0, 1, (MEMORY, CONTINUOUS)),
        "logits": rng.normal(0, 1, (MEMORY, sum(BRANCHES))),
        "one": np.ones(1),
        "forbidden": np.full(1, FORBIDDEN),
    }
    graph = helper.make_graph(
        [*metadata(), *body(), *continuous(), *discrete()],
        "good",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape]) for name, shape in SHAPES.items()],
        outputs(),
        [numpy_helper.from_array(values.astype(np.float32), name) for name, values in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 9)], ir_version=6)


def metadata() -> list[NodeProto]:
    """What the loader reads: version, size of the memory, sizes of the actions."""
    values = {
        "version_number": [3],
        "memory_size": [MEMORY],
        "continuous_action_output_shape": [CONTINUOUS],
        "discrete_action_output_shape": [BRANCHES],
    }
    return [
        helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.array(value, np.float32)))
        for name, value in values.items()
    ]


def body() -> list[NodeProto]:
    """One layer over all observations and the memory, which it is itself."""
    read = [name for name in SHAPES if name != "action_masks"]
    return [
        *(helper.make_node("Flatten", [name], [f"{name}/flat"]) for name in read),
        helper.make_node("Concat", [f"{name}/flat" for name in read], ["all"], axis=1),
        helper.make_node("MatMul", ["all", "body"], ["sum"]),
        helper.make_node("Tanh", ["sum"], ["hidden"]),
        helper.make_node("Unsqueeze", ["hidden"], ["recurrent_out"], axes=[1]),
    ]


def continuous() -> list[NodeProto]:
    """A Gaussian about the deterministic action."""
    return [
        helper.make_node("MatMul", ["hidden", "mean"], ["deterministic_continuous_actions"]),
        helper.make_node("RandomNormalLike", ["deterministic_continuous_actions"], ["noise"]),
        helper.make_node("Add", ["deterministic_continuous_actions", "noise"], ["continuous_actions"]),
    ]


def discrete() -> list[NodeProto]:
    """Each branch's likeliest action that the masks allow, and one that is drawn."""
    nodes = [
        helper.make_node("Sub", ["one", "action_masks"], ["is_forbidden"]),
        helper.make_node("Mul", ["is_forbidden", "forbidden"], ["penalty"]),
        helper.make_node("MatMul", ["hidden", "logits"], ["preferences"]),
        helper.make_node("Sub", ["preferences", "penalty"], ["masked"]),
    ]
    ends = np.cumsum(BRANCHES).tolist()
    for branch, (size, end) in enumerate(zip(BRANCHES, ends, strict=True)):
        logits, best, drawn = (f"branch_{branch}/{name}" for name in ("logits", "best", "drawn"))
        nodes += [
            helper.make_node("Slice", ["masked"], [logits], axes=[1], starts=[end - size], ends=[end]),
            helper.make_node("ArgMax", [logits], [best], axis=1, keepdims=1),
            helper.make_node("LogSoftmax", [logits], [f"{logits}/log"], axis=1),
            helper.make_node("Multinomial", [f"{logits}/log"], [drawn], dtype=TensorProto.INT64),
        ]
    for output, name in (("discrete_actions", "drawn"), ("deterministic_discrete_actions", "best")):
        parts = [f"branch_{branch}/{name}" for branch in range(len(BRANCHES))]
        nodes.append(helper.make_node("Concat", parts, [output], axis=1))
    return nodes


def outputs() -> list[onnx.ValueInfoProto]:
    """All of them, with their types and shapes."""
    floats = {
        "version_number": [1],
        "memory_size": [1],
        "continuous_actions": ["batch", CONTINUOUS],
        "continuous_action_output_shape": [1],
        "deterministic_continuous_actions": ["batch", CONTINUOUS],
        "discrete_action_output_shape": [1, len(BRANCHES)],
        "recurrent_out": ["batch", 1, MEMORY],
    }
    integers = {name: ["batch", len(BRANCHES)] for name in ("discrete_actions", "deterministic_discrete_actions")}
    return [
        *(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in floats.items()),
        *(helper.make_tensor_value_info(name, TensorProto.INT64, shape) for name, shape in integers.items()),
    ]
