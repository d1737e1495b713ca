"""Numbers and dates that arrive as text are read, or refused with the option that reads them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hpo_env.datasets import load_file
from hpo_env.datasets.reading import Reading, ReadingOptions
from hpo_env.datasets.text_columns import read_text
from hpo_env.errors import ConfigurationError, DatasetError

R = 60
Cell = Callable[[int], str]

# What stands in cell i, what the refusal must say, the options that it names, and what is read then
# in rows 0 to 2.
DRESSED: dict[str, tuple[Cell, str, dict[str, Any], list[float]]] = {
    "question_mark": (
        lambda i: "?" if i == 7 else f"{i}",
        r"59 of its 60.*'\?' \(row 8\) is none.*say missing=\[\"\?\"\]",
        {"missing": "?"},
        [0, 1, 2],
    ),
    "n.a.": (
        lambda i: "n.a." if i % 9 == 4 else f"{i}",
        r"\"n\.a\.\"",
        {"missing": ["n.a."]},
        [0, 1, 2],
    ),
    "LOD": (lambda i: "<LOD" if i == 3 else f"{i}", "<LOD", {"missing": "<LOD"}, [0, 1, 2]),
    "DIV": (
        lambda i: "#DIV/0!" if i == 3 else f"{i}",
        "#DIV/0!",
        {"missing": "#DIV/0!"},
        [0, 1, 2],
    ),
    "sentinel": (lambda i: "?" if i == 3 else f"{i}", "", {"missing": ["?", 0]}, [np.nan, 1, 2]),
    "thousands": (
        lambda i: f"{1000 * i + 1200:,}",
        'thousands separators.*say thousands=","',
        {"thousands": ","},
        [1200, 2200, 3200],
    ),
    "swiss": (lambda i: f"{i + 1}'200", 'thousands="\'"', {"thousands": "'"}, [1200, 2200, 3200]),
    "french": (
        lambda i: f"{i + 1}\u202f200",
        'thousands=" "',
        {"thousands": " "},
        [1200, 2200, 3200],
    ),
    "decimal_comma": (
        lambda i: f"{i},5",
        'decimal commas.*decimal=","',
        {"decimal": ","},
        [0.5, 1.5, 2.5],
    ),
    "three_decimals": (
        lambda i: f"{i},{i + 100}",
        'decimal=","',
        {"decimal": ","},
        [0.1, 1.101, 2.102],
    ),
    "german": (
        lambda i: f"{i + 1}.200,5",
        'thousands=".", decimal=","',
        {"decimal": ",", "thousands": "."},
        [1200.5, 2200.5, 3200.5],
    ),
    "dollars": (lambda i: f"${i}.5", r"units=\[\"\$\"\]", {"units": "$"}, [0.5, 1.5, 2.5]),
    "debt": (lambda i: f"-${i + 1}", r"units=\[\"\$\"\]", {"units": "$"}, [-1, -2, -3]),
    "brackets": (
        lambda i: f"({i + 1})" if i % 2 else f"{i}",
        "brackets.*with a minus",
        {},
        [],
    ),
    "percent": (lambda i: f"{i}%", r"units=\[\"%\"\]", {"units": "%"}, [0, 1, 2]),
    "unit": (lambda i: f"{i} kg", r"units=\[\"kg\"\]", {"units": ["kg"]}, [0, 1, 2]),
    "two_units": (
        lambda i: f"{i}{'kM'[i % 2]}",
        "several units.*write them in one unit",
        {},
        [],
    ),
    "underscores": (
        lambda i: f"{i + 1}_200",
        'thousands="_"',
        {"thousands": "_"},
        [1200, 2200, 3200],
    ),
    "bounds": (
        lambda i: "<5" if i < 2 else f"{i}",
        "bounds.*units=",
        {"units": ["<", ">"]},
        [5, 5, 2],
    ),
    "clock": (
        lambda i: f"{i % 24}:{i:02}",
        r"clock times.*dates=\{\"a\": \"%H:%M\"\}",
        {"dates": {"a": "%H:%M"}},
        [],
    ),
    "iso_dates": (
        lambda i: f"1970-01-{i % 28 + 1:02}",
        r"dates=\[\"a\"\]",
        {"dates": ["a"]},
        [0, 1, 2],
    ),
    "iso_times": (
        lambda i: f"1970-01-{i % 28 + 1:02}T12:00",
        r"dates=\[",
        {"dates": "a"},
        [0.5, 1.5, 2.5],
    ),
    "german_dates": (
        lambda i: f"{i % 28 + 1}.1.1970",
        r"%d\.%m\.%Y",
        {"dates": {"a": "%d.%m.%Y"}},
        [0, 1, 2],
    ),
    "american_dates": (
        lambda i: f"1/{i % 28 + 1}/1970",
        "%m/%d/%Y",
        {"dates": {"a": "%m/%d/%Y"}},
        [0, 1, 2],
    ),
    "month_names": (
        lambda i: f"{i % 28 + 1} Jan 1970",
        "%d %b %Y",
        {"dates": {"a": "%d %b %Y"}},
        [0, 1, 2],
    ),
    "header_again": (
        lambda i: "a" if i == 30 else f"{i}",
        r"'a' \(row 31\) repeats the header",
        {},
        [],
    ),
    "three_and_more": (
        lambda i: ["1", "2", "3+"][i % 3],
        r"categories=\[\"a\"\]",
        {"categories": ["a"]},
        [],
    ),
}


def write(path: Path, cell: Cell) -> Path:
    pd.DataFrame({"a": [cell(i) for i in range(R)], "y": np.arange(R) / 7 + 0.01}).to_csv(
        path, index=False
    )
    return path


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("case", DRESSED)
def test_numbers_in_a_dress_are_refused_with_the_option_that_reads_them(
    case: str, suffix: str, tmp_path: Path
) -> None:
    cell, message, options, expected = DRESSED[case]
    path = write(tmp_path / "t.csv", cell)
    if suffix == ".parquet":
        path = path.with_suffix(suffix)
        pd.DataFrame({"a": [cell(i) for i in range(R)], "y": np.arange(R) / 7 + 0.01}).to_parquet(
            path
        )
    with pytest.raises(DatasetError, match=rf"t\.{suffix[1:]}: column 'a'.*{message}"):
        load_file(path, target="y")
    if options:
        dataset = load_file(path, target="y", **options)
        if expected:
            assert dataset.feature_names == ("a",)
            np.testing.assert_allclose(dataset.x[:3, 0], expected, rtol=1e-6)
    if case in ("clock", "iso_dates"):
        assert dataset.feature_names == ("a",)


def test_one_table_may_hold_both_decimals(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", lambda i: f"{i},5")
    dataset = load_file(path, target="y", decimal=",")
    np.testing.assert_allclose(dataset.y[:2], [0.01, 1 / 7 + 0.01], rtol=1e-6)


def test_a_minus_of_typesetters_is_a_minus(tmp_path: Path) -> None:
    dataset = load_file(write(tmp_path / "t.csv", lambda i: f"\u2212{i}"), target="y")
    np.testing.assert_array_equal(dataset.x[:3, 0], [0, -1, -2])


@pytest.mark.parametrize("word", ["NA", "N/A", "nan", "NaN", "null", "None", "#N/A", ""])
def test_the_usual_words_are_missing_among_numbers(word: str, tmp_path: Path) -> None:
    dataset = load_file(write(tmp_path / "t.csv", lambda i: word if i == 4 else f"{i}"), target="y")
    assert dataset.feature_names == ("a",)
    assert np.flatnonzero(np.isnan(dataset.x[:, 0])).tolist() == [4]


def test_the_usual_words_are_names_among_names(tmp_path: Path) -> None:
    names = ["NA", "None", "US"]
    path = tmp_path / "t.csv"
    pd.DataFrame({"a": np.arange(R), "y": [names[i % 3] for i in range(R)]}).to_csv(
        path, index=False
    )
    assert load_file(path, target="y").class_names == ("NA", "None", "US")
    with pytest.raises(DatasetError, match=r"in every row; 20 lack.*\(row 1, 4, 7, …\)"):
        load_file(path, target="y", missing="NA")


@pytest.mark.parametrize(
    "cells",
    [
        ["a", "b", "c"],
        ["1st", "2nd", "3rd"],
        ["4wd", "2wd"],
        ["10-19", "20-29"],
        ["A1", "B2", "C3"],
        ["yes", "no", "1"],
        ["low", "high", "2"],
    ],
)
def test_categories_stay_categories(cells: list[str]) -> None:
    column = [cells[i % len(cells)] for i in range(R)]
    assert read_text(pd.DataFrame({"a": column}), Reading())["a"].tolist() == column


def test_declared_categories_stay_categories() -> None:
    frame = pd.DataFrame({"a": pd.Categorical(["1", "2", "?"] * 20)})
    assert read_text(frame, Reading())["a"].dtype == "category"


def test_codes_that_look_like_numbers_can_be_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", lambda i: f"0{i % 3}")
    assert load_file(path, target="y", categories="a").feature_names == ("a=00", "a=01", "a=02")


def test_a_sentinel_is_missing_in_columns_of_numbers(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", lambda i: "-999" if i == 2 else f"{i}")
    assert np.isnan(load_file(path, target="y", missing=-999).x[2, 0])  # type: ignore[arg-type]


def test_all_columns_at_fault_are_named_at_once(tmp_path: Path) -> None:
    frame = pd.DataFrame({f"c{i}": [f"{j},5" for j in range(R)] for i in range(7)})
    with pytest.raises(DatasetError, match=r"'c0'.*'c4'.*And 2 more columns of this kind"):
        read_text(frame, Reading())


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"decimal": ";"}, ConfigurationError, "decimal must be one of"),
        ({"thousands": "."}, ConfigurationError, "thousands must be"),
        ({"thousands": ".", "decimal": "."}, ConfigurationError, "not decimal='.'"),
        ({"missing": {"?": 1}}, ConfigurationError, "missing must be a text, or a list of texts"),
        ({"dates": "b"}, DatasetError, "dates names a column 'b' that is not there"),
        ({"categories": ["aa"]}, DatasetError, "'aa' that is not there; did you mean 'a'"),
        ({"dates": "a"}, DatasetError, r"'a' must hold dates ISO 8601.*'x0' \(row 1, 4"),
        ({"dates": {"a": "%d.%m.%Y"}}, DatasetError, r"of the format '%d\.%m\.%Y'"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    options: dict[str, Any], error: type[Exception], message: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "t.csv", lambda i: f"x{i % 3}")
    with pytest.raises(error, match=message):
        load_file(path, target="y", **options)


def test_options_are_written_as_they_are_read() -> None:
    options: ReadingOptions = {
        "missing": ["?"],
        "dates": {"day": "%d.%m.%Y"},
        "decimal": ",",
        "units": ["kg"],
    }
    assert Reading.of(**options).options() == options
    assert Reading.of(**Reading.of(**options).options()) == Reading.of(**options)
    assert Reading().options() == {}
