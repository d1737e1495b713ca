"""Reptile over policies: the start moves to where usual updates on each data set end.

Nichol, Achiam and Schulman, "On first-order meta-learning algorithms" (2018). The inner loop is
PPO's: passes over a rollout in minibatches, by Adam without momentum, as there. The start moves
towards the mean of where the data sets' policies have arrived.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from ..adaptation.networks import Parameters
from .base import InitialPolicy, Visit
from .rollouts import Rollout
from .settings import InitialPolicySettings

_LARGEST_NORM = 0.5  # of an inner gradient, as in Stable-Baselines3


@dataclass(frozen=True, kw_only=True)
class ReptilePolicySettings(InitialPolicySettings):
    """The inner loop, and how far the start moves.

    Args:
        learning_rate: Share of the way to the adapted weights that the start moves, at first; it
            falls linearly to nearly 0.
        inner_rate: Learning rate of the inner loop; it falls likewise.
        inner_rollouts: Rollouts that are adapted to, one after the other.
        inner_epochs: Passes over each.
        inner_batch: Transitions of a minibatch.
    """

    learning_rate: float = 1.0
    inner_rate: float = 2.5e-3
    inner_rollouts: int = 2
    inner_epochs: int = 4
    inner_batch: int = 64

    up_to_one: ClassVar[tuple[str, ...]] = ("gamma", "gae_lambda", "learning_rate")
    at_least: ClassVar[Mapping[str, float]] = {
        **InitialPolicySettings.at_least,
        "inner_rollouts": 2,  # of one, it learns what joint training does
        "inner_epochs": 1,
        "inner_batch": 2,
    }
    is_asked_after: ClassVar[bool] = False


class ReptilePolicy(InitialPolicy):
    """See the module; arguments are those of `Learner`."""

    name = "reptile"
    settings = ReptilePolicySettings
    _told: ReptilePolicySettings

    def adapted(
        self, current: Parameters, start: Parameters, rollouts: Sequence[Rollout]
    ) -> Parameters:
        """See `InitialPolicy.adapted`."""
        told, rollout = self._told, rollouts[-1]
        parameters = {n: value.detach().clone().requires_grad_() for n, value in current.items()}
        leaves = list(parameters.values())
        adam = torch.optim.Adam(leaves, lr=told.inner_rate * self.share, betas=(0.0, 0.999))
        for _ in range(told.inner_epochs):
            order = torch.from_numpy(self.rng.permutation(len(rollout.returns)))
            for rows in torch.split(order, told.inner_batch):
                loss = self.objective.on(rollout.rows(rows))(parameters)
                for leaf, slope in zip(leaves, torch.autograd.grad(loss, leaves), strict=True):
                    leaf.grad = slope
                torch.nn.utils.clip_grad_norm_(leaves, _LARGEST_NORM)
                adam.step()
        return {name: value.detach() for name, value in parameters.items()}

    def improve(self, visits: Sequence[Visit]) -> Mapping[str, float]:
        """See `InitialPolicy.improve`."""
        rate, squared = self._told.learning_rate * self.share, 0.0
        for name, value in self.network.items():
            arrived = torch.stack([visit.adapted[name] for visit in visits]).mean(0)
            squared += float((arrived - value.detach()).square().sum())
            with torch.no_grad():
                value.add_(rate * (arrived - value))
        return {"train/learning_rate": rate, "train/adaptation_distance": squared**0.5}
