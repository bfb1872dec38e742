"""Gymnasium's spaces in ML-Agents' terms: observations as sensors, actions as branches and numbers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from mlagents_envs.base_env import ObservationSpec
from numpy.typing import NDArray

from mlagents_player.errors import PlayerError, one_line
from mlagents_player.scenes.base import ActionSpec, vector_observation
from mlagents_player.sensors import picture

KNOWN = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)
ENDLESS = 1e30  # limits beyond it, as the largest float32, say that there is none
Path = tuple[Any, ...]
"""Keys and indices that lead from an observation to one leaf of it."""


class Misfit(PlayerError):
    """What an environment returned is not what its space or Gymnasium says; the text goes on after the call's name."""


@dataclass
class Sensor:
    """One leaf of an observation space.

    Attributes:
        spec: What the trainer is told of it.
        path: Where it lies in an observation.
        encode: Turns a value into an array of the specified shape, uint8 for pictures of bytes, else float32.
    """

    spec: ObservationSpec
    path: Path
    encode: Callable[[Any], NDArray[Any]]

    def read(self, observations: Sequence[Any]) -> NDArray[Any]:
        """[environments, *shape] from as many whole observations.

        Raises:
            Misfit: an observation lacks this leaf, or it is not in its space. Numbers beyond a Box's limits are
                taken as they are, as Gymnasium's own environments give them; categories are not.
        """
        return np.stack([self.encode(_follow(self.path, observation)) for observation in observations])


def sensors(space: spaces.Space[Any]) -> list[Sensor]:
    """A sensor for each leaf, in the space's own order.

    Raises:
        PlayerError: there is no leaf, or one is empty or of a kind that ML-Agents has no observation for.
    """
    found = [_sensor(leaf, path) for path, leaf in _leaves(space, ())]
    if not found:
        raise PlayerError(f"The observation space {space} is empty; ML-Agents needs at least one number.")
    return found


def _follow(path: Path, observation: Any) -> Any:
    value = observation
    for key in path:
        try:
            value = value[key]
        except (LookupError, TypeError) as error:
            raise Misfit(f"returned an observation without {_name(path)!r}: {shown(observation)}") from error
    return value


def _name(path: Path) -> str:
    return ".".join(map(str, path))


def _leaves(space: spaces.Space[Any], path: Path) -> Iterator[tuple[Path, spaces.Space[Any]]]:
    children: Any = ()
    if isinstance(space, spaces.Dict):
        children = space.spaces.items()
    elif isinstance(space, spaces.Tuple):
        children = enumerate(space.spaces)
    else:
        yield path, space
    for key, child in children:
        yield from _leaves(child, (*path, key))


def _sensor(space: spaces.Space[Any], path: Path) -> Sensor:
    name = _name(path) or None
    if not isinstance(space, KNOWN):
        raise PlayerError(
            f"Observations of the kind {type(space).__name__}{_at(path)} cannot be sent to ML-Agents; "
            "wrap the environment so that it gives Box, Discrete, MultiDiscrete, MultiBinary, Dict or Tuple."
        )
    if 0 in _shape(space):
        raise PlayerError(f"The observation space {space}{_at(path)} is empty; ML-Agents needs at least one number.")
    if isinstance(space, spaces.Box) and is_image(space):
        return _image_sensor(space, path, name or "Image")
    encode, size = _vector_encoder(space, path)
    return Sensor(vector_observation(size, name), path, encode)


def _at(path: Path) -> str:
    return f" at {_name(path)!r}" if path else ""


def _observation(path: Path) -> str:
    return f"the observation {_name(path)!r}" if path else "the observation"


def is_image(space: spaces.Box) -> bool:
    """Whether a box is a picture: three dimensions, or two of bytes."""
    return len(space.shape) == 3 or (len(space.shape) == 2 and space.dtype == np.uint8)


def _image_sensor(space: spaces.Box, path: Path, name: str) -> Sensor:
    """A visual sensor [channels, height, width]; the channels are the shorter of the first and the last axis."""
    shape = space.shape if len(space.shape) == 3 else (1, *space.shape)
    last = len(space.shape) == 3 and shape[2] <= shape[0]
    if last:
        shape = (shape[2], shape[0], shape[1])
    checked = _bytes(space.shape, path) if space.dtype == np.uint8 else _numbers(space, path)

    def encode(value: Any) -> NDArray[Any]:
        image = checked(value)
        return np.moveaxis(image, -1, 0) if last else image.reshape(shape)

    channels, height, width = shape
    return Sensor(picture(channels, height, width, name), path, encode)


