"""LightGBM and XGBoost, as an estimator grows trees in them: round by round, and no callbacks.

Axes: `R` rows, `D` columns, `K` scores of a row.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hpo_env.automl.rows import Rows
from hpo_env.errors import ConfigurationError, unknown_name
from hpo_env.integrations.extras import require
from hpo_env.integrations.lightgbm_parameters import LIGHTGBM_NAMES, check_boosting, objective_of
from hpo_env.integrations.xgboost_parameters import XGBOOST_NAMES, XGBOOST_OTHERS
from hpo_env.tasks.automl.space import to_lightgbm, to_xgboost
from hpo_env.tasks.automl.task import Target

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What is predicted, and with what means.

    Args:
        target: What is predicted.
        num_classes: Of the target; 1 for regression.
        is_categorical: Which columns hold codes `[D]`.
        num_threads: Of the library.
        parameters: Further ones of the library's.
    """

    target: Target
    num_classes: int
    is_categorical: NDArray[np.bool_]
    num_threads: int
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def num_scores(self) -> int:
        """`K`."""
        return self.num_classes if self.target == "multiclass" else 1


class Booster(ABC):
    """Trees that grow on rows.

    Args:
        goal: What is predicted.
        train: Rows that grow the trees.
        validation: Rows that are followed; None: nothing is measured.
        seed: Of bags and columns.
    """

    name: ClassVar[str]
    score_names: ClassVar[tuple[str, ...]] = ("auc", "ndcg", "map", "average_precision", "aucpr")

    @abstractmethod
    def __init__(self, goal: Goal, train: Rows, validation: Rows | None, *, seed: int) -> None: ...

    @staticmethod
    @abstractmethod
    def check(parameters: Mapping[str, Any]) -> None:
        """Refuse parameters that are not the user's to give, or no policy was trained on.

        Raises:
            ConfigurationError: One of them is.
        """

    @abstractmethod
    def write(self, values: Mapping[str, float]) -> None:
        """Set hyperparameters, by the family's names, for the rounds to come."""

    @abstractmethod
    def update(self) -> None:
        """Grow a round of trees."""

    @abstractmethod
    def losses(self, *, of_training: bool = True) -> tuple[float, float]:
        """Measure the model on the rows that train, and on those that validate.

        Args:
            of_training: Whether the first is asked for, which takes most of the time; NaN if not.
        """

    @abstractmethod
    def model(self) -> Any:
        """Return the trees so far, for `scores`; what trained them is let go."""

    @staticmethod
    @abstractmethod
    def scores(
        model: Any, x: Array, num_rounds: int, goal: Goal, margin: Array | None = None
    ) -> Array:
        """Return what the first rounds say of rows `[R, K]`: log odds, or the mean.

        Args:
            model: What `model` returned.
            x: The rows `[R, D]`.
            num_rounds: How many rounds count.
            goal: What is predicted.
            margin: Scores that the first tree began from `[R, K]`; None: a constant of the
                library's.
        """


