"""What a booster of LightGBM has of the family's hyperparameters, read and written between rounds.

LightGBM 4.7 crashes, keeps what was before or says nothing for some of what may be asked between
rounds. So shares stay where they take effect (`hpo_env.tasks.automl.space`), and what cannot be
moved in a training is not offered to the policy, which is told so.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from hpo_env.controller import ControllerWarning
from hpo_env.errors import ConfigurationError
from hpo_env.integrations.borrowed import BorrowedValue
from hpo_env.tasks.automl.space import HYPERPARAMETERS, LEAST_ROWS, MOST, to_lightgbm
from hpo_env.tasks.automl.task import Target

_ADVICE = "Take lightgbm.reset_parameter(...) out of the callbacks, or this one"

LIGHTGBM_NAMES: Mapping[str, tuple[str, ...]] = {
    "learning_rate": ("learning_rate", "shrinkage_rate", "eta"),
    "num_leaves": ("num_leaves", "num_leaf", "max_leaves", "max_leaf", "max_leaf_nodes"),
    "min_data_in_leaf": (
        "min_data_in_leaf",
        "min_data_per_leaf",
        "min_data",
        "min_child_samples",
        "min_samples_leaf",
    ),
    "lambda_l2": ("lambda_l2", "reg_lambda", "lambda"),
    "row_fraction": ("bagging_fraction", "sub_row", "subsample", "bagging"),
    "column_fraction": ("feature_fraction", "sub_feature", "colsample_bytree"),
}
"""LightGBM's name of each hyperparameter, and the other names that it takes for it."""

_FREQUENCY = ("bagging_freq", "subsample_freq")
_UNSET: Mapping[str, float] = {
    "learning_rate": 0.1,
    "num_leaves": 31,
    "min_data_in_leaf": 20,
    "lambda_l2": 0.0,
    "row_fraction": 1.0,
    "column_fraction": 1.0,
}  # LightGBM's own

_OBJECTIVES: Mapping[str, Target] = {
    "binary": "binary",
    "cross_entropy": "binary",
    "xentropy": "binary",
    "multiclass": "multiclass",
    "softmax": "multiclass",
    "multiclassova": "multiclass",
    "multiclass_ova": "multiclass",
    "ova": "multiclass",
    "ovr": "multiclass",
}
_RANKING = ("lambdarank", "rank_xendcg", "xendcg", "xe_ndcg", "xe_ndcg_mart", "xendcg_mart")
_LOWEST = {h.name: float(h.low) for h in HYPERPARAMETERS}


def given(params: Mapping[str, Any], names: tuple[str, ...], unset: Any) -> Any:
    """Return a parameter that goes by several names, the first that is given."""
    return next((params[name] for name in names if params.get(name) is not None), unset)


def objective_of(params: Mapping[str, Any]) -> str:
    """Return the name of the objective, "" for a function of the user's own.

    Raises:
        ConfigurationError: It ranks, and no loss tells how well.
    """
    names = ("objective", "objective_type", "app", "application", "loss")
    found = given(params, names, "regression")
    name = found if isinstance(found, str) else ""
    if name in _RANKING:
        raise ConfigurationError(
            f"objective={name!r} ranks, and a policy goes by a loss: train without the controller, "
            "or as a regression on the relevance"
        )
    return name


def target_of(params: Mapping[str, Any]) -> Target:
    """Say what a booster is trained for; whatever is not of classes counts as regression."""
    return _OBJECTIVES.get(objective_of(params), "regression")


def check_boosting(params: Mapping[str, Any]) -> None:
    """Refuse boostings whose trees are not shrunk once for all.

    Raises:
        ConfigurationError: It is "dart" or "rf".
    """
    kind = given(params, ("boosting", "boosting_type", "boost"), "gbdt")
    if kind in ("dart", "rf", "random_forest"):
        raise ConfigurationError(
            f"boosting='gbdt' must be used, as {kind!r} does not shrink each tree once for all"
        )


