"""Actions become corrections and corrections become values, exactly and within the ranges."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo_env.errors import ActionError, HyperparameterError, UnknownNameError
from hpo_env.hyperparameters import LEVELS, Hyperparameter, HyperparameterSpace

LR = Hyperparameter(
    name="learning_rate", low=1e-6, high=1.0, default=1e-3, max_step=4.0, scheduled=True
)
MOMENTUM = Hyperparameter(
    name="momentum", low=0.0, high=0.999, default=0.9, max_step=2.0, scale="one_minus_log"
)
DROPOUT = Hyperparameter(
    name="dropout", low=0.0, high=0.5, default=0.1, max_step=0.1, scale="linear"
)
BATCH = Hyperparameter(
    name="batch_size", low=8, high=64, default=32, max_step=2.0, scale="log_integer"
)
SPACE = HyperparameterSpace([LR, MOMENTUM, DROPOUT, BATCH])

base_values = st.tuples(
    st.floats(1e-6, 1.0), st.floats(0.0, 0.999), st.floats(0.0, 0.5), st.integers(8, 64)
).map(lambda row: np.array([row], dtype=np.float64))
moves = st.lists(st.floats(-1.0, 1.0), min_size=4, max_size=4).map(lambda row: np.array([row]))


@given(base_values)
def test_a_correction_of_zero_returns_the_base_bit_for_bit(base: np.ndarray) -> None:
    assert np.array_equal(SPACE.values(base, np.zeros_like(base)), base)


@given(base_values, st.lists(moves, max_size=12))
def test_values_never_leave_their_ranges(base: np.ndarray, actions: list[np.ndarray]) -> None:
    corrections = np.zeros_like(base)
    for action in actions:
        corrections = SPACE.move(corrections, action, base)
    values = SPACE.values(base, corrections)
    assert (values >= SPACE.low).all()
    assert (values <= SPACE.high).all()


@given(base_values, moves)
def test_corrections_are_the_inverse_of_values(base: np.ndarray, action: np.ndarray) -> None:
    space = SPACE.subset(["learning_rate", "momentum", "dropout"])
    base = base[:, :3]
    corrections = space.move(np.zeros_like(base), action[:, :3], base)
    values = space.values(base, corrections)
    again = space.values(base, space.corrections(base, values))
    np.testing.assert_allclose(again, values, rtol=1e-9, atol=1e-12)


SHARE = Hyperparameter(name="share", low=0.01, high=0.99, default=0.5, max_step=2.0, scale="logit")


@given(st.floats(0.01, 0.99), st.floats(-1.0, 1.0))
def test_a_share_moves_on_the_axis_of_its_odds(base: float, action: float) -> None:
    space = HyperparameterSpace([SHARE])
    start = np.array([[base]])
    assert np.array_equal(space.values(start, np.zeros((1, 1))), start)
    moved = space.values(start, np.array([[action * np.log(2.0)]]))
    odds = base / (1.0 - base) * 2.0**action
    expected = np.clip(odds / (1.0 + odds), 0.01, 0.99)
    np.testing.assert_allclose(moved, [[expected]], rtol=1e-9)
    back = space.values(start, space.corrections(start, moved))
    np.testing.assert_allclose(back, moved, rtol=1e-9)


def test_an_action_of_one_multiplies_the_learning_rate_by_its_largest_step() -> None:
    base = np.array([[1e-3, 0.9, 0.1, 32.0]])
    corrections = SPACE.move(np.zeros((1, 4)), np.ones((1, 4)), base)
    np.testing.assert_allclose(SPACE.values(base, corrections), [[4e-3, 0.95, 0.2, 64.0]])


def test_a_correction_does_not_wind_up_at_the_end_of_the_range() -> None:
    base = np.array([[1.0, 0.9, 0.1, 32.0]])
    corrections = np.zeros((1, 4))
    for _ in range(10):
        corrections = SPACE.move(corrections, np.ones((1, 4)), base)
    corrections = SPACE.move(corrections, -np.ones((1, 4)), base)
    assert SPACE.values(base, corrections)[0, 0] == pytest.approx(0.25)


def test_a_weight_decay_of_zero_stays_zero() -> None:
    decay = HyperparameterSpace(
        [Hyperparameter(name="weight_decay", low=1e-6, high=0.1, default=1e-4, max_step=4.0)]
    )
    base = np.zeros((1, 1))
    corrections = decay.move(np.zeros((1, 1)), np.ones((1, 1)), base)
    assert decay.values(base, corrections)[0, 0] == 0.0


def test_only_scheduled_columns_follow_the_base_schedule() -> None:
    initial = np.array([[1e-2, 0.9, 0.1, 32.0]])
    base = SPACE.base(initial, np.array([0.5]))
    assert base.tolist() == [[5e-3, 0.9, 0.1, 32.0]]


def test_position_runs_from_minus_one_to_one_over_the_range() -> None:
    ends = np.stack([SPACE.low, SPACE.high])
    np.testing.assert_allclose(SPACE.position(ends), [[-1.0] * 4, [1.0] * 4])


def test_the_middle_choice_does_nothing() -> None:
    middle = np.full((1, 4), len(LEVELS) // 2)
    assert not SPACE.check_choices(middle).any()


def test_a_space_survives_json() -> None:
    again = HyperparameterSpace.from_json(json.loads(json.dumps(SPACE.to_json())))
    assert again.hyperparameters == SPACE.hyperparameters


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        (np.zeros((2, 3)), "shape"),
        (np.array([[np.nan, 0, 0, 0]]), "learning_rate"),
        (np.array([[0, np.inf, 0, 0]]), "momentum"),
    ],
)
def test_bad_actions_are_named(actions: np.ndarray, message: str) -> None:
    with pytest.raises(ActionError, match=message):
        SPACE.check_actions(actions)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        (np.zeros((1, 3), dtype=int), "shape"),
        (np.zeros((1, 4)), "integers"),
        (np.full((1, 4), 5), r"0\.\.4"),
        (np.full((1, 4), -1), r"0\.\.4"),
    ],
)
def test_bad_choices_are_named(choices: np.ndarray, message: str) -> None:
    with pytest.raises(ActionError, match=message):
        SPACE.check_choices(choices)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"low": 1.0, "high": 0.1}, "low < high"),
        ({"low": float("nan")}, "finite"),
        ({"default": 2.0}, "default must lie"),
        ({"low": 0.0}, "low > 0"),
        ({"scale": "one_minus_log", "high": 1.0}, "high < 1"),
        ({"scale": "logit", "high": 1.0}, "high < 1"),
        ({"max_step": 1.0}, "max_step > 1"),
        ({"scale": "linear", "max_step": 0.0}, "max_step > 0"),
    ],
)
def test_impossible_ranges_are_refused(change: dict[str, object], message: str) -> None:
    given: dict[str, object] = {
        "name": "x", "low": 1e-3, "high": 1.0, "default": 0.1, "max_step": 2.0
    }  # fmt: skip
    with pytest.raises(HyperparameterError, match=message):
        Hyperparameter(**(given | change))  # type: ignore[arg-type]


def test_an_unknown_scale_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="linear"):
        Hyperparameter(name="x", low=0, high=1, default=0, max_step=1, scale="linaer")  # type: ignore[arg-type]


def test_an_unknown_hyperparameter_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'momentum'"):
        SPACE.subset(["momentun"])


@pytest.mark.parametrize("names", [[], ["dropout", "dropout"]])
def test_a_space_needs_distinct_names(names: list[str]) -> None:
    with pytest.raises(HyperparameterError, match="distinct"):
        SPACE.subset(names)


def test_plain_data_that_is_no_space_is_refused() -> None:
    with pytest.raises(HyperparameterError, match="not a hyperparameter space"):
        HyperparameterSpace.from_json([{"name": "x", "colour": "red"}])
