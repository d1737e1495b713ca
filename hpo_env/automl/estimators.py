"""Estimators of scikit-learn whose hyperparameters are set by a policy while their trees grow.

Axes: `R` rows, `D` columns, `C` classes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.automl.base import ControlledBoosting
from hpo_env.errors import DatasetError
from hpo_env.integrations.extras import require
from hpo_env.tasks.automl.task import Target

_base = require("sklearn.base", extra="automl")
_multiclass = require("sklearn.utils.multiclass", extra="automl")

Array = NDArray[np.float64]


class ControlledBoostingClassifier(_base.ClassifierMixin, ControlledBoosting):  # type: ignore[misc,name-defined]
    """Boosted trees for two or more classes, steered by a policy while they grow.

    Args:
        policy: Name of a shipped policy of boosting, or the folder of one of your own.
        library: What grows the trees: "lightgbm" or "xgboost".
        n_estimators: Rounds of a run, at most; the best of them is where the model is cut off.
        start: "learned" begins at the setting that was best on the policy's training tables, "user"
            at `initial` (LightGBM's defaults where that says nothing). None: what was measured to
            be better.
        initial: Values to begin from, by name, such as `{"learning_rate": 0.05}`.
        linear_start: Share, in [0, 1], of a linear model in the scores from which the first tree
            goes on, between the best constant (0) and the whole of it (1). None of it is used where
            it is no better than a constant on the validation rows, where it would take about as
            long as the trees (more than 300 columns of numbers, or 20 million cells), or where
            `library_params` demand constraints of the model. Of many levels of categories the most
            frequent count.
        refit: Whether the course of the run is replayed on all rows, up to where it was cut off;
            what it says is then the mean of the replays.
        n_replays: How often it is, 1 or more: with other bags and columns each, and from other
            shares of the linear model, around `linear_start`. None: 4, and 1 for each of several
            runs. Four take about as long as the run.
        validation_fraction: Share of the rows by which the run is steered and cut off, in (0, 1).
            Several runs divide the rows into parts of about that share, half of them at most.
        n_runs: Controlled runs. More than one make an ensemble: each has other validation rows, and
            all weigh the same. With `X_val` they begin around the start, and those that count are
            chosen greedily by these rows.
        time_budget: Seconds for the whole fit; None: as long as it takes. With one, the outcome
            depends on how fast the machine is.
        categorical_features: Names or places of columns whose numbers are codes of categories. The
            columns of a data frame that hold no numbers are found without it.
        library_params: Further parameters of the library, such as `{"max_bin": 63}`.
        n_jobs: Threads of the library; None: 1. Outcomes do not depend on it in LightGBM.
        random_state: Seed of the split, the bags and the further starts.
        progress_bar: Whether a line on the error stream says how far the fit has come.

    Attributes:
        classes_: Labels, in order `[C]`.
        n_iter_: Rounds of the run that weighs most, after it was cut off.
        course_: Its values, from each round ("step") on.
        losses_: Its training and validation loss after every round `[T, 2]`; the training loss is
            measured where a decision follows, and NaN else.
        best_score_: Validation loss of the model, before it was refitted; of several runs that have
            other validation rows each, the mean of theirs.
        weights_: Of each run in the model `[n_runs]`.
        is_refitted_: Whether the model has grown on all rows.
        notes_: What a person should know of the fit.
        n_features_in_: Columns in `fit`.
        feature_names_in_: Their names, where they have some.

    Example:
        >>> import numpy as np
        >>> ControlledBoostingClassifier(n_estimators=50)
        ControlledBoostingClassifier(n_estimators=50)
    """

    @property
    def _target(self) -> Target:
        return "binary" if len(self.classes_) == 2 else "multiclass"

    @property
    def _num_classes(self) -> int:
        return len(self.classes_)

    def _read_target(self, y: Any, *, is_first: bool) -> Array:
        _refuse_missing(y)
        _multiclass.check_classification_targets(y)
        if is_first:
            self.classes_ = np.unique(y)
            if len(self.classes_) < 2:
                raise DatasetError(
                    "a classifier needs at least two classes; got one class, "
                    f"{self.classes_.tolist()[:1]}"
                )
            return np.asarray(np.searchsorted(self.classes_, y), dtype=np.float64)
        unknown = np.setdiff1d(np.unique(y), self.classes_)
        if len(unknown):
            raise DatasetError(
                f"y_val must hold classes of y; got {unknown.tolist()[:3]}, and those of y are "
                f"{self.classes_.tolist()[:10]}"
            )
        return np.asarray(np.searchsorted(self.classes_, y), dtype=np.float64)

    def predict_proba(self, X: Any) -> Array:  # noqa: N803
        """Return how likely each class is, `[R, C]`.

        Args:
            X: Rows of the columns of `fit`. Levels that were not seen there count as missing.
        """
        return self._outputs(X)

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: N803
        """Return the likeliest class of each row `[R]`."""
        places = self._outputs(X).argmax(axis=1)
        return np.asarray(self.classes_[places])


class ControlledBoostingRegressor(_base.RegressorMixin, ControlledBoosting):  # type: ignore[misc,name-defined]
    """Boosted trees for a number, steered by a policy while they grow; by squared errors.

    Arguments and attributes are those of `ControlledBoostingClassifier`, but for `classes_`; losses
    are root mean square errors in deviations of the target.

    Example:
        >>> ControlledBoostingRegressor(library="xgboost")
        ControlledBoostingRegressor(library='xgboost')
    """

    @property
    def _target(self) -> Target:
        return "regression"

    @property
    def _num_classes(self) -> int:
        return 1

    def _read_target(self, y: Any, *, is_first: bool) -> Array:
        _refuse_missing(y)
        if np.asarray(y).dtype.kind in "mM":
            raise DatasetError(
                f"y must hold numbers for a regressor; got {np.asarray(y).dtype}. Give one number "
                "for each row, such as days since a day"
            )
        try:
            found = np.asarray(y, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise DatasetError(f"y must hold numbers for a regressor: {error}") from error
        if not np.isfinite(found).all():
            raise DatasetError("y must be finite; got an infinity. Leave such rows out")
        if is_first:
            with np.errstate(over="ignore", invalid="ignore"):
                self._mean, self._deviation = float(found.mean()), float(found.std())
            if len(found) > 1 and found.min() == found.max():
                raise DatasetError(
                    f"y must vary; all {len(found)} targets are {self._mean:g}: there is nothing "
                    "to learn"
                )
            if len(found) > 1 and not 0.0 < self._deviation < np.inf:
                raise DatasetError(
                    f"y must have squares that can be told apart; its targets lie in "
                    f"[{found.min():g}, {found.max():g}]. Give them in another unit"
                )
        return (found - self._mean) / self._deviation

    def predict(self, X: Any) -> Array:  # noqa: N803
        """Return the number that is expected for each row `[R]`.

        Args:
            X: Rows of the columns of `fit`. Levels that were not seen there count as missing.
        """
        return self._outputs(X)[:, 0] * self._deviation + self._mean


def _refuse_missing(y: Any) -> None:
    """Refuse targets that are missing.

    Raises:
        DatasetError: One is.
    """
    values = np.asarray(y)
    is_missing = values != values if values.dtype.kind in "fcO" else np.zeros(len(values), bool)
    is_missing |= np.array([value is None for value in values]) if values.dtype == object else False
    if np.any(is_missing):
        raise DatasetError(
            f"y must not be missing; got NaN in {int(np.sum(is_missing))} of {len(values)} rows. "
            "Leave such rows out"
        )
