"""Situations that every framework brings about: what the user gave is never taken from them."""

from __future__ import annotations

import contextlib
import itertools
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from hpo_env.controller import ControllerWarning
from hpo_env.errors import ConfigurationError
from tests.hpo_env.integrations.host_data import rows
from tests.hpo_env.integrations.steered_trainings import (
    DECAY,
    FOREIGN,
    RATE,
    TRAININGS,
    InterruptionError,
    SteeredTraining,
    controller,
    interruption_at,
)

pytestmark = pytest.mark.filterwarnings("ignore")  # those of the hosts themselves


@pytest.fixture(params=list(TRAININGS))
def training(request: pytest.FixtureRequest) -> SteeredTraining:
    return TRAININGS[request.param]()


def pass_by(step: int) -> None:
    """Do nothing before an update."""


def started_from(training: SteeredTraining, callback: object) -> dict[str, float]:
    initial = training.run(callback).host.initial
    return {name: initial[name] for name in training.started_from}


def given(training: SteeredTraining) -> object:
    return pytest.approx(dict(training.started_from), rel=1e-6)


def test_after_a_training_the_users_own_values_are_back(training: SteeredTraining) -> None:
    callback = training.new_callback()
    training.train(callback, pass_by)
    run = training.run(callback)
    assert run.num_steps == training.num_steps
    assert run.is_over
    assert run.values["learning_rate"] < 0.5 * training.started_from["learning_rate"]
    assert training.read() == given(training)


@pytest.mark.parametrize("is_same", [True, False], ids=["same callback", "new callback"])
def test_a_second_training_begins_anew(training: SteeredTraining, is_same: bool) -> None:
    callback = training.new_callback()
    training.train(callback, pass_by)
    first = training.run(callback)
    callback = callback if is_same else training.new_callback()
    training.train(callback, pass_by)
    second = training.run(callback)
    assert second is not first
    assert second.num_steps == training.num_steps
    assert started_from(training, callback) == given(training)
    assert training.read() == given(training)


@pytest.mark.parametrize("is_same", [True, False], ids=["same callback", "new callback"])
def test_a_training_after_an_interrupted_one_begins_anew(
    training: SteeredTraining, is_same: bool
) -> None:
    callback = training.new_callback()
    with interruption_at(training.num_steps // 2 + 1) as at_step:
        training.train(callback, at_step)
    assert 0 < training.run(callback).num_steps < training.num_steps
    callback = callback if is_same else training.new_callback()
    training.train(callback, pass_by)
    assert training.run(callback).num_steps == training.num_steps
    assert started_from(training, callback) == given(training)
    assert training.read() == given(training)


def writing_from(training: SteeredTraining, first: int) -> Callable[[int], None]:
    def at_step(step: int) -> None:
        if step >= first:
            training.write(FOREIGN)

    return at_step


def test_somebody_else_who_writes_is_named_once_and_left_alone(training: SteeredTraining) -> None:
    callback = training.new_callback()
    at_step = writing_from(training, training.num_steps // 2)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if training.refuses_foreign_writers:
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


def resumed(training: SteeredTraining, num_steps: int) -> Any:
    """Save the run in the middle of a training, and go on with it for so many updates."""
    half = training.num_steps // 2
    saved: list[Any] = []
    callback = training.new_callback()

    def at_step(step: int) -> None:
        if step == half:
            saved.append(training.run(callback).state_dict())
            raise InterruptionError

    with contextlib.suppress(InterruptionError):
        training.train(callback, at_step)
    callback = training.new_callback(saved[0], half + num_steps)
    training.train(callback, pass_by, num_steps)
    return training.run(callback)


def with_states() -> list[str]:
    """Name the trainings whose runs go on from a state that the user kept."""
    own = ("lightning", "transformers")  # have checkpoints of their own
    return [name for name in TRAININGS if name not in own]


@pytest.mark.parametrize("name", with_states())
@pytest.mark.parametrize("share", [0.25, 0.5, 1.0], ids=["shorter", "as long", "longer"])
def test_a_resumed_run_is_as_long_as_its_training(name: str, share: float) -> None:
    training = TRAININGS[name]()
    num_steps = int(share * training.num_steps)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", ControllerWarning)
        run = resumed(training, num_steps)
    assert run.num_steps == run.plan.total_steps == training.num_steps // 2 + num_steps
    assert training.read() == given(training)


@pytest.mark.parametrize("name", ["keras", "lightning", "transformers", "scikit-learn"])
@pytest.mark.parametrize("loss", [1e-3, 1e3])
def test_validations_that_come_now_and_then_are_no_divergence(name: str, loss: float) -> None:
    calls = itertools.count()

    def validate(*_: Any) -> float | None:
        return loss if next(calls) % 3 == 0 else None

    training = TRAININGS[name]()
    callback = training.new_callback(validate=validate)
    training.train(callback, pass_by)
    assert {d.reason for d in training.run(callback).decisions} == {"policy"}


def said_to_be_blind(run: Callable[[], None]) -> int:
    """Return how often a training is said to have no loss."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run()
    return sum("there is no loss to go by" in str(w.message) for w in caught)


def test_an_agent_without_a_loss_keeps_its_own_values() -> None:
    training = TRAININGS["stable-baselines3"]()
    callback = training.new_callback(validate=lambda agent: None)
    assert said_to_be_blind(lambda: training.train(callback, pass_by)) == 1
    values = [d.values["learning_rate"] for d in training.run(callback).decisions[1:]]
    assert set(values) == {training.started_from["learning_rate"]}


def test_an_estimator_without_a_loss_keeps_its_own_values() -> None:
    models = pytest.importorskip("sklearn.linear_model")
    from hpo_env.integrations.sklearn import attach

    x, y, _, _ = rows()
    estimator = models.SGDClassifier(learning_rate="constant", eta0=RATE, alpha=DECAY)
    run = attach(controller(), estimator, total_steps=16)

    def train() -> None:
        for _ in range(16):
            estimator.partial_fit(x, y, classes=[0, 1])
            run.step()

    assert said_to_be_blind(train) == 1
    assert (estimator.eta0, estimator.alpha) == (RATE, DECAY)
