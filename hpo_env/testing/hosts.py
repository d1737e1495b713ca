"""The contract of a host, as a test class that the host's author subclasses.

    class TestMyHost(HostContract):
        def make(self):
            return MyTraining()  # a `HostUnderTest`

Every rule builds its trainings anew. A rule that is broken fails a test of its name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from hpo_env.arguments import read_number
from hpo_env.control.host import Host
from hpo_env.errors import ConfigurationError
from hpo_env.telemetry import MEASUREMENTS, NOT_NEGATIVE, Telemetry

_NUM_UPDATES = 4
_FACTOR = 0.7  # of the values that are written to those at the start
_VALIDATION_LOSS = 1.5


class HostUnderTest(ABC):
    """A small training and its host.

    Two that are made are equal, and so are their updates when those of one come after those of the
    other: they may share the random numbers of the process.

    Attributes:
        host: The host.
    """

    host: Host

    @abstractmethod
    def update(self) -> Any:
        """Make one update as a user's loop does, and return its loss, None where there is none."""

    @abstractmethod
    def read(self) -> Mapping[str, float]:
        """Return the values that the training really uses, by hyperparameter."""

    @abstractmethod
    def weights(self) -> Any:
        """Return what is trained, as something that NumPy compares; a copy."""

    def surroundings(self) -> Any:
        """Return what else a closed host must have left as it was; a copy."""
        return None


class _Run:
    """Stands in for a run that is in its first interval and has nothing to write."""

    is_over = False
    interval = 0
    has_decided = False

    def corrected(self, name: str, base: float) -> float:
        """Correct as the values that are written have been."""
        return _FACTOR * base

    def uncorrected(self, name: str, value: float) -> float:
        """Invert it."""
        return value / _FACTOR

    def supersede(self) -> None:
        """Let go of nothing."""

    def write(self) -> None:
        """Write nothing."""

    def apply(self) -> Mapping[str, float]:
        """Write nothing."""
        return {}

    def restart_at(self, values: Mapping[str, float]) -> None:
        """Begin nowhere else."""


