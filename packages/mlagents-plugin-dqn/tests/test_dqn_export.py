"""The exported model against the policy."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from dqn_testing import behavior_spec, decision_steps, random_legal, trainer
from mlagents_plugin_dqn.settings import Distribution


def exported(dqn, folder: Path) -> onnxruntime.InferenceSession:
    """The policy's model in onnxruntime."""
    path = folder / "Toy-0"
    dqn.model_saver.exporter.export_policy_model(str(path))
    onnx.checker.check_model(onnx.load(f"{path}.onnx"), full_check=True)
    return onnxruntime.InferenceSession(f"{path}.onnx", providers=["CPUExecutionProvider"])


@pytest.mark.parametrize(
    "kind",
    [{"value_rescaling": True}, *({"distribution": each.value} for each in Distribution)],
    ids=lambda kind: str(next(iter(kind.values()))),
)
def test_exported_extensions_choose_what_the_policy_chooses(tmp_path: Path, kind: dict) -> None:
    """Noise is left out of the model and layers stay normalised: greedy actions of 1,000 states agree."""
    settings = {"network_settings": {"hidden_units": 16, "deterministic": True}}
    dqn = trainer(settings=settings, **kind, noisy=True, layer_norm=True, munchausen=True)
    model = exported(dqn, tmp_path)
    legal = random_legal(1000)
    steps = decision_steps(dqn.policy.behavior_spec, 1000, legal)
    found = model.run(None, {"obs_0": steps.obs[0], "action_masks": legal.astype(np.float32)})[2]
    np.testing.assert_array_equal(found, dqn.policy.get_action(steps).env_action.discrete)


def test_noise_is_not_exported(tmp_path: Path) -> None:
    """A policy that explores by noise exports a model that always chooses alike."""
    dqn = trainer(behavior_spec((9,)), noisy=True)
    model = exported(dqn, tmp_path)
    feed = {"obs_0": np.ones((1, 4), np.float32), "action_masks": np.ones((1, 9), np.float32)}
    assert len({int(model.run(["discrete_actions"], feed)[0].item()) for _ in range(20)}) == 1
    assert dqn.policy.actor.training


def test_exported_model_depends_on_the_mask(tmp_path: Path) -> None:
    """The control: with everything allowed the choices differ."""
    dqn = trainer(exploration_schedule="constant", exploration_initial_eps=0.0)
    model = exported(dqn, tmp_path)
    steps = decision_steps(dqn.policy.behavior_spec, 1000)
    masks = [random_legal(1000).astype(np.float32), np.ones((1000, 5), np.float32)]
    first, second = (model.run(["discrete_actions"], {"obs_0": steps.obs[0], "action_masks": m})[0] for m in masks)
    assert (first != second).any()


def test_exported_model_has_the_names_and_constants_that_unity_reads(tmp_path: Path) -> None:
    """float32 constants among the outputs, a dynamic batch axis, and a first run on zeros with all masks zero."""
    model = exported(trainer(), tmp_path)
    assert {i.name: i.shape for i in model.get_inputs()} == {
        "obs_0": ["batch", 4],
        "action_masks": ["batch", 5],
    }
    names = [output.name for output in model.get_outputs()]
    zeros = {"obs_0": np.zeros((1, 4), np.float32), "action_masks": np.zeros((1, 5), np.float32)}
    values = dict(zip(names, model.run(None, zeros), strict=True))
    for name, value in (
        ("version_number", [3.0]),
        ("memory_size", [0.0]),
        ("discrete_action_output_shape", [[3.0, 2.0]]),
    ):
        assert values[name].dtype == np.float32
        np.testing.assert_array_equal(values[name], value)
    assert values["discrete_actions"].shape == values["deterministic_discrete_actions"].shape == (1, 2)
