"""Who is compared in `benchmarks/automl_fit.py`: estimators that learn a table by one call.

Each takes the rows that may be learned from, does with them what it likes (sets some aside for
validation, learns again on all), and returns a function that predicts. All have one thread. Those
of other people's packages need `pip install 'hpo-control[automl-opponents]'`.

Axes: `R` rows, `C` columns of what is predicted: a number, or the share of each class.
"""

from __future__ import annotations

import contextlib
import importlib
import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.automl_courses import estimator
from hpo_env.automl import ControlledBoostingClassifier, ControlledBoostingRegressor
from hpo_env.automl.fitting import SPACE
from hpo_env.automl.rows import Rows, split
from hpo_env.errors import MissingExtraError
from hpo_env.tasks.automl.space import to_lightgbm
from hpo_env.tasks.automl.task import Target

Array = NDArray[np.float64]
Predict = Callable[[pd.DataFrame], Array]

ROUNDS = 200
"""Of every run but those whose authors fix another number."""

_SHARE = 0.25  # of the rows, for whoever stops early: the split of the family's tasks
_PATIENCE = 50


@dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """What is to be learned.

    Args:
        x: Rows, categories as pandas has them.
        y: Numbers, or labels 0..C-1 `[R]`.
        target: What is predicted.
        num_classes: Of the target.
        seed: Of whatever is random.
        seconds: For those that take a time; wall-clock seconds.
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


# ----------------------------------------------------------------------------------- this package's


def controlled(**settings: Any) -> Learner:
    """Return the estimator under the policy, with some of its settings."""

    def learn(job: Job) -> Predict:
        kind = ControlledBoostingRegressor if job.is_regression else ControlledBoostingClassifier
        model = kind(
            policy=job.policy,
            n_estimators=ROUNDS,
            validation_fraction=_SHARE,
            random_state=job.seed,
            **settings,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return predictor(job, model.fit(job.x, job.y))

    return learn


def followed(*, is_course: bool) -> Learner:
    """Return the estimator without the policy: along the tuned course, or at the learned start."""

    def learn(job: Job) -> Predict:
        model = estimator(
            job.target,
            round((1.0 - _SHARE) * len(job.y)),
            is_course=is_course,
            rounds=ROUNDS,
            policy=job.policy,
            validation_fraction=_SHARE,
            random_state=job.seed,
        )
        return predictor(job, model.fit(job.x, job.y))

    return learn


# ----------------------------------------------------------------------- LightGBM at fixed settings


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
    train, validation = split(rows, _SHARE, rng, is_stratified=not job.is_regression)
    return train.x[:, 0].astype(int), validation.x[:, 0].astype(int)


def stopped(job: Job, parameters: Mapping[str, Any], rounds: int, patience: int) -> tuple[int, Any]:
    """Train with early stopping, and return the best round and the loss there."""
    import lightgbm

    train, validation = validated(job)
    model = lightgbm_model(job, parameters, rounds)
    model.fit(
        job.x.iloc[train],
        job.y[train],
        eval_set=[(job.x.iloc[validation], job.y[validation])],
        eval_metric=_metric(job),
        callbacks=[lightgbm.early_stopping(patience, verbose=False)],
    )
    return max(int(model.best_iteration_), 1), model.best_score_["valid_0"][_metric(job)]


def _metric(job: Job) -> str:
    names = {"regression": "rmse", "binary": "binary_logloss", "multiclass": "multi_logloss"}
    return names[job.target]


def lightgbm_at(
    parameters: Mapping[str, Any], *, rounds: int = ROUNDS, patience: int | None = _PATIENCE
) -> Learner:
    """Return LightGBM at a setting, refitted on all rows up to the best round.

    Args:
        parameters: By LightGBM's names.
        rounds: At most.
        patience: Rounds without a better one before it stops; None: it does not look.
    """

    def learn(job: Job) -> Predict:
        best = rounds if patience is None else stopped(job, parameters, rounds, patience)[0]
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


# ---------------------------------------------------------------------------------- other packages


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtraError(
            f"{name} is not installed: pip install 'hpo-control[automl-opponents]'"
        ) from error


def catboost_default(job: Job) -> Predict:
    """CatBoost as it comes: 1,000 rounds, and a learning rate of its own choice."""
    library = _package("catboost")
    codes = [name for name in job.x.columns if isinstance(job.x[name].dtype, pd.CategoricalDtype)]

    def texts(x: pd.DataFrame) -> pd.DataFrame:
        return x.assign(
            **{name: x[name].astype(object).fillna("missing").astype(str) for name in codes}
        )

    kind = library.CatBoostRegressor if job.is_regression else library.CatBoostClassifier
    model = kind(
        cat_features=codes,
        random_seed=job.seed,
        thread_count=1,
        verbose=False,
        allow_writing_files=False,
    )
    ask = predictor(job, model.fit(texts(job.x), job.y))
    return lambda x: ask(texts(x))


def flaml_default(job: Job) -> Predict:
    """FLAML's LightGBM at the setting that its portfolio has for such data; no search."""
    library = _package("flaml.default")
    kind = library.LGBMRegressor if job.is_regression else library.LGBMClassifier
    model = kind(n_jobs=1, random_state=job.seed, verbosity=-1)
    return predictor(job, model.fit(job.x, job.y if job.is_regression else job.y.astype(int)))


