"""The mathematics runs where its tensors are: results on CUDA equal those on the CPU.

The meta device, which has shapes and no numbers, stands in where there is no CUDA: it fails where a tensor is made on
another device, and where Python looks at a number, which on a GPU would wait for it.
"""

import pytest
import torch

from mlagents_plugin_shared.learning.networks import resample_noise
from mlagents_plugin_shared.learning.return_heads import ImplicitQuantileHead
from mlagents_plugin_shared.maths import branches, distributional, exploration, losses, munchausen, rescaling, targets

BRANCHES = [3, 2]
DEVICES = ["meta", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA"))]


def normal(*shape: int) -> torch.Tensor:
    """[...] numbers that are the same in every run."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


SEQUENCE = [normal(6, 4) for _ in range(5)]
SCORES, ATOMS = normal(4, 5), normal(4, 2, 5, 7)
MASK = torch.tensor([[1.0, 0, 1, 1, 0]]).repeat(4, 1)
ACTIONS = torch.tensor([[0, 0], [2, 0], [2, 1], [1, 1]])
LOG_POLICY = branches.soft_policy(SCORES, MASK, BRANCHES, 0.5)
STREAMS = normal(4, 2)
PROBS, SUPPORT, TAUS = ATOMS.softmax(dim=3), torch.linspace(-1, 1, 7), distributional.quantile_midpoints(7)

EXACT = {
    "td_target": (targets.td_target, SEQUENCE[:3], {}),
    "double_q_value": (targets.double_q_value, [ATOMS, SCORES, MASK, BRANCHES], {}),
    "n_step_return": (
        lambda r, h, end: torch.stack(targets.n_step_return(r, h, end, 0.9)),
        [normal(4, 3), torch.tensor([1, 2, 3, 3]), torch.tensor([True, False, True, False])],
        {},
    ),
    "n_step_windows": (
        lambda *x: torch.stack([part.float() for part in targets.n_step_windows(*x, n=2)]),
        [*SEQUENCE[:2], torch.ones(6, 4)],
        {},
    ),
    "lambda_return": (targets.lambda_return, SEQUENCE[:3], {"lambda_": 0.9}),
    "gae": (targets.gae, SEQUENCE[:4], {"lambda_": 0.9}),
    "vtrace": (lambda *x: torch.stack(targets.vtrace(*x)), SEQUENCE, {}),
    "categorical_target": (distributional.categorical_target, [PROBS[:, :, 0], STREAMS, STREAMS, SUPPORT], {}),
    "quantile_target": (distributional.quantile_target, [ATOMS[:, :, 0], STREAMS, STREAMS], {}),
    "soft_reward": (munchausen.soft_reward, [STREAMS] * 4, {"temperature": 0.5}),
    "policy_mean": (munchausen.policy_mean, [ATOMS, LOG_POLICY, BRANCHES], {}),
    "policy_entropy": (munchausen.policy_entropy, [LOG_POLICY, BRANCHES], {}),
    "munchausen_bonus": (munchausen.munchausen_bonus, [LOG_POLICY, ACTIONS, BRANCHES], {}),
    "signed_hyperbolic": (rescaling.signed_hyperbolic, [SCORES], {}),
    "signed_parabolic": (rescaling.signed_parabolic, [SCORES], {}),
    "masked_mean": (losses.masked_mean, SEQUENCE[:2], {}),
    "huber": (losses.huber, [SCORES], {}),
    "categorical_error": (losses.categorical_error, [ATOMS, PROBS], {}),
    "quantile_huber_error": (losses.quantile_huber_error, [ATOMS, TAUS, ATOMS[..., :3]], {}),
    "large_margin_error": (losses.large_margin_error, [SCORES, ACTIONS, MASK, BRANCHES], {}),
    "max_mean_priority": (losses.max_mean_priority, [SEQUENCE[0], torch.ones(6, 4)], {}),
    "clipped_value_loss": (losses.clipped_value_loss, SEQUENCE[:3], {"epsilon": 0.2}),
    "clipped_surrogate_loss": (losses.clipped_surrogate_loss, [SCORES, -SCORES, STREAMS[:, 0]], {"epsilon": 0.2}),
    "policy_gradient_loss": (losses.policy_gradient_loss, [SCORES, STREAMS[:, 0]], {}),
    "greedy_actions": (branches.greedy_actions, [SCORES, MASK, BRANCHES], {}),
    "soft_policy": (branches.soft_policy, [SCORES, MASK, BRANCHES, 0.5], {}),
    "chosen_values": (branches.chosen_values, [ATOMS, ACTIONS, BRANCHES], {}),
}
RANDOM = {
    "random_actions": (exploration.random_actions, [MASK, BRANCHES], {}),
    "epsilon_greedy": (exploration.epsilon_greedy, [ACTIONS, MASK, BRANCHES, exploration.epsilon_ladder(4)], {}),
}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", [*EXACT, *RANDOM])
def test_functions_run_where_their_tensors_are(name: str, device: str) -> None:
    """The result has the device, shape and type of that on the CPU, and the same numbers where nothing is drawn."""
    function, arguments, options = (EXACT | RANDOM)[name]
    moved = [x.to(device) if isinstance(x, torch.Tensor) else x for x in arguments]
    expected, result = function(*arguments, **options), function(*moved, **options)
    assert (result.device.type, result.shape, result.dtype) == (device, expected.shape, expected.dtype)
    if device == "cuda" and name in EXACT:
        torch.testing.assert_close(result.cpu(), expected)


@pytest.mark.parametrize("device", DEVICES)
def test_noisy_heads_run_where_their_weights_are(device: str) -> None:
    """Noise that is drawn after the move is on the device."""
    head = ImplicitQuantileHead(8, BRANCHES, 2, dueling=True, noisy=True)
    expected = head.eval()(normal(4, 8), TAUS)
    head = head.to(device).train()
    resample_noise(head)
    assert head(normal(4, 8).to(device), TAUS.to(device)).device.type == device
    if device == "cuda":
        torch.testing.assert_close(head.eval()(normal(4, 8).cuda(), TAUS.cuda()).cpu(), expected)
