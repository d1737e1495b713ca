"""What an opponent is: something that is given a training run to do, and a budget of such runs.

One-run opponents train once, as the controller does. Searches train many times and keep the run
with the lowest validation loss. All of them train on `Lanes`, which keep the account of the updates
and the test losses: an opponent never sees a test row.

Adding an opponent costs one file with a subclass of `Opponent`, one line in `registry.py` and one
test file; the shared contract suite finds it through the registry.

`instances.py` says what it is given and what it returns.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hpo_env.errors import ConfigurationError
from hpo_env.policy import Policy

from .instances import Instance, Outcome
from .lanes import Workload

__all__ = ["Instance", "Opponent", "Outcome", "Prepared", "Setup", "label_need"]


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What opponents are made from.

    Args:
        policy: The controller's; ablations of it need it.
        hyperparameters: Those that opponents may choose: usually what the policy moves, and the
            leading one alone where opponents are to be schedules of it and nothing else.
        num_runs: Full runs that a search may spend on one instance.
        num_lanes: Runs that a population keeps.
        storage: Address of the database of Optuna's studies; None keeps them in memory.

    Raises:
        ConfigurationError: A number is not positive.
    """

    policy: Policy
    hyperparameters: tuple[str, ...]
    num_runs: int = 32
    num_lanes: int = 16
    storage: str | None = None

    def __post_init__(self) -> None:
        """Check the numbers."""
        if self.num_runs < 1 or self.num_lanes < 2 or not self.hyperparameters:
            raise ConfigurationError(
                "num_runs >= 1, num_lanes >= 2 and at least one hyperparameter must hold; got "
                f"num_runs={self.num_runs}, num_lanes={self.num_lanes}, "
                f"hyperparameters={self.hyperparameters}"
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

        A label is written `label_need(name)`. Who may train an instance more than once chooses
        among its runs by the validation loss, so that a user must know it; else nothing by default.
        """
        return frozenset({"loss"} if self.max_runs > 1 else ())

    def identity(self) -> dict[str, Any]:
        """Describe the opponent in plain data: two with equal identities give equal outcomes."""
        return {"name": self.name, "class": type(self).__qualname__, "max_runs": self.max_runs}

    def lesson(self) -> dict[str, Any]:
        """Describe what `prepare` learns, in plain data; opponents of equal lessons learn once."""
        return self.identity()

    def prepare(self, workload: Workload, instances: Sequence[Instance]) -> Prepared:
        """Learn on meta-training instances, once for all; nothing by default."""
        return {}

    def canonical(self, instance: Instance, workload: Workload) -> Instance:
        """Return the instance without what this opponent ignores; the same one by default.

        An opponent that sets the initial learning rate itself gives equal outcomes from whatever
        rate the user started, and is run once for all of them.
        """
        return instance

    @abstractmethod
    def run(
        self, workload: Workload, instances: Sequence[Instance], prepared: Prepared
    ) -> list[Outcome]:
        """Run each instance.

        Args:
            workload: Where to train.
            instances: Canonical ones.
            prepared: What `prepare` returned.

        Returns:
            An outcome for each, in the same order; each is a function of its instance alone.
        """
