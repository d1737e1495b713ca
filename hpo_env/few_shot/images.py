"""Images moved a little, and brought to one size: bilinear reading at places of a plane.

Axes: `n` images, `H` height, `W` width.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpo_env.few_shot.base import Array

Float64 = NDArray[np.float64]

_TURN = 0.12  # radians
_STRETCH = 0.12
_SHEAR = 0.15
_SHIFT = 0.06  # of half of the side


def warped(images: Array, transforms: Float64, side: int) -> Array:
    """Read images at the places of an affine transform.

    Args:
        images: `[n, H, W]`; outside of them is 0.
        transforms: `[n, 2, 3]`: the place to read, on axes that go from -1 to 1 down and right,
            is the first two columns times the place to write plus the last.
        side: Height and width of what is returned.

    Returns:
        `[n, side, side]`, float32.

    Example:
        >>> square = np.arange(4, dtype=np.float32).reshape(1, 2, 2)
        >>> same = np.array([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
        >>> warped(square, same, 2).tolist()
        [[[0.0, 1.0], [2.0, 3.0]]]
    """
    axis = (2.0 * np.arange(side) + 1.0) / side - 1.0
    down, right = np.meshgrid(axis, axis, indexing="ij")
    places = np.stack([down.ravel(), right.ravel(), np.ones(side * side)])
    read = transforms @ places  # [n, 2, side * side]
    height, width = images.shape[1:]
    row = (read[:, 0] + 1.0) * height / 2.0 - 0.5
    column = (read[:, 1] + 1.0) * width / 2.0 - 0.5
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    top = np.clip(np.floor(row), -1, height - 1)
    left = np.clip(np.floor(column), -1, width - 1)
    below = np.clip(row - top, 0.0, 1.0)
    beyond = np.clip(column - left, 0.0, 1.0)
    each = np.arange(len(images))[:, None]
    i, j = top.astype(np.int64) + 1, left.astype(np.int64) + 1
    found = (1.0 - below) * ((1.0 - beyond) * padded[each, i, j] + beyond * padded[each, i, j + 1])
    found += below * ((1.0 - beyond) * padded[each, i + 1, j] + beyond * padded[each, i + 1, j + 1])
    return np.asarray(found.reshape(-1, side, side), dtype=np.float32)


def jittered(images: Array, rng: np.random.Generator) -> Array:
    """Turn, stretch, shear and shift each image a little: `[n, side, side]` to the same."""
    count = len(images)
    turn, shear = (rng.uniform(-most, most, count) for most in (_TURN, _SHEAR))
    stretch = np.exp(rng.uniform(-_STRETCH, _STRETCH, (count, 2)))
    transforms = np.empty((count, 2, 3))
    transforms[:, 0, 0] = stretch[:, 0] * np.cos(turn)
    transforms[:, 0, 1] = -np.sin(turn) + shear
    transforms[:, 1, 0] = np.sin(turn)
    transforms[:, 1, 1] = stretch[:, 1] * np.cos(turn)
    transforms[:, :, 2] = rng.uniform(-_SHIFT, _SHIFT, (count, 2))
    return warped(images, transforms, images.shape[1])
