"""No illegal action in a million masked decisions of DQN, acting and exported: `nox -s bench -- legality`.

Every row is a kind of policy. Time and again it gets a new network with random weights, then agents with random
observations and random masks over four branches, of which many leave a single action legal. What is counted:

* acting: decisions of the policy as it explores in training, and those of them that the mask forbids.
* exported: the same decisions by the model for Unity, in onnxruntime.
* largest score: how large the networks' scores became; masks hold for scores well below 1e8 (`greedy_actions`).
* without masks: share of the exported model's decisions that would be illegal, were it told that everything is legal.

A decision is one agent's choice in all four branches. The exit code is 1 if any is illegal.
"""

import argparse
import contextlib
import io
import logging
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from mlagents.plugins.trainer_type import register_trainer_plugins
from mlagents.torch_utils import torch
from mlagents.trainers.behavior_id_utils import BehaviorIdentifiers
from mlagents.trainers.settings import TrainerSettings
from mlagents_envs.base_env import (
    ActionSpec,
    BehaviorSpec,
    DecisionSteps,
    DimensionProperty,
    ObservationSpec,
    ObservationType,
)

from mlagents_plugin_dqn.trainer import DQNTrainer
from mlagents_plugin_shared.testing import illegal_choices, masked_decisions, model_inputs

SENSOR = ObservationSpec((8,), (DimensionProperty.NONE,), ObservationType.DEFAULT, "vector")
SPEC = BehaviorSpec([SENSOR], ActionSpec(0, (3, 3, 3, 2)))
BEHAVIOR = BehaviorIdentifiers.from_name_behavior_id("Toy?team=0")
MEMORY_SIZE = 8
AGENTS = 5000
SCALES = (1.0, 1e3, 1e6)
"""Sizes of the observations, and by them of the scores, in turns."""

CONSTANT = {"exploration_schedule": "constant"}
RETURNS = {"v_min": -1e6, "v_max": 1e6}
POLICIES: dict[str, dict[str, Any]] = {
    "greedy": {**CONSTANT, "exploration_initial_eps": 0.0},
    "epsilon 0.5": {**CONSTANT, "exploration_initial_eps": 0.5},
    "epsilon 1": {**CONSTANT, "exploration_initial_eps": 1.0},
    "ladder": {"exploration": "ladder"},
    "noisy": {"noisy": True},
    "categorical": {"distribution": "categorical", **RETURNS},
    "quantile": {"distribution": "quantile"},
    "rainbow": {"preset": "rainbow", **RETURNS},
    "btr": {"preset": "btr"},
    "memory": {"memory": True},
}
COLUMNS = "{:<12}{:>10}{:>9}{:>10}{:>9}{:>15}{:>15}"


@dataclass
class Count:
    """What one kind of policy did."""

    acting: int = 0
    acting_illegal: int = 0
    exported: int = 0
    exported_illegal: int = 0
    unmasked_illegal: int = 0
    largest: float = 0.0


def trainer(seed: int, *, memory: bool = False, **hyperparameters: Any) -> DQNTrainer:
    """A trainer whose policy has random weights."""
    register_trainer_plugins()
    network: dict[str, Any] = {"hidden_units": 32, "num_layers": 2}
    if memory:
        network["memory"] = {"memory_size": MEMORY_SIZE, "sequence_length": 4}
    config = {
        "trainer_type": "dqn",
        "hyperparameters": {"buffer_size": 1000, **hyperparameters},
        "network_settings": network,
    }
    torch.manual_seed(seed)
    result = DQNTrainer(
        "Toy", 1, TrainerSettings.structure(config, TrainerSettings), True, False, seed, tempfile.mkdtemp()
    )
    result.add_policy(BEHAVIOR, result.create_policy(BEHAVIOR, SPEC))
    for name, weight in result.policy.actor.named_parameters():
        torch.nn.init.normal_(weight, std=weight.shape[-1] ** -0.5 if "weight" in name else 1.0)
    if memory:  # whatever the observations, an LSTM's output is at most 1: its head makes the scores large
        with torch.no_grad():
            torch._foreach_mul_(list(result.policy.actor.head.parameters()), 1e6)
    return result


