"""What users' trainings bring about, as a contract: whatever happens, nobody is robbed.

    class TestMyFramework(SituationContract):
        def make(self):
            return MyTraining()  # a `SteeredTraining`

A framework's own facts (it refuses other writers, it has no loss that can be missing) stand on its
`SteeredTraining`; a situation that cannot exist there is skipped, with the fact in its name.
"""

from __future__ import annotations

import contextlib
import itertools
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Literal

import pytest

from hpo_env.controller import Controller, ControllerWarning
from hpo_env.errors import ConfigurationError
from hpo_env.testing.policies import steady_policy

FOREIGN = 0.0625  # exact in every precision
RATE = 0.25
DECAY = 0.125
ADDED = 2.0**-8
LOWEST = 1e-5  # well inside the range of learning rates

AtStep = Callable[[int], None]


class InterruptionError(Exception):
    """What a user's Ctrl-C stands for."""


def lowering_controller() -> Controller:
    """Make a controller that lowers everything in each interval, so that values are soon spent."""
    names = ("learning_rate", "weight_decay")
    return Controller(steady_policy("supervised", names, level=-0.5, base_schedule="constant"))


class SteeredTraining(ABC):
    """A training that can be repeated: its framework's own object stays, with what it keeps.

    Attributes:
        num_steps: Updates in one training.
        started_from: What the user gave, by hyperparameter: `RATE` and perhaps `DECAY`.
        foreign_writers: What becomes of them: the training is "refused", they are "named" in a
            warning and left alone, or they are "unseen", where values are written by functions.
        without_loss: What becomes of a training that has no loss: its values are "kept", or it is
            "refused"; or a loss is "always there".
        has_own_checkpoints: Whether the run is part of the framework's checkpoints, so that there
            is no state for the user to keep.
        is_lost_when_interrupted: Whether the framework hands over nothing of such a training.
        has_param_groups: Whether groups can be added while it trains, see `add_group`.
        takes_validate: Whether `new_callback` takes `validate`.
        has_batches: Whether a batch can spoil the training, see `spoil`.
    """

    num_steps = 16
    started_from: ClassVar[Mapping[str, float]] = {"learning_rate": RATE}
    foreign_writers: ClassVar[Literal["refused", "named", "unseen"]] = "named"
    without_loss: ClassVar[Literal["kept", "refused", "always there"]] = "always there"
    has_own_checkpoints = False
    is_lost_when_interrupted = False
    has_param_groups = False
    takes_validate = False
    has_batches = False

    @abstractmethod
    def new_callback(self, state: Any = None, total_steps: int = 0, **options: Any) -> Any:
        """Make what hangs the controller into a training.

        Args:
            state: A saved run to go on from; frameworks that keep it in their own checkpoints take
                none.
            total_steps: Where the framework does not tell, updates in the run, if not `num_steps`.
            **options: Further arguments, such as `validate` where the framework takes one.
        """

    @abstractmethod
    def train(self, callback: Any, at_step: AtStep, num_steps: int | None = None) -> None:
        """Train from the framework's object as it is.

        Args:
            callback: What `new_callback` made.
            at_step: Called before each update.
            num_steps: Updates to make, where they are not all.
        """

    @abstractmethod
    def read(self) -> Mapping[str, float]:
        """Return the values that the object has now."""

    @abstractmethod
    def write(self, rate: float) -> None:
        """Set the learning rate as somebody else would, from within `at_step`."""

    def run(self, callback: Any) -> Any:
        """Return the run that a callback made last."""
        return callback.run

    def lose_losses(self) -> None:
        """Let the trainings to come have no loss; where one can be missing."""
        raise NotImplementedError

    def spoil(self) -> None:
        """Make the batch of the next update one of which nothing finite comes; from `at_step`."""
        raise NotImplementedError

    def is_sound(self) -> bool:
        """Say whether everything that is trained is finite, and so is what it predicts."""
        raise NotImplementedError

    def add_group(self, rate: float) -> None:
        """Add a param group with this rate, from within `at_step`."""
        raise NotImplementedError

    def read_added(self) -> float:
        """Return the rate of that group."""
        raise NotImplementedError


