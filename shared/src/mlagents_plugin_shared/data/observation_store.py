"""Observations of a replay, pictures in 8 bits."""

import numpy as np
from mlagents_envs.logging_util import get_logger

from mlagents_plugin_shared.data.memory import check_fits, format_bytes

logger = get_logger(__name__)

# A picture of 8 bits has values k / 255. ML-Agents averages equal channels, which rounds the last digit.
_TOLERANCE = 1e-6


def stored_dtype(shape: tuple[int, ...]) -> np.dtype:
    """Type in which observations of this shape are stored at first: pictures, [C, H, W], as uint8."""
    return np.dtype(np.uint8 if len(shape) == 3 else np.float32)


class ObservationStore:
    """Observations of one sensor: `capacity` rows of a ring, and aside those after the ends of segments.

    Index r < capacity is a row of the ring, index capacity + s the observation in slot s of the store aside, which
    doubles when it is full.

    Pictures are stored as uint8 and given back as float32 in [0, 1], exactly as ML-Agents decodes them. The first one
    that did not come from 8 bits turns the whole store into float32, with a warning.
    """

    def __init__(self, capacity: int, shape: tuple[int, ...]) -> None:
        dtype = stored_dtype(shape)
        self.ring = np.zeros((capacity, *shape), dtype)
        self.aside = np.zeros((16, *shape), dtype)

    @property
    def nbytes(self) -> int:
        """Bytes of both arrays."""
        return self.ring.nbytes + self.aside.nbytes

    @property
    def holds_pixels(self) -> bool:
        """Whether the observations are stored as uint8."""
        return self.ring.dtype == np.uint8

    def encode(self, observations: np.ndarray) -> np.ndarray:
        """[T, ...] observations as they are stored; the store becomes float32 if they cannot be stored as uint8.

        Pictures may also be given as uint8, 0 to 255.

        Raises:
            BufferMemoryError: it would have to, and does not fit into the free memory.
        """
        if observations.dtype == np.uint8 and self.ring.ndim == 4:
            return observations if self.holds_pixels else from_pixels(observations)
        if not self.holds_pixels:
            return observations
        pixels = to_pixels(observations)
        if pixels is None:
            self.widen()
            return observations
        return pixels

    def widen(self) -> None:
        """Turns a store of pixels into one of float32."""
        if not self.holds_pixels:
            return
        size = 4 * int(np.prod(self.ring.shape[1:]))
        check_fits(len(self.ring), size)
        logger.warning(
            f"Pictures of shape {self.ring.shape[1:]} do not come from 8 bits: the replay stores them as float32 and "
            f"takes up to {format_bytes(len(self.ring) * size)} for them."
        )
        self.ring, self.aside = from_pixels(self.ring), from_pixels(self.aside)

    def take(self, index: np.ndarray, ends: np.ndarray | None = None) -> np.ndarray:
        """[B, ...] float32 copies of the observations at `index`, [B]; `ends` says which of them lie aside."""
        observations = self.ring.take(index, axis=0, mode="clip")
        if ends is not None and ends.size:
            observations[ends] = self.aside[index[ends] - len(self.ring)]
        return from_pixels(observations) if self.holds_pixels else observations

    def set_aside(self, slot: int, encoded: np.ndarray) -> None:
        """Keeps an observation after which no transition follows; the array doubles where the slot is new."""
        if slot >= len(self.aside):
            self.aside = np.concatenate([self.aside, np.zeros_like(self.aside)])
        self.aside[slot] = encoded


def to_pixels(pictures: np.ndarray) -> np.ndarray | None:
    """Pictures in 8 bits; None if one of them did not come from 8 bits.

    Args:
        pictures: [T, C, H, W] float32 in [0, 1].

    Returns:
        [T, C, H, W] uint8.
    """
    pixels = np.empty(pictures.shape, np.uint8)
    scratch = np.empty(pictures.shape[1:], np.float32)
    with np.errstate(invalid="ignore", over="ignore"):  # NaN and infinity fail the comparisons
        for picture, stored in zip(pictures, pixels, strict=True):  # one at a time stays in the cache
            np.multiply(picture, np.float32(255), out=scratch)
            scratch += np.float32(0.5)
            stored[:] = scratch
            np.divide(stored, np.float32(255), out=scratch)
            scratch -= picture
            error = scratch.ravel()
            if error @ error != 0 and not max(error.max(), -error.min()) < _TOLERANCE:
                return None
    return pixels


def from_pixels(pixels: np.ndarray) -> np.ndarray:
    """The float32 numbers in [0, 1] that ML-Agents decodes from 8 bits.

    Args:
        pixels: uint8 of any shape.
    """
    return np.divide(pixels, 255, dtype=np.float32)
