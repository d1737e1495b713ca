"""The packages that the optimisers' authors published, made alike."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # escapes in their docstrings
    import dadaptation
    import dog
    import parameterfree
    import prodigyopt
    import schedulefree

    # `dowgopt` is its authors'; a package `dowg` of somebody else's owns the same `__init__`.
    from dowg.dowg import DoWG as AuthorsDoWG


class Package:
    """One model under an optimiser of a package, which keeps its default settings."""

    optimizer_class: Callable[..., torch.optim.Optimizer]

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.optimizer: Any = type(self).optimizer_class(module.parameters())
        self.start()

    def start(self) -> None:
        """Do what must be done before the first update."""

    def zero_grad(self) -> None:
        self.optimizer.zero_grad()

    def step(self) -> None:
        self.optimizer.step()

    def evaluated(self) -> Tensor:
        """The weights that one would use in the end, flat."""
        return flat(self.module)

    def step_size(self, group: dict[str, Any]) -> float:
        """The rate of the last update, from the optimiser's only group of parameters."""
        return float("nan")


class ScheduleFree(Package):
    optimizer_class = schedulefree.AdamWScheduleFree

    def start(self) -> None:
        self.optimizer.train()

    def evaluated(self) -> Tensor:
        self.optimizer.eval()
        x = flat(self.module)
        self.optimizer.train()
        return x

    def step_size(self, group: dict[str, Any]) -> float:
        return float(group["scheduled_lr"])


class WithDistance(Package):
    """The package shows the estimate for the next update; the last one's is kept here."""

    def start(self) -> None:
        self.used = float("nan")

    def step(self) -> None:
        self.used = float(self.optimizer.param_groups[0]["d"])
        super().step()

    def step_size(self, group: dict[str, Any]) -> float:
        return self.used


class Prodigy(WithDistance):
    optimizer_class = prodigyopt.Prodigy


class DAdaptation(WithDistance):
    optimizer_class = dadaptation.DAdaptAdam


class DoG(Package):
    optimizer_class = dog.DoG

    def start(self) -> None:
        self.averager = dog.PolynomialDecayAverager(self.module)

    def step(self) -> None:
        super().step()
        self.averager.step()

    def evaluated(self) -> Tensor:
        return flat(self.averager.averaged_model)

    def step_size(self, group: dict[str, Any]) -> float:
        return float(group["eta"][0])


class DoWG(Package):
    optimizer_class = AuthorsDoWG

    def step_size(self, group: dict[str, Any]) -> float:
        state = self.optimizer.state
        return float(state["rt2"] / (state["vt"].sqrt() + group["eps"]))


class COCOB(Package):
    optimizer_class = parameterfree.COCOB


PACKAGES: dict[str, type[Package]] = {
    "schedule_free": ScheduleFree,
    "prodigy": Prodigy,
    "d_adaptation": DAdaptation,
    "dog": DoG,
    "dowg": DoWG,
    "cocob": COCOB,
}


def flat(module: nn.Module) -> Tensor:
    """All weights of a module in one row `[P]`."""
    return torch.cat([p.detach().reshape(-1) for p in module.parameters()])
