"""A user's file becomes a data set, or an error that says what to do."""

from __future__ import annotations

import datetime
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hpo_env.datasets import Dataset, load_file
from hpo_env.errors import DatasetError, MissingExtraError, UnknownNameError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

R = 40


def table(**changes: Any) -> pd.DataFrame:
    columns = {
        "size": np.linspace(0.0, 1.0, R),
        "colour": ["red", "green", "blue", "green"] * (R // 4),
        "label": ["yes", "no"] * (R // 2),
    }
    return pd.DataFrame(columns | changes)


def write_csv(frame: pd.DataFrame, folder: Path, **options: Any) -> Path:
    path = folder / "table.csv"
    frame.to_csv(path, **({"index": False} | options))
    return path


def write_parquet(frame: pd.DataFrame, folder: Path) -> Path:
    path = folder / "table.parquet"
    frame.to_parquet(path)
    return path


def write_npz(folder: Path, **arrays: Any) -> Path:
    path = folder / "table.npz"
    np.savez(path, **arrays)
    return path


Write = Callable[[pd.DataFrame, Path], Path]
both = pytest.mark.parametrize("write", [write_csv, write_parquet])


# --- Files that make a task -------------------------------------------------------------------


@both
def test_a_table_becomes_numbers_and_labels(write: Write, tmp_path: Path) -> None:
    dataset = load_file(write(table(), tmp_path), target="label")
    assert dataset.kind == "classification"
    assert dataset.class_names == ("no", "yes")
    assert dataset.feature_names == ("size", "colour=blue", "colour=green", "colour=red")
    assert dataset.x.shape == (R, 4)
    np.testing.assert_array_equal(dataset.y[:3], [1, 0, 1])
    np.testing.assert_array_equal(dataset.x[0], [0.0, 0.0, 0.0, 1.0])


@both
def test_its_arrays_cannot_be_written(write: Write, tmp_path: Path) -> None:
    dataset = load_file(write(table(), tmp_path), target="label")
    assert not dataset.x.flags.writeable
    assert not dataset.y.flags.writeable


@both
def test_a_missing_feature_is_nan(write: Write, tmp_path: Path) -> None:
    size = np.where(np.arange(R) == 3, np.nan, np.linspace(0.0, 1.0, R))
    dataset = load_file(write(table(size=size), tmp_path), target="label")
    assert np.flatnonzero(np.isnan(dataset.x[:, 0])).tolist() == [3]


@both
def test_kind_can_be_chosen_against_the_guess(write: Write, tmp_path: Path) -> None:
    path = write(table(stars=np.arange(R) % 5), tmp_path)
    assert load_file(path, target="stars").num_classes == 5
    dataset = load_file(path, target="stars", kind="regression")
    assert dataset.kind == "regression"
    assert dataset.num_classes == 0
    assert dataset.y.dtype == np.float32


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_may_be_separated_by_comma_semicolon_or_tab(delimiter: str, tmp_path: Path) -> None:
    path = write_csv(table(), tmp_path, sep=delimiter)
    assert load_file(path, target="label").x.shape == (R, 4)


def test_csv_may_start_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = write_csv(table(), tmp_path, encoding="utf-8-sig")
    assert load_file(path, target="label").feature_names[0] == "size"


def test_csv_may_have_quoted_names_and_spaces_around_them(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    rows = "".join(f"{i}, {'a' if i % 2 else 'b'}\n" for i in range(R))
    path.write_text('"size, in m" , kind \n' + rows, encoding="utf-8")
    dataset = load_file(path, target="kind")
    assert dataset.feature_names == ("size, in m",)
    assert dataset.class_names == ("a", "b")


def test_row_numbers_that_pandas_wrote_are_left_out(tmp_path: Path) -> None:
    frame = table()
    frame.index = frame.index * 3
    for path in (write_csv(frame, tmp_path, index=True), write_parquet(frame, tmp_path)):
        assert load_file(path, target="label").x.shape == (R, 4)


def test_parquet_may_hold_dates_decimals_categories_and_nullable_numbers(tmp_path: Path) -> None:
    columns = {
        "day": pa.array(np.arange(R), type=pa.int32()).cast(pa.date32()),
        "price": pa.array(np.arange(R)).cast(pa.decimal128(30, 2)),
        "grade": pa.array(["a", "b", "c", None] * (R // 4)).dictionary_encode(),
        "count": pa.array([None, *range(1, R)], type=pa.int64()),
        "y": pa.array([True, False] * (R // 2)),
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    dataset = load_file(tmp_path / "t.parquet", target="y")
    assert dataset.feature_names == (
        "day",
        "price",
        "grade=a",
        "grade=b",
        "grade=c",
        "grade=missing",
        "count",
    )
    np.testing.assert_array_equal(dataset.x[:, 0], np.arange(R))
    np.testing.assert_array_equal(dataset.x[:, 1], np.arange(R))
    assert dataset.class_names == ("False", "True")


@settings(max_examples=25)
@given(
    x=hnp.arrays(
        np.float32,
        st.tuples(st.integers(30, 45), st.integers(1, 5)),
        elements=st.floats(-1e6, 1e6, width=32),
    ),
    seed=st.integers(0, 2**16),
)
def test_npz_gives_back_the_arrays_that_were_saved(
    x: Any, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    y = np.random.default_rng(seed).normal(size=len(x)).astype(np.float32)
    x[:, 0] = np.arange(len(x))
    path = write_npz(tmp_path_factory.mktemp("npz"), x=x, y=y)
    dataset = load_file(path, target="y")
    varies = x.min(axis=0) < x.max(axis=0)
    np.testing.assert_array_equal(dataset.x, x[:, varies])
    np.testing.assert_array_equal(dataset.y, y)
    assert dataset.feature_names == tuple(f"x{d}" for d in np.flatnonzero(varies))


def test_npz_may_hold_images_and_text_labels(tmp_path: Path) -> None:
    x = np.zeros((R, 1, 2, 3), dtype=np.uint8)
    x[:, 0, 1, 2] = np.arange(R)
    dataset = load_file(write_npz(tmp_path, x=x, y=np.array(["a", "b"] * (R // 2))), target="y")
    assert dataset.image_shape == (1, 2, 3)
    assert dataset.x.shape == (R, 6)
    assert dataset.class_names == ("a", "b")


def test_npz_may_name_its_features(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(R, 2))
    path = write_npz(tmp_path, x=x, y=np.arange(R) % 2, feature_names=np.array(["a", "b"]))
    assert load_file(path, target="y").feature_names == ("a", "b")


def test_npz_needs_no_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_npz(tmp_path, x=np.arange(R)[:, None], y=np.arange(R) % 2)
    for module in ("pandas", "pyarrow", "sklearn"):
        monkeypatch.setitem(sys.modules, module, None)
    assert load_file(path, target="y").x.shape == (R, 1)


@both
def test_csv_and_parquet_name_the_extra_they_need(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(table(), tmp_path)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match=r'pandas.*pip install "hpo-control\[data\]"'):
        load_file(path, target="label")


# --- Tables that make none --------------------------------------------------------------------


@both
@pytest.mark.parametrize(
    ("frame", "target", "message"),
    [
        (table(), "lable", r"no column 'lable'.*did you mean 'label'.*'size', 'colour', 'label'"),
        (table(label="yes"), "label", r"'label' must have at least two classes.*\['yes'\]"),
        (table(label=2.5), "label", r"'label' must have at least two values.*2\.5"),
        (table(gone=np.nan), "label", r"at least one value; 'gone' has/have none.*Remove"),
        (
            table(note=[f"no {i} of {R}" for i in range(R)]),
            "label",
            r"text column 'note' must hold categories; 40 of its 40.*'no 0 of 40'.*Remove it",
        ),
        (table().head(1), "label", "at least 30 rows.*got 1"),
        (table().head(29), "label", "at least 30 rows.*got 29"),
        (table(size=[np.inf] + [0.5] * (R - 1)), "label", "column 'size' must be finite.*1 value"),
        (table(size=[1e39] + [0.5] * (R - 1)), "label", "column 'size' must be finite.*1 value"),
        (table(label=[None, "a"] * (R // 2)), "label", "'label' must be given in every row; 20"),
        (table(label=[-np.inf] + [0.5] * (R - 1)), "label", "target 'label' must be finite"),
        (table()[["label"]], "label", "at least one column besides 'label' must vary"),
        (table(size=1, colour="red"), "label", "at least one column besides 'label' must vary"),
        (table(label=[f"x{i}" for i in range(R)]), "label", "40 classes in 40 rows"),
    ],
)
def test_a_table_that_makes_no_task_is_refused(
    write: Write, frame: pd.DataFrame, target: str, message: str, tmp_path: Path
) -> None:
    path = write(frame, tmp_path)
    with pytest.raises(DatasetError, match=message) as caught:
        load_file(path, target=target)
    assert str(path) in str(caught.value)


@both
def test_text_is_no_regression_target(write: Write, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"table\..*'label' holds text.*kind='classification'"):
        load_file(write(table(), tmp_path), target="label", kind="regression")


def test_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'regression'"):
        load_file(write_csv(table(), tmp_path), target="label", kind="regresion")  # type: ignore[arg-type]


def test_repeated_column_names_are_refused_in_csv(tmp_path: Path) -> None:
    frame = table(other=1.0).rename(columns={"other": "size"})
    with pytest.raises(DatasetError, match=r"distinct; 'size' occur.*Rename or remove"):
        load_file(write_csv(frame, tmp_path), target="label")


def test_repeated_column_names_are_refused_in_parquet(tmp_path: Path) -> None:
    columns = [pa.array(np.arange(R)), pa.array(np.arange(R)), pa.array(np.arange(R) % 2)]
    pq.write_table(pa.table(columns, names=["a", "a", "y"]), tmp_path / "t.parquet")
    with pytest.raises(DatasetError, match="distinct; 'a' occur"):
        load_file(tmp_path / "t.parquet", target="y")


@pytest.mark.parametrize(
    "values", [[[1, 2]] * R, [b"\xff"] * R, [datetime.time(1)] * R, [datetime.timedelta(1)] * R]
)
def test_parquet_types_without_a_number_are_refused(values: list[Any], tmp_path: Path) -> None:
    columns = {"odd": pa.array(values), "y": pa.array([0, 1] * (R // 2))}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    with pytest.raises(DatasetError, match=r"'odd' holds (list|binary|time|duration).*Remove it"):
        load_file(tmp_path / "t.parquet", target="y")


# --- Files that cannot be read ----------------------------------------------------------------


def test_a_file_that_is_missing_names_the_one_beside_it(tmp_path: Path) -> None:
    write_csv(table(), tmp_path)
    with pytest.raises(DatasetError, match=r"no such file.*beside it lies 'table\.csv'"):
        load_file(tmp_path / "tabel.csv", target="label")
    with pytest.raises(DatasetError, match="no such file"):
        load_file(tmp_path / "nowhere" / "t.csv", target="label")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(DatasetError, match="it is a folder"):
        load_file(tmp_path / "folder.csv", target="label")


@pytest.mark.parametrize(
    ("to", "words"),
    [
        ("nowhere.csv", "it is a link to 'nowhere.csv', where there is no file"),
        ("link.csv", "it is a link to 'link.csv', where there is no file"),
        ("/dev/zero", "it is no regular file"),
    ],
)
def test_links_that_lead_to_no_file_are_named(to: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to(to)
    with pytest.raises(DatasetError, match=words) as raised:
        load_file(tmp_path / "link.csv", target="label")
    assert "beside it" not in str(raised.value)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("https://example.org/t.csv", "nothing is fetched from the network: download it"),
        (b"t.csv", "is no path"),
        ("t.tsv", r"let its name end in \.csv"),
        ("t.csv.gz", "Unpack it: gunzip"),
        ("t.zip", "Unpack it"),
        ("t.xlsx", "Save the sheet as CSV"),
        ("t.parq", r"let its name end in \.parquet"),
    ],
)
def test_what_is_no_table_here_is_answered_with_what_to_do(path: Any, words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        load_file(path, target="label")


def test_a_name_that_is_not_utf_8_is_read_and_named(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.csv"))
    table().to_csv(path, index=False)
    assert load_file(path, target="label").name == r"\udcff.csv"
    with pytest.raises(DatasetError, match=r"\udcff\.csv: there is no column"):
        load_file(path, target="no")


def test_an_unknown_suffix_names_those_that_are_allowed(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"end in \.csv, \.parquet, \.npz; got '\.xlsx'"):
        load_file(tmp_path / "t.xlsx", target="label")


@pytest.mark.parametrize("where", ["header", "row"])
def test_latin_1_is_refused_with_the_command_that_converts_it(where: str, tmp_path: Path) -> None:
    frame = table()
    if where == "header":
        frame = frame.rename(columns={"size": "größe"})
    else:
        frame.loc[R - 1, "colour"] = "weiß"
    path = write_csv(frame, tmp_path, encoding="latin-1")
    with pytest.raises(DatasetError, match=r"must be UTF-8; byte 0x.*Latin-1.*iconv -f ISO-8859-1"):
        load_file(path, target="label")


def test_utf_16_is_recognised(tmp_path: Path) -> None:
    path = write_csv(table(), tmp_path, encoding="utf-16")
    with pytest.raises(DatasetError, match=r"may be UTF-16.*iconv -f UTF-16"):
        load_file(path, target="label")


@pytest.mark.parametrize("line", [1, R // 2])
def test_a_csv_line_with_too_many_fields_is_refused(line: int, tmp_path: Path) -> None:
    path = write_csv(table(), tmp_path)
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[line] += ",surplus"
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(DatasetError, match=r"one field a column.*Mend the line"):
        load_file(path, target="label")


def test_an_empty_csv_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.csv"
    path.touch()
    with pytest.raises(DatasetError, match="first line must name the columns"):
        load_file(path, target="label")


def test_a_csv_with_a_header_only_has_no_rows(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"at least 30 rows.*got 0"):
        load_file(write_csv(table().head(0), tmp_path), target="label")


@pytest.mark.parametrize("suffix", [".parquet", ".npz"])
@pytest.mark.parametrize("damage", ["other", "truncated"])
def test_a_broken_binary_file_is_refused(suffix: str, damage: str, tmp_path: Path) -> None:
    if suffix == ".parquet":
        path = write_parquet(table(), tmp_path)
    else:
        path = write_npz(tmp_path, x=np.ones((R, 2)), y=np.arange(R))
    whole = path.read_bytes()
    path.write_bytes(b"a,b\n1,2\n" if damage == "other" else whole[: len(whole) // 2])
    with pytest.raises(DatasetError, match="cannot be read as"):
        load_file(path, target="y")


# --- NPZ --------------------------------------------------------------------------------------

X = np.linspace(0.0, 1.0, 2 * R).reshape(R, 2)
Y = np.arange(R) % 2


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"features": X, "y": Y}, r"needs an array 'x'.*'features', 'y'.*numpy\.savez"),
        ({"x": X, "labels": Y}, "no array 'y'.*The arrays are: 'labels'"),
        ({"x": X.ravel(), "y": Y}, r"'x' must be numbers of shape.*\(80,\)"),
        ({"x": X.astype(str), "y": Y}, "'x' must be numbers.*<U"),
        ({"x": X, "y": Y[:-1]}, r"one entry a row.*\(39,\)"),
        ({"x": X, "y": np.eye(2)[Y]}, r"one entry a row.*\(40, 2\).*one-hot"),
        ({"x": X.astype(object), "y": Y}, "object arrays are refused.*dtype '<U"),
        ({"x": X[:5], "y": Y[:5]}, "at least 30 rows.*got 5"),
        ({"x": np.where(X == 1.0, np.inf, X), "y": Y}, "array 'x' must be finite.*1 value"),
        ({"x": X * [1.0, np.nan], "y": Y}, "at least one value; 'x1' has none"),
        ({"x": X, "y": np.where(Y == 1, np.nan, 0.5)}, "'y' must be given in every row; 20"),
        ({"x": X, "y": np.where(Y == 1, np.inf, 0.5)}, "target 'y' must be finite.*20"),
        ({"x": X, "y": Y * 0}, r"'y' must have at least two classes.*\[0\]"),
        ({"x": X * 0, "y": Y}, "at least one column besides 'y' must vary"),
        ({"x": X, "y": Y, "feature_names": np.array(["a"])}, "must have D=2 entries; got 1"),
        ({"x": X, "y": Y, "feature_names": np.array(["a", "a"])}, "distinct; 'a' occur"),
    ],
)
def test_an_npz_that_makes_no_task_is_refused(
    arrays: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = write_npz(tmp_path, **arrays)
    with pytest.raises(DatasetError, match=message) as caught:
        load_file(path, target="y")
    assert str(path) in str(caught.value)


def test_every_file_gives_a_whole_data_set(tmp_path: Path) -> None:
    paths = [
        write_csv(table(), tmp_path),
        write_parquet(table(), tmp_path),
        write_npz(tmp_path, x=X, label=Y),
    ]
    for path in paths:
        dataset = load_file(path, target="label")
        assert isinstance(dataset, Dataset)
        assert dataset.name == path.name
