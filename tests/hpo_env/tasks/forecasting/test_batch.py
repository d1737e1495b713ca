"""The kernel prepares a batch as the NumPy twin prepares each series."""

from typing import Any

import numpy as np
import pytest

from hpo_env.tasks.forecasting.batch import prepare_all
from hpo_env.tasks.forecasting.native.kernel import Kernel
from hpo_env.tasks.forecasting.preparation import MAX_PERIOD


def made_up(period: int, length: int, sign: float, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    season = 1.0 + 0.3 * np.sin(2.0 * np.pi * np.arange(length) / max(period, 2))
    return sign * 50.0 + season * (30.0 + np.cumsum(rng.normal(size=length)))


LENGTHS = {1: (5, 40, 300), 4: (8, 9, 60), 7: (20, 90), 12: (24, 25, 130), 53: (110, 400)}


@pytest.mark.parametrize("season", ["auto", "multiplicative", "additive"])
@pytest.mark.parametrize("period", [*LENGTHS, MAX_PERIOD + 1])
def test_a_batch_is_prepared_as_one_by_one(period: int, season: Any) -> None:
    signs = (1.0,) if season == "multiplicative" else (1.0, -1.0)
    series = [
        made_up(period, length, sign, length)
        for length in LENGTHS.get(period, (130,))
        for sign in signs
    ]
    periods = [period] * len(series)
    found, expected = (prepare_all(series, periods, season, kernel) for kernel in (Kernel(), None))
    assert np.array_equal(found.facts, expected.facts)
    for name in ("series", "indices", "scale", "naive_error"):
        np.testing.assert_allclose(
            getattr(found, name), getattr(expected, name), rtol=1e-10, atol=1e-12, err_msg=name
        )


def test_a_series_that_does_not_move_has_no_season() -> None:
    found, expected = (
        prepare_all([np.full(60, 7.0)], [12], "auto", kernel) for kernel in (Kernel(), None)
    )
    assert found.fact("is_seasonal").tolist() == expected.fact("is_seasonal").tolist() == [0]
