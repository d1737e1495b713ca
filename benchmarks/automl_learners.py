"""Who is compared in `benchmarks/automl_fit.py`: estimators that learn a table by one call.

Each takes the rows that may be learned from, does with them what it likes (sets some aside for
validation, learns again on all), and returns a function that predicts. All have one thread. What
searches, and what other people's packages do by themselves, is in `automl_packages`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.automl_courses import estimator
from benchmarks.automl_jobs import (
    PATIENCE,
    ROUNDS,
    SHARE,
    Job,
    Learner,
    Predict,
    best_of,
    lightgbm_model,
    predictor,
    stopped,
    validated,
)
from benchmarks.automl_packages import (
    catboost_default,
    flaml_default,
    flaml_search,
    lightgbm_tuner,
    optuna_tpe,
    optuna_tpe_together,
)
from hpo_env.automl import ControlledBoostingClassifier, ControlledBoostingRegressor
from hpo_env.tasks.automl.family import AutomlFamily
from hpo_env.tasks.automl.space import LIBRARY_NAMES

# ----------------------------------------------------------------------------------- this package's


def controlled(**settings: Any) -> Learner:
    """Return the estimator under the policy, with some of its settings."""

    def learn(job: Job) -> Predict:
        kind = ControlledBoostingRegressor if job.is_regression else ControlledBoostingClassifier
        model = kind(
            policy=job.policy,
            n_estimators=ROUNDS,
            validation_fraction=SHARE,
            random_state=job.seed,
            **settings,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return predictor(job, model.fit(job.x, job.y))

    return learn


def controlled_from_anywhere(job: Job) -> Predict:
    """The estimator from a start that somebody has drawn blindly, another for each table."""
    rng = np.random.default_rng([job.seed, len(job.y), job.x.shape[1]])
    family = AutomlFamily()
    drawn = dict(zip(family.space.names, family.random_start(rng), strict=True))
    initial = {name: drawn[name] for name in LIBRARY_NAMES}
    return controlled(start="user", initial=initial)(job)


def followed(*, is_course: bool) -> Learner:
    """Return the estimator without the policy: along the tuned course, or at the learned start."""

    def learn(job: Job) -> Predict:
        model = estimator(
            job.target,
            round((1.0 - SHARE) * len(job.y)),
            is_course=is_course,
            rounds=ROUNDS,
            policy=job.policy,
            validation_fraction=SHARE,
            random_state=job.seed,
        )
        return predictor(job, model.fit(job.x, job.y))

    return learn


def lightgbm_at(
    parameters: Mapping[str, Any], *, rounds: int = ROUNDS, patience: int | None = PATIENCE
) -> Learner:
    """Return LightGBM at a setting, refitted on all rows up to the best round.

    Args:
        parameters: By LightGBM's names.
        rounds: At most.
        patience: Rounds without a better one before it stops; None: it does not look.
    """

    def learn(job: Job) -> Predict:
        best = rounds
        if patience is not None:
            best, _ = best_of(job, stopped(job, parameters, rounds, patience))
        return predictor(job, lightgbm_model(job, parameters, best).fit(job.x, job.y))

    return learn


_TD = {
    True: {"learning_rate": 0.05, "subsample": 0.7, "num_leaves": 100, "min_child_samples": 3},
    False: {"learning_rate": 0.04, "subsample": 0.75, "num_leaves": 50, "min_child_samples": 40},
}
"""By whether a number is predicted; pytabkit, `models/sklearn/default_params.py`: LGBM_TD."""


def lightgbm_td(job: Job) -> Predict:
    """LightGBM at the defaults of "Better by default", with their rounds and their patience."""
    more = {"subsample_freq": 1, "min_sum_hessian_in_leaf": 1e-7}
    return lightgbm_at(_TD[job.is_regression] | more, rounds=1000, patience=300)(job)


def xgboost_td(job: Job) -> Predict:
    """XGBoost at the defaults of the same paper (XGB_TD), refitted up to the best round."""
    import xgboost

    settings: dict[str, Any] = (
        {"max_depth": 9, "learning_rate": 0.05, "min_child_weight": 2.0, "subsample": 0.7}
        if job.is_regression
        else {
            "max_depth": 6,
            "learning_rate": 0.08,
            "min_child_weight": 5e-6,
            "subsample": 0.65,
            "colsample_bylevel": 0.9,
        }
    )
    kind = xgboost.XGBRegressor if job.is_regression else xgboost.XGBClassifier
    settings |= {"reg_lambda": 0.0, "tree_method": "hist", "n_jobs": 1, "enable_categorical": True}
    settings |= {"random_state": job.seed, "verbosity": 0}
    train, validation = validated(job)
    model = kind(n_estimators=1000, early_stopping_rounds=300, **settings)
    eval_set = [(job.x.iloc[validation], job.y[validation])]
    model.fit(job.x.iloc[train], job.y[train], eval_set=eval_set, verbose=False)
    best = int(model.best_iteration) + 1
    return predictor(job, kind(n_estimators=best, **settings).fit(job.x, job.y))


LEARNERS: Mapping[str, Learner] = {
    # The ensemble of runs is first: what it takes is what those with a time get.
    "controlled, 8 runs": controlled(n_runs=8),
    "controlled": controlled(),
    "controlled, from a constant": controlled(linear_start=0.0),
    "controlled, start of the user": controlled(start="user"),
    "controlled, start drawn blindly": controlled_from_anywhere,
    "controlled, one replay": controlled(n_replays=1),
    "controlled, not refitted": controlled(refit=False),
    "controlled, XGBoost": controlled(library="xgboost"),
    "learned start, kept": followed(is_course=False),
    "tuned course": followed(is_course=True),
    "LightGBM, default": lightgbm_at({}, rounds=100, patience=None),
    "LightGBM, default, stopped": lightgbm_at({}),
    "LightGBM, rate 0.03": lightgbm_at({"learning_rate": 0.03}),
    "LightGBM, TabArena": lightgbm_at({"learning_rate": 0.05}, rounds=1000),
    "LightGBM, better by default": lightgbm_td,
    "XGBoost, better by default": xgboost_td,
    "CatBoost, default": catboost_default,
    "flaml.default": flaml_default,
    "FLAML, equal time": flaml_search,
    "LightGBMTuner, equal time": lightgbm_tuner,
    "TPE, equal time": optuna_tpe(None),
    "TPE, 8 trials": optuna_tpe(8),
    "TPE, 32 trials": optuna_tpe(32),
    "TPE, 32 trials, replayed alike": optuna_tpe(32, is_replayed=True),
    "TPE, 64 trials": optuna_tpe(64),
    "TPE, 64 trials together": optuna_tpe_together(64),
}
"""By name in the tables."""
