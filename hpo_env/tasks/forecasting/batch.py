"""Many series that are ready to be walked through, as arrays: `preparation.prepare` for a batch.

The kernel prepares thousands at once; without it each is prepared by the NumPy twin.

Axes: `N` series, `L` observations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.tasks.forecasting.layout import FACTS, SERIES_LENGTH
from hpo_env.tasks.forecasting.native.kernel import Kernel
from hpo_env.tasks.forecasting.preparation import (
    MAX_PERIOD,
    Prepared,
    Season,
    prepare,
    stride,
    warm_start,
    window,
)

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """Series before their origins, scaled and without their season.

    Args:
        series: Observations from the first on, 0 beyond the last `[N, L]`.
        indices: The seasonal index of every place `[N, L]`.
        scale: What observations were divided by `[N]`.
        naive_error: See `Prepared` `[N]`.
        facts: What a walk is told of each, `layout.FACTS` `[N, len(FACTS)]`.
    """

    series: Array
    indices: Array
    scale: Array
    naive_error: Array
    facts: Ints

    def __len__(self) -> int:
        return len(self.scale)

    def fact(self, name: str) -> Ints:
        """Return a column of the facts `[N]`."""
        return self.facts[:, FACTS.index(name)]

    @property
    def num_decisions(self) -> Ints:
        """Decisions in each walk `[N]`."""
        return (self.fact("length") - self.fact("warm")) // self.fact("stride") + 1

    def with_season(self, forecasts: Array) -> Array:
        """Bring forecasts after the origin `[N, A]` to the scale and the season of the series."""
        ahead = np.arange(forecasts.shape[1])
        places = (self.fact("length")[:, None] + ahead) % self.fact("period")[:, None]
        season = np.take_along_axis(self.indices, places, axis=1)
        is_factor = self.fact("is_multiplicative")[:, None] > 0
        put_back = np.where(is_factor, forecasts * season, forecasts + season)
        return np.asarray(put_back * self.scale[:, None])

    @classmethod
    def of(cls, prepared: Sequence[Prepared]) -> Batch:
        """Gather series that were prepared one by one."""
        batch = _empty(len(prepared))
        for row, ready in enumerate(prepared):
            length = len(ready.values)
            batch.series[row, :length] = ready.values
            batch.indices[row] = ready.seasonal(0, SERIES_LENGTH)
        batch.scale[:] = [ready.scale for ready in prepared]
        batch.naive_error[:] = [ready.naive_error for ready in prepared]
        batch.tell(
            [len(ready.values) for ready in prepared],
            [ready.period for ready in prepared],
            is_seasonal=[ready.is_seasonal for ready in prepared],
            is_multiplicative=[ready.is_multiplicative for ready in prepared],
        )
        return batch

    def tell(
        self,
        length: Sequence[int],
        period: Sequence[int],
        *,
        is_seasonal: Sequence[bool] | Ints,
        is_multiplicative: Sequence[bool] | Ints,
    ) -> None:
        """Fill the facts from what each series is `[N]`."""
        columns: dict[str, Any] = {
            "length": length,
            "num_future": 0,
            "period": period,
            "is_seasonal": is_seasonal,
            "is_multiplicative": is_multiplicative,
            "stride": [stride(one) for one in period],
            "warm": [warm_start(num, one) for num, one in zip(length, period, strict=True)],
        }
        for name, column in columns.items():
            self.facts[:, FACTS.index(name)] = column


def prepare_all(
    series: Sequence[Array], periods: Sequence[int], season: Season, kernel: Kernel | None
) -> Batch:
    """Prepare the observations before the origins of many series; see `preparation.prepare`.

    Args:
        series: At least 3 observations each, finite `[T]`; the last ones are kept.
        periods: Observations in a season, 1 for none `[N]`.
        season: How it enters.
        kernel: None prepares them one by one.
    """
    if kernel is None:
        return Batch.of(
            [
                prepare(values, period, season)
                for values, period in zip(series, periods, strict=True)
            ]
        )
    known = [period if period <= MAX_PERIOD else 1 for period in periods]
    kept = [values[-window(period) :] for values, period in zip(series, known, strict=True)]
    lengths = [len(values) for values in kept]
    batch = _empty(len(kept))
    is_seasonal, is_multiplicative = kernel.prepare(
        np.concatenate(kept).astype(np.float64, copy=False),
        np.cumsum([0, *lengths], dtype=np.int64),
        np.array(known, dtype=np.int64),
        season,
        series=batch.series,
        indices=batch.indices,
        scale=batch.scale,
        naive_error=batch.naive_error,
    )
    batch.tell(lengths, known, is_seasonal=is_seasonal, is_multiplicative=is_multiplicative)
    return batch


def _empty(num: int) -> Batch:
    return Batch(
        series=np.zeros((num, SERIES_LENGTH)),
        indices=np.zeros((num, SERIES_LENGTH)),
        scale=np.zeros(num),
        naive_error=np.zeros(num),
        facts=np.zeros((num, len(FACTS)), dtype=np.int64),
    )
