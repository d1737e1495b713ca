"""Successive Halving: many configurations a little, the better ones further, the best to the end.

A promoted run goes on from where it was put aside; it is not trained again. All runs follow their
schedule over the full horizon, so the complete ones are runs like anybody's.

Axes: `D` hyperparameters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import repeat

from .base import Opponent, Setup
from .sampler import RandomSampler, Sampler
from .search import Search
from .trials import Trial, Trials

ETA = 3
"""One in `ETA` is promoted (Li et al., 2018, sec. 2.5: 3 or 4, and theory would have e)."""

MOST_HALVINGS = 3
"""The shortest runs are `ETA ** -3`, a 27th of a complete one; still shorter ones say nothing of a
schedule that has hardly moved."""

LARGEST_BRACKET = 81
"""Configurations in a bracket; three of them are trained to the end. The budget is spent on several
brackets rather than on a larger one, whose runs would all have to be kept."""


@dataclass(frozen=True, kw_only=True)
class Bracket:
    """How many runs are trained how far.

    Args:
        sizes: Runs in each rung, falling.
        intervals: Decision intervals that they have gone through at its end, rising; the last one
            is the whole run.
    """

    sizes: tuple[int, ...]
    intervals: tuple[int, ...]

    @property
    def cost(self) -> int:
        """Decision intervals of all runs together; promoted runs go on."""
        starts = (0, *self.intervals[:-1])
        rungs = zip(self.sizes, starts, self.intervals, strict=True)
        return sum(size * (end - start) for size, start, end in rungs)


def most_halvings(num_intervals: int) -> int:
    """Return how often a bracket can halve so that its shortest runs have an interval.

    Example:
        >>> most_halvings(30), most_halvings(26), most_halvings(2)
        (3, 2, 0)
    """
    halvings = 0
    while halvings < MOST_HALVINGS and ETA ** (halvings + 1) <= num_intervals:
        halvings += 1
    return halvings


def make_bracket(size: int, num_halvings: int, num_intervals: int) -> Bracket:
    """Return a bracket (Li et al., 2018, algorithm 1, lines 4 to 8).

    Args:
        size: Configurations that it starts with.
        num_halvings: How often one in `ETA` is promoted, at least one each time.
        num_intervals: Decision intervals of a complete run.

    Example:
        >>> make_bracket(27, 3, 30)
        Bracket(sizes=(27, 9, 3, 1), intervals=(1, 3, 10, 30))
        >>> make_bracket(27, 3, 30).cost  # 27 + 9·2 + 3·7 + 20
        86
    """
    rungs = range(num_halvings + 1)
    return Bracket(
        sizes=tuple(max(1, size // ETA**rung) for rung in rungs),
        intervals=tuple(round(num_intervals / ETA ** (num_halvings - rung)) for rung in rungs),
    )


def fit_bracket(size: int, num_halvings: int, num_intervals: int, budget: int) -> Bracket | None:
    """Return the largest bracket that starts with at most `size` and costs at most `budget`.

    None where not even one run fits.
    """
    for smaller in range(size, 0, -1):
        bracket = make_bracket(smaller, num_halvings, num_intervals)
        if bracket.cost <= budget:
            return bracket
    return None


@dataclass(frozen=True, kw_only=True)
class SuccessiveHalving(Search):
    """Random configurations in brackets, until the budget is spent (Jamieson and Talwalkar, 2016).

    The last bracket is as large as what is left of the budget allows.
    """

    def search(self, trials: Trials) -> None:
        """See `Search.search`."""
        with self.sampler(trials) as sampler:
            for size, num_halvings in self.plan(trials.num_intervals):
                bracket = fit_bracket(size, num_halvings, trials.num_intervals, trials.budget)
                if bracket is None:
                    return
                run_bracket(bracket, trials, sampler)

    def plan(self, num_intervals: int) -> Iterator[tuple[int, int]]:
        """Yield size and number of halvings of each bracket, without end."""
        return repeat((LARGEST_BRACKET, most_halvings(num_intervals)))

    def sampler(self, trials: Trials) -> AbstractContextManager[Sampler]:
        """Open what proposes configurations."""
        return nullcontext(RandomSampler(trials.instance.rng(self.name), len(trials.space)))


def run_bracket(bracket: Bracket, trials: Trials, sampler: Sampler) -> None:
    """Propose a bracket's configurations, and train and promote them; all of them end."""
    alive = trials.make(sampler.ask(bracket.sizes[0]))
    for rung, until in enumerate(bracket.intervals):
        trials.train(alive, until)
        is_last = rung == len(bracket.intervals) - 1
        promoted = [] if is_last else best(alive, bracket.sizes[rung + 1])
        ended = [trial for trial in alive if trial not in promoted]
        trials.end(ended)
        sampler.tell(ended)
        alive = promoted


def best(trials: Sequence[Trial], count: int) -> list[Trial]:
    """Return the trials with the lowest scores, the lowest first; never one that diverged."""
    running = [trial for trial in trials if not trial.diverged]
    return sorted(running, key=lambda trial: trial.score)[:count]


def successive_halving(name: str, setup: Setup) -> Opponent:
    """Successive Halving with the setup's budget."""
    return SuccessiveHalving(
        name=name, max_runs=setup.num_runs, hyperparameters=setup.hyperparameters
    )
