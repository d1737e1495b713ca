"""What an opponent is: something that is given a training run to do, and a budget of such runs.

One-run opponents train once, as the controller does. Searches train many times and keep the run
with the lowest validation loss. All of them train on `Lanes`, which keep the account of the updates
and the test losses: an opponent never sees a test row.

Adding an opponent costs one file with a subclass of `Opponent`, one line in `registry.py` and one
test file; the shared contract suite finds it through the registry.

Axes: `T` decision intervals, `K` trials, `H` hyperparameters.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.evaluation.protocol import lane_seed
from agents.opponents.lanes import Bench
from hpo_env.errors import ConfigurationError
from hpo_env.policy import Policy
from hpo_env.seeding import stream
from hpo_env.tasks.base import Task

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Instance:
    """One run that every opponent is given.

    Args:
        task: What to train, with the user's own initial values.
        seed: From which weights, minibatches and an opponent's draws follow.
    """

    task: Task
    seed: int

    @property
    def lane_seed(self) -> int:
        """The seed of the run's lane: equal for all opponents and for all initial values."""
        return lane_seed(self.task, self.seed)

    def rng(self, *names: str | int) -> np.random.Generator:
        """Return a generator of an opponent's own draws; other names, independent draws."""
        return stream(self.lane_seed, "opponent", *names)


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """What an opponent reached on one instance, and what it cost.

    Args:
        first_loss: Validation loss before the first update.
        last_loss: Validation loss at the end of the run that the opponent returns; NaN if diverged.
        test_loss: Test loss of that run; NaN if diverged.
        test_metric: Accuracy or R² of that run on test rows; NaN where there is none.
        diverged: Whether that run, the best there was, diverged.
        hyperparameters: Effective values in each interval of that run `[T]`, by name; through its
            forks, if it was forked. NaN after a divergence.
        validation_loss: Validation loss after each of its intervals `[T]`.
        trial_validation_loss: Validation loss at the end of each trial `[K]`, in the order in which
            they ended; NaN where a trial diverged. One-run opponents have one trial.
        trial_test_loss: Test loss at the end of each trial `[K]`, NaN where diverged.
        trial_intervals: Decision intervals that each trial's run went through `[K]`.
        spent_updates: Inner updates of all trials together when each of them ended `[K]`.
        num_updates: Inner updates of all trials together.
        train_seconds: Wall-clock in training and validation; runs that train together share it.
        overhead_seconds: Wall-clock in the opponent's own decisions.
    """

    first_loss: float
    last_loss: float
    test_loss: float
    test_metric: float
    diverged: bool
    hyperparameters: dict[str, Array]
    validation_loss: Array
    trial_validation_loss: Array
    trial_test_loss: Array
    trial_intervals: NDArray[np.int64]
    spent_updates: NDArray[np.int64]
    num_updates: int
    train_seconds: float
    overhead_seconds: float


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What opponents are made from.

    Args:
        policy: The controller's; ablations of it need it, and so does the choice of `knobs`.
        knobs: The hyperparameters that opponents may choose: those that the policy moves.
        num_runs: Full runs that a search may spend on one instance.
        num_lanes: Runs that a population keeps.
        storage: Address of the database of Optuna's studies; None keeps them in memory.

    Raises:
        ConfigurationError: A number is not positive.
    """

    policy: Policy
    knobs: tuple[str, ...]
    num_runs: int = 32
    num_lanes: int = 16
    storage: str | None = None

    def __post_init__(self) -> None:
        """Check the numbers."""
        if self.num_runs < 1 or self.num_lanes < 2 or not self.knobs:
            raise ConfigurationError(
                "num_runs >= 1, num_lanes >= 2 and at least one knob must hold; got "
                f"num_runs={self.num_runs}, num_lanes={self.num_lanes}, knobs={self.knobs}"
            )


def label_need(label: str) -> str:
    """Write that tasks must have a label.

    Example:
        >>> label_need("optimizer")
        'label optimizer'
    """
    return f"label {label}"


Prepared = Mapping[str, Any]
"""What an opponent has learned on the meta-training tasks, in plain data."""


@dataclass(frozen=True, kw_only=True)
class Opponent(ABC):
    """A way of choosing hyperparameters; all that it is given at construction is in its identity.

    Args:
        name: As it appears in tables.
    """

    name: str
    max_runs: int = field(default=1)
    """Budget: full runs' worth of inner updates that it may spend on one instance."""

    @property
    def needs(self) -> frozenset[str]:
        """What a family must offer: capabilities (`hpo_env.tasks.base.Capability`) and labels.

        A label is written `label_need(name)`. Nothing by default.
        """
        return frozenset()

    def identity(self) -> dict[str, Any]:
        """Describe the opponent in plain data: two with equal identities give equal outcomes."""
        return {"name": self.name, "class": type(self).__qualname__, "max_runs": self.max_runs}

    def prepare(self, bench: Bench, instances: Sequence[Instance]) -> Prepared:
        """Learn on meta-training instances, once for all; nothing by default."""
        return {}

    def canonical(self, instance: Instance, bench: Bench) -> Instance:
        """Return the instance without what this opponent ignores; the same one by default.

        An opponent that sets the initial learning rate itself gives equal outcomes from whatever
        rate the user started, and is run once for all of them.
        """
        return instance

    @abstractmethod
    def run(self, bench: Bench, instances: Sequence[Instance], prepared: Prepared) -> list[Outcome]:
        """Run each instance.

        Args:
            bench: Where to train.
            instances: Canonical ones.
            prepared: What `prepare` returned.

        Returns:
            An outcome for each, in the same order; each is a function of its instance alone.
        """
