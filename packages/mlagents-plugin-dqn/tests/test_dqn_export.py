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
    found = model.run(None, {"obs_0": steps.obs[0], "action_masks": legal.astype(np.float32)})[4]
    np.testing.assert_array_equal(found, dqn.policy.get_action(steps).env_action.discrete)


DRAWS = 10_000
"""Of which a share s is off by at most 5 deviations of √(s (1 - s) / 10,000), 0.025 for any."""


def draw(model: onnxruntime.InferenceSession, mask: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """[DRAWS, D] actions that a model draws in one state, and the greedy ones."""
    feed = {"obs_0": np.ones((DRAWS, 4), np.float32), "action_masks": np.tile(np.float32(mask), (DRAWS, 1))}
    return tuple(model.run(["discrete_actions", "deterministic_discrete_actions"], feed))


@pytest.mark.parametrize("mask", [[1, 1, 1, 1, 1], [1, 0, 1, 1, 1], [1, 1, 1, 0, 1], [0, 1, 0, 1, 0]])
def test_model_draws_as_the_policy_explores(tmp_path: Path, mask: list[int]) -> None:
    """Each joint action as often as the policy takes it: 1 - ε + ε/n the greedy one of n legal ones, ε/n the others."""
    epsilon = 0.4
    dqn = trainer(exploration_schedule="constant", exploration_initial_eps=epsilon, export_epsilon=epsilon)
    drawn, greedy = draw(exported(dqn, tmp_path), mask)
    steps = decision_steps(dqn.policy.behavior_spec, DRAWS, np.tile(np.array(mask, bool), (DRAWS, 1)))
    steps.obs[0][:] = 1.0
    taken = dqn.policy.get_action(steps).env_action.discrete
    legal = [(a, b) for a in range(3) for b in range(2) if mask[a] and mask[3 + b]]
    for action in legal:
        share = epsilon / len(legal) + (1 - epsilon) * (greedy[0] == action).all()
        for chosen in (drawn, taken):
            assert (chosen == action).all(axis=1).mean() == pytest.approx(share, abs=0.025)
    assert {*map(tuple, drawn.tolist())} == set(legal)
    assert len({*map(tuple, greedy.tolist())}) == 1


@pytest.mark.parametrize(
    ("options", "share"),
    [
        ({}, 0.05),
        ({"exploration_final_eps": 0.02}, 0.02),
        ({"exploration_final_eps": 0.0}, 0.0),
        ({"exploration_final_eps": 0.3}, 0.05),
        ({"exploration_schedule": "constant", "exploration_initial_eps": 0.03}, 0.03),
        ({"exploration_schedule": "constant"}, 0.05),
        ({"exploration": "ladder"}, 0.05),
        ({"noisy": True}, 0.0),
        ({"noisy": True, "export_epsilon": 0.5}, 0.5),
        ({"export_epsilon": 0.0}, 0.0),
        ({"export_epsilon": 1.0}, 1.0),
    ],
)
def test_model_is_as_random_as_the_end_of_training(tmp_path: Path, options: dict, share: float) -> None:
    """At most 0.05 unless `export_epsilon` says so; of the random actions 5 of 6 are not the greedy one."""
    drawn, greedy = draw(exported(trainer(**options), tmp_path), [1] * 5)
    other = (drawn != greedy).any(axis=1).mean()
    assert other == pytest.approx(share * 5 / 6, abs=0.025)
    assert (other == 0) == (share == 0)


def test_model_without_a_legal_action_draws_from_all(tmp_path: Path) -> None:
    """As Unity runs a model on zeros at first."""
    drawn, _ = draw(exported(trainer(export_epsilon=1.0), tmp_path), [0] * 5)
    assert len({*map(tuple, drawn.tolist())}) == 6


def test_model_draws_by_what_ml_agents_own_models_draw_by(tmp_path: Path) -> None:
    """`Multinomial` is the only source of chance, as Unity has it; greedy models have none."""
    for epsilon, count in ((0.1, 3), (0.0, 0)):
        exported(trainer(export_epsilon=epsilon), tmp_path)
        operators = [node.op_type for node in onnx.load(tmp_path / "Toy-0.onnx").graph.node]
        assert operators.count("Multinomial") == count
        assert not any(name.startswith("Random") for name in operators)


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