class LightGBMParameters:
    """The hyperparameters of one booster.

    What is put is handed over by `flush`, all at once.

    Args:
        model: The booster.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._pending: dict[str, Any] = {}

    def shrinkage(self) -> BorrowedValue:
        """Return what writes the shrinkage, at once."""
        return BorrowedValue(
            self._model,
            "learning_rate",
            read=lambda: self._read("learning_rate"),
            put=lambda there: self._model.reset_parameter(_handed_over("learning_rate", there)),
            make=lambda rate: {"learning_rate": rate},
            number=lambda there: float(given(there, LIGHTGBM_NAMES["learning_rate"], 0.1)),
            advice=_ADVICE,
        )

    def values(self) -> dict[str, BorrowedValue]:
        """Return what writes each hyperparameter that this booster lets be moved."""
        movable = ["learning_rate", "num_leaves", "lambda_l2", "column_fraction"]
        if self._can_lower_leaf():
            movable.append("min_data_in_leaf")
        else:
            warnings.warn(
                "min_data_in_leaf is left alone: LightGBM lets it fall between rounds only with "
                "feature_pre_filter=False. Give that in the parameters (of the Dataset, too) to "
                "have it steered",
                ControllerWarning,
                stacklevel=2,
            )
        if self._draws_rows_evenly():
            movable.append("row_fraction")
        self._say_what_is_clipped(movable)
        return {name: self._value(name) for name in movable}

    def flush(self) -> None:
        """Hand over what was put."""
        if self._pending:
            self._model.reset_parameter(dict(self._pending))
            self._pending.clear()

    def _value(self, name: str) -> BorrowedValue:
        return BorrowedValue(
            self._model,
            name,
            read=lambda: self._read(name),
            put=lambda there: self._pending.update(_handed_over(name, there)),
            make=lambda value: to_lightgbm({name: value}),
            number=lambda there: _number(name, there),
            advice=_ADVICE,
        )

    def _read(self, name: str) -> dict[str, Any]:
        """Return what is given of a hyperparameter, by LightGBM's names."""
        params = {**self._model.params, **self._pending}
        names = (*LIGHTGBM_NAMES[name], *(_FREQUENCY if name == "row_fraction" else ()))
        return {one: params[one] for one in names if params.get(one) is not None}

    def _can_lower_leaf(self) -> bool:
        """Say whether the fewest rows of a leaf may fall: columns may have been left out for it."""
        params = self._model.params  # those of the data are among them
        if int(given(params, LIGHTGBM_NAMES["min_data_in_leaf"], _UNSET["min_data_in_leaf"])) <= 1:
            return True
        return str(params.get("feature_pre_filter", True)).lower() in ("false", "0", "-")

    def _draws_rows_evenly(self) -> bool:
        """Say whether rows are drawn by one share, and not by gradients or class by class."""
        params = self._model.params
        by_class = (
            "pos_bagging_fraction",
            "pos_sub_row",
            "pos_subsample",
            "pos_bagging",
            "neg_bagging_fraction",
            "neg_sub_row",
            "neg_subsample",
            "neg_bagging",
        )
        strategy = given(params, ("data_sample_strategy",), "bagging")
        boosting = given(params, ("boosting", "boosting_type", "boost"), "gbdt")
        return "goss" not in (strategy, boosting) and given(params, by_class, 1.0) == 1.0

    def _say_what_is_clipped(self, movable: list[str]) -> None:
        there = self._read("row_fraction")
        share = float(given(there, LIGHTGBM_NAMES["row_fraction"], 1.0))
        if "row_fraction" in movable and _frequency(there) and share < LEAST_ROWS:
            warnings.warn(
                f"bagging_fraction={share:g} is raised to {LEAST_ROWS:g} for this training: moved "
                "across 0.5 between rounds, LightGBM crashes or goes on with an old bag",
                ControllerWarning,
                stacklevel=2,
            )


def _frequency(there: Mapping[str, Any]) -> int:
    """Return every how many rounds rows are drawn anew; 0: never."""
    return int(given(there, _FREQUENCY, 0))


def _number(name: str, there: Mapping[str, Any]) -> float:
    """Read a value, moved into what is safe, and to where a factor has an effect."""
    value = float(given(there, LIGHTGBM_NAMES[name], _UNSET[name]))
    if name == "row_fraction":
        return min(max(value, LEAST_ROWS), MOST) if _frequency(there) > 0 else MOST
    if name == "column_fraction":
        return min(value, MOST)
    return value if value > 0.0 else _LOWEST[name]


def _handed_over(name: str, there: Mapping[str, Any]) -> dict[str, Any]:
    """Return what to set so that a hyperparameter is as it was read, under LightGBM's own name."""
    main = LIGHTGBM_NAMES[name][0]
    value = given(there, LIGHTGBM_NAMES[name], _UNSET[name])
    if name != "row_fraction":
        return {main: value}
    if _frequency(there) > 0:  # never across 0.5, not even to give it back
        value = max(value, LEAST_ROWS)
    return {main: value, "bagging_freq": _frequency(there)}
