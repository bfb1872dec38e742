"""Exported models beside the policies that they came from: sensors of every kind, and a model that acts as Unity's."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from mlagents_envs.base_env import DecisionSteps, DimensionProperty, ObservationSpec, ObservationType

from mlagents_plugin_shared.testing.decisions import model_inputs

_FIXED, _SHIFTED, _OPEN = (
    DimensionProperty.NONE,
    DimensionProperty.TRANSLATIONAL_EQUIVARIANCE,
    DimensionProperty.VARIABLE_SIZE,
)
_VECTOR = ObservationSpec((6,), (_FIXED,), ObservationType.DEFAULT, "vector")
_PICTURE = ObservationSpec((3, 20, 24), (_FIXED, _SHIFTED, _SHIFTED), ObservationType.DEFAULT, "picture")
_ENTITIES = ObservationSpec((5, 4), (_OPEN, _FIXED), ObservationType.DEFAULT, "entities")
_GOAL = ObservationSpec((3,), (_FIXED,), ObservationType.GOAL_SIGNAL, "goal")

SENSORS: dict[str, list[ObservationSpec]] = {
    "vector": [_VECTOR],
    "several": [_VECTOR._replace(shape=(2,), name="first"), _VECTOR],
    "picture": [_PICTURE],
    "entities": [_ENTITIES, _VECTOR],
    "goal": [_VECTOR, _GOAL],
    "everything": [_ENTITIES, _GOAL, _PICTURE, _VECTOR],
}
"""Observations that a behaviour may have, by name: each kind that ML-Agents' networks read, and all together."""


class ExportedModel:
    """A model in onnxruntime that, as Unity, keeps the memory of each agent.

    Args:
        path: an .onnx file.
        seed: of what is drawn inside the model.
    """

    def __init__(self, path: str | Path, seed: int = 0) -> None:
        import onnxruntime  # tests have it; who only trains need not

        onnxruntime.set_seed(seed)
        self._session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        self._inputs = {value.name: value.shape for value in self._session.get_inputs()}
        self._memories: np.ndarray | None = None

    def act(self, steps: DecisionSteps) -> dict[str, np.ndarray]:
        """Lets the same B agents act once more.

        Args:
            steps: their decisions.

        Returns:
            The model's outputs by name.
        """
        feed = model_inputs(steps)
        if "recurrent_in" in self._inputs:
            size = self._inputs["recurrent_in"][-1]
            nothing = np.zeros((len(steps), 1, size), np.float32)
            feed["recurrent_in"] = nothing if self._memories is None else self._memories
        outputs = self.run(feed)
        self._memories = outputs.get("recurrent_out")
        return outputs

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Runs the model once.

        Args:
            inputs: by name; what the model does not read is left out.

        Returns:
            The model's outputs by name.
        """
        names = [value.name for value in self._session.get_outputs()]
        return dict(zip(names, self._session.run(names, {name: inputs[name] for name in self._inputs}), strict=True))
