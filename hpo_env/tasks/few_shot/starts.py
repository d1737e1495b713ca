"""Values that a run starts with: the learned rates as they are, or anything near and far.

Axes: `H` hyperparameters.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hpo_env.hyperparameters import HyperparameterSpace

Start = Literal["default", "random", "mixed"]

_DEFAULT_SHARE = 0.75  # of mixed starts: most users change nothing
_SPREAD = 0.2
"""Standard deviation of random starts, in whole ranges, on each hyperparameter's own axis."""


def draw_start(
    rng: np.random.Generator, start: Start, space: HyperparameterSpace
) -> NDArray[np.float64]:
    """Draw initial values `[H]`.

    Args:
        rng: Where they are drawn from.
        start: Which; "mixed" is the defaults three times in four.
        space: All hyperparameters of the family.
    """
    is_default = start == "default" or (start == "mixed" and rng.random() < _DEFAULT_SHARE)
    if is_default:
        return space.defaults.copy()
    low, high = space.to_axis(np.stack([space.low, space.high]))
    moved = space.values(space.defaults, _SPREAD * (high - low) * rng.standard_normal(len(space)))
    return np.clip(moved, space.low, space.high)
