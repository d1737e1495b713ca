"""Tables as spreadsheets, databases and people write them: read rightly, or refused with a way out.

Each kind of writing has a table of examples.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hpo_env.datasets import Dataset, load_file
from hpo_env.datasets.digit_groups import PointsSeen, may_group_digits
from hpo_env.datasets.reading import Reading
from hpo_env.errors import ConfigurationError, DatasetError

R = 60
Y = [f"{value:.3f}" for value in np.random.default_rng(0).normal(size=R)]


def cells(*usual: str) -> list[str]:
    return [usual[row % len(usual)] for row in range(R)]


def load(folder: Path, column: Sequence[str], *, delimiter: str = ";", **options: Any) -> Dataset:
    """Load a table of one column and the target."""
    rows = [f"{cell}{delimiter}{y}" for cell, y in zip(column, Y, strict=True)]
    (folder / "t.csv").write_text("\n".join([f"a{delimiter}y", *rows]) + "\n", encoding="utf-8")
    return load_file(folder / "t.csv", target="y", **options)


# --- points between thousands ---------------------------------------------------------------------

GROUPED = cells("1.200", "950", "12.345", "7")


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_points_that_cannot_be_decimal_are_refused_with_both_ways_out(
    delimiter: str, tmp_path: Path
) -> None:
    with pytest.raises(
        DatasetError, match=r"column 'a'.*'1\.200'.*thousands=\"\.\", decimal=\",\""
    ):
        load(tmp_path, GROUPED, delimiter=delimiter)
    thousands = load(tmp_path, GROUPED, delimiter=delimiter, thousands=".", decimal=",")
    assert thousands.x[:4, 0].tolist() == [1200.0, 950.0, 12345.0, 7.0]
    decimals = load(tmp_path, GROUPED, delimiter=delimiter, decimal=".")
    assert decimals.x[:2, 0].tolist() == pytest.approx([1.2, 950.0])


def test_points_are_looked_at_where_text_is_read_and_behind_a_decimal_comma(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="thousands"):
        load(tmp_path, GROUPED, decimal=",")
    frame = pd.DataFrame({"a": GROUPED, "y": [float(y) for y in Y]})
    frame.to_parquet(tmp_path / "t.parquet")
    with pytest.raises(DatasetError, match="thousands"):
        load_file(tmp_path / "t.parquet", target="y")


@pytest.mark.parametrize(
    ("column", "first"),
    [
        (cells("1.200", "12.345", "7.000"), 1.2),  # padded decimals have points in whole ones, too
        (cells("1.2", "950", "12.345", "7"), 1.2),  # as short as they can be
        (cells("1.125", "950", "7"), 1.125),
        (cells("0.500", "1.200", "7"), 0.5),
        (cells("1200.500", "950"), 1200.5),
        (cells("1.200", "12.345"), 1.2),
        (cells("1.200", "", "7.000"), 1.2),
    ],
)
def test_decimals_stay_decimals(column: list[str], first: float, tmp_path: Path) -> None:
    assert load(tmp_path, column).x[0, 0] == pytest.approx(first)


def test_many_decimals_of_exactly_three_digits_are_no_chance() -> None:
    seen = PointsSeen()
    seen.see([f"{1 + k}.{k:02d}7" for k in range(18)] + ["5"])
    assert not seen.groups_digits
    seen.see(["88.123", "89.123"])
    assert seen.groups_digits


@pytest.mark.parametrize(
    ("values", "may"),
    [
        ([1.2, 950.0, np.nan], True),
        ([-1.2, 950.0], True),
        ([1.2, 1000.0], False),
        ([0.2, 950.0], False),
        ([1.2345, 950.0], False),
        ([950.0, 7.0], False),
        ([np.nan], False),
    ],
)
def test_most_numbers_cannot_be_grouped(values: list[float], may: bool) -> None:
    assert may_group_digits(np.array(values)) is may


# --- units ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "units"),
    [
        (cells("5 EUR", "7 USD"), ["EUR", "USD"]),
        (cells("$5", "€7"), ["$", "€"]),
        (cells("5k", "2M"), ["k", "M"]),
        (cells("5k", "5000"), "k"),
        (cells("12%", "0.03"), "%"),
        (cells("5 kg", "300 g"), ["kg", "g"]),
        (cells("<5 kg", "300 g"), ["<", "kg", "g"]),
    ],
)
def test_units_are_not_mixed_in_one_column(
    column: list[str], units: str | list[str], tmp_path: Path
) -> None:
    with pytest.raises(DatasetError, match=r"column 'a' must have one unit.*Write them all in one"):
        load(tmp_path, column, units=units)


@pytest.mark.parametrize(
    ("column", "units", "first"),
    [
        (cells("$5", "7"), "$", 5.0),
        (cells("5%", "0", "12%"), "%", 5.0),
        (cells("<5", ">7", "6"), ["<", ">"], 5.0),
        (cells("5 kg", "7 kg", ""), ["kg", "g", "cm"], 5.0),
        (cells("5 m2", "7 m2"), "m2", 5.0),
    ],
)
def test_one_unit_may_be_missing_or_stand_beside_bounds(
    column: list[str], units: str | list[str], first: float, tmp_path: Path
) -> None:
    assert load(tmp_path, column, units=units).x[0, 0] == first


# --- what stands around numbers -------------------------------------------------------------------


@pytest.mark.parametrize(
    "written",
    ['"=""{}"""', "'{}'", "“{}”", "„{}“", "\u200b{}", "{}\ufeff", "\u00a0{}\u202f", "'{}", "={}"],
)
@pytest.mark.parametrize("number", ["12", "-3.5"])
def test_what_spreadsheets_put_around_numbers_is_taken_off(
    written: str, number: str, tmp_path: Path
) -> None:
    dataset = load(tmp_path, cells(written.format(number), written.format("7")))
    assert dataset.x[:2, 0].tolist() == [float(number), 7.0]


