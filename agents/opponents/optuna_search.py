"""Optuna's samplers, each with its library defaults: TPE, a Gaussian process, CMA-ES.

Trials are proposed four at a time. TPE puts running trials among the bad ones meanwhile (a constant
liar), the Gaussian process integrates over their outcomes (q-logEI), CMA-ES draws from one
generation.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpo_env.integrations.extras import require

from .base import Opponent, Setup
from .optuna_study import (
    OptunaSampler,
    open_study,
    quiet,
    require_optuna,
    sampler_seed,
    study_name,
)
from .sampler import Sampler
from .sequential import Sequential
from .trials import Trials

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True, kw_only=True)
class OptunaSearch(Sequential):
    """A study for every instance.

    Args:
        storage: Address of the database that studies are kept in; None keeps them in memory. Not
            part of the identity, as it changes no outcome.
    """

    storage: str | None = None

    @abstractmethod
    def make_sampler(self, trials: Trials, seed: int) -> optuna.samplers.BaseSampler:
        """Make Optuna's sampler."""

    def companions(self, num_hyperparameters: int) -> tuple[str, ...]:
        """Name coordinates that the sampler needs beside the hyperparameters; none by default."""
        return ()

    @contextmanager
    def sampler(self, trials: Trials) -> Iterator[Sampler]:
        """See `Sequential.sampler`."""
        with quiet():
            sampler = self.make_sampler(trials, sampler_seed(trials, "optuna"))
        with open_study(study_name(self, trials), self.storage, sampler) as study:
            yield OptunaSampler(study, trials, self.companions(len(trials.space)))


@dataclass(frozen=True, kw_only=True)
class TPESearch(OptunaSearch):
    """The tree-structured Parzen estimator (Bergstra et al., 2011), Optuna's default."""

    def make_sampler(self, trials: Trials, seed: int) -> optuna.samplers.BaseSampler:
        """See `OptunaSearch.make_sampler`."""
        from optuna.samplers import TPESampler

        return TPESampler(seed=seed, constant_liar=True)


@dataclass(frozen=True, kw_only=True)
class GPSearch(OptunaSearch):
    """Bayesian optimisation with a Gaussian process and log expected improvement."""

    def make_sampler(self, trials: Trials, seed: int) -> optuna.samplers.BaseSampler:
        """See `OptunaSearch.make_sampler`."""
        from optuna.samplers import GPSampler

        return GPSampler(seed=seed)


@dataclass(frozen=True, kw_only=True)
class CmaEsSearch(OptunaSearch):
    """CMA-ES (Hansen, 2016), started as Optuna does: in the middle, with a sixth of the range.

    It is defined from two dimensions on. A single hyperparameter is given a companion that nothing
    depends on; Optuna would otherwise draw at random without a word.
    """

    def companions(self, num_hyperparameters: int) -> tuple[str, ...]:
        """See `OptunaSearch.companions`."""
        return ("companion",) if num_hyperparameters == 1 else ()

    def make_sampler(self, trials: Trials, seed: int) -> optuna.samplers.BaseSampler:
        """See `OptunaSearch.make_sampler`."""
        from optuna.samplers import CmaEsSampler

        return CmaEsSampler(seed=seed)


def tpe(name: str, setup: Setup) -> Opponent:
    """TPE with the setup's budget."""
    require_optuna()
    return TPESearch(
        name=name,
        max_runs=setup.num_runs,
        hyperparameters=setup.hyperparameters,
        storage=setup.storage,
    )


def gaussian_process(name: str, setup: Setup) -> Opponent:
    """Optuna's Gaussian process with the setup's budget."""
    require_optuna()
    require("scipy", extra="search")
    return GPSearch(
        name=name,
        max_runs=setup.num_runs,
        hyperparameters=setup.hyperparameters,
        storage=setup.storage,
    )


def cma_es(name: str, setup: Setup) -> Opponent:
    """CMA-ES with the setup's budget."""
    require_optuna()
    require("cmaes", extra="search")
    return CmaEsSearch(
        name=name,
        max_runs=setup.num_runs,
        hyperparameters=setup.hyperparameters,
        storage=setup.storage,
    )
