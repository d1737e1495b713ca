"""float32 holds what a column differs in, or the column is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hpo_env.datasets.narrowing import narrow
from hpo_env.errors import DatasetError

NOISE = np.random.default_rng(0).normal(size=200)
LONG = 10**18 + np.arange(200)


@pytest.mark.parametrize(
    "values",
    [
        1e9 + NOISE,
        -1e12 + 1e3 * NOISE,
        1.7e9 + 3e7 * np.random.default_rng(1).random(200),  # seconds of a year
        np.where(np.arange(200) == 5, 1e15, 1e9 + NOISE),  # an outlier does not hide the rest
        np.where(np.arange(200) < 6, -999.0, 1e9 + NOISE),
        LONG,
        LONG.astype(np.uint64) + np.uint64(2**63),
        -LONG,
        np.array([1e9] * 199 + [1e9 + 1]),
        1e9 + np.append(NOISE, np.nan),
    ],
    ids=[
        "noise",
        "negative",
        "seconds",
        "outlier",
        "sentinel",
        "int64",
        "uint64",
        "-int64",
        "two",
        "nan",
    ],
)
def test_distinct_values_stay_distinct(values: Any) -> None:
    narrowed, _ = narrow(values, name="x")
    assert narrowed.dtype == np.float32
    present = ~np.isnan(values)
    np.testing.assert_array_equal(np.isnan(narrowed), ~present)
    assert len(np.unique(narrowed[present])) >= 0.99 * len(np.unique(values[present]))


def test_what_is_subtracted_is_returned() -> None:
    values = 1e9 + NOISE
    narrowed, shift = narrow(values, name="x")
    np.testing.assert_allclose(narrowed.astype(np.float64) + shift, values, atol=1e-6)


@given(
    hnp.arrays(np.float64, st.integers(0, 50), elements=st.floats(-1e6, 1e6, width=32)),
)
def test_what_float32_holds_is_left_as_it_is(values: Any) -> None:
    narrowed, shift = narrow(values, name="x")
    assert shift == 0.0
    np.testing.assert_array_equal(narrowed, values.astype(np.float32))


@pytest.mark.parametrize("values", [1e-60 * NOISE, np.array([0.0] * 100 + [1e-50] * 100)])
def test_what_would_become_nought_is_refused(values: Any) -> None:
    with pytest.raises(DatasetError, match=r"'x'.* must fit float32.*Multiply it"):
        narrow(values, name="column 'x'")
