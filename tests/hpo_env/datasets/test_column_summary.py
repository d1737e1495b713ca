"""What is said of a table's columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hpo_env.datasets import Kind, open_table
from hpo_env.datasets.column_summary import ColumnSummary, summarize_columns

R = 60
RANDOM = np.random.default_rng(0)
PRICE = RANDOM.normal(size=R)
COLOUR = RANDOM.choice(["red", "green", "blue"], size=R)


def summaries(folder: Path, kind: Kind | None = None, **columns: Any) -> dict[str, ColumnSummary]:
    path = folder / "t.parquet"
    pd.DataFrame(columns).to_parquet(path)
    table = open_table(path)
    dataset = table.dataset(target="y", kind=kind)
    return {s.name: s for s in summarize_columns(table, dataset, "y")}


@pytest.mark.parametrize(
    ("values", "kind", "said", "becomes"),
    [
        (PRICE, "number", " to ", "a number"),
        (1e9 + np.arange(R) // 2, "whole number", "1000000000 to 1000000029", "a number"),
        (PRICE > 0, "yes/no", "of 60 are true", "a number"),
        (COLOUR, "text", "3 levels: ", "3 columns, 0 or 1"),
        (np.where(PRICE > 0, "a", "b"), "text", "2 levels: ", "1 column, 0 or 1"),
        ([f"l{i % 20}" for i in range(R)], "text", " and 15 more", "9 rare levels become one"),
        (np.full(R, 3.0), "whole number", "3 to 3", "left out: it never varies"),
        (["x"] * R, "text", "1 levels: x (60)", "left out: it never varies"),
        (
            pd.to_datetime("2026-01-01") + pd.to_timedelta(np.arange(R), "D"),
            "date",
            "2026-01-01",
            "",
        ),
    ],
)
def test_a_column_is_summed_up(
    values: Any, kind: str, said: str, becomes: str, tmp_path: Path
) -> None:
    summary = summaries(tmp_path, a=values, b=PRICE**2, y=COLOUR)["a"]
    assert summary.kind == kind
    assert said in summary.values
    assert becomes in summary.becomes


def test_missing_values_are_counted(tmp_path: Path) -> None:
    price, colour = PRICE.copy(), COLOUR.astype(object)
    price[:3], colour[:4] = np.nan, None
    found = summaries(tmp_path, a=price, b=colour, y=PRICE)
    assert (found["a"].missing, found["b"].missing, found["y"].missing) == (3, 4, 0)
    assert found["b"].becomes == "4 columns, 0 or 1"
    assert list(found)[-1] == "y"
    assert found["y"].becomes == "target, a number"


@pytest.mark.parametrize(
    ("name", "values", "is_suspect"),
    [
        ("a", np.arange(R), True),
        ("a", np.arange(R)[::-1] + 1000, True),
        ("user_id", RANDOM.permutation(R), True),
        ("a", RANDOM.permutation(R), False),
        ("a", np.sort(PRICE), False),
        ("a", np.arange(R) // 2, False),
    ],
)
def test_row_numbers_and_ids_are_warned_of(
    name: str, values: Any, is_suspect: bool, tmp_path: Path
) -> None:
    warnings = summaries(tmp_path, **{name: values, "b": PRICE, "y": COLOUR})[name].warnings
    assert any("ID" in warning for warning in warnings) == is_suspect


@pytest.mark.parametrize(
    ("values", "target", "is_copy"),
    [
        (PRICE, 2.0 - 3.0 * PRICE, True),
        (np.exp(PRICE), PRICE, True),
        (PRICE + RANDOM.normal(size=R), PRICE, False),
        (np.char.upper(COLOUR), COLOUR, True),
        (np.char.str_len(COLOUR), COLOUR, True),
        (np.arange(R), COLOUR, False),
        (COLOUR == "red", COLOUR, False),
        (COLOUR, PRICE, False),
    ],
)
def test_copies_of_the_target_are_warned_of(
    values: Any, target: Any, is_copy: bool, tmp_path: Path
) -> None:
    warnings = summaries(tmp_path, a=values, b=RANDOM.normal(size=R), y=target)["a"].warnings
    assert any("target" in warning for warning in warnings) == is_copy


def test_levels_that_differ_in_case_alone_are_warned_of(tmp_path: Path) -> None:
    colours = np.where(np.arange(R) == 3, "RED", COLOUR)
    found = summaries(tmp_path, a=colours, b=PRICE, y=np.char.upper(COLOUR))
    assert "'RED', 'red' differ in nothing but" in " ".join(found["a"].warnings)
    assert not found["y"].warnings
    assert summaries(tmp_path, b=PRICE, y=colours)["y"].warnings


def test_arrays_are_summed_up_too(tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    np.savez(path, x=np.stack([PRICE, np.arange(R)], axis=1), y=COLOUR)
    table = open_table(path)
    found = list(summarize_columns(table, table.dataset(target="y"), "y"))
    assert [s.name for s in found] == ["x0", "x1", "y"]
    assert found[1].warnings
    assert found[2].values.startswith("3 levels")
