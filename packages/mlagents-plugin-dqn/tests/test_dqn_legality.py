"""No illegal action in 20,000 masked decisions, acting and exported; the benchmark `legality` makes a million each."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from mlagents.torch_utils import torch

from dqn_testing import behavior_spec, trainer
from mlagents_plugin_shared.testing import illegal_choices, masked_decisions, model_inputs

DECISIONS = 20_000
POLICIES = {
    "greedy": {"exploration_schedule": "constant", "exploration_initial_eps": 0.0},
    "epsilon": {"exploration_schedule": "constant", "exploration_initial_eps": 0.5},
    "ladder": {"exploration": "ladder"},
    "repeat": {"exploration_repeat": 16, "exploration_initial_eps": 0.5},
    "noisy": {"noisy": True},
    "rainbow": {"preset": "rainbow", "v_min": -1e6, "v_max": 1e6},
    "btr": {"preset": "btr"},
}


@pytest.mark.parametrize("name", POLICIES)
def test_no_action_is_illegal(tmp_path: Path, name: str) -> None:
    """Four branches, random masks down to a single action, random networks whose scores reach a million."""
    spec = behavior_spec((3, 3, 3, 2))
    dqn = trainer(spec, **POLICIES[name])
    torch.manual_seed(0)
    for weight in dqn.policy.actor.parameters():
        torch.nn.init.normal_(weight)
    steps = masked_decisions(spec, DECISIONS, np.random.default_rng(0), scale=1e5)
    scores, _ = dqn.policy.actor.scores([torch.as_tensor(steps.obs[0])])
    assert scores.abs().max() > 9e5
    agents = [str(i) for i in range(DECISIONS)]
    assert illegal_choices(steps, dqn.policy.evaluate(steps, agents)["action"].discrete) == 0

    dqn.model_saver.exporter.export_policy_model(str(tmp_path / "Toy"))
    model = onnxruntime.InferenceSession(tmp_path / "Toy.onnx", providers=["CPUExecutionProvider"])
    inputs = model_inputs(steps)
    for actions in model.run(["discrete_actions", "deterministic_discrete_actions"], inputs):
        assert illegal_choices(steps, actions) == 0
    # The control: told that all actions are legal, the same model breaks the masks.
    unmasked = {**inputs, "action_masks": np.ones_like(inputs["action_masks"])}
    assert illegal_choices(steps, model.run(["discrete_actions"], unmasked)[0]) > DECISIONS / 2
