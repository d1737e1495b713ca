"""Runs of boosting for `benchmarks/automl.py`: open courses and policies, on three libraries.

Axes: `N` runs, `T` intervals, `H` hyperparameters of the family.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xgboost
from numpy.typing import NDArray

from hpo_env.policy import Policy
from hpo_env.tasks.automl.boosters import Boosters, Lanes, Rounds
from hpo_env.tasks.automl.family import AutomlFamily
from hpo_env.tasks.automl.lightgbm_boosters import LightGBMBoosters, constant_losses
from hpo_env.tasks.automl.native_boosters import NativeBoosters
from hpo_env.tasks.automl.problem import Problem, loss_of, metric_of, problem_of
from hpo_env.tasks.automl.space import LIBRARY_NAMES, to_xgboost
from hpo_env.tasks.automl.task import AutomlTask
from hpo_env.tasks.automl.trainer import AutomlTrainer
from hpo_env.tasks.base import Engine, Trainer
from hpo_env.vector_env import HPOControlVectorEnv

Array = NDArray[np.float64]

_OBJECTIVES = {
    "regression": "reg:squarederror",
    "binary": "binary:logistic",
    "multiclass": "multi:softprob",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Results:
    """What runs came to, log losses `[N]`.

    Args:
        test: On test rows, of the round that was the best on validation rows.
        final: On test rows, of the last round; NaN where it was not measured.
        validation: On validation rows, of the best round.
        values: Effective values `[N, T, H]`.
    """

    test: Array
    final: Array
    validation: Array
    values: Array


class XGBoostBoosters(Boosters):
    """N boosters of XGBoost, one after the other; they cannot be snapshot.

    Args:
        num_lanes: `N`.
    """

    def __init__(self, num_lanes: int) -> None:
        self._lanes: list[Any] = [None] * num_lanes

    def start(self, lanes: Lanes, tasks: list[AutomlTask], seeds: list[int]) -> Rounds:
        """See `Boosters.start`."""
        losses = np.empty((4, len(tasks), 1))
        for place, (lane, task, seed) in enumerate(zip(lanes, tasks, seeds, strict=True)):
            problem = problem_of(task)
            kinds = ["c" if is_category else "q" for is_category in problem.is_categorical]
            data = [
                xgboost.DMatrix(
                    side.x, side.y, feature_types=kinds, enable_categorical=True, nthread=1
                )
                for side in problem.sides
            ]
            parameters = {
                "objective": _OBJECTIVES[problem.target],
                "nthread": 1,
                "tree_method": "hist",
                "grow_policy": "lossguide",
                "max_depth": 0,
                "verbosity": 0,
                "seed": seed % 2**31,
            }
            if problem.target == "multiclass":
                parameters["num_class"] = problem.num_classes
            self._lanes[lane] = (problem, data, xgboost.Booster(parameters, data), [0])
            losses[:, place, 0] = constant_losses(problem)
        return _rounds(losses)

    def advance(self, values: Array, num_rounds: NDArray[np.int64], best: Array) -> Rounds:
        """See `Boosters.advance`."""
        losses = np.full((4, len(values), int(num_rounds.max())), np.nan)
        for lane, (problem, data, booster, done) in enumerate(self._lanes):
            named = dict(zip(LIBRARY_NAMES, values[lane].tolist(), strict=False))
            booster.set_param(to_xgboost(named, problem.target))
            for k in range(int(num_rounds[lane])):
                booster.update(data[0], done[0])
                done[0] += 1
                losses[:, lane, k] = self._losses(problem, data, booster)
        return _rounds(losses)

    def snapshot(self, lanes: Lanes) -> Any:
        """Refuse: XGBoost saves no state of its draws."""
        raise NotImplementedError

    def restore(self, lanes: Lanes, snapshot: Any) -> None:
        """Refuse, as `snapshot` does."""
        raise NotImplementedError

    def put_back(self, lanes: Lanes) -> None:
        """Refuse, as `snapshot` does."""
        raise NotImplementedError

    def _losses(self, problem: Problem, data: list[Any], booster: Any) -> list[float]:
        found = []
        for matrix, side in zip(data, problem.sides, strict=True):
            scores = booster.predict(matrix, output_margin=True).reshape(len(side), -1)
            scores = scores.astype(np.float64)
            found.append(loss_of(problem, scores, side.y))
        return [*found, metric_of(problem, scores, side.y)]


class XGBoostFamily(AutomlFamily):
    """The family on XGBoost."""

    def make_trainer(self, num_lanes: int, *, engine: Engine, device: str) -> Trainer:
        """Build the trainer."""
        return AutomlTrainer(XGBoostBoosters(num_lanes), num_lanes)


LIBRARIES: dict[str, tuple[str, Engine, type[Boosters]]] = {
    "own": ("automl", "native", NativeBoosters),
    "lightgbm": ("automl", "reference", LightGBMBoosters),
    "xgboost": ("benchmarks.automl_runs:XGBoostFamily", "auto", XGBoostBoosters),
}
"""Family, engine and boosters by the name of the library."""


def run_courses(library: str, tasks: list[AutomlTask], courses: Array, seeds: list[int]) -> Results:
    """Boost along courses `[N, T, H]` whatever happens."""
    boosters = LIBRARIES[library][2](len(tasks))  # type: ignore[call-arg]
    every = np.arange(len(tasks))
    first = boosters.start(every, tasks, seeds)
    best, tested = first.validation[:, 0].copy(), first.test[:, 0].copy()
    counts = np.array([task.rounds_per_decision for task in tasks])
    final = np.full(len(tasks), np.nan)
    num_intervals = courses.shape[1]
    for interval in range(num_intervals):
        is_last = interval == num_intervals - 1
        steps = [counts - 1, np.ones_like(counts)] if is_last else [counts]
        for place, step in enumerate(steps):  # the last round alone, to be tested in any case
            ends_here = is_last and place == 1
            floor = np.full(len(tasks), np.inf) if ends_here else best
            rounds = boosters.advance(courses[:, interval], step, floor)
            losses = np.where(np.isnan(rounds.validation), np.inf, rounds.validation)
            if not losses.shape[1]:
                continue
            where = losses.argmin(axis=1)
            lowest, found = losses[every, where], rounds.test[every, where]
            tested = np.where(lowest < best, found, tested)
            best = np.minimum(best, lowest)
            if ends_here:
                final = found
    return Results(
        test=np.log(tested), final=np.log(final), validation=np.log(best), values=courses
    )


def run_policy(library: str, tasks: list[AutomlTask], policy: Policy, seeds: list[int]) -> Results:
    """Boost under a policy, from the tasks' initial values; all have as many decisions."""
    family, engine, _ = LIBRARIES[library]
    env = HPOControlVectorEnv(
        len(tasks),
        family=family,
        engine=engine,
        hyperparameters=policy.space.names,
        base_schedule=policy.base_schedule,
        autoreset_mode="Disabled",
        tasks=tasks,
    )
    observation, _ = env.reset(seed=seeds[0])
    values = []
    decide = policy.actor(len(tasks))
    for _ in range(tasks[0].num_decisions):
        observation, _, _, _, info = env.step(decide(observation))
        used = [np.asarray(info["hyperparameters"][name]) for name in policy.space.names]
        values.append(np.stack(used, axis=1))
    courses = np.tile(np.array([task.initial for task in tasks])[:, None], (1, len(values), 1))
    columns = [env.space.index(name) for name in policy.space.names]
    courses[:, :, columns] = np.stack(values, axis=1)
    return Results(
        test=np.log(np.asarray(info["test_loss"], dtype=np.float64)),
        final=np.full(len(tasks), np.nan),
        validation=np.log(np.asarray(info["validation_loss"], dtype=np.float64)),
        values=courses,
    )


def starting_at(tasks: list[AutomlTask], initial: Array) -> list[AutomlTask]:
    """Return the tasks from other initial values `[N, H]`."""
    return [replace(t, initial=tuple(row.tolist())) for t, row in zip(tasks, initial, strict=True)]


def _rounds(losses: Array) -> Rounds:
    train, validation, test, metric = losses
    return Rounds(train=train, validation=validation, test=test, test_metric=metric)
