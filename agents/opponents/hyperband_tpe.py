"""Hyperband whose configurations come from a model: BOHB's idea, with TPE for the model.

BOHB (Falkner et al., 2018) fits kernel densities to the runs of the longest length that has enough
of them, and draws a third of its configurations at random. Here Optuna's TPE ranks complete runs
before stopped ones, and longer before shorter ones, and draws the first ten at random. The
idea is BOHB's, the model is not, and so this is not called by that name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from .base import Opponent, Setup
from .hyperband import Hyperband
from .optuna_study import (
    OptunaSampler,
    open_study,
    quiet,
    require_optuna,
    sampler_seed,
    study_name,
)
from .sampler import Sampler
from .trials import Trial, Trials


class RungSampler(OptunaSampler):
    """Reports the score of trials that a rung has stopped before it tells of them."""

    def tell(self, trials: Sequence[Trial]) -> None:
        """See `OptunaSampler.tell`."""
        for trial in trials:
            if not trial.is_over:
                self.report(trial)
        super().tell(trials)


@dataclass(frozen=True, kw_only=True)
class HyperbandTPE(Hyperband):
    """Hyperband's brackets, TPE's configurations.

    Args:
        storage: See `OptunaSearch`.
    """

    storage: str | None = None

    @contextmanager
    def sampler(self, trials: Trials) -> Iterator[Sampler]:
        """See `SuccessiveHalving.sampler`."""
        from optuna.samplers import TPESampler

        with quiet():
            sampler = TPESampler(seed=sampler_seed(trials, "optuna"), constant_liar=True)
        with open_study(study_name(self, trials), self.storage, sampler) as study:
            yield RungSampler(study, trials)


def hyperband_tpe(name: str, setup: Setup) -> Opponent:
    """Hyperband with TPE and the setup's budget."""
    require_optuna()
    return HyperbandTPE(
        name=name,
        max_runs=setup.num_runs,
        hyperparameters=setup.hyperparameters,
        storage=setup.storage,
    )
