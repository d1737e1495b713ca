"""SMAC3: Bayesian optimisation with a random forest (Lindauer et al., 2022), its library defaults.

SMAC keeps files; they go into a folder that is removed when the search ends.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.integrations.extras import require

from .base import Opponent, Setup
from .sampler import Sampler
from .sequential import PARALLEL, Sequential
from .trials import Trial, Trials

Array = NDArray[np.float64]


class SmacSampler(Sampler):
    """Asks and tells SMAC's facade for hyperparameter optimisation.

    The default configuration is tried first, as `Scenario.use_default_config` has it.

    Args:
        trials: What the proposals are for.
        max_trials: How many will be asked for at most.
        folder: Where SMAC's files go.
    """

    def __init__(self, trials: Trials, max_trials: int, folder: Path) -> None:
        from ConfigSpace import ConfigurationSpace, Float
        from smac import HyperparameterOptimizationFacade as Facade
        from smac import Scenario

        self._hyperparameters = trials.space.hyperparameters
        space = ConfigurationSpace()
        for name, own in zip(self._hyperparameters, trials.default.tolist(), strict=True):
            space.add(Float(name, (0.0, 1.0), default=own))
        scenario = Scenario(
            space,
            output_directory=folder,
            deterministic=True,  # a trial's outcome is a function of its values
            n_trials=max_trials,
            use_default_config=True,
            seed=int(trials.instance.rng("smac").integers(2**31 - 1)),
        )
        with _quiet():
            self._smac = Facade(
                scenario,
                _never_called,
                model=_forest(scenario),
                acquisition_maximizer=_maximizer(scenario),
                # Learn from every round; SMAC's own 8 would leave every other one unused.
                config_selector=Facade.get_config_selector(scenario, retrain_after=PARALLEL),
                logging_level=False,
                overwrite=True,
            )
        self._asked: list[Any] = []

    def ask(self, count: int) -> Array:
        """Return what SMAC proposes; see `Sampler.ask`."""
        with _quiet():
            asked = [self._smac.ask() for _ in range(count)]
        self._asked += asked
        return np.array([[info.config[name] for name in self._hyperparameters] for info in asked])

    def tell(self, trials: Sequence[Trial]) -> None:
        """Tell the losses of complete trials and of divergences."""
        from smac.runhistory import TrialValue

        with _quiet():
            for trial in trials:
                value = TrialValue(cost=float(np.exp(trial.score)))  # its model takes logarithms
                self._smac.tell(self._asked[trial.number], value, save=False)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep to itself that SMAC calls what its own dependencies have deprecated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def _forest(scenario: Any) -> Any:
    """Make the facade's own forest, without the threads and the memory that it does not need.

    Trees on n rows have at most n leaves; SMAC reserves a million, which takes most of its time.
    """
    from smac.model.random_forest import RandomForest

    return RandomForest(
        scenario.configspace,
        log_y=True,
        ratio_features=1.0,
        min_samples_split=2,
        min_samples_leaf=1,
        max_leaf_nodes=scenario.n_trials + 1,
        n_jobs=1,
        seed=scenario.seed,
    )


def _maximizer(scenario: Any) -> Any:
    """Make the facade's own maximiser, whose local search starts in an order that does not change.

    SMAC 2.4 puts the starting points into a set, whose order follows Python's hashes of strings and
    is another one in every process.
    """
    from smac import HyperparameterOptimizationFacade as Facade

    maximizer: Any = Facade.get_acquisition_maximizer(scenario)
    local = maximizer._local_search
    unordered = local._get_init_points_from_previous_configs

    def ordered(*arguments: Any) -> list[Any]:
        return sorted(unordered(*arguments), key=lambda config: config.get_array().tolist())

    local._get_init_points_from_previous_configs = ordered
    return maximizer


def _never_called(config: Any, seed: int = 0) -> float:
    raise AssertionError("SMAC is asked and told; it runs nothing itself")


@dataclass(frozen=True, kw_only=True)
class SmacSearch(Sequential):
    """SMAC3, four trials at a time."""

    @contextmanager
    def sampler(self, trials: Trials) -> Iterator[Sampler]:
        """See `Sequential.sampler`."""
        with tempfile.TemporaryDirectory() as folder:
            yield SmacSampler(trials, self.max_runs, Path(folder))


def smac3(name: str, setup: Setup) -> Opponent:
    """SMAC3 with the setup's budget."""
    require("smac", extra="smac")
    return SmacSearch(name=name, max_runs=setup.num_runs, hyperparameters=setup.hyperparameters)
