"""A forecaster of one series, in the protocol of statsforecast's models.

`StatsForecast(models=[ControlledForecaster(season_length=12)], freq="ME")` takes it as it is.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.errors import ConfigurationError
from hpo_env.forecasting.intervals import check_levels
from hpo_env.forecasting.pretrained import SHIPPED, pretrained
from hpo_env.forecasting.running import Forecast, check_horizon, check_initial, cleaned
from hpo_env.forecasting.seasons import check_seasons, forecast_seasons
from hpo_env.tasks.base import check_choice
from hpo_env.tasks.forecasting.preparation import Season

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What a forecaster set while it read the series.

    Args:
        names: Of the hyperparameters, `H` of them.
        course: Their values after every decision `[T, H]`; the last row made the forecast.
        notes: What a person should know.
    """

    names: tuple[str, ...]
    course: Array
    notes: tuple[str, ...]

    def __str__(self) -> str:
        if not len(self.course):
            return "\n".join(["the last value is repeated: nothing was set", *self.notes])
        first, last = self.course[0], self.course[-1]
        lines = [
            f"{name:<18}{a:8.3f} -> {b:8.3f}"
            for name, a, b in zip(self.names, first, last, strict=True)
        ]
        head = f"after {len(self.course)} decisions (first -> last):"
        return "\n".join([head, *lines, *self.notes])


class ControlledForecaster:
    """Damped Holt-Winters, drift and autoregression whose settings a policy turns on the way.

    Args:
        season_length: Observations in a season, 1 for none; or several, such as (24, 168), which
            are taken out by MSTL.
        season: How it enters: "multiplicative", "additive", or "auto", which multiplies where all
            observations are clearly positive (and adds where there are several seasons).
        policy: Name of a shipped policy, or the folder of one of your own.
        alias: Name of its column in statsforecast's tables.
        initial: Your own settings, by name: the first 3 to 12 observations are taken in under them.
            At the first decision the policy goes on from what is good on average for the season,
            which is also where it begins with None.

    Raises:
        ConfigurationError: A length is not a positive whole number, or a setting is out of range.
        UnknownNameError: There is no such `season`, or no setting of a name.
        PolicyFileError: The policy cannot be used.

    Example:
        >>> y = 100 + 10 * np.sin(np.arange(72) * np.pi / 6) + np.arange(72)
        >>> found = ControlledForecaster(season_length=12).forecast(y, h=3, level=[95])
        >>> sorted(found)
        ['hi-95', 'lo-95', 'mean']
        >>> bool((np.abs(found["mean"] - [172, 178, 182.7]) < 4).all())
        True
    """

    uses_exog = False
    prediction_intervals = None

    def __init__(
        self,
        season_length: int | Sequence[int] = 1,
        *,
        season: Season = "auto",
        policy: str = SHIPPED,
        alias: str = "ControlledForecaster",
        initial: Mapping[str, float] | None = None,
    ) -> None:
        self.seasons = check_seasons(season_length)
        check_choice("season", season, Season)
        self.season_length = self.seasons[0] if len(self.seasons) == 1 else self.seasons
        self.season: Season = season
        self.policy = policy
        self.alias = alias
        self._pretrained = pretrained(policy)
        self.initial = check_initial(initial, self._pretrained.policy.space)
        self._y: Array | None = None
        self._notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return self.alias

    def new(self) -> ControlledForecaster:
        """Return a forecaster of the same settings that has seen no series."""
        return ControlledForecaster(
            self.season_length,
            season=self.season,
            policy=self.policy,
            alias=self.alias,
            initial=self.initial,
        )

    def fit(self, y: Any, X: Any = None) -> ControlledForecaster:  # noqa: N803
        """Take in a series.

        Args:
            y: Observations in order, NaN where one is missing `[T]`.
            X: Must be None: there are no exogenous regressors.

        Raises:
            ConfigurationError: Regressors were given.
            DatasetError: There is no observation, one is infinite, or they are no numbers; or one
                is not positive and the season is to be multiplicative.
        """
        _refuse_regressors(X)
        self._y, self._notes = cleaned(y, self.seasons[0], self.season)
        return self

    def predict(
        self,
        h: int,
        X: Any = None,  # noqa: N803
        level: Sequence[float] | None = None,
    ) -> dict[str, Array]:
        """Forecast the series of `fit`.

        Args:
            h: Steps ahead, at least 1.
            X: Must be None.
            level: Of intervals, in percent from 1 to 99.

        Returns:
            "mean" `[h]`, and for each level "lo-80" and "hi-80" `[h]`.

        Raises:
            ConfigurationError: An argument is out of range, or there was no `fit`.
        """
        _refuse_regressors(X)
        one = self._walk(h, check_levels(level))
        for note in one.notes:
            warnings.warn(f"ControlledForecaster: {note}", stacklevel=2)
        found = {"mean": one.mean}
        for width, (low, high) in one.bounds.items():
            found[f"lo-{width:g}"], found[f"hi-{width:g}"] = low, high
        return found

    def forecast(
        self,
        y: Any,
        h: int,
        X: Any = None,  # noqa: N803
        X_future: Any = None,  # noqa: N803
        level: Sequence[float] | None = None,
        fitted: bool = False,
    ) -> dict[str, Array]:
        """Take in a series and forecast it, in one call; arguments as in `fit` and `predict`.

        Raises:
            ConfigurationError: `fitted` was asked for: there are no fitted values.
        """
        _refuse_regressors(X_future)
        if fitted:
            raise ConfigurationError("ControlledForecaster has no fitted values; leave out fitted")
        return self.new().fit(y, X).predict(h, level=level)

    def forward(
        self,
        y: Any,
        h: int,
        X: Any = None,  # noqa: N803
        X_future: Any = None,  # noqa: N803
        level: Sequence[float] | None = None,
        fitted: bool = False,
    ) -> dict[str, Array]:
        """Forecast another series: the policy is the model, so this is `forecast`."""
        return self.forecast(y, h, X, X_future, level, fitted)

    def explain(self) -> Explanation:
        """Tell what was set on the way through the series of `fit`."""
        one = self._walk(1, ())
        return Explanation(
            names=self._pretrained.policy.space.names, course=one.course, notes=one.notes
        )

    def _walk(self, h: int, levels: tuple[float, ...]) -> Forecast:
        check_horizon(h)
        if self._y is None:
            raise ConfigurationError("there is no series yet: call fit(y) first")
        (one,) = forecast_seasons(
            [self._y],
            self.seasons,
            int(h),
            self._pretrained,
            levels=levels,
            num_threads=1,
            season=self.season,
            initial=self.initial,
        )
        return Forecast(
            mean=one.mean, bounds=one.bounds, course=one.course, notes=(*self._notes, *one.notes)
        )


def _refuse_regressors(given: Any) -> None:
    if given is not None:
        raise ConfigurationError(
            "ControlledForecaster takes no exogenous regressors: the policy was trained on series "
            "alone. Leave them out, or forecast the residuals of a regression on them"
        )
