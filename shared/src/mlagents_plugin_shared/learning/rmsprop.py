"""RMSprop as the papers of actor-critic and of DQN used it."""

from collections.abc import Iterable
from typing import Any

from mlagents.torch_utils import torch
from torch import nn


class RMSpropTF(torch.optim.Optimizer):
    """RMSprop with epsilon inside the root and squares that start at 1, as TensorFlow 1 had it.

    s ← α s + (1 - α) g²,   θ ← θ - η g / √(s + ε)
    Centred:   m ← α m + (1 - α) g,   θ ← θ - η g / √(s - m² + ε)

    torch's own divides by √s + ε with s = 0 at first, so that its first steps are 1 / √(1 - α) = 10 times as long, and
    those of gradients well below ε, with an ε like the 0.01 of Mnih et al. (2015), too.

    Source: Tieleman & Hinton (2012), lecture 6.5; the variant: Stable-Baselines3's `RMSpropTFLike`, which recommends it
    where A2C is unstable; centred: Graves (2013), eq. 38 to 41, https://arxiv.org/abs/1308.0850.

    Args:
        params: parameters to train.
        lr: η.
        alpha: smoothing α.
        eps: ε.
        centered: divide by the deviation of gradients, not by their size.
        initial_square: s before the first step.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float,
        alpha: float = 0.99,
        eps: float = 1e-5,
        *,
        centered: bool = False,
        initial_square: float = 1.0,
    ) -> None:
        options = {"lr": lr, "alpha": alpha, "eps": eps, "centered": centered, "initial_square": initial_square}
        super().__init__(params, options)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        """Takes one step.

        Args:
            closure: not used; torch's interface has it.
        """
        for group in self.param_groups:
            for parameter in (p for p in group["params"] if p.grad is not None):
                gradient, state, share = parameter.grad, self.state[parameter], 1.0 - group["alpha"]
                square = state.setdefault("square_avg", torch.full_like(parameter, group["initial_square"]))
                square.lerp_(gradient.square(), share)
                if group["centered"]:
                    mean = state.setdefault("grad_avg", torch.zeros_like(parameter))
                    mean.lerp_(gradient, share)
                    square = (square - mean.square()).clamp(min=0.0)
                parameter.addcdiv_(gradient, (square + group["eps"]).sqrt(), value=-group["lr"])
