"""How near a method comes to the best that can be, in the two families where that is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from agents.evaluation.methods import Act, Method
from agents.evaluation.protocol import Results
from agents.evaluation.statistics import check_paired
from hpo_env.errors import ConfigurationError
from hpo_env.hyperparameters import HyperparameterSpace
from hpo_env.tasks.base import Task
from hpo_env.tasks.local_level import LocalLevelTask, kalman_gain
from hpo_env.tasks.quadratic import QuadraticTask, optimal_rates
from hpo_env.vector_env import HPOControlVectorEnv


class KalmanGain(Method):
    """Knows the noise ratio, and keeps the steady-state Kalman gain of it.

    The method that `local_level_error_ratio` takes for its oracle.
    """

    name = "kalman_gain"
    base_schedule = "constant"
    hyperparameters = None

    def prepare(self, task: Task, space: HyperparameterSpace) -> Task:
        """Start at the gain."""
        return replace(task, initial=(kalman_gain(_local_level(task).noise_ratio),))

    def start(self, env: HPOControlVectorEnv, seed: int) -> Act:
        """Do nothing."""
        nothing = np.zeros((env.num_envs, len(env.controlled)))
        return lambda observations: nothing


def quadratic_drop_share(results: Results) -> float:
    """Return the mean fall of the log loss as a share of that under the optimal rates.

    The optimum is the closed form of `quadratic.optimal_rates`, an expectation over the minibatch
    noise. A single run may be luckier than that; the mean over many is not.

    Args:
        results: Of family "quadratic".

    Raises:
        ConfigurationError: The runs are of another family.
    """
    optimal = np.array([_optimal_log_loss(task) for task in results.tasks])
    first = np.log(results.first_loss)
    return float((first - results.log_test_loss).mean() / (first - optimal).mean())


def local_level_error_ratio(results: Results, oracle: Results) -> float:
    """Return the forecast error over that at the Kalman gain on the same series: 1 is optimal.

    The error is that of the last interval on test series, and the ratio is the geometric mean.

    Args:
        results: Of family "local_level".
        oracle: Of `KalmanGain` on the same tasks and seeds.

    Raises:
        ConfigurationError: The runs are of another family, or not the same.
    """
    for task in results.tasks:
        _local_level(task)
    check_paired(results, oracle)
    return float(np.exp((results.log_test_loss - oracle.log_test_loss).mean()))


def _optimal_log_loss(task: Task) -> float:
    if not isinstance(task, QuadraticTask):
        raise ConfigurationError(f"the optimum is known of family 'quadratic' only; got {task}")
    return float(np.log(optimal_rates(task)[1][-1]))


def _local_level(task: Task) -> LocalLevelTask:
    if not isinstance(task, LocalLevelTask):
        raise ConfigurationError(f"the gain is known of family 'local_level' only; got {task}")
    return task
