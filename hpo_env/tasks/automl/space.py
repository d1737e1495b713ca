"""What is turned while trees grow, and what LightGBM and XGBoost call it.

The ranges keep away from what breaks LightGBM 4.7 between rounds: a share of rows that moves across
0.5 crashes the process or keeps a stale bag, and a share of exactly 1 keeps the bag or the columns
of the round before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hpo_env.hyperparameters import Hyperparameter
from hpo_env.tasks.automl.task import Target

LEAST_ROWS, MOST = 0.51, 0.999
"""Ends of the shares of rows (and of columns, at the upper end)."""

HYPERPARAMETERS: tuple[Hyperparameter, ...] = (
    Hyperparameter(
        name="learning_rate",
        low=0.005,
        high=0.5,
        default=0.1,
        max_step=2.5,
        scheduled=True,
        retreat=-1.0,
        is_always_available=True,
    ),
    Hyperparameter(
        name="num_leaves", low=2, high=128, default=31, max_step=2.0, scale="log_integer"
    ),
    Hyperparameter(
        name="min_data_in_leaf", low=1, high=100, default=20, max_step=2.5, scale="log_integer"
    ),
    Hyperparameter(name="lambda_l2", low=0.01, high=100.0, default=0.01, max_step=4.0),
    Hyperparameter(
        name="row_fraction",
        low=LEAST_ROWS,
        high=MOST,
        default=MOST,
        max_step=0.15,
        scale="linear",
    ),
    Hyperparameter(
        name="column_fraction", low=0.2, high=MOST, default=MOST, max_step=0.2, scale="linear"
    ),
    Hyperparameter(
        name="linear_shrinkage", low=0.0, high=1.0, default=0.0, max_step=0.25, scale="linear"
    ),
)
"""In the family's order; the defaults are LightGBM's own, as near as the ranges allow."""

LIBRARY_NAMES: tuple[str, ...] = tuple(h.name for h in HYPERPARAMETERS[:-1])
"""Those that a plain loop of LightGBM or XGBoost can write: all but the linear stage."""

_MEAN_HESSIAN: Mapping[Target, float] = {"regression": 1.0, "binary": 0.15, "multiclass": 0.15}
"""XGBoost has no smallest number of rows in a leaf but one of their hessians' sum: what a row adds
to it on average."""


def to_lightgbm(values: Mapping[str, float]) -> dict[str, Any]:
    """Return parameters for `Booster.reset_parameter` that it takes between rounds.

    Args:
        values: Some of `LIBRARY_NAMES`; shares are clipped to what is safe.

    Example:
        >>> to_lightgbm({"num_leaves": 7.0, "row_fraction": 1.0})
        {'num_leaves': 7, 'bagging_fraction': 0.999, 'bagging_freq': 1}
    """
    made: dict[str, Any] = {}
    for name, value in values.items():
        if name in ("num_leaves", "min_data_in_leaf"):
            made[name] = round(value)
        elif name == "row_fraction":
            made["bagging_fraction"] = min(max(value, LEAST_ROWS), MOST)
            made["bagging_freq"] = 1
        elif name == "column_fraction":
            made["feature_fraction"] = min(value, MOST)
        else:
            made[name] = value
    return made


def to_xgboost(values: Mapping[str, float], target: Target) -> dict[str, Any]:
    """Return parameters for `Booster.set_param` that come as near as XGBoost can.

    Args:
        values: Some of `LIBRARY_NAMES`.
        target: What is predicted.

    Example:
        >>> to_xgboost({"num_leaves": 7.0, "min_data_in_leaf": 20.0}, "binary")
        {'max_leaves': 7, 'min_child_weight': 3.0}
    """
    made: dict[str, Any] = {}
    for name, value in values.items():
        if name == "num_leaves":
            made["max_leaves"] = round(value)
        elif name == "min_data_in_leaf":
            made["min_child_weight"] = value * _MEAN_HESSIAN[target]
        else:
            made[_XGBOOST[name]] = value
    return made


_XGBOOST = {
    "learning_rate": "learning_rate",
    "lambda_l2": "reg_lambda",
    "row_fraction": "subsample",
    "column_fraction": "colsample_bytree",
}
