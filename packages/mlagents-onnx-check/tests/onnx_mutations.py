"""Models that are wrong in one way each, made from one that is right."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from good_model import ACTIONS, OBSERVATIONS
from mlagents_onnx_check import Behavior
from onnx_changes import (
    Change,
    add_input,
    add_output,
    axis,
    break_graph,
    constant,
    count_agents,
    domain,
    drop,
    feed,
    fill,
    give,
    ir_version,
    opset,
    rename,
    swap,
)

BEHAVIOR = Behavior.parse(OBSERVATIONS, ACTIONS)
CONTINUOUS = ("continuous_actions", "deterministic_continuous_actions")
DISCRETE = ("discrete_actions", "deterministic_discrete_actions")


@dataclass(frozen=True)
class Mutation:
    """A change of the good model, or of what is asked of it.

    Attributes:
        name: of the mutation.
        rule: that has to fire.
        changes: of the model.
        behavior: what the agent has.
        deterministic: whether it has 'Deterministic inference'.
        level: of the finding.
    """

    name: str
    rule: str
    changes: Sequence[Change] = ()
    behavior: Behavior = BEHAVIOR
    deterministic: bool = False
    level: str = "error"


FLOAT_ONE = np.float32(1.0)
TO_FLOAT = ("Cast", (), {"to": TensorProto.FLOAT})
NO_ACTIONS = drop(*CONTINUOUS, *DISCRETE)
NHWC = ("Transpose", (), {"perm": [0, 3, 1, 2]})
INVERTED = [("Neg", (), {}), ("Add", (FLOAT_ONE,), {})]
SWAPPED = [("Gather", (np.array([3, 4, 5, 0, 1, 2]),), {"axis": 1})]


def behavior(observations: Sequence[str] = OBSERVATIONS, actions: Sequence[str] = ACTIONS) -> Behavior:
    """Another behaviour."""
    return Behavior.parse(observations, actions)


MUTATIONS = [
    Mutation("no version", "version-number", [drop("version_number")]),
    Mutation("version misspelt", "version-number", [rename("version_number", "Version_Number")]),
    Mutation("no memory size", "memory-size", [drop("memory_size")]),
    Mutation("no actions", "action-output", [NO_ACTIONS]),
    Mutation("1.x without a shape", "legacy-action-shape", [add_output("action", CONTINUOUS[0]), NO_ACTIONS]),
    Mutation(
        "1.x without a kind",
        "legacy-control",
        [add_output("action", CONTINUOUS[0]), add_output("action_output_shape", "memory_size"), NO_ACTIONS],
    ),
    Mutation("no continuous shape", "continuous-shape", [drop("continuous_action_output_shape")]),
    Mutation("deterministic continuous actions only", "continuous-output", [drop(CONTINUOUS[0])]),
    Mutation("no continuous actions after all", "continuous-output", [constant("continuous_action_output_shape", [0])]),
    Mutation("no discrete shape", "discrete-shape", [drop("discrete_action_output_shape")]),
    Mutation("deterministic discrete actions only", "discrete-output", [drop(DISCRETE[0])]),
    Mutation("version 0", "version-too-old", [constant("version_number", [0])]),
    Mutation("version 1", "version-too-old", [constant("version_number", [1])]),
    Mutation("version 4", "version-too-new", [constant("version_number", [4])]),
    Mutation("version 2 with memory", "legacy-recurrent", [constant("version_number", [2])]),
    Mutation("memory size -1", "memory-size-value", [constant("memory_size", [-1])]),
    Mutation("renamed input", "observation-input", [rename("obs_1", "picture")]),
    Mutation("unknown input", "unexpected-input", [rename("obs_1", "picture")]),
    Mutation("one sensor too many", "unexpected-input", behavior=behavior(OBSERVATIONS[:2])),
    Mutation("one sensor too few", "observation-input", behavior=behavior([*OBSERVATIONS, "7"])),
    Mutation("a gap in the numbers", "observation-input", [rename("obs_1", "obs_3")], Behavior()),
    Mutation("no recurrent_in", "recurrent-input", [fill("recurrent_in", (1, 1, 8))]),
    Mutation("no masks", "action-masks", [fill("action_masks", (1, 6))]),
    Mutation("misordered observations", "visual-shape", [swap("obs_0", "obs_1")]),
    Mutation("misordered observations, the vector", "vector-shape", [swap("obs_0", "obs_1")]),
    Mutation("other picture", "visual-shape", behavior=behavior(["4", "3x24x20", "5x6"])),
    Mutation("fewer entities", "entities-shape", behavior=behavior(["4", "3x20x24", "4x6"])),
    Mutation("longer vector", "vector-shape", behavior=behavior(["5", "3x20x24", "5x6"])),
    Mutation("too few previous actions", "previous-action", [add_input("prev_action", ["batch", 1])]),
    Mutation("other continuous size", "continuous-size", [constant("continuous_action_output_shape", [3])]),
    Mutation("no continuous actions wanted", "continuous-size", behavior=behavior(actions=["discrete:3,3"])),
    Mutation("a branch too many", "branch-count", [constant("discrete_action_output_shape", [[3, 3, 1]])]),
    Mutation("smaller branch", "branch-size", [constant("discrete_action_output_shape", [[3, 2]])]),
    Mutation("recurrent_in without recurrent_out", "recurrent-output", [drop("recurrent_out")]),
    Mutation("dangling operator", "valid-graph", [break_graph]),
    Mutation("operator set 6", "opset", [opset(6)]),
    Mutation("operator set 17", "opset", [opset(17)]),
    Mutation("operator set 8", "opset", [opset(8)], level="note"),
    Mutation("format of onnx 1.15", "ir-version", [ir_version(9)]),
    Mutation("format of operator set 15", "ir-version", [ir_version(8)], level="note"),
    Mutation("foreign operator", "operator-domain", [domain("com.microsoft")]),
    Mutation("foreign operator, run", "loads", [domain("com.microsoft")]),
    Mutation("output named in part", "exact-names", [add_output("all_discrete_actions", DISCRETE[0])]),
    Mutation("int64 version", "metadata-type", [constant("version_number", [3], np.int64)]),
    Mutation("int64 branches", "metadata-type", [constant("discrete_action_output_shape", [[3, 3]], np.int64)]),
    Mutation("computed version", "metadata-constant", [count_agents]),
    Mutation("double observations", "input-type", [feed("obs_0", ["batch", 4], TO_FLOAT, dtype=TensorProto.DOUBLE)]),
    Mutation(
        "double actions",
        "output-type",
        [give(CONTINUOUS[0], ["batch", 2], ("Cast", (), {"to": TensorProto.DOUBLE}), dtype=TensorProto.DOUBLE)],
    ),
    Mutation("float choices", "output-type", [give(DISCRETE[0], ["batch", 2], TO_FLOAT)]),
    Mutation("fixed batch", "batch-axis", [axis("obs_0", 0, 1)]),
    Mutation("open number of entities", "fixed-shape", [axis("obs_2", 1, "entities")]),
    Mutation(
        "vector of five axes",
        "observation-rank",
        [feed("obs_0", ["batch", 1, 1, 1, 4], ("Reshape", (np.array([-1, 4]),), {}))],
        Behavior(),
    ),
    Mutation("pictures channels last", "picture-layout", [feed("obs_1", ["batch", 20, 24, 3], NHWC)], Behavior()),
    Mutation("pictures channels last, known", "visual-shape", [feed("obs_1", ["batch", 20, 24, 3], NHWC)]),
    Mutation(
        "wide masks",
        "mask-width",
        [feed("action_masks", ["batch", 7], ("Gather", (np.arange(6),), {"axis": 1}))],
    ),
    Mutation("wrong memory size", "memory-shape", [constant("memory_size", [16])]),
    Mutation("memory without a size", "memory-unstated", [constant("memory_size", [0])]),
    Mutation("one action of two", "action-width", [give(CONTINUOUS[0], ["batch", 1], ("Gather", ([0],), {"axis": 1}))]),
    Mutation("no deterministic outputs", "deterministic-outputs", [drop(CONTINUOUS[1], DISCRETE[1])], level="note"),
    Mutation("no deterministic discrete output, wanted", "discrete-output", [drop(DISCRETE[1])], deterministic=True),
    Mutation(
        "no deterministic continuous output, wanted", "continuous-output", [drop(CONTINUOUS[1])], deterministic=True
    ),
    Mutation(
        "version 2",
        "legacy-model",
        [constant("version_number", [2]), constant("memory_size", [0])],
        level="note",
    ),
    Mutation("fails on one agent", "zero-run", [feed("obs_0", ["batch", 4], ("Reshape", (np.array([3, -1]),), {}))]),
    Mutation("one agent inside", "batch-run", [feed("obs_0", ["batch", 4], ("Reshape", (np.array([1, 4]),), {}))]),
    Mutation(
        "one row for all",
        "batch-run",
        [give(DISCRETE[0], ["batch", 2], ("Gather", ([0],), {"axis": 0}), dtype=TensorProto.INT64)],
    ),
    Mutation(
        "divides by zero",
        "finite-outputs",
        [give(CONTINUOUS[1], ["batch", 2], ("Div", (np.zeros(2, np.float32),), {}))],
    ),
    Mutation(
        "logarithm of nothing",  # on zeros, and on nothing else
        "finite-outputs",
        [feed("obs_0", ["batch", 4], ("Abs", (), {}), ("Log", (), {}))],
    ),
    Mutation(
        "sums over agents",
        "row-independence",
        [feed("obs_0", ["batch", 4], ("Softmax", (), {"axis": 0}))],
    ),
    Mutation("inverted masks", "mask-meaning", [feed("action_masks", ["batch", 6], *INVERTED)]),
    Mutation("swapped masks", "mask-meaning", [feed("action_masks", ["batch", 6], *SWAPPED)]),
]
