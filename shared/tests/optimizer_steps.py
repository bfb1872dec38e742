"""Prints what steps of PyTorch's optimizers come to, and whether they have imported its compiler.

To be run as a program, since an import cannot be undone. With the argument `mended` what the shared package mends is
imported first; with `compiled` the compiler compiles the steps.
"""

import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch

MENDED, COMPILED = "mended", "compiled"
START = [1.0, -2.0, 0.5]


def optimizers(leaf: torch.nn.Parameter) -> Iterator[torch.optim.Optimizer]:
    """One with each kind of kernel, and of several algorithms."""
    yield torch.optim.SGD([leaf], lr=0.1, momentum=0.9)
    yield torch.optim.Adam([leaf], lr=0.1, foreach=False)
    yield torch.optim.Adam([leaf], lr=0.1, foreach=True)
    yield torch.optim.AdamW([leaf], lr=0.1)
    yield torch.optim.RMSprop([leaf], lr=0.1)


def descend(optimizer: torch.optim.Optimizer, step: Callable[[], Any], leaf: torch.nn.Parameter) -> None:
    """Some steps, between which the state is saved and taken up again."""
    for _ in range(3):
        optimizer.zero_grad()
        (leaf.square().sum() + leaf.prod()).backward()
        step()
        optimizer.load_state_dict(optimizer.state_dict())


def slope_of_step() -> torch.Tensor:
    """What a gradient through a step is: 0 without the one that `differentiable` asks for."""
    start = torch.tensor(START, requires_grad=True)
    moved = start.clone()
    optimizer = torch.optim.SGD([moved], lr=0.1, differentiable=True)
    moved.grad = start.square()
    optimizer.step()
    moved.sum().backward()
    return start.grad if start.grad is not None else torch.zeros(3)


def main(*modes: str) -> None:
    """Steps of all optimizers one after the other, from the same parameters."""
    if MENDED in modes:
        import mlagents_plugin_shared.run.host  # noqa: F401
    graphs: list[int] = []

    def backend(graph: torch.fx.GraphModule, _: Any) -> Callable[..., Any]:
        graphs.append(len(graph.graph.nodes))
        return graph.forward

    leaf = torch.nn.Parameter(torch.zeros(3))
    ends = [slope_of_step()]
    for optimizer in optimizers(leaf):
        leaf.data = torch.tensor(START)
        step = torch.compile(optimizer.step, backend=backend) if COMPILED in modes else optimizer.step
        descend(optimizer, step, leaf)
        ends.append(leaf.detach().clone())
    numbers = b"".join(end.numpy().tobytes() for end in ends)
    imported = [name for name in ("torch._dynamo", "sympy") if name in sys.modules]
    slope = [round(each, 6) for each in ends[0].tolist()]
    found = {"numbers": hashlib.sha256(numbers).hexdigest(), "slope": slope, "graphs": graphs, "imported": imported}
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
