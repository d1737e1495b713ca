"""ULTHO: a bandit that tries values of one hyperparameter after another within a single run.

Yuan et al. (ULTHO: Ultra-Lightweight yet Efficient Hyperparameter Optimization in Deep
Reinforcement Learning, arXiv:2503.06101). A bandit with clustered arms: a cluster is a
hyperparameter, its arms are a few values of it. In each interval a cluster is chosen by its upper
confidence bound, then one of its arms by theirs; what an arm is worth is the mean of what was
measured when it was last chosen. The other hyperparameters keep what was chosen for them before.

Axes: `N` lanes, `H` hyperparameters of the family, `A` arms.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.hyperparameters import HyperparameterSpace
from hpo_env.telemetry import Telemetry

from .base import Instance, Opponent, Outcome, Prepared, Setup
from .driving import Choose, run_once
from .lanes import Lanes, Workload

Array = NDArray[np.float64]

EXPLORATION = 0.5
"""Weight of the confidence bound: the default of the authors' code, whose rewards are normalised as
the ones here are."""
WINDOW = 10
"""Choices of an arm over whose worth the mean is taken; the default of the authors' code."""
FACTORS = (-1.0, 0.0, 1.0)
"""Arms of a hyperparameter, in steps of a controller from the user's value: three of them, the
user's own in the middle, as in the paper."""


class UpperConfidence:
    """One bandit: the arm with the highest sum of mean worth and confidence bound.

    An arm `i` is given `mean_i + c * sqrt(log t / n_i)`, where `t` and the `n_i` begin at 1, so
    that the first arm is chosen first.

    Args:
        num_arms: `A`.

    Example:
        >>> bandit = UpperConfidence(2)
        >>> chosen = []
        >>> for _ in range(6):
        ...     chosen.append(bandit.choose())
        ...     bandit.learn(1.0 if chosen[-1] == 1 else 0.0)
        >>> chosen
        [0, 1, 1, 1, 1, 1]
    """

    def __init__(self, num_arms: int) -> None:
        self._counts = np.ones(num_arms)
        self._means = np.zeros(num_arms)
        self._worth: list[deque[float]] = [deque(maxlen=WINDOW) for _ in range(num_arms)]
        self._total = 1
        self._chosen = 0

    def choose(self) -> int:
        """Return the arm to try next, the first of several that are equally good."""
        bounds = EXPLORATION * np.sqrt(np.log(self._total) / self._counts)
        self._chosen = int(np.argmax(self._means + bounds))
        return self._chosen

    def learn(self, worth: float) -> None:
        """Take in what the arm that was chosen last was worth, in [0, 1]."""
        self._total += 1
        self._counts[self._chosen] += 1
        self._worth[self._chosen].append(worth)
        self._means[self._chosen] = np.mean(self._worth[self._chosen])


class ClusteredBandit:
    """The bandit of one run.

    What an interval was worth is the place of its validation loss between the worst and the best of
    the run so far, 1 at the best. For a loss that is a regret this is the same as the place of the
    return, so nothing is known here of the best return there is.

    Args:
        space: The family's hyperparameters.
        clusters: Columns of those that are tried.
        initial: The user's values `[H]`.
        first_loss: Validation loss before the first update; NaN where there was none.
    """

    def __init__(
        self,
        space: HyperparameterSpace,
        clusters: Sequence[int],
        initial: Array,
        first_loss: float,
    ) -> None:
        self.values = initial.copy()
        self._clusters = list(clusters)
        self._arms = [_arms(space, column, initial) for column in clusters]
        self._of_clusters = UpperConfidence(len(self._clusters))
        self._of_arms = [UpperConfidence(len(arms)) for arms in self._arms]
        self._chosen = 0
        self._best = self._worst = first_loss

    def choose(self) -> Array:
        """Choose a hyperparameter and a value for it; return the values of the interval `[H]`."""
        self._chosen = self._of_clusters.choose()
        arm = self._of_arms[self._chosen].choose()
        self.values[self._clusters[self._chosen]] = self._arms[self._chosen][arm]
        return self.values

    def learn(self, loss: float) -> None:
        """Take in the validation loss at the interval's end; NaN or infinity is worth nothing."""
        worth = self._worth(loss)
        self._of_clusters.learn(worth)
        self._of_arms[self._chosen].learn(worth)

    def _worth(self, loss: float) -> float:
        if not np.isfinite(loss):
            return 0.0
        self._best, self._worst = np.fmin(self._best, loss), np.fmax(self._worst, loss)
        span = self._worst - self._best
        return float((self._worst - loss) / span) if span > 0.0 else 0.0


def _arms(space: HyperparameterSpace, column: int, initial: Array) -> list[float]:
    """Return the values of one hyperparameter, the user's own first."""
    moves = np.zeros((len(FACTORS), len(space)))
    moves[:, column] = np.array(FACTORS) * space.steps[column]
    values = space.values(np.tile(initial, (len(FACTORS), 1)), moves)[:, column]
    own = float(initial[column])
    return [own, *sorted({float(v) for v in values} - {own})]


@dataclass(frozen=True, kw_only=True)
class ClusteredBandits(Opponent):
    """One run from the user's values, in which a clustered bandit chooses.

    Args:
        hyperparameters: Those that opponents may choose.
    """

    hyperparameters: tuple[str, ...]

    def identity(self) -> dict[str, Any]:
        """See `Opponent.identity`."""
        return super().identity() | {
            "hyperparameters": list(self.hyperparameters),
            "exploration": EXPLORATION,
            "window": WINDOW,
            "factors": list(FACTORS),
        }

    def run(
        self, workload: Workload, instances: Sequence[Instance], prepared: Prepared
    ) -> list[Outcome]:
        """See `Opponent.run`."""
        return run_once(workload, instances, self._start)

    def _start(self, lanes: Lanes) -> Choose:
        columns = [lanes.space.index(name) for name in self.hyperparameters]
        bandits = [
            ClusteredBandit(lanes.space, columns, initial, float(loss))
            for initial, loss in zip(lanes.initial, lanes.losses, strict=True)
        ]

        def choose(lanes: Lanes, telemetry: Telemetry | None) -> Array:
            if telemetry is not None:
                for bandit, loss in zip(bandits, telemetry.validation_loss, strict=True):
                    bandit.learn(float(loss))
            return np.array([bandit.choose() for bandit in bandits])

        return choose


def ultho(name: str, setup: Setup) -> Opponent:
    """ULTHO over the hyperparameters that opponents may choose, from the user's own values."""
    return ClusteredBandits(name=name, hyperparameters=setup.hyperparameters)
