"""Gymnasium's spaces in ML-Agents' terms: observations as sensors, actions as branches and numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from mlagents_envs.base_env import ObservationSpec
from numpy.typing import NDArray

from mlagents_player.errors import PlayerError
from mlagents_player.scenes.base import ActionSpec, vector_observation
from mlagents_player.sensors import picture

Path = tuple[Any, ...]
"""Keys and indices that lead from an observation to one leaf of it."""


@dataclass
class Sensor:
    """One leaf of an observation space.

    Attributes:
        spec: What the trainer is told of it.
        path: Where it lies in an observation.
        encode: Turns values of several environments into an array [environments, *shape].
    """

    spec: ObservationSpec
    path: Path
    encode: Callable[[Sequence[Any]], NDArray[Any]]

    def read(self, observations: Sequence[Any]) -> NDArray[Any]:
        """[environments, *shape] from as many whole observations."""
        return self.encode([_follow(self.path, observation) for observation in observations])


def sensors(space: spaces.Space[Any]) -> list[Sensor]:
    """A sensor for each leaf, in the space's own order.

    Raises:
        PlayerError: a leaf is of a kind that ML-Agents has no observation for.
    """
    return [_sensor(leaf, path) for path, leaf in _leaves(space, ())]


def _follow(path: Path, observation: Any) -> Any:
    for key in path:
        observation = observation[key]
    return observation


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
    name = ".".join(map(str, path)) or None
    if isinstance(space, spaces.Box) and is_image(space):
        return _image_sensor(space, path, name or "Image")
    encode, size = _vector_encoder(space)
    return Sensor(vector_observation(size, name), path, encode)


def is_image(space: spaces.Box) -> bool:
    """Whether a box is a picture: three dimensions, or two of bytes."""
    return len(space.shape) == 3 or (len(space.shape) == 2 and space.dtype == np.uint8)


def _image_sensor(space: spaces.Box, path: Path, name: str) -> Sensor:
    """A visual sensor [channels, height, width]; the channels are the shorter of the first and the last axis."""
    shape = space.shape if len(space.shape) == 3 else (1, *space.shape)
    last = len(space.shape) == 3 and shape[2] <= shape[0]
    if last:
        shape = (shape[2], shape[0], shape[1])
    kept = np.uint8 if space.dtype == np.uint8 else np.float32

    def encode(values: Sequence[Any]) -> NDArray[Any]:
        images = np.asarray(values, kept)
        return np.moveaxis(images, -1, 1) if last else images.reshape(-1, *shape)

    channels, height, width = shape
    return Sensor(picture(channels, height, width, name), path, encode)


def _vector_encoder(space: spaces.Space[Any]) -> tuple[Callable[[Sequence[Any]], NDArray[Any]], int]:
    """How to write values as a vector of floats, and its size; categories are one-hot."""
    if isinstance(space, spaces.Discrete):
        return lambda values: one_hot(np.reshape(values, (-1, 1)) - space.start, [int(space.n)]), int(space.n)
    if isinstance(space, spaces.MultiDiscrete):
        sizes = space.nvec.ravel()
        return lambda values: one_hot(flat(values) - space.start.ravel(), sizes), int(sizes.sum())
    if isinstance(space, spaces.Box | spaces.MultiBinary):
        return lambda values: flat(values).astype(np.float32), int(np.prod(space.shape))
    raise PlayerError(
        f"Observations of the kind {type(space).__name__} cannot be sent to ML-Agents; "
        "wrap the environment so that it gives Box, Discrete, MultiDiscrete, MultiBinary, Dict or Tuple."
    )


def flat(values: Sequence[Any]) -> NDArray[Any]:
    """[environments, size] of values of any one shape."""
    return np.asarray(values).reshape(len(values), -1)


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
        PlayerError: it is of a kind that ML-Agents has no actions for.
    """
    if isinstance(space, spaces.Discrete):
        return Actuator(ActionSpec(0, (int(space.n),)), lambda _, branches: int(branches[0] + space.start))
    if isinstance(space, spaces.MultiDiscrete):
        return _branched(space.nvec, space.start)
    if isinstance(space, spaces.MultiBinary):
        return _branched(np.full(space.shape, 2), np.zeros(space.shape, int))
    if isinstance(space, spaces.Box):
        size = int(np.prod(space.shape))
        return Actuator(ActionSpec(size, ()), lambda numbers, _: rescaled(numbers.reshape(space.shape), space))
    raise PlayerError(
        f"Actions of the kind {type(space).__name__} cannot be given by ML-Agents; "
        "wrap the environment so that it takes Discrete, MultiDiscrete, MultiBinary or Box."
    )


def _branched(sizes: NDArray[Any], start: NDArray[Any]) -> Actuator:
    branches = tuple(int(size) for size in sizes.ravel())
    return Actuator(ActionSpec(0, branches), lambda _, chosen: chosen.reshape(sizes.shape) + start)


def rescaled(numbers: NDArray[np.float32], box: spaces.Box) -> NDArray[Any]:
    """Actions from [-1, 1], which they are clipped to, to the box; where it has no bounds, as they are.

    Whole numbers, in a box that has those only, are the nearest.
    """
    bounded = np.isfinite(box.low) & np.isfinite(box.high)
    low, high = np.where(bounded, box.low, -1.0), np.where(bounded, box.high, 1.0)
    inside = low + (np.clip(numbers, -1, 1) + 1) / 2 * (high - low)
    found = np.where(bounded, inside, np.clip(numbers, box.low, box.high))
    return (np.rint(found) if np.issubdtype(box.dtype, np.integer) else found).astype(box.dtype)


def forbidden(allowed: Any, spec: ActionSpec) -> NDArray[np.bool_]:
    """`info["action_mask"]`, where 1 is allowed, as ML-Agents' mask, where True is forbidden.

    Args:
        allowed: One array for all branches, or a tuple with one array a branch.
        spec: The actions that are masked.

    Raises:
        PlayerError: the mask has not one number for each action.
    """
    mask = np.concatenate([np.ravel(part) for part in allowed]) if isinstance(allowed, tuple) else np.ravel(allowed)
    if len(mask) != sum(spec.discrete_branches):
        raise PlayerError(
            f'info["action_mask"] has {len(mask)} numbers; the actions are {sum(spec.discrete_branches)} in all.'
        )
    return mask == 0
