"""Every kind of observation and encoder that ML-Agents has: a training step, and a model that acts alike."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from mlagents.torch_utils import torch
from mlagents.trainers.settings import EncoderType
from mlagents_envs.base_env import BehaviorSpec

from dqn_testing import segment, trainer
from mlagents_plugin_shared.testing import Crowd, Goal, Picture, ToyEnv, masked_decisions, model_inputs

SMALLEST = {"fully_connected": 6, "match3": 5, "simple": 20, "nature_cnn": 36, "resnet": 15}
"""Least height and width of a picture for each visual encoder."""


def learn_and_compare(spec: BehaviorSpec, network: dict, folder: Path) -> None:
    """Takes updates that change all encoders, and compares 200 greedy choices with those of the exported model."""
    dqn = trainer(
        spec, settings={"network_settings": {"hidden_units": 8, "num_layers": 1, "deterministic": True, **network}}
    )
    dqn.update_buffer.add(segment(spec, 20, terminated=True))
    before = {name: weight.clone() for name, weight in dqn.policy.actor.network_body.named_parameters()}
    for _ in range(2):
        stats = dqn.optimizer.update(dqn.sample(), 8)
        assert all(np.isfinite(float(value)) for value in stats.values())
    stuck = [
        name for name, weight in dqn.policy.actor.network_body.named_parameters() if torch.equal(weight, before[name])
    ]
    assert not stuck

    dqn.model_saver.exporter.export_policy_model(str(folder / "Toy"))
    model = onnxruntime.InferenceSession(folder / "Toy.onnx", providers=["CPUExecutionProvider"])
    steps = masked_decisions(spec, 200, np.random.default_rng(0))
    found = model.run(["deterministic_discrete_actions"], model_inputs(steps))[0]
    np.testing.assert_array_equal(found, dqn.policy.get_action(steps).env_action.discrete)


@pytest.mark.parametrize("encoder", list(EncoderType))
def test_visual_encoder_learns_and_exports(tmp_path: Path, encoder: EncoderType) -> None:
    """All of ML-Agents' visual encoders, on the smallest picture that they take."""
    spec = Picture(size=SMALLEST[encoder.value]).behavior_specs["Toy?team=0"]
    learn_and_compare(spec, {"vis_encode_type": encoder.value}, tmp_path)


@pytest.mark.parametrize(
    ("env", "network"),
    [(Crowd(), {}), (Goal(), {"goal_conditioning_type": "hyper"}), (Goal(), {"goal_conditioning_type": "none"})],
    ids=["entities", "goal-hyper", "goal-none"],
)
def test_entities_and_goals_learn_and_export(tmp_path: Path, env: ToyEnv, network: dict) -> None:
    """Attention over entities, and a goal signal with and without its hyper network."""
    learn_and_compare(env.behavior_specs["Toy?team=0"], network, tmp_path)
