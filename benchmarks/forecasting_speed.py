"""What a forecast costs: the environment's walks, series one at a time, and very many of them.

    python benchmarks/forecasting_speed.py
    python benchmarks/forecasting_speed.py --num-series 1000000
    python benchmarks/forecasting_speed.py --against AutoETS AutoTheta

Times are of the process's own processor time where it says so, because machines are shared. With
`--against` statsforecast's models take turns with a batch of all series of M3, each on another part
of it in every round, and the ratio of the times of a series is that of each round (statsforecast is
not installed by this project).
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import tyro
from numpy.typing import NDArray

from benchmarks.forecasting import panel
from benchmarks.forecasting_packages import every, methods, one_by_one
from hpo_env.forecasting.pretrained import SHIPPED, Pretrained, pretrained
from hpo_env.forecasting.running import forecast_all
from hpo_env.seeding import stream
from hpo_env.tasks.forecasting.family import ForecastingFamily
from hpo_env.tasks.forecasting.series import load_source
from hpo_env.vector_env import HPOControlVectorEnv

Array = NDArray[np.float64]

_BATCH = 50_000
_LENGTH, _HORIZON, _PERIOD = 60, 12, 12
_LANES, _STEPS = 512, 200
_EVERY = 140  # of M3's series, of which a model forecasts 21 or 22 in a turn
_MEGABYTE = 1024.0  # of the kilobytes that getrusage counts


@dataclass(frozen=True, kw_only=True)
class Config:
    """Measure speed.

    Args:
        num_series: Series of 60 observations that are forecast in batches.
        num_threads: Threads over which they are spread.
        policy: Name of a shipped policy, or a folder.
        against: Names of statsforecast's models, of arguments `season_length` alone, for ratios.
        num_rounds: Turns that each model has.
    """

    num_series: int = 20_000
    num_threads: int = 2
    policy: str = SHIPPED
    against: tuple[str, ...] = ()
    num_rounds: int = 7


def made_up(num: int, seed: int) -> Array:
    """Draw monthly series with trend, season and noise `[num, 60]`."""
    rng = stream(seed, "speed")
    time_ = np.arange(_LENGTH)
    season = 1.0 + 0.2 * rng.random((num, 1)) * np.sin(time_ * np.pi / 6.0)
    walk = np.cumsum(0.03 * rng.standard_normal((num, _LENGTH)), axis=1)
    return np.asarray(100.0 * season * np.exp(walk))


def batches(num_series: int) -> Iterator[Array]:
    """Make the series, a batch at a time."""
    for first in range(0, num_series, _BATCH):
        yield made_up(min(_BATCH, num_series - first), first)


def walks_per_second() -> float:
    """Return lane steps of the trainer alone, a second of processor time."""
    family = ForecastingFamily()
    env = HPOControlVectorEnv(_LANES, family="forecasting")
    env.reset(seed=0)
    trainer = family.make_trainer(_LANES, engine="native", device="cpu")
    trainer.reset(np.arange(_LANES), list(env.tasks), [0] * _LANES)
    values = np.array([task.initial for task in env.tasks])
    start, steps = time.process_time(), 0
    for step in range(_STEPS):
        if step % 8 == 0:
            trainer.reset(np.arange(_LANES), list(env.tasks), [0] * _LANES)
        trainer.advance(values)
        trainer.features(np.arange(_LANES))
        steps += _LANES
    return steps / (time.process_time() - start)


def ratios(config: Config, fitted: Pretrained) -> None:
    """Print how many times as long a series takes by other models, turn by turn."""
    data = panel("m3")
    seen = [load_source(t.source)[t.series].values[: t.origin] for t in data.tasks]
    periods = [t.period for t in data.tasks]
    models = methods(config.against)
    taken: dict[str, list[float]] = {name: [] for name in (*models, "a batch")}
    for turn in range(config.num_rounds):
        start = time.process_time()
        forecast_all(seen, periods, data.num_ahead, fitted, levels=(95.0,), num_threads=1)
        taken["a batch"].append(1e3 * (time.process_time() - start) / len(seen))
        part = every(data, _EVERY, turn)
        for name, forecast in models.items():
            taken[name].append(one_by_one(part, forecast)[1])
    batch = np.array(taken["a batch"])
    print(f"a batch of {len(seen)} series of M3: {np.median(batch):.3f} ms a series")
    for name in models:
        times = np.array(taken[name])
        low, middle, high = np.quantile(times / batch, [0.0, 0.5, 1.0])
        print(
            f"{name}: {np.median(times):.2f} ms a series, {middle:.0f} times as long "
            f"[{low:.0f}, {high:.0f}] over {config.num_rounds} turns"
        )


def main(config: Config) -> None:
    """Print the figures."""
    fitted = pretrained(config.policy)
    if config.against:
        ratios(config, fitted)
        return
    print(f"environment, {_LANES} lanes: {walks_per_second():,.0f} steps/s of processor time")
    single = made_up(100, 1)
    start = time.process_time()
    for series in single:
        forecast_all([series], [_PERIOD], _HORIZON, fitted, levels=(95.0,), num_threads=1)
    each = 1e3 * (time.process_time() - start) / len(single)
    print(f"one at a time: {each:.2f} ms a series of processor time")
    start, start_cpu = time.perf_counter(), time.process_time()
    for series in batches(config.num_series):
        periods = [_PERIOD] * len(series)
        forecast_all(
            list(series), periods, _HORIZON, fitted, levels=(95.0,), num_threads=config.num_threads
        )
    seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _MEGABYTE
    print(
        f"{config.num_series:,} series of {_LENGTH}: {seconds:.1f} s on {config.num_threads} "
        f"threads, {1e3 * cpu / config.num_series:.3f} ms of processor time each, "
        f"peak {peak:,.0f} MB"
    )


if __name__ == "__main__":
    main(tyro.cli(Config))
