"""Update rules with weights and state in one place, as in the packages of their authors."""

from __future__ import annotations

from torch import Tensor

from hpo_env.networks.updaters import Updater


class Stepping:
    """N functions that a rule minimises, from weights `[N, P]` on."""

    def __init__(self, rule: Updater, weights: Tensor) -> None:
        self.rule = rule
        self.weights = weights.clone()
        self.state = rule.start(self.weights)

    def step(self, gradients: Tensor) -> None:
        self.rule.update(self.weights, gradients, self.state)

    @property
    def evaluated(self) -> Tensor:
        return self.rule.evaluated(self.weights, self.state)

    @property
    def step_size(self) -> Tensor:
        return self.rule.learning_rate(self.state)
