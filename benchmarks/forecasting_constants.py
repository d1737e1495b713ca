"""Finds the constants of a season that are best on average: the values of `starts.STARTS`.

    python benchmarks/forecasting_constants.py --held-out M3

A local random search on the training side, from the values in force: what is tried is a Gaussian
step on the axes, wide at first, and it stays where the mean error of the forecasts at drawn origins
fell. The error is the mean of MASE and sMAPE in units of what Naive2 has on M3, as in the overall
weighted average of M4; a single origin counts no more than four such units.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import tyro
from numpy.typing import NDArray

from hpo_env.seeding import stream
from hpo_env.tasks.forecasting.family import ForecastingFamily
from hpo_env.tasks.forecasting.series import Competition
from hpo_env.tasks.forecasting.starts import STARTS, start_of
from hpo_env.tasks.forecasting.steering import kernel_or_twin
from hpo_env.tasks.forecasting.task import ForecastingTask
from hpo_env.tasks.forecasting.trainer import ForecastingTrainer

Array = NDArray[np.float64]

_WIDEST, _NARROWEST = 0.25, 0.04  # of the range of each axis
_NUM_MOVED = 3  # axes a step changes, on average
_SCALED, _SYMMETRIC, _WORST = 1.67, 15.4, 4.0


@dataclass(frozen=True, kw_only=True)
class Config:
    """Search constants.

    Args:
        held_out: The competition that they are to know nothing of.
        num_trials: Settings that are tried for each season.
        num_drawn: Origins drawn on the training side, beside the last one of every series.
    """

    held_out: Competition = "M3"
    num_trials: int = 300
    num_drawn: int = 2000


def measure(tasks: list[ForecastingTask]) -> Callable[[Array], float]:
    """Return the function from values `[H]`, in the family's order, to the mean error."""
    lanes = np.arange(len(tasks))
    trainer = ForecastingTrainer(len(tasks), kernel=kernel_or_twin())
    walks = trainer.walks

    def mean_error(values: Array) -> float:
        at_start = [replace(task, initial=tuple(values.tolist())) for task in tasks]
        trainer.reset(lanes, at_start, [0] * len(tasks))
        walks.take_in(lanes, walks.fact("length") - walks.age)
        scaled, symmetric = trainer.test(lanes)
        both = 0.5 * (scaled / _SCALED + symmetric / _SYMMETRIC)
        return float(np.minimum(both, _WORST).mean())

    return mean_error


def search(
    mean_error: Callable[[Array], float], start: Array, num_trials: int
) -> tuple[Array, float]:
    """Search from a start `[H]`; returns the best values and their error."""
    space, rng = ForecastingFamily().space, stream(0, "constants")
    low, high = space.to_axis(np.stack([space.low, space.high]))
    best, place = mean_error(start), space.to_axis(start[None])[0]
    values = start
    for trial in range(num_trials):
        width = _WIDEST * (_NARROWEST / _WIDEST) ** (trial / num_trials)
        moved = rng.random(len(space)) < _NUM_MOVED / len(space)
        step = np.where(moved, width * (high - low) * rng.standard_normal(len(space)), 0.0)
        tried = np.clip(place + step, low, high)
        candidate = space.values(start, tried - space.to_axis(start[None])[0])
        error = mean_error(candidate)
        if error < best:
            best, place, values = error, tried, candidate
    return values, best


def main(config: Config) -> None:
    """Print the constants of every season."""
    family = ForecastingFamily(held_out=config.held_out)
    rng = stream(0, "origins")
    tasks = [*family.tasks(), *(family.sample(rng) for _ in range(config.num_drawn))]
    for period in STARTS[config.held_out]:
        chosen = [task for task in tasks if task.period == period]
        mean_error, start = measure(chosen), np.array(start_of(period, config.held_out))
        values, error = search(mean_error, start, config.num_trials)
        told = ", ".join(f"{value:.3g}" for value in values)
        print(f"{period}: ({told}),  # {mean_error(start):.4f} -> {error:.4f}", flush=True)


if __name__ == "__main__":
    main(tyro.cli(Config))
