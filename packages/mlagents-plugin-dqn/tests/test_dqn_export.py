"""The exported model against the policy."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from mlagents.torch_utils import torch
from mlagents_envs.base_env import ActionSpec, BehaviorSpec

from dqn_testing import MEMORY, behavior_spec, decision_steps, random_legal, trainer
from mlagents_onnx_check import Behavior, check_model
from mlagents_plugin_dqn.settings import Distribution
from mlagents_plugin_shared.learning.networks import update_normalization
from mlagents_plugin_shared.testing import SENSORS, ExportedModel, masked_decisions


def exported(dqn, folder: Path) -> onnxruntime.InferenceSession:
    """The policy's model in onnxruntime."""
    path = folder / "Toy-0"
    dqn.model_saver.exporter.export_policy_model(str(path))
    onnx.checker.check_model(onnx.load(f"{path}.onnx"), full_check=True)
    return onnxruntime.InferenceSession(f"{path}.onnx", providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("shapes", [((4,),), ((4,), (3, 20, 20))])
def test_exported_model_chooses_what_the_policy_chooses(tmp_path: Path, shapes) -> None:
    """1,000 random observations and masks, several branches: both outputs are the greedy legal actions."""
    dqn = trainer(behavior_spec((3, 3, 2), shapes), exploration_schedule="constant", exploration_initial_eps=0.0)
    model = exported(dqn, tmp_path)
    legal = random_legal(1000, (3, 3, 2))
    steps = decision_steps(dqn.policy.behavior_spec, 1000, legal)
    feed = {f"obs_{i}": observation for i, observation in enumerate(steps.obs)}
    feed["action_masks"] = legal.astype(np.float32)
    outputs = model.run(["discrete_actions", "deterministic_discrete_actions"], feed)
    expected = dqn.policy.get_action(steps).env_action.discrete
    for actions in outputs:
        np.testing.assert_array_equal(actions, expected)


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


def test_exported_model_carries_memory(tmp_path: Path) -> None:
    """recurrent_in and recurrent_out are the policy's own memories."""
    dqn = trainer(settings=MEMORY, exploration_schedule="constant", exploration_initial_eps=0.0)
    model = exported(dqn, tmp_path)
    steps = decision_steps(dqn.policy.behavior_spec, 5)
    memories = np.random.default_rng(1).normal(size=(5, 8)).astype(np.float32)
    ids = [str(i) for i in range(5)]
    dqn.policy.save_memories(ids, memories)
    feed = {
        "obs_0": steps.obs[0],
        "action_masks": np.ones((5, 5), np.float32),
        "recurrent_in": memories[:, None],
    }
    actions, recurrent_out, size = model.run(["discrete_actions", "recurrent_out", "memory_size"], feed)
    run_out = dqn.policy.evaluate(steps, ids)
    np.testing.assert_array_equal(actions, run_out["action"].discrete)
    np.testing.assert_allclose(recurrent_out[:, 0], run_out["memory_out"], atol=1e-5)
    assert size == [8.0]


@pytest.mark.parametrize("memory", [False, True], ids=["no-memory", "memory"])
@pytest.mark.parametrize("sensors", SENSORS)
def test_exported_model_follows_the_policy_through_an_episode(tmp_path: Path, sensors: str, memory: bool) -> None:
    """100 agents, 5 steps under random masks, each with its own memory; normalised; the policy explores, not they."""
    network = {"hidden_units": 16, "normalize": True, **(MEMORY["network_settings"] if memory else {})}
    spec = BehaviorSpec(SENSORS[sensors], ActionSpec(0, (3, 3, 2)))
    dqn, greedy = (
        trainer(spec, settings={"network_settings": {**network, "deterministic": deterministic}})
        for deterministic in (False, True)
    )
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in dqn.policy.actor.parameters():
            weight.add_(torch.randn_like(weight) * weight.std(unbiased=False).clamp(min=0.1))
    seen = masked_decisions(spec, 50, np.random.default_rng(9), scale=2.0)
    update_normalization(dqn.policy.actor.network_body, [rows + 1.0 for rows in seen.obs])
    greedy.policy.load_weights(dqn.policy.get_weights())
    exported(dqn, tmp_path)
    model, rng = ExportedModel(tmp_path / "Toy-0.onnx"), np.random.default_rng(0)
    report = check_model(tmp_path / "Toy-0.onnx", Behavior.of(spec), deterministic=True)
    assert report.findings == []
    explored = 0
    for _ in range(5):
        steps = masked_decisions(spec, 100, rng)
        taken, found = greedy.policy.get_action(steps), model.act(steps)
        for name in ("discrete_actions", "deterministic_discrete_actions"):
            np.testing.assert_array_equal(found[name], taken.env_action.discrete)
        if memory:
            np.testing.assert_allclose(found["recurrent_out"][:, 0], taken.outputs["memory_out"], rtol=0, atol=1e-5)
        explored += (dqn.policy.get_action(steps).env_action.discrete != taken.env_action.discrete).sum()
    assert explored > 100