def _vector_encoder(space: spaces.Space[Any], path: Path) -> tuple[Callable[[Any], NDArray[Any]], int]:
    """How to write a value as a vector of floats, and its size; categories are one-hot."""
    shape = _shape(space)
    if isinstance(space, spaces.Discrete):
        sizes, start = np.array(space.n), np.array(space.start)
    elif isinstance(space, spaces.MultiDiscrete):
        sizes, start = space.nvec, space.start
    else:
        numbers = _numbers(space, path)
        return lambda value: numbers(value).ravel(), int(np.prod(shape))
    categories = _whole(shape, start, start + sizes - 1, path)
    return lambda value: one_hot((categories(value) - start).reshape(1, -1), sizes.ravel())[0], int(sizes.sum())


def _shape(space: spaces.Space[Any]) -> tuple[int, ...]:
    return tuple(space.shape or ())


def _numbers(space: spaces.Space[Any], path: Path) -> Callable[[Any], NDArray[np.float32]]:
    """Checks for finite numbers, or for zeros and ones where the space has only these; keeps the shape."""
    shape = _shape(space)
    if isinstance(space, spaces.MultiBinary) or space.dtype == np.bool_:
        flags = _whole(shape, np.array(0), np.array(1), path)
        return lambda value: flags(value).astype(np.float32)
    expected = f"finite numbers of shape {shape}"

    def check(value: Any) -> NDArray[np.float32]:
        array = _array(value, shape, path, expected)
        with np.errstate(over="ignore"):
            found = array.astype(np.float32)
        _refuse(array, ~np.isfinite(found), path, expected)
        return found

    return check


def _bytes(shape: tuple[int, ...], path: Path) -> Callable[[Any], NDArray[np.uint8]]:
    whole = _whole(shape, np.array(0), np.array(255), path)

    def check(value: Any) -> NDArray[np.uint8]:
        at_once = isinstance(value, np.ndarray) and value.dtype == np.uint8 and value.shape == shape
        return value if at_once else whole(value).astype(np.uint8)

    return check


def _whole(shape: tuple[int, ...], low: NDArray[Any], high: NDArray[Any], path: Path) -> Callable[[Any], NDArray[Any]]:
    """Checks for whole numbers from low to high, both included: one that is outside is no other category."""
    limits = one_line(f"from {low.tolist()} to {high.tolist()}")
    expected = f"whole numbers {limits} of shape {shape}" if shape else f"a whole number {limits}"

    def check(value: Any) -> NDArray[Any]:
        array = _array(value, shape, path, expected)
        with np.errstate(invalid="ignore"):
            whole = np.rint(array) == array
        _refuse(array, ~(whole & (array >= low) & (array <= high)), path, expected)
        return array.astype(np.int64)

    return check


def _array(value: Any, shape: tuple[int, ...], path: Path, expected: str) -> NDArray[Any]:
    """The value as an array of numbers of this shape."""
    array = value if isinstance(value, np.ndarray) else _converted(value)
    if array is None or array.dtype.kind not in "biuf" or array.shape != shape:
        raise Misfit(f"returned {shown(value)} for {_observation(path)}; expected {expected}")
    return array


def _converted(value: Any) -> NDArray[Any] | None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # NumPy warns of rows of different lengths
        try:
            return np.asarray(value)
        except Exception:  # whatever somebody else's type raises
            return None


def _refuse(array: NDArray[Any], wrong: NDArray[np.bool_], path: Path, expected: str) -> None:
    """Raise `Misfit` with the first number that is wrong."""
    if np.any(wrong):
        first = np.argwhere(wrong)[0].tolist()
        where = f"at {first} of" if first else "for"
        raise Misfit(f"returned {array[tuple(first)]} {where} {_observation(path)}; expected {expected}")


def shown(value: Any) -> str:
    """A value in a few words: its shape if it is an array."""
    if isinstance(value, np.ndarray) and value.ndim:
        return f"an array of {value.dtype} of shape {value.shape}"
    return one_line(repr(value))


def one_hot(columns: NDArray[Any], sizes: Sequence[int] | NDArray[Any]) -> NDArray[np.float32]:
    """[n, sum of sizes] with a 1 for each of the categories [n, columns]."""
    coded = np.zeros((len(columns), int(np.sum(sizes))), np.float32)
    first = np.cumsum(sizes) - sizes
    np.put_along_axis(coded, (columns + first).astype(int), 1, axis=1)
    return coded


