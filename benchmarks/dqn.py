"""Updates of DQN against ML-Agents' SAC and against a bare torch loop: `nox -s bench -- dqn`.

Each takes turns in one process, at the same batch and network: trust the ratios more than the times. An update runs
from the draw of a batch to the optimizer's step. SAC learns from its AgentBuffer, ours from its replay; the bare loop
does the mathematics of masked, double, dueling, 3-step DQN on a batch of tensors that is there already.

`--set distribution=quantile prioritized_replay=true` measures another DQN; the loop stays as it is.
"""

import argparse
import copy
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import yaml
from _timing import medians
from mlagents.plugins.trainer_type import register_trainer_plugins
from mlagents.torch_utils import torch
from mlagents.trainers.behavior_id_utils import BehaviorIdentifiers
from mlagents.trainers.buffer import RewardSignalUtil
from mlagents.trainers.sac.trainer import SACTrainer
from mlagents.trainers.settings import TrainerSettings
from mlagents.trainers.torch_entities.action_log_probs import LogProbsTuple
from mlagents.trainers.trajectory import AgentExperience, Trajectory
from mlagents_envs.base_env import (
    ActionSpec,
    ActionTuple,
    BehaviorSpec,
    DimensionProperty,
    ObservationSpec,
    ObservationType,
)

from mlagents_plugin_dqn.trainer import DQNTrainer
from mlagents_plugin_shared.data.trajectories import trajectory_to_segment

ACTIONS = 4
HORIZON = 64
BEHAVIOR = BehaviorIdentifiers.from_name_behavior_id("Toy?team=0")
KINDS = {"dqn": DQNTrainer, "sac": SACTrainer}


def behavior_spec(floats: int) -> BehaviorSpec:
    """A vector and one branch."""
    sensor = ObservationSpec((floats,), (DimensionProperty.NONE,), ObservationType.DEFAULT, "vector")
    return BehaviorSpec([sensor], ActionSpec(0, (ACTIONS,)))


def trainer(kind: str, floats: int, batch_size: int, capacity: int, hyperparameters: dict[str, Any]) -> Any:
    """A trainer with two layers of 128."""
    register_trainer_plugins()
    config = {
        "trainer_type": kind,
        "hyperparameters": {"batch_size": batch_size, "buffer_size": capacity, **hyperparameters},
        "network_settings": {"hidden_units": 128, "num_layers": 2},
    }
    result = KINDS[kind](
        "Toy", 1, TrainerSettings.structure(config, TrainerSettings), True, False, 0, tempfile.mkdtemp()
    )
    result.add_policy(BEHAVIOR, result.create_policy(BEHAVIOR, behavior_spec(floats)))
    return result


def trajectory(floats: int, seed: int) -> Trajectory:
    """Random steps of an agent."""
    rng = np.random.default_rng(seed)
    observations = [[rng.random(floats, dtype=np.float32)] for _ in range(HORIZON + 1)]
    steps = [
        AgentExperience(
            obs=observations[t],
            reward=np.float32(rng.normal()),
            done=t == HORIZON - 1,
            action=ActionTuple(np.zeros((0,), np.float32), rng.integers(ACTIONS, size=1, dtype=np.int32)),
            action_probs=LogProbsTuple.empty_log_probs(),
            action_mask=[np.zeros(ACTIONS, bool)],
            prev_action=rng.integers(ACTIONS, size=1, dtype=np.int32),
            interrupted=False,
            memory=None,
            group_status=[],
            group_reward=0.0,
        )
        for t in range(HORIZON)
    ]
    return Trajectory(steps, observations[HORIZON], [], f"agent_0-{seed}", "Toy?team=0")


def bare_loop(dqn: DQNTrainer, batch_size: int, floats: int) -> Callable[[], None]:
    """An update of the same network on tensors that are in memory."""
    body = dqn.policy.actor.network_body._body_endoder.seq_layers

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = copy.deepcopy(body)
            self.value, self.advantage = torch.nn.Linear(128, 1), torch.nn.Linear(128, ACTIONS)

        def forward(self, observation: torch.Tensor) -> torch.Tensor:
            encoding = self.body(observation)
            advantage = self.advantage(encoding)
            return self.value(encoding) + advantage - advantage.mean(dim=1, keepdim=True)

    online = Network()
    target = copy.deepcopy(online)
    optimizer = torch.optim.Adam(online.parameters(), lr=3e-4, eps=1e-5, foreach=True)
    s_tm1, s_t = torch.rand(2, batch_size, floats)
    action = torch.randint(ACTIONS, (batch_size, 1))
    reward, discount = torch.rand(2, batch_size)
    legal = torch.ones(batch_size, ACTIONS)

    def update() -> None:
        with torch.no_grad():
            best = (online(s_t) + (legal * 1e8 - 1e8)).argmax(dim=1, keepdim=True)
            wanted = reward + discount * target(s_t).gather(1, best).squeeze(1)
        q = online(s_tm1).gather(1, action).squeeze(1)
        loss = torch.nn.functional.smooth_l1_loss(q, wanted)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(online.parameters(), 10.0)
        optimizer.step()
        optimizer.zero_grad()

    return update


def updates_of_sac(sac: SACTrainer, batch_size: int) -> Callable[[], None]:
    """What SACTrainer does for each update."""

    def update() -> None:
        batch = sac.update_buffer.sample_mini_batch(batch_size)
        for name, signal in sac.optimizer.reward_signals.items():
            batch[RewardSignalUtil.rewards_key(name)] = signal.evaluate(batch) * signal.strength
        sac.optimizer.update(batch, batch_size)

    return update


def updates_of_ours(dqn: DQNTrainer) -> Callable[[], None]:
    """What the trainer does for each update that is due."""

    def update() -> None:
        dqn._updates_due = 1.0
        dqn._update_policy()

    return update


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="Updates of DQN against SAC and a bare torch loop.")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--floats", type=int, nargs="+", default=[8, 64], help="sizes of the observation")
    parser.add_argument("--capacity", type=int, default=50_000, help="transitions in the replay")
    parser.add_argument("--repeats", type=int, default=300)
    parser.add_argument("--set", dest="changes", nargs="+", default=[], metavar="KEY=VALUE", help="hyperparameters")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    changes = {key: yaml.safe_load(value) for key, _, value in (change.partition("=") for change in arguments.changes)}
    print(f"{'us an update':<32}{'SAC':>10}{'bare loop':>12}{'ours':>10}{'x SAC':>9}{'x loop':>9}")
    for floats in arguments.floats:
        size, capacity = arguments.batch_size, arguments.capacity
        ours, sac = trainer("dqn", floats, size, capacity, changes), trainer("sac", floats, size, capacity, {})
        for seed in range(capacity // HORIZON):
            fake = trajectory(floats, seed)
            fake.to_agentbuffer().resequence_and_append(sac.update_buffer, training_length=1)
            ours.update_buffer.add(trajectory_to_segment(fake, ActionSpec(0, (ACTIONS,))))
        calls = {
            "sac": updates_of_sac(sac, size),
            "loop": bare_loop(ours, size, floats),
            "ours": updates_of_ours(ours),
        }
        times = medians(calls, arguments.repeats)
        ratios = f"{times['sac'] / times['ours']:>8.2f}x{times['ours'] / times['loop']:>8.2f}x"
        name = f"batch {size}, {floats} floats, 2 x 128"
        print(f"{name:<32}{times['sac']:>10.0f}{times['loop']:>12.0f}{times['ours']:>10.0f}{ratios}", flush=True)


if __name__ == "__main__":
    main()
