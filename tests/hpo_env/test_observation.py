"""Observations are bounded, scale-free, say what is missing, and do not depend on N."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo_env.hyperparameters import Hyperparameter, HyperparameterSpace
from hpo_env.observation import field_docs, field_names
from hpo_env.observer import Observer
from hpo_env.telemetry import Telemetry

SPACE = HyperparameterSpace(
    [Hyperparameter(name="learning_rate", low=1e-6, high=1.0, default=1e-3, max_step=4.0)]
)
NAMES = field_names(SPACE.names)


def telemetry(scale: float = 1.0, **change: float) -> Telemetry:
    measured = Telemetry.missing(1)
    values = {
        "train_loss": 0.8 * scale,
        "train_loss_first_half": 0.9 * scale,
        "train_loss_second_half": 0.7 * scale,
        "train_loss_spread": 0.1 * scale,
        "validation_loss": 0.6 * scale,
        "gradient_norm_first": 2.0,
        "gradient_norm_last": 1.0,
        "update_ratio": 0.05,
        "update_agreement": 0.4,
    } | change
    for name, value in values.items():
        getattr(measured, name)[:] = value
    return measured


def begin(observer: Observer, loss: float, lanes: int = 1) -> None:
    start = Telemetry.missing(lanes)
    start.validation_loss[:] = loss
    observer.begin(
        np.arange(lanes),
        start,
        num_intervals=np.full(lanes, 10),
        values=np.full((lanes, 1), 1e-3),
    )


def update(observer: Observer, measured: Telemetry) -> None:
    n = len(measured)
    observer.update(
        measured,
        actions=np.full((n, 1), 0.5),
        corrections=np.full((n, 1), 0.7),
        values=np.full((n, 1), 2e-3),
        base_change=np.zeros(n),
    )


def observed(observer: Observer) -> dict[str, float]:
    return dict(zip(NAMES, observer.observe()[0].tolist(), strict=True))


def after(*measured: Telemetry, first_loss: float = 1.0) -> dict[str, float]:
    observer = Observer(SPACE, 1)
    begin(observer, first_loss)
    for one in measured:
        update(observer, one)
    return observed(observer)


def test_every_field_is_documented() -> None:
    docs = field_docs(SPACE.names)
    assert tuple(docs) == NAMES
    assert all(docs.values())


def test_the_first_observation_knows_the_knobs_and_that_nothing_was_measured() -> None:
    first = after()
    assert first["progress"] == -1.0
    assert first["has_validation"] == 1.0
    assert first["has_training"] == first["has_gradient"] == first["has_updates"] == -1.0
    assert first["drop"] == first["train_slope"] == first["update_ratio"] == 0.0
    assert first["learning_rate/position"] == pytest.approx(0.0, abs=1e-6)


def test_a_fall_of_the_loss_is_its_logarithm_squashed() -> None:
    seen = after(telemetry())
    assert seen["drop"] == pytest.approx(np.tanh(np.log(1 / 0.6) / 0.1), abs=1e-6)
    assert seen["total_drop"] == pytest.approx(np.tanh(np.log(1 / 0.6) / 1.5), abs=1e-6)


def test_a_rise_shows_as_distance_from_the_best() -> None:
    seen = after(telemetry(validation_loss=0.5), telemetry(validation_loss=0.55))
    assert seen["above_best"] == pytest.approx(np.tanh(np.log(1.1) / 0.1), abs=1e-6)
    assert seen["drop"] < 0.0 < seen["drop_before"]


@given(st.floats(1e-4, 1e4))
def test_the_scale_of_the_losses_does_not_matter(scale: float) -> None:
    plain = after(telemetry(), telemetry(validation_loss=0.5))
    scaled = after(
        telemetry(scale), telemetry(scale, validation_loss=0.5 * scale), first_loss=scale
    )
    assert scaled == pytest.approx(plain, abs=1e-5)


numbers = st.floats(allow_nan=True, allow_infinity=True)


@given(st.lists(st.lists(numbers, min_size=11, max_size=11), min_size=1, max_size=4))
def test_whatever_is_measured_the_observation_stays_in_its_box(rows: list[list[float]]) -> None:
    observer = Observer(SPACE, 1)
    begin(observer, 1.0)
    for row in rows:
        measured = Telemetry.missing(1)
        for f, value in zip(fields(Telemetry), row, strict=True):
            if f.name != "diverged":
                getattr(measured, f.name)[:] = value
        update(observer, measured)
        observation = observer.observe()
        assert np.isfinite(observation).all()
        assert (np.abs(observation) <= 1.0).all()


def test_without_validation_the_training_loss_stands_in_and_a_mask_says_so() -> None:
    observer = Observer(SPACE, 1)
    begin(observer, np.nan)
    assert observed(observer)["has_validation"] == -1.0
    update(observer, telemetry(validation_loss=np.nan))
    update(observer, telemetry(validation_loss=np.nan, train_loss=0.4))
    seen = observed(observer)
    assert seen["has_validation"] == -1.0
    assert seen["drop"] == pytest.approx(np.tanh(np.log(2.0) / 0.1), abs=1e-6)


def test_what_is_not_measured_is_zero_and_masked() -> None:
    nothing = dict.fromkeys(
        ("gradient_norm_first", "gradient_norm_last", "update_ratio", "update_agreement"), np.nan
    )
    seen = after(telemetry(**nothing))
    assert seen["has_gradient"] == seen["has_updates"] == -1.0
    assert seen["gradient_change"] == seen["update_ratio"] == seen["update_agreement"] == 0.0


def test_each_hyperparameter_shows_its_place_its_correction_and_its_last_move() -> None:
    seen = after(telemetry())
    span = np.log(1.0 / 1e-6)
    assert seen["learning_rate/position"] == pytest.approx(2.0 * np.log(2e-3 / 1e-6) / span - 1.0)
    assert seen["learning_rate/correction"] == pytest.approx(0.7 / span)
    assert seen["learning_rate/action"] == pytest.approx(0.5)
    assert seen["learning_rate/available"] == 1.0


def test_what_cannot_be_written_and_where_the_base_schedule_goes_are_shown() -> None:
    observer = Observer(SPACE, 1)
    observer.begin(
        np.arange(1),
        Telemetry.missing(1),
        num_intervals=np.array([10]),
        values=np.array([[1e-3]]),
        available=np.array([[-1.0]]),
    )
    observer.update(
        telemetry(),
        actions=np.zeros((1, 1)),
        corrections=np.zeros((1, 1)),
        values=np.array([[1e-3]]),
        base_change=np.array([-0.2]),
    )
    seen = observed(observer)
    assert seen["learning_rate/available"] == -1.0
    assert seen["base_change"] == pytest.approx(np.tanh(-0.2 / 0.3), abs=1e-6)
    assert seen["progress"] == pytest.approx(-0.8)


def test_a_lane_does_not_depend_on_how_many_there_are() -> None:
    alone, many = Observer(SPACE, 1), Observer(SPACE, 3)
    begin(alone, 1.0)
    begin(many, 1.0, lanes=3)
    update(alone, telemetry())
    three = Telemetry.missing(3)
    for lane in range(3):
        three.put(np.array([lane]), telemetry(scale=1.0 + lane))
    update(many, three)
    assert np.array_equal(many.observe()[0], alone.observe()[0])


def test_a_restored_memory_goes_on_as_the_copied_one() -> None:
    observer = Observer(SPACE, 1)
    begin(observer, 1.0)
    update(observer, telemetry())
    held = observer.snapshot(np.array([0]))
    expected = observer.observe()
    update(observer, telemetry(validation_loss=0.2))
    assert not np.array_equal(observer.observe(), expected)
    observer.restore(np.array([0]), held)
    assert np.array_equal(observer.observe(), expected)


def test_a_new_run_forgets_the_old_one() -> None:
    observer = Observer(SPACE, 1)
    begin(observer, 1.0)
    fresh = observer.observe()
    update(observer, telemetry())
    begin(observer, 1.0)
    assert np.array_equal(observer.observe(), fresh)
