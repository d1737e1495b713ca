"""`hpo-control forecast`: forecasts of a user's own series, with intervals and a picture."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from hpo_env.errors import DatasetError
from hpo_env.forecasting import (
    MEAN,
    SHIPPED,
    Outcome,
    Table,
    forecast_table,
    read_table,
)

from ..reporting.style import PALETTE, new_figure, styled

_MOST_DRAWN = 6
_SEEN_PER_STEP = 4  # observations drawn for every step that is forecast


@dataclass(frozen=True, kw_only=True)
class ForecastConfig:
    """Forecast every series of a CSV or Parquet file with the columns unique_id, ds and y.

    A file without unique_id is one series. A series that cannot be used is named and left out.

    Args:
        file: The file; ds are timestamps or whole numbers.
        horizon: Steps ahead, at least 1.
        out: Where the forecasts go, as CSV; a picture of the first series beside it, as PNG.
        level: Intervals, in percent from 1 to 99.
        freq: pandas' name of the frequency, such as MS, QE or D; found out when not given.
        season_length: Observations in a season, or in each of several, which are taken out by MSTL;
            what is usual for the frequency when not given.
        season: How it enters; auto multiplies where all observations are clearly positive.
        policy: Name of a shipped policy, or a folder.
        num_threads: Threads that the series are spread over; one a core when not given.
    """

    file: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE")]
    horizon: int
    out: Path = Path("forecasts.csv")
    level: tuple[float, ...] = (80.0, 95.0)
    freq: str | None = None
    season_length: tuple[int, ...] | None = None
    season: Literal["auto", "multiplicative", "additive"] = "auto"
    policy: str = SHIPPED
    num_threads: int | None = None


def main(args: Sequence[str]) -> None:
    """Forecast as the arguments say."""
    run(tyro.cli(ForecastConfig, args=list(args), prog="hpo-control forecast"))


def run(config: ForecastConfig) -> None:
    """Write forecasts and picture, and say what was done.

    Raises:
        DatasetError: The file cannot be used, or the output cannot be written.
        ConfigurationError: An argument is out of range.
    """
    table = read_table(config.file, config.freq)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # all of it is printed below
        outcome = forecast_table(
            table,
            config.horizon,
            season_length=config.season_length,
            season=config.season,
            level=config.level,
            policy=config.policy,
            num_threads=config.num_threads,
        )
    for key, reason in outcome.problems.items():
        print(f"left out: {key}: {reason}")
    for key, explanation in outcome.explanations.items():
        for note in explanation.notes:
            print(f"note: {key}: {note}")
    picture = config.out.with_suffix(".png")
    try:
        config.out.parent.mkdir(parents=True, exist_ok=True)
        outcome.forecasts.to_csv(config.out, index=False)
        with styled():
            draw(table, outcome, config.level).savefig(picture, facecolor="white")
    except OSError as error:
        raise DatasetError(f"{config.out}: cannot be written: {error}") from error
    print(f"{len(outcome.explanations)} series, {config.horizon} steps ahead: {config.out}")
    print(f"picture of the first: {picture}")


def draw(table: Table, outcome: Outcome, levels: Sequence[float]) -> Any:
    """Draw the first series with forecasts and intervals, and the course of the settings.

    Args:
        table: The series.
        outcome: Their forecasts.
        levels: The intervals that were asked for.

    Returns:
        The figure.
    """
    keys = list(outcome.explanations)[:_MOST_DRAWN]
    figure = new_figure(10.0, 2.4 * len(keys))
    axes: Any = figure.subplots(len(keys), 2, squeeze=False, width_ratios=(2, 1))
    by_key = outcome.forecasts.groupby("unique_id", sort=False)
    for (left, right), key in zip(axes, keys, strict=True):
        rows = by_key.get_group(key)
        seen = table.series[key].values[-max(24, _SEEN_PER_STEP * len(rows)) :]
        ahead = range(len(seen), len(seen) + len(rows))
        left.plot(seen, color="#444444", linewidth=1.0)
        for level in levels:
            low, high = (rows[f"{MEAN}-{side}-{level:g}"] for side in ("lo", "hi"))
            left.fill_between(ahead, low, high, color=PALETTE[0], alpha=0.2, linewidth=0.0)
        left.plot(ahead, rows[MEAN], color=PALETTE[0])
        left.set_title(str(key), loc="left")
        explanation = outcome.explanations[key]
        shares = [k for k, name in enumerate(explanation.names) if name not in ("lags", "ridge")]
        for place, column in enumerate(shares):
            color = PALETTE[place % len(PALETTE)]
            label = explanation.names[column]
            right.plot(explanation.course[:, column], color=color, label=label)
        right.set_ylim(0.0, 1.0)
        right.set_title("settings, decision by decision", loc="left")
    if keys:
        axes[0, 1].legend(fontsize="x-small", ncols=2)
    return figure
