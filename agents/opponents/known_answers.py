"""How near an opponent comes to the best that can be, in the families where that is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpo_env.errors import ConfigurationError
from hpo_env.tasks import quadratic, schedule_law
from hpo_env.tasks.base import Task
from hpo_env.tasks.local_level import LocalLevelTask, kalman_gain
from hpo_env.tasks.quadratic import QuadraticTask
from hpo_env.tasks.schedule_law import ScheduleLawTask

from .base import Instance, Opponent, Outcome, Prepared
from .driving import run_once
from .lanes import Workload, with_initial


@dataclass(frozen=True, kw_only=True)
class KalmanGain(Opponent):
    """Knows the noise ratio, and keeps the steady-state Kalman gain of it.

    What `local_level_error_ratios` takes for its oracle.
    """

    name: str = "kalman_gain"

    def canonical(self, instance: Instance, workload: Workload) -> Instance:
        """Start at the gain."""
        gain = kalman_gain(_local_level(instance.task).noise_ratio)
        return with_initial(instance, np.array([gain]))

    def run(
        self, workload: Workload, instances: Sequence[Instance], prepared: Prepared
    ) -> list[Outcome]:
        """See `Opponent.run`."""
        at_gain = [self.canonical(instance, workload) for instance in instances]
        return run_once(workload, at_gain, lambda lanes: lambda lanes, telemetry: lanes.initial)


def drop_share(instances: Sequence[Instance], outcomes: Sequence[Outcome]) -> float:
    """Return the mean fall of the log loss as a share of that under the best course of rates.

    The best course is that of `quadratic.optimal_rates`, an expectation over the minibatch noise,
    or of `schedule_law.optimal_rates`. A single run of the quadratic may be luckier than that; the
    mean over many is not.

    Args:
        instances: Of families "quadratic" or "schedule_law".
        outcomes: What was reached on each.

    Raises:
        ConfigurationError: The runs are of another family.
    """
    optimal = np.array([_optimal_log_loss(instance.task) for instance in instances])
    first = np.log([outcome.first_loss for outcome in outcomes])
    last = np.array([outcome.log_test_loss() for outcome in outcomes])
    return float((first - last).mean() / (first - optimal).mean())


def local_level_error_ratios(
    instances: Sequence[Instance], outcomes: Sequence[Outcome], oracle: Sequence[Outcome]
) -> NDArray[np.float64]:
    """Return forecast errors over those at the Kalman gain on the same series: 1 is optimal.

    The error is that of the last interval on test series.

    Args:
        instances: Of family "local_level", E.
        outcomes: What was reached on each.
        oracle: What `KalmanGain` reached on each.

    Returns:
        Ratios `[E]`.

    Raises:
        ConfigurationError: The runs are of another family.
    """
    for instance in instances:
        _local_level(instance.task)
    pairs = zip(outcomes, oracle, strict=True)
    return np.exp([one.log_test_loss() - best.log_test_loss() for one, best in pairs])


def _optimal_log_loss(task: Task) -> float:
    if isinstance(task, QuadraticTask):
        return float(np.log(quadratic.optimal_rates(task)[1][-1]))
    if isinstance(task, ScheduleLawTask):
        return float(np.log(schedule_law.optimal_rates(task)[1]))
    raise ConfigurationError(
        f"the optimum is known of families 'quadratic' and 'schedule_law'; got {task}"
    )


def _local_level(task: Task) -> LocalLevelTask:
    if not isinstance(task, LocalLevelTask):
        raise ConfigurationError(f"the gain is known of family 'local_level' only; got {task}")
    return task
