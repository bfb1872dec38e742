"""The rules by name, and what a check of a model found."""

from dataclasses import dataclass, field
from typing import Literal

RULES: dict[str, str] = {
    # Unity's own, in its order
    "version-number": "an output version_number",
    "memory-size": "an output memory_size",
    "action-output": "an output for actions",
    "legacy-action-shape": "1.x: an output action_output_shape",
    "legacy-control": "1.x: an output is_continuous_control",
    "continuous-shape": "continuous_actions come with continuous_action_output_shape",
    "continuous-output": "the continuous output that is asked for is there, with a size above 0",
    "discrete-shape": "discrete_actions come with discrete_action_output_shape",
    "discrete-output": "the discrete output that is asked for is there, with sizes above 0",
    "version-too-old": "version_number is at least 2",
    "version-too-new": "version_number is at most 3",
    "legacy-recurrent": "not of 1.x with a memory",
    "memory-size-value": "memory_size is not -1",
    "observation-input": "an input obs_0, obs_1, … for each sensor",
    "recurrent-input": "an input recurrent_in if there is a memory",
    "action-masks": "an input action_masks if there are discrete actions",
    "unexpected-input": "no input that Unity does not know",
    "visual-shape": "a picture's channels, height and width are the sensor's",
    "entities-shape": "number and size of entities are the sensor's",
    "vector-shape": "the size of a vector is the sensor's",
    "previous-action": "prev_action is as wide as there are branches",
    "continuous-size": "as many continuous actions as the behaviour",
    "branch-count": "as many discrete branches as the behaviour",
    "branch-size": "branches of the behaviour's sizes",
    "recurrent-output": "an output recurrent_out if there is a memory",
    # what Unity does not notice when it loads the model
    "valid-graph": "what the ONNX checker accepts",
    "opset": "operator set 7 to 15, better 9",
    "ir-version": "ONNX format (IR) 3 to 8, better 4 to 6",
    "operator-domain": "operators of the ONNX standard only",
    "exact-names": "outputs with Unity's exact names, where Unity itself looks for parts of names",
    "metadata-type": "metadata are float32",
    "metadata-constant": "metadata are constants",
    "input-type": "inputs are float32",
    "output-type": "continuous actions and memory are float32, discrete actions integers",
    "batch-axis": "the first axis of every input is the batch, of any size",
    "fixed-shape": "all other axes have a fixed size: Unity takes 1 for an open one",
    "observation-rank": "observations are [batch, size], [batch, entities, size] or [batch, C, H, W]",
    "picture-layout": "pictures are channels first",
    "mask-width": "action_masks are as wide as all branches together",
    "memory-shape": "recurrent_in and recurrent_out are [batch, 1, memory_size]",
    "memory-unstated": "memory_size is not 0 if memories are used",
    "action-width": "action outputs are as wide as the metadata say",
    "deterministic-outputs": "deterministic outputs for agents with 'Deterministic inference'",
    "legacy-model": "not of ML-Agents 1.x, whose inputs are not checked here",
    # what shows when the model runs
    "loads": "onnxruntime loads the model",
    "zero-run": "runs on batch 1 with all inputs zero, masks too, as Unity does first",
    "batch-run": "runs on a batch of several agents and gives each its row",
    "finite-outputs": "numbers, not NaN or infinity",
    "row-independence": "an agent's actions do not depend on the others of its batch",
    "mask-meaning": "a mask of 1 allows, one of 0 forbids, in the order of the branches",
}
"""Every rule: its name and what it asks for."""

Level = Literal["error", "note"]


@dataclass(frozen=True)
class Finding:
    """A rule that a model breaks.

    Attributes:
        rule: its name; the README of this package explains each.
        message: Unity's own message, where the rule is Unity's.
        source: who finds fault: Unity itself, or only this check.
        level: an error stands against the model; a note does not.
    """

    rule: str
    message: str
    source: Literal["unity", "check"] = "check"
    level: Level = "error"


@dataclass(frozen=True)
class Report:
    """What a check found.

    Attributes:
        path: the file.
        summary: what the model observes and does, in the command line's syntax.
        findings: Unity's first, in its order.
        left_out: why rules that run the model were not applied; empty if they were.
    """

    path: str
    summary: str
    findings: list[Finding] = field(default_factory=list)
    left_out: str = ""

    @property
    def errors(self) -> list[Finding]:
        """The findings that stand against the model."""
        return [finding for finding in self.findings if finding.level == "error"]

    @property
    def accepted(self) -> bool:
        """Whether Unity can use the model."""
        return not self.errors
