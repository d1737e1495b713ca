"""Searches that learn from their trials: a few are proposed, trained, and told back."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import AbstractContextManager
from dataclasses import dataclass

from .sampler import Sampler
from .search import Search
from .trials import Trials

PARALLEL = 4
"""Trials proposed at once: lanes that train together are cheaper than runs one after the other, and
with four of them a search of 32 trials still learns eight times."""


@dataclass(frozen=True, kw_only=True)
class Sequential(Search):
    """Proposes and trains in rounds of `PARALLEL` complete trials."""

    def search(self, trials: Trials) -> None:
        """See `Search.search`."""
        with self.sampler(trials) as sampler:
            for first in range(0, self.max_runs, PARALLEL):
                proposed = trials.make(sampler.ask(min(PARALLEL, self.max_runs - first)))
                trials.train(proposed)
                trials.end(proposed)
                sampler.tell(proposed)

    @abstractmethod
    def sampler(self, trials: Trials) -> AbstractContextManager[Sampler]:
        """Open what proposes the trials of one instance."""
