"""Regret: how far a run ends behind the best that any method reached on its task.

Two scales. In log units, `log q - log q*`: 0.1 is about ten per cent more loss; methods are
compared by it. Normalised, `(q - q*) / (q0 - q*)` clipped to [0, 1]: 0 is the best known, 1 is a
model that was not trained at all, or worse; comparable between tasks of any loss. Here `q` is the
test loss, `q*` the lowest of all methods, seeds and initial rates on the task, and `q0` the
validation loss before the first update, as no test loss is measured there. `q*` is the best that is
*known*: with more methods regrets can only grow. In families whose tasks all share one name,
`q*` is the best of them all.

Axes: `M` opponents, `E` runs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def best_known(log_losses: Array, tasks: NDArray[Any]) -> Array:
    """Return the lowest log loss on each run's task `[E]`, over opponents and runs `[M, E]`."""
    _, place = np.unique(tasks, return_inverse=True)
    lowest = np.full(int(place.max()) + 1, np.inf)
    np.minimum.at(lowest, place, log_losses.min(axis=0))
    return lowest[place]


def log_regret(log_losses: Array, tasks: NDArray[Any]) -> Array:
    """Return regrets in log units `[M, E]`, from 0 up.

    Args:
        log_losses: Log test losses `[M, E]`.
        tasks: Which task each run is of `[E]`.

    Example:
        >>> log_regret(np.array([[1.0, 0.0], [2.0, 3.0]]), np.array(["a", "b"])).tolist()
        [[0.0, 0.0], [1.0, 3.0]]
    """
    regret: Array = log_losses - best_known(log_losses, tasks)
    return regret


def normalised_regret(log_losses: Array, first_losses: Array, tasks: NDArray[Any]) -> Array:
    """Return regrets from 0, the best known, to 1, a model that was not trained `[M, E]`.

    Args:
        log_losses: Log test losses `[M, E]`.
        first_losses: Losses before the first update `[M, E]`, not their logarithms.
        tasks: Which task each run is of `[E]`.

    Example:
        >>> losses = np.log(np.array([[1.0], [2.0], [9.0]]))
        >>> normalised_regret(losses, np.full((3, 1), 5.0), np.array(["a"])).ravel().tolist()
        [0.0, 0.25, 1.0]
    """
    losses, best = np.exp(log_losses), np.exp(best_known(log_losses, tasks))
    to_gain = first_losses - best
    # Where training gains nothing at all, whatever is above the best is as bad as untrained.
    share = np.where(to_gain > 0.0, (losses - best) / np.where(to_gain > 0.0, to_gain, 1.0), np.inf)
    return np.where(losses <= best, 0.0, np.clip(share, 0.0, 1.0))