class LightGBMBooster(Booster):
    """Trees of LightGBM; see `Booster`."""

    name = "lightgbm"

    def __init__(self, goal: Goal, train: Rows, validation: Rows | None, *, seed: int) -> None:
        library = require("lightgbm", extra="boost")
        metrics = {"regression": "rmse", "binary": "binary_logloss", "multiclass": "multi_logloss"}
        parameters: dict[str, Any] = {
            "objective": goal.target,
            "metric": metrics[goal.target],
            "verbosity": -1,
            "num_threads": goal.num_threads,
            "force_row_wise": True,  # which of the two layouts is faster is timed, else
            "deterministic": True,
            "feature_pre_filter": False,  # or a leaf's fewest rows could not be lowered
            "bagging_freq": 1,
            "seed": seed,
            **goal.parameters,
        }
        if goal.target == "multiclass":
            parameters["num_class"] = goal.num_classes
        codes = np.flatnonzero(goal.is_categorical).tolist()
        data = library.Dataset(
            train.x,
            train.y,
            weight=train.weight,
            init_score=_flat(train.margin),
            params=parameters,
            categorical_feature=codes,
        )
        self._booster = library.Booster(parameters, data)
        if validation is not None:
            others = library.Dataset(
                validation.x,
                validation.y,
                reference=data,
                weight=validation.weight,
                init_score=_flat(validation.margin),
                params=parameters,
                categorical_feature=codes,
            )
            self._booster.add_valid(others, "validation")

    @staticmethod
    def check(parameters: Mapping[str, Any]) -> None:
        """See `Booster.check`."""
        check_boosting(parameters)
        objective_of(parameters)
        taken = ("objective", "objective_type", "app", "application", "loss", "num_class")
        _check_taken(parameters, LIGHTGBM_NAMES, taken, ("metric", "metrics", "metric_types"))

    def write(self, values: Mapping[str, float]) -> None:
        """See `Booster.write`."""
        self._booster.reset_parameter(to_lightgbm(values))

    def update(self) -> None:
        """See `Booster.update`."""
        self._booster.update()

    def losses(self, *, of_training: bool = True) -> tuple[float, float]:
        """See `Booster.losses`."""
        train = float(self._booster.eval_train()[0][2]) if of_training else math.nan
        return train, float(self._booster.eval_valid()[0][2])

    def model(self) -> Any:
        """See `Booster.model`."""
        return require("lightgbm", extra="boost").Booster(
            model_str=self._booster.model_to_string(num_iteration=-1)
        )

    @staticmethod
    def scores(
        model: Any, x: Array, num_rounds: int, goal: Goal, margin: Array | None = None
    ) -> Array:
        """See `Booster.scores`."""
        found = model.predict(
            x, raw_score=True, num_iteration=num_rounds, num_threads=goal.num_threads
        )
        found = np.asarray(found, dtype=np.float64).reshape(len(x), goal.num_scores)
        return found if margin is None else found + margin


def _flat(margin: Array | None) -> Array | None:
    """Return scores `[R, K]` as LightGBM takes them: `[R]` where there is one for each row."""
    return margin[:, 0] if margin is not None and margin.shape[1] == 1 else margin


