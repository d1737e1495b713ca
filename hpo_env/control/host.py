"""What a run asks of the training that it steers.

A host knows how one kind of training is measured and written, and nothing of policies. There are
three: `PlainHost` for anything that is told its losses, `WeightsHost` for weights that are torch
tensors, `TorchHost` for loops with torch optimisers. Whoever needs another derives it from `Host`
and gives it to `Controller.steer`; `hpo_env.testing.hosts` checks it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Protocol

from hpo_env.errors import ConfigurationError
from hpo_env.starts import LearnedStart, Problem
from hpo_env.telemetry import Telemetry


class Steered(Protocol):
    """A run, as a host sees it that is itself called between updates (by hooks)."""

    @property
    def is_over(self) -> bool:
        """Whether all updates are done."""

    @property
    def interval(self) -> int:
        """The interval that is running, from 0."""

    @property
    def has_decided(self) -> bool:
        """Whether there are values to write."""

    def corrected(self, name: str, base: float) -> float:
        """Return the value now of one more place where a hyperparameter is used.

        Args:
            name: Of the hyperparameter. What no policy moves keeps its base value.
            base: The place's own value before the run's schedule, or what the host's own schedule
                asks for there now.
        """

    def uncorrected(self, name: str, value: float) -> float:
        """Return the base of a place that was found with a value; inverse of `corrected`.

        The correction is the one in force, so the value of a place that has just come stays.
        """

    def supersede(self) -> None:
        """Let go of the training: another run has been attached to it."""

    def write(self) -> None:
        """Write the values that are due now, and note them when they changed."""

    def apply(self) -> Mapping[str, float]:
        """Write the values that are due now, without noting them."""

    def restart_at(self, values: Mapping[str, float]) -> None:
        """Begin anew at other values, before the first update is made; see `watch_first_step`."""


class Host(Protocol):
    """One training that a run steers.

    A run calls `begin` once; then for each interval `begin_interval`, `write`, as often as there
    are updates `note_update`, `validate`, `measure`, and, where the interval has failed,
    `roll_back`. What is not abstract may be left as it is.
    """

    @property
    @abstractmethod
    def initial(self) -> Mapping[str, float]:
        """The value at the start, before any schedule, of all that can be written, by name."""

    def problem(self) -> Problem:
        """Say what is known of the problem, in the words of the policy's family.

        A learned start goes by it, and a policy that says which kinds it knows steers no other.
        """
        return Problem()

    def learned_start(self) -> LearnedStart | None:
        """Return where trainings of this kind begin best, for policies that do not say."""
        return None

    def bearable(self) -> Mapping[str, float]:
        """Return the highest values to begin at that break nothing, by name, where known."""
        return {}

    def start_at(self, values: Mapping[str, float]) -> None:
        """Take other values for the initial ones, before `begin`; those found are given back.

        Args:
            values: Some of what can be written, by name.

        Raises:
            ConfigurationError: This host cannot.
        """
        raise ConfigurationError(
            f"start= cannot be had here: {type(self).__name__} begins at the values that it finds. "
            "Leave start out, and set the values before"
        )

    def watch_first_step(self) -> None:
        """Look at the first update before it is made, where only gradients tell how far it goes.

        Where it would wreck the weights, the run is told to `restart_at` a value that does not.
        Called before `begin`, of runs that begin at the values that they found and may begin
        elsewhere.
        """
        return

    def begin(self, run: Steered) -> None:
        """Get ready: hang up hooks, keep the run where it has to be called."""
        return

    def begin_interval(self, num_updates: int) -> None:
        """Start to measure an interval of so many updates; its start is what can be put back."""
        return

    @abstractmethod
    def note_update(self, loss: Any) -> None:
        """Count an update, with its minibatch loss or None."""

    def validate(self) -> Any:
        """Return the validation loss, a number or a tensor; None where there is none."""
        return None

    @abstractmethod
    def measure(self, validation_loss: float) -> Telemetry:
        """Return the telemetry of the interval that has just ended, one lane.

        Args:
            validation_loss: What `validate` has come to, NaN where there is none; to be filled in.
        """

    @abstractmethod
    def write(self, values: Mapping[str, float]) -> Mapping[str, float]:
        """Write values by name.

        Returns:
            The values in force for each of them, read back from where they are used; and what else
            a replay of the run has to write, under other names.
        """

    def roll_back(self) -> bool:
        """Put back what the interval started from; a host that cannot does nothing: False."""
        return False

    def unrestored(self) -> str | None:
        """Name what is still spoiled after a roll back; None where nothing is known to be."""
        return None

    def failure(self) -> str | None:
        """Say why an interval that was measured as diverged has failed; None: its losses say it."""
        return None

    def harm(self) -> str | None:
        """Say, after an interval that failed, what harm the policy did; None: none that is known.

        A policy that did harm steers the training no more.
        """
        return None

    def base(self) -> Mapping[str, float] | None:
        """Return the values that a schedule of the host's own asks for now; None: it has none."""
        return None

    def base_change(self) -> tuple[float, float] | None:
        """Return the factors (or rates) of that schedule in this interval and the next."""
        return None

    def features(self) -> Mapping[str, float]:
        """Return the entries of the observation that only this kind of training has, as they are.

        By the names that its family gives them (`TaskFamily.features`), each in `[-1, 1]`. Asked
        for before `begin`, too, where the names alone count.
        """
        return {}

    def agreed(self, moves: list[float]) -> list[float]:
        """Return the moves that all replicas of the run make."""
        return moves

    def mean_loss(self, loss: float) -> float:
        """Return the mean of a loss over the replicas of the run."""
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Return what was collected in the interval so far; `load_state_dict` is the inverse."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was called, after `begin_interval`."""
        return

    def close(self) -> None:
        """Leave the training as it was found, with its own values; called any number of times."""
        return