def flaml_search(job: Job) -> Predict:
    """FLAML's search over its learners of trees, for the time that the ensemble of runs took."""
    library = _package("flaml")
    model = library.AutoML()
    # Its CatBoost writes into the folder where it is.
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        model.fit(
            job.x,
            job.y if job.is_regression else job.y.astype(int),
            task="regression" if job.is_regression else "classification",
            metric="rmse" if job.is_regression else "log_loss",
            estimator_list=["lgbm", "xgboost", "catboost", "rf", "extra_tree"],
            time_budget=job.seconds,
            n_jobs=1,
            seed=job.seed,
            verbose=0,
        )
    return predictor(job, model)


def optuna_tpe(num_trials: int | None) -> Learner:
    """Return Optuna's TPE over the hyperparameters that the policy moves, refitted at its best.

    Args:
        num_trials: None: as many as there is time for.
    """

    def learn(job: Job) -> Predict:
        library = _package("optuna")
        library.logging.set_verbosity(library.logging.ERROR)
        found: dict[int, tuple[int, dict[str, Any]]] = {}

        def loss(trial: Any) -> float:
            values = {
                known.name: trial.suggest_float(
                    known.name,
                    known.low,
                    known.high,
                    log=known.scale in ("log", "log_integer"),
                )
                for known in SPACE.hyperparameters
            }
            parameters = to_lightgbm(values)
            best, value = stopped(job, parameters, ROUNDS, _PATIENCE)
            found[trial.number] = best, parameters
            return float(value)

        sampler = library.samplers.TPESampler(seed=job.seed)
        study = library.create_study(sampler=sampler)
        study.optimize(
            loss, n_trials=num_trials, timeout=job.seconds if num_trials is None else None
        )
        best, parameters = found[study.best_trial.number]
        return predictor(job, lightgbm_model(job, parameters, best).fit(job.x, job.y))

    return learn


def lightgbm_tuner(job: Job) -> Predict:
    """Optuna's LightGBMTuner, for the time that the ensemble of runs took, refitted at its best."""
    import lightgbm

    library = _package("optuna_integration.lightgbm")
    _package("optuna").logging.set_verbosity(40)
    train, validation = validated(job)
    data = lightgbm.Dataset(job.x.iloc[train], job.y[train], free_raw_data=False)
    others = lightgbm.Dataset(
        job.x.iloc[validation], job.y[validation], reference=data, free_raw_data=False
    )
    parameters: dict[str, Any] = {
        "objective": job.target,
        "metric": _metric(job),
        "verbosity": -1,
        "num_threads": 1,
        "feature_pre_filter": False,
        "seed": job.seed,
    }
    if job.target == "multiclass":
        parameters["num_class"] = job.num_classes
    tuner = library.LightGBMTuner(
        parameters,
        data,
        num_boost_round=ROUNDS,
        valid_sets=[others],
        callbacks=[lightgbm.early_stopping(_PATIENCE, verbose=False)],
        time_budget=max(int(job.seconds), 1),
        optuna_seed=job.seed,
        show_progress_bar=False,
    )
    tuner.run()
    booster = tuner.get_best_booster()
    best = max(int(booster.best_iteration), 1)
    whole = lightgbm.Dataset(job.x, job.y)
    final = lightgbm.train(
        {**tuner.best_params, "num_threads": 1, "verbosity": -1}, whole, num_boost_round=best
    )

    def ask(x: pd.DataFrame) -> Array:
        said = np.asarray(final.predict(x), dtype=np.float64)
        if job.target == "binary":
            return np.stack([1.0 - said, said], axis=1)
        return said.reshape(len(x), -1)

    return ask


LEARNERS: Mapping[str, Learner] = {
    # The ensemble of runs is first: what it takes is what those with a time get.
    "controlled, 8 runs": controlled(n_runs=8),
    "controlled": controlled(),
    "controlled, from a constant": controlled(linear_start=0.0),
    "controlled, start of the user": controlled(start="user"),
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
    "TPE, 64 trials": optuna_tpe(64),
}
"""By name in the tables."""
