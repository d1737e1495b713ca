"""What the two estimators share: arguments, data, the fit, and what is said of it.

Axes: `R` rows, `D` columns, `C` columns of what a model says.
"""

from __future__ import annotations

import math
import numbers
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hpo_env.arguments import by_name, is_number, whole_number
from hpo_env.automl.boosters import Booster, Goal, booster_class
from hpo_env.automl.columns import Columns, as_frame, is_frame
from hpo_env.automl.explaining import Explanation
from hpo_env.automl.fitting import SPACE, Fit, Plan, Sides, fit_rows
from hpo_env.automl.progress_bar import ProgressBar
from hpo_env.automl.rows import Rows, checked_weights, folds, split
from hpo_env.control.schedule_file import write_schedule
from hpo_env.controller import Controller
from hpo_env.errors import ConfigurationError, ControllerWarning, DatasetError
from hpo_env.integrations.boosting import is_for_boosting
from hpo_env.integrations.extras import require
from hpo_env.starts import Problem, Start, chosen_start
from hpo_env.tasks.automl.space import LIBRARY_NAMES
from hpo_env.tasks.automl.task import Target

_base = require("sklearn.base", extra="automl")
_validation = require("sklearn.utils.validation", extra="automl")

Array = NDArray[np.float64]

SHIPPED = "automl"
"""The policy that the estimators have."""

REPLAYS, REPLAYS_OF_SEVERAL = 4, 1
"""Of the course of a run on all rows, and of each of several runs: see `n_replays`."""

LINEAR_SHARE = 0.75
"""Of a linear model where the first tree begins: what was best on the validation tables."""

_SHAPING = (
    "monotone_constraints",
    "mc",
    "monotone_constraint",
    "monotonic_cst",
    "interaction_constraints",
)
"""Parameters that promise something of the model, which a linear start would break."""


