"""How far critics of FlashSAC undervalue returns next to the ends of their atoms: `nox -s bench -- edge_values`.

Returns of a known function of the state, 4.8 times its first number, are learned by two critics with atoms on [-5, 5];
there is no bootstrapping, so that what is missing is what the network cannot tell. Weights of norm 1 bound logits by
the length of the features, √H behind the residual blocks' normalisation and about √(H/2) of a chain of layers. A
bounded softmax has tails, and next to an end they all lie on one side.

Printed is the mean of what is learned where returns are above 4.3, in parts of the mean that it should be, with the
statistics of a batch: running ones follow late, and what they miss is another matter.
"""

import argparse
from functools import partial

import torch
from torch import nn

from mlagents_plugin_shared.learning.optimizer import adam
from mlagents_plugin_shared.learning.return_heads import CategoricalReturn
from mlagents_plugin_shared.learning.trunk import Normalization, TrunkStyle
from mlagents_plugin_shared.learning.twin_critic import TWINS, ObservationBody, TwinCritic, of_twins
from mlagents_plugin_shared.maths.distributional import categorical_target

STATE, ACTION, ATOMS, SLOPE, NEAR = 4, 2, 101, 4.8, 4.3
CASES = {
    "light, 32": (32, False, True),
    "light, 128": (128, False, True),
    "light, 256": (256, False, True),
    "light, 128, weight_normalization: false": (128, False, False),
    "flashsac, 128 (critics of 256)": (256, True, True),
}


class Nothing(nn.Module):
    """In place of an encoder."""

    encoding_size = STATE


def critic(hidden_size: int, residual: bool) -> TwinCritic:
    """Two critics as FlashSAC makes them, with batch normalisation."""
    head = partial(CategoricalReturn, num_atoms=ATOMS, v_min=-5.0, v_max=5.0)
    style = TrunkStyle(residual, Normalization.BATCH)
    encoder: ObservationBody = Nothing()  # type: ignore[assignment]
    return TwinCritic(encoder, ACTION, [1], 1, hidden_size=hidden_size, num_layers=2, style=style, create_head=head)


def learned(twins: TwinCritic, normalizes: bool, updates: int, batch_size: int, learning_rate: float) -> float:
    """Trains, and gives the share of the largest returns that is learned."""
    weights = [*twins.trunk.parameters(), *twins.head.parameters()]
    optimizer = adam(weights, learning_rate)
    assert isinstance(twins.head, CategoricalReturn)
    certain = torch.zeros(batch_size, 1, ATOMS)
    certain[..., ATOMS // 2] = 1.0
    for _ in range(updates):
        if normalizes:
            twins.project()
        seen = 2.0 * torch.rand(batch_size, STATE + ACTION) - 1.0
        features = twins.features(seen[:, :STATE], seen[:, STATE:], training=True)
        returns = SLOPE * seen[:, :1]
        target = categorical_target(certain, returns, torch.zeros_like(returns), twins.head.support)
        prediction, taus = twins.head.predict(features)
        error = twins.head.error(prediction, taus, target.unsqueeze(2).repeat(TWINS, 1, 1, 1))
        optimizer.zero_grad()
        (TWINS * error.mean()).backward()
        nn.utils.clip_grad_norm_(weights, 10.0)
        optimizer.step()
    with torch.no_grad():
        seen = 2.0 * torch.rand(5000, STATE + ACTION) - 1.0
        near = SLOPE * seen[:, 0] > NEAR
        found = of_twins(twins.head.mean(twins.head(twins.features(seen[:, :STATE], seen[:, STATE:], training=True))))
        return (found[:, near].mean() / (SLOPE * seen[near, 0]).mean()).item()


def main() -> None:
    """Trains each case."""
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--updates", type=int, default=1000)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    for name, (hidden_size, residual, normalizes) in CASES.items():
        torch.manual_seed(arguments.seed)
        twins = critic(hidden_size, residual)
        share = learned(twins, normalizes, arguments.updates, arguments.batch_size, arguments.learning_rate)
        print(f"{name:45} {share:.3f}", flush=True)


if __name__ == "__main__":
    main()
