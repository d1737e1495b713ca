"""Splitting a continuous task parameter: interleaved bands, so that every split spans the range.

The logarithmic axis is cut into bands of a quarter decade. Of every four bands in a row two belong
to training, one to validation and one to test, so held-out values are new and not merely redrawn.
"""

from __future__ import annotations

import math

import numpy as np

from hpo_env.tasks.base import Split

_BANDS_PER_DECADE = 4
_OWNER: tuple[Split, ...] = ("train", "train", "validation", "test")


def band_owner(value: float) -> Split:
    """Return the split that a positive value belongs to.

    Example:
        >>> [band_owner(10**exponent) for exponent in (0.1, 0.3, 0.6, 0.9)]
        ['train', 'train', 'validation', 'test']
    """
    return _OWNER[math.floor(_BANDS_PER_DECADE * math.log10(value)) % len(_OWNER)]


def draw_banded(rng: np.random.Generator, low: float, high: float, split: Split) -> float:
    """Draw log-uniformly from the part of `[low, high]` that belongs to a split."""
    while True:  # a quarter or a half of the draws is kept
        value = float(np.exp(rng.uniform(np.log(low), np.log(high))))
        if band_owner(value) == split:
            return value