class XGBoostBooster(Booster):
    """Trees of XGBoost, grown leaf by leaf; see `Booster`."""

    name = "xgboost"

    def __init__(self, goal: Goal, train: Rows, validation: Rows | None, *, seed: int) -> None:
        self._library = require("xgboost", extra="boost")
        objectives = {
            "regression": ("reg:squarederror", "rmse"),
            "binary": ("binary:logistic", "logloss"),
            "multiclass": ("multi:softprob", "mlogloss"),
        }
        objective, metric = objectives[goal.target]
        parameters: dict[str, Any] = {
            "objective": objective,
            "eval_metric": metric,
            "verbosity": 0,
            "nthread": goal.num_threads,
            "grow_policy": "lossguide",
            "max_depth": 0,
            "seed": seed,
            **goal.parameters,
        }
        if goal.target == "multiclass":
            parameters["num_class"] = goal.num_classes
        self._goal = goal
        self._train = _matrix(self._library, train.x, goal, rows=train, margin=train.margin)
        self._evaluated = [(self._train, "train")]
        if validation is not None:
            others = _matrix(
                self._library, validation.x, goal, rows=validation, margin=validation.margin
            )
            self._evaluated.append((others, "validation"))
        matrices = [matrix for matrix, _ in self._evaluated]
        self._booster = self._library.Booster(parameters, matrices)
        self._num_rounds = 0

    @staticmethod
    def check(parameters: Mapping[str, Any]) -> None:
        """See `Booster.check`."""
        kind = parameters.get("booster", "gbtree")
        if kind != "gbtree":
            raise ConfigurationError(
                f"booster='gbtree' must be used, as {kind!r} does not shrink each tree once for all"
            )
        if int(parameters.get("num_parallel_tree", 1)) > 1:
            raise ConfigurationError(
                "num_parallel_tree=1 must be used, as a forest a round is not what a policy was "
                f"trained on; got {parameters['num_parallel_tree']}"
            )
        objective = parameters.get("objective", "")
        if isinstance(objective, str) and objective.startswith("rank:"):
            raise ConfigurationError(
                f"objective={objective!r} ranks, and a policy goes by a loss: train without the "
                "controller, or as a regression on the relevance"
            )
        steered = {
            name: (*XGBOOST_NAMES[name], *XGBOOST_OTHERS.get(name, ())) for name in XGBOOST_NAMES
        }
        _check_taken(parameters, steered, ("objective", "num_class"), ("eval_metric",))

    def write(self, values: Mapping[str, float]) -> None:
        """See `Booster.write`."""
        self._booster.set_param(to_xgboost(values, self._goal.target))

    def update(self) -> None:
        """See `Booster.update`."""
        self._booster.update(self._train, self._num_rounds)
        self._num_rounds += 1

    def losses(self, *, of_training: bool = True) -> tuple[float, float]:
        """See `Booster.losses`."""
        sides = self._evaluated if of_training else self._evaluated[1:]
        told = self._booster.eval_set(sides, self._num_rounds - 1)
        losses = [float(one.rpartition(":")[2]) for one in told.split()[1:]]
        return (losses[0] if of_training else math.nan), losses[-1]

    def model(self) -> Any:
        """See `Booster.model`."""
        return self._booster

    @staticmethod
    def scores(
        model: Any, x: Array, num_rounds: int, goal: Goal, margin: Array | None = None
    ) -> Array:
        """See `Booster.scores`."""
        matrix = _matrix(require("xgboost", extra="boost"), x, goal, margin=margin)
        found = model.predict(matrix, output_margin=True, iteration_range=(0, num_rounds))
        return np.asarray(found, dtype=np.float64).reshape(len(x), goal.num_scores)


def _matrix(
    library: Any,
    x: Array,
    goal: Goal,
    *,
    rows: Rows | None = None,
    margin: Array | None = None,
) -> Any:
    kinds = ["c" if is_code else "q" for is_code in goal.is_categorical]
    return library.DMatrix(
        x,
        label=None if rows is None else rows.y,
        weight=None if rows is None else rows.weight,
        base_margin=margin,
        feature_types=kinds,
        enable_categorical=True,
        nthread=goal.num_threads,
    )


def _check_taken(
    parameters: Mapping[str, Any],
    steered: Mapping[str, tuple[str, ...]],
    goals: tuple[str, ...],
    metrics: tuple[str, ...],
) -> None:
    """Refuse what the estimator decides itself."""
    for name in parameters:
        for ours, theirs in steered.items():
            if name in theirs:
                raise ConfigurationError(
                    f"library_params must not set {name!r}, which is steered: give where it begins "
                    f"as initial={{{ours!r}: {parameters[name]!r}}}"
                )
        if name in metrics and parameters[name] in Booster.score_names:
            raise ConfigurationError(
                f"{name}={parameters[name]!r} is no loss, and a policy goes by ratios of one: "
                "leave it out, and score the fitted model by it"
            )
        if name in goals or name in metrics:
            raise ConfigurationError(
                f"library_params must not set {name!r}: the estimators train by squared errors or "
                f"log loss. For others, use the library with the callback; got {parameters[name]!r}"
            )


BOOSTERS: Mapping[str, type[Booster]] = {one.name: one for one in (LightGBMBooster, XGBoostBooster)}


def booster_class(library: str) -> type[Booster]:
    """Return the class of boosters of a library.

    Raises:
        UnknownNameError: There is none of that name.
    """
    if library not in BOOSTERS:
        raise unknown_name("library", library, BOOSTERS)
    return BOOSTERS[library]
