"""One opponent's runs in the form that the closing analysis reads."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.opponents.instances import lane_seed
from hpo_env.reward import bounded_log_loss
from hpo_env.tasks.base import Task

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Results:
    """What one method reached; entry `e` of every array is the same lane for every method.

    Args:
        method: Its name.
        tasks: The tasks as they were given, before the method changed the initial values, E.
        seeds: `[E]`.
        first_loss: Validation loss before the first update `[E]`.
        last_loss: Validation loss at the end `[E]`; NaN where diverged.
        test_loss: Test loss at the end `[E]`; may be anything where diverged.
        test_metric: Accuracy or R² on test rows `[E]`; NaN where the family has none.
        diverged: bool `[E]`.
        hyperparameters: Effective values in each interval `[E, T]`, by name; NaN after the end.
        validation_loss: Validation loss after each interval `[E, T]`; NaN after the end.
    """

    method: str
    tasks: tuple[Task, ...]
    seeds: NDArray[np.int64]
    first_loss: Array
    last_loss: Array
    test_loss: Array
    test_metric: Array
    diverged: NDArray[np.bool_]
    hyperparameters: dict[str, Array]
    validation_loss: Array

    def __len__(self) -> int:
        return len(self.tasks)

    @property
    def names(self) -> NDArray[np.str_]:
        """Names of the tasks `[E]`: the data set in supervised learning."""
        return np.array([task.name for task in self.tasks])

    @property
    def architectures(self) -> NDArray[np.str_]:
        """Architectures `[E]`; empty in families without."""
        return np.array([task.labels.get("architecture", "") for task in self.tasks])

    @property
    def optimizers(self) -> NDArray[np.str_]:
        """Optimisers `[E]`; empty in families without."""
        return np.array([task.labels.get("optimizer", "") for task in self.tasks])

    def initial(self, column: int) -> Array:
        """Return the given initial value of one of the family's hyperparameters `[E]`."""
        return np.array([task.initial[column] for task in self.tasks])

    @property
    def units(self) -> NDArray[np.str_]:
        """What each run is a repetition of `[E]`: runs that differ in initial values alone agree.

        Such runs share data, weights and minibatches, so they are not independent, and resampling
        has to keep them together.
        """
        pairs = zip(self.tasks, self.seeds, strict=True)
        return np.array([str(lane_seed(task, int(seed))) for task, seed in pairs])

    @property
    def log_test_loss(self) -> Array:
        """Log test losses `[E]`, what methods are compared by. Lower is better.

        A diverged run is given the first validation loss times `exp(DIVERGENCE_LOG_RATIO + 1)`, the
        loss that the reward gives it, and no finished run is given more.
        """
        return self._log_loss(self.test_loss)

    @property
    def log_last_loss(self) -> Array:
        """Log final validation losses `[E]`, divergence as in `log_test_loss`; for tuning."""
        return self._log_loss(self.last_loss)

    def _log_loss(self, loss: Array) -> Array:
        return bounded_log_loss(loss, first_loss=self.first_loss, diverged=self.diverged)

    def take(self, rows: NDArray[Any]) -> Results:
        """Return some of the runs, by index or by mask."""
        index = np.arange(len(self))[rows]
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        changed = {n: v[index] for n, v in values.items() if isinstance(v, np.ndarray)}
        changed["tasks"] = tuple(self.tasks[e] for e in index)
        changed["hyperparameters"] = {n: v[index] for n, v in self.hyperparameters.items()}
        return Results(**(values | changed))
