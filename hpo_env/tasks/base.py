"""What every task family is: it draws tasks as plain numbers and makes a trainer for them.

Adding a family costs one file with a subclass of `TaskFamily`, one line in `registry.py` and one
test file; the shared contract suite finds it through the registry.

Axes: `N` lanes, `H` hyperparameters.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from hpo_env.errors import ConfigurationError, unknown_name
from hpo_env.hyperparameters import Hyperparameter, HyperparameterSpace
from hpo_env.telemetry import Telemetry

Split = Literal["train", "validation", "test"]
Engine = Literal["auto", "native", "compiled", "eager", "reference"]


def check_choice(kind: str, value: str, choices: Any) -> None:
    """Check a value against a `Literal`.

    Raises:
        UnknownNameError: It is none of the choices; the nearest are suggested.
    """
    if value not in get_args(choices):
        raise unknown_name(kind, value, get_args(choices))


@dataclass(frozen=True, kw_only=True)
class Task:
    """One thing to train, as plain numbers and names that can be logged and saved as JSON.

    Args:
        name: What a person would call it; results are grouped by it (the data set's name).
        num_decisions: Decision intervals in the run.
        initial: Initial value of every hyperparameter of the family, in the family's order `[H]`.
    """

    name: str
    num_decisions: int
    initial: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        """Describe the task in plain data."""
        return asdict(self)


class TaskFamily(ABC):
    """A distribution of tasks, split into training, validation and test parts.

    Args:
        split: Which part of the distribution to draw from; the parts share no data set and, for
            tests, no architecture.
        num_decisions: Fixed number of decision intervals; None leaves it to the family.

    Raises:
        UnknownNameError: The split does not exist.
        ConfigurationError: `num_decisions` is not a positive integer.
    """

    name: ClassVar[str]
    hyperparameters: ClassVar[tuple[Hyperparameter, ...]]
    default_controlled: ClassVar[tuple[str, ...]]
    """The hyperparameters that an agent has when nobody says which."""

    def __init__(self, *, split: Split = "train", num_decisions: int | None = None) -> None:
        check_choice("split", split, Split)
        if num_decisions is not None and num_decisions < 1:
            raise ConfigurationError(
                f"num_decisions must be a positive integer; got {num_decisions}"
            )
        self.split: Split = split
        self.num_decisions = num_decisions
        self.space = HyperparameterSpace(self.hyperparameters)

    @abstractmethod
    def sample(self, rng: np.random.Generator) -> Task:
        """Draw a task; all that is random about the task itself comes from `rng`."""

    def defaults(self, task: Task) -> NDArray[np.float64]:
        """Return the values that somebody who chooses nothing would start the task with `[H]`."""
        return self.space.defaults.copy()

    @abstractmethod
    def make_trainer(self, num_lanes: int, *, engine: Engine, device: str) -> Trainer:
        """Build the trainer that runs tasks of this family.

        Args:
            num_lanes: `N`.
            engine: "native", "compiled", "eager", "reference", or "auto" to choose by the model and
                the size of the job.
            device: A torch device; families without tensors accept only "cpu".
        """


class Trainer(ABC):
    """Runs the inner training of N lanes, one decision interval at a time.

    A lane is a function of its task, its seed and its hyperparameter values alone: neither the
    number of lanes nor what runs in its neighbours changes it.
    """

    @abstractmethod
    def reset(self, lanes: NDArray[np.int64], tasks: list[Task], seeds: list[int]) -> Telemetry:
        """Start new runs.

        Args:
            lanes: Which lanes, distinct, `[n]`.
            tasks: A task for each, n of them.
            seeds: An episode seed for each; initial weights, minibatch order and dropout follow
                from it.

        Returns:
            Telemetry `[n]` in the order of `lanes`, measured before the first update: training
            loss, validation loss and validation metric.
        """

    @abstractmethod
    def advance(self, values: NDArray[np.float64]) -> tuple[Telemetry, NDArray[np.float64]]:
        """Train every lane for one decision interval.

        Args:
            values: Effective hyperparameters `[N, H]`, H over all of the family's.

        Returns:
            Telemetry `[N]`, and the values read back from where they were used `[N, H]`.
        """

    @abstractmethod
    def test(self, lanes: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Measure test loss `[n]` and test metric `[n]`; never shown to an agent."""

    @abstractmethod
    def roll_back(self, lanes: NDArray[np.int64]) -> None:
        """Put back the weights that lanes had when `advance` was called last.

        The optimiser's memory is emptied, as it led to where they came from. The order of the
        minibatches goes on. May be called before anything else happens to the lanes.
        """

    @abstractmethod
    def snapshot(self, lanes: NDArray[np.int64]) -> Any:
        """Copy all state of the given lanes, so that `restore` continues bit for bit."""

    @abstractmethod
    def restore(self, lanes: NDArray[np.int64], snapshot: Any) -> None:
        """Put a snapshot of n lanes into n lanes, the same ones or others."""
