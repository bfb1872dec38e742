"""PyTorch's compiler is not imported for gradient steps, in which it has no part.

Each call of an optimizer asks the compiler to leave the optimizer alone. The first one imports it for that, and sympy
with it, a third of all that a run computes before its first step. While nobody has imported the compiler there is
nothing that it could compile, and what it would leave alone is called without it. From the moment that somebody has,
an author whose network calls `torch.compile` for one, every call takes PyTorch's own way again.

So it is in PyTorch 2.1.1 to 2.15. A wrapper that names anything else than theirs may do more, and is left as it is.
"""

import functools
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer

_COMPILER = "torch._dynamo"

_IMPORT = {_COMPILER, "_dynamo"}
_LEFT_ALONE = {*_IMPORT, "disable", "getattr", "__dynamo_disable"}
"""All that the wrapper names which keeps the compiler away from a function."""
_STEP = {*_IMPORT, "graph_break", "cast", "Optimizer", "defaults", "is_grad_enabled", "set_grad_enabled"}
"""All that the wrapper of a step names, which sets also whether the step itself has a gradient."""

_profile_hook_step = Optimizer.profile_hook_step


def without_compiler(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that does what another one does, without importing PyTorch's compiler for it.

    Args:
        function: one that PyTorch has wrapped for its compiler.

    Returns:
        The function itself, where the wrapper is not one that is known.
    """
    bare = _bare(function)
    if bare is None:
        return function

    @functools.wraps(function)
    def wrapper(*arguments: Any, **options: Any) -> Any:
        return (function if _COMPILER in sys.modules else bare)(*arguments, **options)

    return wrapper


def _bare(function: Callable[..., Any]) -> Callable[..., Any] | None:
    """What a wrapper of PyTorch's comes to while there is no compiler; None of a wrapper that is not known."""
    wrapped, code = getattr(function, "__wrapped__", None), getattr(function, "__code__", None)
    if wrapped is None or code is None or _COMPILER not in code.co_names:
        return None
    home, names = function.__globals__["__name__"], set(code.co_names)
    if home == "torch._compile" and names <= _LEFT_ALONE:
        return wrapped
    if home == "torch.optim.optimizer" and names <= _STEP:
        return _bare_step(wrapped)
    return None


def _bare_step(step: Callable[..., Any]) -> Callable[..., Any]:
    def bare(optimizer: Optimizer, *arguments: Any, **options: Any) -> Any:
        with torch.set_grad_enabled(optimizer.defaults["differentiable"]):
            return step(optimizer, *arguments, **options)

    return bare


def _hook_step(step: Callable[..., Any]) -> Callable[..., Any]:
    """PyTorch calls this for the step of each class of optimizers, with the class's first optimizer."""
    return _profile_hook_step(without_compiler(step))


Optimizer.add_param_group = without_compiler(Optimizer.add_param_group)  # type: ignore[method-assign]
Optimizer.load_state_dict = without_compiler(Optimizer.load_state_dict)  # type: ignore[method-assign]
Optimizer.profile_hook_step = staticmethod(_hook_step)  # type: ignore[method-assign, assignment]
Optimizer.state_dict = without_compiler(Optimizer.state_dict)  # type: ignore[method-assign]
Optimizer.zero_grad = without_compiler(Optimizer.zero_grad)  # type: ignore[method-assign]
