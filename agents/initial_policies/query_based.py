"""What MAML and its kin share: the start is judged by what the adapted policies go through.

A round's rollouts serve for several steps of Adam, as in ProMP (Rothfuss et al., 2019): adaptation
is made again from the weights as they are then, and probability ratios keep both loops near the
policies that acted.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ..adaptation.base import MetaGradient
from ..adaptation.networks import Parameters
from ..learners.base import State
from ..learners.stepping import Env
from .base import InitialPolicy, Visit
from .settings import QuerySettings

_LARGEST_NORM = 0.5  # of an outer gradient, as in Stable-Baselines3
_MOMENTS = ("exp_avg", "exp_avg_sq")


class QueryBased(InitialPolicy):
    """An algorithm with a gradient; arguments are those of `Learner`."""

    _told: QuerySettings

    def __init__(self, settings: QuerySettings, env: Env, *, seed: int, total_steps: int) -> None:
        super().__init__(settings, env, seed=seed, total_steps=total_steps)
        self.learned: Parameters = self.network | self.extra
        self._adam = torch.optim.Adam(list(self.learned.values()), eps=1e-5)

    @abstractmethod
    def gradient(self, visit: Visit) -> MetaGradient:
        """Return where `learned` should go by one data set, and the loss after adaptation."""

    def improve(self, visits: Sequence[Visit]) -> Mapping[str, float]:
        """See `InitialPolicy.improve`."""
        rate = self._told.learning_rate * self.share
        self._adam.param_groups[0]["lr"] = rate
        losses: list[float] = []
        for _ in range(self._told.n_epochs):
            order = self.rng.permutation(len(visits))
            for start in range(0, len(order), self._told.data_sets_per_step):
                chosen = order[start : start + self._told.data_sets_per_step]
                losses += self._step([visits[place] for place in chosen])
        return {"train/learning_rate": rate, "train/query_loss": float(np.mean(losses))}

    def _step(self, visits: Sequence[Visit]) -> list[float]:
        found = [self.gradient(visit) for visit in visits]
        for name, value in self.learned.items():
            value.grad = torch.stack([each.gradient[name] for each in found]).mean(0)
        torch.nn.utils.clip_grad_norm_(list(self.learned.values()), _LARGEST_NORM)
        self._adam.step()
        return [each.loss for each in found]

    def own_state(self) -> State:
        """See `InitialPolicy.own_state`: what Adam remembers."""
        state: State = {}
        for name, value in self.learned.items():
            remembered = self._adam.state.get(value)
            if remembered:
                state |= {f"{key}/{name}": remembered[key].numpy().copy() for key in _MOMENTS}
                state["adam_steps"] = int(remembered["step"])
        return state

    def load_own(self, state: Mapping[str, Any]) -> None:
        """See `InitialPolicy.load_own`."""
        self._adam.state.clear()
        if "adam_steps" not in state:
            return
        for name, value in self.learned.items():
            self._adam.state[value] = {"step": torch.tensor(float(state["adam_steps"]))} | {
                key: torch.from_numpy(np.array(state[f"{key}/{name}"])).reshape(value.shape)
                for key in _MOMENTS
            }
