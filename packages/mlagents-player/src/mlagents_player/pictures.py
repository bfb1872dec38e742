"""Pictures as Unity's camera sensors send them: PNG files of three channels each, and what their channels mean."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Picture = NDArray[np.uint8]
"""[channels, height, width]."""

PNG_CHANNELS = 3
COMPRESSION = 1  # zlib's level; speed comes before size where the files stay on one machine


def compress(picture: Picture) -> bytes:
    """The picture's PNG files one after the other; `channel_mapping` says what their channels are."""
    mapping = channel_mapping(len(picture))
    nothing = np.zeros((1, *picture.shape[1:]), np.uint8)
    padded = np.concatenate([picture, nothing])[mapping]  # -1 takes the channel of zeros
    files = io.BytesIO()
    for channels in np.split(padded, len(mapping) // PNG_CHANNELS):
        image = Image.fromarray(np.ascontiguousarray(channels.transpose(1, 2, 0)))
        image.save(files, "PNG", compress_level=COMPRESSION)
    return files.getvalue()


def channel_mapping(channels: int) -> list[int]:
    """Which channel of the observation each channel of the files holds; -1 is none.

    One channel is sent as grey, in all three channels of a file, as Unity does; other numbers are filled up.
    """
    if channels == 1:
        return [0] * PNG_CHANNELS
    return [*range(channels), *[-1] * (-channels % PNG_CHANNELS)]


def to_floats(pictures: Picture) -> NDArray[np.float32]:
    """Pictures [..., channels, height, width] of bytes as the floats in [0, 1] that a trainer makes of them."""
    floats = pictures.astype(np.float32) / 255
    if pictures.shape[-3] > 1:
        return floats
    return (floats + floats + floats) / 3  # grey comes in three channels; their mean is not always the number itself
