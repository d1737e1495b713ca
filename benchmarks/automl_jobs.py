"""What whoever is compared in `benchmarks/automl_fit.py` is given, and early stopping for it.

Axes: `R` rows, `C` columns of what is predicted: a number, or the share of each class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hpo_env.automl.rows import Rows, split
from hpo_env.tasks.automl.task import Target

Array = NDArray[np.float64]
Predict = Callable[[pd.DataFrame], Array]

ROUNDS = 200
"""Of every run but those whose authors fix another number."""

SHARE = 0.25
"""Of the rows, for whoever stops early: the split of the family's tasks."""

PATIENCE = 50
"""Rounds without a better one before it is stopped."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """What is to be learned.

    Args:
        x: Rows, categories as pandas has them.
        y: Numbers, or labels 0..C-1 `[R]`.
        target: What is predicted.
        num_classes: Of the target.
        seed: Of whatever is random.
        seconds: Of the processor, for those that take a time.
        policy: Of the controlled ones.
    """

    x: pd.DataFrame
    y: Array
    target: Target
    num_classes: int
    seed: int
    seconds: float
    policy: str

    @property
    def is_regression(self) -> bool:
        """Whether a number is predicted."""
        return self.target == "regression"


Learner = Callable[[Job], Predict]


def predictor(job: Job, model: Any) -> Predict:
    """Return a function that asks a fitted estimator, with a column for every class."""
    if job.is_regression:
        return lambda x: np.asarray(model.predict(x), dtype=np.float64).reshape(len(x), 1)

    def shares(x: pd.DataFrame) -> Array:
        found = np.zeros((len(x), job.num_classes))
        found[:, np.asarray(model.classes_).astype(int)] = model.predict_proba(x)
        return found

    return shares


def lightgbm_model(job: Job, parameters: Mapping[str, Any], rounds: int) -> Any:
    """Make an estimator of LightGBM."""
    import lightgbm

    kind = lightgbm.LGBMRegressor if job.is_regression else lightgbm.LGBMClassifier
    return kind(
        n_estimators=rounds, n_jobs=1, random_state=job.seed, verbosity=-1, **dict(parameters)
    )


def validated(job: Job, seed: int = 0) -> tuple[Any, Any]:
    """Set rows aside, and return places of those that train and of those that validate."""
    places = np.arange(len(job.y), dtype=np.float64)[:, None]
    rows = Rows(x=places, y=job.y)
    rng = np.random.default_rng([job.seed, seed])
    train, validation = split(rows, SHARE, rng, is_stratified=not job.is_regression)
    return train.x[:, 0].astype(int), validation.x[:, 0].astype(int)


def stopped(job: Job, parameters: Mapping[str, Any], rounds: int, patience: int) -> Any:
    """Train on some of the rows with early stopping by the others, and return the estimator."""
    import lightgbm

    train, validation = validated(job)
    model = lightgbm_model(job, parameters, rounds)
    return model.fit(
        job.x.iloc[train],
        job.y[train],
        eval_set=[(job.x.iloc[validation], job.y[validation])],
        eval_metric=metric_of(job),
        callbacks=[lightgbm.early_stopping(patience, verbose=False)],
    )


def best_of(job: Job, model: Any) -> tuple[int, float]:
    """Return the best round of what `stopped` has trained, and the validation loss there."""
    return max(int(model.best_iteration_), 1), float(model.best_score_["valid_0"][metric_of(job)])


def metric_of(job: Job) -> str:
    """Return what LightGBM calls the loss."""
    names = {"regression": "rmse", "binary": "binary_logloss", "multiclass": "multi_logloss"}
    return names[job.target]
