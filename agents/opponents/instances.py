"""One run that every opponent is given, and what an opponent reached on it.

Axes: `T` decision intervals, `K` trials, `H` hyperparameters of the family.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpo_env.reward import LOSS_FLOOR, bounded_log_loss
from hpo_env.seeding import draw_episode_seed, stream
from hpo_env.tasks.base import Task

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Instance:
    """One run that every opponent is given.

    Args:
        task: What to train, with the user's own initial values.
        seed: From which weights, minibatches and an opponent's draws follow.
    """

    task: Task
    seed: int

    @property
    def lane_seed(self) -> int:
        """The seed of the run's lane: equal for all opponents and for all initial values."""
        return lane_seed(self.task, self.seed)

    def rng(self, *names: str | int) -> np.random.Generator:
        """Return a generator of an opponent's own draws; other names, independent draws."""
        return stream(self.lane_seed, "opponent", *names)


def lane_seed(task: Task, seed: int) -> int:
    """Return the seed of a lane: a function of the seed and of the task but its initial values.

    Repetitions of a task from several initial values so get the same weights and minibatches.
    """
    data = {key: value for key, value in task.to_json().items() if key != "initial"}
    return draw_episode_seed(stream(seed, "lane", json.dumps(data, sort_keys=True)))


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """What an opponent reached on one instance, and what it cost.

    Args:
        first_loss: Validation loss before the first update.
        last_loss: Validation loss at the end of the run that the opponent returns; NaN if diverged.
        test_loss: Test loss of that run; NaN if diverged.
        test_metric: Accuracy or R² of that run on test rows; NaN where there is none.
        diverged: Whether that run, the best there was, diverged.
        hyperparameters: Effective values in each interval of that run `[T]`, by name; through its
            forks, if it was forked. NaN after a divergence.
        validation_loss: Validation loss after each of its intervals `[T]`.
        trial_validation_loss: Validation loss at the end of each trial `[K]`, in the order in which
            they ended; NaN where a trial diverged. One-run opponents have one trial.
        trial_test_loss: Test loss at the end of each trial `[K]`, NaN where diverged.
        trial_intervals: Decision intervals that each trial's run went through `[K]`.
        spent_updates: Inner updates of all trials together when each of them ended `[K]`.
        num_updates: Inner updates of all trials together.
        train_seconds: Wall-clock in training and validation; runs that train together share it.
        overhead_seconds: Wall-clock in the opponent's own decisions.
    """

    first_loss: float
    last_loss: float
    test_loss: float
    test_metric: float
    diverged: bool
    hyperparameters: dict[str, Array]
    validation_loss: Array
    trial_validation_loss: Array
    trial_test_loss: Array
    trial_intervals: NDArray[np.int64]
    spent_updates: NDArray[np.int64]
    num_updates: int
    train_seconds: float
    overhead_seconds: float

    def log_test_loss(self, floor: float = LOSS_FLOOR) -> float:
        """Return what opponents are compared by; a divergence counts as in the reward."""
        return self._bounded(self.test_loss, floor)

    def log_last_loss(self, floor: float = LOSS_FLOOR) -> float:
        """Return the same of validation, which tuning may look at."""
        return self._bounded(self.last_loss, floor)

    def _bounded(self, loss: float, floor: float) -> float:
        bounded = bounded_log_loss(
            np.array([loss]),
            first_loss=np.array([self.first_loss]),
            diverged=np.array([self.diverged]),
            floor=floor,
        )
        return float(bounded[0])
