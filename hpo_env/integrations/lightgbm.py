"""LightGBM: callbacks that steer a boosting, tree by tree.

    control = HPOControl(controller)
    lightgbm.train(params, data, valid_sets=[data, validation], callbacks=control.callbacks())

A policy of boosting moves all that LightGBM lets be moved between rounds; any other the shrinkage
alone. The data set that trains, whatever it is called, is followed as the training loss, and the
first other one as the validation loss; each by its first metric that is a loss.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from hpo_env.control.run import Run
from hpo_env.errors import ConfigurationError
from hpo_env.integrations.boosting import Found, Labels, SteeredBoosting, constant_losses
from hpo_env.integrations.callbacks import Callback, Decides
from hpo_env.integrations.extras import require
from hpo_env.integrations.lightgbm_parameters import (
    LightGBMParameters,
    check_boosting,
    given,
    objective_of,
    target_of,
)
from hpo_env.tasks.automl.progress import Facts

_SQUARES = ("l2", "mse", "mean_squared_error", "regression_l2")
_SCORES = ("auc", "average_precision", "ndcg", "map", "auc_mu", "r2")
_KNOWN_METRICS: Mapping[str, tuple[str, ...]] = {
    "regression": (*_SQUARES, "regression", "rmse", "root_mean_squared_error", "l2_root"),
    "binary": ("binary_logloss", "binary"),
    "multiclass": ("multi_logloss", "multiclass", "softmax", "multiclassova"),
}
"""Metrics whose value for the best constant is known."""
_HAVE_KNOWN_METRIC = ("regression", "regression_l2", "l2", "mse", "rmse", "binary", "multiclass")
"""Objectives whose own metric is one of these."""


class HPOControl(Callback):
    """Steers `lightgbm.train`, and `fit` of the scikit-learn interface; any number of times.

    Args:
        controller: What decides; a controller, or the name or the folder of a policy.
        **options: `shrinkage`, what the policy calls it where that is not "learning_rate", and
            further arguments of `Controller.steer`.

    Raises:
        UnknownArgumentError: An option is none.
        ConfigurationError: While training: several models are trained at once, trees are not
            shrunk once for all ("dart", "rf"), or the objective ranks; or no loss is evaluated.
    """

    def __init__(self, controller: Decides, **options: Any) -> None:
        require("lightgbm", extra="boost")
        self._boosting = SteeredBoosting(controller, **options)

    @property
    def run(self) -> Run[Any] | None:
        """The run of the last training, once it has begun."""
        return self._boosting.run

    def callbacks(self) -> list[Callable[[Any], None]]:
        """Return the two callbacks, one before each tree and one after it."""

        def before(env: Any) -> None:
            if env.iteration == env.begin_iteration:
                self._begin(env)

        def after(env: Any) -> None:
            self._boosting.finish_round(*self._losses(env), scores=_scores(env))
            if env.iteration + 1 == env.end_iteration:
                self._boosting.end()

        before.before_iteration = True  # type: ignore[attr-defined]
        before.order, after.order = 20, 20  # type: ignore[attr-defined]
        return [before, after]

    def _begin(self, env: Any) -> None:
        if type(env.model).__name__ == "CVBooster":
            raise ConfigurationError("lightgbm.cv trains several models: use lightgbm.train")
        check_boosting(env.params)
        objective_of(env.params)
        parameters = LightGBMParameters(env.model)
        total = self._boosting.total(None, env.end_iteration - env.begin_iteration)
        if self._boosting.moves_all:
            rounds = total / self._boosting.num_decisions(total)
            self._boosting.begin_all(_found(env, parameters, rounds), total)
        else:
            self._boosting.begin(parameters.shrinkage(), total)

    def _losses(self, env: Any) -> tuple[float | None, float | None]:
        """Return training and validation loss of the round.

        A policy of boosting was trained with both, so what the loop does not evaluate on the rows
        that train is evaluated here, once an interval.
        """
        name = getattr(env.model, "_train_data_name", "training")
        found = env.evaluation_result_list or ()
        if not self._boosting.moves_all:
            return _first_loss(found, lambda n: n == name), _first_loss(found, lambda n: n != name)
        validation = _first_loss(found, lambda n: n != name, is_rooted=True)
        if self._boosting.closes_interval and all(one[0] != name for one in found):
            found = env.model.eval_train()
        return _first_loss(found, lambda n: n == name, is_rooted=True), validation


def _first_loss(
    found: Iterable[Any], is_meant: Callable[[str], bool], *, is_rooted: bool = False
) -> float | None:
    """Return the first metric of a data set that is a loss, None where there is none.

    Args:
        found: What was evaluated.
        is_meant: Says of the name of a data set whether it is the one.
        is_rooted: Whether the root of a mean square is taken, as policies of boosting go by.
    """
    for name, metric, value, is_higher_better, *_ in found:
        if is_meant(name) and not is_higher_better:
            return math.sqrt(value) if is_rooted and metric in _SQUARES else float(value)
    return None


def _found(env: Any, parameters: LightGBMParameters, rounds_per_decision: float) -> Found:
    """Look at what is about to be trained."""
    target, train_set = target_of(env.params), env.model.train_set
    train, validation = _labels(train_set), _labels(next(iter(env.model.valid_sets), None))
    is_known = env.iteration == 0 and _has_known_metric(env.params, target)
    losses = constant_losses(target, train if is_known else None, validation)
    return Found(
        values=parameters.values(),
        flush=parameters.flush,
        facts=Facts(
            target=target,
            num_rows=int(train_set.num_data()),
            num_columns=int(train_set.num_feature()),
            num_classes=int(given(env.params, ("num_class", "num_classes"), 1)),
            rounds_per_decision=rounds_per_decision,
        ),
        train_loss=losses[0],
        validation_loss=losses[1],
    )


def _has_known_metric(params: Mapping[str, Any], target: str) -> bool:
    """Say whether the loss that is followed is one that is known of the best constant."""
    asked = given(params, ("metric", "metrics", "metric_types"), "")
    names = asked.split(",") if isinstance(asked, str) else [str(name) for name in asked]
    losses = [name.strip() for name in names if name.strip() and name.strip() not in _SCORES]
    if losses:
        return losses[0] in _KNOWN_METRICS[target]
    return objective_of(params) in _HAVE_KNOWN_METRIC


def _labels(data: Any) -> Labels | None:
    """Return what is predicted in a data set; None where there is none, or it starts elsewhere."""
    if data is None or data.get_init_score() is not None:
        return None
    y, weight = data.get_label(), data.get_weight()
    return Labels(
        y=np.asarray(y, dtype=np.float64),
        weight=None if weight is None else np.asarray(weight, dtype=np.float64),
    )


def _scores(env: Any) -> list[str]:
    """Name the metrics of the round that are better when they are higher."""
    found = env.evaluation_result_list or ()
    return sorted({metric for _, metric, _, is_higher_better, *_ in found if is_higher_better})
