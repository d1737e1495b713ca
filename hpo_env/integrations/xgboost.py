"""XGBoost: a callback that steers the shrinkage, tree by tree.

    callback = HPOControlCallback(controller, total_steps=100)
    xgboost.train(params, data, 100, evals=[(data, "train"), (validation, "validation")],
                  callbacks=[callback])

The first data set of `evals` is followed as the training loss, the last as the validation loss,
each with its last metric.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hpo_env.control.plain_host import PlainHost
from hpo_env.control.run import Run
from hpo_env.controller import Controller
from hpo_env.errors import ConfigurationError
from hpo_env.integrations.boosting import SteeredBoosting
from hpo_env.integrations.extras import require

_xgboost = require("xgboost", extra="boost")

_SCORES = ("auc", "aucpr", "pre", "ndcg", "map")
"""Metrics that are better when they are higher."""


class HPOControlCallback(_xgboost.callback.TrainingCallback):  # type: ignore[misc,name-defined]
    """Steers `xgboost.train`.

    Args:
        controller: What decides.
        total_steps: Boosting rounds in the run, which XGBoost does not tell.
        **options: `shrinkage`, what the policy calls it where that is not "learning_rate", and
            further arguments of `Controller.steer`.
    """

    def __init__(self, controller: Controller, *, total_steps: int, **options: Any) -> None:
        super().__init__()
        self._boosting = SteeredBoosting(controller, **options)
        self._total_steps = total_steps
        self._model: Any = None

    @property
    def run(self) -> Run[PlainHost] | None:
        """The run, once training has begun."""
        return self._boosting.run

    def before_training(self, model: Any) -> Any:
        """Start the run, with the shrinkage that the parameters gave."""
        self._model = model
        self._boosting.begin(self._write, initial=read_rate(model), total_steps=self._total_steps)
        return model

    def before_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        """Remember the model, as XGBoost may hand over another one."""
        self._model = model
        return False

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        """Count the round; never stops it."""
        losses = [_last(metrics) for metrics in evals_log.values()]
        train = losses[0] if losses else None
        self._boosting.finish_round(train, losses[-1] if len(losses) > 1 else None)
        return False

    def _write(self, value: float) -> float:
        self._model.set_param({"learning_rate": value})
        return value


def read_rate(model: Any) -> float:
    """Read the shrinkage that a booster will use for its next tree."""
    config = json.loads(model.save_config())
    booster = config["learner"]["gradient_booster"]
    return float(booster["tree_train_param"]["learning_rate"])


def _last(metrics: Mapping[str, Any]) -> float:
    name, values = list(metrics.items())[-1]
    if name.partition("@")[0] in _SCORES:
        raise ConfigurationError(
            f"the last metric must be a loss, as 'logloss' or 'rmse'; got {name!r}"
        )
    value = values[-1]
    return float(value[0] if isinstance(value, tuple) else value)
