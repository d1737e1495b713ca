"""The packages that the optimisers' authors published, made alike."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn


def imported(name: str) -> Any:
    """A package's module; without it the test that asks is skipped."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # escapes in their docstrings
        return pytest.importorskip(name)


class Package:
    """One model under an optimiser of a package, which keeps its default settings."""

    module_name: ClassVar[str]
    class_name: ClassVar[str]

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.package = imported(self.module_name)
        self.optimizer: Any = getattr(self.package, self.class_name)(module.parameters())
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
    module_name, class_name = "schedulefree", "AdamWScheduleFree"

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
    module_name, class_name = "prodigyopt", "Prodigy"


class DAdaptation(WithDistance):
    module_name, class_name = "dadaptation", "DAdaptAdam"


class DoG(Package):
    module_name, class_name = "dog", "DoG"

    def start(self) -> None:
        self.averager = self.package.PolynomialDecayAverager(self.module)

    def step(self) -> None:
        super().step()
        self.averager.step()

    def evaluated(self) -> Tensor:
        return flat(self.averager.averaged_model)

    def step_size(self, group: dict[str, Any]) -> float:
        return float(group["eta"][0])


class DoWG(Package):
    # `dowgopt` is its authors'; a package `dowg` of somebody else's owns the same `__init__`.
    module_name, class_name = "dowg.dowg", "DoWG"

    def step_size(self, group: dict[str, Any]) -> float:
        state = self.optimizer.state
        return float(state["rt2"] / (state["vt"].sqrt() + group["eps"]))


class COCOB(Package):
    module_name, class_name = "parameterfree", "COCOB"


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