def model_of(dqn: DQNTrainer, folder: str) -> onnxruntime.InferenceSession:
    """The policy's model for Unity, in onnxruntime."""
    dqn.model_saver.exporter.export_policy_model(str(Path(folder) / "Toy"))
    return onnxruntime.InferenceSession(Path(folder) / "Toy.onnx", providers=["CPUExecutionProvider"])


def count_round(dqn: DQNTrainer, steps: list[DecisionSteps], count: Count) -> None:
    """Lets a policy and its model decide."""
    agents = [str(i) for i in range(AGENTS)]
    with tempfile.TemporaryDirectory() as folder:
        model = model_of(dqn, folder)
        for decisions in steps:
            run_out = dqn.policy.evaluate(decisions, agents)
            count.acting += AGENTS
            count.acting_illegal += illegal_choices(decisions, run_out["action"].discrete)
            count.largest = max(count.largest, largest_score(dqn, decisions))

            inputs = model_inputs(decisions)
            if dqn.policy.use_recurrent:
                inputs["recurrent_in"] = dqn.policy.retrieve_memories(agents)[:, None]
                dqn.policy.save_memories(agents, run_out["memory_out"])
            found = model.run(["discrete_actions", "deterministic_discrete_actions"], inputs)
            count.exported += AGENTS
            count.exported_illegal += max(illegal_choices(decisions, actions) for actions in found)

            inputs["action_masks"] = np.ones_like(inputs["action_masks"])
            unmasked = model.run(["discrete_actions"], inputs)[0]
            pairs = zip(decisions.action_mask, unmasked.T, strict=True)
            broken = [mask[np.arange(AGENTS), chosen] for mask, chosen in pairs]
            count.unmasked_illegal += int(np.any(broken, axis=0).sum())


@torch.no_grad()
def largest_score(dqn: DQNTrainer, decisions: DecisionSteps) -> float:
    """Largest score, in size, of a tenth of the decisions."""
    memories = torch.zeros(1, AGENTS // 10, dqn.policy.m_size)
    scores, _ = dqn.policy.actor.scores([torch.as_tensor(o[: AGENTS // 10]) for o in decisions.obs], memories)
    return float(scores.abs().max())


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="Illegal actions of DQN under random masks.")
    parser.add_argument("--decisions", type=int, default=1_000_000, help="decisions acting, and as many exported")
    options = parser.parse_args()
    logging.disable(logging.INFO)
    # As many rounds for every kind of policy as it takes; a round is a network with each scale of observations.
    rounds = -(-options.decisions // (len(POLICIES) * len(SCALES) * AGENTS))
    rng = np.random.default_rng(0)
    total = Count()
    print(COLUMNS.format("policy", "acting", "illegal", "exported", "illegal", "largest score", "without masks"))
    for name, hyperparameters in POLICIES.items():
        count = Count()
        for seed in range(rounds):
            with contextlib.redirect_stdout(io.StringIO()):
                dqn = trainer(seed, **hyperparameters)
            count_round(dqn, [masked_decisions(SPEC, AGENTS, rng, scale=scale) for scale in SCALES], count)
        print_row(name, count)
        add(total, count)
    print_row("all", total)
    sys.exit(total.acting_illegal + total.exported_illegal > 0)


def add(total: Count, count: Count) -> None:
    """Adds a kind of policy to the sum."""
    for name, value in vars(count).items():
        before = getattr(total, name)
        setattr(total, name, max(before, value) if name == "largest" else before + value)


def print_row(name: str, count: Count) -> None:
    """One line of the table."""
    share = f"{count.unmasked_illegal / count.exported:.2f}"
    counts = (count.acting, count.acting_illegal, count.exported, count.exported_illegal)
    print(COLUMNS.format(name, *counts, f"{count.largest:.3g}", share), flush=True)


if __name__ == "__main__":
    main()
