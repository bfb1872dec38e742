"""What a run takes up of a checkpoint: of each network what fits, and of each optimizer its moments."""

import copy
from collections.abc import Iterable
from typing import Any

from mlagents.torch_utils import torch

# What a network says of itself in a model. ML-Agents keeps it among the weights.
_ACTIONS = "discrete_act_size_vector"
_DESCRIPTION = (
    _ACTIONS,
    "continuous_act_size_vector",
    "act_size_vector_deprecated",
    "is_continuous_int_deprecated",
    "memory_size_vector",
    "version_number",
)


def take_up(module: Any, saved: dict[str, Any] | None) -> str | None:
    """Loads what fits; what does not stays as it is, as in ML-Agents.

    Args:
        module: a network or an optimizer.
        saved: the state of it that a checkpoint holds; None where it holds none.

    Returns:
        Why not all of it fits; None where all does.
    """
    if saved is None:
        return "the checkpoint holds none"
    try:
        return _load_network(module, saved) if isinstance(module, torch.nn.Module) else _load_optimizer(module, saved)
    except (KeyError, ValueError, RuntimeError) as error:
        return " ".join(str(error).split())


def _load_network(network: torch.nn.Module, saved: dict[str, Any]) -> str | None:
    """Loads what has the same shape.

    Raises:
        RuntimeError: something cannot be loaded for a reason of the network's own.
    """
    own = network.state_dict()
    kept = {**saved, **{name: own[name] for name in _DESCRIPTION if name in own and name in saved}}
    other_shapes = [name for name in own if name in kept and _size(own[name]) != _size(kept[name])]
    fitting = {name: value for name, value in kept.items() if name not in other_shapes}
    lacking, unexpected = network.load_state_dict(fitting, strict=False)
    missing = [name for name in lacking if name not in other_shapes]
    reasons = [_of_shapes(other_shapes, kept, own)] if other_shapes else []
    reasons += [f"{_some(missing)} not in the checkpoint"] if missing else []
    reasons += [f"{_some(unexpected)} only there"] if unexpected else []
    if not reasons and _have_other_actions(own, saved):
        reasons = [f"the same outputs stand for other discrete actions, {_sizes(saved)} there and {_sizes(own)} here"]
    return ", ".join(reasons) or None


def _of_shapes(names: list[str], saved: dict[str, Any], own: dict[str, Any]) -> str:
    first, *others = names
    more = f", and {len(others)} more differ" if others else ""
    return f"{first} is {_shape(saved[first])} in the checkpoint and {_shape(own[first])} here{more}"


def _size(value: Any) -> tuple[int, ...]:
    """Shape of a weight; that of a network's `get_extra_state` has none."""
    return tuple(getattr(value, "shape", ()))


def _shape(value: Any) -> str:
    return "x".join(map(str, _size(value))) or "one number"


def _some(names: Iterable[str]) -> str:
    first, *others = names
    return f"{first} and {len(others)} more are" if others else f"{first} is"


def _have_other_actions(own: dict[str, Any], saved: dict[str, Any]) -> bool:
    """Whether the same outputs stand for other actions: 3 and 2 of two branches are as many as 2 and 3."""
    return _ACTIONS in own and _ACTIONS in saved and _sizes(own) != _sizes(saved)


def _sizes(state: dict[str, Any]) -> list[int]:
    return [int(size) for size in state[_ACTIONS].flatten()]


def _load_optimizer(optimizer: torch.optim.Optimizer, saved: dict[str, Any]) -> str | None:
    """Loads moments, if they are of such an optimizer, which PyTorch would notice at the first step only.

    Its options are those of this run's settings.
    """
    groups, own_groups = saved["param_groups"], optimizer.param_groups
    sizes, own_sizes = [len(group["params"]) for group in groups], [len(group["params"]) for group in own_groups]
    if sizes != own_sizes:
        return f"it is of {sizes} parameters in the checkpoint and of {own_sizes} here"
    kept = (index for group in groups for index in group["params"])
    for index, own_moments in zip(kept, _moments_after_a_step(optimizer), strict=True):
        moments = _shapes(saved["state"].get(index, own_moments))
        if moments != _shapes(own_moments):
            return f"its moments are {_describe(moments)} in the checkpoint and {_describe(_shapes(own_moments))} here"
    merged = [{**own, "params": group["params"]} for group, own in zip(groups, own_groups, strict=True)]
    optimizer.load_state_dict({**saved, "param_groups": merged})
    return None


def _moments_after_a_step(optimizer: torch.optim.Optimizer) -> list[dict[str, Any]]:
    """What an optimizer of this class and these options keeps of each parameter, found out on a copy."""
    twin = copy.deepcopy(optimizer)
    parameters = [parameter for group in twin.param_groups for parameter in group["params"]]
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    twin.step()
    return [twin.state[parameter] for parameter in parameters]


def _shapes(moments: dict[str, Any]) -> dict[str, list[int]]:
    """Shapes by name; a count has none, be it a number or a tensor."""
    return {name: list(getattr(value, "shape", ())) for name, value in moments.items()}


def _describe(moments: dict[str, list[int]]) -> str:
    return ", ".join(f"{name} {shape or ''}".rstrip() for name, shape in sorted(moments.items())) or "none"
