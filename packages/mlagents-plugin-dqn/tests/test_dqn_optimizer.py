"""The learner against a slow re-derivation, and what must not influence it."""

from collections import defaultdict

import numpy as np
import pytest
from mlagents.torch_utils import torch
from mlagents.trainers.buffer import BufferKey, RewardSignalUtil
from mlagents.trainers.trajectory import ObsUtil

from dqn_testing import (
    MEMORY,
    behavior_spec,
    disturb,
    filled,
    next_values,
    random_legal,
    segment,
    targets,
    trainer,
    transitions_of,
)
from mlagents_plugin_shared.data import ReplayKey
from mlagents_plugin_shared.learning.transitions import discount_key


@pytest.mark.parametrize("double", [True, False])
def test_target_is_re_derived_in_a_slow_loop(double: bool) -> None:
    """r + discount · mean over branches of the target network's value of the best *legal next* action."""
    dqn = filled(double=double, n_step=3)
    batch = dqn.sample()
    optimizer = dqn.optimizer
    next_obs = [torch.as_tensor(batch[ObsUtil.get_name_at_next(0)])]
    judge = optimizer.target.q_values(next_obs)[0].detach().numpy()[:, 0]
    chooser = optimizer.online.q_values(next_obs)[0].detach().numpy()[:, 0] if double else judge
    rewards, discounts = (np.asarray(batch[key("extrinsic")]) for key in (RewardSignalUtil.rewards_key, discount_key))
    legal = batch[ReplayKey.NEXT_ACTION_MASK].astype(bool)
    expected = []
    for b in range(len(rewards)):
        values = []
        for branch in (range(3), range(3, 5)):
            allowed = [a for a in branch if legal[b, a]]
            values.append(judge[b, max(allowed, key=lambda a: chooser[b, a])])
        expected.append(rewards[b] + discounts[b] * np.mean(values))
    np.testing.assert_allclose(targets(dqn, batch)[:, 0].numpy(), expected, rtol=1e-5)


def test_next_values_come_from_the_next_observation() -> None:
    """Changing the present observation leaves the value of the next state alone; changing the next one does not."""
    dqn = filled()
    batch = dqn.sample()
    before = next_values(dqn, batch)
    batch[ObsUtil.get_name_at(0)] = batch[ObsUtil.get_name_at(0)] + 10.0
    torch.testing.assert_close(next_values(dqn, batch), before)
    batch[ObsUtil.get_name_at_next(0)] = batch[ObsUtil.get_name_at_next(0)] + 10.0
    assert not torch.allclose(next_values(dqn, batch), before)


def test_next_values_obey_the_next_mask() -> None:
    """Forbidding the best next action changes the value."""
    dqn = filled(double=False)
    batch = dqn.sample()
    q, _ = dqn.optimizer.target.q_values([torch.as_tensor(batch[ObsUtil.get_name_at_next(0)])])
    batch[ReplayKey.NEXT_ACTION_MASK] = np.ones((8, 5), np.uint8)
    free = next_values(dqn, batch)
    masked = np.ones((8, 5), np.uint8)
    masked[np.arange(8), q[:, 0, :3].argmax(dim=1)] = 0
    batch[ReplayKey.NEXT_ACTION_MASK] = masked
    assert (next_values(dqn, batch) < free).all()


def test_terminated_and_interrupted_ends_have_different_targets() -> None:
    """A terminal step's target is its reward; an interrupted one's holds the value after it."""
    dqn = trainer(n_step=1)
    spec = dqn.policy.behavior_spec
    for end in ("terminated", "interrupted"):
        dqn.update_buffer.reset_agent()
        dqn.update_buffer.add(segment(spec, 1, **{end: True}))
        batch = dqn.sample()
        discount = np.asarray(batch[discount_key("extrinsic")])
        np.testing.assert_allclose(discount, 0.0 if end == "terminated" else 0.99, rtol=1e-6)


