"""Other people's packages that learn a table by one call, for `benchmarks/automl_fit.py`.

They need `pip install 'hpo-control[automl-opponents]'`. All have one thread.

Axes: `R` rows, `C` columns of what is predicted: a number, or the share of each class.
"""

from __future__ import annotations

import contextlib
import importlib
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd

from benchmarks.automl_jobs import (
    PATIENCE,
    ROUNDS,
    Array,
    Job,
    Learner,
    Predict,
    best_of,
    lightgbm_model,
    metric_of,
    predictor,
    stopped,
    validated,
)
from hpo_env.automl.base import REPLAYS
from hpo_env.automl.ensembling import greedy_weights
from hpo_env.automl.fitting import SPACE
from hpo_env.errors import MissingExtraError
from hpo_env.tasks.automl.space import to_lightgbm


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


@contextlib.contextmanager
def _processor_clock() -> Iterator[None]:
    """Have `time.time` tell the processor's time, for packages that take a time by the clock."""
    wall, begun = time.time(), time.process_time()

    def told() -> float:
        return wall + time.process_time() - begun

    with mock.patch("time.time", told):
        yield


def flaml_search(job: Job) -> Predict:
    """FLAML's search over its learners of trees, for the time that the ensemble of runs took."""
    library = _package("flaml")
    model = library.AutoML()
    # Its CatBoost writes into the folder where it is.
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.chdir(folder),
        _processor_clock(),
    ):
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


class Search:
    """Optuna's TPE over the hyperparameters that the policy moves, each trial stopped early.

    Args:
        job: What is to be learned.
        num_trials: None: as many as there is time for, the last of which is finished.

    Attributes:
        trials: Parameters and estimator of each.
        best: The place of the best among them.
    """

    def __init__(self, job: Job, num_trials: int | None) -> None:
        library = _package("optuna")
        library.logging.set_verbosity(library.logging.ERROR)
        self.trials: list[tuple[dict[str, Any], Any]] = []
        end = time.process_time() + job.seconds

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
            model = stopped(job, parameters, ROUNDS, PATIENCE)
            self.trials.append((parameters, model))
            return best_of(job, model)[1]

        def stop_in_time(study: Any, trial: Any) -> None:
            if num_trials is None and time.process_time() >= end:
                study.stop()

        sampler = library.samplers.TPESampler(seed=job.seed)
        study = library.create_study(sampler=sampler)
        study.optimize(loss, n_trials=num_trials, callbacks=[stop_in_time])
        self.best = int(study.best_trial.number)

    def refitted(self, job: Job, place: int) -> Predict:
        """Learn again on all rows as a trial did, up to its best round."""
        parameters, model = self.trials[place]
        again = lightgbm_model(job, parameters, best_of(job, model)[0])
        return predictor(job, again.fit(job.x, job.y))

    def replayed(self, job: Job, place: int) -> Predict:
        """Learn again as often as the estimators replay a run, with other bags each: the mean."""
        parameters, model = self.trials[place]
        best = best_of(job, model)[0]
        asked: list[Predict] = []
        for number in range(REPLAYS):
            again = lightgbm_model(replace(job, seed=job.seed + number), parameters, best)
            asked.append(predictor(job, again.fit(job.x, job.y)))
        return lambda x: np.mean([ask(x) for ask in asked], axis=0)


def optuna_tpe(num_trials: int | None, *, is_replayed: bool = False) -> Learner:
    """Return the best trial of a search, refitted or replayed; see `Search`."""

    def learn(job: Job) -> Predict:
        search = Search(job, num_trials)
        again = search.replayed if is_replayed else search.refitted
        return again(job, search.best)

    return learn


def optuna_tpe_together(num_trials: int) -> Learner:
    """Return the trials of a search, chosen greedily by the validation rows, and refitted."""

    def learn(job: Job) -> Predict:
        search, places = Search(job, num_trials), validated(job)[1]
        rows, y = job.x.iloc[places], job.y[places]
        said = [predictor(job, model)(rows) for _, model in search.trials]
        weights = greedy_weights(job.target, said, y, None)
        chosen = [
            (weight, search.refitted(job, place)) for place, weight in enumerate(weights) if weight
        ]

        def together(x: pd.DataFrame) -> Array:
            return np.asarray(sum(weight * ask(x) for weight, ask in chosen))

        return together

    return learn


def lightgbm_tuner(job: Job) -> Predict:
    """Optuna's LightGBMTuner, refitted at its best; its time, in whole seconds, is the clock's."""
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
        "metric": metric_of(job),
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
        callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False)],
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
