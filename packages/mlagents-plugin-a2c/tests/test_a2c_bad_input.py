"""What an environment should not send: never a crash without a reason, never a silent NaN."""

import numpy as np
import pytest
from mlagents.torch_utils import torch
from mlagents.trainers.buffer import BufferKey
from mlagents.trainers.exception import UnityTrainerException

from a2c_testing import MEMORY, fill, segment, trainer
from test_a2c_equals_ppo import trajectory


def finite(a2c) -> bool:
    """Whether every parameter is a number."""
    return all(torch.isfinite(p).all() for p in a2c.optimizer.parameters)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["reward", "observation", "last observation"])
def test_what_is_no_number_is_refused_by_name(number: float, where: str) -> None:
    """The message names the behaviour, the agent and what it was; nothing of it reaches the rollout."""
    a2c = trainer()
    fake = trajectory(a2c, 5, 0, done=False, interrupted=False)
    if where == "reward":
        fake.steps[2] = fake.steps[2]._replace(reward=number)
    elif where == "observation":
        fake.steps[2].obs[0][1] = number
    else:
        fake.next_obs[0][1] = number
    named = "the reward" if where == "reward" else "sensor vector"
    with pytest.raises(UnityTrainerException, match=rf"^Toy: {named} of agent agent_0 is {number}"):
        a2c._process_trajectory(fake)
    assert a2c.update_buffer.num_experiences == 0


@pytest.mark.parametrize("normalize_returns", [False, True])
def test_rewards_too_large_to_count_leave_the_parameters_alone(normalize_returns: bool, caplog) -> None:
    """1e30 is a number, its square is none: the step is left out, with a warning, and the next one is taken."""
    a2c = trainer(normalize_returns=normalize_returns)
    fill(a2c, reward_scale=1e30)
    before = [p.detach().clone() for p in a2c.policy.actor.parameters()]
    a2c._update_policy()
    assert finite(a2c)
    assert all(torch.equal(a, b) for a, b in zip(a2c.policy.actor.parameters(), before, strict=True))
    assert "This step is left out" in caplog.text
    fill(a2c)
    a2c._update_policy()
    assert finite(a2c)
    assert any(not torch.equal(a, b) for a, b in zip(a2c.policy.actor.parameters(), before, strict=True))


@pytest.mark.parametrize("switch", ["normalize_advantage", "normalize_returns"])
def test_rewards_that_are_all_equal_give_no_nan(switch: str) -> None:
    """Zero variance: no division by zero, and with no error the policy stays what it is."""
    a2c = trainer(**{switch: True}, lambd=0.0, settings={"reward_signals": {"extrinsic": {"gamma": 0.0}}})
    for head in a2c.optimizer.critic.value_heads.value_heads.values():
        torch.nn.init.zeros_(head.weight)
    before = [p.detach().clone() for p in a2c.policy.actor.parameters()]
    piece = segment(a2c, 40)
    a2c.store(piece, {"extrinsic": np.ones(40)})
    a2c._update_policy()
    assert finite(a2c)
    if switch == "normalize_advantage":  # all advantages are the mean advantage
        assert all(torch.equal(a, b) for a, b in zip(a2c.policy.actor.parameters(), before, strict=True))


@pytest.mark.parametrize("length", [1, 3])
def test_a_rollout_shorter_than_a_sequence_is_learnt_from(length: int) -> None:
    """The rest of the sequence is padding, which counts nowhere."""
    a2c = trainer(memory=MEMORY)
    piece = segment(a2c, length)
    a2c.store(piece, {"extrinsic": piece.columns[BufferKey.ENVIRONMENT_REWARDS]})
    before = [p.detach().clone() for p in a2c.optimizer.parameters]
    a2c._update_policy()
    assert finite(a2c)
    assert any(not torch.equal(a, b) for a, b in zip(a2c.optimizer.parameters, before, strict=True))
