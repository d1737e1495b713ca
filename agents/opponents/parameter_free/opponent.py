"""Parameter-free optimisers as opponents: one run, and no rate of the user's to start from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hpo_env.tasks.registry import make_family

from ..base import Instance, Opponent, Outcome, Prepared, Setup
from ..driving import Choose, run_once
from ..lanes import Lanes, Workload, with_initial
from .table import updater


@dataclass(frozen=True, kw_only=True)
class ParameterFree(Opponent):
    """An optimiser that finds its own rate, in the place of the task's optimiser.

    In an outcome's hyperparameters, `learning_rate` is the rate that the optimiser has estimated at
    the end of each interval (its factor of the gradient in DoG and DoWG, of Adam's direction in
    Prodigy and D-Adaptation), and NaN in COCOB, where every parameter has its own. Weight decay
    and momentum are NaN: the optimisers keep their packages' defaults and none decays.

    Args:
        optimizer: A name in `table.UPDATERS`.

    Raises:
        UnknownNameError: There is no such optimiser.
    """

    optimizer: str

    def __post_init__(self) -> None:
        """Check the name."""
        updater(self.optimizer)

    @property
    def needs(self) -> frozenset[str]:
        """Gradients, and a trainer that takes another update rule."""
        return frozenset({"gradients", "optimizer"})

    def identity(self) -> dict[str, Any]:
        """See `Opponent.identity`."""
        return super().identity() | {"optimizer": self.optimizer}

    def canonical(self, instance: Instance, workload: Workload) -> Instance:
        """Set what belongs to the task's own optimiser to the family's defaults.

        Raises:
            ConfigurationError: The workload's family has no optimiser that could be replaced.
        """
        family = make_family(workload.family, **workload.options)
        family.check_updater(updater(self.optimizer))
        is_ignored = np.isin(workload.space.names, family.optimizer_hyperparameters)
        values = np.where(is_ignored, workload.defaults(instance.task), instance.task.initial)
        return with_initial(instance, values)

    def run(
        self, workload: Workload, instances: Sequence[Instance], prepared: Prepared
    ) -> list[Outcome]:
        """See `Opponent.run`.

        Raises:
            ConfigurationError: The workload's family has no optimiser that could be replaced.
        """
        return run_once(workload, instances, as_they_are, updater=updater(self.optimizer))


def as_they_are(lanes: Lanes) -> Choose:
    """Leave all other hyperparameters at the user's values."""
    initial = lanes.initial
    return lambda lanes, telemetry: initial


def schedule_free(name: str, setup: Setup) -> Opponent:
    """Schedule-Free AdamW at its package's default rate."""
    return ParameterFree(name=name, optimizer="schedule_free")


def prodigy(name: str, setup: Setup) -> Opponent:
    """Prodigy."""
    return ParameterFree(name=name, optimizer="prodigy")


def d_adaptation(name: str, setup: Setup) -> Opponent:
    """Adam with D-Adaptation."""
    return ParameterFree(name=name, optimizer="d_adaptation")


def dog(name: str, setup: Setup) -> Opponent:
    """DoG with polynomial-decay averaging."""
    return ParameterFree(name=name, optimizer="dog")


def dowg(name: str, setup: Setup) -> Opponent:
    """DoWG."""
    return ParameterFree(name=name, optimizer="dowg")


def cocob(name: str, setup: Setup) -> Opponent:
    """COCOB."""
    return ParameterFree(name=name, optimizer="cocob")
