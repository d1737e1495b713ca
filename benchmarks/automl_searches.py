"""TPE over constant settings of boosting: what trials buy.

Axes: `N` tasks, `T` intervals, `H` hyperparameters of the family.
"""

from __future__ import annotations

import warnings

import numpy as np
import optuna

from benchmarks.automl_runs import Results, run_courses
from hpo_env.tasks.automl.space import HYPERPARAMETERS, LIBRARY_NAMES
from hpo_env.tasks.automl.task import AutomlTask


def search_by_tpe(tasks: list[AutomlTask], seeds: list[int], num_trials: int) -> Results:
    """Search a setting for each task with Optuna's TPE, the default of the space first.

    Every trial is a whole run, cut off after its best round; the trial with the lowest validation
    loss counts. Tasks are searched side by side, one trial of each at a time.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    known = {h.name: h for h in HYPERPARAMETERS}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        studies = [
            optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed)) for seed in seeds
        ]
    for study in studies:
        study.enqueue_trial({name: known[name].default for name in LIBRARY_NAMES})
    best = np.full(len(tasks), np.inf)
    chosen: Results | None = None
    for _ in range(num_trials):
        trials = [study.ask() for study in studies]
        settings = np.array([_setting(trial) for trial in trials])
        courses = np.repeat(settings[:, None], tasks[0].num_decisions, axis=1)
        ran = run_courses("own", tasks, courses, seeds)
        for study, trial, loss in zip(studies, trials, ran.validation, strict=True):
            study.tell(trial, float(loss))
        is_better = ran.validation < best
        best = np.where(is_better, ran.validation, best)
        chosen = ran if chosen is None else _merged(chosen, ran, is_better)
    assert chosen is not None
    return chosen


def _setting(trial: optuna.Trial) -> list[float]:
    values = []
    for known in HYPERPARAMETERS:
        if known.name not in LIBRARY_NAMES:
            values.append(known.default)
        elif known.scale == "log_integer":
            values.append(
                float(trial.suggest_int(known.name, int(known.low), int(known.high), log=True))
            )
        else:
            is_log = known.scale == "log"
            values.append(trial.suggest_float(known.name, known.low, known.high, log=is_log))
    return values


def _merged(before: Results, now: Results, is_now: np.ndarray) -> Results:
    return Results(
        test=np.where(is_now, now.test, before.test),
        final=np.where(is_now, now.final, before.final),
        validation=np.where(is_now, now.validation, before.validation),
        values=np.where(is_now[:, None, None], now.values, before.values),
    )
