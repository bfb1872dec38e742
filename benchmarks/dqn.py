"""Updates of DQN against ML-Agents' SAC and against a bare torch loop: `nox -s bench -- dqn`.

Each takes turns in one process, at the same batch and network: trust the ratios more than the times. An update runs
from the draw of a batch to the optimizer's step. SAC learns from its AgentBuffer, ours from its replay; the bare loop
does the mathematics of masked, double, dueling, 3-step DQN on a batch of tensors that is there already.

`--set distribution=quantile prioritized_replay=true` measures another DQN; the loop stays as it is.
"""

import argparse
import copy
from collections.abc import Callable
from typing import Any

import yaml
from _timing import medians
from _updates import fill, trainer, updates_of_ours, updates_of_sac
from mlagents.torch_utils import torch
from mlagents_envs.base_env import ActionSpec

ACTIONS = 4


def bare_loop(dqn: Any, batch_size: int, floats: int) -> Callable[[], None]:
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
        size, actions = arguments.batch_size, ActionSpec(0, (ACTIONS,))
        common = {"batch_size": size, "buffer_size": arguments.capacity}
        ours = trainer("dqn", floats, actions, 128, {**common, **changes})
        sac = trainer("sac", floats, actions, 128, common)
        fill([ours, sac], floats, actions, arguments.capacity)
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