@pytest.mark.parametrize("digits", ["٠١٢٣٤٥٦٧٨٩", "０１２３４５６７８９", "०१२३४५६७८९"])
def test_digits_of_any_script_are_digits(digits: str, tmp_path: Path) -> None:
    column = [str(k % 50).translate({48 + d: digits[d] for d in range(10)}) for k in range(R)]
    assert load(tmp_path, column).x[:, 0].tolist() == [k % 50 for k in range(R)]


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (cells("5-", "7", "12-", "8"), "minus behind"),
        (cells("1.5D+03", "2D4"), "with an E"),
        (cells("1h30m", "2h05m", "1d 4h"), "durations"),
        (cells("1 days 02:00:00", "2 days 00:00:00"), "durations"),
        (cells("2024Q1", "2024Q2"), "quarters or weeks"),
        (cells("2024-W01", "2024-W12"), "quarters or weeks"),
        (cells("3. März 2024", "14. Mai 2024"), r"dates.*like 2024-01-31"),
    ],
)
def test_numbers_and_dates_in_other_dresses_are_named(
    column: list[str], words: str, tmp_path: Path
) -> None:
    with pytest.raises(DatasetError, match=rf"column 'a' would become categories.*{words}"):
        load(tmp_path, column)
    assert load(tmp_path, column, categories="a").feature_names


def test_names_with_a_digit_stay_names(tmp_path: Path) -> None:
    for names in (cells("1st", "2nd"), cells("5d", "5s"), cells("Q1", "Q2"), cells("K9-", "K8")):
        assert load(tmp_path, names).feature_names == (f"a={sorted(set(names))[-1]}",)


# --- whole numbers of many digits -----------------------------------------------------------------


@pytest.mark.parametrize("written", ["{}", '"=""{}"""', '"{}"'])
@pytest.mark.parametrize("first", [10**18, 2**63, 2**64 - R, -(10**18)])
@pytest.mark.parametrize("options", [{}, {"decimal": ","}])
def test_long_whole_numbers_stay_distinct(
    written: str, first: int, options: dict[str, Any], tmp_path: Path
) -> None:
    column = [written.format(first + k) for k in range(R)]
    found = load(tmp_path, column, **options).x[:, 0]
    assert np.diff(found).tolist() == [1.0] * (R - 1)


@pytest.mark.parametrize(
    "column",
    [
        ["", *(str(10**18 + k) for k in range(R - 1))],
        [str(10**25 + k) for k in range(R)],
        ["", *(str(10**25 + k) for k in range(R - 1))],
        [str(2**64 - 1 - k if k % 2 else -k) for k in range(R)],
    ],
)
def test_long_whole_numbers_that_would_be_rounded_are_refused(
    column: list[str], tmp_path: Path
) -> None:
    with pytest.raises(DatasetError, match=r"column 'a'.*rounded.*if it is an ID"):
        load(tmp_path, column)


def test_large_numbers_that_are_no_ids_are_read(tmp_path: Path) -> None:
    column = [f"{k + 1}e20" for k in range(R)]
    column[3] = ""
    assert load(tmp_path, column).x[:2, 0].tolist() == pytest.approx([1e20, 2e20])


# --- lines and names ------------------------------------------------------------------------------


def write(folder: Path, text: str) -> Path:
    (folder / "t.csv").write_bytes(text.encode())
    return folder / "t.csv"


