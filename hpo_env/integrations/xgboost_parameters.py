"""What a booster of XGBoost has of the family's hyperparameters, read and written between rounds.

The family's trees grow leaf by leaf up to a number of leaves. XGBoost's usual ones grow level by
level, so for the time of a steered training `grow_policy` is "lossguide" and `max_depth` 0; both
are given back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from hpo_env.errors import ConfigurationError
from hpo_env.integrations.borrowed import BorrowedValue
from hpo_env.tasks.automl.space import HYPERPARAMETERS, LEAST_ROWS, MOST, to_xgboost
from hpo_env.tasks.automl.task import Target

_ADVICE = "Take whatever else sets it (a LearningRateScheduler, set_param) out, or this callback"

XGBOOST_NAMES: Mapping[str, tuple[str, ...]] = {
    "learning_rate": ("learning_rate",),
    "num_leaves": ("max_leaves", "grow_policy", "max_depth"),
    "min_data_in_leaf": ("min_child_weight",),
    "lambda_l2": ("reg_lambda",),
    "row_fraction": ("subsample",),
    "column_fraction": ("colsample_bytree",),
}
XGBOOST_OTHERS: Mapping[str, tuple[str, ...]] = {
    "learning_rate": ("eta",),
    "lambda_l2": ("lambda",),
}
"""Further names that XGBoost takes for them."""

_WHOLE = ("max_leaves", "max_depth")
_LEAF_BY_LEAF = {"grow_policy": "lossguide", "max_depth": 0}
_LOWEST = {h.name: float(h.low) for h in HYPERPARAMETERS}
_MOST_LEAVES = {h.name: float(h.high) for h in HYPERPARAMETERS}["num_leaves"]


def learner_of(model: Any) -> Mapping[str, Any]:
    """Return the configuration of a booster."""
    config: Mapping[str, Any] = json.loads(model.save_config())["learner"]
    return config


def check_booster(learner: Mapping[str, Any]) -> None:
    """Refuse boosters whose trees are not shrunk once for all, forests, and rankings.

    Raises:
        ConfigurationError: It is one of them.
    """
    booster, objective = learner["gradient_booster"], learner["objective"]["name"]
    if booster["name"] != "gbtree":
        raise ConfigurationError(
            f"booster='gbtree' must be used, as {booster['name']!r} does not shrink each tree once "
            "for all"
        )
    num_parallel = int(booster["gbtree_model_param"].get("num_parallel_tree", 1))
    if num_parallel > 1:
        raise ConfigurationError(
            f"num_parallel_tree=1 must be used, as a forest of {num_parallel} trees a round is "
            "not what a policy was trained on"
        )
    if objective.startswith("rank:"):
        raise ConfigurationError(
            f"objective={objective!r} ranks, and a policy goes by a loss: train without the "
            "controller, or as a regression on the relevance"
        )


def target_of(learner: Mapping[str, Any]) -> Target:
    """Say what a booster is trained for; whatever is not of classes counts as regression."""
    objective = learner["objective"]["name"]
    if objective.startswith("multi:"):
        return "multiclass"
    return "binary" if objective in ("binary:logistic", "binary:logitraw") else "regression"


class XGBoostParameters:
    """The hyperparameters of one booster.

    What is put is handed over by `flush`, all at once.

    Args:
        model: The booster; `meet` tells of another one.
        target: What is predicted.
    """

    def __init__(self, model: Any, target: Target) -> None:
        self._owner = self._model = model
        self._target = target
        self._pending: dict[str, Any] = {}
        self._found: dict[str, Any] | None = None

    def meet(self, model: Any) -> None:
        """Take the model of the round that comes; its parameters are looked at anew."""
        self._model, self._found = model, None

    def values(self) -> dict[str, BorrowedValue]:
        """Return what writes each hyperparameter that this booster lets be moved."""
        method = learner_of(self._model)["gradient_booster"]["gbtree_train_param"]
        names = [name for name in XGBOOST_NAMES if name != "num_leaves" or not _is_exact(method)]
        return {name: self._value(name) for name in names}

    def flush(self) -> None:
        """Hand over what was put."""
        if self._pending:
            whole = {n: int(v) for n, v in self._pending.items() if n in _WHOLE}
            self._model.set_param({**self._pending, **whole})
            self._pending, self._found = {}, None

    def _value(self, name: str) -> BorrowedValue:
        return BorrowedValue(
            self._owner,
            name,
            read=lambda: self._read(name),
            put=self._pending_update,
            make=lambda value: self._made(name, value),
            number=lambda there: self._number(name, there),
            advice=_ADVICE,
        )

    def _pending_update(self, there: Mapping[str, Any]) -> None:
        self._pending.update(there)

    def _made(self, name: str, value: float) -> dict[str, Any]:
        made = to_xgboost({name: value}, self._target)
        return made | (_LEAF_BY_LEAF if name == "num_leaves" else {})

    def _read(self, name: str) -> dict[str, Any]:
        """Return what is in force of a hyperparameter, by XGBoost's names."""
        if self._found is None:
            booster = learner_of(self._model)["gradient_booster"]
            self._found = dict(booster["tree_train_param"])
        there = {**self._found, **self._pending}
        return {one: _as_kept(there[one]) for one in XGBOOST_NAMES[name]}

    def _number(self, name: str, there: Mapping[str, Any]) -> float:
        """Read a value, moved into what is safe, and to where a factor has an effect."""
        value = float(there[XGBOOST_NAMES[name][0]])
        if name == "num_leaves":
            depth = float(there["max_depth"])
            by_depth = 2.0**depth if 0.0 < depth < 32.0 else _MOST_LEAVES
            return value if value > 0.0 else min(by_depth, _MOST_LEAVES)
        if name == "min_data_in_leaf":
            of_one_row = to_xgboost({name: 1.0}, self._target)["min_child_weight"]
            value = value / float(of_one_row)
        if name == "row_fraction":
            return min(max(value, LEAST_ROWS), MOST)
        if name == "column_fraction":
            return min(value, MOST)
        return value if value > 0.0 else _LOWEST[name]


def _is_exact(method: Mapping[str, Any]) -> bool:
    """Say whether trees are grown by exact search, which knows no number of leaves."""
    return method["tree_method"] == "exact" or "grow_colmaker" in method["updater_seq"]


def _as_kept(value: Any) -> Any:
    """Return a parameter as XGBoost keeps it: numbers in single precision."""
    try:
        return float(np.float32(value))
    except ValueError:
        return value
