"""XGBoost: a callback that steers the shrinkage, tree by tree.

    callback = HPOControlCallback(controller, total_steps=100)
    xgboost.train(params, data, 100, evals=[(data, "train"), (validation, "validation")],
                  callbacks=[callback])

A data set of `evals` whose name says that it trains ("train", "training", "dtrain") is followed as
the training loss, the last of the others as the validation loss. Where no name says so, the first
of several trains, and one alone does not. Of each the last metric counts that is a loss.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from typing import Any

from hpo_env.control.plain_host import PlainHost
from hpo_env.control.run import Run
from hpo_env.controller import Controller, ControllerWarning
from hpo_env.errors import ConfigurationError
from hpo_env.integrations.boosting import SteeredBoosting
from hpo_env.integrations.borrowed import BorrowedValue
from hpo_env.integrations.extras import require

_xgboost = require("xgboost", extra="boost")

_SCORES = ("auc", "aucpr", "pre", "ndcg", "map")
"""Metrics that are better when they are higher."""

_ADVICE = "Take xgboost.callback.LearningRateScheduler out of the callbacks, or this one"


class HPOControlCallback(_xgboost.callback.TrainingCallback):  # type: ignore[misc,name-defined]
    """Steers `xgboost.train`, and `fit` of the scikit-learn interface; any number of times.

    Args:
        controller: What decides.
        total_steps: Boosting rounds in each training, which XGBoost does not tell; with `state`
            also those made before it was saved.
        **options: `shrinkage`, what the policy calls it where that is not "learning_rate", and
            further arguments of `Controller.steer`.

    Raises:
        ConfigurationError: While training: several models are trained at once, or the booster is
            not "gbtree"; or no loss is evaluated.
    """

    def __init__(self, controller: Controller, *, total_steps: int, **options: Any) -> None:
        super().__init__()
        self._boosting = SteeredBoosting(controller, **options)
        self._total_steps = total_steps
        self._model: Any = None

    @property
    def run(self) -> Run[PlainHost] | None:
        """The run of the last training, once it has begun."""
        return self._boosting.run

    def before_training(self, model: Any) -> Any:
        """Start the run, with the shrinkage that the parameters gave."""
        if not isinstance(model, _xgboost.Booster):
            raise ConfigurationError("xgboost.cv trains several models: use xgboost.train")
        kind = _booster(model)["name"]
        if kind != "gbtree":
            raise ConfigurationError(
                f"booster='gbtree' must be used, as {kind!r} does not shrink each tree once for all"
            )
        self._model = model
        value = BorrowedValue(
            model,
            "learning_rate",
            read=lambda: read_rate(self._model),
            put=lambda rate: self._model.set_param({"learning_rate": rate}),
            advice=_ADVICE,
        )
        self._boosting.begin(value, total_steps=self._total_steps)
        return model

    def before_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        """Remember the model, as XGBoost may hand over another one."""
        self._model = model
        return False

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        """Count the round; never stops it."""
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
    return float(_booster(model)["tree_train_param"]["learning_rate"])


def _booster(model: Any) -> Mapping[str, Any]:
    """Return the configuration of what makes the trees."""
    config: Mapping[str, Any] = json.loads(model.save_config())["learner"]["gradient_booster"]
    return config


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
