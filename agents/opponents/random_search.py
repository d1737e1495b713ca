"""Random search (Bergstra and Bengio, 2012): all trials drawn beforehand, trained side by side."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Opponent, Setup
from .sampler import RandomSampler
from .search import Search
from .trials import Trials


@dataclass(frozen=True, kw_only=True)
class RandomSearch(Search):
    """Draws every hyperparameter evenly on its own scale."""

    def search(self, trials: Trials) -> None:
        """See `Search.search`."""
        sampler = RandomSampler(trials.instance.rng("random search"), len(trials.space))
        drawn = trials.make(sampler.ask(self.max_runs))
        trials.train(drawn)
        trials.end(drawn)


def random_search(name: str, setup: Setup) -> Opponent:
    """Random search with the setup's budget."""
    return RandomSearch(name=name, max_runs=setup.num_runs, hyperparameters=setup.hyperparameters)