@dataclass
class Actuator:
    """An action space.

    Attributes:
        spec: What the trainer is told of it.
        decode: One agent's continuous and discrete actions to an action of the space.
    """

    spec: ActionSpec
    decode: Callable[[NDArray[np.float32], NDArray[np.int32]], Any]


def actuator(space: spaces.Space[Any]) -> Actuator:
    """How an action space is acted in.

    Raises:
        PlayerError: it is empty, or of a kind that ML-Agents has no actions for.
    """
    if not isinstance(space, KNOWN):
        raise PlayerError(
            f"Actions of the kind {type(space).__name__} cannot be given by ML-Agents; "
            "wrap the environment so that it takes Discrete, MultiDiscrete, MultiBinary or Box."
        )
    if 0 in _shape(space):
        raise PlayerError(f"The action space {space} is empty; ML-Agents needs at least one action.")
    if isinstance(space, spaces.Discrete):
        return Actuator(ActionSpec(0, (int(space.n),)), lambda _, branches: int(branches[0] + space.start))
    if isinstance(space, spaces.Box):
        size = int(np.prod(space.shape))
        return Actuator(ActionSpec(size, ()), lambda numbers, _: rescaled(numbers.reshape(space.shape), space))
    if isinstance(space, spaces.MultiBinary):
        return _branched(space, np.full(space.shape, 2), np.zeros(space.shape, int))
    return _branched(space, space.nvec, space.start)


def _branched(space: spaces.Space[Any], sizes: NDArray[Any], start: NDArray[Any]) -> Actuator:
    branches = tuple(int(size) for size in sizes.ravel())
    return Actuator(
        ActionSpec(0, branches), lambda _, chosen: (chosen.reshape(sizes.shape) + start).astype(space.dtype)
    )


def rescaled(numbers: NDArray[np.float32], box: spaces.Box) -> NDArray[Any]:
    """Actions from [-1, 1], which they are clipped to, to the box.

    Without bounds they stay as they are. A single bound clips them; one that leaves nothing of [-1, 1] moves that
    interval beside it, so that no action is the same for all numbers. Of whole numbers, and of 0 and 1 in a box of
    truth values, the nearest is taken.
    """
    wide = np.clip(numbers, -1, 1).astype(np.float64)
    low, high = _limits(box)
    bounded = np.isfinite(low) & np.isfinite(high)
    with np.errstate(invalid="ignore"):  # where there are no bounds
        inside = low + (wide + 1) / 2 * (high - low)
        moved = np.where(low >= 1, low + 1 + numbers, np.where(high <= -1, high - 1 + numbers, numbers))
    found = np.clip(np.where(bounded, inside, moved), low, high)
    return _nearest(found, box) if box.dtype.kind in "biu" else found.astype(box.dtype)


def _limits(box: spaces.Box) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lower and upper ends as float64; infinite too where they are the largest floats, which mean the same."""
    low, high = box.low.astype(np.float64), box.high.astype(np.float64)
    return (
        np.where(box.bounded_below & (low > -ENDLESS), low, -np.inf),
        np.where(box.bounded_above & (high < ENDLESS), high, np.inf),
    )


def _nearest(found: NDArray[np.float64], box: spaces.Box) -> NDArray[Any]:
    """The nearest whole number of a box; float64 cannot hold the ends of 64 bits, so these are the box's own."""
    whole = np.rint(found)
    below = np.where(whole < box.high, whole, 0).astype(box.dtype)
    return np.where(whole >= box.high, box.high, np.where(whole <= box.low, box.low, below)).astype(box.dtype)


def forbidden(allowed: Any, spec: ActionSpec) -> NDArray[np.bool_]:
    """`info["action_mask"]`, where 1 is allowed, as ML-Agents' mask, where True is forbidden.

    Args:
        allowed: One array for all branches, or a tuple with one array a branch.
        spec: The actions that are masked.

    Raises:
        Misfit: the mask has not one number for each action.
    """
    branches = allowed if isinstance(allowed, tuple) else (allowed,)
    parts = [part.ravel() for branch in branches if (part := _converted(branch)) is not None]
    if len(parts) < len(branches) or any(part.dtype.kind not in "biuf" for part in parts):
        raise Misfit(f'returned {shown(allowed)} for info["action_mask"]; expected 1 for what is allowed, else 0')
    mask = np.concatenate(parts)
    if len(mask) != sum(spec.discrete_branches):
        raise Misfit(
            f'returned an info["action_mask"] that has {len(mask)} numbers; the actions are '
            f"{sum(spec.discrete_branches)} in all"
        )
    return mask == 0
