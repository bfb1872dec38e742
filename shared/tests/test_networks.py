"""The branching Q head, target networks and normalisation of observations."""

import numpy as np
import pytest
from mlagents.torch_utils import torch
from mlagents.trainers.buffer import AgentBuffer
from mlagents.trainers.settings import NetworkSettings
from mlagents.trainers.torch_entities.networks import NetworkBody
from mlagents.trainers.trajectory import ObsUtil
from mlagents_envs.base_env import DimensionProperty, ObservationSpec, ObservationType

from mlagents_plugin_shared.networks import (
    BranchingQHead,
    chosen_values,
    update_normalization,
    update_target_network,
)

VECTOR = ObservationSpec((4,), (DimensionProperty.NONE,), ObservationType.DEFAULT, "vector")


def body() -> NetworkBody:
    """Small body with normalisation."""
    return NetworkBody([VECTOR], NetworkSettings(normalize=True, hidden_units=8))


@pytest.mark.parametrize("dueling", [True, False])
def test_branching_q_head_shape(dueling: bool) -> None:
    """[B, S, A] for two streams and branches of 3 and 2."""
    assert BranchingQHead(8, [3, 2], 2, dueling=dueling)(torch.randn(6, 8)).shape == (6, 2, 5)


def test_branching_q_head_dueling_mean_is_the_state_value() -> None:
    """Advantages average to 0 in each branch, so each branch's mean Q is the one state value."""
    head = BranchingQHead(8, [3, 2], 2, dueling=True)
    encoding = torch.randn(6, 8)
    first, second = head(encoding).split([3, 2], dim=2)
    torch.testing.assert_close(first.mean(dim=2), head.value(encoding))
    torch.testing.assert_close(second.mean(dim=2), head.value(encoding))


def test_chosen_values_golden() -> None:
    """Action 2 of the first branch is column 2, action 1 of the second is column 3 + 1."""
    q = torch.arange(10.0).reshape(1, 2, 5)
    assert chosen_values(q, torch.tensor([[2, 1]]), [3, 2]).tolist() == [[[2.0, 4.0], [7.0, 9.0]]]


def test_update_target_network_copies() -> None:
    """tau = 1 makes both networks equal, statistics of normalisation included."""
    online, target = body(), body()
    update_normalization(online, [np.random.default_rng(0).normal(3, 2, (50, 4)).astype(np.float32)])
    update_target_network(online, target)
    for name, value in online.state_dict().items():
        torch.testing.assert_close(target.state_dict()[name], value)


def test_update_target_network_moves_by_tau() -> None:
    """0.25 of the way: 0.25·4 + 0.75·0 = 1."""
    online, target = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    torch.nn.init.constant_(online.weight, 4.0)
    torch.nn.init.constant_(target.weight, 0.0)
    update_target_network(online, target, tau=0.25)
    assert target.weight.item() == 1.0
    assert online.weight.item() == 4.0


def test_update_normalization_equals_ml_agents() -> None:
    """The statistics are those that ML-Agents takes from an AgentBuffer."""
    rows = np.random.default_rng(0).normal(3, 2, (50, 4)).astype(np.float32)
    buffer = AgentBuffer()
    buffer[ObsUtil.get_name_at(0)].extend(rows)
    ours, theirs = body(), body()
    update_normalization(ours, [rows])
    theirs.update_normalization(buffer)
    for mine, other in zip(ours.buffers(), theirs.buffers(), strict=True):
        torch.testing.assert_close(mine, other)