@contextlib.contextmanager
def interruption_at(step: int) -> Iterator[AtStep]:
    """Give an `at_step` that interrupts, and stand what follows."""

    def at_step(now: int) -> None:
        if now == step:
            raise InterruptionError

    with contextlib.suppress(InterruptionError), warnings.catch_warnings():
        yield at_step


@pytest.mark.filterwarnings("ignore")  # those of the hosts themselves
class SituationContract(ABC):
    """What holds of every training that a controller is hung into."""

    @abstractmethod
    def make(self) -> SteeredTraining:
        """Make a training that has not begun; each is like the others."""

    def test_after_a_training_the_users_own_values_are_back(self) -> None:
        """Base and value share one place: what was found is what is left."""
        training = self.make()
        callback = training.new_callback()
        training.train(callback, _pass_by)
        run = training.run(callback)
        assert run.num_steps == training.num_steps
        assert run.is_over
        assert run.values["learning_rate"] < 0.5 * training.started_from["learning_rate"]
        assert training.read() == _given(training)

    @pytest.mark.parametrize("is_same", [True, False], ids=["same callback", "new callback"])
    def test_a_second_training_begins_anew(self, is_same: bool) -> None:
        """It starts from what the user gave, not from what the first has spent."""
        training = self.make()
        callback = training.new_callback()
        training.train(callback, _pass_by)
        first = training.run(callback)
        callback = callback if is_same else training.new_callback()
        training.train(callback, _pass_by)
        second = training.run(callback)
        assert second is not first
        assert second.num_steps == training.num_steps
        assert _started_from(training, callback) == _given(training)
        assert training.read() == _given(training)

    @pytest.mark.parametrize("is_same", [True, False], ids=["same callback", "new callback"])
    def test_a_training_after_an_interrupted_one_begins_anew(self, is_same: bool) -> None:
        """Also where nothing could be given back, as the framework does not say that it ends."""
        training = self.make()
        callback = training.new_callback()
        with interruption_at(training.num_steps // 2 + 1) as at_step:
            training.train(callback, at_step)
        assert 0 < training.run(callback).num_steps < training.num_steps
        callback = callback if is_same else training.new_callback()
        training.train(callback, _pass_by)
        assert training.run(callback).num_steps == training.num_steps
        assert _started_from(training, callback) == _given(training)
        assert training.read() == _given(training)

    def test_closing_the_run_of_an_interrupted_training_gives_the_values_back(self) -> None:
        """Nobody has to train again to have them."""
        training = self.make()
        if training.is_lost_when_interrupted:
            pytest.skip("nothing is left of an interrupted training")
        callback = training.new_callback()
        with interruption_at(training.num_steps // 2 + 1) as at_step:
            training.train(callback, at_step)
        training.run(callback).close()
        assert training.read() == _given(training)

    def test_somebody_else_who_writes_is_named_once_and_left_alone(self) -> None:
        """A controller does not fight: what was set on purpose stays."""
        training = self.make()
        if training.foreign_writers == "unseen":
            pytest.skip("values are written by the user's functions and not read")
        callback = training.new_callback()
        half = training.num_steps // 2

        def at_step(step: int) -> None:
            if step >= half:
                training.write(FOREIGN)

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            if training.foreign_writers == "refused":
                with pytest.raises(ConfigurationError, match=r"learning_rate was set to 0\.0625"):
                    training.train(callback, at_step)
                return
            training.train(callback, at_step)
        said = [str(w.message) for w in caught if issubclass(w.category, ControllerWarning)]
        named = [message for message in said if "was set to 0.0625 by something else" in message]
        assert len(named) == 1
        assert "Take" in named[0]
        assert training.run(callback).values["learning_rate"] == FOREIGN
        assert training.read()["learning_rate"] == FOREIGN

    @pytest.mark.parametrize("share", [0.25, 0.5, 1.0], ids=["shorter", "as long", "longer"])
    @pytest.mark.parametrize("is_elsewhere", [False, True], ids=["here", "elsewhere"])
    def test_a_resumed_run_is_as_long_as_its_training(
        self, share: float, is_elsewhere: bool
    ) -> None:
        """Steps that are made already do not count as to come, and none are made up."""
        training = self.make()
        if training.has_own_checkpoints:
            pytest.skip("the run is part of the framework's own checkpoints")
        num_steps = int(share * training.num_steps)
        half = training.num_steps // 2
        saved = _saved_at(training, half)
        if is_elsewhere:
            training = self.make()
        callback = training.new_callback(saved, half + num_steps)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", ControllerWarning)
            training.train(callback, _pass_by, num_steps)
        run = training.run(callback)
        assert run.num_steps == run.plan.total_steps == half + num_steps
        assert [d.interval for d in run.decisions] == list(range(len(run.decisions)))
        assert training.read() == _given(training)

    def test_without_a_loss_the_values_stay_or_the_training_is_refused(self) -> None:
        """A controller that sees nothing does nothing, and says so once."""
        training = self.make()
        if training.without_loss == "always there":
            pytest.skip("the framework always has a loss")
        training.lose_losses()
        callback = training.new_callback()
        if training.without_loss == "refused":
            with pytest.raises(ConfigurationError, match="must be a loss"):
                training.train(callback, _pass_by)
            return
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            training.train(callback, _pass_by)
        assert sum("there is no loss to go by" in str(w.message) for w in caught) == 1
        decided = [d.values["learning_rate"] for d in training.run(callback).decisions[1:]]
        assert decided == pytest.approx(len(decided) * [RATE])

    @pytest.mark.parametrize("loss", [1e-3, 1e3])
    def test_validations_that_come_now_and_then_are_no_divergence(self, loss: float) -> None:
        """Losses of two kinds are not compared."""
        training = self.make()
        if not training.takes_validate:
            pytest.skip("what is validated is the framework's own")
        calls = itertools.count()

        def validate(*_: Any) -> float | None:
            now = next(calls)
            return loss * (1.0 - 1e-3 * now) if now % 3 == 0 else None

        callback = training.new_callback(validate=validate)
        training.train(callback, _pass_by)
        assert {d.reason for d in training.run(callback).decisions} <= {"policy", "blind"}

    def test_a_bad_batch_costs_an_interval(self) -> None:
        """All that it has spoiled is put back."""
        training = self.make()
        if not training.has_batches:
            pytest.skip("no batch can spoil this training")
        callback = training.new_callback()

        def at_step(step: int) -> None:
            if step == training.num_steps // 2 + 1:
                training.spoil()

        training.train(callback, at_step)
        reasons = [d.reason for d in training.run(callback).decisions]
        assert reasons.count("guard") == 1
        assert training.is_sound()
        assert training.read() == _given(training)

    def test_a_group_that_is_added_has_its_own_base(self) -> None:
        """It moves with the others, and ends as it was added."""
        training = self.make()
        if not training.has_param_groups:
            pytest.skip("there are no param groups")
        callback = training.new_callback()
        shares: list[float] = []  # of its value in that of the others, once it is there

        def at_step(step: int) -> None:
            others = training.run(callback).values["learning_rate"]
            if step == training.num_steps // 4:
                training.add_group(ADDED)
                shares.append(ADDED / others)
            elif shares and training.read_added() > LOWEST:
                shares.append(training.read_added() / others)

        training.train(callback, at_step)
        assert len(shares) > 4
        assert shares == pytest.approx(len(shares) * shares[:1])
        assert training.read() == _given(training)
        assert training.read_added() == pytest.approx(ADDED)


def _pass_by(step: int) -> None:
    """Do nothing before an update."""


def _started_from(training: SteeredTraining, callback: Any) -> dict[str, float]:
    initial = training.run(callback).host.initial
    return {name: initial[name] for name in training.started_from}


def _given(training: SteeredTraining) -> object:
    return pytest.approx(dict(training.started_from), rel=1e-6)


def _saved_at(training: SteeredTraining, step: int) -> Any:
    """Train as far as a step, and return the run's state then."""
    saved: list[Any] = []
    callback = training.new_callback()

    def at_step(now: int) -> None:
        if now == step:
            saved.append(training.run(callback).state_dict())
            raise InterruptionError

    with contextlib.suppress(InterruptionError):
        training.train(callback, at_step)
    return saved[0]