LINES = "".join(f"{k % 7};{k}\n" for k in range(R))


@pytest.mark.parametrize(
    "head",
    [
        *("sep=;\na;y\n", "SEP=;\r\na;y\n", '"sep=;"\na;y\n', "\ufeffsep=;\na;y\n"),
        *("\ufeffa;y\n", "\ufeff\ufeffa;y\n", '\ufeff"a";"y"\n', " a ;\ty\n"),
    ],
)
def test_marks_and_lines_above_the_header(head: str, tmp_path: Path) -> None:
    assert load_file(write(tmp_path, head + LINES), target="y").feature_names == ("a",)


def test_what_excel_says_is_the_delimiter(tmp_path: Path) -> None:
    rows = "".join(f"{k % 7}^{k}\n" for k in range(R))
    assert load_file(write(tmp_path, "sep=^\na^y\n" + rows), target="y").x.shape == (R, 1)


@pytest.mark.parametrize(
    "encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "latin-1"]
)
def test_other_encodings_are_named(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(f"größe;y\n{LINES}".encode(encoding))
    name = encoding.upper()[:6] if encoding != "latin-1" else "ISO-8859-1"
    with pytest.raises(DatasetError, match=rf"UTF-8.*iconv -f {name}"):
        load_file(tmp_path / "t.csv", target="y")


@pytest.mark.parametrize(
    ("header", "row", "names"),
    [
        (";a;y", "{k};{a};{k}", ("a",)),  # row names, as pandas and R write them
        ("a;y;", "{a};{k};", ("a",)),
        ("a;y;;;", "{a};{k};;;", ("a",)),
        ("a;;y;", "{a};;{k};", ("a",)),
        ("Unnamed: 0;a;y", "{k};{a};{k}", ("a",)),
        ("Unnamed: 0;a;y", "{a};{a};{k}", ("Unnamed: 0", "a")),
    ],
)
def test_columns_without_a_name_are_left_out_if_nothing_is_lost(
    header: str, row: str, names: tuple[str, ...], tmp_path: Path
) -> None:
    rows = "".join(row.format(k=k, a=k % 7) + "\n" for k in range(R))
    assert load_file(write(tmp_path, f"{header}\n{rows}"), target="y").feature_names == names


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a;;y\n" + "1;2;3\n" * R, r"column 2 has no name, but values \('2' in row 1\)"),
        ("a;y;\n" + "1;2;\n" * 3 + "1;2;x\n" * R, r"column 3 has no name.*'x' in row 4"),
        ("Report 2024;;\na;b;y\n" + "1;2;3\n" * R, "if lines stand above the header"),
        (";;\n" + "1;2;3\n" * R, "the first line must name the columns"),
        ("a;y\0\n" + LINES, "the header must be text; it holds NUL"),
        ("a;a;;\n" + "1;2;3;4\n" * R, "column names must be distinct; 'a'"),
    ],
)
def test_other_headers_are_refused(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=words):
        load_file(write(tmp_path, text), target="y")


@pytest.mark.parametrize(
    ("row", "options"),
    [("u;{k}", {}), ("u;v{k}", {}), ("1,5;v", {"decimal": ","}), ("2024-01-31;v{k}", {})],
)
def test_a_repeated_header_is_refused(row: str, options: dict[str, Any], tmp_path: Path) -> None:
    part = "a;y\n" + "".join(row.format(k=k % 3) + "\n" for k in range(R))
    with pytest.raises(DatasetError, match=rf"row {R + 1}, {2 * R + 2} repeats the header"):
        load_file(write(tmp_path, part * 3), target="y", **options)


def test_a_name_among_the_values_is_no_header(tmp_path: Path) -> None:
    rows = "".join(f"{'auv'[k % 3]};{'pq'[k % 2]}\n" for k in range(R))
    assert load_file(write(tmp_path, "a;y\n" + rows), target="y").feature_names[0] == "a=a"


# --- options --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"units": ""}, "units must be made of more"),
        ({"units": "5"}, "units must be made of more"),
        ({"units": ["kg", "."]}, "units must be made of more"),
        ({"missing": True}, "missing must be"),
        ({"missing": [None]}, "missing must be"),
        ({"dates": {"day": 3}}, "dates must be columns"),
        ({"dates": "day", "categories": "day"}, "categories must be other columns"),
        ({"thousands": "."}, r"not decimal='\.'"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        Reading.of(**options)


def test_formats_of_dates_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"dates must give a strftime format for 'a'.*'%Q'"):
        load(tmp_path, cells("31.1.2024"), dates={"a": "%Q"})
