"""TPE that stops trials early: worse than the median of the earlier ones at the same interval.

Pruned trials free their budget, which is spent on further ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from .base import Opponent, Setup
from .optuna_study import (
    OptunaSampler,
    open_study,
    quiet,
    require_optuna,
    sampler_seed,
    study_name,
)
from .search import Search
from .sequential import PARALLEL
from .trials import Trial, Trials

WARMUP_SHARE = 0.25
"""Share of a run in which nothing is pruned: under a schedule that starts high, early losses say
little of final ones."""


@dataclass(frozen=True, kw_only=True)
class MedianPrunedTPE(Search):
    """TPE with Optuna's median pruner, in rounds of `PARALLEL` trials.

    Args:
        storage: See `OptunaSearch`.
    """

    storage: str | None = None

    def search(self, trials: Trials) -> None:
        """See `Search.search`."""
        with self._open(trials) as sampler:
            while affordable := min(PARALLEL, trials.budget // trials.num_intervals):
                self._train_round(trials, sampler, trials.make(sampler.ask(affordable)))

    def _train_round(self, trials: Trials, sampler: OptunaSampler, proposed: list[Trial]) -> None:
        """Train until each trial is over or pruned; each ends as soon as that is known."""
        trials.load(proposed)
        while proposed:
            trials.step()
            # Every trial reports, so that the pruner of each sees the same number of others.
            with quiet():
                is_pruned = [sampler.report(trial) for trial in trials.slots]
            ending = [s for s, t in enumerate(trials.slots) if t.is_over or is_pruned[s]]
            if not ending:
                continue
            trials.lanes.finish(ending)
            sampler.tell([trials.slots[slot] for slot in ending])
            if len(ending) == len(trials.slots):
                return
            trials.drop(ending)

    @contextmanager
    def _open(self, trials: Trials) -> Iterator[OptunaSampler]:
        from optuna.pruners import MedianPruner
        from optuna.samplers import TPESampler

        with quiet():
            sampler = TPESampler(seed=sampler_seed(trials, "optuna"), constant_liar=True)
            pruner = MedianPruner(n_warmup_steps=round(WARMUP_SHARE * trials.num_intervals))
        with open_study(study_name(self, trials), self.storage, sampler, pruner) as study:
            yield OptunaSampler(study, trials)


def pruned_tpe(name: str, setup: Setup) -> Opponent:
    """TPE with the median pruner and the setup's budget."""
    require_optuna()
    return MedianPrunedTPE(
        name=name,
        max_runs=setup.num_runs,
        hyperparameters=setup.hyperparameters,
        storage=setup.storage,
    )
