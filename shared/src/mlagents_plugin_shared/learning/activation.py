"""Hidden layers with another activation than ML-Agents' own."""

from mlagents.trainers.torch_entities.layers import LinearEncoder, Swish
from mlagents.trainers.torch_entities.networks import NetworkBody
from torch import nn


def use_tanh(body: NetworkBody) -> None:
    """Puts tanh in the place of swish behind the hidden layers, those that `hidden_units` and `num_layers` describe.

    The features of tanh are bounded, those of swish grow with the observation: a critic that has learned of some states
    then says about those unlike them what it said at first, and not what follows on a straight line.

    Source: Andrychowicz et al. (2021), section 3.2, https://arxiv.org/abs/2006.05990, who found tanh to be the best
    activation in continuous control; it is that of OpenAI Baselines and Stable-Baselines3 for vectors.

    Args:
        body: body of a network; encoders, hypernetworks and the weights stay as they are.
    """
    trunk = body._body_endoder
    layers = trunk.seq_layers if isinstance(trunk, LinearEncoder) else trunk.layers
    for i, layer in enumerate(layers):
        if isinstance(layer, Swish):
            layers[i] = nn.Tanh()
