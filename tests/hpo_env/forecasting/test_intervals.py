"""Conformal intervals from realised errors."""

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


def test_a_table_survives_its_file() -> None:
    known = Quantiles.fit(np.ones(100, dtype=int), np.random.default_rng(0).random((100, 2)))
    again = Quantiles.from_json(known.to_json())
    np.testing.assert_allclose(again.of(1, 95.0, 2), known.of(1, 95.0, 2), atol=1e-4)


def test_scales_never_shrink_and_grow_where_nothing_is_known() -> None:
    errors = np.array([[2.0, 1.0, np.nan, np.nan], [0.0, 0.0, 0.0, np.nan]])
    scale = error_scale(errors, np.array([[9.0, 8.0, 0.0, 0.0], [3.0, 2.0, 1.0, 0.0]]))
    assert (np.diff(scale, axis=1) >= 0).all()
    assert scale[0, 3] > scale[0, 1]
    assert (scale[1] == 0.0).all()
