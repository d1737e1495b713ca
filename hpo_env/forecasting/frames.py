"""Thousands of series at once: a long table in, a long table out.

One series that cannot be used is reported and does not stop the others.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hpo_env.errors import DatasetError
from hpo_env.forecasting.forecaster import Explanation
from hpo_env.forecasting.intervals import check_levels
from hpo_env.forecasting.pretrained import SHIPPED, pretrained
from hpo_env.forecasting.running import check_horizon, check_initial, cleaned
from hpo_env.forecasting.seasons import check_seasons, forecast_seasons
from hpo_env.tasks.base import check_choice
from hpo_env.tasks.forecasting.frames import Table, following, read_table, split_table
from hpo_env.tasks.forecasting.preparation import Season

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MEAN", "Outcome", "Table", "forecast_frame", "forecast_table", "read_table"]

MEAN = "ControlledForecaster"


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """What came of a table.

    Args:
        forecasts: `unique_id`, `ds`, `ControlledForecaster`, and for each level
            `ControlledForecaster-lo-95` and `-hi-95`; `horizon` rows a series.
        problems: Why a series was left out, by identity.
        explanations: What was set for each, by identity.
    """

    forecasts: pd.DataFrame
    problems: Mapping[Any, str]
    explanations: Mapping[Any, Explanation]


def forecast_frame(
    frame: pd.DataFrame,
    horizon: int,
    *,
    freq: str | None = None,
    season_length: int | Sequence[int] | None = None,
    season: Season = "auto",
    level: Sequence[float] | None = None,
    policy: str = SHIPPED,
    num_threads: int | None = None,
    initial: Mapping[str, float] | None = None,
) -> Outcome:
    """Forecast every series of a long table.

    Args:
        frame: Columns `unique_id`, `ds`, `y`; rows in any order.
        horizon: Steps ahead, at least 1.
        freq: pandas' name of the frequency of `ds`; found out when None.
        season_length: Observations in a season, or in each of several; what is usual for the
            frequency when None.
        season: How it enters; see `ControlledForecaster`.
        level: Of intervals, in percent from 1 to 99.
        policy: Name of a shipped policy, or a folder.
        num_threads: One a core when None; the outcome does not depend on it.
        initial: Your own settings, by name; see `ControlledForecaster`.

    Raises:
        DatasetError: A column is missing, or not one series can be used.
        ConfigurationError: An argument is out of range.
        UnknownNameError: There is no setting of a name in `initial`.
    """
    check_horizon(horizon)
    return forecast_table(
        split_table(frame, freq),
        horizon,
        season_length=season_length,
        season=season,
        level=level,
        policy=policy,
        num_threads=num_threads,
        initial=initial,
    )


def forecast_table(
    table: Table,
    horizon: int,
    *,
    season_length: int | Sequence[int] | None = None,
    season: Season = "auto",
    level: Sequence[float] | None = None,
    policy: str = SHIPPED,
    num_threads: int | None = None,
    initial: Mapping[str, float] | None = None,
) -> Outcome:
    """Forecast every series of a table that is split already; see `forecast_frame`."""
    check_horizon(horizon)
    levels = check_levels(level)
    seasons = check_seasons(table.season_length if season_length is None else season_length)
    check_choice("season", season, Season)
    ready_to_go = pretrained(policy)
    settings = check_initial(initial, ready_to_go.policy.space)
    problems = dict(table.problems)
    values, notes, keys = [], [], []
    for key, own in table.series.items():
        try:
            ready, note = cleaned(own.values, seasons[0], season)
        except DatasetError as error:
            problems[key] = str(error)
            continue
        values.append(ready)
        notes.append(note)
        keys.append(key)
    if not table.was_sorted:
        warnings.warn("the rows of the table were not in order: sorted", stacklevel=2)
    if problems:
        key, reason = next(iter(problems.items()))
        message = f"{len(problems)} of {len(problems) + len(keys)} series cannot be used"
        if not keys:
            raise DatasetError(f"{message}; {key!r}: {reason}")
        warnings.warn(f"{message}, for instance {key!r}: {reason}", stacklevel=2)
    found = forecast_seasons(
        values,
        seasons,
        horizon,
        ready_to_go,
        levels=levels,
        num_threads=num_threads,
        season=season,
        initial=settings,
    )
    names = ready_to_go.policy.space.names
    return Outcome(
        forecasts=_table(table, keys, found, horizon, levels),
        problems=problems,
        explanations={
            key: Explanation(names=names, course=one.course, notes=(*note, *one.notes))
            for key, one, note in zip(keys, found, notes, strict=True)
        },
    )


def _table(
    table: Table, keys: Sequence[Any], found: Sequence[Any], horizon: int, levels: Sequence[float]
) -> pd.DataFrame:
    import pandas as pd

    times: dict[Any, list[Any]] = {}
    for key in keys:
        last = table.series[key].last
        if last not in times:
            times[last] = following(last, table.freq, horizon)
    columns: dict[str, Any] = {
        "unique_id": np.repeat(np.array(keys, dtype=object), horizon),
        "ds": [time for key in keys for time in times[table.series[key].last]],
        MEAN: np.concatenate([one.mean for one in found]),
    }
    for level in levels:
        for side, name in enumerate(("lo", "hi")):
            bounds = [one.bounds[level][side] for one in found]
            columns[f"{MEAN}-{name}-{level:g}"] = np.concatenate(bounds)
    return pd.DataFrame(columns)
