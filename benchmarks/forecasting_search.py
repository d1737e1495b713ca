"""How many trials of Optuna for each series one pass of a controlled forecaster is worth.

    python benchmarks/forecasting_search.py --on validation

Every series has a study of its own: TPE turns all hyperparameters, and a trial walks through the
series with them and is judged by what a person can see, the mean size of the errors of all
forecasts 1 to h steps ahead made on the way. After each power of two of trials the settings that
were best until then make the forecast. The first trial is the constants of the season, from which
the policy starts too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import tyro
from numpy.typing import NDArray

from benchmarks.forecasting import On, errors, panel, steered, summary
from benchmarks.forecasting_packages import every
from hpo_env.forecasting.pretrained import SHIPPED, pretrained
from hpo_env.seeding import stream
from hpo_env.tasks.forecasting import opponents
from hpo_env.tasks.forecasting.family import ForecastingFamily

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Config:
    """Compare with a search for every series.

    Args:
        on: validation, or a competition.
        every: Of how many series one is searched.
        num_trials: Of every study.
        out: Where the table goes.
    """

    on: On = "m3"
    every: int = 4
    num_trials: int = 32
    out: Path = Path("benchmarks/results/forecasting")


def main(config: Config) -> None:
    """Print and write the table."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    data = every(panel(config.on), config.every)
    space = ForecastingFamily().space
    low, high = space.to_axis(np.stack([space.low, space.high]))
    starts = np.array([task.constants for task in data.tasks])
    seeds = stream(0, "search").integers(2**31, size=len(starts))
    samplers = [optuna.samplers.TPESampler(seed=int(seed)) for seed in seeds]
    studies = [optuna.create_study(sampler=sampler) for sampler in samplers]
    for study, place in zip(studies, space.to_axis(starts), strict=True):
        study.enqueue_trial(dict(zip(space.names, place.tolist(), strict=True)))
    axes: dict[str, optuna.distributions.BaseDistribution] = {
        name: optuna.distributions.FloatDistribution(a, b)
        for name, a, b in zip(space.names, low, high, strict=True)
    }
    best = np.full(len(starts), np.inf)
    forecasts, kept = np.zeros(data.actual.shape), {}
    for number in range(1, config.num_trials + 1):
        trials = [study.ask(axes) for study in studies]
        places = np.array([[trial.params[name] for name in space.names] for trial in trials])
        values = space.values(starts, places - space.to_axis(starts))
        found = steered(data, [], values)
        total = np.nansum(found.errors * found.num_errors, axis=1)
        seen = total / np.maximum(found.num_errors.sum(axis=1), 1.0)
        for study, trial, value in zip(studies, trials, seen.tolist(), strict=True):
            study.tell(trial, value)
        better = seen < best
        best = np.where(better, seen, best)
        forecasts[better] = found.forecasts[better]
        if number & (number - 1) == 0 or number == config.num_trials:
            kept[f"{number} trials"] = forecasts.copy()
    kept["controlled"] = steered(data, [pretrained(SHIPPED).policy]).forecasts
    naive = errors(opponents.naive2(data.walks, data.num_ahead), data)
    reference = errors(kept["controlled"], data)
    rows = [
        summary(name, errors(one, data), replace(data), reference, naive)
        for name, one in kept.items()
    ]
    table = pd.DataFrame(rows)[
        ["method", "smape", "mase", "owa", "log_mase_to_theta", "low", "high"]
    ]
    table = table.rename(columns={"log_mase_to_theta": "log_mase_to_controlled"})
    config.out.mkdir(parents=True, exist_ok=True)
    table.to_csv(config.out / f"search_{config.on}.csv", index=False, float_format="%.4f")
    print(f"{len(data.tasks)} series of {config.on}")
    print(table.round(4).to_string(index=False))


if __name__ == "__main__":
    main(tyro.cli(Config))
