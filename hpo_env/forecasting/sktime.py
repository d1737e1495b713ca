"""The controlled forecaster as an estimator of sktime.

    from hpo_env.forecasting.sktime import ControlledForecaster

    ControlledForecaster(sp=12).fit(y, fh=range(1, 19)).predict()

It stands where sktime's own forecasters do: in pipelines, grids of transformations, cross
validation, ensembles. Importing this module needs sktime.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
from sktime.forecasting.base import BaseForecaster

from hpo_env.forecasting.forecaster import ControlledForecaster as OneSeries
from hpo_env.forecasting.forecaster import Explanation
from hpo_env.forecasting.intervals import check_levels
from hpo_env.forecasting.pretrained import SHIPPED

_NARROWEST = 1.0  # percent


class ControlledForecaster(BaseForecaster):  # type: ignore[misc]  # sktime has no types
    """Damped Holt-Winters, drift, autoregression and Theta, set by a policy on the way.

    Args:
        sp: Observations in a season, 1 for none; or several, which MSTL takes out.
        season: "multiplicative", "additive", or "auto".
        policy: Name of a shipped policy, or the folder of one of your own.

    Raises:
        ConfigurationError: An argument is out of range; when it is fitted, as sktime asks.

    Example:
        >>> from sktime.datasets import load_airline
        >>> fitted = ControlledForecaster(sp=12).fit(load_airline(), fh=[1, 2, 3])
        >>> len(fitted.predict())
        3
    """

    _tags: ClassVar[dict[str, Any]] = {
        "authors": ["HPOControl"],
        "y_inner_mtype": "pd.Series",
        "X_inner_mtype": "pd.DataFrame",
        "scitype:y": "univariate",
        "capability:exogenous": False,
        "capability:missing_values": True,
        "capability:pred_int": True,
        "capability:pred_int:insample": False,
        "capability:insample": False,
        "requires-fh-in-fit": False,
        "enforce_index_type": None,
    }

    def __init__(
        self,
        sp: int | Sequence[int] = 1,
        season: Literal["auto", "multiplicative", "additive"] = "auto",
        policy: str = SHIPPED,
    ) -> None:
        # sktime's contract: arguments are kept as they are, and checked when it is fitted.
        self.sp = sp
        self.season = season
        self.policy = policy
        super().__init__()

    def explain(self) -> Explanation:
        """Tell what was set on the way through the series of `fit`."""
        self.check_is_fitted()
        return self._forecaster.explain()

    def _fit(self, y: pd.Series[float], X: Any, fh: Any) -> ControlledForecaster:  # noqa: N803
        self._forecaster = OneSeries(self.sp, season=self.season, policy=self.policy)
        self._forecaster.fit(y.to_numpy(dtype=np.float64))
        return self

    def _predict(self, fh: Any, X: Any) -> pd.Series[float]:  # noqa: N803
        steps, index = self._ahead(fh)
        mean = self._forecaster.predict(int(steps.max()))["mean"]
        return pd.Series(mean[steps - 1], index=index, name=self._y.name)

    def _predict_interval(self, fh: Any, X: Any, coverage: Sequence[float]) -> pd.DataFrame:  # noqa: N803
        steps, index = self._ahead(fh)
        levels = {share: 100.0 * share for share in coverage}
        wide = check_levels([level for level in levels.values() if level >= _NARROWEST])
        found = self._forecaster.predict(int(steps.max()), level=wide)
        name = self._get_varnames()[0]
        columns = {
            # Nothing is known of intervals that are narrower: sktime asks for one of no width as
            # the median.
            (name, share, side): found[f"{key}-{level:g}" if level in wide else "mean"][steps - 1]
            for share, level in levels.items()
            for side, key in (("lower", "lo"), ("upper", "hi"))
        }
        frame = pd.DataFrame(columns, index=index)
        frame.columns = pd.MultiIndex.from_tuples(list(columns))
        return frame

    def _ahead(self, fh: Any) -> tuple[np.ndarray[Any, np.dtype[np.int64]], Any]:
        """Return the steps ahead `[A]`, from 1, and their index."""
        steps = np.asarray(fh.to_relative(self.cutoff), dtype=np.int64)
        return steps, fh.to_absolute_index(self.cutoff)

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Return arguments for sktime's own checks."""
        return [{"sp": 1}, {"sp": 4, "season": "additive"}]
