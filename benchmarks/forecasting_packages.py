"""The same series by statsforecast's models, and what each costs, in one run on one thread.

    python benchmarks/forecasting_packages.py --every 12

Needs statsforecast, which this project does not install. Every `every`-th series of M3 is forecast
by each model in turn, one series at a time as by `ControlledForecaster`; times are of the process's
own processor time, after one series that compiles what has to be compiled.
"""

from __future__ import annotations

import importlib
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tyro
from numpy.typing import NDArray

from benchmarks.forecasting import Panel, errors, owa, panel
from hpo_env.forecasting import ControlledForecaster
from hpo_env.forecasting.pretrained import SHIPPED, pretrained
from hpo_env.forecasting.running import forecast_all
from hpo_env.tasks.forecasting import opponents
from hpo_env.tasks.forecasting.series import load_source

Array = NDArray[np.float64]

_MODELS = ("AutoETS", "AutoTheta", "DynamicOptimizedTheta", "AutoCES", "AutoARIMA", "Theta")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Compare with statsforecast.

    Args:
        every: Of how many series one is forecast.
        models: Names of statsforecast's models, of arguments `season_length` alone.
        out: Where the table goes.
    """

    every: int = 12
    models: tuple[str, ...] = _MODELS
    out: Path = Path("benchmarks/results/forecasting")


def every(data: Panel, step: int, first: int = 0) -> Panel:
    """Take every `step`-th series, from the place `first` on."""
    return replace(
        data,
        tasks=data.tasks[first::step],
        walks=data.walks[first::step],
        actual=data.actual[first::step],
        naive_error=data.naive_error[first::step],
    )


def one_by_one(data: Panel, forecast: Callable[[Array, int, int], Array]) -> tuple[Array, float]:
    """Forecast series alone; returns forecasts `[N, A]`, NaN beyond a horizon, and milliseconds.

    Args:
        data: The series.
        forecast: From observations, season and horizon to forecasts.
    """
    found = np.full(data.actual.shape, np.nan)
    seen = [load_source(t.source)[t.series].values[: t.origin] for t in data.tasks]
    forecast(seen[0], data.tasks[0].period, data.tasks[0].horizon)
    start = time.process_time()
    for row, values, task in zip(found, seen, data.tasks, strict=True):
        row[: task.horizon] = forecast(values, task.period, task.horizon)[: task.horizon]
    return found, 1e3 * (time.process_time() - start) / len(seen)


def methods(models: Sequence[str]) -> dict[str, Callable[[Array, int, int], Array]]:
    """Return what forecasts one series, by name."""
    library = importlib.import_module("statsforecast.models")

    def of(model: Any) -> Callable[[Array, int, int], Array]:
        def forecast(values: Array, period: int, horizon: int) -> Array:
            return np.asarray(model(season_length=period).forecast(values, horizon)["mean"])

        return forecast

    return {
        "controlled, alone": lambda values, period, horizon: ControlledForecaster(period).forecast(
            values, horizon
        )["mean"],
        **{name: of(getattr(library, name)) for name in models},
    }


def in_a_batch(data: Panel) -> tuple[Array, float]:
    """Forecast all series at once; as `one_by_one`."""
    fitted = pretrained(SHIPPED)
    seen = [load_source(t.source)[t.series].values[: t.origin] for t in data.tasks]
    start = time.process_time()
    found = forecast_all(
        seen, [t.period for t in data.tasks], data.num_ahead, fitted, num_threads=1
    )
    taken = 1e3 * (time.process_time() - start) / len(seen)
    return np.array([one.mean for one in found]), taken


def main(config: Config) -> None:
    """Print and write the table."""
    warnings.simplefilter("ignore")
    data = every(panel("m3"), config.every)
    naive = errors(opponents.naive2(data.walks, data.num_ahead), data)
    frequency = np.array([task.frequency for task in data.tasks])
    rows = []
    found = {"controlled, in a batch": in_a_batch(data)}
    for name, forecast in methods(config.models).items():
        found[name] = one_by_one(data, forecast)
    for name, (forecasts, milliseconds) in found.items():
        one = errors(forecasts, data)
        by = {f"mase_{p}": one.mase[frequency == p].mean() for p in np.unique(frequency)}
        by |= {f"owa_{p}": owa(one, naive, frequency == p) for p in np.unique(frequency)}
        means = {"smape": one.smape.mean(), "mase": one.mase.mean()}
        means |= {"owa": owa(one, naive, np.ones(len(frequency), dtype=bool))}
        rows.append({"method": name} | means | by | {"milliseconds": milliseconds})
    table = pd.DataFrame(rows)
    config.out.mkdir(parents=True, exist_ok=True)
    table.to_csv(config.out / "packages.csv", index=False, float_format="%.4f")
    print(f"{len(data.tasks)} series of M3")
    print(table.round(3).to_string(index=False))


if __name__ == "__main__":
    main(tyro.cli(Config))
