"""RMSprop as the papers of actor-critic used it."""

from collections.abc import Iterable
from typing import Any

from mlagents.torch_utils import torch
from torch import nn


class RMSpropTF(torch.optim.Optimizer):
    """RMSprop with epsilon inside the root and squares that start at 1, as TensorFlow 1 had it.

    s ← α s + (1 - α) g²,   θ ← θ - η g / √(s + ε)

    torch's own divides by √s + ε with s = 0 at first, so that its first steps are 1 / √(1 - α) = 10 times as long.

    Source: Tieleman & Hinton (2012), lecture 6.5; the variant: Stable-Baselines3's `RMSpropTFLike`, which recommends it
    where A2C is unstable.

    Args:
        params: parameters to train.
        lr: η.
        alpha: smoothing α.
        eps: ε.
    """

    def __init__(self, params: Iterable[nn.Parameter], lr: float, alpha: float = 0.99, eps: float = 1e-5) -> None:
        super().__init__(params, {"lr": lr, "alpha": alpha, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        """Takes one step.

        Args:
            closure: not used; torch's interface has it.
        """
        for group in self.param_groups:
            for parameter in (p for p in group["params"] if p.grad is not None):
                square = self.state[parameter].setdefault("square_avg", torch.ones_like(parameter))
                square.lerp_(parameter.grad.square(), 1.0 - group["alpha"])
                parameter.addcdiv_(parameter.grad, (square + group["eps"]).sqrt(), value=-group["lr"])
