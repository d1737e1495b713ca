"""Conformal intervals from realised errors."""

import json

import numpy as np
import pytest

from hpo_env.forecasting.intervals import LEVELS, Quantiles, error_scale


def test_quantiles_cover_exchangeable_series() -> None:
    rng = np.random.default_rng(0)
    scores = np.abs(rng.standard_t(4, size=(4000, 3)))
    known = Quantiles.fit(np.full(2000, 12), scores[:2000])
    for level in (80.0, 95.0):
        covered = scores[2000:] <= known.of(12, level, 3)
        assert np.abs(covered.mean(axis=0) - level / 100.0).max() < 0.02


def test_steps_beyond_the_table_have_its_last() -> None:
    known = Quantiles.fit(np.ones(100, dtype=int), np.random.default_rng(0).random((100, 2)))
    found = known.of(1, 95.0, 5)
    assert (found[1:] == found[1]).all()


def test_a_season_that_is_not_known_has_the_nearest() -> None:
    rows = np.tile(LEVELS, (2, 1))
    known = Quantiles(table={1: rows, 12: 2.0 * rows})
    assert known.of(52, 90.0, 1)[0] == pytest.approx(180.0)
    assert known.of(2, 90.0, 1)[0] == pytest.approx(90.0)


def test_short_and_long_histories_are_covered_each() -> None:
    """A scale that is known badly makes scores large: one quantile for all is wrong for both."""
    rng = np.random.default_rng(0)
    num_errors = rng.choice([6.0, 16.0, 40.0], size=6000)
    size = np.abs(rng.normal(size=(6000, 4))) * (1.0 + 12.0 / num_errors[:, None])
    known = Quantiles.fit(np.full(3000, 4), size[:3000], num_errors[:3000])
    for number in (6, 16, 40):
        which = num_errors[3000:] == number
        covered = size[3000:][which] <= known.of(4, 90.0, 4, number)
        assert np.abs(covered.mean(axis=0) - 0.9).max() < 0.03, number
    assert known.history(6) == 0
    assert known.history(12) == 1
    assert known.history(400) == 2


def test_a_season_that_is_not_known_of_long_histories_has_that_of_shorter_ones() -> None:
    rows = np.tile(LEVELS, (2, 1))
    known = Quantiles(table={1: rows, 12: rows}, longer={12: Quantiles(table={1: 2.0 * rows})})
    assert known.of(12, 90.0, 1, 50)[0] == pytest.approx(90.0)
    assert known.of(1, 90.0, 1, 50)[0] == pytest.approx(180.0)


def test_rows_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="season 4 must have rows of"):
        Quantiles.from_json({"4": [[1.0, 2.0]]})


def test_a_table_survives_its_file() -> None:
    known = Quantiles.fit(np.ones(100, dtype=int), np.random.default_rng(0).random((100, 2)))
    again = Quantiles.from_json(known.to_json())
    np.testing.assert_allclose(again.of(1, 95.0, 2), known.of(1, 95.0, 2), atol=1e-4)
    split = Quantiles.fit(
        np.ones(100, dtype=int),
        np.random.default_rng(0).random((100, 2)),
        np.repeat([5.0, 20.0], 50),
    )
    again = Quantiles.from_json(json.loads(json.dumps(split.to_json())))
    for number in (5, 20):
        expected = split.of(1, 95.0, 2, number)
        np.testing.assert_allclose(again.of(1, 95.0, 2, number), expected, atol=1e-4)


def test_scales_never_shrink_and_grow_where_nothing_is_known() -> None:
    errors = np.array([[2.0, 1.0, np.nan, np.nan], [0.0, 0.0, 0.0, np.nan]])
    scale = error_scale(errors, np.array([[9.0, 8.0, 0.0, 0.0], [3.0, 2.0, 1.0, 0.0]]))
    assert (np.diff(scale, axis=1) >= 0).all()
    assert scale[0, 3] > scale[0, 1]
    assert (scale[1] == 0.0).all()


@pytest.mark.parametrize(("number", "weight"), [(1, 1.0), (2, 1.89), (50, 9.06), (5000, 9.09)])
def test_a_step_leans_on_the_one_before_as_its_late_errors_weigh(
    number: int, weight: float
) -> None:
    scale = error_scale(np.array([[1.0, 9.0]]), np.array([[number + 1.0, float(number)]]))
    grown = 2.0**0.6
    assert scale[0, 1] == pytest.approx((weight * 9.0 + 4.0 * grown) / (weight + 4.0), rel=1e-3)
