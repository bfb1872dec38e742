"""Checks of hyperparameters: every fault in a YAML is one line that names the key, the value and the remedy."""

# No `from __future__ import annotations` here: cattrs < 1.7 reads the annotations of settings as types.
import difflib
from enum import Enum, EnumMeta
from typing import Any, Callable, ClassVar, Dict, Optional, cast, get_args

import attr
import cattr
from mlagents.trainers import settings as host
from mlagents.trainers.exception import TrainerConfigError


def positive(instance: Any, attribute: attr.Attribute, value: float) -> None:
    """attrs validator: value > 0."""
    if not value > 0:
        raise TrainerConfigError(_fault(instance, attribute.name, value, "it must be greater than 0"))


def not_negative(instance: Any, attribute: attr.Attribute, value: float) -> None:
    """attrs validator: value >= 0."""
    if not value >= 0:
        raise TrainerConfigError(_fault(instance, attribute.name, value, "it must be 0 or greater"))


@attr.s(auto_attribs=True)
class CheckedSettings:
    """What the hyperparameters of every algorithm share: unknown keys and ill-typed values are reported by name.

    Mix it into a class derived from ML-Agents' `OnPolicyHyperparamSettings` or `OffPolicyHyperparamSettings`.
    `moved_keys` maps keys that users try here to the place where they belong.
    """

    moved_keys: ClassVar[Dict[str, str]] = {
        "gamma": "set it under reward_signals: extrinsic:",
        "hidden_units": "set it under network_settings:",
        "num_layers": "set it under network_settings:",
        "normalize": "set it under network_settings:",
        "max_steps": "set it beside hyperparameters:",
        "time_horizon": "set it beside hyperparameters:",
    }

    keep_best: bool = False
    """Keep the policy whose training episodes were the best so far, as `<Behavior>-best.onnx` and `.pt`."""

    stop_at_reward: Optional[float] = None
    """Mean reward of the last `reward_window` episodes, group rewards included, at which it has learned enough."""

    reward_window: int = attr.ib(default=100, validator=positive)
    """Episodes over which `keep_best` and `stop_at_reward` take the mean; they wait until there are so many."""


def between(low: float, high: float) -> Callable[[Any, attr.Attribute, float], None]:
    """attrs validator: low <= value <= high."""

    def check(instance: Any, attribute: attr.Attribute, value: float) -> None:
        if not low <= value <= high:
            raise TrainerConfigError(_fault(instance, attribute.name, value, f"it must lie between {low} and {high}"))

    return check


def refuse(settings: host.HyperparamSettings, key: str, reason: str) -> None:
    """Raises the TrainerConfigError of a value that is wrong only beside the others.

    Args:
        settings: the hyperparameters.
        key: the key to blame.
        reason: why, and what to do.
    """
    value = getattr(settings, key)
    raise TrainerConfigError(_fault(settings, key, value.value if isinstance(value, Enum) else value, reason))


def check_sizes(settings: host.HyperparamSettings) -> None:
    """Checks what every algorithm shares: learning rate, batch size and buffer size.

    Raises:
        TrainerConfigError: one of them is not positive, or the batch is larger than the buffer.
    """
    for key in ("learning_rate", "batch_size", "buffer_size"):
        if not getattr(settings, key) > 0:
            raise TrainerConfigError(_fault(settings, key, getattr(settings, key), "it must be greater than 0"))
    if settings.batch_size > settings.buffer_size:
        remedy = f"it must not be larger than buffer_size, which is {settings.buffer_size}"
        raise TrainerConfigError(_fault(settings, "batch_size", settings.batch_size, remedy))


def _fault(settings: Any, key: str, value: Any, remedy: str) -> str:
    return f"{type(settings).__name__}: hyperparameters: {key}: {value} is not valid; {remedy}."


def _unknown(class_type: Any, key: str) -> str:
    names = [field.name for field in attr.fields(class_type)]
    text = f"{class_type.__name__}: hyperparameters: {key} is not a known key"
    if key in class_type.moved_keys:
        return f"{text}; {class_type.moved_keys[key]}"
    nearest = difflib.get_close_matches(key, names, n=1)
    return f"{text}; did you mean {nearest[0]}?" if nearest else f"{text}; the known ones are {', '.join(names)}."


def _checked_structure(key: str, value: Any, class_type: Any) -> Any:
    if not issubclass(class_type, CheckedSettings):
        return _host_structure(key, value, class_type)
    fields = attr.fields_dict(class_type)
    if key not in fields:
        raise TrainerConfigError(_unknown(class_type, key))
    try:
        return cattr.structure(value, cast(type, fields[key].type))
    except (TypeError, ValueError) as error:
        remedy = _choices(fields[key].type) or error
        text = f"{class_type.__name__}: hyperparameters: {key}: {value!r} is not valid; {remedy}."
        raise TrainerConfigError(text) from None


def _choices(field_type: Any) -> str:
    """What a key with a choice of words may be; empty for other keys."""
    kinds = [kind for kind in (field_type, *get_args(field_type)) if isinstance(kind, EnumMeta)]
    words = [str(member.value) for kind in kinds for member in cast(Any, kind)]
    return f"it must be one of {', '.join(words)}" if words else ""


# ML-Agents (1.1.0) checks names in this function and offers no hook; ours looks at `CheckedSettings` only.
_host_structure = host.check_and_structure
host.check_and_structure = _checked_structure
