"""LightGBM as the engine: what the native booster is measured against, and what users have.

A lane is the list of what was done to it. LightGBM saves no state of its bags, so a snapshot is
that list, and restoring one grows the trees again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.errors import ConfigurationError, MissingExtraError
from hpo_env.tasks.automl.boosters import Array, Boosters, Lanes, Rounds
from hpo_env.tasks.automl.problem import Problem, loss_of, metric_of, problem_of
from hpo_env.tasks.automl.space import HYPERPARAMETERS, LIBRARY_NAMES, to_lightgbm
from hpo_env.tasks.automl.task import AutomlTask

METRICS = {"regression": "rmse", "binary": "binary_logloss", "multiclass": "multi_logloss"}
_OBJECTIVES = {"regression": "regression", "binary": "binary", "multiclass": "multiclass"}
_LINEAR = tuple(h.name for h in HYPERPARAMETERS).index("linear_shrinkage")


def library_parameters(problem: Problem, seed: int) -> dict[str, Any]:
    """Return LightGBM's parameters for a problem, before any hyperparameter is written."""
    parameters: dict[str, Any] = {
        "objective": _OBJECTIVES[problem.target],
        "metric": METRICS[problem.target],
        "verbosity": -1,
        "num_threads": 1,
        "force_row_wise": True,  # which of the two layouts is faster is timed, else
        "deterministic": True,
        "feature_pre_filter": False,  # or a leaf's fewest rows could not be lowered
        "bagging_freq": 1,
        "seed": seed % 2**31,
    }
    if problem.target == "multiclass":
        parameters["num_class"] = problem.num_classes
    return parameters


@dataclass
class _Lane:
    """One booster and what was done to it: values and rounds, those taken away counting below 0."""

    task: AutomlTask
    seed: int
    problem: Problem
    booster: Any
    scores: Array  # of test rows [R, K]
    done: list[tuple[tuple[float, ...], int]] = field(default_factory=list)


class LightGBMBoosters(Boosters):
    """N boosters of LightGBM, one after the other.

    Args:
        num_lanes: `N`.

    Raises:
        MissingExtraError: LightGBM is not installed.
    """

    def __init__(self, num_lanes: int) -> None:
        try:
            import lightgbm
        except ImportError as error:
            raise MissingExtraError(
                "engine 'reference' of task family 'automl' is LightGBM itself: "
                "pip install 'hpo-control[boost]'"
            ) from error
        self._library = lightgbm
        self._lanes: list[_Lane | None] = [None] * num_lanes

    def start(self, lanes: Lanes, tasks: list[AutomlTask], seeds: list[int]) -> Rounds:
        """See `Boosters.start`."""
        rows = []
        for place, task, seed in zip(lanes, tasks, seeds, strict=True):
            lane = self._lanes[place] = self._lane(task, seed)
            rows.append([constant_losses(lane.problem)])
        return _rounds(rows)

    def advance(self, values: Array, num_rounds: NDArray[np.int64], best: Array) -> Rounds:
        """See `Boosters.advance`."""
        rows = []
        for lane, row, count in zip(self._lanes, values, num_rounds, strict=True):
            assert lane is not None
            lane.done.append((tuple(row.tolist()), int(count)))
            rows.append(self._grow(lane, row, int(count)))
        return _rounds(rows)

    def snapshot(self, lanes: Lanes) -> list[tuple[AutomlTask, int, list[Any]]]:
        """See `Boosters.snapshot`."""
        chosen = [self._lanes[lane] for lane in lanes]
        return [(lane.task, lane.seed, list(lane.done)) for lane in chosen if lane is not None]

    def restore(self, lanes: Lanes, snapshot: Any) -> None:
        """See `Boosters.restore`."""
        for place, (task, seed, done) in zip(lanes, snapshot, strict=True):
            lane = self._lanes[place] = self._lane(task, seed)
            lane.done = list(done)
            for values, count in done:
                if count > 0:
                    self._grow(lane, np.array(values), count)
                else:
                    self._cut(lane, -count)

    def put_back(self, lanes: Lanes) -> None:
        """See `Boosters.put_back`."""
        for place in lanes:
            lane = self._lanes[place]
            assert lane is not None
            count = lane.done[-1][1] if lane.done else 0
            if count > 0:
                lane.done.append(((), -count))
                self._cut(lane, count)

    def booster(self, lane: int) -> Any:
        """Return the booster of a lane, for whoever updates it himself."""
        found = self._lanes[lane]
        assert found is not None
        return found.booster

    # --------------------------------------------------------------------------------- the insides

    def _lane(self, task: AutomlTask, seed: int) -> _Lane:
        problem = problem_of(task)
        scores = np.zeros((len(problem.test), problem.num_scores))
        return _Lane(task, seed, problem, self._booster(problem, seed), scores)

    def _booster(self, problem: Problem, seed: int) -> Any:
        parameters = library_parameters(problem, seed)
        train, *others = (
            self._library.Dataset(
                side.x,
                side.y,
                params=parameters,
                categorical_feature=np.flatnonzero(problem.is_categorical).tolist(),
                free_raw_data=False,
            )
            for side in problem.sides
        )
        booster = self._library.Booster(parameters, train)
        for name, side in zip(("validation", "test"), others, strict=True):
            side.reference = train
            booster.add_valid(side, name)
        return booster

    def _grow(self, lane: _Lane, values: Array, num_rounds: int) -> list[list[float]]:
        if values[_LINEAR] > 0.0:
            raise ConfigurationError(
                f"linear_shrinkage must be 0 with engine 'reference', as LightGBM has no linear "
                f"stages; got {values[_LINEAR]:g}"
            )
        named = dict(zip(LIBRARY_NAMES, values.tolist(), strict=False))
        lane.booster.reset_parameter(to_lightgbm(named))
        rows = []
        for _ in range(num_rounds):
            lane.booster.update()
            evaluated = {e[0]: e[2] for e in lane.booster.eval_train()}
            evaluated |= {e[0]: e[2] for e in lane.booster.eval_valid()}
            lane.scores += self._newest(lane)
            metric = metric_of(lane.problem, lane.scores, lane.problem.test.y)
            rows.append([evaluated["training"], evaluated["validation"], evaluated["test"], metric])
        return rows

    def _cut(self, lane: _Lane, num_rounds: int) -> None:
        for _ in range(num_rounds):
            lane.scores -= self._newest(lane)
            lane.booster.rollback_one_iter()

    def _newest(self, lane: _Lane) -> Array:
        """Return what the last round adds to the scores of test rows `[R, K]`."""
        said = lane.booster.predict(
            lane.problem.test.x,
            raw_score=True,
            start_iteration=lane.booster.current_iteration() - 1,
            num_iteration=1,
            num_threads=1,
        )
        return np.asarray(said, dtype=np.float64).reshape(lane.scores.shape)


def constant_losses(problem: Problem) -> list[float]:
    """Return the losses of the best constant on the three sides, and its metric on test rows."""
    losses, metric = [], 0.0
    for side in problem.sides:
        scores = np.tile(problem.base_scores, (len(side), 1))
        losses.append(loss_of(problem, scores, side.y))
        metric = metric_of(problem, scores, side.y)
    return [*losses, metric]


def _rounds(rows: list[list[list[float]]]) -> Rounds:
    """Put the losses of each lane, round by round, into arrays."""
    most = max((len(lane) for lane in rows), default=1)
    table = np.full((4, len(rows), most), np.nan)
    for place, lane in enumerate(rows):
        table[:, place, : len(lane)] = np.array(lane).T
    train, validation, test, metric = table
    return Rounds(train=train, validation=validation, test=test, test_metric=metric)
