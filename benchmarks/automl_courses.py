"""The estimators of boosting without their policy: along one course, tuned on the training tables.

What the policy adds to a `fit` is what is left when all else stays: the linear start, the cut at
the best round, the refit. So the same estimators are followed through by a policy that looks at
nothing, and keeps the learned start or goes along the course of `benchmarks/automl_tuning.py`.

Axes: `T` intervals, `H` hyperparameters.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.automl_tuning import CASES
from hpo_env.automl import ControlledBoostingClassifier, ControlledBoostingRegressor
from hpo_env.automl.fitting import SPACE
from hpo_env.controller import Controller
from hpo_env.integrations.boosting import usual_decisions
from hpo_env.policy import Policy, PolicyState
from hpo_env.tasks.automl.task import Target

Array = NDArray[np.float64]

TUNED = Path(__file__).parent / "results" / "automl" / "tuned.json"


@dataclass(frozen=True, kw_only=True)
class CoursePolicy(Policy):
    """Moves along a course, whatever is seen.

    Args:
        corrections: Of the values that a run begins at, in each interval `[T, H]`.
    """

    corrections: Array = field(default_factory=lambda: np.zeros((0, 0)))

    def start(self, num_lanes: int) -> PolicyState:
        """Remember that no interval is over."""
        return (np.zeros((num_lanes, 1), dtype=np.float32),)

    def step(
        self, observations: NDArray[np.floating[Any]], state: PolicyState
    ) -> tuple[Array, Array, PolicyState]:
        """Make the next move; see `Policy.step`."""
        done = int(state[0][0, 0])
        before = self.corrections[done - 1] if done else np.zeros(len(self.space))
        moves = (self.corrections[done] - before) / self.space.steps
        return moves[None], np.ones(1), (state[0] + 1.0,)


def along(policy: Policy, corrections: Array) -> Controller:
    """Return what follows a course with all else that a policy knows, as where runs begin.

    Raises:
        ValueError: The course is steeper than moves can be.
    """
    known = {one.name: getattr(policy, one.name) for one in fields(Policy)}
    steepest = np.abs(np.diff(corrections, axis=0, prepend=0.0)) / policy.space.steps
    if steepest.max() > 1.0:
        raise ValueError(f"a move of {steepest.max():.2f} largest moves is asked for")
    return Controller(CoursePolicy(**known, corrections=corrections))


def tuned_course(target: Target, num_rows: int, num_decisions: int) -> tuple[Array, Array]:
    """Return where the tuned course of a case begins `[H]`, and its corrections `[T, H]`.

    Args:
        target: What is predicted.
        num_rows: Rows that train.
        num_decisions: `T`.
    """
    case = next(case for case in CASES if case[0] == target and case[1] <= num_rows < case[2])
    written = json.loads(TUNED.read_text())["/".join(map(str, case))]["course"]
    ends = np.array([[end[name] for name in SPACE.names] for end in written])
    axis = SPACE.to_axis(ends)
    share = np.linspace(0.0, 1.0, num_decisions)[:, None]
    return ends[0], share * (axis[1] - axis[0])


def estimator(
    target: Target, num_rows: int, *, is_course: bool, rounds: int, **settings: Any
) -> Any:
    """Make an estimator that keeps the learned start, or goes along the tuned course.

    Args:
        target: What is predicted.
        num_rows: Rows that train.
        is_course: Whether it goes along the course.
        rounds: Of a run.
        **settings: Further ones of the estimator.
    """
    decisions = usual_decisions(rounds)
    begins, corrections = tuned_course(target, num_rows, decisions)
    if is_course:
        settings["initial"] = dict(zip(SPACE.names, begins.tolist(), strict=True))
    else:
        corrections = np.zeros_like(corrections)
    kind = _kind(target, lambda policy: along(policy, corrections))
    return kind(n_estimators=rounds, **settings)


def _kind(target: Target, follow: Callable[[Policy], Controller]) -> Any:
    usual: Any = (
        ControlledBoostingRegressor if target == "regression" else ControlledBoostingClassifier
    )

    class Following(usual):  # type: ignore[misc]
        def _controller(self) -> Controller:
            return follow(super()._controller().policy)

    return Following
