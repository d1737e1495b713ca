"""Runs N learners at once, on the kernel or on its NumPy twin.

Axes: `N` lanes, `n` of them, `H` hyperparameters, `M` measures, `C` columns, `F` features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hpo_env.seeding import stream
from hpo_env.tasks.base import Task, Trainer
from hpo_env.tasks.reinforcement.columns import COLUMNS, TELEMETRY
from hpo_env.tasks.reinforcement.learning_curve import LearningCurve
from hpo_env.tasks.reinforcement.measures import COLUMN
from hpo_env.tasks.reinforcement.measures import NAMES as MEASURES
from hpo_env.tasks.reinforcement.memory import Learner
from hpo_env.tasks.reinforcement.returns import regret
from hpo_env.tasks.reinforcement.task import ReinforcementTask
from hpo_env.telemetry import Telemetry

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

VALIDATION_EPISODES = 8
"""Episodes that the loss of an interval is measured on, the same in every interval of a run."""
TEST_EPISODES = 32


class Engine(Protocol):
    """What runs learners: the kernel, or its twin."""

    def begin(self, learners: Sequence[Learner], values: Array) -> Array:
        """Collect the first rollout under values `[n, H]`; return what it measured `[n, C]`."""

    def advance(self, learners: Sequence[Learner], values: Array) -> Array:
        """Run an interval under values `[n, H]`; return what it measured `[n, C]`."""

    def evaluate(
        self, learners: Sequence[Learner], num_episodes: int, seeds: NDArray[np.uint64]
    ) -> Array:
        """Play episodes from seeds `[n]`; return their returns `[n, num_episodes]`."""


class ReinforcementTrainer(Trainer):
    """N learners; see `Trainer` for the methods.

    The loss is the regret of the policy that acts as it learns, by drawing its actions, on episodes
    of its own; see `returns.regret`. It is privileged: nothing that is observed is made of it.

    Args:
        num_lanes: `N`.
        engine: What runs them.
    """

    def __init__(self, num_lanes: int, *, engine: Engine) -> None:
        self.engine = engine
        self.curve = LearningCurve(num_lanes)
        self._learners: list[Learner | None] = [None] * num_lanes
        self._seeds = np.zeros((2, num_lanes), dtype=np.uint64)  # of validation, of test
        self._before: list[Any] = [None] * num_lanes
        self._curve_before = self.curve.snapshot(np.arange(num_lanes))

    def reset(self, lanes: NDArray[np.int64], tasks: list[Task], seeds: list[int]) -> Telemetry:
        """Start new learners and collect their first rollouts under the initial values."""
        chosen: list[ReinforcementTask] = tasks  # type: ignore[assignment]
        learners = [Learner(task, seed) for task, seed in zip(chosen, seeds, strict=True)]
        for lane, learner, seed in zip(lanes, learners, seeds, strict=True):
            self._learners[lane] = learner
            self._seeds[:, lane] = [
                stream(seed, purpose).integers(2**63) for purpose in ("validation", "test")
            ]
        values = np.array([task.initial for task in tasks])
        measured = self.engine.begin(learners, values)
        facts = [task.facts for task in chosen]
        self.curve.begin(lanes, facts, measured[:, : len(MEASURES)], values)
        for lane, learner in zip(lanes, learners, strict=True):
            self._before[lane] = _copy(learner)
        return self._measure(lanes, measured)

    def advance(self, values: NDArray[np.float64]) -> tuple[Telemetry, NDArray[np.float64]]:
        """Learn from what was collected and collect anew; see `Trainer.advance`."""
        lanes = np.arange(len(self._learners))
        learners = self._chosen(lanes)
        self._before = [_copy(learner) for learner in learners]
        self._curve_before = self.curve.snapshot(lanes)
        measured = self.engine.advance(learners, values)
        self.curve.update(lanes, measured[:, : len(MEASURES)], values)
        return self._measure(lanes, measured), values.copy()

    def features(self, lanes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return what the run shows of itself `[n, F]`; see `features.FEATURES`."""
        return self.curve.features(lanes)

    def policy_divergence(self, lanes: NDArray[np.int64]) -> NDArray[np.float64]:
        """See `Trainer.policy_divergence`; A2C measures none."""
        return np.asarray(self.curve.measures[lanes, COLUMN["approx_kl"]])

    def test(self, lanes: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Play other episodes.

        Returns:
            Regret `[n]`, and the mean return `[n]`.
        """
        returns = self.test_returns(lanes)
        return self._regret(lanes, returns), returns

    def test_returns(self, lanes: Ints) -> Array:
        """Play the episodes of the test; their mean returns `[n]`."""
        return self._returns(lanes, TEST_EPISODES, purpose=1)

    def roll_back(self, lanes: NDArray[np.int64]) -> None:
        """Put back the last interval's start with its rollout, and empty the optimiser's memory."""
        for lane in lanes:
            (learner,) = self._chosen(np.array([lane]))
            random = learner.counters[0]
            _put_back(learner, self._before[lane])
            learner.counters[:2] = random, 0  # minibatches go on in their order; Adam starts anew
            for name in ("moment", "square"):
                learner.part(name)[:] = 0.0
        rows = {name: array[lanes] for name, array in self._curve_before.items()}
        self.curve.restore(lanes, rows)

    def snapshot(self, lanes: NDArray[np.int64]) -> Any:
        """Copy the learners of some lanes."""
        learners = self._chosen(lanes)
        return {
            "tasks": [learner.task for learner in learners],
            "memory": [_copy(learner) for learner in learners],
            "seeds": self._seeds[:, lanes].copy(),
            "curve": self.curve.snapshot(lanes),
        }

    def restore(self, lanes: NDArray[np.int64], snapshot: Any) -> None:
        """Put a snapshot of n lanes into n lanes."""
        for lane, task, memory in zip(lanes, snapshot["tasks"], snapshot["memory"], strict=True):
            learner = self._learners[lane] = Learner(task, 0)
            _put_back(learner, memory)
            self._before[lane] = _copy(learner)
        self._seeds[:, lanes] = snapshot["seeds"]
        self.curve.restore(lanes, snapshot["curve"])

    def _chosen(self, lanes: Ints) -> list[Learner]:
        found = [self._learners[lane] for lane in lanes]
        chosen = [learner for learner in found if learner is not None]
        assert len(chosen) == len(found), "lanes must be reset first"
        return chosen

    def _returns(self, lanes: Ints, num_episodes: int, *, purpose: int) -> Array:
        learners = self._chosen(lanes)
        returns = self.engine.evaluate(learners, num_episodes, self._seeds[purpose, lanes])
        # Summed one after the other: the same in any number of lanes.
        return np.add.accumulate(returns, axis=1)[:, -1] / num_episodes

    def _regret(self, lanes: Ints, returns: Array) -> Array:
        tasks = [learner.task for learner in self._chosen(lanes)]
        pairs = zip(tasks, returns, strict=True)
        return np.array([regret(task.environment, task.physics, value) for task, value in pairs])

    def _measure(self, lanes: Ints, measured: Array) -> Telemetry:
        telemetry = Telemetry.missing(len(lanes))
        weights = [learner.part("weights") for learner in self._chosen(lanes)]
        lost = np.array([not np.isfinite(row).all() for row in weights])
        returns = self._returns(lanes, VALIDATION_EPISODES, purpose=0)
        telemetry.validation_loss[:] = np.where(lost, np.nan, self._regret(lanes, returns))
        telemetry.validation_metric[:] = np.where(lost, np.nan, returns)
        for name in TELEMETRY:
            getattr(telemetry, name)[:] = measured[:, COLUMNS.index(name)]
        telemetry.diverged[:] = lost
        return telemetry


def _copy(learner: Learner) -> tuple[NDArray[np.float32], NDArray[np.uint64]]:
    return learner.numbers.copy(), learner.counters.copy()


def _put_back(learner: Learner, memory: tuple[NDArray[np.float32], NDArray[np.uint64]]) -> None:
    learner.numbers[:], learner.counters[:] = memory