class ControlledBoosting(_base.BaseEstimator):  # type: ignore[misc,name-defined]
    """What the classifier and the regressor share; each documents the arguments."""

    _columns: Columns
    _goal: Goal
    _booster: type[Booster]
    _fit: Fit

    def __init__(
        self,
        *,
        policy: str | Path = SHIPPED,
        library: str = "lightgbm",
        n_estimators: int = 200,
        start: Start | None = None,
        initial: Mapping[str, float] | None = None,
        linear_start: float = LINEAR_SHARE,
        refit: bool = True,
        n_replays: int | None = None,
        validation_fraction: float = 0.2,
        n_runs: int = 1,
        time_budget: float | None = None,
        categorical_features: Sequence[int | str] | None = None,
        library_params: Mapping[str, Any] | None = None,
        n_jobs: int | None = None,
        random_state: Any = None,
        progress_bar: bool = False,
    ) -> None:
        self.policy = policy
        self.library = library
        self.n_estimators = n_estimators
        self.start = start
        self.initial = initial
        self.linear_start = linear_start
        self.refit = refit
        self.n_replays = n_replays
        self.validation_fraction = validation_fraction
        self.n_runs = n_runs
        self.time_budget = time_budget
        self.categorical_features = categorical_features
        self.library_params = library_params
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.progress_bar = progress_bar

    def fit(
        self,
        X: Any,  # noqa: N803
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,  # noqa: N803
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Self:
        """Grow the model.

        With `refit` each run grows twice: under the policy, cut off where its validation rows say,
        and once more by the same course on all rows. Several runs have other validation rows each.
        Ctrl-C ends it early and leaves what has grown.

        Args:
            X: A data frame or a matrix `[R, D]`, NaN where a cell is missing. Columns of a frame
                that hold texts, categories or truth values are taken for categories.
            y: What is to be predicted `[R]`.
            sample_weight: How much each row counts `[R]`, 0 or more.
            X_val: Rows to steer by, in the place of a part of `X`.
            y_val: Their targets.
            sample_weight_val: How much each of them counts.

        Raises:
            ConfigurationError: An argument is out of range, or two contradict each other.
            DatasetError: The data cannot be learned from.
            PolicyFileError: The policy cannot be used.
        """
        self._check_settings()
        controller = self._controller()
        rows = self._rows_of(X, y, sample_weight, is_first=True)
        rng = _validation.check_random_state(self.random_state)
        seed = int(rng.randint(2**31 - 1))
        if X_val is not None or y_val is not None:
            if X_val is None or y_val is None:
                raise ConfigurationError("X_val and y_val must both be given, or neither")
            sides = [(rows, self._rows_of(X_val, y_val, sample_weight_val, is_first=False))]
        else:
            if sample_weight_val is not None:
                raise ConfigurationError("sample_weight_val needs X_val and y_val")
            sides = self._set_aside(rows, np.random.default_rng(seed))
        self._say_what_is_constant(sides[0][0])
        self._goal = Goal(
            target=self._target,
            num_classes=self._num_classes,
            is_categorical=self._columns.is_categorical,
            num_threads=self._num_threads(),
            parameters=dict(self.library_params or {}),
        )
        plan = Plan(
            kind=self._booster,
            goal=self._goal,
            controller=controller,
            num_rounds=int(self.n_estimators),
            num_runs=int(self.n_runs),
            initial={n: float(v) for n, v in zip(SPACE.names, SPACE.defaults, strict=True)}
            | {n: float(v) for n, v in (self.initial or {}).items()},
            start="user" if self.initial else self.start,
            linear_share=self._linear_share(),
            num_replays=self._num_replays() if self.refit else 0,
            seed=seed,
            seconds=None if self.time_budget is None else float(self.time_budget),
        )
        bar = ProgressBar(bool(self.progress_bar))
        try:
            self._fit = fit_rows(plan, sides, bar)
        finally:
            bar.close()
        self._publish()
        return self

    def explain(self) -> Explanation:
        """Say what was set while the trees grew, and which observations moved the decisions."""
        _validation.check_is_fitted(self, "n_iter_")
        return Explanation(
            runs=tuple(run.explain() for run in self._fit.runs),
            weights=tuple(self._fit.weights.tolist()),
            rounds=tuple(run.best_round for run in self._fit.runs),
            shares=tuple(run.linear_share for run in self._fit.runs),
            notes=self.notes_,
        )

    def save_schedule(self, path: str | Path) -> Path:
        """Write the course of the run that weighs most: JSON or CSV, by the ending.

        Raises:
            ConfigurationError: Another ending.
        """
        _validation.check_is_fitted(self, "n_iter_")
        return write_schedule(path, self.course_, total_steps=self.n_iter_)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "n_iter_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        return tags

    # --------------------------------------------------------------------------------- the insides

    @property
    def _target(self) -> Target:
        raise NotImplementedError

    @property
    def _num_classes(self) -> int:
        raise NotImplementedError

    def _read_target(self, y: Any, *, is_first: bool) -> Array:
        """Turn targets into labels 0..C-1, or into deviations from the mean."""
        raise NotImplementedError

    def _check_settings(self) -> None:
        self._booster = booster_class(self.library)
        for name in ("n_estimators", "n_runs", *(() if self.n_replays is None else ("n_replays",))):
            if whole_number(name, getattr(self, name)) < 1:
                raise ConfigurationError(f"{name} must be at least 1; got {getattr(self, name)}")
        share = self.validation_fraction
        if not (is_number(share) and 0.0 < share < 1.0):
            raise ConfigurationError(f"validation_fraction must lie in (0, 1); got {share!r}")
        if not (is_number(self.linear_start) and 0.0 <= self.linear_start <= 1.0):
            raise ConfigurationError(
                "linear_start must be a share of a linear model in [0, 1], 0 for none; got "
                f"{self.linear_start!r}"
            )
        seconds = self.time_budget
        if seconds is not None and not (is_number(seconds) and 0.0 < seconds < math.inf):
            raise ConfigurationError(
                f"time_budget must be a number of seconds above 0, or None; got {seconds!r}"
            )
        initial = by_name("initial", self.initial)
        if initial and self.start == "learned":
            raise ConfigurationError(
                "initial= and start='learned' contradict each other: leave one of them out"
            )
        for name, value in initial.items():
            known = SPACE.hyperparameters[SPACE.index(name)]
            if not (is_number(value) and known.low <= value <= known.high):
                raise ConfigurationError(
                    f"initial {name} must lie in [{known.low:g}, {known.high:g}]; got {value!r}"
                )
        self._booster.check(by_name("library_params", self.library_params))

    def _controller(self) -> Controller:
        controller = Controller.from_pretrained(self.policy)
        policy = controller.policy
        movable = set(policy.space.names) & set(LIBRARY_NAMES)
        if not is_for_boosting(policy) or not movable:
            raise ConfigurationError(
                f"policy must be one of family 'automl'; {str(self.policy)!r} is of "
                f"{policy.family!r}"
            )
        chosen_start(policy.learned_start, self.start, Problem())
        return controller

    def _rows_of(
        self,
        x: Any,
        y: Any,
        sample_weight: Any,
        *,
        is_first: bool,
    ) -> Rows:
        """Check rows and targets, and turn them into numbers."""
        if y is None:
            raise DatasetError(
                f"requires y to be passed, but the target y is None: {type(self).__name__} learns "
                "from targets"
            )
        checked = self._checked(x, is_first=is_first)
        if checked.shape[0] < 1:
            raise DatasetError(
                "X_val must have rows; got none. Give some, or leave X_val and y_val out"
            )
        y = _validation.column_or_1d(_labels_kept(y), warn=True)
        _validation.check_consistent_length(checked, y)
        if is_first:
            self._columns = Columns.of(checked, self.categorical_features)
        made = self._columns.read(checked)
        weight = checked_weights(sample_weight, len(y))
        if weight is not None and not weight.all():  # what counts nothing is not there
            kept = np.flatnonzero(weight)
            made, y, weight = made[kept], np.asarray(y)[kept], weight[kept]
        return Rows(x=made, y=self._read_target(y, is_first=is_first), weight=weight)

    def _set_aside(self, rows: Rows, rng: np.random.Generator) -> list[Sides]:
        """Choose validation rows: for one run, or others for each of several."""
        share, is_stratified = float(self.validation_fraction), self._target != "regression"
        if self.n_runs == 1:
            return [split(rows, share, rng, is_stratified=is_stratified)]
        return folds(rows, share, int(self.n_runs), rng, is_stratified=is_stratified)

    def _checked(self, x: Any, *, is_first: bool) -> Any:
        """Return a data frame as it is, anything else as a matrix of numbers.

        Raises:
            DatasetError: It has no rows or columns, or a matrix holds texts.
        """
        x = as_frame(x)
        if is_frame(x):
            _validation.validate_data(self, x, reset=is_first, skip_check_array=True)
            if is_first and (x.shape[0] < 1 or x.shape[1] < 1):
                raise DatasetError(f"X must have rows and columns; got shape {x.shape}")
            return x
        try:
            return _validation.validate_data(
                self, x, reset=is_first, dtype=np.float64, ensure_all_finite=False
            )
        except ValueError as error:
            if "could not convert" not in str(error):
                raise
            raise DatasetError(
                f"X must hold numbers where it is a matrix: {error}. Give a data frame of pandas, "
                "whose texts are taken for categories"
            ) from error

    def _say_what_is_constant(self, train: Rows) -> None:
        constant = self._columns.constant(train.x)
        if constant:
            warnings.warn(
                f"columns {constant} never vary in training, so that nothing is learned from them",
                ControllerWarning,
                stacklevel=3,
            )

    def _num_threads(self) -> int:
        """Return how many threads `n_jobs` asks for, in scikit-learn's words."""
        jobs = self.n_jobs
        if jobs is None:
            return 1
        if not isinstance(jobs, numbers.Integral) or isinstance(jobs, bool) or jobs == 0:
            raise ConfigurationError(
                f"n_jobs must be a whole number other than 0, or None; got {jobs!r}"
            )
        return int(jobs) if jobs > 0 else max((os.cpu_count() or 1) + 1 + int(jobs), 1)

    def _num_replays(self) -> int:
        """Return how often the course of each run is replayed on all rows."""
        usual = REPLAYS if self.n_runs == 1 else REPLAYS_OF_SEVERAL
        return usual if self.n_replays is None else int(self.n_replays)

    def _linear_share(self) -> float:
        """Return the share of a linear model where trees begin; 0 where it may not be there."""
        parameters = self.library_params or {}
        is_shaped = any(parameters.get(name) is not None for name in _SHAPING)
        return 0.0 if is_shaped else float(self.linear_start)

    def _publish(self) -> None:
        """Show what came of it, under scikit-learn's kind of names."""
        fit = self._fit
        first = fit.runs[int(np.argmax(fit.weights))]
        self.n_iter_ = first.best_round
        self.course_ = [dict(row) for row in first.schedule]
        self.losses_ = np.array(first.losses)
        self.best_score_ = fit.validation_loss
        self.weights_ = fit.weights
        self.is_refitted_ = fit.is_refitted
        self.notes_ = fit.notes

    def _outputs(self, x: Any) -> Array:
        """Return what the ensemble says of rows `[R, C]`."""
        _validation.check_is_fitted(self, "n_iter_")
        cells = self._columns.read(self._checked(x, is_first=False))
        total: Array | None = None
        for models, weight in zip(self._fit.models, self._fit.weights, strict=True):
            for model in models:
                said = weight / len(models) * model.outputs(cells)
                total = said if total is None else total + said
        assert total is not None
        return total


def _labels_kept(y: Any) -> Any:
    """Return targets of pandas's own sorts as NumPy has them.

    scikit-learn takes whole numbers and truth values that may be missing for decimal numbers, and
    labels would come back as such.
    """
    dtype = getattr(y, "dtype", None)
    kind = "" if isinstance(dtype, np.dtype) else getattr(dtype, "kind", "")
    if kind not in ("b", "i", "u") or y.isna().any():
        return y
    return y.to_numpy(dtype={"b": np.bool_, "i": np.int64, "u": np.uint64}[kind])