class HostContract(ABC):
    """What every host keeps to.

    Attributes:
        tolerance: How far values in use may be from those written, relative: hosts may round.
    """

    tolerance = 1e-6

    @abstractmethod
    def make(self) -> HostUnderTest:
        """Make a training that has not begun."""

    def test_the_initial_values_are_those_in_use(self) -> None:
        """Policies start from the user's own values."""
        training = self.make()
        initial = dict(training.host.initial)
        assert initial, "initial must name at least one hyperparameter that can be written"
        assert initial == pytest.approx(dict(training.read()), rel=self.tolerance)

    def test_it_begins_at_another_start_or_says_that_it_cannot(self) -> None:
        """A learned start takes the place of the values that were found."""
        training = self.make()
        asked = {name: _FACTOR * value for name, value in training.host.initial.items()}
        try:
            training.host.start_at(asked)
        except ConfigurationError:
            return
        assert dict(training.host.initial) == pytest.approx(asked, rel=self.tolerance)
        training.host.begin(_Run())
        training.host.begin_interval(_NUM_UPDATES)
        training.host.write(training.host.initial)
        assert dict(training.read()) == pytest.approx(asked, rel=max(self.tolerance, 0.1))

    def test_what_it_knows_of_a_start_is_of_what_can_be_written(self) -> None:
        """`learned_start` and `bearable` name hyperparameters of `initial`, with usable values."""
        host = self.make().host
        learned, highest = host.learned_start(), host.bearable()
        values = {} if learned is None else learned.values_for(host.problem())
        assert set(values) | set(highest) <= set(host.initial), (
            f"learned_start() and bearable() must name what initial names, {sorted(host.initial)}; "
            f"got {sorted({*values, *highest})}"
        )
        bad = {n: v for n, v in [*values.items(), *highest.items()] if not 0.0 <= v < np.inf}
        assert not bad, f"values to begin at must be finite and not negative; got {bad}"

    def test_what_is_written_is_in_use_and_read_back(self) -> None:
        """The values in force are known, whatever the host rounds or refuses."""
        training = self._begun()
        asked = {name: _FACTOR * value for name, value in training.host.initial.items()}
        used = training.host.write(asked)
        training.update()
        read = dict(training.read())
        assert {name: used[name] for name in asked} == pytest.approx(read, rel=self.tolerance)
        for name in asked:
            moved = asked[name] == training.host.initial[name] or used[name] == pytest.approx(
                asked[name], rel=0.1
            )
            assert moved, f"{name}: {asked[name]} was written, {used[name]} is in force"

    def test_an_interval_is_measured(self) -> None:
        """Losses are those of the updates; what is not there is NaN; signs are those promised."""
        training = self._begun()
        losses = self._train(training)
        telemetry = training.host.measure(_VALIDATION_LOSS)
        assert len(telemetry) == 1
        assert telemetry.validation_loss[0] == _VALIDATION_LOSS
        assert not telemetry.diverged[0]
        if losses:
            assert telemetry.train_loss[0] == pytest.approx(np.mean(losses), rel=1e-5)
        for name in NOT_NEGATIVE:
            assert not getattr(telemetry, name)[0] < 0.0, f"{name} must not be negative"

    def test_updates_without_a_loss_are_counted_too(self) -> None:
        """A loop that does not know its losses is steered all the same."""
        training = self._begun()
        for _ in range(_NUM_UPDATES):
            training.update()
            training.host.note_update(None)
        assert len(training.host.measure(np.nan)) == 1

    def test_measuring_and_validating_leave_the_training_alone(self) -> None:
        """A watched training is the training."""
        alone = self.make()
        for _ in range(_NUM_UPDATES):
            alone.update()
        watched = self._begun()
        self._train(watched)
        watched.host.validate()
        watched.host.measure(_VALIDATION_LOSS)
        _assert_same(watched.weights(), alone.weights())

    def test_a_roll_back_returns_to_the_start_of_the_interval_or_does_nothing(self) -> None:
        """Half a roll back would be neither here nor there."""
        training = self._begun()
        start = training.weights()
        self._train(training)
        end = training.weights()
        expected = start if training.host.roll_back() else end
        _assert_same(training.weights(), expected)

    def test_a_saved_measurement_goes_on_bit_for_bit(self) -> None:
        """A run that is killed in mid-interval measures what it would have measured."""
        whole = self._begun()
        self._train(whole)
        expected = whole.host.measure(_VALIDATION_LOSS)
        half = self._begun()
        self._train(half, 2)
        state = half.host.state_dict()
        other = self._begun()
        for _ in range(2):
            other.update()
        other.host.load_state_dict(state)
        self._train(other, _NUM_UPDATES - 2)
        _assert_equal(other.host.measure(_VALIDATION_LOSS), expected)

    def test_its_state_is_plain_data(self) -> None:
        """Numbers, texts, tensors, lists and dicts: whoever reads a saved run executes nothing."""
        training = self._begun()
        self._train(training)
        training.host.measure(_VALIDATION_LOSS)
        _assert_plain(training.host.state_dict(), "state_dict()")

    def test_a_closed_host_leaves_what_it_found(self) -> None:
        """No hook stays, the user has his own values back, and closing twice is closing."""
        training = self.make()
        before = training.surroundings()
        training.host.begin(_Run())
        training.host.begin_interval(_NUM_UPDATES)
        self._train(training)
        initial = dict(training.host.initial)
        training.host.write({name: _FACTOR * value for name, value in initial.items()})
        training.host.close()
        training.host.close()
        _assert_same(training.surroundings(), before)
        assert dict(training.read()) == pytest.approx(initial, rel=1e-12)

    def test_a_host_that_never_began_can_be_closed(self) -> None:
        """A run that is refused leaves no trace."""
        training = self.make()
        before = training.surroundings()
        training.host.close()
        _assert_same(training.surroundings(), before)

    def _begun(self) -> HostUnderTest:
        training = self.make()
        training.host.begin(_Run())
        training.host.begin_interval(_NUM_UPDATES)
        return training

    def _train(self, training: HostUnderTest, num_updates: int = _NUM_UPDATES) -> list[float]:
        losses = []
        for _ in range(num_updates):
            loss = training.update()
            training.host.note_update(loss)
            if loss is not None:
                losses.append(read_number(loss))
        return losses


def _assert_same(found: Any, expected: Any) -> None:
    np.testing.assert_equal(found, expected)


def _assert_plain(value: Any, where: str) -> None:
    kind = type(value)
    if kind is dict:
        for key, part in value.items():
            assert type(key) in (str, int), f"{where} must have names for keys; got {key!r}"
            _assert_plain(part, f"{where}[{key!r}]")
    elif kind in (list, tuple):
        for index, part in enumerate(value):
            _assert_plain(part, f"{where}[{index}]")
    else:
        is_plain = value is None or kind in (bool, int, float, str)
        assert is_plain or kind.__module__.startswith("torch"), (
            f"{where} must be plain data; got {kind.__module__}.{kind.__name__}: use tolist()"
        )


def _assert_equal(found: Telemetry, expected: Telemetry) -> None:
    for name in (*MEASUREMENTS, "diverged"):
        np.testing.assert_equal(getattr(found, name), getattr(expected, name), err_msg=name)
