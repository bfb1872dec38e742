"""What `reset` and `step` of a Gymnasium environment return, checked: anybody writes environments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

import gymnasium
import numpy as np

from mlagents_player.errors import one_line
from mlagents_player.spaces import Misfit, shown

RESET = ("observation", "info")
STEP = ("observation", "reward", "terminated", "truncated", "info")


@dataclass
class Step:
    """What one step gave.

    Attributes:
        observation: As it came; its space is checked where it is read.
        reward: A number that float32 can hold.
        terminated: The task's own end.
        truncated: Another end.
        info: By name.
    """

    observation: Any
    reward: float
    terminated: bool
    truncated: bool
    info: Mapping[str, Any]


def by_reset(values: Any) -> tuple[Any, Mapping[str, Any]]:
    """Observation and info.

    Raises:
        Misfit: there are not these two.
    """
    observation, info = _parts(values, RESET)
    return observation, _info(info)


def by_step(values: Any) -> Step:
    """The five values of a step.

    Raises:
        Misfit: there are not five, or one is of another kind.
    """
    observation, reward, terminated, truncated, info = _parts(values, STEP)
    return Step(
        observation, _reward(reward), _flag("terminated", terminated), _flag("truncated", truncated), _info(info)
    )


def _parts(values: Any, names: tuple[str, ...]) -> tuple[Any, ...]:
    if isinstance(values, tuple | list) and len(values) == len(names):
        return tuple(values)
    if isinstance(values, tuple | list):
        old = ", as the old gym did" if names == STEP and len(values) == len(names) - 1 else ""
        found = f"{len(values)} values{old}"
    else:
        found = f"one value ({shown(values)})"
    raise Misfit(f"returned {found}; expected {len(names)}: {', '.join(names)}")


def _reward(value: Any) -> float:
    """A number, also one that another library wraps; an array is none, even of one."""
    try:
        number = np.nan if isinstance(value, str | bytes) or np.ndim(value) else float(value)
    except Exception:  # whatever somebody else's type raises
        number = np.nan
    if not abs(number) <= np.finfo(np.float32).max:
        raise Misfit(f"returned {shown(value)} for the reward; expected one finite number")
    return number


def _flag(name: str, value: Any) -> bool:
    is_flag = isinstance(value, bool | np.bool_ | int | np.integer | np.ndarray) and np.ndim(value) == 0
    if not (is_flag and value in (0, 1)):
        raise Misfit(f"returned {shown(value)} for {name}; expected True or False")
    return bool(value)


def _info(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise Misfit(f"returned {shown(value)} for the info; expected a dict")
    return value


class _Watched(gymnasium.Wrapper[Any, Any, Any, Any]):
    """An environment below Gymnasium's own wrappers, which take its values apart before anybody sees them."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        try:
            values = self.env.reset(seed=seed, options=options)
        except TypeError as error:
            raise _of_call(error, "reset(self, *, seed=None, options=None)") from error
        _parts(values, RESET)
        return values

    def step(self, action: Any) -> Any:
        try:
            values = self.env.step(action)
        except TypeError as error:
            raise _of_call(error, "step(self, action)") from error
        _parts(values, STEP)
        return values


def _of_call(error: TypeError, expected: str) -> Exception:
    """The same error, or `Misfit` if the method does not take the arguments: then nothing of it has run."""
    assert error.__traceback__
    inside = error.__traceback__.tb_next
    return error if inside else Misfit(f"cannot be called ({one_line(str(error))}); expected {expected}")


def watched(environment: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
    """The environment with checks of its values below the wrappers that Gymnasium puts around it."""
    if not _is_gymnasiums(environment):
        return _Watched(environment)
    layer = environment
    while _is_gymnasiums(layer.env):
        layer = layer.env
    layer.env = _Watched(layer.env)
    return environment


def _is_gymnasiums(environment: Any) -> TypeGuard[gymnasium.Wrapper[Any, Any, Any, Any]]:
    return isinstance(environment, gymnasium.Wrapper) and type(environment).__module__.startswith("gymnasium.")
