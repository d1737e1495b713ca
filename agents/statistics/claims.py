"""What a policy claims, measured: each goal of the project as a number with its intervals.

One set of records makes one set of claims, those of one meta-training seed. All differences are the
opponent's log test loss less the controller's on the same run: above 0 the controller did better.

Axes: `E` runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpo_env.errors import ConfigurationError
from hpo_env.seeding import stream

from .pairing import PairedRuns, mean_by
from .regret import best_known
from .resampling import Estimate, Resamples
from .trials_equivalent import trials_equivalent

Array = NDArray[np.float64]

ONE_RUN = (
    "fixed_tuned",
    "constant_tuned",
    "cosine_tuned",
    "warmup_cosine_tuned",
    "one_cycle_tuned",
    "plateau_tuned",
    "cosine_per_optimizer",
    "one_cycle_per_optimizer",
)
"""Opponents of one run whose rates were tuned across tasks."""

OWN_SCHEDULE = "frozen"
"""The user's own rate on the policy's base schedule: the controller switched off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Versus:
    """The controller against one opponent.

    Args:
        opponent: The opponent's name.
        difference: Mean difference of log test losses.
        probability: How often the controller did better, an exact tie counting half.
    """

    opponent: str
    difference: Estimate
    probability: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class WorstCase:
    """Where the controller does worst against the user's own schedule.

    Args:
        excess: By how much its log test loss is higher on the worst task, the mean over initial
            rates and seeds; negative where it is lower on every task.
        task: That task.
        run_excess: By how much in the worst single run, which has one initial rate and one seed.
        harmed: Share of the runs in which it is higher by more than 0.05.
    """

    excess: float
    task: str
    run_excess: float
    harmed: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RateSpread:
    """How far the user's initial rate decides the controller's outcome.

    Args:
        share: Largest less smallest log test loss over the initial rates of one task, each the mean
            over seeds, as a share of the way from the untrained loss to the lowest that any method
            reached on the task, logarithmic; mean over tasks.
        chance: What `share` would be if the rate made no difference, as no two runs end alike: the
            mean over relabelings of each seed's runs. With one seed it is `share` itself.
        by_rate: Mean log test loss from each rate.
    """

    share: Estimate
    chance: float
    by_rate: dict[float, float]


_NUM_RELABELINGS = 200

HARM = 0.05
"""Log test loss by which a run has to end higher to count as harmed: five per cent."""


def versus(runs: PairedRuns, opponents: Sequence[str]) -> list[Versus]:
    """Compare the controller with opponents, the strongest first.

    Args:
        runs: A suite's runs.
        opponents: Names; those that did not run are passed over.
    """
    resamples = Resamples.draw(runs.keys("task"), runs.keys("unit"))
    found = []
    for name in opponents:
        if name in runs.frames:
            differences = _differences(runs, name)
            found.append(
                Versus(
                    opponent=name,
                    difference=resamples.estimate(differences),
                    probability=resamples.estimate(0.5 * (np.sign(differences) + 1.0)),
                )
            )
    return sorted(found, key=lambda entry: entry.difference.value)


def worst_case(runs: PairedRuns, opponent: str = OWN_SCHEDULE) -> WorstCase:
    """Find where the controller does worst against an opponent.

    Raises:
        ConfigurationError: The opponent did not run.
    """
    excess = -_differences(runs, opponent)
    tasks, means = mean_by(excess[None], runs.tasks)
    worst = int(means[0].argmax())
    return WorstCase(
        excess=float(means[0, worst]),
        task=tasks[worst],
        run_excess=float(excess.max()),
        harmed=float((excess > HARM).mean()),
    )


def spread_over_rates(runs: PairedRuns) -> RateSpread:
    """Measure how far the controller's outcome depends on the initial rate.

    Raises:
        ConfigurationError: Every task was started from one rate only.
    """
    losses, rates = runs.values("log_test_loss"), runs.keys("start").astype(np.float64)
    known = np.unique(rates)
    if len(known) < 2:
        raise ConfigurationError("a spread over initial rates needs at least two; got one")
    to_gain = np.log(runs.values("first_loss")[0]) - best_known(losses, runs.tasks)
    rng, tasks = stream(0, "relabelings"), runs.tasks
    first, share, chance = [], [], []
    for task in np.unique(tasks):
        inside = np.flatnonzero(tasks == task)
        order = np.lexsort((rates[inside], runs.keys("unit")[inside]))
        by_seed = losses[0][inside][order].reshape(-1, len(known))  # [seeds, rates]
        drawn = rng.permuted(np.tile(by_seed, (_NUM_RELABELINGS, 1, 1)), axis=2)
        first.append(int(inside[0]))
        share.append(np.ptp(by_seed.mean(axis=0)) / to_gain[inside].mean())
        chance.append(np.ptp(drawn.mean(axis=1), axis=1).mean() / to_gain[inside].mean())
    resamples = Resamples.draw(runs.keys("task")[first], np.unique(tasks))
    return RateSpread(
        share=resamples.estimate(np.array(share)),
        chance=float(np.mean(chance)),
        by_rate={float(rate): float(losses[0][rates == rate].mean()) for rate in known},
    )


def trials(runs: PairedRuns, search: str) -> tuple[Estimate, int] | None:
    """Return the median of the trials that a search needs, and its budget; None if it did not run.

    A median of `budget + 1` stands for "more than the budget".
    """
    for count in trials_equivalent(runs):
        if count.search == search:
            return count.median, count.budget
    return None


def _differences(runs: PairedRuns, opponent: str) -> Array:
    if opponent not in runs.frames:
        raise ConfigurationError(f"opponent {opponent!r} did not run on suite {runs.suite!r}")
    losses = runs.values("log_test_loss")
    return np.asarray(losses[runs.opponents.index(opponent)] - losses[0])
