"""XGBoost: a callback that steers a boosting, tree by tree.

    callback = HPOControlCallback(controller, total_steps=100)
    xgboost.train(params, data, 100, evals=[(data, "train"), (validation, "validation")],
                  callbacks=[callback])

A policy of boosting moves all that XGBoost lets be moved between rounds; any other the shrinkage
alone. A data set of `evals` whose name says that it trains ("train", "training", "dtrain") is
followed as the training loss, the last of the others as the validation loss. Where no name says so,
the first of several trains, and one alone does not. Of each the last metric counts that is a loss.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hpo_env.control.run import Run
from hpo_env.controller import ControllerWarning
from hpo_env.errors import ConfigurationError
from hpo_env.integrations.boosting import Found, Labels, SteeredBoosting, constant_losses
from hpo_env.integrations.borrowed import BorrowedValue
from hpo_env.integrations.callbacks import Callback, Decides
from hpo_env.integrations.extras import require
from hpo_env.integrations.xgboost_parameters import (
    XGBoostParameters,
    check_booster,
    learner_of,
    target_of,
)
from hpo_env.tasks.automl.progress import Facts
from hpo_env.tasks.automl.task import Target

_xgboost = require("xgboost", extra="boost")

_SCORES = ("auc", "aucpr", "pre", "ndcg", "map")
"""Metrics that are better when they are higher."""

_ADVICE = "Take xgboost.callback.LearningRateScheduler out of the callbacks, or this one"


class HPOControlCallback(Callback, _xgboost.callback.TrainingCallback):  # type: ignore[misc,name-defined]
    """Steers `xgboost.train`, and `fit` of the scikit-learn interface; any number of times.

    Args:
        controller: What decides; a controller, or the name or the folder of a policy.
        total_steps: Boosting rounds in each training, which XGBoost does not tell; with `state`
            also those made before it was saved.
        evals: The same as that of `xgboost.train`. From it a policy of boosting learns how large
            the data are and what the best constant comes to, as it did in training; XGBoost does
            not tell a callback. Without it, it goes without.
        **options: `shrinkage`, what the policy calls it where that is not "learning_rate", and
            further arguments of `Controller.steer`.

    Raises:
        UnknownArgumentError: An option is none.
        ConfigurationError: `total_steps` is not given. While training: several models are trained
            at once, the booster is not "gbtree" or grows forests, or the objective ranks; or no
            loss is evaluated.
    """

    def __init__(
        self,
        controller: Decides,
        *,
        total_steps: int | None = None,
        evals: Sequence[tuple[Any, str]] = (),
        **options: Any,
    ) -> None:
        super().__init__()
        if total_steps is None:
            raise ConfigurationError(
                "the number of rounds must be known: give the callback total_steps=, the "
                "num_boost_round of xgboost.train (n_estimators of an estimator)"
            )
        self._boosting = SteeredBoosting(controller, **options)
        self._total_steps = total_steps
        self._evals = list(evals)
        self._model: Any = None
        self._parameters: XGBoostParameters | None = None

    @property
    def run(self) -> Run[Any] | None:
        """The run of the last training, once it has begun."""
        return self._boosting.run

    def before_training(self, model: Any) -> Any:
        """Start the run, with the values that the parameters gave."""
        if not isinstance(model, _xgboost.Booster):
            raise ConfigurationError("xgboost.cv trains several models: use xgboost.train")
        learner = learner_of(model)
        check_booster(learner)
        self._model = model
        if self._boosting.moves_all:
            self._begin_all(model, learner)
        else:
            self._boosting.begin(self._shrinkage(model), self._total_steps)
        return model

    def _shrinkage(self, model: Any) -> BorrowedValue:
        return BorrowedValue(
            model,
            "learning_rate",
            read=lambda: read_rate(self._model),
            put=lambda rate: self._model.set_param({"learning_rate": rate}),
            advice=_ADVICE,
        )

    def _begin_all(self, model: Any, learner: Mapping[str, Any]) -> None:
        target = target_of(learner)
        parameters = self._parameters = XGBoostParameters(model, target)
        train, validation = self._sides()
        is_new = model.num_boosted_rounds() == 0
        losses = constant_losses(target, _labels(train) if is_new else None, _labels(validation))
        decisions = self._boosting.num_decisions(self._total_steps)
        found = Found(
            values=parameters.values(),
            flush=parameters.flush,
            facts=Facts(
                target=target,
                num_rows=None if train is None else int(train.num_row()),
                num_columns=int(model.num_features()),
                num_classes=_num_classes(learner, target),
                rounds_per_decision=self._total_steps / decisions,
            ),
            train_loss=losses[0],
            validation_loss=losses[1],
        )
        self._boosting.begin_all(found, self._total_steps)

    def _sides(self) -> tuple[Any, Any]:
        """Return the data that train and those that validate, as far as they were given."""
        data = {name: one for one, name in self._evals}
        train, validation = _places(list(data))
        return data.get(train or ""), data.get(validation or "")

    def before_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        """Remember the model, as XGBoost may hand over another one."""
        self._model = model
        if self._parameters is not None:
            self._parameters.meet(model)
        return False

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        """Count the round; never stops it."""
        if self._parameters is not None:
            self._parameters.meet(model)
        train, validation = _places(list(evals_log))
        self._boosting.finish_round(
            None if train is None else _last_loss(evals_log[train]),
            None if validation is None else _last_loss(evals_log[validation]),
            scores=sorted({name for metrics in evals_log.values() for name in metrics}),
        )
        return False

    def after_training(self, model: Any) -> Any:
        """Give the shrinkage back, for whoever goes on with the model."""
        self._model = model
        if self._parameters is not None:
            self._parameters.meet(model)
        self._boosting.end()
        run = self.run
        has_stopped_early = model.attr("best_iteration") is not None
        if run is not None and not run.is_over and not has_stopped_early:
            warnings.warn(
                f"the training ended after {run.num_steps} of total_steps={self._total_steps} "
                "rounds, in mid-schedule. Give the callback the number of rounds as total_steps",
                ControllerWarning,
                stacklevel=2,
            )
        return model


def read_rate(model: Any) -> float:
    """Read the shrinkage that a booster will use for its next tree."""
    booster = learner_of(model)["gradient_booster"]
    return float(booster["tree_train_param"]["learning_rate"])


def _num_classes(learner: Mapping[str, Any], target: Target) -> int:
    """Return how many classes are told apart; 1 for regression."""
    if target == "regression":
        return 1
    return max(int(learner["learner_model_param"]["num_class"]), 2)


def _labels(data: Any) -> Labels | None:
    """Return what is predicted in a data set; None where there is none, or it starts elsewhere."""
    if data is None or len(data.get_base_margin()):
        return None
    weight = data.get_weight()
    return Labels(
        y=np.asarray(data.get_label(), dtype=np.float64),
        weight=np.asarray(weight, dtype=np.float64) if len(weight) else None,
    )


def _places(names: list[str]) -> tuple[str | None, str | None]:
    """Return which data set trains and which validates, by their names."""
    training = [name for name in names if "train" in name.lower()]
    others = [name for name in names if name not in training]
    if not training and len(others) > 1:
        training = [others.pop(0)]
    return training[0] if training else None, others[-1] if others else None


def _last_loss(metrics: Mapping[str, Any]) -> float | None:
    """Return the last metric that is a loss, None where all are scores."""
    losses = [values for name, values in metrics.items() if not _is_score(name)]
    if not losses:
        return None
    value = losses[-1][-1]
    return float(value[0] if isinstance(value, tuple) else value)


def _is_score(name: str) -> bool:
    return name.partition("@")[0].rstrip("-") in _SCORES
