"""How much a comparison runs, when nobody says otherwise; suites and starts are the family's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hpo_env.tasks.base import TaskFamily

_QUICK_OPPONENTS = (
    "default",
    "cosine",
    "one_cycle",
    "plateau",
    "user_constant",
    "frozen",
    "random_moves",
    "fixed_tuned",
    "cosine_tuned",
    "cosine_per_optimizer",
    "random_search",
    "optuna_tpe",
    "pbt",
)


@dataclass(frozen=True, kw_only=True)
class Amounts:
    """How much to run; every field is the default of the setting of its name.

    Args:
        suites: Names of the family's suites.
        opponents: Names in the registry; None takes all.
        tasks: Tasks of each suite.
        seeds: Runs of each task from each start.
        runs: Full runs that a search may spend on one instance.
        population: Runs that a population keeps.
        starts: Values of the leading hyperparameter that every task is started from; None keeps
            those drawn.
        tuning_tasks: Meta-training tasks on which opponents are tuned.
    """

    suites: tuple[str, ...]
    opponents: tuple[str, ...] | None
    tasks: int
    seeds: int
    runs: int
    population: int
    starts: tuple[float, ...] | None
    tuning_tasks: int


@dataclass(frozen=True, kw_only=True)
class Preset:
    """How much to run, of whatever family.

    Args:
        suites: Which of the family's suites: those of a quick comparison, or all for results.
        starts: Which of the family's starts: the lowest and the highest, as a user may start far
            off either way, or all.

    The others are those of `Amounts`.
    """

    suites: Literal["quick", "results"]
    starts: Literal["ends", "all"]
    opponents: tuple[str, ...] | None
    tasks: int
    seeds: int
    runs: int
    population: int
    tuning_tasks: int

    def amounts(self, family: type[TaskFamily]) -> Amounts:
        """Say what the preset means for a family."""
        short = self.suites == "quick"
        suites = family.suites_in_short() if short else family.suites_for_results()
        starts = family.starts
        if self.starts == "ends":
            starts = tuple(dict.fromkeys((*starts[:1], *starts[-1:])))
        return Amounts(
            suites=tuple(suite.name for suite in suites),
            opponents=self.opponents,
            tasks=self.tasks,
            seeds=self.seeds,
            runs=self.runs,
            population=self.population,
            starts=starts or None,
            tuning_tasks=self.tuning_tasks,
        )


PRESETS: dict[str, Preset] = {
    "quick": Preset(
        suites="quick",
        starts="ends",
        opponents=_QUICK_OPPONENTS,
        tasks=6,
        seeds=3,
        runs=16,
        population=8,
        tuning_tasks=8,
    ),
    "standard": Preset(
        suites="results",
        starts="all",
        opponents=None,
        tasks=8,
        seeds=3,
        runs=32,
        population=16,
        tuning_tasks=24,
    ),
    "full": Preset(
        suites="results",
        starts="all",
        opponents=None,
        tasks=24,
        seeds=5,
        runs=64,
        population=32,
        tuning_tasks=64,
    ),
}
"""All leave out suites that are for decisions and not for results."""
