"""Accuracy of controlled forecasters on held-out competitions, beside what they have to beat.

    python benchmarks/forecasting.py --on m3
    python benchmarks/forecasting.py --on validation --policies logs/a/policy logs/b/policy

Every policy is shown alone; with several, the average of their moves and that of their forecasts
too. Differences to Theta are paired over series, with bootstrap intervals of 95 %. `--on m3` opens
the held-out side: what is to be shipped has to be chosen on `validation` before.

Writes `<on>.csv` (a row a method) and `<on>.md` into the output folder.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import tyro
from numpy.typing import NDArray

from hpo_env.forecasting.intervals import Quantiles, error_scale
from hpo_env.forecasting.pretrained import INTERVALS_FILE, SHIPPED, pretrained
from hpo_env.policy import Policy
from hpo_env.policy_file import load
from hpo_env.seeding import stream
from hpo_env.shipped import ZOO
from hpo_env.tasks.forecasting import opponents
from hpo_env.tasks.forecasting.family import ForecastingFamily
from hpo_env.tasks.forecasting.series import Competition, load_source
from hpo_env.tasks.forecasting.steering import Steered, kernel_or_twin, steer
from hpo_env.tasks.forecasting.task import ForecastingTask
from hpo_env.tasks.forecasting.trainer import Walk, walk_of_task

Array = NDArray[np.float64]
On = Literal["validation", "m3", "m1", "tourism"]

_NUM_RESAMPLES = 2000
_NUM_DRAWN = 1000
_COMPETITIONS: dict[str, Competition] = {"m3": "M3", "m1": "M1", "tourism": "Tourism"}
_FREQUENCIES = ("yearly", "quarterly", "monthly", "other")
_COVERED = 95.0


@dataclass(frozen=True, kw_only=True)
class Config:
    """Measure forecasters.

    Args:
        on: validation (for decisions, when M3 is held out), or the held-out competition.
        policies: Folders of policies; the shipped one when none is given.
        out: Where the tables go.
        skip_slow: Leave out the grid for every series.
    """

    on: On = "validation"
    policies: tuple[Path, ...] = ()
    out: Path = Path("benchmarks/results/forecasting")
    skip_slow: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Panel:
    """Series up to their origins, and what came after.

    Args:
        tasks: One a series.
        walks: Their walks, without a future.
        actual: What came `[N, A]`, NaN beyond a series' own horizon.
        naive_error: Mean size of the seasonal naive's error before the origin `[N]`.
    """

    tasks: Sequence[ForecastingTask]
    walks: Sequence[Walk]
    actual: Array
    naive_error: Array

    @property
    def num_ahead(self) -> int:
        """Longest horizon, `A`."""
        return int(self.actual.shape[1])


def panel(on: On) -> Panel:
    """Load the series.

    Args:
        on: All of a competition at its own origins, or the validation fold: every series at its
            last origin and at drawn ones, because few series decide badly.
    """
    if on in _COMPETITIONS:
        tasks = ForecastingFamily(split="test", held_out=_COMPETITIONS[on]).tasks()
    else:
        family, rng = ForecastingFamily(split="validation"), stream(0, "panel")
        tasks = [*family.tasks(), *(family.sample(rng) for _ in range(_NUM_DRAWN))]
    return panel_of(tasks, sees_all=on in _COMPETITIONS)


def panel_of(tasks: Sequence[ForecastingTask], *, sees_all: bool) -> Panel:
    """Load the series of tasks.

    Args:
        tasks: One a series.
        sees_all: Whether the naive error is over all observations before the origin, as in a
            competition, and not over those of the walk.
    """
    actual = np.full((len(tasks), max(task.horizon for task in tasks)), np.nan)
    walks, naive_error = [], []
    for row, task in enumerate(tasks):
        walk = walk_of_task(task)
        ready, num = walk.prepared, len(walk.future)
        length = len(ready.values)
        whole = np.concatenate([ready.values, walk.future])
        season = ready.seasonal(0, length + num)
        whole = whole * season if ready.is_multiplicative else whole + season
        actual[row, :num] = whole[length:] * ready.scale
        walks.append(replace(walk, future=np.zeros(0)))
        seen = whole[:length] * ready.scale
        if sees_all:
            seen = load_source(task.source)[task.series].values[: task.origin]
        lag = task.period if len(seen) > task.period else 1
        naive_error.append(max(float(np.abs(seen[lag:] - seen[:-lag]).mean()), 1e-9))
    return Panel(tasks=tasks, walks=walks, actual=actual, naive_error=np.array(naive_error))


@dataclass(frozen=True, kw_only=True, eq=False)
class Errors:
    """Errors of a method by series, each `[N]`.

    Args:
        smape: Mean of `200 |y - f| / (|y| + |f|)`.
        mase: Mean error over that of the seasonal naive in the sample.
        mape: Mean of `100 |y - f| / |y|`.
    """

    smape: Array
    mase: Array
    mape: Array


def errors(forecasts: Array, data: Panel) -> Errors:
    """Measure forecasts `[N, A]`."""
    size = np.abs(data.actual - forecasts)
    both = np.abs(data.actual) + np.abs(forecasts) + 1e-12
    return Errors(
        smape=200.0 * np.nanmean(size / both, axis=1),
        mase=np.nanmean(size, axis=1) / data.naive_error,
        mape=100.0 * np.nanmean(size / np.maximum(np.abs(data.actual), 1e-9), axis=1),
    )


def summary(
    name: str, found: Errors, data: Panel, reference: Errors, scaled: Errors
) -> dict[str, Any]:
    """Summarise a method in a row: by frequency, over all points, and against Theta.

    Args:
        name: Of the method.
        found: Its errors.
        data: The series.
        reference: Errors of Theta.
        scaled: Errors of Naive2, the unit of OWA.

    "OWA by source" is the mean over competitions of that of each.
    """
    frequency = np.array([task.frequency for task in data.tasks])
    horizon = np.array([task.horizon for task in data.tasks])
    row: dict[str, Any] = {"method": name}
    for part in _FREQUENCIES:
        which = frequency == part
        if which.any():
            row[f"smape_{part}"] = found.smape[which].mean()
            row[f"mase_{part}"] = found.mase[which].mean()
            row[f"mape_{part}"] = found.mape[which].mean()
            row[f"owa_{part}"] = owa(found, scaled, which)
    row["smape"] = float(found.smape @ horizon / horizon.sum())
    row["smape_by_series"] = found.smape.mean()
    row["mape"] = float(found.mape @ horizon / horizon.sum())
    row["mase"] = found.mase.mean()
    row["owa"] = owa(found, scaled, np.ones(len(frequency), dtype=bool))
    row["owa_by_source"] = np.mean([owa(found, scaled, part) for part in _by_source(data)])
    difference = np.log(found.mase + 0.1) - np.log(reference.mase + 0.1)
    rng = stream(0, "bootstrap")
    drawn = rng.integers(0, len(difference), (_NUM_RESAMPLES, len(difference)))
    means = difference[drawn].mean(axis=1)
    row["log_mase_to_theta"] = difference.mean()
    row["low"], row["high"] = np.quantile(means, [0.025, 0.975])
    return row


def owa(found: Errors, scaled: Errors, which: NDArray[np.bool_]) -> float:
    """Return the mean of sMAPE and MASE over some series, each over that of the unit."""
    smape = found.smape[which].mean() / scaled.smape[which].mean()
    return float(0.5 * (smape + found.mase[which].mean() / scaled.mase[which].mean()))


def _by_source(data: Panel) -> list[NDArray[np.bool_]]:
    """Return where the series of each source are."""
    source = np.array([task.source for task in data.tasks])
    return [source == name for name in np.unique(source)]


def blend(found: Errors) -> float:
    """Return what decisions go by: the mean of `log(MASE + 0.1) + 0.5 log(sMAPE/100 + 0.01)`."""
    return float(np.mean(np.log(found.mase + 0.1) + 0.5 * np.log(found.smape / 100.0 + 0.01)))


def steered(
    data: Panel, policies: Sequence[Policy], initial: Array | None = None, *, goes_on: bool = True
) -> Steered:
    """Walk through all series.

    Args:
        data: The series.
        policies: Their moves are averaged.
        initial: Values at the start `[N, H]`; the constants of the season when None.
        goes_on: Whether the first decision goes on from `initial`, and not from the constants.
    """
    starts = np.array([task.constants for task in data.tasks])
    return steer(
        data.walks,
        ForecastingFamily().space,
        policies,
        num_ahead=data.num_ahead,
        initial=starts if initial is None else initial,
        start=None if goes_on else starts,
        kernel=kernel_or_twin(),
    )


def last_settings(found: Steered) -> Array:
    """Return the settings that made the forecasts `[N, H]`."""
    count = np.isfinite(found.course[:, :, 0]).sum(axis=1)
    return np.asarray(found.course[np.arange(len(count)), count - 1])


def random_starts(num: int, seed: int = 0) -> Array:
    """Draw settings anywhere in their ranges `[num, H]`."""
    family, rng = ForecastingFamily(), stream(seed, "starts")
    return np.array([family.random_start(rng) for _ in range(num)])


def coverage(found: Steered, data: Panel, quantiles: Quantiles, level: float) -> Array:
    """Return the share of points inside the interval, by steps ahead `[A]`, in percent."""
    scale = error_scale(found.recent_errors, found.num_errors)
    size = np.abs(data.actual - found.forecasts)
    width = [
        quantiles.of(walk.prepared.period, level, data.num_ahead, int(num)) * row
        for walk, row, num in zip(data.walks, scale, found.num_errors[:, 0], strict=True)
    ]
    inside = np.where(np.isfinite(size), size <= np.array(width), np.nan)
    return np.asarray(100.0 * np.nanmean(inside, axis=0))


def methods(
    data: Panel, policies: Mapping[str, Policy], *, skip_slow: bool
) -> tuple[dict[str, Array], dict[str, float]]:
    """Forecast by every method; returns forecasts and milliseconds a series, by method."""
    kernel, ahead = kernel_or_twin(), data.num_ahead
    every: dict[str, Callable[[], Array]] = {
        "seasonal naive": lambda: opponents.seasonal_naive(data.walks, ahead),
        "Naive2": lambda: opponents.naive2(data.walks, ahead),
        "Theta": lambda: opponents.theta(data.walks, ahead),
        "Comb": lambda: opponents.comb(data.walks, ahead),
        "Trigg-Leach": lambda: opponents.trigg_leach(data.walks, ahead),
        "constants of the season": lambda: steered(data, []).forecasts,
    }
    if not skip_slow:
        every["grid by series"] = lambda: opponents.grid_by_series(data.walks, ahead, kernel)
    for name, policy in policies.items():
        every[name] = lambda policy=policy: steered(data, [policy]).forecasts  # type: ignore[misc]
    found, milliseconds = {}, {}
    for name, run in every.items():
        start = time.perf_counter()
        found[name] = run()
        milliseconds[name] = 1e3 * (time.perf_counter() - start) / len(data.walks)
    chosen = list(policies.values())
    if len(chosen) > 1:
        found["mean of moves"] = steered(data, chosen).forecasts
        found["mean of forecasts"] = np.mean([found[name] for name in policies], axis=0)
    first = found["mean of moves" if len(chosen) > 1 else next(iter(policies))]
    found["with Theta"] = 0.5 * (first + found["Theta"])
    found["with constants"] = 0.5 * (first + found["constants of the season"])
    settings = last_settings(steered(data, chosen))
    found["last settings from the start"] = steered(data, [], settings).forecasts
    anywhere = random_starts(len(data.walks))
    found["random start"] = steered(data, chosen, anywhere, goes_on=False).forecasts
    found["random start, step by step"] = steered(data, chosen, anywhere).forecasts
    found["random start, kept"] = steered(data, [], anywhere).forecasts
    return found, milliseconds


def main(config: Config) -> None:
    """Print and write the tables."""
    folders = config.policies or (ZOO / SHIPPED,)
    policies = {_name(folder): load(folder) for folder in folders}
    data = panel(config.on)
    found, milliseconds = methods(data, policies, skip_slow=config.skip_slow)
    measured = {name: errors(forecasts, data) for name, forecasts in found.items()}
    rows = [
        summary(name, one, data, measured["Theta"], measured["Naive2"])
        | {"blend": blend(one), "milliseconds": milliseconds.get(name, np.nan)}
        for name, one in measured.items()
    ]
    table = pd.DataFrame(rows)
    config.out.mkdir(parents=True, exist_ok=True)
    table.to_csv(config.out / f"{config.on}.csv", index=False, float_format="%.4f")
    text = _markdown(table)
    if len(folders) == 1 and (folders[0] / INTERVALS_FILE).exists():
        quantiles = pretrained(str(folders[0])).quantiles
        covered = coverage(steered(data, list(policies.values())), data, quantiles, _COVERED)
        shares = ", ".join(f"{share:.1f}" for share in covered)
        text += f"\nCoverage of 95 % intervals by steps ahead, in percent: {shares}\n"
    (config.out / f"{config.on}.md").write_text(text)
    print(text)


def _name(folder: Path) -> str:
    return folder.name if folder.name != "policy" else folder.parent.name


def _markdown(table: pd.DataFrame) -> str:
    """Write the tables for people: the means, then MASE and OWA by frequency."""
    parts = [part for part in _FREQUENCIES if f"smape_{part}" in table]
    head = ["method", *(f"sMAPE {part}" for part in parts), "sMAPE", "MASE", "OWA", "OWA by source"]
    head += ["log MASE to Theta", "blend", "ms a series"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for _, row in table.iterrows():
        cells = [str(row["method"]), *(f"{row[f'smape_{part}']:.2f}" for part in parts)]
        cells += [f"{row['smape']:.2f}", f"{row['mase']:.3f}", f"{row['owa']:.3f}"]
        cells += [f"{row['owa_by_source']:.4f}"]
        cells += [f"{row['log_mase_to_theta']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"]
        cells += [f"{row['blend']:.4f}", f"{row['milliseconds']:.2f}"]
        lines.append("| " + " | ".join(cells) + " |")
    names = [f"{unit} {part}" for unit in ("MASE", "OWA") for part in parts]
    lines += ["", "| " + " | ".join(["method", *names]) + " |", "|---" * (len(names) + 1) + "|"]
    for _, row in table.iterrows():
        cells = [f"{row[name.lower().replace(' ', '_')]:.3f}" for name in names]
        lines.append("| " + " | ".join([str(row["method"]), *cells]) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main(tyro.cli(Config))
