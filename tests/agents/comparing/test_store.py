"""The files: what is written is read back, and what is damaged counts as missing."""

from __future__ import annotations

import tempfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.comparing.keys import digest
from agents.comparing.store import Store, outcome_from_json, outcome_to_json
from agents.opponents.base import Outcome

INPUTS = {"opponent": "steady", "seed": 0}
KEY = digest(INPUTS)

numbers = st.floats(width=64)
arrays = st.lists(numbers, max_size=4).map(lambda v: np.array(v, dtype=np.float64))
counts = st.lists(st.integers(0, 10**6), max_size=4).map(lambda v: np.array(v, dtype=np.int64))
outcomes = st.builds(
    Outcome,
    first_loss=numbers,
    last_loss=numbers,
    test_loss=numbers,
    test_metric=numbers,
    diverged=st.booleans(),
    hyperparameters=st.dictionaries(st.sampled_from(["momentum", "learning_rate"]), arrays),
    validation_loss=arrays,
    trial_validation_loss=arrays,
    trial_test_loss=arrays,
    trial_intervals=counts,
    spent_updates=counts,
    num_updates=st.integers(0, 10**9),
    train_seconds=numbers,
    overhead_seconds=numbers,
)


def make_outcome() -> Outcome:
    return Outcome(
        first_loss=1.0,
        last_loss=0.1,
        test_loss=0.2,
        test_metric=float("nan"),
        diverged=False,
        hyperparameters={"learning_rate": np.array([0.1, 1 / 3])},
        validation_loss=np.array([0.5, 0.1]),
        trial_validation_loss=np.array([0.1, np.nan]),
        trial_test_loss=np.array([0.2, np.inf]),
        trial_intervals=np.array([2, 1]),
        spent_updates=np.array([8, 12]),
        num_updates=12,
        train_seconds=0.5,
        overhead_seconds=0.0,
    )


def assert_same(one: Any, other: Any) -> None:
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert list(one) == list(other)
        for name in one:
            assert_same(one[name], other[name])
    elif isinstance(one, np.ndarray):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    else:
        np.testing.assert_equal(one, other)


def assert_same_outcome(one: Outcome, other: Outcome) -> None:
    for entry in fields(Outcome):
        assert_same(getattr(one, entry.name), getattr(other, entry.name))


@given(outcomes)
def test_outcomes_survive_the_way_through_a_file_bit_for_bit(outcome: Outcome) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        store.write_cell(KEY, INPUTS, outcome_to_json(outcome))
        found = store.read_cell(KEY)
        assert found is not None
        assert_same_outcome(found, outcome)


def test_outcomes_as_plain_data_are_strict_json() -> None:
    data = outcome_to_json(make_outcome())
    assert data["test_metric"] == "nan"
    assert data["trial_test_loss"] == [0.2, "inf"]
    assert_same_outcome(outcome_from_json(data), make_outcome())


def test_a_cell_lies_under_its_key(tmp_path: Path) -> None:
    Store(tmp_path).write_cell(KEY, INPUTS, outcome_to_json(make_outcome()))
    files = [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()]
    assert files == [f"cells/{KEY[:2]}/{KEY}.json"]


def test_what_is_not_there_is_missing(tmp_path: Path) -> None:
    assert Store(tmp_path).read_cell(KEY) is None
    assert Store(tmp_path / "nowhere").read_prepared(KEY) is None


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_cell_that_was_cut_short_is_missing(tmp_path: Path, share: float) -> None:
    store = Store(tmp_path)
    store.write_cell(KEY, INPUTS, outcome_to_json(make_outcome()))
    path = store.cell_path(KEY)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert store.read_cell(KEY) is None


@pytest.mark.parametrize(("old", "new"), [("0.5", "0.6"), ("steady", "stoddy"), ("{", "[")])
def test_a_cell_that_was_changed_is_missing(tmp_path: Path, old: str, new: str) -> None:
    store = Store(tmp_path)
    store.write_cell(KEY, INPUTS, outcome_to_json(make_outcome()))
    path = store.cell_path(KEY)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    assert store.read_cell(KEY) is None


def test_what_was_learned_is_read_back(tmp_path: Path) -> None:
    store, learned = Store(tmp_path), {"rate": 0.1, "scores": [1.0, float("inf")]}
    store.write_prepared(KEY, INPUTS, learned)
    assert store.read_prepared(KEY) == learned
    path = store.prepared_path(KEY)
    path.write_bytes(path.read_bytes()[:-20])
    assert store.read_prepared(KEY) is None
