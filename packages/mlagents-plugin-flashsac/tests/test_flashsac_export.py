"""Exported models of trained policies: batch statistics and normalisation are frozen into the graph."""

from pathlib import Path

import numpy as np
import pytest
from mlagents.torch_utils import torch

from flashsac_testing import CONTINUOUS, HYBRID, KINDS, PRESETS, behavior_spec, filled
from mlagents_plugin_shared.learning.networks import update_normalization
from mlagents_plugin_shared.testing import ExportedModel, masked_decisions, model_inputs

NORMALIZED = {"network_settings": {"hidden_units": 16, "num_layers": 2, "normalize": True}}


def trained(actions, updates: int = 30, **options):
    """A trainer whose statistics have moved away from where they began."""
    made = filled(actions, actor_update_interval=1, settings=NORMALIZED, **options)
    rng = np.random.default_rng(0)
    for body in made.optimizer.network_bodies:
        update_normalization(body, [3.0 * rng.normal(size=(100, 4)).astype(np.float32) + 1.0])
    for _ in range(updates):
        made.optimizer.update(made.sample(), 8)
    return made


def exported(made, folder: Path) -> ExportedModel:
    """The policy's model, which Unity would accept."""
    exporter = made.model_saver.exporter
    exporter.export_policy_model(str(folder / "Toy"))
    assert exporter.check(folder / "Toy.onnx").findings == []
    return ExportedModel(folder / "Toy.onnx")


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("kind", KINDS)
def test_model_of_a_trained_policy_acts_as_it_does(tmp_path: Path, kind: str, preset: str) -> None:
    """Deterministic outputs are tanh of the mean and the likeliest legal action, to 1e-5."""
    made = trained(KINDS[kind], preset=preset)
    model, policy = exported(made, tmp_path), made.policy
    steps = masked_decisions(policy.behavior_spec, 200, np.random.default_rng(1))
    policy.explores = False
    taken, found = policy.get_action(steps).env_action, model.run(model_inputs(steps))
    if KINDS[kind].continuous_size:
        np.testing.assert_allclose(found["deterministic_continuous_actions"], taken.continuous, rtol=0, atol=1e-5)
        assert np.abs(found["continuous_actions"]).max() <= 1.0
    if KINDS[kind].discrete_size:
        np.testing.assert_array_equal(found["deterministic_discrete_actions"], taken.discrete)


def test_statistics_of_batches_are_in_the_model(tmp_path: Path) -> None:
    """A model of the first statistics, the control, acts otherwise; exporting changes none of them."""
    made = trained(HYBRID)
    steps = masked_decisions(made.policy.behavior_spec, 200, np.random.default_rng(1))
    before = {name: value.clone() for name, value in made.policy.actor.named_buffers()}
    found = exported(made, tmp_path).run(model_inputs(steps))["deterministic_continuous_actions"]
    assert all(torch.equal(before[name], value) for name, value in made.policy.actor.named_buffers())
    for name, value in made.policy.actor.named_buffers():
        if name.endswith("running_mean"):
            value.zero_()
    other = exported(made, tmp_path).run(model_inputs(steps))["deterministic_continuous_actions"]
    assert np.abs(found - other).max() > 1e-3


def test_sampled_outputs_are_drawn_from_the_policy(tmp_path: Path) -> None:
    """In one state: shares of discrete actions are their probabilities, continuous ones spread by σ before tanh."""
    made = trained(HYBRID)
    steps = masked_decisions(behavior_spec(HYBRID), 20_000, np.random.default_rng(1))
    steps.obs[0][:] = steps.obs[0][:1]
    inputs = {**model_inputs(steps), "action_masks": np.ones((20_000, 5), np.float32)}
    found = exported(made, tmp_path).run(inputs)
    with torch.no_grad():
        encoding, _ = made.policy.actor.encode([torch.as_tensor(steps.obs[0][:1])])
        choice = made.policy.actor.choice(encoding, torch.ones(1, 5))
    shares = [(found["discrete_actions"][:, 0] == a).mean() for a in range(3)]
    np.testing.assert_allclose(shares, choice.log_policy.exp()[0, :3].cpu().numpy(), atol=0.02)
    u = np.arctanh(found["continuous_actions"].astype(np.float64).clip(-1 + 1e-7, 1 - 1e-7))
    np.testing.assert_allclose(np.median(u, axis=0), choice.mean[0].cpu().numpy(), atol=0.1)
    spread = choice.log_std.exp()[0].cpu().numpy()
    np.testing.assert_allclose(np.diff(np.quantile(u, [0.1587, 0.8413], axis=0), axis=0)[0] / 2, spread, rtol=0.05)


def test_actions_of_a_model_are_bounded(tmp_path: Path) -> None:
    """Far out tanh is 1 in PyTorch, and in onnxruntime now and then the number after it."""
    made = trained(CONTINUOUS)
    with torch.no_grad():
        made.policy.actor.action_model._continuous_distribution.log_sigma.bias.fill_(3.0)
        made.policy.actor.action_model._continuous_distribution.mu.bias.copy_(torch.tensor([4.0, -4.0]))
    steps = masked_decisions(behavior_spec(CONTINUOUS), 20_000, np.random.default_rng(1))
    found = exported(made, tmp_path).run(model_inputs(steps))
    for name in ("continuous_actions", "deterministic_continuous_actions"):
        assert 0.999 < np.abs(found[name]).max() <= 1.0