def test_update_moves_the_online_network_only() -> None:
    """The target network gets no gradient and stays until its interval."""
    dqn = filled(target_update_interval=100)
    online = [p.clone() for p in dqn.optimizer.online.parameters()]
    target = [p.clone() for p in dqn.optimizer.target.parameters()]
    dqn.optimizer.update(dqn.sample(), 8)
    assert any(not torch.equal(a, b) for a, b in zip(online, dqn.optimizer.online.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(target, dqn.optimizer.target.parameters(), strict=True))


def test_target_network_is_copied_at_its_interval() -> None:
    """With interval 3 it is unchanged after two updates and equal to the online network after the third."""
    dqn = filled(target_update_interval=3)

    def is_equal() -> bool:
        pairs = zip(dqn.optimizer.online.parameters(), dqn.optimizer.target.parameters(), strict=True)
        return all(torch.equal(a, b) for a, b in pairs)

    equal = []
    for _ in range(3):
        dqn.optimizer.update(dqn.sample(), 8)
        equal.append(is_equal())
    assert equal == [False, False, True]


def test_soft_target_moves_by_tau() -> None:
    """tau 0.25: the target is a quarter of the way to the online network after one update."""
    dqn = filled(tau=0.25)
    before = [p.clone() for p in dqn.optimizer.target.parameters()]
    dqn.optimizer.update(dqn.sample(), 8)
    for old, new, online in zip(
        before, dqn.optimizer.target.parameters(), dqn.optimizer.online.parameters(), strict=True
    ):
        torch.testing.assert_close(new, 0.75 * old + 0.25 * online)


def test_gradient_is_clipped() -> None:
    """With a tiny bound and plain gradient descent the step is at most as long as bound times learning rate."""
    dqn = filled(max_grad_norm=1e-3, learning_rate=1.0)
    dqn.optimizer.descent.optimizer = torch.optim.SGD(dqn.optimizer.parameters, lr=1.0)
    before = [p.clone() for p in dqn.optimizer.parameters]
    stats = dqn.optimizer.update(dqn.sample(), 8)
    step = torch.cat([(a - b).flatten() for a, b in zip(before, dqn.optimizer.parameters, strict=True)]).norm().item()
    assert stats["Policy/Gradient Norm"] > 1e-3
    assert step == pytest.approx(1e-3, rel=1e-3)


def recurrent(**options):
    """A trainer with memory and a replay of segments with recurrent states."""
    dqn = trainer(settings=MEMORY, **options)
    for i in range(4):
        dqn.update_buffer.add(segment(dqn.policy.behavior_spec, 6, terminated=True, memory=8, agent_id=str(i), seed=i))
    disturb(dqn.optimizer.target)
    return dqn


def test_recurrent_update_starts_from_the_stored_memory() -> None:
    """Other stored states at the start of sequences give other encodings."""
    dqn = recurrent()
    batch = dqn.sample()
    reference = transitions_of(dqn, batch, 2).encode(dqn.optimizer.online)
    batch[BufferKey.MEMORY] = batch[BufferKey.MEMORY] + 1.0
    assert not torch.allclose(transitions_of(dqn, batch, 2).encode(dqn.optimizer.online), reference)


def test_recurrent_targets_ignore_padding() -> None:
    """Garbage in padded steps does not change the targets of real steps."""
    dqn = recurrent()
    batch = dqn.sample()
    padding = batch[BufferKey.MASKS] == 0
    assert padding.any()
    reference = targets(dqn, batch, 2)[torch.as_tensor(~padding)]
    for key in (
        RewardSignalUtil.rewards_key("extrinsic"),
        ObsUtil.get_name_at_next(0),
        ObsUtil.get_name_at(0),
    ):
        garbage = np.array(batch[key])
        garbage[padding] = 1e3
        batch[key] = garbage
    torch.testing.assert_close(targets(dqn, batch, 2)[torch.as_tensor(~padding)], reference)


def test_burn_in_warms_up_and_is_not_learned_from() -> None:
    """Rows before the drawn step are left out of the loss, but other observations there change the encoding after."""
    dqn = recurrent(burn_in=3)
    batch = dqn.sample()
    transitions = transitions_of(dqn, batch, 2)
    masks = batch[BufferKey.MASKS]
    assert len(batch[BufferKey.MASKS]) == 2 * (3 + 4)
    assert len(transitions.reward) == 2 * 4
    assert transitions.sequences.mask.sum() == masks.sum()
    leading = np.concatenate([np.cumsum(sequence) == 0 for sequence in masks.reshape(2, -1)])
    assert leading.any()
    before = transitions.encode(dqn.optimizer.online)
    observations = np.array(batch[ObsUtil.get_name_at(0)])
    observations[leading] += 5.0
    batch[ObsUtil.get_name_at(0)] = observations
    assert not torch.allclose(transitions_of(dqn, batch, 2).encode(dqn.optimizer.online), before)


def test_sequences_with_burn_in_have_the_targets_of_those_without() -> None:
    """With a network that remembers nothing the same drawn steps have the same targets, whatever comes before."""
    found = []
    for burn_in in (0, 3):
        dqn = recurrent(burn_in=burn_in, n_step=2)
        for network in (dqn.optimizer.online, dqn.optimizer.target):
            for name, parameter in network.named_parameters():
                torch.manual_seed(1)
                torch.nn.init.normal_(parameter, std=0.3)
                if "_hh_" in name:
                    torch.nn.init.zeros_(parameter)
            forget = network.network_body.lstm.lstm.bias_ih_l0
            with torch.no_grad():
                forget[4:8] = -1e4  # second of the four gates of LSTM
        drawn = {}
        for _ in range(30):
            batch = dqn.sample()
            sequences = transitions_of(dqn, batch, 2).sequences
            observed = batch[ObsUtil.get_name_at(0)][sequences.rows, 0]
            for key, value, real in zip(observed, targets(dqn, batch, 2)[:, 0], sequences.mask, strict=True):
                if real:
                    drawn.setdefault(round(float(key), 4), set()).add(round(float(value), 3))
        found.append(drawn)
    assert found[0].keys() == found[1].keys()
    # A step has one target for each place that it can have in a sequence.
    assert all(found[0][key] & found[1][key] for key in found[0])


def test_update_ratio_does_not_depend_on_the_number_of_agents() -> None:
    """One update in steps_per_update agent steps, whether they come from one agent or from ten."""
    counts = []
    for agents in (1, 10):
        dqn = trainer(steps_per_update=4, batch_size=8)
        for i in range(20):
            dqn.store(segment(dqn.policy.behavior_spec, 10, terminated=True, agent_id=str(i % agents)), {})
        counts.append(dqn._updates_due)
    assert counts[0] == counts[1] == pytest.approx(200 / 4)


def test_reward_signals_that_learn_nothing_draw_nothing() -> None:
    """Where they would be due more often than the policy, a batch for each would be drawn and thrown away."""
    dqn = trainer(steps_per_update=8, reward_signal_steps_per_update=1, batch_size=8)
    dqn.store(segment(dqn.policy.behavior_spec, 16, terminated=True), {})
    drawn = []
    sample = dqn.sample
    dqn.sample = lambda: drawn.append(1) or sample()
    dqn._update_policy()
    assert len(drawn) == dqn.optimizer.updates == 2


def test_updates_wait_for_the_warm_up() -> None:
    """No update falls due before buffer_init_steps are in."""
    dqn = trainer(buffer_init_steps=50, batch_size=8)
    for i in range(4):
        dqn.store(segment(dqn.policy.behavior_spec, 10, terminated=True, agent_id=str(i)), {})
    assert not dqn._is_ready_update()
    dqn.store(segment(dqn.policy.behavior_spec, 10, terminated=True), {})
    assert dqn._is_ready_update()


def test_legal_masks_of_fakes_are_not_trivial() -> None:
    """The masks that these tests use forbid something and allow something."""
    legal = random_legal(100)
    assert legal.any(axis=1).all()
    assert not legal.all()
    assert behavior_spec().action_spec.discrete_size == 2


@pytest.mark.parametrize("loss", ["huber", "mse"])
def test_rewards_too_large_to_count_spoil_nothing(loss: str) -> None:
    """Parameters, moments, target network and priorities stay numbers, and the next step is taken."""
    dqn = filled(prioritized_replay=True, loss=loss, target_update_interval=1)
    rewards = dqn.update_buffer.row_arrays()[BufferKey.ENVIRONMENT_REWARDS.value]
    good = rewards.copy()
    rewards[:] = 3e38
    before = [parameter.detach().clone() for parameter in dqn.optimizer.parameters]
    dqn._learn(defaultdict(list), dqn.sample())
    assert dqn.optimizer.guard.skipped == 1
    assert all(torch.equal(a, b) for a, b in zip(dqn.optimizer.parameters, before, strict=True))
    assert not dqn.optimizer.descent.optimizer.state
    assert all(parameter.isfinite().all() for parameter in dqn.optimizer.target.parameters())
    priorities, largest = dqn.update_buffer.priorities()
    assert np.isfinite(priorities).all()
    assert np.isfinite(largest)
    rewards[:] = good
    dqn._learn(defaultdict(list), dqn.sample())
    assert dqn.optimizer.guard.in_a_row == 0
    assert any(not torch.equal(a, b) for a, b in zip(dqn.optimizer.parameters, before, strict=True))
