"""The exported model against the policy: what is greedy is the same, what is drawn has the same distribution."""

from pathlib import Path

import numpy as np
import pytest
from mlagents.torch_utils import torch
from mlagents_envs.base_env import DecisionSteps

from a2c_testing import ACTIONS, MEMORY, trainer
from mlagents_onnx_check import Behavior, check_model
from mlagents_plugin_a2c.trainer import A2CTrainer
from mlagents_plugin_shared.learning.networks import update_normalization
from mlagents_plugin_shared.testing import SENSORS, ExportedModel, masked_decisions

STEPS, AGENTS, DRAWS = 5, 100, 2000
DISTANCE = 2.2 * np.sqrt(2 / DRAWS)
"""Kolmogorov-Smirnov distance that two samples of one distribution exceed once in 8,000 times, about."""


def unlike_its_first_weights(
    actions: str, sensors: str = "vector", *, deterministic: bool, memory: dict | None = None, **hyperparameters
) -> A2CTrainer:
    """A trainer whose policy has other weights than at first, and a normalisation that does something."""
    network = {
        "hidden_units": 16,
        "num_layers": 1,
        "memory": memory,
        "normalize": True,
        "deterministic": deterministic,
    }
    a2c = trainer(actions, sensors=SENSORS[sensors], settings={"network_settings": network}, **hyperparameters)
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in a2c.policy.actor.parameters():
            if weight.requires_grad:  # the others are what the model tells Unity
                noise = torch.randn(weight.shape, device="cpu").to(weight)  # on a GPU the same
                weight.add_(noise * weight.std(unbiased=False).clamp(min=0.1))
        for weight in a2c.policy.actor.action_model.parameters():
            weight.mul_(5.0)  # at first, actions hardly depend on what is observed
    seen = masked_decisions(a2c.policy.behavior_spec, 50, np.random.default_rng(9), scale=2.0)
    update_normalization(a2c.policy.actor.network_body, [rows + 1.0 for rows in seen.obs])
    return a2c


def exported(a2c: A2CTrainer, folder: Path) -> ExportedModel:
    """The policy's model, which Unity would accept."""
    a2c.model_saver.exporter.export_policy_model(str(folder / "Toy"))
    report = check_model(folder / "Toy.onnx", Behavior.of(a2c.policy.behavior_spec), deterministic=True)
    assert report.findings == []
    return ExportedModel(folder / "Toy.onnx")


def one_decision(a2c: A2CTrainer) -> DecisionSteps:
    """The same random decision for as many agents as are to draw, with nothing masked."""
    spec = a2c.policy.behavior_spec
    one = masked_decisions(spec, 1, np.random.default_rng(0))
    rows = [np.repeat(each, DRAWS, axis=0) for each in one.obs]
    masks = [np.zeros((DRAWS, size), bool) for size in spec.action_spec.discrete_branches]
    none = np.zeros(DRAWS, np.float32)
    return DecisionSteps(rows, none, np.arange(DRAWS), masks or None, np.zeros(DRAWS, np.int32), none)


def distance(first: np.ndarray, second: np.ndarray) -> float:
    """Greatest difference of the two empirical distribution functions."""
    points = np.concatenate([first, second])
    shares = [np.searchsorted(np.sort(each), points, side="right") / len(each) for each in (first, second)]
    return float(np.abs(shares[0] - shares[1]).max())


def distances(found: dict[str, np.ndarray], taken) -> list[float]:
    """Distance of the model's draws from the policy's, action by action; joint choices count as one action."""
    columns: list[tuple[np.ndarray, ...]] = []
    if "continuous_actions" in found:
        columns += zip(found["continuous_actions"].T, taken.continuous.T, strict=True)
    if "discrete_actions" in found:
        columns.append((found["discrete_actions"] @ [2, 1], taken.discrete @ [2, 1]))
    return [distance(*pair) for pair in columns]


@pytest.mark.parametrize("memory", [None, MEMORY], ids=["no-memory", "memory"])
@pytest.mark.parametrize(
    ("actions", "sensors", "hyperparameters"),
    [
        *[(actions, "vector", {}) for actions in ACTIONS],
        ("hybrid", "everything", {}),
        ("continuous", "vector", {"tanh_squash": True, "conditional_sigma": True}),
        ("hybrid", "vector", {"use_sde": True}),
    ],
)
def test_exported_model_draws_from_the_distribution_of_the_policy(
    tmp_path: Path, actions: str, sensors: str, hyperparameters: dict, memory: dict | None
) -> None:
    """2,000 draws of each for one decision; the control, a policy that prefers other actions, exceeds the bound."""
    a2c = unlike_its_first_weights(actions, sensors, deterministic=False, memory=memory, **hyperparameters)
    model = exported(a2c, tmp_path)
    torch.manual_seed(1)
    taken = a2c.policy.get_action(one_decision(a2c)).env_action
    assert max(distances(model.act(one_decision(a2c)), taken)) < DISTANCE
    with torch.no_grad():
        for weight in a2c.policy.actor.action_model.parameters():
            if weight.dim() == 1:
                weight.add_(torch.linspace(0.0, 2.0, len(weight)))
    control = exported(a2c, tmp_path).act(one_decision(a2c))
    assert max(distances(control, taken)) > 2 * DISTANCE


def test_draws_keep_to_the_masks(tmp_path: Path) -> None:
    """What is masked is never drawn, and each agent draws for itself."""
    a2c = unlike_its_first_weights("discrete", deterministic=False)
    model = exported(a2c, tmp_path)
    decisions = one_decision(a2c)
    decisions.action_mask[0][:, 1] = True
    drawn = model.act(decisions)["discrete_actions"]
    assert set(drawn[:, 0]) == {0, 2}
    assert set(drawn[:, 1]) == {0, 1}
